"""Whatever happens to jobs in whatever order: an end stays an end, a number is counted once, one heavy job runs.

The supervisor and the store are the real ones; workers are played by an executor in memory, so that thousands of
orders take seconds.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.jobs.events import JOURNAL, EventWriter
from app.jobs.executor import Exit, Launch
from app.jobs.processes import Handle
from app.jobs.supervisor import Supervisor
from store import jobs
from store.workspace import open_store


@dataclass
class Played:
    """A worker that does what the test says."""

    handle: Handle
    job_id: int
    kind: str
    journal: EventWriter
    deaf: bool
    ended: Exit | None = None


@dataclass
class Stage:
    """An executor whose workers live in memory; they outlive any supervisor, as real ones do."""

    workers: list[Played] = field(default_factory=list)
    deaf: bool = False

    def start(self, launch: Launch) -> Handle:
        order = json.loads((launch.folder / "spec.json").read_text(encoding="utf-8"))
        handle = Handle(1000 + len(self.workers), str(len(self.workers)), launch.nonce)
        journal = EventWriter(launch.folder / JOURNAL, order["attempt"])
        journal.emit({"kind": "started", "pid": handle.pid, "started": handle.started, "nonce": handle.nonce})
        kind = order["values"]["kind"]
        self.workers.append(Played(handle, launch.job_id, kind, journal, self.deaf))
        return handle

    def _played(self, handle: Handle) -> Played | None:
        return next((worker for worker in self.workers if worker.handle == handle), None)

    def poll(self, handle: Handle) -> Exit | None:
        worker = self._played(handle)
        return Exit(None) if worker is None else worker.ended

    def find(self, nonce: str) -> Handle | None:
        alive = (worker.handle for worker in self.workers if worker.ended is None)
        return next((handle for handle in alive if handle.nonce == nonce), None)

    def resident_bytes(self, handle: Handle) -> int:
        return 1 << 20

    def signal(self, handle: Handle) -> None:
        worker = self._played(handle)
        if worker is not None and worker.ended is None and not worker.deaf:
            end(worker, "stopped")

    def kill(self, handle: Handle) -> None:
        worker = self._played(handle)
        if worker is not None and worker.ended is None:
            worker.ended = Exit(-9)


def end(worker: Played, state: str) -> None:
    worker.journal.emit({"kind": "end", "state": state, "reason": state, "summary": {}})
    worker.ended = Exit(0)


class AnyOrder(RuleBasedStateMachine):
    """Enqueue, run, report, end, crash, stop, resume, kill the supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lathe-order-"))
        self.store = open_store(self.folder / "W", create=True)
        self.now, self.numbers = 0.0, 0
        self.stage = Stage()
        self.said: dict[int, list[float]] = {}
        self.ends: dict[int, tuple[str, str]] = {}
        self.supervisor = Supervisor(self.store, self.stage, lambda: self.now)

    def teardown(self) -> None:
        try:
            for worker in self.running():
                worker.deaf = False
            for job in jobs.list_jobs(self.store, states=jobs.LIVE):
                jobs.request_stop(self.store, job.id)
            self.time_passes(12)
            assert not self.running(), "a worker was left running"
            assert not jobs.list_jobs(self.store, states=jobs.LIVE), "a job was left without an end"
            for job_id, said in self.said.items():
                assert self.counted(job_id) == said
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    def running(self) -> list[Played]:
        return [worker for worker in self.stage.workers if worker.ended is None]

    def counted(self, job_id: int) -> list[Any]:
        return [metric.value for metric in jobs.metrics(self.store, job_id)]

    @rule(kind=st.sampled_from(["worker", "heavy"]))
    def enqueue(self, kind: str) -> None:
        job = jobs.enqueue(self.store, "played", "played", kind, {"kind": kind}, "played")
        self.said[job.id] = []

    @rule(deaf=st.booleans())
    def next_workers_are(self, deaf: bool) -> None:
        self.stage.deaf = deaf

    @rule(steps=st.integers(1, 3))
    def time_passes(self, steps: int) -> None:
        for _ in range(steps):
            self.now += 1.0
            self.supervisor.step()

    @precondition(lambda self: self.running())
    @rule(data=st.data(), count=st.integers(1, 4))
    def a_worker_reports(self, data: st.DataObject, count: int) -> None:
        worker = data.draw(st.sampled_from(self.running()))
        for _ in range(count):
            self.numbers += 1
            worker.journal.emit({"kind": "metric", "name": "n", "value": float(self.numbers)})
            self.said[worker.job_id].append(float(self.numbers))

    @precondition(lambda self: self.running())
    @rule(data=st.data(), state=st.sampled_from(["done", "failed"]))
    def a_worker_ends(self, data: st.DataObject, state: str) -> None:
        end(data.draw(st.sampled_from(self.running())), state)

    @precondition(lambda self: self.running())
    @rule(data=st.data(), status=st.sampled_from([-9, -11, 1, 28]))
    def a_worker_dies(self, data: st.DataObject, status: int) -> None:
        data.draw(st.sampled_from(self.running())).ended = Exit(status)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def somebody_stops_a_job(self, data: st.DataObject) -> None:
        jobs.request_stop(self.store, data.draw(st.sampled_from(sorted(self.said))))

    @precondition(lambda self: self.ends)
    @rule(data=st.data())
    def somebody_resumes_a_job(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.ends)))
        if self.ends[job_id][0] != "done":
            del self.ends[job_id]
            jobs.requeue(self.store, job_id)

    @rule()
    def the_supervisor_is_killed(self) -> None:
        self.supervisor = Supervisor(self.store, self.stage, lambda: self.now)
        self.supervisor.adopt()

    @invariant()
    def an_end_stays_an_end(self) -> None:
        for job in jobs.list_jobs(self.store, limit=1000):
            if job.state not in jobs.LIVE:
                assert self.ends.setdefault(job.id, (job.state, job.reason)) == (job.state, job.reason)
                assert job.reason and job.ended_at

    @invariant()
    def one_heavy_job_runs_and_no_job_twice(self) -> None:
        running = self.running()
        assert sum(worker.kind == "heavy" for worker in running) <= 1
        assert len({worker.job_id for worker in running}) == len(running)

    @invariant()
    def what_is_counted_was_said_in_that_order_and_once(self) -> None:
        for job_id, said in self.said.items():
            counted = self.counted(job_id)
            assert counted == said[: len(counted)]


AnyOrder.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
TestAnyOrder = AnyOrder.TestCase
