"""What the jobs screen and the forms promise: live, stoppable, and everything from the operation's own declaration."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from app.form_screen import FormScreen, command_line
from app.job_view import JobView
from app.jobs import registry
from app.jobs.operation import Field, Operation, Spec
from app.jobs_screen import JobsScreen
from app.workbench import Workbench
from store import drafts, jobs, prompts
from store.errors import BadInput
from store.workspace import Store
from widgets.form import SpecForm
from widgets.form_fields import LineField
from widgets.line_chart import LineChart
from widgets.listing import Listing
from widgets.log_view import LogView


class GreetSpec(Spec):
    """A spec with every kind of field a form has to draw."""

    prompt: str = Field(description="Which prompt.", picks="prompt")
    versions: list[str] = Field(
        [], description="Which versions.", picks="prompt_version", many=True, depends_on="prompt"
    )
    times: int = Field(1, description="How often.", ge=1, le=9)
    loud: bool = Field(False, description="Shout.", advanced=True)


def greet(spec: GreetSpec, context: Any) -> dict[str, Any]:
    """Say what was given."""
    return {"said": f"{spec.prompt} {','.join(spec.versions)} {spec.times}"}


GREET = Operation(
    name="test.greet",
    title="Greet",
    description="Says hello.",
    spec=GreetSpec,
    run=greet,
    kind="inline",
    estimate=lambda spec, store: f"about {spec.times} s",
)


@pytest.fixture
def greeting(monkeypatch: pytest.MonkeyPatch, workspace: Store) -> Store:
    """A workspace with two prompts and an operation over them."""

    def find(name: str, stage: str | None = None) -> Operation:
        return GREET if name == GREET.name else real(name, stage)

    real = registry.operation
    monkeypatch.setattr(registry, "operation", find)
    monkeypatch.setattr(registry, "stage_of", lambda name: "starter")
    for note in ("one", "two"):
        content = {"messages": [{"role": "user", "content": note}]}
        prompts.save_version(workspace, "hello", content, note=note)
    prompts.save_version(workspace, "other", {"messages": [{"role": "user", "content": "x"}]})
    return workspace


async def until(pilot: Pilot[Any], predicate: Callable[[], Any]) -> None:
    """Let the application run until `predicate` holds."""
    for _ in range(2000):
        if predicate():
            return
        await pilot.pause(0.01)
    raise AssertionError("did not come true")


def ready(app: Workbench) -> bool:
    """True once a form stands on the screen and its first field has the focus."""
    return isinstance(app.screen, FormScreen) and isinstance(app.focused, LineField)


def shown(app: Workbench, selector: str) -> str:
    """The text of a widget on the present screen."""
    return str(app.screen.query_one(selector, Static).render())


async def test_a_stranger_fills_a_form_by_keyboard_and_it_runs(greeting: Store) -> None:
    app = Workbench(greeting)
    done: list[Any] = []
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_form("test.greet", then=done.append)
        await until(pilot, lambda: ready(app))
        assert not app.screen.query_one(SpecForm).row("versions").display  # type: ignore[union-attr]
        await pilot.press("enter")
        listing = app.screen.query_one(Listing)
        await until(pilot, lambda: len(listing.rows) == 2)
        await pilot.press(*"hel", "enter")
        await until(pilot, lambda: isinstance(app.screen, FormScreen))
        await pilot.press("tab", "enter")
        listing = app.screen.query_one(Listing)
        await until(pilot, lambda: len(listing.rows) == 2)
        await pilot.press("ctrl+t", "ctrl+t", "enter")
        await until(pilot, lambda: isinstance(app.screen, FormScreen))
        await pilot.press("tab", "backspace", "3", "ctrl+r")
        await until(pilot, lambda: done)
        assert done[0].summary == {"said": "hello 2,1 3"}
        assert drafts.draft(greeting, "form:test.greet") is None


async def test_an_error_stands_at_its_field_and_nothing_runs(greeting: Store) -> None:
    app = Workbench(greeting)
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_form("test.greet", {"prompt": "hello", "times": 50})
        await until(pilot, lambda: ready(app))
        await pilot.press("ctrl+r")
        form = app.screen.query_one(SpecForm)
        await until(pilot, lambda: form.row("times").has_class("-wrong"))  # type: ignore[union-attr]
        await until(pilot, lambda: app.focused is form.row("times").editor)  # type: ignore[union-attr]
        assert jobs.list_jobs(greeting) == []


async def test_esc_loses_nothing_and_ctrl_l_starts_clean(greeting: Store) -> None:
    app = Workbench(greeting)
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_form("test.greet")
        await until(pilot, lambda: ready(app))
        await pilot.press(*"hello")
        await until(pilot, lambda: drafts.draft(greeting, "form:test.greet") == {"prompt": "hello"})
        await pilot.press("escape")
        app.open_form("test.greet")
        await until(pilot, lambda: ready(app))
        assert app.screen.query_one(SpecForm).values() == {"prompt": "hello"}
        await pilot.press("ctrl+l")
        await until(
            pilot, lambda: app.screen.query(SpecForm) and app.screen.query_one(SpecForm).values() == {}
        )


async def test_the_estimate_follows_what_is_typed(greeting: Store) -> None:
    app = Workbench(greeting)
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_form("test.greet", {"prompt": "hello", "times": 4})
        await until(pilot, lambda: ready(app))
        await until(pilot, lambda: "about 4 s" in shown(app, "#estimate"))


async def test_the_form_is_a_command_line_and_a_recipe(greeting: Store, tmp_path: Path) -> None:
    app = Workbench(greeting)
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_form("test.greet", {"prompt": "hello", "times": 4})
        await until(pilot, lambda: ready(app))
        await pilot.press("f5")
        text = str(app.screen.query("Static").first().render())
        assert "lathe run test.greet" in text and "times=4" in text
        assert 'prompt = "hello"' in text
        await pilot.press("y")
        assert app.clipboard == command_line("test.greet", {"prompt": "hello", "times": "4"}, greeting.root)


def test_the_command_line_survives_a_shell() -> None:
    values = {"note": "it's; rm -rf /", "many": ["a", "b"], "at": "@home", "deep": {"x": 1}}
    words = shlex.split(command_line("op", values, Path("/a b")))
    assert words == [
        "lathe", "run", "op", "--workspace", "/a b", "note=it's; rm -rf /", "many=a,b", "at=@@home", 'deep={"x": 1}',
    ]  # fmt: skip


def running_job(store: Store, title: str = "Work") -> jobs.Job:
    """A job as a supervisor leaves it in the middle."""
    job = jobs.enqueue(store, "workspace.backup", "workspace", "worker", {"file": "/tmp/x"}, title)
    jobs.claim(store, job.id, nonce="n")
    events: list[dict[str, Any]] = [{"kind": "log", "level": "info", "text": f"line {n}"} for n in range(700)]
    events += [{"kind": "metric", "name": "loss", "value": 1 / (n + 1), "step": n} for n in range(50)]
    events.append({"kind": "metric", "name": "loss", "value": None, "step": 50})
    jobs.append_events(store, job.id, events, offset=1)
    jobs.update_progress(store, job.id, done=182, total=320, note="", unit="cells", rate=41.0)
    jobs.add_lineage(store, job.id, "out", "prompt", 1, "hello@1", "")
    return jobs.job(store, job.id)


async def test_a_job_shows_what_how_far_how_fast_how_long_and_how_to_stop(
    workspace: Store, made_up_jobs: None
) -> None:
    running_job(workspace)
    app = Workbench(workspace)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: "182 of 320" in shown(app, "#job-progress"))
        progress = shown(app, "#job-progress")
        assert "41 cells/s" in progress and "3 s left" in progress and "x stops" in progress
        assert "hello@1" in shown(app, "#job-facts")
        await until(pilot, lambda: app.screen.query_one(LogView).line_count == 700)
        chart = app.screen.query_one(LineChart)
        assert chart.display and "loss" in str(chart.render()) and "0.02" in str(chart.render())


async def test_x_asks_a_job_to_stop_and_the_screen_says_so(workspace: Store, made_up_jobs: None) -> None:
    job = running_job(workspace)
    app = Workbench(workspace)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: app.screen.query_one(JobView).job is not None)
        await pilot.press("x")
        await until(pilot, lambda: jobs.job(workspace, job.id).stop_requested)
        await until(pilot, lambda: "stopping" in shown(app, "#job-head"))


async def test_a_job_that_cannot_resume_says_why(workspace: Store, made_up_jobs: None) -> None:
    running_job(workspace)
    app = Workbench(workspace)
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: app.screen.query_one(JobView).job is not None)
        await pilot.press("r")
        await until(pilot, lambda: any("not ended" in note.message for note in app._notifications))


async def test_jobs_are_filtered_and_the_filter_is_said(workspace: Store, made_up_jobs: None) -> None:
    running_job(workspace, "Import tickets")
    running_job(workspace, "Compare replies")
    app = Workbench(workspace)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.press("f2")
        listing = app.screen.query_one(Listing)
        await until(pilot, lambda: len(listing.rows) == 2)
        await pilot.press("slash", *"tick", "enter")
        await until(pilot, lambda: len(listing.rows) == 1)
        assert app.focused is listing
        assert "filtered by tick" in shown(app, "#jobs-title")
        await pilot.press("slash", "escape")
        await until(pilot, lambda: len(listing.rows) == 2)


async def test_the_list_follows_a_job_while_it_runs(workspace: Store, made_up_jobs: None) -> None:
    job = running_job(workspace)
    app = Workbench(workspace)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: "182 of 320" in shown(app, "#job-progress"))
        await app.read(
            jobs.update_progress,
            workspace,
            job.id,
            done=300,
            total=320,
            note="nearly",
            unit="cells",
            rate=10.0,
        )
        await until(pilot, lambda: "300 of 320" in shown(app, "#job-progress"))
        await app.read(jobs.finish, workspace, job.id, "done", "done", error=None, summary={}, outputs=[])
        await until(pilot, lambda: "✓" in shown(app, "#job-head"))
        await pilot.press("enter")
        assert isinstance(app.focused, LogView)
        await pilot.press("escape")
        assert isinstance(app.screen, JobsScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, JobsScreen)


async def test_an_empty_workspace_invites(workspace: Store) -> None:
    app = Workbench(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: app.screen.has_class("-empty"))
        assert "ctrl+p" in str(app.screen.query_one("EmptyState").render())  # type: ignore[attr-defined]


async def test_a_refusal_while_estimating_is_a_sentence(
    greeting: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(spec: Any, store: Store) -> str:
        raise BadInput("There are no cases in [b]tickets.")

    monkeypatch.setattr(
        registry, "operation", lambda name, stage=None: Operation(**{**vars(GREET), "estimate": refuse})
    )
    app = Workbench(greeting)
    async with app.run_test(size=(110, 40)) as pilot:
        app.open_form("test.greet", {"prompt": "hello"})
        await until(pilot, lambda: ready(app))
        await until(pilot, lambda: "[b]tickets" in shown(app, "#estimate"))
