"""The room between the top line and the hints: one tab per stage, made when it is first visited."""

import importlib
from collections.abc import Sequence
from typing import Any

from textual.containers import Container
from textual.message import Message
from textual.widget import Widget

from app.keys import binding
from app.stages import Stage
from store.errors import LatheError
from store.workspace import Store
from widgets.empty import EmptyState
from widgets.text import safe_text


class StoreChanged(Message):
    """Somebody wrote to the workspace: this workbench, a job, another terminal. At most four a second."""

    bubble = False

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, StoreChanged)


class TroublePanel(EmptyState, can_focus=True):
    """What stands in place of a tab that could not be shown; the rest of the workbench goes on."""

    BINDINGS = [binding("run", "again", "try again", room="trouble")]
    HELP = "This stage could not be shown. Everything that was saved is safe; **r** opens it again."

    class Again(Message):
        """The user asks to open the stage once more."""

    def __init__(self, stage: Stage, error: BaseException) -> None:
        super().__init__("")
        reason = (
            safe_text(error)
            if isinstance(error, LatheError)
            else f"{type(error).__name__}: {safe_text(error)}"
        )
        self.say(
            f"{stage.title} cannot be shown",
            reason.replace("`", "'"),
            "Everything that was saved is safe. `r` opens it again; the other stages go on.",
        )

    def action_again(self) -> None:
        self.post_message(self.Again())


class TabArea(Container):
    """Holds the tabs; the active one is displayed, others keep what they had, unvisited ones cost nothing."""

    DEFAULT_CSS = """
    TabArea { width: 1fr; height: 1fr; }
    TabArea > * { height: 1fr; width: 1fr; }
    """

    def __init__(self, store: Store, stages: Sequence[Stage], active: str) -> None:
        super().__init__(id="tabs")
        self._store = store
        self._stages = {stage.id: stage for stage in stages}
        self._bodies: dict[str, Widget] = {}
        self._focus_of: dict[str, Widget] = {}
        self.active = active

    def compose(self) -> Any:
        yield self._make(self.active)

    def on_mount(self) -> None:
        self._tell(self._bodies[self.active], "on_tab_shown")

    def _make(self, stage_id: str) -> Widget:
        """Import and construct the body of a stage; a failure becomes a panel that says so."""
        stage = self._stages[stage_id]
        body: Widget
        try:
            module, _, name = (stage.tab or "").partition(":")
            body = getattr(importlib.import_module(module), name)(self._store)
        except (
            Exception
        ) as error:  # the border between a stage and the shell: any failure has to become a panel
            self.app.log.error(f"{stage_id}: {error!r}")
            body = TroublePanel(stage, error)
        self._bodies[stage_id] = body
        return body

    @property
    def body(self) -> Widget:
        """What the active stage shows now."""
        return self._bodies[self.active]

    @property
    def visited(self) -> Sequence[Widget]:
        """The bodies that exist."""
        return tuple(self._bodies.values())

    async def show(self, stage_id: str) -> None:
        """Bring a stage to the front, making it on the first visit."""
        if stage_id == self.active:
            return
        old = self.body
        if self.screen.focused is not None and old in self.screen.focused.ancestors_with_self:
            self._focus_of[self.active] = self.screen.focused
        # Hiding a widget that has the focus moves the focus on its own and brings the old tab back
        # (textual#4955).
        self.screen.set_focus(None)
        self._tell(old, "on_tab_hidden")
        old.display = False
        self.active = stage_id
        if stage_id in self._bodies:
            self.body.display = True
        else:
            await self.mount(self._make(stage_id))
        self._tell(self.body, "on_tab_shown")
        self.call_after_refresh(self.focus_body)

    def focus_body(self) -> None:
        """Put the focus where it was in the active stage, else on its first widget that takes it."""
        if self.screen.focused is not None and self.body in self.screen.focused.ancestors_with_self:
            return
        known = self._focus_of.get(self.active)
        if known is not None and known.is_attached and known.focusable:
            known.focus(scroll_visible=False)
            return
        for widget in self.body.walk_children(Widget, with_self=True):
            if widget.focusable:
                widget.focus(scroll_visible=False)
                return

    def tell_store_changed(self) -> None:
        """Let the visible stage know that there is something new to read."""
        self.body.post_message(StoreChanged())

    def stage_of(self, node: object) -> str | None:
        """The stage that a widget belongs to, if any."""
        ancestors = getattr(node, "ancestors_with_self", ())
        return next((name for name, body in self._bodies.items() if body in ancestors), None)

    async def replace_with_trouble(self, stage_id: str, error: BaseException) -> None:
        """Put a panel in place of a stage that broke."""
        await self._replace(stage_id, TroublePanel(self._stages[stage_id], error))

    async def _replace(self, stage_id: str, body: Widget) -> None:
        old = self._bodies[stage_id]
        self.screen.set_focus(None)
        self._focus_of.pop(stage_id, None)
        self._bodies[stage_id] = body
        body.display = stage_id == self.active
        await self.mount(body)
        await old.remove()
        self.call_after_refresh(self.focus_body)

    async def on_trouble_panel_again(self, _: TroublePanel.Again) -> None:
        """Make the active stage anew."""
        old = self._bodies[self.active]
        new = self._make(self.active)
        self._bodies[self.active] = old
        await self._replace(self.active, new)
        self._tell(new, "on_tab_shown")

    @staticmethod
    def _tell(body: Widget, what: str) -> None:
        hook = getattr(body, what, None)
        if hook is not None:
            hook()
