"""Why a job ended, in words a person can act on."""

from __future__ import annotations

import errno
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from app.jobs import reasons
from store.errors import BadInput, LatheError, StoreBroken

LOG = Path("/w/jobs/1/stdout.log")


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def full_database() -> StoreBroken:
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorname = "SQLITE_FULL"  # type: ignore[attr-defined]
    error = StoreBroken("The disk is full.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (OutOfMemoryError("CUDA out of memory"), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk full"),
        (OSError(errno.EFBIG, "File too large"), "disk full"),
        (full_database(), "disk full"),
        (BadInput("The file is empty."), "bad input"),
        (LatheError("The engine went away."), "failed"),
        (ZeroDivisionError("division by zero"), "failed"),
    ],
)
def test_an_exception_becomes_a_reason(error: BaseException, reason: str) -> None:
    ending = reasons.of_exception(error, LOG)
    assert (ending.state, ending.reason) == ("failed", reason)
    assert (ending.error and ending.error.endswith(".")) or reason == "failed"


def test_a_foreseen_error_is_its_own_sentence_and_another_points_to_the_log() -> None:
    assert reasons.of_exception(BadInput("The file is empty."), LOG).error == "The file is empty."
    told = reasons.of_exception(ZeroDivisionError("division by zero\nand more"), LOG).error
    assert told is not None and told.startswith("ZeroDivisionError: division by zero.") and str(LOG) in told


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (-signal.SIGSEGV, "crashed: SIGSEGV"),
        (-signal.SIGKILL, "crashed: SIGKILL"),
        (-64, "crashed: SIGRTMAX"),
        (3, "crashed"),
        (None, "crashed"),
        (reasons.DISK_FULL_STATUS, "disk full"),
        (reasons.OUT_OF_MEMORY_STATUS, "out of memory"),
    ],
)
def test_an_exit_without_a_word_becomes_a_reason(status: int | None, reason: str) -> None:
    calm = reasons.Memory(oom_kills=reasons.oom_kills())
    ending = reasons.of_exit(status, calm, LOG)
    assert (ending.state, ending.reason) == ("failed", reason)


def test_a_kill_while_memory_was_gone_reads_as_out_of_memory_and_says_how_much() -> None:
    starved = reasons.Memory(peak=3 << 30, available=100 << 20, total=4 << 30, oom_kills=reasons.oom_kills())
    ending = reasons.of_exit(-signal.SIGKILL, starved, LOG)
    assert ending.reason == "out of memory"
    assert ending.error is not None and "3.0 GiB" in ending.error and "4.0 GiB" in ending.error


def test_the_kernels_own_word_counts_more_than_a_guess() -> None:
    told = reasons.Memory(oom_kills=reasons.oom_kills() - 1)
    assert reasons.of_exit(-signal.SIGKILL, told, LOG).reason == "out of memory"


def test_a_job_that_was_ended_because_it_would_not_stop_is_stopped() -> None:
    ending = reasons.of_exit(-signal.SIGKILL, reasons.Memory(), LOG, insisted=True)
    assert (ending.state, ending.reason) == ("stopped", "stopped")


@pytest.mark.parametrize("status", [-signal.SIGTERM, reasons.STOPPED_STATUS, None])
def test_a_worker_that_was_asked_before_it_could_speak_is_stopped_not_crashed(status: int | None) -> None:
    assert reasons.of_exit(status, reasons.Memory(), LOG, asked=True).state == "stopped"
    assert reasons.of_exit(status, reasons.Memory(), LOG).state == "failed"


def test_a_real_allocation_beyond_the_limit_is_told_as_memory(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from app.jobs import reasons\n"
        "try: bytearray(1 << 40)\n"
        "except BaseException as error: print(reasons.of_exception(error, Path('log')).reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)),
    )
    assert done.stdout.strip() == "out of memory"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 40, "5120 GiB")]
)
def test_sizes_are_said_as_people_say_them(count: int, said: str) -> None:
    assert reasons.size(count) == said
