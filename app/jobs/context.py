"""What an operation gets beside its spec: the store, a way to report, a way to be stopped, a way to
resume.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store.workspace import Store, now

Emit = Callable[[dict[str, Any]], None]
PROGRESS_EVERY_SECONDS = 0.1


class Stopped(BaseException):
    """The job was asked to stop. Not an `Exception`: no operation swallows it by accident."""


class Context:
    """The operation's side of a job.

    `store` and `root` are the workspace, `job_id` is what rows made here name as their maker, `attempt`
    counts from 1. Everything reported here reaches the job's log, its metrics and its lineage; rows of
    the domain the operation writes through the store itself.
    """

    def __init__(self, store: Store, job_id: int, attempt: int, folder: Path, emit: Emit) -> None:
        self.store = store
        self.root = store.root
        self.job_id = job_id
        self.attempt = attempt
        self.stopping = False
        """True from the moment the user asked for the end; `raise_if_stopped` is the usual way to ask."""
        self._folder = folder
        self._emit = emit
        self._held_back: dict[str, Any] | None = None
        self._progress_at = -PROGRESS_EVERY_SECONDS

    @property
    def folder(self) -> Path:
        """The job's own folder, made on first use; it stays the same over all attempts."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder

    def progress(self, done: float, total: float | None = None, note: str = "", unit: str = "") -> None:
        """How far the job is, in whatever `unit` it counts. Call it as often as you like: ten a second
        get out.
        """
        event = {"kind": "progress", "done": done, "total": total, "note": note, "unit": unit}
        moment = time.monotonic()
        if moment - self._progress_at < PROGRESS_EVERY_SECONDS and done != total:
            self._held_back = event | {"at": now()}
            return
        self._progress_at = moment
        self._held_back = None
        self._report(event)

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """One point of a curve. NaN and infinities are kept as gaps."""
        self._report({"kind": "metric", "name": name, "value": float(value), "step": step})

    def log(self, text: str, level: str = "info") -> None:
        """A line for whoever watches the job. `level`: info, warning or error."""
        self._report({"kind": "log", "level": level, "text": text})

    def publish(self, noun: str, id: int, ref: str, hash: str = "") -> None:  # noqa: A002 - the store's words
        """Say what this job made: an output in its result and an edge in the lineage."""
        self._report({"kind": "output", "noun": noun, "id": id, "ref": ref, "hash": hash})

    def used(self, noun: str, id: int, ref: str, hash: str = "") -> None:  # noqa: A002 - the store's words
        """Say what this job read: an edge in the lineage."""
        self._report({"kind": "input", "noun": noun, "id": id, "ref": ref, "hash": hash})

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Put down where a later attempt may carry on: whole and on the disk when this returns, or not at
        all.

        Big states are files of the operation's own beside it in `folder / "checkpoint"`, named in
        `state`.
        """
        target = self._checkpoint_file()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = target.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @property
    def resume_state(self) -> dict[str, Any] | None:
        """The last checkpoint of an earlier attempt (or of this one), None when there is none."""
        try:
            state: dict[str, Any] = json.loads(self._checkpoint_file().read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return state

    def raise_if_stopped(self) -> None:
        """Raise `Stopped` when the user asked for the end. Call it at least twice a second."""
        if self.stopping:
            raise Stopped

    def flush(self) -> None:
        """Let out progress that was held back to keep the journal short."""
        held, self._held_back = self._held_back, None
        if held is not None:
            self._emit(held)

    def _report(self, event: dict[str, Any]) -> None:
        self.flush()
        self._emit({"at": now(), **event})

    def _checkpoint_file(self) -> Path:
        return self._folder / "checkpoint" / "state.json"
