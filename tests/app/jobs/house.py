"""A copy of the house with one more room in it, and ways to run it: real processes, nothing of this one shared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent.parent
LINE = '    Stage("echo", "Echo", None, "app.echo.operations", None),\n)\n'


def build(into: Path) -> Path:
    """Copy app/, store/ and widgets/, put the test stage in, and add its one line to the registry."""
    skip = shutil.ignore_patterns("__pycache__", "weights", "*.gguf", "*.safetensors")
    for room in ("app", "store", "widgets"):
        shutil.copytree(PROJECT / room, into / room, ignore=skip)
    (into / "app" / "echo").mkdir()
    (into / "app" / "echo" / "__init__.py").touch()
    shutil.copy(HERE / "echo_stage.py", into / "app" / "echo" / "operations.py")
    registry = into / "app" / "stages.py"
    lines = registry.read_text(encoding="utf-8")
    registry.write_text(lines[: lines.rindex(")\n")] + LINE, encoding="utf-8")
    return into


def environment(house: Path) -> dict[str, str]:
    """This environment, with the house in front of everything else."""
    return os.environ | {"PYTHONPATH": str(house)}


def lathe(
    house: Path, *arguments: str, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line of the house to its end, without a terminal."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "app", *arguments],
        capture_output=True,
        text=True,
        env=environment(house) | environ,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed with --json."""
    return json.loads(done.stdout)


def supervise(house: Path, root: Path) -> None:
    """Start the workspace's supervisor; returns once it stands on its own."""
    subprocess.run(
        [sys.executable, "-P", "-m", "app.jobs.supervisor", str(root)],
        env=environment(house),
        check=True,
        timeout=30,
    )


def processes(root: Path, module: str) -> list[int]:
    """Pids of the processes of `module` on this workspace."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if module.encode() in line and str(root).encode() in line:
                found.append(int(name))
    return found
