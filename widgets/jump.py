"""Jump mode: a letter on everything that can have the focus; the letter goes there."""

from typing import Any

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class JumpScreen(ModalScreen[Widget | None]):
    """Letters over the widgets of the screen below; a letter gives its widget, esc None."""

    DEFAULT_CSS = """
    JumpScreen { background: $background 35%; layers: letters; }
    JumpScreen .letter {
        layer: letters; position: absolute; width: 3; height: 1; color: $background; background: $accent;
        text-style: bold; content-align: center middle;
    }
    """
    BINDINGS = [Binding("escape,f3", "leave", "back", id="jump.leave")]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        targets = [widget for widget in below.focus_chain if widget.region.area]
        self._targets = dict(zip(LETTERS, targets, strict=False))

    def compose(self) -> Any:
        for letter, widget in self._targets.items():
            label = Static(Content(letter.upper()), classes="letter")
            label.styles.offset = (widget.region.x, widget.region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        if event.key in self._targets:
            event.stop()
            self.dismiss(self._targets[event.key])

    def action_leave(self) -> None:
        self.dismiss(None)
