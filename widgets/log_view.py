"""The tail of a log: plain text, follows while the reader is at the end, holds a bounded number of lines."""

from collections.abc import Iterable

from textual.binding import Binding
from textual.widgets import Log

from widgets.text import safe_text

MOST_LINES = 2000
LONGEST_LINE = 2000


class LogView(Log):
    """Lines of a log. What is added passes `safe_text`; very long lines are cut on the screen only."""

    DEFAULT_CSS = """
    LogView { height: 1fr; background: $background; scrollbar-size: 1 1; color: $text-muted; }
    LogView:focus { color: $foreground; }
    """
    BINDINGS = [
        Binding("j", "scroll_down", "down", show=False, id="log.down"),
        Binding("k", "scroll_up", "up", show=False, id="log.up"),
        Binding("g", "scroll_home", "first", show=False, id="log.first"),
        Binding("G", "scroll_end", "last", show=False, id="log.last"),
    ]
    HELP = (
        "A log. It follows the newest line while you are at the end; `g` goes to the first, `G` to the last."
    )

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(max_lines=MOST_LINES, highlight=False, id=id)

    def add(self, texts: Iterable[str]) -> None:
        """Add texts, each on its own line or lines."""
        lines = [
            line[:LONGEST_LINE] + "…" if len(line) > LONGEST_LINE else line
            for text in texts
            for line in safe_text(text).split("\n")
        ]
        if lines:
            self.write_lines(lines[-MOST_LINES:], scroll_end=None if self.is_vertical_scroll_end else False)
