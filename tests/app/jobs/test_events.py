"""The journal between worker and supervisor: whole lines, in order, each of them once."""

from __future__ import annotations

import os
from pathlib import Path

from app.jobs.events import EventWriter, read_events


def test_what_is_written_is_read_in_order_and_once(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    writer = EventWriter(journal, attempt=2)
    writer.emit({"kind": "log", "text": "näch\nste Zeile \ud800"})
    writer.emit({"kind": "metric", "name": "loss", "value": float("nan")})
    first = read_events(journal, 0)
    assert [event["kind"] for event in first.events] == ["log", "metric"]
    assert first.events[0]["text"] == "näch\nste Zeile \ud800" and first.events[0]["attempt"] == 2
    assert first.events[1]["value"] is None
    assert read_events(journal, first.offset).events == []
    writer.emit({"kind": "end"})
    assert [event["kind"] for event in read_events(journal, first.offset).events] == ["end"]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    journal.write_bytes(b'{"kind":"log"}\n{"kind":"me')
    batch = read_events(journal, 0)
    assert len(batch.events) == 1 and batch.offset == 15 and batch.unreadable == 0
    with journal.open("ab") as file:
        file.write(b'tric"}\n')
    assert read_events(journal, batch.offset).events[0]["kind"] == "metric"


def test_a_torn_line_of_a_killed_attempt_swallows_nothing_of_the_next(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    journal.write_bytes(b'{"kind":"log"}\n{"kind":"me')
    EventWriter(journal, attempt=2).emit({"kind": "started"})
    batch = read_events(journal, 0)
    assert [event["kind"] for event in batch.events] == ["log", "started"]
    assert batch.unreadable == 1


def test_a_batch_has_a_limit_and_the_next_goes_on_behind_it(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    writer = EventWriter(journal, attempt=1)
    for number in range(25):
        writer.emit({"kind": "log", "n": number})
    seen, offset = [], 0
    while (batch := read_events(journal, offset, most=10)).events:
        assert len(batch.events) <= 10
        seen += [event["n"] for event in batch.events]
        offset = batch.offset
    assert seen == list(range(25))


def test_a_line_longer_than_a_batch_is_still_one_event(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    EventWriter(journal, attempt=1).emit({"kind": "log", "text": "x" * (3 << 20)})
    batch = read_events(journal, 0)
    assert len(batch.events) == 1 and batch.offset == journal.stat().st_size


def test_lines_that_are_not_events_are_counted_and_passed_over(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    journal.write_bytes(b'\x00\xff\n[1]\n{"no":"kind"}\n\n{"kind":"log"}\n')
    batch = read_events(journal, 0)
    assert [event["kind"] for event in batch.events] == ["log"] and batch.unreadable == 3


def test_a_journal_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none.jsonl", 0).events == []


def test_the_journal_is_private(tmp_path: Path) -> None:
    EventWriter(tmp_path / "events.jsonl", attempt=1)
    assert os.stat(tmp_path / "events.jsonl").st_mode & 0o077 == 0
