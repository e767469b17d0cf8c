"""Everything killed at random moments, again and again: the journal is taken in whole, in order, and once."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.jobs.events import JOURNAL
from store import jobs
from store.workspace import Store
from tests.app.jobs.house import processes, supervise

Wait = Callable[..., None]
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are looked up in /proc"
)
SEED = 20261121
KILLS = 8


def kill(workspace: Store, module: str) -> None:
    for pid in processes(workspace.root, module):
        os.kill(pid, signal.SIGKILL)


def journalled(workspace: Store, job_id: int) -> list[float]:
    """The numbers as the worker wrote them, whole lines only."""
    lines = (workspace.root / "jobs" / str(job_id) / JOURNAL).read_bytes().split(b"\n")[:-1]
    events = [json.loads(line) for line in lines if line.endswith(b"}")]
    return [event["value"] for event in events if event["kind"] == "metric"]


def test_a_job_killed_at_random_moments_is_counted_once_and_reaches_its_end(
    house: Path, workspace: Store, wait_until: Wait
) -> None:
    choose = random.Random(SEED)
    job_id = jobs.enqueue(workspace, "echo.count", "echo", "worker", {"to": 300}, "count").id
    seen = 0
    for _ in range(KILLS):
        supervise(house, workspace.root)
        goal = seen + choose.randint(1, 25)

        def far_enough(goal: int = goal) -> bool:
            count = len(jobs.metrics(workspace, job_id, "number"))
            return count >= goal or jobs.job(workspace, job_id).state not in jobs.LIVE

        wait_until(far_enough, 20, f"{goal} numbers (seed {SEED})")
        victims = choose.choice(
            [("app.jobs.supervisor",), ("app.jobs.worker",), ("app.jobs.supervisor", "app.jobs.worker")]
        )
        for module in victims:
            kill(workspace, module)
        wait_until(lambda victims=victims: not any(processes(workspace.root, module) for module in victims))
        seen = len(jobs.metrics(workspace, job_id, "number"))
        if "app.jobs.worker" in victims:
            supervise(house, workspace.root)
            wait_until(lambda: jobs.job(workspace, job_id).state not in jobs.LIVE, 20, "the crash to be seen")
            if jobs.job(workspace, job_id).state == "done":
                break
            assert jobs.job(workspace, job_id).reason.startswith("crashed")
            jobs.requeue(workspace, job_id)
    supervise(house, workspace.root)
    wait_until(lambda: jobs.job(workspace, job_id).state == "done", 30, f"the end (seed {SEED})")
    taken_in = [metric.value for metric in jobs.metrics(workspace, job_id, "number")]
    assert taken_in == journalled(workspace, job_id)
    assert sorted({value for value in taken_in if value is not None}) == list(range(1, 301))
    ends = [event for event in jobs.events(workspace, job_id) if event.kind == "end"]
    assert len(ends) == 1 and jobs.job(workspace, job_id).outputs == [
        {"noun": "echo", "id": 300, "ref": "echo@300"}
    ]
    assert workspace.read().execute("PRAGMA integrity_check").fetchone()[0] == "ok"
