"""One question answered with a line of text."""

from typing import Any

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from widgets.form_fields import LineField
from widgets.sentence import keyed
from widgets.text import safe_text


class AskScreen(ModalScreen[str | None]):
    """A question with an input line. Enter answers, esc answers None."""

    DEFAULT_CSS = """
    AskScreen { align: center middle; }
    AskScreen > Vertical {
        width: 76; max-width: 94%; height: auto; padding: 1 2; background: $background; border: round $border;
    }
    AskScreen Static { height: auto; }
    AskScreen LineField { margin: 1 0; }
    AskScreen .keys { color: $text-muted; }
    """
    BINDINGS = [Binding("escape", "cancel", "cancel", id="ask.cancel")]

    def __init__(self, question: str, *, value: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._question, self._value, self._placeholder = question, value, placeholder

    def compose(self) -> Any:
        with Vertical():
            yield Static(Content(safe_text(self._question)))
            yield LineField(self._value, placeholder=self._placeholder)
            yield Static(keyed("`enter` answers   `esc` goes back"), classes="keys")

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        event.stop()
        text = self.query_one(LineField).text.strip()
        self.dismiss(text or None)

    def action_cancel(self) -> None:
        self.dismiss(None)
