"""Does the process that wrote a row still live? A pid alone does not say: the kernel gives it out again."""

from __future__ import annotations

import os
from pathlib import Path

_HAS_PROC = Path("/proc/self/stat").exists()


def this_process() -> str:
    """What a row keeps of its writer: pid and start time."""
    return f"{os.getpid()}:{_start_time(os.getpid())}"


def lives(writer: str) -> bool:
    """True when the process that `this_process` described is still there."""
    pid, _, started = writer.partition(":")
    if _HAS_PROC:
        return _start_time(int(pid)) == started
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_time(pid: int) -> str:
    """When the process began, in clock ticks since the machine did; empty when it is gone or cannot be asked."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]  # a zombie writes no more
