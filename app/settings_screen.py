"""Settings of the workspace: the network switch, where models are looked for, the colours."""

from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.keys import binding, config_folder
from app.panes import StoreChanged
from store import settings
from store.workspace import Store
from widgets.hint_bar import HintBar
from widgets.listing import Column, Listing, Row
from widgets.picker import PickerScreen
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench

NETWORK_WARNING = (
    "Switch the network on for this workspace?\n\n"
    "Lathe will then be able to fetch models by name from huggingface.co when you ask it to. Until you "
    "switch it off again, jobs of this workspace may open connections to other machines; prompts, cases "
    "and answers are never sent. The top line shows the state at all times."
)


class SettingsScreen(Screen[None]):
    """One line a setting; enter changes it."""

    DEFAULT_CSS = """
    SettingsScreen #settings-title { dock: top; height: 1; padding: 0 1; color: $accent; text-style: bold; }
    SettingsScreen Listing { padding: 1 1; }
    SettingsScreen #settings-about { height: 3; padding: 0 2; color: $text-muted; }
    """
    BINDINGS = [
        Binding("enter,space", "change", "change", id="settings.change"),
        binding("new", "add_folder", "add model folder", room="settings"),
        binding("remove", "remove_folder", "remove folder", room="settings"),
        binding("back", "leave", "back", room="settings"),
        Binding("f9", "leave", "back", show=False, priority=True, id="settings.leave"),
    ]
    HELP = (
        "Settings of this workspace. **enter** changes the one under the cursor. The network is off until "
        "you switch it on here; the top line always shows which."
    )
    ABOUT = {
        "network": "Off: nothing here opens a connection to another machine. On: models can be fetched.",
        "theme": "The colours of the screen.",
        "folder": "A folder where models are looked for, beside those that other programs use.",
        "keys": 'Lines such as jobs = "f5". Every key in the help has a name that can stand there.',
        "workspace": "Everything of this workspace lies in this folder.",
    }

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    @property
    def bench(self) -> "Workbench":
        """The application, by its own type."""
        return cast("Workbench", self.app)

    def compose(self) -> Any:
        yield Static("Settings", id="settings-title")
        yield Listing([Column("", 22), Column("")], header=False)
        yield Static("", markup=False, id="settings-about")
        yield HintBar(("help", "quit", "settings.back"))

    def on_mount(self) -> None:
        self.query_one(Listing).focus()
        self.refill()

    def on_store_changed(self, _: StoreChanged) -> None:
        self.refill()

    def refill(self) -> None:
        """Read the settings (a few short rows) and draw them."""
        values = settings.everything(self._store)
        on_now = bool(values["network"])
        folders = list(values["model_folders"] or [])
        rows = [
            Row(
                ("network", ""),
                ("Network", Content.styled("ON", "bold $text-warning") if on_now else Content("off")),
            ),
            Row(("theme", ""), ("Theme", self.app.theme)),
            *(
                Row(("folder", folder), ("Model folder" if index == 0 else "", folder))
                for index, folder in enumerate(folders)
            ),
            *(
                []
                if folders
                else [
                    Row(
                        ("no-folder", ""),
                        ("Model folders", Content.styled("none added", "$foreground-muted")),
                    )
                ]
            ),
            Row(("workspace", ""), ("Workspace", str(self._store.root))),
            Row(("keys", ""), ("Your own keys", str(config_folder() / "keys.toml"))),
        ]
        self.query_one(Listing).show(rows)

    @property
    def _under_cursor(self) -> tuple[str, str]:
        key = self.query_one(Listing).key
        return cast("tuple[str, str]", key) if isinstance(key, tuple) else ("", "")

    @on(Listing.Moved)
    def _explain(self) -> None:
        kind = self._under_cursor[0].removeprefix("no-")
        self.query_one("#settings-about", Static).update(Content(self.ABOUT.get(kind, "")))

    @on(Listing.Opened)
    def _opened(self) -> None:
        self.action_change()

    @work(exclusive=True, group="settings")
    async def action_change(self) -> None:
        kind, _ = self._under_cursor
        if kind == "network":
            await self._switch_network()
        elif kind == "theme":
            await self._choose_theme()
        elif kind in ("folder", "no-folder"):
            await self._add_folder()
        elif kind in ("workspace", "keys"):
            self.bench.copy(str(self._store.root if kind == "workspace" else config_folder() / "keys.toml"))
        self.refill()

    async def _switch_network(self) -> None:
        is_on = bool(settings.get(self._store, "network"))
        if is_on or await self.bench.confirm(NETWORK_WARNING, yes="switch it on", no="leave it off"):
            settings.set(self._store, "network", not is_on)
            self.app.notify("The network is off." if is_on else "The network is ON for this workspace.")

    async def _choose_theme(self) -> None:
        names = sorted(self.app.available_themes, key=lambda name: (not name.startswith("lathe"), name))

        async def load(text: str) -> list[Row]:
            return [Row(name, (name,)) for name in names if text in name]

        chosen = await self.app.push_screen_wait(PickerScreen("Theme", [Column("")], load))
        if chosen:
            self.bench.choose_theme(str(chosen))

    async def _add_folder(self) -> None:
        folder = await self.bench.pick("folder", title="Where are more models?")
        folders = list(settings.get(self._store, "model_folders") or [])
        if folder and folder not in folders:
            settings.set(self._store, "model_folders", [*folders, folder])
            self.app.notify(f"Models in {safe_text(folder)} will be found.")

    @work(exclusive=True, group="settings")
    async def action_add_folder(self) -> None:
        await self._add_folder()
        self.refill()

    def action_remove_folder(self) -> None:
        kind, folder = self._under_cursor
        if kind == "folder":
            folders = list(settings.get(self._store, "model_folders") or [])
            settings.set(self._store, "model_folders", [name for name in folders if name != folder])
            self.refill()

    def action_leave(self) -> None:
        self.dismiss(None)
