"""What the process of the screen never loads, and what it does not load before the first paint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from store.workspace import Store

HEAVY = {
    "torch", "transformers", "llama_cpp", "datasets", "deepeval", "pandas", "pyarrow", "sklearn", "numpy", "scipy",
}  # fmt: skip
NOT_BEFORE_PAINT = {
    "pydantic",
    "httpx",
    "sqlite_utils",
    "jinja2",
    "huggingface_hub",
    "plotext",
    "psutil",
    "uvicorn",
}

SESSION = """
import asyncio, json, sys
from pathlib import Path
from app.workbench import Workbench
from store.workspace import open_store

async def session():
    app = Workbench(open_store(Path(sys.argv[1])))
    async with app.run_test(size=(140, 40)) as pilot:
        first = sorted(name.split(".")[0] for name in sys.modules)
        await pilot.pause()
        for stage in [s for s in app._stages]:
            await app.action_stage(stage)
            await pilot.pause()
        for key in ("f2", "escape", "f9", "escape", "f4", "escape", "ctrl+p", "escape", "f1", "escape"):
            await pilot.press(key)
        app.open_form("workspace.backup")
        while not app.screen.query("SpecForm"):
            await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
    return first

first = asyncio.run(session())
print(json.dumps([first, sorted({name.split(".")[0] for name in sys.modules})]))
"""


@pytest.fixture
def loaded(workspace: Store) -> tuple[set[str], set[str]]:
    """Top-level modules at the first paint and at the end of a session through every tab and screen."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", SESSION, str(workspace.root)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    first, last = json.loads(done.stdout.splitlines()[-1])
    return set(first), set(last)


def test_the_screen_never_loads_what_trains_or_generates(loaded: tuple[set[str], set[str]]) -> None:
    assert not HEAVY & loaded[1]


def test_the_first_paint_needs_textual_and_sqlite_only(loaded: tuple[set[str], set[str]]) -> None:
    assert not (NOT_BEFORE_PAINT | HEAVY) & loaded[0]
    assert {"textual", "sqlite3"} <= loaded[0]


def test_a_hostile_folder_does_not_lend_its_modules(workspace: Store, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("app.py", "store.py", "widgets.py", "torch.py", "textual.py", "sqlite3.py"):
        (evil / name).write_text("import os; os._exit(99)\n", encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import app.workbench, store.workspace, widgets.text"],
        cwd=evil,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
