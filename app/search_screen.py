"""Full-text search (f4) over prompts, generations and dataset rows, the newest first."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from app.job_words import seconds_since
from app.keys import binding
from store import datasets, generations, prompts, search
from store.errors import LatheError
from store.workspace import Store
from widgets import units
from widgets.form_fields import LineField
from widgets.hint_bar import HintBar
from widgets.listing import Column, Listing, Row
from widgets.reading import ReadingScreen
from widgets.sentence import keyed
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench

LIMIT = 50
TYPING_SECONDS = 0.08
KINDS: dict[str, Sequence[search.Kind]] = {
    "everything": search.KINDS,
    "prompts": ("prompt",),
    "generations": ("generation",),
    "rows": ("row",),
}


def whole_text(store: Store, hit: search.Hit) -> str:
    """The full text behind a hit."""
    if hit.kind == "prompt":
        return _told(prompts.version_by_id(store, hit.id).content.get("messages", ()))
    if hit.kind == "generation":
        asked = generations.generation_detail(store, hit.id).messages
        return f"{generations.generation(store, hit.id).output}\n\nasked with\n\n{_told(asked)}"
    if hit.version_id is None or hit.position is None:
        return hit.snippet
    row = datasets.row(store, hit.version_id, hit.position)
    return json.dumps(row.content, ensure_ascii=False, indent=2)


def _told(messages: Iterable[Mapping[str, Any]]) -> str:
    return "\n\n".join(f"{message.get('role', '')}:\n{message.get('content', '')}" for message in messages)


class SearchScreen(Screen[None]):
    """Type words, see what holds all of them; enter reads one in full."""

    DEFAULT_CSS = """
    SearchScreen #search-title { dock: top; height: 1; padding: 0 1; color: $accent; text-style: bold; }
    SearchScreen LineField { margin: 1 1; }
    SearchScreen Listing { padding: 0 1; }
    SearchScreen #search-found { height: 2; padding: 0 2; color: $text-muted; }
    """
    BINDINGS = [
        Binding("tab", "next_kind", "prompts, generations, rows", priority=True, id="search.kind"),
        Binding("down", "move(1)", "down", show=False, id="search.down"),
        Binding("up", "move(-1)", "up", show=False, id="search.up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="search.page-down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="search.page-up"),
        Binding("enter", "read", "read", id="search.read"),
        binding("back", "leave", "back", room="search"),
        Binding("f4", "leave", "back", show=False, priority=True, id="search.leave"),
    ]
    HELP = (
        "Search in every prompt, answer and dataset row of this workspace. All words have to be there; words in "
        "quotes are a phrase. **tab** chooses where to look, **enter** reads the one under the cursor in full."
    )

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._where = 0
        self._hits: list[search.Hit] = []

    @property
    def bench(self) -> "Workbench":
        """The application, by its own type."""
        return cast("Workbench", self.app)

    def compose(self) -> Any:
        yield Static("Search", id="search-title")
        yield LineField("", placeholder="words to look for")
        yield Listing(
            [
                Column("kind", 11, keep=5),
                Column("where", 24, keep=6),
                Column("text"),
                Column("", 12, right=True, keep=3),
            ],
            header=False,
        )
        yield Static("", markup=False, id="search-found")
        yield HintBar(("help", "quit", "search.back"))

    def on_mount(self) -> None:
        self.query_one(Listing).can_focus = False
        self.query_one(LineField).focus()
        self._say()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.look(event.value)

    @work(exclusive=True, group="search")
    async def look(self, words: str) -> None:
        """Search once the typing pauses."""
        await asyncio.sleep(TYPING_SECONDS)
        kinds = list(KINDS.values())[self._where]
        try:
            self._hits = await self.bench.read(search.search, self._store, words, kinds, LIMIT)
        except LatheError as error:
            self.app.notify(str(error), severity="warning")
            return
        self.query_one(Listing).show(
            Row(
                (hit.kind, hit.id),
                (
                    Content.styled(hit.kind, "$foreground-muted"),
                    hit.ref,
                    hit.snippet,
                    Content.styled(units.ago(seconds_since(hit.created_at)), "$foreground-muted"),
                ),
            )
            for hit in self._hits
        )
        self._say()

    def _say(self) -> None:
        where = list(KINDS)[self._where]
        words = self.query_one(LineField).value.strip()
        if not words:
            text = keyed(f"Looking in {where}; `tab` changes that.")
        elif not self._hits:
            text = Content(f"Nothing in {where} holds all of these words.")
        else:
            count = units.quantity(len(self._hits), "hit")
            text = Content(f"{'The newest ' if len(self._hits) == LIMIT else ''}{count} in {where}.")
        self.query_one("#search-found", Static).update(text)

    def action_next_kind(self) -> None:
        self._where = (self._where + 1) % len(KINDS)
        self.look(self.query_one(LineField).value)

    def action_move(self, by: int) -> None:
        self.query_one(Listing).action_move(by)

    def action_page(self, pages: int) -> None:
        self.query_one(Listing).action_page(pages)

    @on(Input.Submitted)
    @on(Listing.Opened)
    def _read(self) -> None:
        self.action_read()

    @work(exclusive=True, group="search-read")
    async def action_read(self) -> None:
        key = self.query_one(Listing).key
        hit = next((hit for hit in self._hits if (hit.kind, hit.id) == key), None)
        if hit is not None:
            text = await self.bench.read(whole_text, self._store, hit)
            self.app.push_screen(ReadingScreen(f"{hit.kind} {safe_text(hit.ref, newlines=False)}", text))

    def action_leave(self) -> None:
        self.dismiss(None)
