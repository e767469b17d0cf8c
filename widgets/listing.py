"""A list with columns that draws only the lines on screen: the one list of the workbench.

It holds the rows it was given (a page or a few), keeps the cursor on the same key when rows change, and
asks for more
when the cursor comes near the end. Cells are safe text by construction: every string passes `safe_text` here.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style

from widgets.cells import clip

GAP = 2
"""Cells between two columns."""
FLEXIBLE_AT_LEAST = 16


class Column(NamedTuple):
    """One column. `width` in cells, 0 shares what is left; of several the lowest `keep` goes first when
    it is narrow."""

    title: str
    width: int = 0
    right: bool = False
    keep: int = 10


class Row(NamedTuple):
    """One line: a key that stays the same while the row lives, a cell for each column, a style for the
    whole."""

    key: object
    cells: tuple[str | Content, ...]
    style: str = ""


class Listing(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows and columns with a cursor. Posts `Moved` and `Opened`, and `MoreWanted` near the end of what
    it holds."""

    DEFAULT_CSS = """
    Listing {
        height: 1fr; width: 1fr; background: $background; overflow-x: hidden; overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    Listing > .listing--header { color: $text-disabled; }
    Listing > .listing--cursor { background: $block-cursor-blurred-background; }
    Listing:focus > .listing--cursor { background: $block-cursor-background; color:
    $block-cursor-foreground; }
    """
    COMPONENT_CLASSES = {"listing--header", "listing--cursor"}
    BINDINGS = [
        Binding("up,k", "move(-1)", "up", show=False, id="list.up"),
        Binding("down,j", "move(1)", "down", show=False, id="list.down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="list.page-up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="list.page-down"),
        Binding("home,g", "jump(0)", "first", show=False, id="list.first"),
        Binding("end,G", "jump(-1)", "last", show=False, id="list.last"),
        Binding("enter", "open", "open", show=False, id="list.open"),
    ]
    HELP = "A list: arrows or `j` `k` move, `g` and `G` go to the first and last line, `enter` opens."

    cursor: reactive[int] = reactive(0)

    class Moved(Message):
        """The cursor stands on another row (or the row under it is another one)."""

        def __init__(self, listing: "Listing", key: object) -> None:
            super().__init__()
            self.listing, self.key = listing, key

        @property
        def control(self) -> "Listing":
            return self.listing

    class Opened(Moved):
        """Enter or a click on the row under the cursor."""

    class MoreWanted(Message):
        """The cursor is near the end and the listing was told that there is more."""

        def __init__(self, listing: "Listing") -> None:
            super().__init__()
            self.listing = listing

        @property
        def control(self) -> "Listing":
            return self.listing

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        header: bool = True,
        id: str | None = None,  # noqa: A002
        classes: str = "",
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self._header = 1 if header else 0
        self._rows: list[Row] = []
        self._more = False
        self._told: object = None
        self._lines: dict[tuple[Row, int, Style], Strip] = {}

    # -- rows ------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[Row]:
        """The rows as they stand."""
        return self._rows

    @property
    def key(self) -> object | None:
        """The key of the row under the cursor; None when there are no rows."""
        return self._rows[self.cursor].key if self.cursor < len(self._rows) else None

    def show(self, rows: Iterable[Row], *, more: bool = False) -> None:
        """Show these rows instead. The cursor stays on its key where that is still there, else on its
        line."""
        key = self.key
        self._rows = list(rows)
        self._more = more
        found = next((index for index, row in enumerate(self._rows) if row.key == key), None)
        cursor = found if found is not None else min(self.cursor, max(0, len(self._rows) - 1))
        self._lines.clear()
        self._resize()
        self.set_reactive(Listing.cursor, cursor)
        self._keep_in_view()
        self.refresh()
        self._tell_moved()

    def extend(self, rows: Iterable[Row], *, more: bool) -> None:
        """Add another page below."""
        self._rows.extend(rows)
        self._more = more
        self._resize()
        self.refresh()

    def select(self, key: object) -> bool:
        """Put the cursor on the row with `key`; False when it is not here."""
        for index, row in enumerate(self._rows):
            if row.key == key:
                self.cursor = index
                return True
        return False

    def _resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows) + self._header)

    # -- moving ----------------------------------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, len(self._rows) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        self._keep_in_view()
        for index in (old, new):
            self.refresh(Region(0, index + self._header - int(self.scroll_y), self.size.width, 1))
        self._tell_moved()
        if self._more and new >= len(self._rows) - 20:
            self._more = False  # asked once; the next page says whether there is more again
            self.post_message(self.MoreWanted(self))

    def _tell_moved(self) -> None:
        if self.key != self._told:
            self._told = self.key
            self.post_message(self.Moved(self, self.key))

    def _keep_in_view(self) -> None:
        room = max(1, self.size.height - self._header)
        top = int(self.scroll_y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True, immediate=True)
        elif self.cursor >= top + room:
            self.scroll_to(y=self.cursor - room + 1, animate=False, force=True, immediate=True)

    def action_move(self, by: int) -> None:
        self.cursor += by

    def action_page(self, pages: int) -> None:
        self.cursor += pages * max(1, self.size.height - self._header - 1)

    def action_jump(self, to: int) -> None:
        self.cursor = to if to >= 0 else len(self._rows) - 1

    def action_open(self) -> None:
        if self._rows:
            self.post_message(self.Opened(self, self.key))

    def on_click(self, event: events.Click) -> None:
        index = event.y - self._header + int(self.scroll_y)
        if not 0 <= index < len(self._rows) or event.y < self._header:
            return
        if index == self.cursor and event.chain > 1:
            self.action_open()
        self.cursor = index

    # -- drawing ---------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._lines.clear()
        self._resize()
        self._keep_in_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lines.clear()

    def _widths(self, room: int) -> list[int]:
        """Cells of every column, 0 for one that gives way."""
        shown = list(range(len(self.columns)))

        def needed() -> int:
            return sum((self.columns[i].width or FLEXIBLE_AT_LEAST) + GAP for i in shown) - GAP

        while len(shown) > 1 and needed() > room:
            shown.remove(min(shown, key=lambda i: (self.columns[i].keep, -i)))
        flexible = [i for i in shown if not self.columns[i].width]
        left = room - sum(self.columns[i].width for i in shown) - GAP * (len(shown) - 1)
        widths = [0] * len(self.columns)
        for i in shown:
            widths[i] = self.columns[i].width or max(1, left // len(flexible))
        if flexible:
            widths[flexible[0]] += max(0, left - sum(widths[i] for i in flexible))
        return widths

    def _line(self, cells: Sequence[str | Content], style: Style, width: int) -> Strip:
        segments: list[Segment] = []
        rich_style = style.rich_style
        used = 0
        for column, cell, cells_wide in zip(self.columns, cells, self._widths(width - 2), strict=True):
            if not cells_wide:
                continue
            segments.append(Segment(" " if not used else " " * GAP, rich_style))
            used += 1 if not used else GAP
            if isinstance(cell, Content):
                content = cell.truncate(cells_wide, ellipsis=True)
                parts = [
                    Segment(text, part.rich_style)
                    for text, part in content.render(style, "", self._get_style)
                ]
            else:
                parts = [Segment(clip(cell, cells_wide), rich_style)]
            blank = Segment(" " * (cells_wide - sum(cell_len(part.text) for part in parts)), rich_style)
            segments += [blank, *parts] if column.right else [*parts, blank]
            used += cells_wide
        return Strip(segments).adjust_cell_length(width, rich_style)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y < self._header:
            return self._line(
                [column.title for column in self.columns], self.get_visual_style("listing--header"), width
            )
        index = y - self._header + int(self.scroll_y)
        if index >= len(self._rows):
            return Strip.blank(width, self.visual_style.rich_style)
        row = self._rows[index]
        style = self.get_visual_style("listing--cursor") if index == self.cursor else self.visual_style
        if row.style:
            style += self._get_style(row.style)
        key = (row, width, style)
        strip = self._lines.get(key)
        if strip is None:
            if len(self._lines) > 1000:
                self._lines.clear()
            strip = self._lines[key] = self._line(row.cells, style, width)
        return strip
