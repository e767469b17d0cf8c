"""The line that filters a list: out of the way until `/`, gone again with esc."""

from textual import on
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from widgets.form_fields import LineField


class FilterLine(LineField):
    """Appears with `start()`, posts `Filtered` while one types; enter keeps the filter, esc takes it away."""

    DEFAULT_CSS = """
    FilterLine { display: none; dock: top; height: 1; margin-bottom: 0; color: $accent; }
    FilterLine.-on { display: block; }
    """
    BINDINGS = [
        Binding("escape", "drop", "no filter", id="filter.drop"),
        Binding("enter,down", "keep", "keep filter", id="filter.keep"),
    ]
    HELP = "The filter of a list: type a part of a name; `enter` keeps it, `esc` takes it away."

    class Filtered(Message):
        """What to filter by; empty for everything."""

        def __init__(self, line: "FilterLine", text: str) -> None:
            super().__init__()
            self.line, self.text = line, text

        @property
        def control(self) -> "FilterLine":
            return self.line

    class Left(Message):
        """The user is done with the filter line: the list should have the focus again."""

        def __init__(self, line: "FilterLine") -> None:
            super().__init__()
            self.line = line

        @property
        def control(self) -> "FilterLine":
            return self.line

    def __init__(self) -> None:
        super().__init__("", placeholder="filter")
        self.can_focus = False  # until it is asked for: the focus must not wander into a line nobody sees

    def start(self) -> None:
        """Show the line and take the focus."""
        self.can_focus = True
        self.add_class("-on")
        self.focus()

    def action_keep(self) -> None:
        self._leave(shown=bool(self.value))

    def action_drop(self) -> None:
        self.value = ""
        self._leave(shown=False)

    def _leave(self, *, shown: bool) -> None:
        self.set_class(shown, "-on")
        self.can_focus = False
        self.post_message(self.Left(self))

    @on(Input.Changed)
    def _tell(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Filtered(self, event.value.strip()))
