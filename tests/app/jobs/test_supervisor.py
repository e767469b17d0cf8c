"""Jobs in real processes: the queue, the stop, the crash, the kill of anything, and what is still true afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.jobs import runner
from store import jobs
from store.workspace import Store, open_store
from tests.app.jobs.house import processes, supervise

Wait = Callable[..., None]
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are looked up in /proc"
)


def enqueue(store: Store, operation: str, kind: str = "worker", **spec: object) -> int:
    return jobs.enqueue(store, operation, "echo", kind, spec, operation).id


def state(store: Store, job_id: int) -> str:
    return jobs.job(store, job_id).state


def numbers(store: Store, job_id: int) -> list[float | None]:
    return [metric.value for metric in jobs.metrics(store, job_id, "number")]


def ended(store: Store, job_id: int, wait_until: Wait, timeout: float = 15) -> jobs.Job:
    wait_until(lambda: state(store, job_id) not in jobs.LIVE, timeout, f"the end of job {job_id}")
    return jobs.job(store, job_id)


def logged(store: Store, job_id: int, text: str) -> bool:
    return any(text in str(event.payload.get("text")) for event in jobs.events(store, job_id))


def test_a_job_runs_by_itself_and_leaves_progress_metrics_lineage_and_its_answer(
    house: Path, workspace: Store, wait_until: Wait
) -> None:
    job_id = enqueue(workspace, "echo.count", to=5)
    supervise(house, workspace.root)
    job = ended(workspace, job_id, wait_until)
    assert (job.state, job.reason, job.error) == ("done", "done", "")
    assert job.summary == {"reached": 5, "began_at": 1, "attempt": 1}
    assert job.outputs == [{"noun": "echo", "id": 5, "ref": "echo@5"}]
    assert numbers(workspace, job_id) == [1, 2, 3, 4, 5]
    assert (job.progress_done, job.progress_total, job.progress_note) == (5, 5, "counting")
    edges = jobs.lineage(workspace, "echo", 5)
    assert [(edge.job_id, edge.direction, edge.ref) for edge in edges] == [(job_id, "out", "echo@5")]


def test_one_heavy_job_runs_at_a_time_in_order_and_light_ones_beside_it(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    hold = tmp_path / "go"
    first = enqueue(workspace, "echo.haul", "heavy", to=2, hold=str(hold))
    second = enqueue(workspace, "echo.haul", "heavy", to=2)
    light = enqueue(workspace, "echo.count", to=2)
    supervise(house, workspace.root)
    ended(workspace, light, wait_until)
    assert (state(workspace, first), state(workspace, second)) == ("running", "queued")
    hold.touch()
    one, two = ended(workspace, first, wait_until), ended(workspace, second, wait_until)
    assert one.ended_at and two.started_at and one.ended_at <= two.started_at


def test_a_job_that_is_asked_to_stop_has_stopped_within_a_second(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    job_id = enqueue(workspace, "echo.count", to=9, hold=str(tmp_path / "never"), hold_from=3)
    supervise(house, workspace.root)
    wait_until(lambda: numbers(workspace, job_id) == [1, 2], what="the first numbers")
    asked = time.monotonic()
    jobs.request_stop(workspace, job_id)
    job = ended(workspace, job_id, wait_until)
    assert time.monotonic() - asked < 1.0
    assert (job.state, job.reason) == ("stopped", "stopped")


def test_a_stop_that_comes_before_the_worker_has_found_its_feet_is_a_stop(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    ids = [enqueue(workspace, "echo.count", to=9, hold=str(tmp_path / "never")) for _ in range(4)]
    supervise(house, workspace.root)
    for job_id in ids:
        wait_until(lambda job_id=job_id: state(workspace, job_id) == "running")
        jobs.request_stop(workspace, job_id)
    for job_id in ids:
        assert ended(workspace, job_id, wait_until).state == "stopped"


def test_a_worker_that_never_asks_is_broken_into_and_a_deaf_one_is_killed(
    house: Path, workspace: Store, wait_until: Wait
) -> None:
    busy, deaf = enqueue(workspace, "echo.busy"), enqueue(workspace, "echo.stubborn")
    supervise(house, workspace.root)
    wait_until(lambda: logged(workspace, busy, "busy now") and logged(workspace, deaf, "deaf now"))
    asked = time.monotonic()
    jobs.request_stop(workspace, busy)
    jobs.request_stop(workspace, deaf)
    assert ended(workspace, busy, wait_until).state == "stopped"
    assert time.monotonic() - asked < 3.5
    assert ended(workspace, deaf, wait_until).state == "stopped"
    assert time.monotonic() - asked < 7
    wait_until(lambda: not processes(workspace.root, "app.jobs.worker"), what="no worker left")


def test_a_queued_job_can_be_taken_out_again(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    hold = tmp_path / "go"
    first = enqueue(workspace, "echo.haul", "heavy", to=1, hold=str(hold))
    second = enqueue(workspace, "echo.haul", "heavy", to=1)
    supervise(house, workspace.root)
    wait_until(lambda: state(workspace, first) == "running")
    jobs.request_stop(workspace, second)
    assert ended(workspace, second, wait_until).state == "stopped"
    hold.touch()
    assert ended(workspace, first, wait_until).state == "done"


@pytest.mark.parametrize(
    ("how", "reason", "sentence"),
    [
        ("error", "failed", "ZeroDivisionError: a fault."),
        ("foreseen", "bad input", "The echo has no walls. Build some."),
        ("memory", "out of memory", "The job ran out of memory."),
        ("full", "disk full", "The disk is full"),
        ("segv", "crashed: SIGSEGV", "The job's process crashed (SIGSEGV)."),
        ("kill", "crashed: SIGKILL", "Somebody or the system killed the job's process."),
        ("exit", "crashed", "The job's process ended by itself (status 3)."),
    ],
)
def test_a_crash_is_told_in_words_and_its_traceback_lies_in_the_log(
    house: Path, workspace: Store, wait_until: Wait, how: str, reason: str, sentence: str
) -> None:
    job_id = enqueue(workspace, "echo.crash", how=how)
    supervise(house, workspace.root)
    job = ended(workspace, job_id, wait_until)
    assert (job.state, job.reason) == ("failed", reason)
    assert job.error.startswith(sentence) and "Traceback" not in job.error
    log = (workspace.root / "jobs" / str(job_id) / "stdout.log").read_text(encoding="utf-8")
    assert {"error": "Traceback", "segv": "Segmentation fault"}.get(how, "") in log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB; only root can have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield disk
    for module in ("app.jobs.supervisor", "app.jobs.worker"):
        for pid in processes(disk / "W", module):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_on_a_full_disk_a_job_ends_with_that_reason_and_resumes_when_there_is_room(
    house: Path, small_disk: Path, tmp_path: Path, wait_until: Wait
) -> None:
    hold, store = tmp_path / "go", open_store(small_disk / "W", create=True)
    job_id = enqueue(store, "echo.count", to=40, hold=str(hold), hold_from=3)
    supervise(house, store.root)
    wait_until(lambda: numbers(store, job_id) == [1, 2], what="the first numbers")
    with (small_disk / "fill").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 512)
    hold.touch()
    wait_until(lambda: not processes(store.root, "app.jobs.worker"), what="the worker's end")
    (small_disk / "fill").unlink()
    job = ended(store, job_id, wait_until)
    assert (job.state, job.reason) == ("failed", "disk full")
    jobs.requeue(store, job_id)
    supervise(house, store.root)
    assert ended(store, job_id, wait_until).state == "done"
    assert sorted(set(numbers(store, job_id))) == list(range(1, 41))  # type: ignore[type-var]
    assert store.read().execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    store.close()


def test_a_job_outlives_its_supervisor_and_the_next_one_takes_in_the_rest_exactly_once(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    hold = tmp_path / "go"
    job_id = enqueue(workspace, "echo.count", to=120, hold=str(hold), hold_from=60)
    supervise(house, workspace.root)
    wait_until(lambda: len(numbers(workspace, job_id)) > 30, what="the first half")
    (supervisor,) = processes(workspace.root, "app.jobs.supervisor")
    (worker,) = processes(workspace.root, "app.jobs.worker")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not processes(workspace.root, "app.jobs.supervisor"))
    hold.touch()
    supervise(house, workspace.root)
    job = ended(workspace, job_id, wait_until)
    assert (job.state, job.attempt, job.pid) == ("done", 1, worker)
    assert numbers(workspace, job_id) == list(range(1, 121))


def test_a_worker_that_ends_while_nobody_watches_is_taken_in_as_it_ended(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    hold = tmp_path / "go"
    job_id = enqueue(workspace, "echo.count", to=3, hold=str(hold))
    supervise(house, workspace.root)
    wait_until(lambda: jobs.job(workspace, job_id).pid is not None)
    os.kill(processes(workspace.root, "app.jobs.supervisor")[0], signal.SIGKILL)
    hold.touch()
    wait_until(lambda: not processes(workspace.root, "app.jobs.worker"), what="the worker's own end")
    assert state(workspace, job_id) == "running"
    supervise(house, workspace.root)
    assert ended(workspace, job_id, wait_until).state == "done"
    assert numbers(workspace, job_id) == [1, 2, 3]


def test_when_everything_is_killed_the_job_is_told_as_crashed_and_resumes_from_its_checkpoint(
    house: Path, workspace: Store, tmp_path: Path, wait_until: Wait
) -> None:
    hold = tmp_path / "go"
    job_id = enqueue(workspace, "echo.count", to=6, hold=str(hold), hold_from=4)
    waiting = enqueue(workspace, "echo.haul", "heavy", to=2)
    supervise(house, workspace.root)
    wait_until(lambda: numbers(workspace, job_id) == [1, 2, 3], what="the first numbers")
    ended(workspace, waiting, wait_until)
    queued = enqueue(workspace, "echo.count", to=1)
    for module in ("app.jobs.supervisor", "app.jobs.worker"):
        for pid in processes(workspace.root, module):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes(workspace.root, "app.jobs.worker"))
    supervise(house, workspace.root)
    crashed = ended(workspace, job_id, wait_until)
    assert (crashed.state, crashed.reason) == ("failed", "crashed")
    assert ended(workspace, queued, wait_until).state == "done"
    hold.touch()
    jobs.requeue(workspace, job_id)
    supervise(house, workspace.root)
    job = ended(workspace, job_id, wait_until)
    assert job.summary == {"reached": 6, "began_at": 4, "attempt": 2}
    assert numbers(workspace, job_id) == [1, 2, 3, 4, 5, 6]


def test_a_job_whose_supervisor_died_before_it_could_start_it_is_started_by_the_next(
    house: Path, workspace: Store, wait_until: Wait
) -> None:
    job_id = enqueue(workspace, "echo.count", to=1)
    jobs.claim(workspace, job_id, "a-nonce-of-nobody")
    supervise(house, workspace.root)
    assert ended(workspace, job_id, wait_until).state == "done"


def test_another_process_with_the_pid_of_a_dead_worker_is_left_alone(
    house: Path, workspace: Store, wait_until: Wait
) -> None:
    job_id = enqueue(workspace, "echo.count", to=1)
    jobs.claim(workspace, job_id, "a-nonce-of-nobody")
    jobs.set_process(workspace, job_id, os.getpid(), "1")
    supervise(house, workspace.root)
    assert ended(workspace, job_id, wait_until).reason == "crashed"


def test_many_jobs_at_once_all_run_and_the_supervisor_leaves_when_nothing_is_left(
    house: Path, workspace: Store, wait_until: Wait
) -> None:
    ids = [enqueue(workspace, "echo.count", to=2) for _ in range(8)]
    supervise(house, workspace.root)
    supervise(house, workspace.root)
    for job_id in ids:
        assert ended(workspace, job_id, wait_until, timeout=30).state == "done"
    assert len(processes(workspace.root, "app.jobs.supervisor")) <= 1
    wait_until(lambda: not processes(workspace.root, "app.jobs.supervisor"), what="the supervisor's leaving")


def test_a_worker_sees_no_secret_no_network_and_yields_to_the_screen(
    house: Path, workspace: Store, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    job_id = enqueue(workspace, "echo.look")
    supervise(house, workspace.root)
    seen = ended(workspace, job_id, wait_until).summary or {}
    assert seen["connection"] == "NetworkBlocked"
    assert "OPENAI_API_KEY" not in seen["environment"] and "HF_HUB_OFFLINE" in seen["environment"]
    assert seen["niceness"] >= 10 and seen["folder"] == str(workspace.root)
    assert seen["house"] == [str(house)] * 2


def test_stopping_or_resuming_what_cannot_be_is_a_sentence(workspace: Store) -> None:
    job_id = enqueue(workspace, "echo.count", to=1)
    jobs.finish(workspace, job_id, "done", "done")
    with pytest.raises(Exception, match="has already ended"):
        runner.stop(workspace, job_id)
    with pytest.raises(Exception, match="is done; there is nothing left to resume"):
        runner.resume(workspace, job_id)
