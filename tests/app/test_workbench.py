"""What the shell promises: stages made on first visit, keys that mean one thing, trouble that stays where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from app import workbench as shell
from app.keys import config_folder, read_keymap
from app.panes import StoreChanged, TroublePanel
from app.stages import Stage
from app.workbench import Workbench
from store import jobs, settings
from store.errors import NotFound
from store.workspace import Store
from widgets.hint_bar import HintBar, shown_bindings
from widgets.top_bar import TopBar


class FirstTab(Vertical):
    """A stage with an input and a button, and keys of its own."""

    stage_id = "first"
    BINDINGS = [
        Binding("r", "run", "run", id="first.run"),
        Binding("b", "refuse", "refuse", id="first.refuse"),
        Binding("c", "crash", "crash", id="first.crash"),
    ]
    HELP = "The first stage: **r** runs."

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.told: list[str] = []

    def compose(self) -> ComposeResult:
        yield Button("go", id="go")
        yield Input(id="text")

    def on_tab_shown(self) -> None:
        self.told.append("shown")

    def on_tab_hidden(self) -> None:
        self.told.append("hidden")

    def on_store_changed(self, _: StoreChanged) -> None:
        self.told.append("changed")

    def action_run(self) -> None:
        self.told.append("ran")

    @work
    async def action_crash(self) -> None:
        raise ValueError("a read broke")

    def action_refuse(self) -> None:
        raise NotFound("There is no [b]such\x1b[31m prompt.")

    def on_button_pressed(self) -> None:
        raise ValueError("[/red] broke\x1b]0;P\x07")


class SecondTab(FirstTab):
    """Another stage."""

    stage_id = "second"


class BrokenTab(Vertical):
    """A stage that fails when it is put on the screen, the first time."""

    stage_id = "broken"
    times = 0

    def __init__(self, store: Store) -> None:
        super().__init__()

    def compose(self) -> ComposeResult:
        BrokenTab.times += 1
        if BrokenTab.times == 1:
            raise RuntimeError("[/b] cannot be drawn")
        yield Input(id="mended")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Four stages in place of the real ones; the last one's module does not exist."""
    here = __name__
    table = (
        Stage("first", "First", "1", "", f"{here}:FirstTab"),
        Stage("second", "Second", "2", "", f"{here}:SecondTab"),
        Stage("broken", "Broken", "8", "", f"{here}:BrokenTab"),
        Stage("absent", "Absent", "9", "", "app.nowhere.tab:Nothing"),
        Stage("silent", "Silent", None, "", None),
    )
    tabs = {f"{here}:{tab.__name__}": tab for tab in (FirstTab, SecondTab, BrokenTab)}
    real = shell.TabArea._make.__globals__["importlib"].import_module

    def find(name: str) -> Any:
        mine = {key.partition(":")[2]: tab for key, tab in tabs.items() if key.partition(":")[0] == name}
        return SimpleNamespace(**mine) if mine else real(name)

    monkeypatch.setattr("app.panes.importlib", SimpleNamespace(import_module=find))
    monkeypatch.setattr(shell, "STAGES", table)
    BrokenTab.times = 0
    yield


def make(store: Store) -> Workbench:
    """A workbench over the four stages."""
    app = Workbench(store, contain_crashes=True)
    for number, stage in ((1, "first"), (2, "second"), (8, "broken"), (9, "absent")):
        app._bindings.bind(str(number), f"stage('{stage}')", stage, show=False)
        app._bindings.bind(
            f"alt+{number}", f"stage_from_anywhere('{stage}')", stage, show=False, priority=True
        )
    return app


async def until(pilot: Pilot[Any], predicate: Any) -> None:
    """Let the application run until `predicate` holds."""
    for _ in range(2000):
        if predicate():
            return
        await pilot.pause(0.01)
    raise AssertionError("did not come true")


