"""A question that is asked only where something would be lost."""

from typing import Any

from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from widgets.sentence import keyed


class ConfirmScreen(ModalScreen[bool]):
    """One question, `y` or `n`. Esc and enter both mean no: losing something takes a key of its own."""

    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > Vertical {
        width: 64; max-width: 90%; height: auto; max-height: 90%; padding: 1 2;
        background: $surface; border: round $warning;
    }
    ConfirmScreen Static { height: auto; margin-bottom: 1; }
    ConfirmScreen #answers { margin-bottom: 0; color: $text-muted; }
    """
    BINDINGS = [
        Binding("y", "answer(True)", "yes", id="confirm.yes"),
        Binding("n,escape,enter", "answer(False)", "no", id="confirm.no"),
    ]

    def __init__(self, question: str, *, yes: str = "yes", no: str = "no") -> None:
        super().__init__()
        self._question, self._yes, self._no = question, yes, no

    def compose(self) -> Any:
        with Vertical():
            yield Static(Content(self._question))
            yield Static(keyed(f"`y` {self._yes}   `n` {self._no}"), id="answers")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
