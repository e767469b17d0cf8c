"""The trash: what was removed, and the way back."""

from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.job_words import seconds_since
from app.keys import binding
from app.panes import StoreChanged
from store import trash
from store.errors import LatheError
from store.workspace import Store
from widgets import units
from widgets.empty import EmptyState
from widgets.filter import FilterLine
from widgets.hint_bar import HintBar
from widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    from app.workbench import Workbench


class TrashScreen(Screen[None]):
    """One line a thing; `u` brings it back, emptying asks first."""

    DEFAULT_CSS = """
    TrashScreen #trash-title { dock: top; height: 1; padding: 0 1; color: $accent; text-style: bold; }
    TrashScreen Listing { padding: 1 1; }
    TrashScreen EmptyState { display: none; }
    TrashScreen.-empty Listing { display: none; }
    TrashScreen.-empty EmptyState { display: block; }
    """
    BINDINGS = [
        binding("undo", "restore", "bring back", room="trash"),
        Binding("D", "empty", "delete all for good", id="trash.empty"),
        binding("filter", "filter", room="trash"),
        binding("back", "leave", "back", room="trash"),
    ]
    HELP = (
        "What was removed from the lists. **u** (or **enter**) brings the one under the cursor back under its name. "
        "**D** deletes everything here for good, after asking; what comparisons stand on stays."
    )

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._words = ""

    @property
    def bench(self) -> "Workbench":
        """The application, by its own type."""
        return cast("Workbench", self.app)

    def compose(self) -> Any:
        yield Static("Trash", id="trash-title")
        yield FilterLine()
        yield Listing([Column("kind", 14, keep=5), Column("name"), Column("removed", 14, right=True, keep=8)])
        yield EmptyState(
            "The trash is empty", "What you remove with `x` in a list comes here first.", "`esc` goes back."
        )
        yield HintBar(("help", "quit", "trash.back"))

    def on_mount(self) -> None:
        self.query_one(Listing).focus()
        self.refill()

    def on_store_changed(self, _: StoreChanged) -> None:
        self.refill()

    @work(exclusive=True, group="trash")
    async def refill(self) -> None:
        """Read what is in the trash and draw it."""
        things = await self.bench.read(trash.trashed, self._store)
        self.set_class(not things, "-empty")
        self.query_one(Listing).show(
            Row(
                (thing.noun, thing.id, thing.name),
                (
                    Content.styled(thing.noun, "$foreground-muted"),
                    thing.name,
                    units.ago(seconds_since(thing.trashed_at)),
                ),
            )
            for thing in things
            if self._words.lower() in f"{thing.noun} {thing.name}".lower()
        )

    @on(Listing.Opened)
    def _opened(self) -> None:
        self.action_restore()

    @work(group="trash-do")
    async def action_restore(self) -> None:
        key = self.query_one(Listing).key
        if not isinstance(key, tuple):
            return
        noun, thing_id, name = key
        try:
            await self.bench.read(trash.restore, self._store, noun, thing_id)
        except LatheError as error:
            self.app.notify(str(error), severity="error", timeout=10)
        else:
            self.app.notify(f"The {noun} {name} is back.")
        self.refill()

    @work(group="trash-do")
    async def action_empty(self) -> None:
        count = len(await self.bench.read(trash.trashed, self._store))
        question = f"Delete {units.quantity(count, 'thing')} for good? There is no way back from this."
        if not count or not await self.bench.confirm(question, yes="delete for good", no="keep them"):
            return
        emptied = await self.bench.aside(trash.empty, self._store)
        kept = " ".join(emptied.kept)
        self.app.notify(f"{units.quantity(emptied.removed, 'thing')} deleted. {kept}".strip(), timeout=8)
        self.refill()

    def action_filter(self) -> None:
        self.query_one(FilterLine).start()

    @on(FilterLine.Filtered)
    def _filtered(self, event: FilterLine.Filtered) -> None:
        self._words = event.text
        self.refill()

    @on(FilterLine.Left)
    def _filter_left(self) -> None:
        self.query_one(Listing).focus()

    def action_leave(self) -> None:
        self.dismiss(None)