async def test_a_stage_is_made_on_its_first_visit_and_kept(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        first = app.tabs.body
        assert isinstance(first, FirstTab)
        assert len(app.tabs.visited) == 1
        await pilot.press("2")
        assert isinstance(app.tabs.body, SecondTab)
        assert first.told == ["shown", "hidden"]
        await pilot.press("1")
        assert app.tabs.body is first and first.display
        assert app.query_one(TopBar).active == "first"
        assert {"First", "Second", "Broken", "Absent"} == {tab.title for tab in app.query_one(TopBar).tabs}


async def test_changing_the_stage_while_a_field_has_the_focus_does_not_bounce_back(
    stages: None, workspace: Store
) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        app.query_one("#text", Input).focus()
        await pilot.press("2")
        assert app.tabs.active == "first", "a digit typed into a field is text"
        assert app.query_one("#text", Input).value == "2"
        await pilot.press("alt+2")
        await pilot.pause()
        assert app.tabs.active == "second"
        assert app.focused is not None and app.tabs.body in app.focused.ancestors_with_self
        await pilot.press("alt+1")
        await pilot.pause()
        assert app.focused is not None and app.focused.id == "text", "the focus is where it was left"


async def test_digits_belong_to_a_pushed_screen_and_alt_digit_leaves_it(
    stages: None, workspace: Store
) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        await pilot.press("f2")
        await pilot.press("2")
        assert app.tabs.active == "first"
        assert len(app.screen_stack) == 2
        await pilot.press("alt+2")
        assert app.tabs.active == "second"
        assert len(app.screen_stack) == 1


async def test_a_stage_that_cannot_be_imported_says_so_in_its_place(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        await pilot.press("9")
        assert isinstance(app.tabs.body, TroublePanel)
        await pilot.press("1", "r")
        assert isinstance(app.tabs.body, FirstTab) and "ran" in app.tabs.body.told


async def test_a_stage_that_breaks_takes_only_its_own_place_and_can_be_opened_again(
    stages: None, workspace: Store
) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        await pilot.press("8")
        await until(pilot, lambda: isinstance(app.tabs.body, TroublePanel))
        await pilot.pause()
        assert "cannot be drawn" in (workspace.root / "crash.log").read_text(encoding="utf-8")
        await until(pilot, lambda: app.focused is app.tabs.body)
        await pilot.press("r")
        await until(pilot, lambda: app.query("#mended"))
        await pilot.press("alt+1")
        assert isinstance(app.tabs.body, FirstTab)


async def test_a_worker_that_breaks_is_contained_in_its_stage(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        app.query_one("#go").focus()
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.tabs.body, TroublePanel))
        assert "a read broke" in (workspace.root / "crash.log").read_text(encoding="utf-8")


async def test_a_handler_that_breaks_is_contained_and_its_words_are_only_words(
    stages: None, workspace: Store
) -> None:
    app = make(workspace)
    async with app.run_test(notifications=True, tooltips=True) as pilot:
        await pilot.click("#go")
        await until(pilot, lambda: isinstance(app.tabs.body, TroublePanel))
        panel = app.tabs.body
        assert isinstance(panel, TroublePanel)
        await until(pilot, lambda: panel.is_attached)
        assert "broke␛]0;P␇" in str(panel.render())
        await pilot.press("2")
        assert isinstance(app.tabs.body, SecondTab)


class BrokenWindow(ModalScreen[None]):
    """A window whose button breaks."""

    def compose(self) -> ComposeResult:
        yield Button("break", id="break")

    def on_button_pressed(self) -> None:
        raise ValueError("[/red] broke")


class SlowWindow(ModalScreen[None]):
    """A window that reads something and draws it when it is back."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__()
        self.gate = gate
        self.drawn = False

    def on_mount(self) -> None:
        self.look()

    @work
    async def look(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.query_one("#gone")
        self.drawn = True


async def test_a_read_that_comes_back_after_its_window_was_closed_is_let_go(
    stages: None, workspace: Store
) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        window = SlowWindow(asyncio.Event())
        app.push_screen(window)
        await until(pilot, lambda: window.is_mounted)
        await pilot.pause()
        window.dismiss(None)
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.pause(0.1)
        assert not window.drawn
    assert app.return_code in (None, 0)


async def test_a_window_that_breaks_is_closed_and_the_rest_goes_on(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test(notifications=True) as pilot:
        app.push_screen(BrokenWindow())
        await until(pilot, lambda: app.screen.query("#break"))
        await pilot.click("#break")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await until(pilot, lambda: any("[/red] broke" in note.message for note in app._notifications))
        app.query_one("#go").focus()
        await pilot.press("r")
        assert isinstance(app.tabs.body, FirstTab) and "ran" in app.tabs.body.told


async def test_a_sentence_raised_by_an_action_becomes_a_toast(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test(notifications=True, tooltips=True) as pilot:
        app.query_one("#go").focus()
        await pilot.press("b")
        await pilot.pause()
        assert [note.message for note in app._notifications] == ["There is no [b]such␛[31m prompt."]
        assert isinstance(app.tabs.body, FirstTab)


async def test_only_the_visible_stage_is_told_of_writes(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        await pilot.press("2")
        second, first = app.tabs.body, app.tabs.visited[0]
        assert isinstance(second, FirstTab) and isinstance(first, FirstTab)
        await pilot.pause(0.6)
        await app.read(settings.set, workspace, "anything", 1)
        await until(pilot, lambda: "changed" in second.told)
        assert "changed" not in first.told


async def test_the_top_line_says_how_things_stand(stages: None, workspace: Store, made_up_jobs: None) -> None:
    app = make(workspace)
    async with app.run_test(size=(120, 20)) as pilot:
        bar = app.query_one(TopBar)
        await until(pilot, lambda: "network off" in str(bar.render()))
        job = jobs.enqueue(workspace, "test.work", "starter", "worker", {}, "Work")
        jobs.claim(workspace, job.id, nonce="n")
        await app.read(settings.set, workspace, "network", True)
        await until(pilot, lambda: "1 job" in str(bar.render()) and "network ON" in str(bar.render()))
        await pilot.resize_terminal(50, 20)
        await pilot.pause()
        assert "network ON" in str(bar.render()), "what matters most gives way last"


async def test_the_end_of_a_job_is_said(stages: None, workspace: Store, made_up_jobs: None) -> None:
    app = make(workspace)
    async with app.run_test(notifications=True) as pilot:
        job = jobs.enqueue(workspace, "test.work", "starter", "worker", {}, "Work [/b]")
        jobs.claim(workspace, job.id, nonce="n")
        await app.read(settings.set, workspace, "anything", 1)
        await until(pilot, lambda: job.id in app._live)
        await app.read(
            jobs.finish,
            workspace,
            job.id,
            "failed",
            "out of memory",
            error="It needs more.",
            summary=None,
            outputs=[],
        )
        await until(pilot, lambda: len(app._notifications) > 0)
        told = next(iter(app._notifications)).message
        assert "Work [/b]" in told and "It needs more." in told


async def test_quitting_with_running_jobs_says_that_they_go_on(
    stages: None, workspace: Store, capsys: pytest.CaptureFixture[str], made_up_jobs: None
) -> None:
    job = jobs.enqueue(workspace, "test.work", "starter", "worker", {}, "Work")
    jobs.claim(workspace, job.id, nonce="n")
    app = make(workspace)
    async with app.run_test() as pilot:
        await pilot.press("ctrl+q")
        await pilot.pause()
    assert app.return_code == 0
    assert "1 job goes on in the background" in capsys.readouterr().err


async def test_help_speaks_of_what_has_the_focus(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test(size=(100, 60)) as pilot:
        app.query_one("#go").focus()
        await pilot.press("question_mark")
        await pilot.pause()
        text = str(app.screen.query("Static").first().render())
        assert "The first stage" in text
        assert "refuse" in text and "palette" in text
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_hints_show_live_keys_only(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test(size=(120, 20)) as pilot:
        app.query_one("#go").focus()
        await pilot.pause()
        assert "r run" in str(app.query_one(HintBar).render())
        assert "f2 jobs" in str(app.query_one(HintBar).render())
        keys = [key for _, key in shown_bindings(app.screen)]
        assert "^q" in keys and "1" not in keys


async def test_jump_mode_goes_to_the_letter(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test() as pilot:
        app.query_one("#go").focus()
        await pilot.press("f3", "s")
        await pilot.pause()
        assert app.focused is not None and app.focused.id == "text"


async def test_the_palette_finds_a_key_by_a_part_of_its_name_and_does_it(
    stages: None, workspace: Store
) -> None:
    app = make(workspace)
    async with app.run_test(size=(100, 40)) as pilot:
        app.query_one("#go").focus()
        await pilot.press("ctrl+p", *"run")
        await pilot.pause(0.1)
        await pilot.press("enter")
        first = app.tabs.body
        assert isinstance(first, FirstTab)
        await until(pilot, lambda: "ran" in first.told)


async def test_a_theme_is_kept_for_the_next_start(stages: None, workspace: Store) -> None:
    app = make(workspace)
    async with app.run_test():
        app.choose_theme("lathe-light")
    assert make(workspace).theme == "lathe-light"


async def test_the_keymap_file_changes_keys_and_says_what_it_cannot_use(
    stages: None, workspace: Store
) -> None:
    file = config_folder() / "keys.toml"
    file.parent.mkdir(parents=True)
    file.write_text('jobs = "f6"\njump = "ctrl+j"\nhelp = 3\nfirst.run = "f7"\n', encoding="utf-8")
    keymap, problems = read_keymap(file)
    assert keymap == {"jobs": "f6", "first.run": "f7"}
    assert len(problems) == 2 and "ctrl+j" in problems[0]
    app = make(workspace)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: len(app._notifications) == 2)
        await pilot.press("f6")
        assert len(app.screen_stack) == 2
        await pilot.press("escape", "f2")
        assert len(app.screen_stack) == 1
        app.query_one("#go").focus()
        await pilot.press("r", "f7")
        assert isinstance(app.tabs.body, FirstTab) and app.tabs.body.told.count("ran") == 1


def test_a_keymap_that_is_not_toml_leaves_the_usual_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text("jobs = ", encoding="utf-8")
    keymap, problems = read_keymap(file)
    assert keymap == {} and "cannot be read" in problems[0]
    assert read_keymap(tmp_path / "absent.toml") == ({}, [])


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (80, 24), (300, 90)])
async def test_any_size_is_survived(stages: None, workspace: Store, size: tuple[int, int]) -> None:
    app = make(workspace)
    async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
        for key in (
            "2",
            "f2",
            "escape",
            "f9",
            "j",
            "escape",
            "ctrl+p",
            "a",
            "escape",
            "f1",
            "escape",
            "f3",
            "escape",
        ):
            await pilot.press(key)
        app.open_form("workspace.backup")
        await until(pilot, lambda: app.screen.query("SpecForm"))
        await pilot.press("tab", "escape")
        assert len(app.screen_stack) == 1
