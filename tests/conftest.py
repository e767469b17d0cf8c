"""What every test stands on: an isolated home, a fresh workspace, and waiting on predicates instead of sleeping."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from store.workspace import Store, open_store

STARTER_GGUF = Path(__file__).parent.parent / "app" / "starter" / "weights" / "starter-q8_0.gguf"
SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def isolated_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No test sees the user's home, models or runtime folder.

    The runtime folder is short on purpose: a Unix socket's path ends at 107 bytes.
    """
    home = tmp_path_factory.mktemp("home")
    runtime = Path(tempfile.mkdtemp(prefix="lr", dir="/tmp"))
    for name in (
        "OLLAMA_MODELS",
        "HF_HOME",
        "HF_HUB_CACHE",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    yield
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def workspace_root(tmp_path: Path) -> Iterator[Path]:
    """The folder of a workspace that does not exist yet; whatever was started on it ends with the test."""
    root = tmp_path / "workspace"
    yield root
    kill_processes_of(root)


@pytest.fixture
def workspace(workspace_root: Path) -> Iterator[Store]:
    """A fresh, open workspace."""
    store = open_store(workspace_root, create=True)
    yield store
    store.close()


@pytest.fixture
def made_up_jobs(workspace: Store) -> Iterator[None]:
    """The test is the workspace's supervisor: a real one would find no process behind a made-up job and end it."""
    from app.jobs.keeper import take_lock

    lock = take_lock(workspace.root)
    yield
    if lock is not None:
        os.close(lock)


@pytest.fixture
def starter_gguf() -> Path:
    """The starter model as it ships; tests that need real answers skip in a checkout without it."""
    if not STARTER_GGUF.exists():
        pytest.skip("the starter weights are not in this checkout")
    return STARTER_GGUF


@pytest.fixture
def shared_data() -> Path:
    """Folder of other people's data; never shipped, so its tests skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared data folder is not on this machine")
    return SHARED_DATA


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """`wait_until(predicate, timeout=10, what="…")` returns when the predicate is true, and fails in words."""
    return wait_for


def wait_for(predicate: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Poll `predicate` until it is true; an AssertionError that says what was awaited after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what or predicate}")
        time.sleep(0.02)


def kill_processes_of(root: Path) -> None:
    """Kill every process whose command line names `root`: supervisors, workers and engines of a test."""
    needle = str(root)
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.info["pid"] != os.getpid() and needle in " ".join(process.info["cmdline"] or []):
            try:
                process.send_signal(signal.SIGKILL)
                process.wait(5)
            except (psutil.NoSuchProcess, psutil.TimeoutExpired):
                continue
