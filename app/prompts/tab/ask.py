"""Small questions: a note that may stay empty, and one of a few choices."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from app.keys import binding
from app.prompts.tab.choices import Choice
from widgets.form_fields import LineField
from widgets.listing import Column, Row
from widgets.picker import PickerScreen
from widgets.sentence import keyed
from widgets.text import safe_text


class NoteScreen(ModalScreen[str | None]):
    """One line of text where nothing is an answer too; esc gives None."""

    DEFAULT_CSS = """
    NoteScreen { align: center middle; }
    NoteScreen > Vertical {
        width: 76; max-width: 94%; height: auto; padding: 1 2; background: $background; border: round $border;
    }
    NoteScreen Static { height: auto; }
    NoteScreen LineField { margin: 1 0; }
    NoteScreen .keys { color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [binding("back", "dismiss(None)", room="note")]

    def __init__(self, question: str, *, value: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._question, self._value, self._placeholder = question, value, placeholder

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content(safe_text(self._question)))
            yield LineField(self._value, placeholder=self._placeholder)
            yield Static(keyed("`enter` takes it, empty too   `esc` goes back"), classes="keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(self.query_one(LineField).text.strip())


def choose(title: str, choices: Sequence[Choice], *, many: bool = False, empty: str = "") -> PickerScreen:
    """A picker over a few fixed lines, filtered by typing; its answer is a key, a list of them, or None."""
    widest = max((cell_len(choice.text) for choice in choices), default=10)
    columns = (Column("", min(48, widest + 2)), Column("", 0, keep=1))

    async def load(text: str) -> list[Row]:
        wanted = text.casefold()
        return [
            Row(choice.key, (choice.text, choice.note))
            for choice in choices
            if wanted in f"{choice.text} {choice.note}".casefold()
        ]

    return PickerScreen(title, columns, load, many=many, empty=empty or "Nothing to choose from.")
