"""A page of text to read and copy: a command line, a recipe, a traceback, an output."""

from typing import Any

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from widgets.text import safe_text

MOST_SHOWN = 64 * 1024
"""Characters drawn at most: a page nobody reads to the end must not hold the screen up."""


class ReadingScreen(ModalScreen[None]):
    """Text in a window; `y` copies the whole of it, byte for byte as it was given."""

    DEFAULT_CSS = """
    ReadingScreen { align: center middle; }
    ReadingScreen > VerticalScroll {
        width: 110; max-width: 94%; height: auto; max-height: 90%; padding: 1 2;
        background: $background; border: round $border; scrollbar-size-vertical: 1;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    ReadingScreen Static { height: auto; width: 1fr; }
    """
    BINDINGS = [
        Binding("y", "copy", "copy", id="reading.copy"),
        Binding("escape,q", "close", "back", id="reading.close"),
        Binding("j", "scroll(1)", "down", show=False, id="reading.down"),
        Binding("k", "scroll(-1)", "up", show=False, id="reading.up"),
    ]

    def __init__(self, title: str, text: str, *, copied: str | None = None) -> None:
        """`copied` is what `y` copies where that is less than what is shown."""
        super().__init__()
        self._title, self._text, self._copied = title, text, copied

    def compose(self) -> Any:
        shown = safe_text(self._text[:MOST_SHOWN])
        if len(self._text) > MOST_SHOWN:
            shown += f"\n… {len(self._text) - MOST_SHOWN:,} more characters; y copies all of them"
        scroll = VerticalScroll(Static(Content(shown)))
        scroll.border_title = Content(safe_text(self._title, newlines=False))
        scroll.border_subtitle = Content("y copies · esc back")
        yield scroll

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_copy(self) -> None:
        text = self._copied if self._copied is not None else self._text
        copy = getattr(self.app, "copy", self.app.copy_to_clipboard)
        copy(text)

    def action_close(self) -> None:
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
