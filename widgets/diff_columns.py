"""Texts side by side in columns that scroll together, with the titles always in sight."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from widgets.cells import clip, pad
from widgets.paints import Paints
from widgets.text import safe_text

MIN_COLUMN = 26

# A column shows this much of a text; wrapping more would hold up the screen. Copying takes the whole text.
MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One column. `title` and `edge` may come from anywhere; `body` and `foot` are made with `safe_text`."""

    title: str
    body: Content
    foot: Content
    edge: str = ""
    """At the right of the title: the mark and the time."""
    mark: str = ""
    """`passed`, `failed` or `warned` colours the edge; empty leaves it quiet."""


class Run(Protocol):
    """A run of text that both sides have (`equal`), or only the first (`delete`) or the second (`insert`)."""

    @property
    def kind(self) -> str: ...

    @property
    def text(self) -> str: ...


def diff_content(runs: Sequence[Run], *, removed: bool) -> Content:
    """Differences as text: what only this side has is underlined, what it lacks struck out or left out."""
    parts: list[tuple[str, str]] = []
    for run in runs:
        text = safe_text(run.text)
        if run.kind == "equal":
            parts.append((text, ""))
        elif run.kind == "insert":
            parts.append((text, "bold underline $text-accent"))
        elif removed:
            parts.append((text, "strike $foreground-muted"))
    return shortened(Content.assemble(*parts))


def shortened(content: Content) -> Content:
    """The content, cut with a sentence when it is too long to lay out."""
    if len(content) <= MOST_CHARACTERS:
        return content
    rest = len(content) - MOST_CHARACTERS
    return Content.assemble(content[:MOST_CHARACTERS], (f"\n… {rest:,} more characters; y copies all", "dim"))


class DiffColumns(ScrollView, can_focus=True):
    """Up to any number of columns; those that do not fit are paged with left and right."""

    DEFAULT_CSS = """
    DiffColumns {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .diff--title { text-style: bold; }
        & > .diff--chosen { color: $accent; text-style: bold; }
        & > .diff--line { color: $foreground 25%; }
        & > .diff--quiet { color: $text-muted; }
        & > .diff--passed { color: $text-success; }
        & > .diff--failed { color: $text-error; }
        & > .diff--warned { color: $text-warning; }
    }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"diff--{name}" for name in ("title", "chosen", "line", "quiet", "passed", "failed", "warned")
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "column(-1)", "Column", show=False, id="columns-left", tooltip="Column before"),
        Binding("right", "column(1)", "Column", show=False, id="columns-right", tooltip="Next column"),
    ]

    chosen: var[int] = var(0, init=False)

    class ChosenMoved(Message):
        """Another column is the one that copying and the like speak of."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns: list[TextColumn] = []
        self._first = 0
        self._paint = Paints(self, "diff")
        self._laid_out: tuple[tuple[int, int, int], list[list[Strip]]] | None = None

    def show(self, columns: Sequence[TextColumn], *, keep_scroll: bool = False) -> None:
        """Show these columns; the chosen one stays chosen."""
        self._columns = list(columns)
        self._laid_out = None
        self.set_reactive(DiffColumns.chosen, max(0, min(self.chosen, len(self._columns) - 1)))
        self._reveal()
        self._measure()
        if not keep_scroll:
            self.scroll_to(y=0, animate=False)
        self.refresh()

    def action_column(self, step: int) -> None:
        self.chosen = max(0, min(self.chosen + step, len(self._columns) - 1))

    def watch_chosen(self) -> None:
        self._reveal()
        self._measure()
        self.refresh()
        self.post_message(self.ChosenMoved(self.chosen))

    def on_resize(self) -> None:
        self._reveal()
        self._measure()

    @property
    def _shown(self) -> int:
        return max(1, min(len(self._columns), self.size.width // MIN_COLUMN))

    @property
    def hidden(self) -> tuple[int, int]:
        """Columns to the left and to the right of those on screen."""
        return self._first, max(0, len(self._columns) - self._first - self._shown)

    def _reveal(self) -> None:
        if self.chosen < self._first:
            self._first = self.chosen
        elif self.chosen >= self._first + self._shown:
            self._first = self.chosen - self._shown + 1
        self._first = max(0, min(self._first, len(self._columns) - self._shown))

    def _widths(self) -> list[int]:
        room = self.scrollable_content_region.width or self.size.width
        shown = self._shown
        return [room // shown + (1 if index < room % shown else 0) for index in range(shown)]

    def _measure(self) -> None:
        if not self.size.width:
            return
        height = max((len(lines) for lines in self._layout()), default=0)
        self.virtual_size = Size(self.size.width, height + 1)

    def _layout(self) -> list[list[Strip]]:
        """Lines of every column on screen, each exactly as wide as its column without the separator."""
        key = (self.size.width, self._first, self._shown)
        if self._laid_out is None or self._laid_out[0] != key:
            columns = self._columns[self._first : self._first + self._shown]
            lines = []
            for column, width in zip(columns, self._widths(), strict=False):
                room = max(1, width - 3)
                strips = Visual.to_strips(self, column.body, room, None, self.visual_style)
                strips = [*strips, Strip.blank(room, self.rich_style)]
                strips += Visual.to_strips(self, column.foot, room, None, self.visual_style)
                lines.append([strip.adjust_cell_length(room, self.rich_style) for strip in strips])
            self._laid_out = (key, lines)
        return self._laid_out[1]

    def notify_style_update(self) -> None:
        self._laid_out = None
        self._paint.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        if not self._columns:
            return Strip.blank(self.size.width, self.rich_style)
        if y == 0:
            return self._title_line()
        base, line = self._paint(), self._paint("line")
        index = y - 1 + self.scroll_offset.y
        parts: list[Strip] = []
        for column, (lines, width) in enumerate(zip(self._layout(), self._widths(), strict=False)):
            lead = Strip([Segment("│ " if column else "  ", line)])
            body = lines[index] if index < len(lines) else Strip.blank(max(1, width - 3), base)
            parts += [lead, body, Strip([Segment(" ", base)])]
        return Strip.join(parts).adjust_cell_length(self.size.width, base)

    def _title_line(self) -> Strip:
        line = self._paint("line")
        segments: list[Segment] = []
        for index, width in enumerate(self._widths()):
            at = self._first + index
            column = self._columns[at]
            edge = clip(column.edge, width // 2)
            room = width - 5 - cell_len(edge)
            title = clip(column.title, max(1, room - 2))
            name = "chosen" if at == self.chosen and len(self._columns) > 1 else "title"
            fill = "─" * max(1, room - cell_len(title))
            segments += [
                Segment("┬─" if index else "──", line),
                Segment(f" {title} ", self._paint(name)),
                Segment(fill, line),
                Segment(pad(f" {edge}", cell_len(edge) + 1), self._paint(column.mark or "quiet")),
            ]
        return Strip(segments).adjust_cell_length(self.size.width, line)
