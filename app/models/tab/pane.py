"""The models tab: what there is, what it is made of, whether it fits, and a place to try it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.timer import Timer
from textual.widgets import Static

from app.keys import binding
from app.models.discover import Found
from app.models.tab.card import found_card, template_view, version_card
from app.models.tab.chat import ChatPane
from app.models.tab.reads import (
    Card,
    Loaded,
    Models,
    exact,
    job_line,
    loaded_now,
    read_card,
    read_models,
    ready_engine,
)
from app.models.tab.shelf import Shelf, shelf_items
from app.panes import StoreChanged
from store.errors import LatheError
from store.models import ModelVersion
from store.workspace import Store
from widgets import units
from widgets.empty import EmptyState
from widgets.filter import FilterLine
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench

SIDE_BY_SIDE = 100
"""Columns from which list and card stand beside each other."""
LOOK_SECONDS = 2.0
"""Between two looks at the engine while the tab is in front."""


class ModelsTab(Vertical):
    """The stage on digit 3."""

    stage_id = "models"
    DEFAULT_CSS = """
    ModelsTab #models-shelf { width: 44; }
    ModelsTab #models-desk { width: 1fr; }
    ModelsTab #models-card { height: 1fr; scrollbar-size-vertical: 1; }
    ModelsTab #models-about { height: auto; }
    ModelsTab #models-state { height: auto; max-height: 3; color: $foreground-muted; }
    ModelsTab EmptyState, ModelsTab ChatPane { display: none; }
    ModelsTab.-empty EmptyState { display: block; }
    ModelsTab.-empty Shelf { height: 1; }
    ModelsTab.-chat ChatPane { display: block; }
    ModelsTab.-chat #models-card { display: none; }
    ModelsTab.-small #models-shelf { width: 1fr; }
    ModelsTab.-small #models-desk { display: none; }
    ModelsTab.-small.-detail #models-shelf { display: none; }
    ModelsTab.-small.-detail #models-desk { display: block; }
    """
    BINDINGS = [
        Binding("c", "chat", "try it", id="models.try"),
        Binding("i", "register", "register", id="models.register"),
        Binding("l", "load", "load / unload", id="models.load"),
        binding("edit", "settings", "settings", room="models"),
        Binding("s", "search", "search again", id="models.search"),
        Binding("p", "pull", "fetch by name", id="models.pull"),
        binding("label", "default", "default", room="models", show=False),
        binding("new", "add", "add a file", room="models", show=False),
        Binding("f", "folder", "search a folder", show=False, id="models.folder"),
        Binding("v", "verify", "verify", show=False, id="models.verify"),
        Binding("T", "template", "chat template", show=False, id="models.template"),
        Binding("left", "context(-1)", "less context", show=False, id="models.less-context"),
        Binding("right", "context(1)", "more context", show=False, id="models.more-context"),
        binding("copy", "copy_path", "copy path", room="models", show=False),
        binding("filter", "filter", room="models", show=False),
        binding("remove", "forget", "forget", room="models", show=False),
        binding("undo", "bring_back", "bring back", room="models", show=False),
        binding("back", "back", room="models", show=False),
    ]
    HELP = (
        "## Models\n\n"
        "On the left the models of this workspace with their versions (**●** default, **▶** loaded, **✓** fits into the "
        "free memory, **!** does not), and below what lies on this machine already: Ollama, LM Studio, the Hugging Face "
        "cache and your own folders.\n\n"
        "**enter** or **i** registers what was found where it lies; nothing is copied. **n** names a file or folder, "
        "**f** adds a folder to be searched, **s** searches again, **p** fetches one by name (network on).\n\n"
        "**c** tries the model; **l** loads or unloads it and says how much memory came back. **e** sets context, "
        "slots, threads and GPU layers; **left** and **right** show what a context would need.\n\n"
        "**t** makes a version the default, **v** reads every byte and compares digests, **T** shows the chat "
        "template, **y** copies the path, **x** forgets the model (its files stay), **u** brings it back.\n\n"
        "The types in the card are counted over the tensors; a file's name is only a claim. Pickled weights and "
        "configurations that bring code are refused, whatever they are called: reading them would run them."
    )

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._models = Models()
        self._loaded: Mapping[int, Loaded] = {}
        self._card: Card | None = None
        self._at_context: int | None = None
        self._wanted = ""
        self._forgotten: list[str] = []
        self._stale = self._reading = False
        self._awaited = ""
        """Path of what is being registered: the cursor follows it into the list above."""
        self._looks: Timer | None = None
        self._shows_template = False
        self.ready = False
        """True once the first read is on the screen."""

    @property
    def bench(self) -> Workbench:
        """The application, by its own type."""
        return cast("Workbench", self.app)

    def compose(self) -> Any:
        with Horizontal():
            with Vertical(id="models-shelf", classes="panel"):
                yield FilterLine()
                yield Shelf(id="models-list")
                yield EmptyState("No models yet", "`s` searches this machine, `n` names a file.")
                yield Static("", id="models-state", markup=False)
            with Vertical(id="models-desk", classes="panel"):
                with VerticalScroll(id="models-card"):
                    yield Static("", id="models-about", markup=False)
                yield ChatPane()

    def on_mount(self) -> None:
        self.query_one("#models-shelf").border_title = Content("Models")
        self._looks = self.set_interval(LOOK_SECONDS, self._look_at_engine)
        self.refill()

    async def on_resize(self, event: Resize) -> None:
        """Below a hundred columns the list and the card take turns."""
        self.set_class(event.size.width < SIDE_BY_SIDE, "-small")
        if self.ready:
            self.call_after_refresh(self._draw_card)

    def on_tab_shown(self) -> None:
        if self._looks is not None:
            self._looks.resume()
        if self.is_mounted:
            self.refill()

    def on_tab_hidden(self) -> None:
        if self._looks is not None:
            self._looks.pause()

    def on_store_changed(self, _: StoreChanged) -> None:
        self.refill()

    # -- reading and drawing -----------------------------------------------------------------------------------

    def refill(self) -> None:
        """Read the lists anew and draw them, once more if something changed meanwhile."""
        self._stale = True
        if not self._reading:
            self._reading = True
            self._read_until_fresh()

    @work(group="models-read")
    async def _read_until_fresh(self) -> None:
        # Not exclusive: writes may come faster than a slow disk answers, and the last read must still be drawn.
        try:
            while self._stale:
                self._stale = False
                self._models = await self.bench.read(read_models, self._store)
                self._loaded = await loaded_now(self.bench)
                await self._draw()
        finally:
            self._reading = False
        if not self.ready:
            self.ready = True
            if not self._models.searched_at and not self._models.searching:
                await self.bench.run_operation("model.discover", {})

    @work(group="models-engine", exclusive=True)
    async def _look_at_engine(self) -> None:
        loaded = await loaded_now(self.bench)
        # The tab may have gone while the engine was asked.
        if loaded != self._loaded and self.is_running:
            self._loaded = loaded
            await self._draw()

    async def _draw(self) -> None:
        shelf = self.query_one(Shelf)
        there = self._card.there if self._card else None
        items = shelf_items(self._models, self._loaded, there, self._wanted)
        self.set_class(not items, "-empty")
        self._draw_state(bool(items))
        arrived = next((v for v in self._models.versions if self._awaited and v.path == self._awaited), None)
        if arrived is not None:
            self._awaited = ""
        shelf.show(items, key=("version", arrived.id) if arrived else None)
        await self._draw_card()
        if there is None and self._card is not None:
            shelf.show(shelf_items(self._models, self._loaded, self._card.there, self._wanted))

    def _draw_state(self, some: bool) -> None:
        """The line below the list: what is going on, or what could not be searched."""
        words = ""
        if self._models.jobs:
            words = job_line(self._models.jobs[0])
        elif self._models.notes and not self._wanted:
            words = self._models.notes[0]
        self.query_one("#models-state", Static).update(Content(safe_text(words, newlines=False)))
        empty = self.query_one(EmptyState)
        if self._wanted:
            empty.say("Nothing of that name", "`/` changes the filter, `esc` in it takes it away.")
        elif self._models.searching:
            empty.say("Looking for models on this machine …", "`f2` shows the search.")
        elif not some:
            empty.say(
                "No models yet",
                "`n` names a GGUF file or a model folder,",
                "`f` adds a folder to search, `s` searches again,",
                "`p` fetches one by name once the network is on (`f9`).",
            )

    async def _draw_card(self) -> None:
        about = self.query_one("#models-about", Static)
        desk = self.query_one("#models-desk")
        chosen = self.chosen
        if chosen is None:
            self._card = None
            desk.border_title = Content("")
            about.update(Content(""))
            return
        if isinstance(chosen, Found):
            desk.border_title = Content(safe_text(chosen.name, newlines=False))
            about.update(found_card(chosen))
            return
        desk.border_title = Content(safe_text(chosen.ref, newlines=False))
        held = sum(item.rss_bytes for item in self._loaded.values())
        card = await self.bench.aside(read_card, chosen, self._at_context, held, self._models.versions)
        if self.chosen is not chosen:
            return  # the cursor went on while the disk was asked; its own draw follows
        self._card = card
        width = about.size.width or 80
        if self._shows_template:
            about.update(template_view(chosen))
        else:
            about.update(version_card(card, self._loaded.get(chosen.id), self._at_context, width))

    @property
    def chosen(self) -> ModelVersion | Found | None:
        """What stands under the cursor."""
        key = self.query_one(Shelf).key
        if not isinstance(key, tuple):
            return None
        kind, what = key
        if kind == "version":
            return self._models.version(what)
        return next((item for item in self._models.found if item.key == what), None)

    @property
    def version(self) -> ModelVersion | None:
        """The registered version under the cursor."""
        return chosen if isinstance(chosen := self.chosen, ModelVersion) else None

    # -- the list ----------------------------------------------------------------------------------------------

    @on(Shelf.Highlighted)
    async def _show_chosen(self) -> None:
        self._at_context, self._shows_template = None, False
        self.query_one("#models-card").scroll_home(animate=False)
        await self._draw_card()

    @on(Shelf.Chosen)
    def _open_chosen(self) -> None:
        if isinstance(self.chosen, Found) and not self.chosen.problem:
            self.action_register()
        else:
            self.add_class("-detail")
            self.query_one("#models-card").focus()

    @on(FilterLine.Filtered)
    async def _filter_list(self, event: FilterLine.Filtered) -> None:
        self._wanted = event.text
        await self._draw()

    @on(FilterLine.Left)
    def _leave_filter(self) -> None:
        self.query_one(Shelf).focus()

    @on(ChatPane.Left)
    def _leave_chat(self) -> None:
        self.remove_class("-chat", "-detail")
        self.query_one(Shelf).focus()
        self.refill()

    def action_filter(self) -> None:
        self.remove_class("-detail", "-chat")
        self.query_one(FilterLine).start()

    async def action_back(self) -> None:
        if self._shows_template:
            self._shows_template = False
            await self._draw_card()
            return
        self.remove_class("-detail", "-chat")
        self.query_one(Shelf).focus()

    # -- verbs -------------------------------------------------------------------------------------------------

    async def action_chat(self) -> None:
        version = self._needed("c tries a registered model: choose one, or register this one with i.")
        if version.format == "adapter":
            raise LatheError("An adapter cannot answer by itself; try the model it was made for.")
        self.add_class("-chat", "-detail")
        await self.query_one(ChatPane).talk_with(version)

    @work(group="models-register")
    async def action_register(self) -> None:
        chosen = self.chosen
        if not isinstance(chosen, Found):
            self.action_add()
        elif chosen.problem:
            self.notify(chosen.problem, severity="warning", timeout=10)
        else:
            values = {"path": chosen.path, "name": chosen.name, "tag": chosen.tag}
            self._awaited = chosen.path
            if await self.bench.run_operation("model.register", values) is not None:
                self.notify(f"Registering {chosen.name} …", timeout=2)

    def action_add(self) -> None:
        self.bench.open_form("model.register", {}, self._after_form)

    def action_pull(self) -> None:
        self.bench.open_form("model.pull", {}, self._after_form)

    def action_folder(self) -> None:
        self.bench.open_form("model.folder", {}, self._search_after)

    def _search_after(self, done: Any) -> None:
        if done is not None:
            self.action_search()

    def action_settings(self) -> None:
        version = self._needed("Only a registered model has settings; i registers this one.")
        if version.format == "adapter":
            raise LatheError(
                "An adapter is loaded together with the model it was made for, and has no settings."
            )
        self.bench.open_form(
            "model.settings",
            {"model": exact(version), **(version.facts.get("settings") or {})},
            self._after_form,
        )

    def _after_form(self, _: Any) -> None:
        self.refill()

    @work(group="models-search")
    async def action_search(self) -> None:
        if not self._models.searching:
            await self.bench.run_operation("model.discover", {})
            self.refill()

    @work(group="models-default")
    async def action_default(self) -> None:
        version = self._needed("Only a registered version can be the default.")
        if await self.bench.run_operation("model.default", {"model": exact(version)}):
            self.notify(f"{version.name} now means {version.ref}.", timeout=3)
            self.refill()

    @work(group="models-verify")
    async def action_verify(self) -> None:
        version = self._needed("Only a registered model can be verified; i registers this one.")
        await self.bench.run_operation("model.verify", {"model": exact(version)})

    @work(group="models-forget")
    async def action_forget(self) -> None:
        version = self._needed("Only a registered model can be forgotten.")
        count = sum(1 for item in self._models.versions if item.name == version.name)
        which = f"its {count} versions" if count > 1 else "its version"
        question = f"Forget {version.name} with {which}? The files stay on the disk, and u brings it back."
        if await self.bench.confirm(question, yes="forget it", no="keep it"):
            if await self.bench.run_operation("trash.put", {"noun": "model", "name": version.name}):
                self._forgotten.append(version.name)
            self.refill()

    @work(group="models-forget")
    async def action_bring_back(self) -> None:
        if not self._forgotten:
            self.notify("Nothing was forgotten in this session; the trash is in the palette.", timeout=4)
            return
        name = self._forgotten.pop()
        if await self.bench.run_operation("trash.restore", {"noun": "model", "name": name}):
            self.notify(f"{name} is back.", timeout=3)
            self.refill()

    @work(group="models-load", exclusive=True)
    async def action_load(self) -> None:
        version = self._needed("Only a registered model can be loaded; i registers this one.")
        if version.format == "adapter":
            raise LatheError("An adapter cannot be loaded by itself; load the model it was made for.")
        before = self._loaded.get(version.id)
        await ready_engine(self.bench)
        engine = self.bench.engine()
        if before is not None:
            await engine.unload(exact(version))
            self._loaded = await loaded_now(self.bench)
            gone = version.id not in self._loaded
            self.notify(
                f"{version.ref} is unloaded: {units.size(before.rss_bytes)} given back."
                if gone
                else f"{version.ref} is still answering somebody."
            )
        else:
            self.notify(f"Loading {version.ref} …", timeout=2)
            await engine.load(exact(version), version.facts.get("settings"))
            self._loaded = await loaded_now(self.bench)
            now = self._loaded.get(version.id)
            self.notify(
                f"{version.ref} is loaded" + (f" and holds {units.size(now.rss_bytes)}." if now else ".")
            )
        await self._draw()

    async def action_template(self) -> None:
        self._needed("Only a registered model shows its chat template; i registers this one.")
        self._shows_template = not self._shows_template
        self.add_class("-detail")
        await self._draw_card()

    async def action_context(self, by: int) -> None:
        if self._card is None or self.version is None or not self._card.steps:
            return
        steps = [step.context for step in self._card.steps]
        now = self._at_context or self._card.advice.context
        at = min(range(len(steps)), key=lambda index: abs(steps[index] - now))
        self._at_context = steps[max(0, min(len(steps) - 1, at + by))]
        await self._draw_card()

    def action_copy_path(self) -> None:
        chosen = self.chosen
        if chosen is not None:
            self.bench.copy(chosen.path)

    def _needed(self, otherwise: str) -> ModelVersion:
        """The registered version under the cursor, or a sentence that says what to do."""
        if self.version is None:
            raise LatheError(otherwise)
        return self.version
