"""What a run will do, before it does it."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from app.keys import binding
from app.prompts.tab.selection import Selection
from store.errors import LatheError
from store.workspace import Store
from widgets import units
from widgets.sentence import keyed
from widgets.text import safe_text


class RunSheet(ModalScreen[bool]):
    """Cells, reuse, tokens and time; enter starts, esc goes back."""

    DEFAULT_CSS = """
    RunSheet { align: center middle; }
    RunSheet > Vertical {
        width: 74; max-width: 95%; height: auto; max-height: 90%; padding: 1 2;
        background: $surface; border: round $accent; border-title-color: $accent;
    }
    RunSheet Static { height: auto; }
    RunSheet #keys { margin-top: 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,r", "answer(True)", "start", id="run.start", tooltip="Start the comparison"),
        binding("back", "answer(False)", room="run"),
    ]

    def __init__(self, title: str, lines: Sequence[str | Content], *, startable: bool = True) -> None:
        super().__init__()
        self._title_text = title
        self._lines = lines
        self._startable = startable

    def compose(self) -> ComposeResult:
        with Vertical() as sheet:
            sheet.border_title = Content(safe_text(self._title_text, newlines=False))
            for line in self._lines:
                yield Static(line if isinstance(line, Content) else Content(safe_text(line)))
            keys = "`enter` starts   `esc` goes back" if self._startable else "`esc` goes back"
            yield Static(keyed(keys), id="keys")

    def action_answer(self, start: bool) -> None:
        if self._startable or not start:
            self.dismiss(start)


def sheet_lines(store: Store, selection: Selection) -> tuple[list[str | Content], bool]:
    """What the run will do, line by line, and whether it can start. Reads the store: call it in a thread."""
    from app.jobs.values import validated
    from app.prompts.plan import estimate
    from app.prompts.specs import CompareSpec

    try:
        foreseen = estimate(store, validated(CompareSpec, selection.values()))
    except LatheError as error:
        return [Content.styled(safe_text(error), "$text-warning")], False
    columns = ", ".join(prompt.partition("@")[2] for prompt in selection.prompts)
    many = f" on {', '.join(selection.models)}" if selection.models else ""
    fresh = foreseen.cells - foreseen.reused
    lines: list[str | Content] = [
        f"Columns   {columns}{many}",
        f"Cases     {selection.cases}{_SPLIT[selection.split]}",
        f"Cells     {foreseen.cells:,} · {_reuse(foreseen.cells, foreseen.reused)}",
    ]
    if selection.repeats > 1:
        lines.insert(2, f"Repeats   {selection.repeats} of every case")
    if fresh:
        lines.append(
            f"Tokens    about {foreseen.prompt_tokens:,} to read, {foreseen.completion_tokens:,} to write"
        )
        time = "not known yet: nothing was measured with this model"
        if foreseen.seconds is not None:
            time = f"about {units.duration(max(1.0, foreseen.seconds))}"
        lines.append(f"Time      {time}")
    lines += [Content.styled(safe_text(f"{note}."), "$text-warning") for note in foreseen.notes]
    return lines, True


_SPLIT = {"all": "", "tune": " · only those to tune on", "held_out": " · only held out"}


def _reuse(cells: int, reused: int) -> str:
    if not reused:
        return "none is there yet"
    return "all are there already ↺" if reused >= cells else f"{reused:,} are there already ↺"
