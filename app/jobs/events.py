"""The journal between a worker and its supervisor: one JSON object a line, only ever appended.

A worker reports through this file and through nothing else, so it can outlive its supervisor, run on
another machine, and be killed between any two bytes: a line counts when its newline is there. The reader
hands back the byte offset it has reached; whoever stores that offset in the transaction that stores the
events takes every event in exactly once.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = dict[str, Any]
JOURNAL = "events.jsonl"
MOST_BYTES_AT_ONCE = 1 << 20
"""A batch never holds more than this, so that one chatty worker cannot hold the write lock for long."""


class EventWriter:
    """Appends events to a journal; every event is in the kernel's hands when `emit` returns.

    A torn last line of a killed attempt is closed first, so that it can never swallow the first event of
    this one.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        self._attempt = attempt
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def emit(self, event: Event, *, durable: bool = False) -> None:
        """Append one event; with `durable` it is on the disk when this returns. OSError (disk full)
        passes on.
        """
        line = encode({**event, "attempt": self._attempt})
        while line:
            line = line[os.write(self._file, line) :]
        if durable:
            os.fsync(self._file)

    def close(self) -> None:
        """Close the journal; emitting afterwards is an error."""
        os.close(self._file)


def encode(event: Event) -> bytes:
    """One line of the journal: plain ASCII, NaN and infinities as null, whatever JSON cannot say as its
    text.
    """
    return json.dumps(_plain(event), separators=(",", ":"), allow_nan=False, default=str).encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Batch:
    """What one read found: whole events, the offset behind the last of them, and how many lines were
    unreadable.
    """

    events: list[Event]
    offset: int
    unreadable: int


def read_events(path: Path, offset: int, *, most: int = 500) -> Batch:
    """Up to `most` whole events from byte `offset` on; a line without its newline stays for the next read.

    A journal that does not exist yet is empty. Lines that are not a JSON object are counted, never raised: a
    killed worker may have left half a line.
    """
    try:
        with path.open("rb") as journal:
            journal.seek(offset)
            data = journal.read(MOST_BYTES_AT_ONCE)
            if data and b"\n" not in data:
                data += journal.readline()
    except FileNotFoundError:
        return Batch([], offset, 0)
    events: list[Event] = []
    unreadable = 0
    for line in data.split(b"\n")[:-1][:most]:
        offset += len(line) + 1
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and isinstance(event.get("kind"), str):
            events.append(event)
        elif line:
            unreadable += 1
    return Batch(events, offset, unreadable)
