"""The draft editor: what is typed is in the store within a second; a version is made when the user says so."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.keys import binding
from app.prompts.tab.ask import NoteScreen
from app.prompts.tab.drafts import drop_draft, write_draft
from app.prompts.tab.prompt_form import PromptForm
from app.prompts.tab.shell import shell
from store.errors import BadInput, LatheError
from store.workspace import Store
from widgets import units
from widgets.hint_bar import HintBar
from widgets.safe_area import SafeTextArea
from widgets.sentence import keyed
from widgets.text import safe_text

SAVE_EVERY = 0.8
"""Seconds between two looks for unsaved text: with the write itself at most a second can be lost."""


class EditorScreen(Screen[str | None]):
    """Edits the draft of one prompt; gives its name when a version was made, None when it stays a draft."""

    DEFAULT_CSS = """
    EditorScreen > Vertical { padding: 0; }
    EditorScreen #state { height: auto; max-height: 4; padding: 0 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save version", id="editor.save", tooltip="Make a version of this draft"),
        Binding(
            "ctrl+e", "external", "$EDITOR", id="editor.external", tooltip="Edit this text in your editor"
        ),
        Binding("ctrl+d", "discard", "throw away", id="editor.discard", tooltip="Throw the draft away"),
        binding("back", "close", "back, draft stays", room="editor"),
    ]

    HELP = (
        "The draft of a prompt. Everything typed is kept within a second and survives anything; it is a column "
        "of the comparison as `draft`. **ctrl+s** makes an immutable version with a note. Texts are Jinja "
        "templates: `{{ ticket }}` stands for the case's variable. **ctrl+e** opens the text in `$EDITOR`."
    )

    def __init__(self, store: Store, name: str, content: Mapping[str, Any], parent: int | None) -> None:
        super().__init__()
        self._store = store
        self._prompt = name
        self._content = content
        self._origin = parent
        self._dirty = False
        self._kept_at: float | None = None
        self._checked: Content | None = None

    def compose(self) -> ComposeResult:
        origin = f"from @{self._origin}" if self._origin else "new"
        panel = Vertical(classes="panel")
        panel.border_title = Content(safe_text(f"{self._prompt} · draft {origin}", newlines=False))
        with panel:
            yield PromptForm(self._content)
            yield Static("", id="state")
        yield HintBar()

    def on_mount(self) -> None:
        self.set_interval(SAVE_EVERY, self._keep)
        self._check()

    def on_prompt_form_edited(self) -> None:
        self._dirty = True

    @property
    def _form(self) -> PromptForm:
        return self.query_one(PromptForm)

    # Keeping

    async def _keep(self) -> None:
        """Write the draft if it changed; a field that cannot be read yet holds back nothing but itself."""
        if not self._dirty:
            return
        self._dirty = False
        try:
            content = self._form.content()
        except BadInput as error:
            self._say(Content.styled(f"Not kept yet: {safe_text(error)}", "$text-warning"))
            self._dirty = True
            return
        await asyncio.to_thread(write_draft, self._store, self._prompt, content, self._origin)
        self._kept_at = time.monotonic()
        self._check()

    @work(exclusive=True, group="check")
    async def _check(self) -> None:
        """Say below the form whether the draft can be run, and which variables it asks the cases for."""
        try:
            content = self._form.content()
            self._say(await asyncio.to_thread(_standing, content))
        except BadInput as error:
            self._say(Content.styled(safe_text(error), "$text-warning"))

    def _say(self, what: Content) -> None:
        kept = ""
        if self._kept_at is not None:
            kept = f"kept {units.ago(time.monotonic() - self._kept_at)} · "
        self.query_one("#state", Static).update(Content.assemble(kept, what))

    # Actions

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        """Make a version with a note; the draft is dropped only after the version exists."""
        try:
            content = self._form.content()
        except BadInput as error:
            self.app.notify(str(error), severity="error")
            return
        note = await self.app.push_screen_wait(
            NoteScreen(
                f"Note for the new version of {self._prompt}", placeholder="what changed, in a few words"
            )
        )
        if note is None:
            return
        await asyncio.to_thread(write_draft, self._store, self._prompt, content, self._origin)
        values: dict[str, Any] = {"name": self._prompt, "content": content, "note": note}
        if self._origin is not None:
            values["parent"] = self._origin
        made = await shell(self).run_operation("prompt.save", values)
        if made is None:
            return
        self._dirty = False
        await asyncio.to_thread(drop_draft, self._store, self._prompt)
        self.dismiss(self._prompt)

    def action_external(self) -> None:
        area = self.focused
        if not isinstance(area, SafeTextArea):
            self.app.notify("Put the cursor into a text first.")
            return
        edited = shell(self).open_in_editor(area.text, ".jinja")
        if edited is not None and edited != area.text:
            area.text = edited

    @work(exclusive=True, group="save")
    async def action_discard(self) -> None:
        if await shell(self).confirm(
            f"Throw the draft of {self._prompt} away? Saved versions stay.", yes="throw away"
        ):
            self._dirty = False
            await asyncio.to_thread(drop_draft, self._store, self._prompt)
            self.dismiss(None)

    async def action_close(self) -> None:
        await self._keep()
        if self._dirty:
            self.app.notify(
                "One field cannot be read yet; the sentence below says which.", severity="warning"
            )
            return
        self.dismiss(None)


def _standing(content: Mapping[str, Any]) -> Content:
    """Whether the content can be used, as a sentence. Imports the template engine, so from a thread."""
    from app.prompts.content import parse_content
    from app.prompts.template import variables

    try:
        parsed = parse_content(dict(content), "this draft")
        names = variables(message.content for message in parsed.messages)
    except LatheError as error:
        return Content.styled(safe_text(error), "$text-warning")
    asks = (
        f"asks each case for: {', '.join(names)}" if names else "asks the cases for nothing; write {{ name }}"
    )
    return Content.assemble(safe_text(asks), " · ", keyed("`ctrl+s` makes a version"))
