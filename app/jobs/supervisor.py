"""The one small process per workspace that lives while jobs do: `python -P -m app.jobs.supervisor ROOT`.

It launches the queue, takes in what workers report, stops them, and says why they ended. It holds no
state that is not in the store: killed at any moment, the next one finds the workers again (pid, start
time and nonce) and carries on; it leaves by itself when there has been nothing to do for a while.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from app.jobs import offline, reasons
from app.jobs.executor import LOG, Executor, Launch, LocalExecutor
from app.jobs.intake import Intake
from app.jobs.keeper import take_lock
from app.jobs.processes import Handle
from app.jobs.worker import ORDER
from store import jobs, settings
from store.errors import LatheError, StoreBroken
from store.workspace import Store, open_store

TICK_SECONDS = 0.05
TAKE_IN_EVERY_SECONDS = 0.25
MEMORY_EVERY_SECONDS = 0.5
LOOK_ANYWAY_EVERY_SECONDS = 1.0
LEAVE_AFTER_SECONDS = 5.0
INSIST_AFTER_SECONDS = 2.0
KILL_AFTER_SECONDS = 5.0
LIGHT_WORKERS = 4
MOST_LIVE_JOBS = 100_000


@dataclass
class _Watched:
    """A worker that runs: its process, the end of its journal that we read, and how its stop stands."""

    job: jobs.Job
    handle: Handle
    folder: Path
    intake: Intake
    memory: reasons.Memory = field(default_factory=reasons.Memory)
    taken_in_at: float = 0.0
    measured_at: float = 0.0
    asked_at: float | None = None
    insisted: bool = False
    killed: bool = False


class Supervisor:
    """The queue of one workspace. `step` is one look around; `run` looks around until nothing is left to
    do.
    """

    def __init__(self, store: Store, executor: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._executor = executor
        self._watched: dict[int, _Watched] = {}
        self._seen: int | None = None
        self._looked_at = 0.0
        self._live: list[jobs.Job] = []
        self.leaving = False

    def adopt(self) -> None:
        """Find the workers of an earlier supervisor again; put down what became of those that are gone."""
        for job in jobs.list_jobs(self._store, states=("running", "stopping")):
            folder = self._folder(job.id)
            intake = Intake(self._store, job, folder)
            if intake.take_in(self._clock()):
                continue
            handle = self._handle_of(job)
            if handle is not None:
                self._watched[job.id] = _Watched(job, handle, folder, intake)
                continue
            if intake.take_in(self._clock()):  # its last words may have come between the two looks
                continue
            if intake.started or job.pid is not None:
                memory = reasons.Memory(oom_kills=reasons.oom_kills())
                intake.finish(reasons.of_exit(None, memory, folder / LOG, asked=job.stop_requested))
            elif job.stop_requested:
                intake.finish(reasons.Ending("stopped", "stopped"))
            else:
                jobs.requeue(self._store, job.id)  # the supervisor was killed before it could start anything

    def step(self) -> bool:
        """Look around once: launch, take in, stop, bury. False when there is nothing to do."""
        moment = self._clock()
        changed = self._store.changed()
        if changed != self._seen or moment - self._looked_at > LOOK_ANYWAY_EVERY_SECONDS:
            self._seen, self._looked_at = changed, moment
            self._live = jobs.list_jobs(self._store, states=jobs.LIVE, limit=MOST_LIVE_JOBS)
            self._mark_stops(moment)
            self._launch()
        for watched in list(self._watched.values()):
            self._tend(watched, moment)
        return bool(self._live or self._watched)

    def run(self) -> None:
        """Work until there has been nothing to do for a while, or until told to leave; workers stay."""
        idle_since = time.monotonic()
        while not self.leaving and time.monotonic() - idle_since < LEAVE_AFTER_SECONDS:
            if not self._store.path.exists():
                self._abandon()
                return
            try:
                if self.step():
                    idle_since = time.monotonic()
            except (StoreBroken, OSError):
                # A full disk, most likely: journals keep what workers say until there is room again.
                with suppress(OSError):  # the log may lie on the same disk
                    traceback.print_exc()
                time.sleep(1)
            time.sleep(TICK_SECONDS)

    def _mark_stops(self, moment: float) -> None:
        for job in self._live:
            if not job.stop_requested:
                continue
            watched = self._watched.get(job.id)
            if watched is not None and watched.asked_at is None:
                watched.asked_at = moment
                self._executor.signal(watched.handle)
            elif watched is None and job.state == "queued":
                jobs.finish(self._store, job.id, "stopped", "stopped", outputs=job.outputs)

    def _launch(self) -> None:
        running = [watched.job.kind for watched in self._watched.values()]
        heavy, light = running.count("heavy"), len(running) - running.count("heavy")
        for job in sorted(self._live, key=lambda job: job.id):
            if job.state != "queued" or job.stop_requested or job.id in self._watched:
                continue
            if job.kind == "heavy":
                if heavy == 0 and self._start(job):
                    heavy += 1
            elif light < LIGHT_WORKERS and self._start(job):
                light += 1

    def _start(self, job: jobs.Job) -> bool:
        nonce = secrets.token_hex(8)
        claimed = jobs.claim(self._store, job.id, nonce)
        if claimed is None:
            return False
        folder = self._folder(job.id)
        network = settings.get(self._store, "network") is True
        intake = Intake(self._store, claimed, folder)
        memory = reasons.Memory(oom_kills=reasons.oom_kills())
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_order(folder, claimed, nonce, network)
            handle = self._executor.start(Launch(self._store.root, job.id, nonce, folder, network))
        except OSError as error:
            intake.finish(reasons.of_exception(error, folder / LOG))
            return False
        jobs.set_process(self._store, job.id, handle.pid, handle.started)
        self._watched[job.id] = _Watched(claimed, handle, folder, intake, memory)
        return True

    def _tend(self, watched: _Watched, moment: float) -> None:
        gone = self._executor.poll(watched.handle)
        if gone is not None or moment - watched.taken_in_at >= TAKE_IN_EVERY_SECONDS:
            watched.taken_in_at = moment
            watched.intake.take_in(moment)
        if gone is None:
            self._measure(watched, moment)
            self._insist(watched, moment)
            return
        if not watched.intake.ended:
            log = watched.folder / LOG
            asked = watched.asked_at is not None
            ending = reasons.of_exit(gone.status, watched.memory, log, asked=asked, insisted=watched.killed)
            watched.intake.finish(ending)
        del self._watched[watched.job.id]
        self._seen = None  # a place is free: look at the queue again at once

    def _insist(self, watched: _Watched, moment: float) -> None:
        """Stop in three steps: asked (the operation sees it), broken into (SIGTERM again), ended
        (SIGKILL).
        """
        if watched.intake.ended and watched.asked_at is None:
            watched.asked_at = moment  # its end is written down: a process that stays anyway is helped out
        if watched.asked_at is None:
            return
        waited = moment - watched.asked_at
        if waited > KILL_AFTER_SECONDS and not watched.killed:
            watched.killed = True
            self._executor.kill(watched.handle)
        elif waited > INSIST_AFTER_SECONDS and not watched.insisted:
            watched.insisted = True
            self._executor.signal(watched.handle)

    def _measure(self, watched: _Watched, moment: float) -> None:
        if moment - watched.measured_at < MEMORY_EVERY_SECONDS:
            return
        watched.measured_at = moment
        memory = watched.memory
        memory.resident = self._executor.resident_bytes(watched.handle)
        memory.peak = max(memory.peak, memory.resident)
        memory.available, memory.total = reasons.machine_memory()

    def _handle_of(self, job: jobs.Job) -> Handle | None:
        """The living worker of `job`, by what the store knows of it or else by its nonce."""
        if not job.nonce:
            return None
        if job.pid is None:
            return self._executor.find(job.nonce)
        handle = Handle(job.pid, job.pid_start or "", job.nonce)
        return handle if self._executor.poll(handle) is None else None

    def _abandon(self) -> None:
        """The workspace was removed under us: nobody can want its workers any more."""
        for watched in self._watched.values():
            self._executor.kill(watched.handle)

    def _folder(self, job_id: int) -> Path:
        return self._store.root / "jobs" / str(job_id)


def _write_order(folder: Path, job: jobs.Job, nonce: str, network: bool) -> None:
    order = {
        "operation": job.operation,
        "stage": job.stage,
        "values": job.spec,
        "attempt": job.attempt,
        "nonce": nonce,
        "network": network,
    }
    fresh = folder / f"{ORDER}.new"
    fresh.write_text(json.dumps(order), encoding="utf-8")
    fresh.replace(folder / ORDER)


def supervise(root: Path) -> None:
    """Be the supervisor of `root` until there is nothing left to do; return at once when there is one."""
    lock = take_lock(root)
    while lock is not None:
        store = open_store(root)
        offline.install(False, root)
        supervisor = Supervisor(store, LocalExecutor())

        def leave(number: int, frame: FrameType | None, supervisor: Supervisor = supervisor) -> None:
            supervisor.leaving = True

        signal.signal(signal.SIGTERM, leave)
        supervisor.adopt()
        supervisor.run()
        os.close(lock)
        # Who enqueued while the lock was held saw a supervisor and started none: look once more without it.
        if (
            supervisor.leaving
            or not store.path.exists()
            or not jobs.list_jobs(store, states=jobs.LIVE, limit=1)
        ):
            return
        store.close()
        lock = take_lock(root)


def main(arguments: list[str]) -> None:
    """Leave the terminal and the parent, then supervise the workspace in `arguments[0]`."""
    if os.fork():
        os._exit(0)  # whoever started us waits for this one, and never has to bury the supervisor
    os.setsid()
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        supervise(Path(arguments[0]))
    except LatheError as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is the supervisor's log


if __name__ == "__main__":
    main(sys.argv[1:])
