"""Choosing one or several from a list, by typing a part of the name."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from textual import on, work
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from widgets.form_fields import LineField
from widgets.listing import Column, Listing, Row
from widgets.text import safe_text

Load = Callable[[str], Awaitable[Sequence[Row]]]


class PickerScreen(ModalScreen[Any]):
    """A list with a filter. Enter gives the key under the cursor (or, with `many`, the marked keys as a
    list).

    `load(filter)` gives the rows; the first cell of each row is what a mark stands before. None when left
    with
    esc.
    """

    DEFAULT_CSS = """
    PickerScreen { align: center middle; }
    PickerScreen > Vertical {
        width: 96; max-width: 96%; height: 26; max-height: 94%; padding: 0 1;
        background: $background; border: round $border;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    PickerScreen LineField { margin-bottom: 1; }
    """
    BINDINGS = [
        Binding("escape", "cancel", "back", id="picker.cancel"),
        Binding("down", "move(1)", "down", show=False, id="picker.down"),
        Binding("up", "move(-1)", "up", show=False, id="picker.up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="picker.page-down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="picker.page-up"),
        Binding("ctrl+@,ctrl+t,insert", "mark", "mark", show=False, id="picker.mark"),
        Binding("enter", "accept", "choose", show=False, id="picker.accept"),
    ]

    def __init__(
        self, title: str, columns: Sequence[Column], load: Load, *, many: bool = False, empty: str = ""
    ) -> None:
        super().__init__()
        self._title, self._columns, self._load, self._many = title, tuple(columns), load, many
        self._empty = empty or "Nothing here yet."
        self._marked: dict[object, None] = {}
        self._found: Sequence[Row] = ()

    def compose(self) -> Any:
        with Vertical() as frame:
            frame.border_title = Content(safe_text(self._title, newlines=False))
            keys = "enter chooses · esc back"
            if self._many:
                keys = "ctrl+t or ctrl+space marks · " + keys
            frame.border_subtitle = Content(keys)
            yield LineField("", placeholder="type to filter")
            yield Listing(self._columns)

    def on_mount(self) -> None:
        self.query_one(Listing).can_focus = False
        self._refill("")

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        self._refill(event.value)

    @work(exclusive=True, group="picker")
    async def _refill(self, text: str) -> None:
        self._found = await self._load(text.strip())
        self._draw()
        self.query_one(Listing).action_jump(0)  # what answers best stands first

    def _draw(self) -> None:
        rows = [
            row._replace(cells=(self._with_mark(row), *row.cells[1:])) if self._many else row
            for row in self._found
        ]
        listing = self.query_one(Listing)
        if not rows:
            blank = [""] * (len(self._columns) - 1)
            rows = [Row(None, (Content.styled(self._empty, "$foreground-muted"), *blank))]
        listing.show(rows)

    def _with_mark(self, row: Row) -> Content:
        cell = row.cells[0]
        text = cell if isinstance(cell, Content) else Content(safe_text(cell, newlines=False))
        marked = row.key in self._marked
        return Content.assemble(
            ("● " if marked else "○ ", "$accent" if marked else "$foreground-disabled"), text
        )

    def action_move(self, by: int) -> None:
        self.query_one(Listing).action_move(by)

    def action_page(self, pages: int) -> None:
        self.query_one(Listing).action_page(pages)

    def action_mark(self) -> None:
        key = self.query_one(Listing).key
        if not self._many or key is None:
            return
        if key in self._marked:
            del self._marked[key]
        else:
            self._marked[key] = None
        self._draw()
        self.query_one(Listing).action_move(1)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()

    @on(Listing.Opened)
    def _opened(self, event: Listing.Opened) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        key = self.query_one(Listing).key
        if self._many:
            chosen = list(self._marked) or ([key] if key is not None else [])
            if chosen:
                self.dismiss(chosen)
        elif key is not None:
            self.dismiss(key)

    def action_cancel(self) -> None:
        self.dismiss(None)
