"""Starting, watching, stopping and resuming operations: what the screen and the command line both call."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.jobs import registry
from app.jobs.context import Context
from app.jobs.fields import leaves, plain
from app.jobs.keeper import LOG, ensure_supervisor, tend
from app.jobs.operation import Operation, Spec
from app.jobs.values import as_words, validated, with_absolute_paths
from store import jobs
from store.errors import BadInput, LatheError, NotFound
from store.workspace import Store

POLL_SECONDS = 0.05
TEND_EVERY_SECONDS = 1.0
MOST_STARTS = 60
"""Somebody may kill the supervisor now and then; one that never stays up has a fault that waiting cannot mend."""
Event = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """A finished operation: its job as it ended. `outputs` are what it made, `summary` what it found out."""

    job: jobs.Job

    @property
    def state(self) -> str:
        """done, stopped or failed."""
        return self.job.state

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """What the job made, each as noun, id and ref."""
        return list(self.job.outputs)

    @property
    def summary(self) -> dict[str, Any]:
        """The operation's own answer."""
        return self.job.summary or {}

    @property
    def seconds(self) -> float:
        """From start to end by the wall clock, never negative."""
        if not self.job.started_at or not self.job.ended_at:
            return 0.0
        begun, ended = (datetime.fromisoformat(at) for at in (self.job.started_at, self.job.ended_at))
        return round(max(0.0, (ended - begun).total_seconds()), 3)

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "job": self.job.id,
            "operation": self.job.operation,
            "state": self.job.state,
            "reason": self.job.reason,
            "seconds": self.seconds,
            "outputs": self.outputs,
            "summary": self.summary,
        } | ({"error": self.job.error} if self.job.error else {})


def start(
    store: Store,
    name: str,
    values: Mapping[str, Any] | Spec,
    *,
    base: Path | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> jobs.Job | Result:
    """Start the operation `name`: an inline one is finished on return, others are queued as a job.

    `values` as for `app.jobs.values.validated`; files in them are taken relative to `base` (the present
    folder). An inline operation hands its events to `on_event`. Raises SpecError for values that the spec
    does not take.
    """
    operation = registry.operation(name)
    spec = values if isinstance(values, operation.spec) else validated(operation.spec, dict(values))
    spec = with_absolute_paths(spec, base or Path.cwd())
    if operation.kind == "inline":
        return _run_here(store, operation, spec, on_event)
    job = _enqueue(store, operation, spec)
    ensure_supervisor(store.root)
    return job


def wait(
    store: Store,
    job_id: int,
    on_event: Callable[[Event], None] | None = None,
    *,
    after: int = 0,
    each_look: Callable[[], None] | None = None,
) -> Result:
    """Wait for the end of a job, handing on its events after row `after` and its job row as it changes.

    `on_event` gets every stored event, and `{"kind": "job", "job": Job}` whenever the job's row changed;
    `each_look` is called about twenty times a second.
    """
    last: jobs.Job | None = None
    seen: int | None = None
    tended, started = time.monotonic(), 0
    while True:
        if each_look is not None:
            each_look()
        changed = store.changed()
        if changed != seen:
            seen = changed
            job = jobs.job(store, job_id)
            if on_event is not None:
                while told := jobs.events(store, job_id, after=after):
                    after = told[-1].id
                    for event in told:
                        on_event({"kind": event.kind, **event.payload})
                if job != last:
                    on_event({"kind": "job", "job": job})
            last = job
            if job.state not in jobs.LIVE:
                return Result(job)
        if time.monotonic() - tended > TEND_EVERY_SECONDS:
            tended = time.monotonic()
            started += ensure_supervisor(store.root)  # somebody may have killed it under us
            if started > MOST_STARTS:
                raise LatheError(
                    f"The process that looks after jobs ends again and again. Its log is {store.root / LOG}; job "
                    f"{job_id} waits in the queue."
                )
        time.sleep(POLL_SECONDS)


def stop(store: Store, job_id: int) -> jobs.Job:
    """Ask a job to stop: a queued one is taken out, a running one ends within a second, or is ended after
    five.
    """
    job = jobs.job(store, job_id)
    if job.state not in jobs.LIVE:
        raise BadInput(f"Job {job_id} has already ended ({job.reason}).")
    jobs.request_stop(store, job_id)
    ensure_supervisor(store.root)
    return jobs.job(store, job_id)


def resume(store: Store, job_id: int) -> jobs.Job:
    """Queue another attempt at a job that ended early; it carries on from its last checkpoint."""
    job = jobs.job(store, job_id)
    if job.state in jobs.LIVE:
        raise BadInput(f"Job {job_id} has not ended yet: it is {job.state}.")
    if job.state == "done":
        raise BadInput(f"Job {job_id} is done; there is nothing left to resume.")
    if job.kind == "inline":
        raise BadInput(f"Job {job_id} ran at once and as a whole; run {job.operation} again instead.")
    jobs.requeue(store, job_id)
    ensure_supervisor(store.root)
    return jobs.job(store, job_id)


def command_line(job: jobs.Job) -> str:
    """The command that runs the same again."""
    try:
        spec = registry.operation(job.operation, job.stage).spec
    except NotFound:  # of a stage that this Lathe does not have
        words = [f"{name}={value}" for name, value in job.spec.items()]
    else:
        words = as_words(spec, job.spec)
    return shlex.join(["lathe", "run", job.operation, *words])


def title_of(operation: Operation, spec: Spec) -> str:
    """What the job is called in lists: the operation and the references it works on."""
    values: list[str] = []
    flat = plain(spec)
    for leaf in leaves(type(spec)):
        if leaf.fact("picks") and "." not in leaf.path and flat.get(leaf.path):
            given = flat[leaf.path] if isinstance(flat[leaf.path], list) else [flat[leaf.path]]
            short = [
                Path(item).name if leaf.fact("picks") in ("file", "folder") else str(item) for item in given
            ]
            values.append(",".join(short))
    return f"{operation.title}: {' · '.join(values)}" if values else operation.title


def _enqueue(store: Store, operation: Operation, spec: Spec) -> jobs.Job:
    return jobs.enqueue(
        store,
        operation.name,
        registry.stage_of(operation.name),
        operation.kind,
        plain(spec),
        title_of(operation, spec),
    )


def _run_here(
    store: Store, operation: Operation, spec: Spec, on_event: Callable[[Event], None] | None
) -> Result:
    """Run an inline operation: job, rows and lineage are one transaction, or nothing has happened."""
    events: list[Event] = []
    function = operation.function()
    with store.write(durable=True):
        job = _enqueue(store, operation, spec)
        jobs.claim(store, job.id, nonce="")
        context = Context(store, job.id, 1, store.root / "jobs" / str(job.id), events.append)
        summary = function(spec, context)
        context.flush()
        outputs = []
        for event in events:
            if event["kind"] in ("input", "output"):
                direction = "in" if event["kind"] == "input" else "out"
                jobs.add_lineage(
                    store, job.id, direction, event["noun"], event["id"], event["ref"], event["hash"]
                )
            if event["kind"] == "output":
                outputs.append({"noun": event["noun"], "id": event["id"], "ref": event["ref"]})
        jobs.finish(store, job.id, "done", "done", summary=summary, outputs=outputs)
    if on_event is not None:
        for event in events:
            on_event(event)
    return Result(jobs.job(store, job.id))


__all__ = [
    "Result",
    "command_line",
    "ensure_supervisor",
    "resume",
    "start",
    "stop",
    "tend",
    "title_of",
    "wait",
]
