"""The form of an operation: drawn from its spec, checked at the field, and ready as command line and
recipe."""

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from app.pickers import picker
from store import drafts, jobs
from store.errors import LatheError
from widgets.ask import AskScreen
from widgets.form import FieldData, SpecForm
from widgets.reading import ReadingScreen
from widgets.sentence import keyed
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.jobs.operation import Operation
    from app.workbench import Workbench

ESTIMATE_AFTER = 0.4
"""Seconds without typing before the estimate and the draft are made."""


class RunLine(Static, can_focus=True):
    """The last stop of the tab key: enter runs what was filled in."""

    DEFAULT_CSS = """
    RunLine { height: 1; width: auto; padding: 0 2; margin: 0 1; color: $text-muted; background: $surface; }
    RunLine:focus { color: $background; background: $accent; text-style: bold; }
    """
    BINDINGS = [Binding("enter,space", "screen.run", "run", show=False, id="form.run-line")]
    HELP = "**enter** runs it; so does **ctrl+r** from any field."

    def __init__(self) -> None:
        super().__init__("run", markup=False)

    def on_click(self) -> None:
        self.post_message(self.Clicked())

    class Clicked(Message):
        """Run it, says the mouse."""


class FormScreen(ModalScreen[Any]):
    """Fill in, run, or take it away as a command. Esc keeps what was typed for the next time."""

    DEFAULT_CSS = """
    FormScreen { align: center middle; }
    FormScreen > Vertical {
        width: 104; max-width: 98%; height: auto; max-height: 96%; padding: 1 1 0 1;
        background: $background; border: round $border;
        border-title-color: $accent; border-title-style: bold; border-subtitle-color: $text-muted;
    }
    FormScreen #about { height: auto; max-height: 3; padding: 0 1; color: $text-muted; margin-bottom: 1; }
    FormScreen #explained { height: 2; padding: 0 1; color: $text-muted; margin-top: 1; }
    FormScreen #estimate { height: auto; max-height: 2; min-height: 1; padding: 0 1; color: $accent; }
    FormScreen SpecForm { max-height: 60vh; }
    """
    BINDINGS = [
        Binding("ctrl+r", "run", "run", priority=True, id="form.run"),
        Binding("f5", "show_command", "command line and recipe", priority=True, id="form.command"),
        Binding("ctrl+s", "save_recipe", "save recipe", priority=True, id="form.save"),
        Binding("ctrl+o", "load_recipe", "load recipe", priority=True, id="form.load"),
        Binding("ctrl+l", "start_clean", "start clean", priority=True, id="form.clean"),
        Binding("escape", "leave", "back", id="form.leave"),
    ]
    HELP = SpecForm.HELP
    AUTO_FOCUS = ""
    """The first field takes the focus once the fields are there."""

    def __init__(self, operation: str, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._operation_name = operation
        self._given = dict(values)
        self._operation: Operation | None = None
        self._starting = False

    @property
    def bench(self) -> "Workbench":
        """The application, by its own type."""
        return cast("Workbench", self.app)

    def compose(self) -> Any:
        with Vertical() as frame:
            frame.border_title = Content(self._operation_name)
            frame.border_subtitle = Content(
                "ctrl+r run · f5 command line · ctrl+s save · ctrl+o load · esc back"
            )
            yield Static("", markup=False, id="about")
            yield Static("", markup=False, id="explained")
            yield Static("", markup=False, id="estimate")
            yield RunLine()

    def on_mount(self) -> None:
        self._load()

    @work(exclusive=True, group="form")
    async def _load(self) -> None:
        """Import the operation's declaration off the screen's thread, then draw its fields."""
        from app.jobs import registry

        try:
            self._operation = await self.bench.read(registry.operation, self._operation_name)
        except LatheError as error:
            self.app.notify(str(error), severity="error")
            self.dismiss(None)
            return
        kept = await self.bench.read(drafts.draft, self.bench.store, self._draft_key)
        await self._draw({**(kept if isinstance(kept, dict) else {}), **self._given})
        if kept:
            self.query_one("#explained", Static).update(
                Content("What you typed last time is still here; ctrl+l starts clean.")
            )

    async def _draw(self, values: Mapping[str, Any]) -> None:
        from app.jobs.forms import form_fields

        operation = self._operation
        if operation is None:
            return
        for old in self.query(SpecForm):
            await old.remove()
        frame = self.query_one(Vertical)
        frame.border_title = Content(operation.title)
        self.query_one("#about", Static).update(keyed(operation.description, "$foreground-muted"))
        fields = cast("list[FieldData]", form_fields(operation.spec, values))
        form = SpecForm(fields)
        await frame.mount(form, after="#about")
        form.focus_first()
        self._estimate()

    @property
    def _draft_key(self) -> str:
        return f"form:{self._operation_name}"

    @property
    def form(self) -> SpecForm:
        """The fields."""
        return self.query_one(SpecForm)

    @on(SpecForm.Explained)
    def _explain(self, event: SpecForm.Explained) -> None:
        bounds = f" ({event.field.name})" if event.field.advanced else ""
        self.query_one("#explained", Static).update(
            keyed(safe_text(event.field.description) + bounds, "$foreground-muted")
        )

    @on(SpecForm.Changed)
    def _changed(self) -> None:
        self._estimate()

    @work(exclusive=True, group="estimate")
    async def _estimate(self) -> None:
        """After a pause in typing: keep the draft, and say what the run would take."""
        from app.jobs.values import SpecError, validated

        await asyncio.sleep(ESTIMATE_AFTER)
        operation, values = self._operation, self.form.values()
        if operation is None:
            return
        await self.bench.read(drafts.save_draft, self.bench.store, self._draft_key, values)
        line = ""
        if operation.estimate is not None and not self.form.own_errors:
            try:
                spec = validated(operation.spec, values)
                line = await self.bench.read(operation.estimate, spec, self.bench.store)
            except SpecError:
                line = ""  # not complete yet: the errors are shown when the user runs it
            except LatheError as error:
                line = str(error)
        self.query_one("#estimate", Static).update(Content(safe_text(line, newlines=False)))

    def _checked(self) -> dict[str, Any] | None:
        """The values if they make a spec; otherwise None, and the errors stand at their fields."""
        from app.jobs.values import SpecError, validated

        if self._operation is None:
            return None
        values = self.form.values()
        errors: dict[str, str] = {}
        try:
            validated(self._operation.spec, values)
        except SpecError as error:
            errors = {name: _sentence(sentence) for name, sentence in error.fields.items()}
        homeless = [f"{name} {text}".strip() for name, text in errors.items() if self.form.row(name) is None]
        if homeless:
            self.app.notify(" ".join(homeless), severity="error")
        self.form.show_errors(errors)
        return None if errors or self.form.own_errors else values

    @work(exclusive=True, group="run-form")
    async def action_run(self) -> None:
        values = self._checked()
        if values is None or self._operation is None or self._starting:
            return
        self._starting = True
        outcome = await self.bench.run_operation(self._operation_name, values)
        self._starting = False
        if outcome is None:
            return
        await self.bench.read(drafts.drop_draft, self.bench.store, self._draft_key)
        if isinstance(outcome, jobs.Job) and outcome.state in ("queued", "running"):
            self.app.notify(f"{self._operation.title}: job {outcome.id} has started. f2 shows it.")
        else:
            self.app.notify(f"{self._operation.title}: done.")
        self.dismiss(outcome)

    def on_run_line_clicked(self) -> None:
        self.action_run()

    def action_show_command(self) -> None:
        values = self._checked()
        if values is None or self._operation is None:
            return
        from app.jobs.values import to_toml, validated

        command = command_line(self._operation_name, values, self.bench.root)
        recipe = to_toml(validated(self._operation.spec, values))
        self.app.push_screen(
            ReadingScreen(
                "The same without a screen", f"{command}\n\nor as a recipe:\n\n{recipe}", copied=command
            )
        )

    @work(exclusive=True, group="recipe")
    async def action_save_recipe(self) -> None:
        values = self._checked()
        if values is None or self._operation is None:
            return
        from app.jobs.values import to_toml, validated

        question = "Save this recipe as which file?"
        name = await self.app.push_screen_wait(AskScreen(question, value=f"{self._operation_name}.toml"))
        if not name:
            return
        file = Path(name).expanduser().absolute()
        if file.exists() and not await self.bench.confirm(f"{file} exists. Replace it?"):
            return
        try:
            file.write_text(to_toml(validated(self._operation.spec, values)), encoding="utf-8")
        except OSError as error:
            self.app.notify(f"{file} cannot be written: {error.strerror}.", severity="error")
            return
        self.app.notify(f"Saved. lathe run {self._operation_name} --spec {file}")

    @work(exclusive=True, group="recipe")
    async def action_load_recipe(self) -> None:
        from app.jobs.values import read_recipe

        name = await self.bench.pick("file", title="Which recipe?")
        if name:
            await self._draw(read_recipe(Path(name)))

    @work(exclusive=True, group="form")
    async def action_start_clean(self) -> None:
        await self.bench.read(drafts.drop_draft, self.bench.store, self._draft_key)
        await self._draw(self._given)

    def action_leave(self) -> None:
        self.dismiss(None)

    @on(SpecForm.PickWanted)
    def _pick(self, event: SpecForm.PickWanted) -> None:
        row = event.row
        field = row.field
        within = ""
        if field.picks == "prompt_version" and field.depends_on is not None:
            other = self.form.row(field.depends_on[0])
            within = str(other.read() or "") if other is not None else ""

        def fill(chosen: Any) -> None:
            if chosen is not None:
                row.fill(chosen if isinstance(chosen, list) else str(chosen))
                row.editor.focus()

        several = field.many or field.type == "list"
        self.app.push_screen(
            picker(self.bench, field.picks or "file", many=several, title=field.title, within=within), fill
        )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def command_line(name: str, values: Mapping[str, Any], root: Path) -> str:
    """The command that does the same without a screen, ready for a shell."""
    import json

    words = ["lathe", "run", name, "--workspace", str(root)]
    for key, value in values.items():
        if isinstance(value, list):
            text = ",".join(str(item) for item in value)
        elif isinstance(value, dict):
            text = json.dumps(value, ensure_ascii=False)
        else:
            text = str(value)
        words.append(f"{key}=@{text}" if text.startswith("@") else f"{key}={text}")
    return shlex.join(words)
