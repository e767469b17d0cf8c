"""Why a job ended, in words: the one place that turns exceptions, exit statuses and memory into a reason.

A reason is short and typed (`done`, `stopped`, `failed`, `bad input`, `out of memory`, `disk full`, `crashed:
SIGSEGV`); the sentence beside it says what happened and what to do next.
"""

from __future__ import annotations

import errno
import signal
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from store.errors import Ambiguous, BadInput, LatheError, NotFound, StoreBroken

BAD_INPUT = "bad input"
"""The reason of a job that could not begin with what it was given; `lathe run` ends as for its own bad
input.
"""
DISK_FULL_STATUS = 28
"""Exit status of a worker that could not even write why it ended: errno's number for a full disk."""
OUT_OF_MEMORY_STATUS = 12
"""Exit status of a worker that ran out of memory while it wrote why it ended."""

STOPPED_STATUS = 143
"""Exit status of a worker that was asked to stop before it could write anything: what shells make of
SIGTERM.
"""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Ending:
    """The end of one attempt: the state the job goes to, the short reason, and a sentence unless it is
    done.
    """

    state: Literal["done", "stopped", "failed"]
    reason: str
    error: str | None = None


@dataclass
class Memory:
    """What was seen of a worker's memory while it ran, in bytes; `oom_kills` counts the kernel's kills
    before it.
    """

    resident: int = 0
    peak: int = 0
    available: int = 0
    total: int = 0
    oom_kills: int = 0


def of_exception(error: BaseException, log: Path) -> Ending:
    """The ending of an operation that raised; what was not foreseen points to the traceback in the log."""
    if _is_out_of_memory(error):
        return Ending(
            "failed",
            "out of memory",
            "The job ran out of memory. Close other programs, or try a smaller model, context or batch.",
        )
    if _is_disk_full(error):
        return disk_full()
    if isinstance(error, BadInput | NotFound | Ambiguous):
        return Ending("failed", BAD_INPUT, str(error))
    if isinstance(error, LatheError):
        return Ending("failed", "failed", str(error))
    said = str(error).strip().splitlines()
    first = f"{type(error).__name__}: {said[0][:300]}" if said else type(error).__name__
    return Ending("failed", "failed", f"{first}. This is a fault in Lathe; the traceback is in {log}.")


def of_exit(
    status: int | None, memory: Memory, log: Path, *, asked: bool = False, insisted: bool = False
) -> Ending:
    """The ending of a worker that left without a word.

    `status` as in `Exit`; `asked` says that it was asked to stop, `insisted` that Lathe itself killed it
    because it did not.
    """
    if insisted:
        return Ending("stopped", "stopped", "The job did not stop when asked, so it was ended after 5 s.")
    if asked and status in (-signal.SIGTERM, STOPPED_STATUS, None):
        return Ending("stopped", "stopped")
    if status == DISK_FULL_STATUS:
        return disk_full()
    if status == OUT_OF_MEMORY_STATUS or (status in (-signal.SIGKILL, None) and _looks_starved(memory)):
        had = f" It held {size(memory.peak)} and the machine has {size(memory.total)}." if memory.peak else ""
        return Ending(
            "failed",
            "out of memory",
            f"Out of memory: the system ended the job.{had} Try a smaller model, context or batch.",
        )
    if status is None:
        return Ending(
            "failed",
            "crashed",
            "The job's process vanished while nobody watched (killed, or the machine went down). "
            "Resume it to carry on.",
        )
    if status < 0:
        name = _signal_name(-status)
        told = (
            "Somebody or the system killed the job's process."
            if status == -signal.SIGKILL
            else f"The job's process crashed ({name})."
        )
        return Ending("failed", f"crashed: {name}", f"{told} Its last words are in {log}.")
    return Ending(
        "failed",
        "crashed",
        f"The job's process ended by itself (status {status}). Its last words are in {log}.",
    )


def disk_full() -> Ending:
    """The ending of a job that could not write any more."""
    return Ending(
        "failed",
        "disk full",
        "The disk is full, so the job could not write any more. Make room (lathe run workspace.clean frees "
        "what is unused), then resume it.",
    )


def size(count: float) -> str:
    """Bytes as people say them: `3.1 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"


def oom_kills() -> int:
    """How often the kernel has killed for memory in this process's control group; 0 where it does not say."""
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="ascii").rpartition("::")[2].strip()
        text = Path(f"/sys/fs/cgroup{group}", "memory.events").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return 0
    counts = dict(line.split() for line in text.splitlines() if line.count(" ") == 1)
    return int(counts.get("oom_kill", 0))


def machine_memory() -> tuple[int, int]:
    """Memory that is available now, and in total, in bytes; zeros where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0, 0
    values = {line.partition(":")[0]: line.split()[1] for line in text.splitlines() if line.endswith("kB")}
    return int(values.get("MemAvailable", 0)) * 1024, int(values.get("MemTotal", 0)) * 1024


def _looks_starved(memory: Memory) -> bool:
    if oom_kills() > memory.oom_kills:
        return True
    # Without the kernel's word: it held a good part of the machine and almost nothing was left.
    return bool(memory.total) and memory.available < memory.total * 0.05 and memory.peak > memory.total * 0.2


def _is_out_of_memory(error: BaseException) -> bool:
    if (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    ):  # torch's own, unimported
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_SPACE
    if isinstance(error, StoreBroken) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, sqlite3.Error):
        # A file size limit reaches SQLite as an error of the write itself, not as "full".
        return getattr(error, "sqlite_errorname", "") in ("SQLITE_FULL", "SQLITE_IOERR_WRITE")
    return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
