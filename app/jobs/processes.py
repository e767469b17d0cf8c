"""Who a process is: a pid alone is not enough, because the kernel gives it to somebody else afterwards."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True)
class Handle:
    """One worker process: `started` is its start time as the kernel tells it, `nonce` stands in its
    arguments.
    """

    pid: int
    started: str
    nonce: str


def start_time(pid: int) -> str | None:
    """When the process `pid` began, as opaque text; None when there is none (a zombie is none)."""
    if not _PROC:
        return _portable_start_time(pid)
    try:
        # The name in parentheses may hold anything; what follows the last one is regular.
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def alive(handle: Handle) -> bool:
    """Whether exactly this process still runs: same pid, same start, and our nonce among its arguments."""
    return start_time(handle.pid) == handle.started and handle.nonce in arguments(handle.pid)


def find(nonce: str) -> Handle | None:
    """The worker that carries `nonce`, found among all processes of this user."""
    for pid in _pids():
        if nonce in arguments(pid):
            started = start_time(pid)
            if started is not None:
                return Handle(pid, started, nonce)
    return None


def arguments(pid: int) -> tuple[str, ...]:
    """The command line of `pid`; empty when it is gone or not ours to read."""
    if not _PROC:
        return _portable_arguments(pid)
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ()
    return tuple(part.decode("utf-8", "surrogateescape") for part in raw.split(b"\0"))


def resident_bytes(pid: int) -> int:
    """Memory that the process holds now; 0 when it is gone."""
    if not _PROC:
        return 0
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _pids() -> list[int]:
    if _PROC:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    import psutil

    return list(psutil.pids())


def _portable_start_time(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def _portable_arguments(pid: int) -> tuple[str, ...]:
    import psutil

    try:
        return tuple(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ()
