"""Taking a worker's journal into the store: the only writer of job events, metrics and lineage.

A batch, what it says about the job (progress, outputs, the end) and the offset behind it are one
transaction: after any kill the journal is read on from exactly where the store stands, so nothing is
counted twice and nothing is lost.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from app.jobs.events import JOURNAL, Event, read_events
from app.jobs.reasons import Ending
from store import jobs
from store.workspace import Store

RATE_OVER_SECONDS = 10.0
_LINEAGE = {"input": "in", "output": "out"}


class Intake:
    """The reading end of one job's journal; remembers where the store stands and how fast the job goes."""

    def __init__(self, store: Store, job: jobs.Job, folder: Path) -> None:
        self._store = store
        self._job_id = job.id
        self._attempt = job.attempt
        self._journal = folder / JOURNAL
        self._offset = job.event_offset
        self._outputs = list(job.outputs)
        self._points: deque[tuple[float, float]] = deque()
        self.started = False
        """True once this attempt's worker has said that it is there."""
        self.ended = False
        """True once this attempt's end stands in the store."""

    def take_in(self, moment: float) -> bool:
        """Take in everything that is there, in batches of at most 500; True once the attempt has ended.

        `moment` is monotonic seconds.
        """
        while self._take_in_batch(moment):
            continue
        return self.ended

    def _take_in_batch(self, moment: float) -> bool:
        batch = read_events(self._journal, self._offset)
        if batch.offset == self._offset:
            return False
        mine = [event for event in batch.events if event.get("attempt") == self._attempt]
        reached = [event for event in mine if event["kind"] == "progress"]
        rows = [event for event in batch.events if event["kind"] not in ("progress", "started")]
        if batch.unreadable:
            rows.append(
                {
                    "kind": "log",
                    "level": "warning",
                    "text": f"{batch.unreadable} unreadable lines of the journal were left out.",
                    "attempt": self._attempt,
                }
            )
        started = next((event for event in mine if event["kind"] == "started"), None)
        end = next((event for event in mine if event["kind"] == "end"), None)
        with self._store.write(durable=end is not None):
            jobs.append_events(self._store, self._job_id, rows, offset=batch.offset)
            if started is not None:
                # Kept even if whoever started it was killed before it could: a job that ran is never run twice.
                jobs.set_process(self._store, self._job_id, int(started["pid"]), str(started["started"]))
            for event in batch.events:
                if event["kind"] in _LINEAGE:
                    self._add_edge(event)
            if reached:
                self._update_progress(reached[-1], moment)
            if end is not None:
                self._finish(end)
        self._offset = batch.offset
        self.started = self.started or started is not None
        self.ended = self.ended or end is not None
        return True

    def _add_edge(self, event: Event) -> None:
        noun, noun_id, ref = str(event["noun"]), int(event["id"]), str(event["ref"])
        jobs.add_lineage(
            self._store,
            self._job_id,
            _LINEAGE[event["kind"]],
            noun,
            noun_id,
            ref,
            str(event.get("hash") or ""),
        )
        output = {"noun": noun, "id": noun_id, "ref": ref}
        if event["kind"] == "output" and output not in self._outputs:
            self._outputs.append(output)

    def _update_progress(self, event: Event, moment: float) -> None:
        done = float(event.get("done") or 0)
        if self._points and done < self._points[-1][1]:
            self._points.clear()  # a new phase counts from the beginning
        self._points.append((moment, done))
        while self._points[0][0] < moment - RATE_OVER_SECONDS and len(self._points) > 2:
            self._points.popleft()
        (first_at, first), seconds = self._points[0], moment - self._points[0][0]
        jobs.update_progress(
            self._store,
            self._job_id,
            done=done,
            total=event.get("total"),
            note=str(event.get("note") or ""),
            unit=str(event.get("unit") or ""),
            rate=(done - first) / seconds if seconds > 0 and first_at < moment else None,
        )

    def _finish(self, end: Event) -> None:
        summary: Any = end.get("summary")
        jobs.finish(
            self._store,
            self._job_id,
            end["state"],
            end["reason"],
            error=end.get("error"),
            summary=summary if isinstance(summary, dict) else None,
            outputs=self._outputs,
        )

    def finish(self, ending: Ending) -> None:
        """Write down the end of a worker that left without a word."""
        jobs.finish(
            self._store,
            self._job_id,
            ending.state,
            ending.reason,
            error=ending.error,
            summary=None,
            outputs=self._outputs,
        )
        self.ended = True
