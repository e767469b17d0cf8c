"""What a run says while it lasts: on a terminal a bar, in a pipe a line now and then, and never a control code."""

from __future__ import annotations

import dataclasses
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli_narration import Narration, as_json, progress_line
from store import jobs
from store.workspace import Store
from tests.app.jobs.house import answer, build, environment


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def job(workspace: Store) -> jobs.Job:
    job = jobs.enqueue(workspace, "echo.count", "echo", "worker", {}, "Count")
    return dataclasses.replace(job, state="running")


def test_progress_is_how_far_how_fast_and_how_long_still(job: jobs.Job) -> None:
    def said(**changes: object) -> str:
        return progress_line(dataclasses.replace(job, **changes))  # type: ignore[arg-type]

    assert said(progress_done=182.0, progress_total=320.0, rate=41.0) == "182 of 320 · 41/s · 3 s left"
    assert said(progress_done=7.0, progress_note="scoring") == "7 · scoring"
    assert said(progress_done=1.0, progress_total=7201.0, rate=1.0).endswith("2 h 0 min left")
    assert said(progress_done=5.0, progress_total=5.0, rate=2.0) == "5 of 5 · 2/s"


def test_in_a_pipe_progress_is_a_line_now_and_then(
    job: jobs.Job, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Narration() as narration:
        for done in range(100):
            clock[0] += 0.25
            narration.tell(
                {
                    "kind": "job",
                    "job": dataclasses.replace(job, progress_done=float(done), progress_total=100.0),
                }
            )
    captured = capsys.readouterr()
    assert captured.out == "" and 3 <= captured.err.count("\n") <= 5


def test_logs_are_told_with_their_level_and_made_safe(capsys: pytest.CaptureFixture[str]) -> None:
    with Narration() as narration:
        narration.tell({"kind": "log", "level": "warning", "text": "bad \x1b[2J row"})
    assert capsys.readouterr().err == "warning: bad ␛[2J row\n"


def test_json_stays_readable_and_carries_no_control_code() -> None:
    text = as_json({"a": "Grüße 日本 🙂", "b": "\x1b]0;x\x07\x9b\u202e\ud800"})
    assert "Grüße 日本 🙂" in text
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\ud800"} & set(text)


def test_on_a_terminal_a_bar_is_drawn_on_stderr_and_stdout_stays_data(
    house: Path, workspace: Store, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    hold = tmp_path / "go"
    words = ["to=3", f"hold={hold}", "hold_from=2", "--json", "--workspace", str(workspace.root)]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "app", "run", "echo.count", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=environment(house) | {"TERM": "xterm-256color"},
    )
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + 20
    while b"1 of 3" not in seen and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            seen += os.read(ours, 4096)
    hold.touch()
    out, _ = process.communicate(timeout=20)
    os.close(ours)
    assert b"1 of 3" in seen and b"\x1b[" in seen
    assert process.returncode == 0
    assert answer(subprocess.CompletedProcess([], 0, out, ""))["summary"]["reached"] == 3
