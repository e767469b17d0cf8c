"""A heavy job and the engine never compute at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from app.engine.client import connect
from app.jobs import lease
from store import jobs
from store.workspace import Store


def test_a_running_engine_gives_its_place_to_the_process_that_takes_the_lease(workspace: Store) -> None:
    engine = connect(workspace.root)
    assert lease.take(workspace.root, "training")
    assert engine.status()["paused"] == "training"
    engine.resume()
    assert engine.status()["paused"] is None


def test_without_an_engine_there_is_nobody_to_ask(workspace: Store) -> None:
    assert not lease.take(workspace.root, "training")


def test_an_engine_that_starts_while_a_heavy_job_runs_waits_until_its_process_is_gone(
    workspace: Store, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], cwd=tmp_path)
    try:
        job = jobs.enqueue(workspace, "train.it", "train", "heavy", {}, "Train it")
        jobs.claim(workspace, job.id, "nonce")
        jobs.set_process(workspace, job.id, sleeper.pid, "now")
        engine = connect(workspace.root)
        assert engine.status()["paused"] == "Train it"
    finally:
        sleeper.kill()
        sleeper.wait()
    wait_until(lambda: engine.status()["paused"] is None, what="the engine to come back")
