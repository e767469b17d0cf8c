"""Jobs, their events and metrics, and the lineage they leave. Only a workspace's supervisor writes events."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from store.errors import NotFound
from store.hashing import dumps
from store.workspace import NEWEST, Store, now

LIVE = ("queued", "running", "stopping")


@dataclass(frozen=True)
class Job:
    """One run of an operation. `rate` is progress units a second; `reason` says in a word or two how it ended."""

    id: int
    operation: str
    stage: str
    kind: str
    spec: dict[str, Any]
    title: str
    state: str
    reason: str
    error: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    pid: int | None
    pid_start: str | None
    nonce: str | None
    attempt: int
    event_offset: int
    progress_done: float | None
    progress_total: float | None
    progress_note: str
    progress_unit: str
    rate: float | None
    outputs: list[dict[str, Any]]
    summary: dict[str, Any] | None
    stop_requested: bool
    parent_job_id: int | None

    @property
    def name(self) -> str:
        return self.title

    @property
    def ref(self) -> str:
        return str(self.id)


@dataclass(frozen=True)
class Event:
    """Something a worker reported; `payload` is what it said, by kind."""

    id: int
    at: str
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """A measured value; None stands for not-a-number."""

    id: int
    name: str
    step: float | None
    value: float | None
    at: str


@dataclass(frozen=True)
class Edge:
    """One step of lineage: a job read (`in`) or made (`out`) a thing."""

    job_id: int
    direction: str
    noun: str
    noun_id: int
    ref: str
    hash: str


def enqueue(
    store: Store,
    operation: str,
    stage: str,
    kind: str,
    spec: Mapping[str, Any],
    title: str,
    parent_job_id: int | None = None,
) -> Job:
    """Put a job at the end of the queue, durably."""
    with store.write(durable=True) as connection:
        job_id = connection.execute(
            "INSERT INTO jobs (operation, stage, kind, spec, title, state, created_at, parent_job_id) "
            "VALUES (?, ?, ?, ?, ?, 'queued', ?, ?)",
            (operation, stage, kind, dumps(dict(spec)), title, now(), parent_job_id),
        ).lastrowid
        return _one(connection, job_id)


def claim(store: Store, job_id: int, nonce: str) -> Job | None:
    """Move a queued job to running as the next attempt; None when somebody else did, or it is not queued."""
    with store.write(durable=True) as connection:
        changed = connection.execute(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, nonce = ?, started_at = ?, ended_at = NULL, "
            "pid = NULL, pid_start = NULL, reason = '', error = '' WHERE id = ? AND state = 'queued'",
            (nonce, now(), job_id),
        ).rowcount
        return _one(connection, job_id) if changed else None


def set_process(store: Store, job_id: int, pid: int, pid_start: str) -> None:
    """Keep which process works on the job; `pid_start` tells it from a later one with the same number."""
    with store.write(durable=True) as connection:
        connection.execute("UPDATE jobs SET pid = ?, pid_start = ? WHERE id = ?", (pid, pid_start, job_id))


def requeue(store: Store, job_id: int) -> None:
    """Put an ended or never started job back into the queue, for another attempt."""
    with store.write(durable=True) as connection:
        connection.execute(
            "UPDATE jobs SET state = 'queued', reason = '', error = '', stop_requested = 0, ended_at = NULL, "
            "pid = NULL, pid_start = NULL, nonce = NULL WHERE id = ?",
            (job_id,),
        )


def request_stop(store: Store, job_id: int) -> None:
    """Ask for the end of a live job; the supervisor sees to it."""
    with store.write(durable=True) as connection:
        connection.execute(
            "UPDATE jobs SET stop_requested = 1, state = CASE state WHEN 'running' THEN 'stopping' ELSE state END "
            "WHERE id = ? AND state IN ('queued', 'running', 'stopping')",
            (job_id,),
        )


def update_progress(
    store: Store,
    job_id: int,
    *,
    done: float | None,
    total: float | None,
    note: str = "",
    unit: str = "",
    rate: float | None = None,
) -> None:
    """How far a job is, in its own unit, and how fast in units a second."""
    with store.write() as connection:
        connection.execute(
            "UPDATE jobs SET progress_done = ?, progress_total = ?, progress_note = ?, "
            "progress_unit = CASE ? WHEN '' THEN progress_unit ELSE ? END, rate = ? WHERE id = ?",
            (done, total, note, unit, unit, rate, job_id),
        )


def finish(
    store: Store,
    job_id: int,
    state: str,
    reason: str,
    *,
    error: str | None = None,
    summary: Mapping[str, Any] | None = None,
    outputs: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write down how a live job ended; a job that has ended already keeps its end."""
    with store.write(durable=True) as connection:
        connection.execute(
            "UPDATE jobs SET state = ?, reason = ?, error = ?, summary = ?, outputs = ?, ended_at = ? "
            "WHERE id = ? AND state IN ('queued', 'running', 'stopping')",
            (
                state,
                reason,
                error or "",
                None if summary is None else dumps(dict(summary)),
                dumps([dict(output) for output in outputs]),
                now(),
                job_id,
            ),
        )


