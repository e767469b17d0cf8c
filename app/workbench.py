"""The workbench: tabs, top line, hints, and the few verbs that every tab may ask of it."""

import asyncio
import gc
import importlib
import io
import sys
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from textual import work
from textual._context import active_message_pump
from textual.app import App, ComposeResult
from textual.css.query import NoMatches
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen
from textual.worker import WorkerFailed, get_current_worker

from app import themes
from app.keys import APP_BINDINGS, config_folder
from app.panes import StoreChanged, TabArea
from app.stages import STAGES, Stage
from app.standing import LIVE, Standing, loaded_models, look, status_parts
from store import jobs, settings
from store.errors import LatheError
from store.workspace import Store, open_store
from widgets import units
from widgets.hint_bar import HintBar
from widgets.text import safe_text
from widgets.top_bar import TabLabel, TopBar

if TYPE_CHECKING:
    from app.engine.client import AsyncEngineClient

Answer = TypeVar("Answer")
POLL_SECONDS = 0.25
LOOK_EVERY = 8
"""Polls between two looks at machine and engine when nothing in the store moved."""


class Workbench(App[int], inherit_bindings=False):
    """The Textual application. Tabs reach its verbs through `self.app`: see the methods without an
    underscore."""

    TITLE = "Lathe"
    CSS_PATH = Path(__file__).with_name("workbench.tcss")
    BINDINGS = APP_BINDINGS
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    CLOSE_TIMEOUT = 2.0

    def __init__(self, store: Store, *, contain_crashes: bool | None = None) -> None:
        """`contain_crashes`: a broken tab becomes a panel; None means so on a terminal and not under a
        test's pilot."""
        super().__init__()
        self.store = store
        self.root: Path = store.root
        self._contain = contain_crashes
        self._stages: dict[str, Stage] = {stage.id: stage for stage in STAGES if stage.tab and stage.digit}
        self._first = "prompts" if "prompts" in self._stages else next(iter(self._stages))
        self._readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lathe-read")
        self._standing = Standing()
        self._live: dict[int, str] = {}
        self._rates: deque[float] = deque(maxlen=6)
        self.models: tuple[str, ...] = ()
        """References of the models that the engine holds in memory."""
        self._engine: AsyncEngineClient | None = None
        for theme in themes.HOUSE_THEMES:
            self.register_theme(theme)
        chosen = str(settings.get(store, "theme"))
        self.theme = chosen if chosen in self.available_themes else themes.DEFAULT_THEME

    def compose(self) -> ComposeResult:
        labels = [TabLabel(stage.id, stage.title, stage.digit or "") for stage in self._stages.values()]
        yield TopBar(labels, active=self._first, id="top")
        yield TabArea(self.store, tuple(self._stages.values()), self._first)
        yield HintBar(("help", "palette", "jobs", "quit"), id="hints")

    def on_mount(self) -> None:
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        """What may wait until the first screen is painted."""
        self._load_keymap()
        self._watch()
        # What lives now lives until the end: keep the collector from walking it in the middle of a key press.
        gc.collect()
        gc.freeze()
        gc.enable()

    def _load_keymap(self) -> None:
        file = config_folder() / "keys.toml"
        if not file.exists():
            return
        from app.keys import read_keymap

        keymap, problems = read_keymap(file)
        self.set_keymap(keymap)
        for problem in problems:
            self.notify(problem, severity="warning", timeout=12)

    # -- what stands at the top ------------------------------------------------------------------------------

    @work(group="watch", exclusive=True)
    async def _watch(self) -> None:
        """Notice every write to the workspace within a quarter of a second, and keep the top line true."""
        seen = -1
        tick = 0
        while True:
            version = self.store.changed()
            moved = version != seen
            seen = version
            if moved and tick:
                self._tell_store_changed()
            if moved or tick % LOOK_EVERY == 0:
                try:
                    await self._look()
                except LatheError as error:
                    self.notify(str(error), severity="error")
            tick += 1
            await asyncio.sleep(POLL_SECONDS)

    def _tell_store_changed(self) -> None:
        if len(self.screen_stack) > 1 and not isinstance(self.screen, ModalScreen):
            self.screen.post_message(StoreChanged())
        else:
            self.tabs.tell_store_changed()
            if len(self.screen_stack) > 1:
                self.screen.post_message(StoreChanged())

    async def _look(self) -> None:
        self._standing = await self.read(look, self.store)
        if self._standing.live:
            from app.jobs import keeper

            # Somebody may have killed the supervisor under the jobs that we show as running.
            await self.aside(keeper.tend, self.store)
        if self._standing.running and self._standing.rate is not None:
            self._rates.append(self._standing.rate)
        elif not self._standing.running:
            self._rates.clear()
        await self._report_finished_jobs()
        await self._look_at_engine()
        self.show_standing()

    async def _look_at_engine(self) -> None:
        """Which models are in memory; an engine that is not there is not started for this."""
        if not (self.root / "engine.json").exists():
            self.models = ()
            return
        # Importing the client takes 60 ms: on the reading thread, so that no key press waits for it.
        await self.read(importlib.import_module, "app.engine.client")
        try:
            self.models = loaded_models(await self.engine().status(start=False))
        except LatheError:
            self.models = ()  # it left between two looks, as an idle engine does

    def show_standing(self) -> None:
        """Draw the right of the top line anew."""
        name = self.root.parent.name if self.root.name == ".lathe" else self.root.name
        # The line may be gone already: what it shows was read while the workbench closed.
        for line in self.screen_stack[0].query(TopBar):
            line.status = status_parts(self._standing, name, self.models, self._rates)

    async def _report_finished_jobs(self) -> None:
        """Say in a toast how a job that was running a moment ago ended, whoever started it."""
        live = {job.id: job.title or job.operation for job in self._standing.live}
        for job_id in self._live.keys() - live.keys():
            job = await self.read(jobs.job, self.store, job_id)
            if job.state in LIVE:
                continue
            what = f"{job.title or job.operation} (job {job.id})"
            if job.state == "done":
                self.notify(f"{what} is done.")
            elif job.state == "stopped":
                self.notify(f"{what} was stopped.")
            else:
                self.notify(
                    f"{what} failed: {job.error or job.reason}. f2 shows its log.",
                    severity="error",
                    timeout=10,
                )
        self._live = live

    # -- verbs for tabs --------------------------------------------------------------------------------------

    @property
    def tabs(self) -> TabArea:
        """The room of the tabs."""
        return self.screen_stack[0].query_one(TabArea)

    async def read(self, function: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
        """Run a read that may take more than a few milliseconds on the reading thread, one after the
        other."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, partial(function, *arguments, **named))

    async def aside(self, function: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
        """Run something that may take seconds in a thread of its own, so that no read waits behind it."""
        return await asyncio.to_thread(function, *arguments, **named)

    async def run_operation(self, name: str, values: Mapping[str, Any]) -> Any:
        """Start an operation: an inline one is finished on return (its result), others give their `Job`.

        None when it could not start; the reason has then been shown as a toast. Never raises LatheError.
        """
        from app.jobs import runner

        try:
            outcome = await asyncio.to_thread(runner.start, self.store, name, dict(values))
        except LatheError as error:
            self.notify(str(error), severity="error", timeout=10)
            return None
        if isinstance(outcome, jobs.Job) and outcome.state in LIVE:
            self._live.setdefault(outcome.id, outcome.title or outcome.operation)
        return outcome

    def open_form(
        self,
        operation: str,
        values: Mapping[str, Any] | None = None,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Open the form of an operation, filled with `values`; `then` gets what starting it gave."""
        from app.form_screen import FormScreen

        self.push_screen(FormScreen(operation, dict(values or {})), then)

    async def pick(self, noun: str, *, many: bool = False, title: str = "") -> Any:
        """Let the user choose a reference of `noun` from the workspace; None when nothing was chosen.

        Awaits the user, so call it from a worker (`@work`). With `many` the answer is a list.
        """
        from app.pickers import picker

        return await self.push_screen_wait(picker(self, noun, many=many, title=title))

    async def confirm(self, question: str, *, yes: str = "yes", no: str = "no") -> bool:
        """Ask before something is lost. Awaits the user, so call it from a worker (`@work`)."""
        from widgets.confirm import ConfirmScreen

        answer: bool = await self.push_screen_wait(ConfirmScreen(safe_text(question), yes=yes, no=no))
        return answer

    def copy(self, text: str) -> None:
        """Put text on the clipboard through the terminal (OSC 52), which works over SSH too."""
        self.copy_to_clipboard(text.encode("utf-8", "replace").decode("utf-8"))
        self.notify(f"Copied {units.quantity(len(text), 'character')}.", timeout=2)

    def open_in_editor(self, text: str, suffix: str = ".txt") -> str | None:
        """Let the user's own editor change `text`; None when that could not be done (a toast says why)."""
        from app.editor import edit

        return edit(self, text, suffix)

    def engine(self) -> "AsyncEngineClient":
        """The client of this workspace's engine for use on the screen's event loop; one for the whole session."""
        if self._engine is None:
            from app.engine.client import AsyncEngineClient

            self._engine = AsyncEngineClient(self.root)
        return self._engine

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a toast. Every text passes the border here; markup is never read, whatever the caller asks."""
        super().notify(
            safe_text(message)[:2000],
            title=safe_text(title),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    # -- actions ---------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "stage":
            return len(self.screen_stack) == 1
        if action in ("stage_from_anywhere", "jobs", "search", "settings", "palette", "jump"):
            return not isinstance(self.screen, ModalScreen)
        if action == "help":
            return type(self.screen).__name__ != "HelpScreen"
        return True

    async def action_stage(self, stage_id: str) -> None:
        await self.tabs.show(stage_id)
        self.screen_stack[0].query_one(TopBar).active = stage_id

    async def action_stage_from_anywhere(self, stage_id: str) -> None:
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        await self.action_stage(stage_id)

    async def on_top_bar_chosen(self, message: TopBar.Chosen) -> None:
        await self.action_stage(message.tab_id)

    def _open_screen(self, make: Callable[[], Screen[Any]]) -> None:
        """Bring a screen up, once."""
        screen = make()
        if type(self.screen) is not type(screen):
            self.push_screen(screen)

    def action_jobs(self) -> None:
        from app.jobs_screen import JobsScreen

        self._open_screen(lambda: JobsScreen(self.store))

    def action_jump(self) -> None:
        from widgets.jump import JumpScreen

        self.push_screen(JumpScreen(self.screen), lambda widget: widget and widget.focus())

    def action_search(self) -> None:
        from app.search_screen import SearchScreen

        self._open_screen(lambda: SearchScreen(self.store))

    def action_settings(self) -> None:
        from app.settings_screen import SettingsScreen

        self._open_screen(lambda: SettingsScreen(self.store))

    def action_trash(self) -> None:
        from app.trash_screen import TrashScreen

        self._open_screen(lambda: TrashScreen(self.store))

    def action_disk_use(self) -> None:
        from app.disk_screen import DiskScreen

        self._open_screen(lambda: DiskScreen(self.store))

    def choose_theme(self, name: str) -> None:
        """Change the colours, now and for the next start."""
        self.theme = name
        settings.set(self.store, "theme", name)

    def action_palette(self) -> None:
        from app.palette import open_palette

        open_palette(self)

    def action_help(self) -> None:
        from app.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def action_tell_how_to_quit(self) -> None:
        self.notify("ctrl+q leaves Lathe. Running jobs go on without it.", timeout=3)

    async def action_quit(self) -> None:
        running = len(await self.read(jobs.list_jobs, self.store, states=LIVE, limit=100))
        message = None
        if running:
            goes = "goes" if running == 1 else "go"
            message = f"{units.quantity(running, 'job')} {goes} on in the background: lathe jobs shows them."
        self.exit(0, message=message)

    # -- trouble ---------------------------------------------------------------------------------------------

    async def run_action(self, action: Any, default_namespace: Any = None, namespaces: Any = None) -> bool:
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except LatheError as error:
            self.notify(str(error), severity="error", timeout=10)
            return True

    def _handle_exception(self, error: Exception) -> None:
        """A sentence stays a sentence, a broken tab takes only its own place; anything else ends the
        workbench."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        if isinstance(error, WorkerFailed) and isinstance(cause, LatheError):
            self.notify(str(cause), severity="error", timeout=10)
            return
        # A worker runs in the application's name; whose it is, it knows itself.
        origin = (
            get_current_worker().node if isinstance(error, WorkerFailed) else active_message_pump.get(None)
        )
        lineage = getattr(origin, "ancestors_with_self", ())
        window = next((node for node in lineage if isinstance(node, Screen)), None)
        leaving = window not in self.screen_stack or not window.is_attached
        if isinstance(cause, NoMatches) and origin is not self and leaving:
            return  # a read that came back after its window was closed: there is nobody left to draw it
        contain = not self.is_headless if self._contain is None else self._contain
        stage = self.tabs.stage_of(origin) if contain and self.screen_stack else None
        if stage is not None:
            self.log_crash(cause)
            self.call_later(self.tabs.replace_with_trouble, stage, cause)
            return
        if contain and window is not None and window in self.screen_stack[1:]:
            self.log_crash(cause)
            self.call_later(self._close_broken, window, cause)
            return
        super()._handle_exception(error)

    async def _close_broken(self, window: Screen[Any], error: BaseException) -> None:
        """Take a window that broke off the screen, with what stands over it; what is below goes on."""
        while window in self.screen_stack[1:]:
            await self.pop_screen()
        self.notify(
            f"That window broke ({type(error).__name__}: {error}) and was closed. What happened stands in "
            f"{self.root / 'crash.log'}; everything that was saved is safe.",
            severity="error",
            timeout=12,
        )

    def log_crash(self, error: BaseException) -> Path:
        """Keep a traceback in the workspace, without local values: they may hold anybody's text or keys."""
        import traceback

        file = self.root / "crash.log"
        with file.open("a", encoding="utf-8") as log:
            log.write(safe_text("".join(traceback.format_exception(error))) + "\n")
        return file

    def _fatal_error(self) -> None:
        error = self._exception or sys.exc_info()[1] or RuntimeError("unknown")
        if isinstance(error, WorkerFailed):
            error = error.error
        file = self.log_crash(error)
        self.panic(
            safe_text(
                f"Lathe stopped because of a mistake of its own ({type(error).__name__}: {error}). "
                f"Everything that was saved is safe, running jobs go on. What happened stands in {file}.\n"
            )
        )


def run(root: Path) -> int:
    """Open the workspace and its workbench on this terminal until the user leaves. Returns the exit status.

    Raises LatheError when the workspace cannot be opened.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        # LC_ALL=C says nothing of the terminal: every one in use speaks UTF-8, and ours draws with it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    gc.disable()  # 15 % of the launch goes into walking what was just imported; `_settle` switches it on again
    # A read on its thread gives way to a key press after one millisecond, not after five.
    sys.setswitchinterval(0.001)
    store = open_store(root, create=True)
    try:
        app = Workbench(store)
        app.run()
        return app.return_code or 0
    finally:
        store.close()


__all__ = ["StoreChanged", "Workbench", "run"]
