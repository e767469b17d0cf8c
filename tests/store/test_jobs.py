"""Jobs: claimed once, ended once, their journal taken in once, their lineage kept."""

from __future__ import annotations

import threading

import pytest

from store import jobs
from store.errors import NotFound
from store.workspace import Store


@pytest.fixture
def job(workspace: Store) -> jobs.Job:
    return jobs.enqueue(workspace, "prompt.compare", "prompts", "heavy", {"prompt": "reply"}, "Compare reply")


def test_a_job_is_claimed_by_one_of_many(workspace: Store, job: jobs.Job) -> None:
    won: list[str] = []

    def claim(nonce: str) -> None:
        if jobs.claim(workspace, job.id, nonce) is not None:
            won.append(nonce)

    threads = [threading.Thread(target=claim, args=(str(index),)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    running = jobs.job(workspace, job.id)
    assert (running.state, running.attempt, running.nonce) == ("running", 1, won[0])


def test_a_job_ends_once(workspace: Store, job: jobs.Job) -> None:
    jobs.claim(workspace, job.id, "n")
    jobs.finish(
        workspace, job.id, "done", "done", summary={"cells_run": 3}, outputs=[{"noun": "evaluation", "id": 1}]
    )
    jobs.finish(workspace, job.id, "failed", "crashed: SIGKILL", error="too late")
    ended = jobs.job(workspace, job.id)
    assert (ended.state, ended.error, ended.summary) == ("done", "", {"cells_run": 3})
    assert ended.outputs == [{"noun": "evaluation", "id": 1}]


def test_another_attempt_starts_clean(workspace: Store, job: jobs.Job) -> None:
    jobs.claim(workspace, job.id, "first")
    jobs.request_stop(workspace, job.id)
    assert jobs.job(workspace, job.id).state == "stopping"
    jobs.finish(workspace, job.id, "stopped", "stopped")
    jobs.requeue(workspace, job.id)
    again = jobs.claim(workspace, job.id, "second")
    assert again is not None
    assert (again.attempt, again.stop_requested, again.reason) == (2, False, "")


def test_a_journal_is_taken_in_with_its_offset_or_not_at_all(workspace: Store, job: jobs.Job) -> None:
    batch = [
        {"kind": "log", "level": "info", "text": "started \ud800", "at": "2026-11-21T09:00:00.000Z"},
        {"kind": "metric", "name": "loss", "value": 2.5, "step": 1},
        {"kind": "metric", "name": "loss", "value": None, "step": 2},
        {"kind": "metric", "name": "loss", "value": float("nan"), "step": 3},
    ]
    with pytest.raises(KeyError):
        jobs.append_events(workspace, job.id, [*batch, {"text": "no kind"}], offset=99)
    assert jobs.events(workspace, job.id) == []
    assert jobs.job(workspace, job.id).event_offset == 0
    jobs.append_events(workspace, job.id, batch, offset=120)
    (log,) = jobs.events(workspace, job.id)
    assert (log.kind, log.payload) == ("log", {"level": "info", "text": "started \ufffd"})
    assert [(one.step, one.value) for one in jobs.metrics(workspace, job.id, "loss")] == [
        (1, 2.5),
        (2, None),
        (3, None),
    ]
    assert jobs.job(workspace, job.id).event_offset == 120


def test_events_and_metrics_are_followed_by_row(workspace: Store, job: jobs.Job) -> None:
    for number in range(10):
        events = [
            {"kind": "log", "text": str(number)},
            {"kind": "metric", "name": f"m{number % 2}", "value": number},
        ]
        jobs.append_events(workspace, job.id, events, offset=number)
    first = jobs.events(workspace, job.id, limit=4)
    assert [event.payload["text"] for event in jobs.events(workspace, job.id, after=first[-1].id)] == list(
        "456789"
    )
    assert [metric.value for metric in jobs.metrics(workspace, job.id, "m1")] == [1, 3, 5, 7, 9]
    everything = jobs.metrics(workspace, job.id)
    assert [metric.value for metric in everything] == list(range(10))
    assert jobs.metrics(workspace, job.id, after=everything[-2].id) == everything[-1:]


def test_progress_keeps_its_unit(workspace: Store, job: jobs.Job) -> None:
    jobs.update_progress(workspace, job.id, done=1, total=10, unit="cells", rate=2.0)
    jobs.update_progress(workspace, job.id, done=2, total=10, note="almost")
    now = jobs.job(workspace, job.id)
    assert (now.progress_done, now.progress_unit, now.progress_note, now.rate) == (2, "cells", "almost", None)


def test_jobs_are_listed_newest_first_by_state_and_in_pages(workspace: Store, job: jobs.Job) -> None:
    made = [jobs.enqueue(workspace, "op", "s", "worker", {}, f"job {number}") for number in range(6)]
    jobs.claim(workspace, made[0].id, "n")
    assert [one.id for one in jobs.list_jobs(workspace, states=("running",))] == [made[0].id]
    first = jobs.list_jobs(workspace, limit=3)
    second = jobs.list_jobs(workspace, limit=3, before=first[-1].id)
    assert [one.title for one in (*first, *second)] == [f"job {number}" for number in range(5, -1, -1)]
    with pytest.raises(NotFound, match="lathe show jobs"):
        jobs.job(workspace, 99)


def test_lineage_leads_from_a_thing_to_its_jobs_and_back(workspace: Store, job: jobs.Job) -> None:
    for _ in range(2):
        jobs.add_lineage(workspace, job.id, "in", "prompt_version", 3, "reply@2", "abc")
    jobs.add_lineage(workspace, job.id, "out", "evaluation", 1, "1")
    (edge,) = jobs.lineage(workspace, "prompt_version", 3)
    assert (edge.job_id, edge.direction, edge.ref) == (job.id, "in", "reply@2")
    assert [one.noun for one in jobs.lineage_of_job(workspace, job.id)] == ["prompt_version", "evaluation"]
