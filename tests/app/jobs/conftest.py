"""One house with the test stage for the whole session: copying it takes longer than running it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.jobs import house as houses


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with app/, store/ and widgets/ in which a stage `echo` exists."""
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture(autouse=True)
def no_process_left(workspace_root: Path, wait_until: Callable[..., None]) -> Iterator[None]:
    """End what a test started before its folder goes; the dead may wait for their burial."""
    yield
    for module in ("app.jobs.supervisor", "app.jobs.worker"):
        for pid in houses.processes(workspace_root, module):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda module=module: not houses.processes(workspace_root, module))
