"""A grid of cases (rows) by subjects (columns) that draws only the lines on screen.

The widget holds no cells: it asks a `MatrixSource` for the ones it paints and posts `WindowMoved` when other
rows come into view, so a comparison of 20,000 cells costs what one page of it costs. The header and the case
column stay in place; columns that do not fit are paged by moving the cursor.
"""

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from widgets.cells import clip, pad
from widgets.matrix_data import (
    MARKS,
    MatrixCell,
    MatrixColumn,
    MatrixSource,
    NoRows,
    State,
    bar,
    tail,
)
from widgets.paints import Paints

CASE_SHARE = 0.28
MIN_COLUMN = 17
HEADER_LINES = 4
SHORT_HEADER_LINES = 2


class Matrix(ScrollView, can_focus=True):
    """Cases down, subjects across, one line each; arrows or `j` `k` move, enter opens."""

    DEFAULT_CSS = """
    Matrix {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .matrix--title { text-style: bold; }
        & > .matrix--quiet { color: $text-muted; }
        & > .matrix--line { color: $foreground 25%; }
        & > .matrix--bar { color: $accent; }
        & > .matrix--passed { color: $text-success; }
        & > .matrix--failed { color: $text-error; }
        & > .matrix--warned { color: $text-warning; }
        & > .matrix--live { color: $text-accent; }
        & > .matrix--row { background: $foreground 5%; }
        & > .matrix--cursor { background: $foreground 12%; }
    }
    Matrix:focus > .matrix--row { background: $foreground 7%; }
    Matrix:focus > .matrix--cursor { background: $accent 45%; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"matrix--{name}"
        for name in ("title", "quiet", "line", "bar", "passed", "failed", "warned", "live", "row", "cursor")
    }

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "Up", show=False, id="matrix-up", tooltip="Case above"),
        Binding("down,j", "move(1, 0)", "Down", show=False, id="matrix-down", tooltip="Case below"),
        Binding("left", "move(0, -1)", "Left", show=False, id="matrix-left", tooltip="Column before"),
        Binding("right,l", "move(0, 1)", "Right", show=False, id="matrix-right", tooltip="Next column"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="matrix-page-up", tooltip="Page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="matrix-page-down", tooltip="Page down"),
        Binding("home,g", "edge(-1)", "First", show=False, id="matrix-first", tooltip="First case"),
        Binding("end,G", "edge(1)", "Last", show=False, id="matrix-last", tooltip="Last case"),
        Binding("enter", "open", "side by side", id="matrix-open", tooltip="Full answers in columns"),
    ]

    cursor_row: var[int] = var(0, init=False)
    cursor_column: var[int] = var(0, init=False)

    class CursorMoved(Message):
        """The cursor stands on another cell."""

        def __init__(self, row: int, column: int) -> None:
            super().__init__()
            self.row = row
            self.column = column

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Matrix.CursorMoved)

    class Opened(Message):
        """Enter or a double click on a cell."""

        def __init__(self, row: int, column: int) -> None:
            super().__init__()
            self.row = row
            self.column = column

    class WindowMoved(Message):
        """Rows `first` to `last` (inclusive) are on screen now."""

        def __init__(self, first: int, last: int) -> None:
            super().__init__()
            self.first = first
            self.last = last

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Matrix.WindowMoved)

    class LeftEdge(Message):
        """`left` was pressed in the first column: the pane may move the focus."""

    def __init__(self, source: MatrixSource | None = None, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._source: MatrixSource = source or NoRows()
        self._columns: list[MatrixColumn] = self._source.columns()
        self._first_column = 0
        self._window = (-1, -1)
        self._paint = Paints(self, "matrix")
        self._spans: tuple[tuple[int, int, int], list[tuple[int, int]]] | None = None

    def notify_style_update(self) -> None:
        self._paint.clear()
        super().notify_style_update()

    # What the pane calls

    def show(self, source: MatrixSource, *, row: int = 0, column: int = 0) -> None:
        """Show another source with the cursor on the given cell."""
        self._source = source
        self._first_column = 0
        self.set_reactive(Matrix.cursor_row, row)
        self.set_reactive(Matrix.cursor_column, column)
        self.reload()
        self.scroll_to(y=0, animate=False)
        self._reveal()

    def reload(self, *, row: int | None = None) -> None:
        """Take over changed columns or another number of rows.

        With `row` the cursor goes there and the view moves with it, so the case under the cursor keeps its
        place on the screen however many rows appear or vanish above it.
        """
        self._columns = self._source.columns()
        rows = self._source.row_count()
        offset = self.scroll_offset.y - self.cursor_row
        target = self.cursor_row if row is None else row
        self.virtual_size = Size(self.size.width, rows + self.header_lines)
        self.set_reactive(Matrix.cursor_row, max(0, min(target, rows - 1)))
        self.set_reactive(Matrix.cursor_column, max(0, min(self.cursor_column, len(self._columns) - 1)))
        if row is not None:
            self.scroll_to(y=max(0, self.cursor_row + offset), animate=False)
        self._window = (-1, -1)
        self._reveal()
        self._tell_window()
        self.refresh()

    def refresh_header(self) -> None:
        """Draw the header again from the source; rows stay untouched."""
        self._columns = self._source.columns()
        self.refresh(Region(0, 0, self.size.width, self.header_lines))

    def refresh_row(self, row: int) -> None:
        """Draw one row again, if it is on screen."""
        y = row - self.scroll_offset.y + self.header_lines
        if self.header_lines <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    @property
    def visible_rows(self) -> range:
        """The rows on screen."""
        first = self.scroll_offset.y
        return range(first, min(self._source.row_count(), first + self._page))

    @property
    def header_lines(self) -> int:
        """Lines of header above the first row: fewer when the widget is very low."""
        return HEADER_LINES if self.size.height >= 10 else SHORT_HEADER_LINES

    def move_to(self, row: int, column: int | None = None) -> None:
        """Put the cursor on a cell and scroll it into view."""
        self.cursor_row = max(0, min(row, self._source.row_count() - 1))
        if column is not None:
            self.cursor_column = max(0, min(column, len(self._columns) - 1))

    # Movement

    def action_move(self, rows: int, columns: int) -> None:
        if columns < 0 and self.cursor_column == 0:
            self.post_message(self.LeftEdge())
            return
        self.move_to(self.cursor_row + rows, self.cursor_column + columns)

    def action_page(self, direction: int) -> None:
        self.move_to(self.cursor_row + direction * max(1, self._page - 1))

    def action_edge(self, direction: int) -> None:
        self.move_to(0 if direction < 0 else self._source.row_count() - 1)

    def action_open(self) -> None:
        if self._source.row_count() and self._columns:
            self.post_message(self.Opened(self.cursor_row, self.cursor_column))

    def watch_cursor_row(self, old: int, new: int) -> None:
        self._cursor_changed(old, new)

    def watch_cursor_column(self) -> None:
        self._cursor_changed(self.cursor_row, self.cursor_row)

    def _cursor_changed(self, old: int, new: int) -> None:
        """Draw only the rows that the cursor left and reached, unless the view moved with it."""
        before = (self.scroll_offset.y, self._first_column)
        self._reveal()
        if before == (self.scroll_offset.y, self._first_column):
            self.refresh_row(old)
            self.refresh_row(new)
        else:
            self.refresh()
        self.post_message(self.CursorMoved(self.cursor_row, self.cursor_column))

    def _reveal(self) -> None:
        """Scroll so that the cursor cell is on screen."""
        first = self.scroll_offset.y
        page = self._page
        if self.cursor_row < first:
            self.scroll_to(y=self.cursor_row, animate=False)
        elif page and self.cursor_row >= first + page:
            self.scroll_to(y=self.cursor_row - page + 1, animate=False)
        shown = self._shown_columns
        if self.cursor_column < self._first_column:
            self._first_column = self.cursor_column
        elif self.cursor_column >= self._first_column + shown:
            self._first_column = self.cursor_column - shown + 1
        self._first_column = max(0, min(self._first_column, len(self._columns) - shown))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._tell_window()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self._source.row_count() + self.header_lines)
        self._reveal()
        self._tell_window()

    def _tell_window(self) -> None:
        rows = self.visible_rows
        if len(rows) and self._window != (rows[0], rows[-1]):
            self._window = (rows[0], rows[-1])
            self.post_message(self.WindowMoved(rows[0], rows[-1]))

    def on_click(self, event: events.Click) -> None:
        row = event.y - self.header_lines + self.scroll_offset.y
        if event.y < self.header_lines or row >= self._source.row_count():
            return
        column = self.cursor_column
        for index, (start, width) in enumerate(self._column_spans()):
            if start <= event.x < start + width:
                column = self._first_column + index
        self.move_to(row, column)
        if event.chain == 2:
            self.action_open()

    # Geometry

    @property
    def _page(self) -> int:
        return max(0, self.size.height - self.header_lines)

    @property
    def _case_width(self) -> int:
        return max(10, min(40, int(self._width * CASE_SHARE)))

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width or self.size.width

    @property
    def _shown_columns(self) -> int:
        room = self._width - self._case_width
        return max(1, min(len(self._columns), room // MIN_COLUMN))

    def _column_spans(self) -> list[tuple[int, int]]:
        """Start and width of each column on screen, separators included at their left."""
        key = (self._width, len(self._columns), self._first_column)
        if self._spans is None or self._spans[0] != key:
            shown = self._shown_columns if self._columns else 0
            start = self._case_width
            room = max(0, self._width - start)
            spans = []
            for index in range(shown):
                width = room // shown + (1 if index < room % shown else 0)
                spans.append((start, width))
                start += width
            self._spans = (key, spans)
        return self._spans[1]

    # Painting

    def render_line(self, y: int) -> Strip:
        header = self.header_lines
        if y < header:
            segments = self._header_line(y)
        else:
            row = y - header + self.scroll_offset.y
            segments = self._row_line(row) if row < self._source.row_count() else []
        return Strip(segments).adjust_cell_length(self.size.width, self._paint())

    def _header_line(self, y: int) -> list[Segment]:
        base, quiet, line = self._paint(), self._paint("quiet"), self._paint("line")
        spans = self._column_spans()
        if not spans:
            return []
        if y == HEADER_LINES - 1:
            rule = "─" * self._case_width + "".join("┼" + "─" * (width - 1) for _, width in spans)
            return [Segment(rule, line)]
        segments = [Segment(pad(self._corner(y), self._case_width), quiet)]
        for index, (_, width) in enumerate(spans):
            column = self._columns[self._first_column + index]
            segments.append(Segment("│", line))
            room = width - 1
            if y == 0:
                tag = clip(column.tag, room // 2)
                edge = f" {tag} " if tag else " "
                title = pad(column.title, room - 1 - cell_len(edge))
                segments += [Segment(" " + title, self._paint("title")), Segment(edge, quiet)]
            elif y == 1:
                spare = room - 3 - cell_len(clip(column.rate, room))
                aside = column.aside if cell_len(column.aside) <= spare else ""
                segments.append(Segment(" " + pad(column.rate, room - 2 - cell_len(aside)), base))
                segments.append(Segment(clip(aside, room) + " ", quiet))
            else:
                segments += self._bar_line(column, room)
        return segments

    def _bar_line(self, column: MatrixColumn, room: int) -> list[Segment]:
        base, quiet = self._paint(), self._paint("quiet")
        note = clip(column.note, max(0, room - 4))
        bar_width = min(24, room - 3 - len(note))
        if column.fraction is None or bar_width < 3:
            return [Segment(" " + pad(note, room - 1), quiet)]
        full, rest = bar(column.fraction, bar_width)
        return [
            Segment(" ", base),
            Segment(full, self._paint("bar")),
            Segment(rest, self._paint("line")),
            Segment(" " + pad(note, room - 2 - bar_width), quiet),
        ]

    def _corner(self, y: int) -> str:
        """The header's first column: what is left and right of the columns on screen."""
        shown = self._shown_columns
        before, after = self._first_column, len(self._columns) - self._first_column - shown
        if y == 0 and (before or after):
            left = f"‹ {before} " if before else ""
            return left + (f"{after} more ›" if after else "")
        if y == self.header_lines - 2:
            return " case"
        return ""

    def _row_line(self, row: int) -> list[Segment]:
        at_row = row == self.cursor_row
        ground = "row" if at_row else ""
        base, quiet, line = (self._paint(name, ground) for name in ("", "quiet", "line"))
        number, name, aside = self._source.label(row)
        number_width = max(3, len(str(self._source.row_count()))) + 1
        room = self._case_width - number_width - 2
        aside = clip(aside, room // 2) if room >= 20 else ""
        segments = [
            Segment(pad(number, number_width, right=True) + " ", quiet),
            Segment(pad(name, room - cell_len(aside)), base),
            Segment(f"{aside} ", quiet),
        ]
        for index, (_, width) in enumerate(self._column_spans()):
            column = self._first_column + index
            here = "cursor" if at_row and column == self.cursor_column else ground
            segments.append(Segment("│", line))
            segments += self._cell(self._source.cell(row, column), width - 1, here)
        return segments

    def _cell(self, cell: MatrixCell, width: int, ground: str) -> list[Segment]:
        base, quiet = self._paint("", ground), self._paint("quiet", ground)
        mark_style = self._paint(_MARK_PARTS.get(cell.state, "quiet"), ground)
        edge = clip(cell.note, 6) + ("↺" if cell.reused else "")
        room = max(0, width - 4 - len(edge))
        if cell.state == "writing":
            text = pad(tail(cell.text, room - 1) + "▌" if cell.text else clip("writing…▌", room), room)
        elif cell.state == "queued":
            text = pad("queued", room)
        else:
            text = pad(" ".join(cell.text.split()) if cell.text else "", room)
        calm = cell.state in ("queued", "loading", "none")
        return [
            Segment(" " + MARKS[cell.state] + " ", mark_style),
            Segment(text, quiet if calm else base),
            Segment(edge + " ", quiet),
        ]


_MARK_PARTS: dict[State, str] = {
    "passed": "passed",
    "failed": "failed",
    "mixed": "warned",
    "cut_off": "warned",
    "overflow": "warned",
    "error": "warned",
    "writing": "live",
}
"""Which colour a sign has; the others are quiet."""
