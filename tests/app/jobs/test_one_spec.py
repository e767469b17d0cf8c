"""A capability is one spec and one function: a stage that exists only in this test's copy of the house, brought in
by its folder and one line, has its form, its palette entry, its command line, its jobs and its lineage.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from store.workspace import Store
from tests.app.jobs.house import LINE, PROJECT, answer, environment, lathe

ON_THE_SCREEN = """
import asyncio, json, sys
from pathlib import Path
from app.palette import operation_commands
from app.workbench import Workbench
from store import jobs
from store.workspace import open_store
from textual.widgets import Input
from widgets.form import FieldRow, SpecForm

async def main():
    store = open_store(Path(sys.argv[1]))
    app = Workbench(store)
    told = {}
    async with app.run_test(size=(120, 40)) as pilot:
        told["palette"] = [command.title for command in operation_commands(app)]
        app.open_form("echo.say")
        for _ in range(200):
            await pilot.pause(0.05)
            if app.screen.query(SpecForm) and isinstance(app.focused, Input):
                break
        told["fields"] = [row.field.name for row in app.screen.query(FieldRow)]
        await pilot.press(*"hello", "ctrl+r")
        for _ in range(200):
            await pilot.pause(0.05)
            if jobs.list_jobs(store):
                break
        told["ran"] = [(job.operation, job.state, job.spec["text"]) for job in jobs.list_jobs(store)]
    print(json.dumps(told))

asyncio.run(main())
"""


def test_nothing_outside_its_folder_but_one_line_knows_the_new_stage(house: Path) -> None:
    changed = []
    for room in ("app", "store", "widgets"):
        for copy in (house / room).rglob("*.py"):
            original = PROJECT / copy.relative_to(house)
            if "echo" in copy.relative_to(house).parts:
                continue
            if original.exists() and original.read_bytes() != copy.read_bytes():
                changed.append(str(copy.relative_to(house)))
    assert changed in ([], ["app/stages.py"])
    ours = (house / "app" / "stages.py").read_text(encoding="utf-8")
    assert LINE.splitlines()[0] in ours


def test_its_form_and_palette_entry_appear_and_a_keyboard_runs_it(house: Path, workspace: Store) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", ON_THE_SCREEN, str(workspace.root)],
        capture_output=True,
        text=True,
        env=environment(house),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert {"Say something", "Count", "Count heavily"} <= set(told["palette"])
    assert told["fields"] == ["text", "prompt", "loud"] or set(told["fields"]) >= {"text", "prompt"}
    assert told["ran"] == [["echo.say", "done", "hello"]]


def test_its_command_line_jobs_and_lineage_appear(house: Path, workspace: Store) -> None:
    W = str(workspace.root)
    assert "echo.count" in lathe(house, "operations").stdout
    result = answer(lathe(house, "run", "echo.count", "to=2", "-w", W, "--json"))
    assert result["state"] == "done"
    (job,) = answer(lathe(house, "show", "jobs", "-w", W, "--json"))
    assert job["operation"] == "echo.count" and job["stage"] == "echo"
    (edge,) = answer(lathe(house, "show", "lineage", "-w", W, "--json"))
    assert (edge["job"], edge["direction"], edge["ref"]) == (result["job"], "out", "echo@2")