def append_events(store: Store, job_id: int, events: Iterable[Mapping[str, Any]], *, offset: int) -> None:
    """Take in what a worker reported and, in the same transaction, how far its journal has been read.

    Events of kind `metric` go to the metrics table, all others to the job's events.
    """
    with store.write() as connection:
        for event in events:
            at = str(event.get("at") or now())
            if event["kind"] == "metric":
                value, step = event.get("value"), event.get("step")
                connection.execute(
                    "INSERT INTO metrics (job_id, name, step, value, at) VALUES (?, ?, ?, ?, ?)",
                    (
                        job_id,
                        str(event["name"]),
                        None if step is None else float(step),
                        None if value is None else float(value),
                        at,
                    ),
                )
                continue
            payload = {key: value for key, value in event.items() if key not in ("kind", "at")}
            connection.execute(
                "INSERT INTO job_events (job_id, at, kind, data) VALUES (?, ?, ?, ?)",
                (job_id, at, str(event["kind"]), dumps(payload)),
            )
        connection.execute("UPDATE jobs SET event_offset = ? WHERE id = ?", (offset, job_id))


def events(store: Store, job_id: int, *, after: int = 0, limit: int = 500) -> list[Event]:
    """The job's events behind the row id `after`, oldest first."""
    found = store.read().execute(
        "SELECT id, at, kind, data FROM job_events WHERE job_id = ? AND id > ? ORDER BY id LIMIT ?",
        (job_id, after, limit),
    )
    return [Event(row["id"], row["at"], row["kind"], json.loads(row["data"])) for row in found]


def metrics(
    store: Store, job_id: int, name: str | None = None, *, after: int = 0, limit: int = 100_000
) -> list[Metric]:
    """The job's metrics behind the row id `after`, oldest first; of one name, or of all."""
    of_name = "AND name = ?" if name is not None else ""
    found = store.read().execute(
        f"SELECT id, name, step, value, at FROM metrics WHERE job_id = ? AND id > ? {of_name} ORDER BY id LIMIT ?",
        (job_id, after, *([name] if name is not None else []), limit),
    )
    return [Metric(**dict(row)) for row in found]


def job(store: Store, job_id: int) -> Job:
    """The job with this id, NotFound with a sentence when there is none."""
    return _one(store.read(), job_id)


def list_jobs(
    store: Store, *, states: Sequence[str] | None = None, limit: int = 50, before: int | None = None
) -> list[Job]:
    """Jobs, newest first, of the given states or of all, with an id below `before`."""
    wanted = tuple(states or ())
    marks = ",".join("?" * len(wanted))
    where = f"AND state IN ({marks})" if wanted else ""
    found = store.read().execute(
        f"SELECT * FROM jobs WHERE id < ? {where} ORDER BY id DESC LIMIT ?",
        (NEWEST if before is None else before, *wanted, limit),
    )
    return [_job(row) for row in found]


def add_lineage(
    store: Store,
    job_id: int,
    direction: str,
    noun: str,
    noun_id: int,
    ref: str,
    hash: str = "",
) -> None:
    """Keep that the job read (`in`) or made (`out`) a thing; saying it twice counts once."""
    with store.write() as connection:
        connection.execute(
            "INSERT INTO lineage (job_id, direction, noun, noun_id, ref, hash) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (job_id, direction, noun, noun_id, ref, hash),
        )


def lineage(store: Store, noun: str, noun_id: int) -> list[Edge]:
    """Every job that read or made this thing, oldest first."""
    found = store.read().execute(
        "SELECT job_id, direction, noun, noun_id, ref, hash FROM lineage WHERE noun = ? AND noun_id = ? ORDER BY id",
        (noun, noun_id),
    )
    return [Edge(**dict(row)) for row in found]


def lineage_of_job(store: Store, job_id: int) -> list[Edge]:
    """What a job read and made, in the order it said so."""
    found = store.read().execute(
        "SELECT job_id, direction, noun, noun_id, ref, hash FROM lineage WHERE job_id = ? ORDER BY id",
        (job_id,),
    )
    return [Edge(**dict(row)) for row in found]


def _one(connection: sqlite3.Connection, job_id: int | None) -> Job:
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no job {job_id} in this workspace. `lathe show jobs` lists them.")
    return _job(row)


def _job(row: sqlite3.Row) -> Job:
    return Job(
        **{
            **dict(row),
            "spec": json.loads(row["spec"]),
            "outputs": json.loads(row["outputs"]),
            "summary": None if row["summary"] is None else json.loads(row["summary"]),
            "stop_requested": bool(row["stop_requested"]),
        }
    )
