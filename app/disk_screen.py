"""Disk use: what takes how much room in the workspace, and cleaning up what nothing refers to."""

from typing import TYPE_CHECKING, Any, cast

from textual import work
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.keys import binding
from store import usage
from store.workspace import Store
from widgets import units
from widgets.hint_bar import HintBar
from widgets.listing import Column, Listing, Row
from widgets.sparkline import bar
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench


class DiskScreen(Screen[None]):
    """One line a kind of thing, the largest first; `c` removes what nothing refers to any more."""

    DEFAULT_CSS = """
    DiskScreen #disk-title { dock: top; height: 1; padding: 0 1; color: $accent; text-style: bold; }
    DiskScreen #disk-about { height: 2; padding: 0 2; color: $text-muted; }
    DiskScreen Listing { padding: 1 1; }
    """
    BINDINGS = [
        Binding("c", "clean", "clean up", id="disk.clean"),
        Binding("b", "back_up", "back up", id="disk.back-up"),
        binding("back", "leave", "back", room="disk"),
    ]
    HELP = (
        "What takes how much room. **c** removes files that nothing in the workspace refers to any more; nothing "
        "that can be seen anywhere goes away. **b** writes everything into one file."
    )

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    @property
    def bench(self) -> "Workbench":
        """The application, by its own type."""
        return cast("Workbench", self.app)

    def compose(self) -> Any:
        yield Static("Disk use", id="disk-title")
        yield Listing(
            [
                Column("what"),
                Column("where", 14, keep=4),
                Column("things", 10, right=True, keep=3),
                Column("room", 10, right=True, keep=9),
                Column("", 24, keep=2),
            ]
        )
        yield Static("measuring …", markup=False, id="disk-about")
        yield HintBar(("help", "quit", "disk.back"))

    def on_mount(self) -> None:
        self.query_one(Listing).focus()
        self.measure()

    @work(exclusive=True, group="disk")
    async def measure(self) -> None:
        """Measure and draw; a big workspace takes a few seconds, so beside the screen."""
        parts = await self.bench.aside(usage.usage, self._store)
        loose = await self.bench.aside(usage.clean, self._store, dry_run=True)
        total = sum(part.bytes for part in parts)
        self.query_one(Listing).show(
            Row(
                (part.kind, part.where),
                (
                    part.kind,
                    Content.styled(part.where, "$foreground-muted"),
                    units.count(part.count) if part.count else "",
                    units.size(part.bytes),
                    Content.styled(bar(part.bytes / total, 24), "$accent"),
                ),
            )
            for part in parts
        )
        left_over = loose.blobs + loose.half_written + loose.imports
        about = f"{units.size(total)} in all in {safe_text(self._store.root)}. "
        if left_over:
            about += (
                f"{units.quantity(left_over, 'left-over')} ({units.size(loose.bytes)}) can go: c cleans up."
            )
        else:
            about += "Nothing to clean up."
        self.query_one("#disk-about", Static).update(Content(about))

    @work(exclusive=True, group="disk-do")
    async def action_clean(self) -> None:
        cleaned = await self.bench.aside(usage.clean, self._store)
        count = cleaned.blobs + cleaned.half_written + cleaned.imports
        self.app.notify(
            f"{units.quantity(count, 'left-over')} removed, {units.size(cleaned.bytes)} free again."
        )
        self.measure()

    def action_back_up(self) -> None:
        self.bench.open_form("workspace.backup")

    def action_leave(self) -> None:
        self.dismiss(None)
