"""Where a job runs. The supervisor knows only the `Executor` protocol; this machine is the one that needs
nothing.

A worker reports through files in its job's folder and not through the supervisor, so another executor
(SSH, Slurm, torchrun) has to bring the folder there and back and to say whether the process lives;
operations never notice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.jobs.offline import environment
from app.jobs.processes import Handle, alive, find, resident_bytes, start_time

LOG = "stdout.log"


@dataclass(frozen=True)
class Launch:
    """What is to be started: one attempt at one job, with the folder it works and reports in."""

    root: Path
    job_id: int
    nonce: str
    folder: Path
    network: bool


@dataclass(frozen=True)
class Exit:
    """How a process ended: its exit status, minus the signal that killed it, None where nobody could know."""

    status: int | None


class Executor(Protocol):
    """Starts workers and says what became of them."""

    def start(self, launch: Launch) -> Handle:
        """Start the worker and return at once; OSError when it cannot be started."""

    def poll(self, handle: Handle) -> Exit | None:
        """None while the worker runs. Works for workers that an earlier supervisor started, too."""

    def find(self, nonce: str) -> Handle | None:
        """The running worker that was started with `nonce`, whoever started it."""

    def resident_bytes(self, handle: Handle) -> int:
        """Memory that the worker holds now; 0 where that cannot be known."""

    def signal(self, handle: Handle) -> None:
        """Ask the worker to end (it notices within a second); a second call insists."""

    def kill(self, handle: Handle) -> None:
        """End the worker and its children now."""


class LocalExecutor:
    """Workers as processes of this machine, each in a session of its own so that no terminal takes them
    along.
    """

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, launch: Launch) -> Handle:
        """Start the worker; its output goes to the end of the job's log file."""
        arguments = [str(launch.root), str(launch.job_id), launch.nonce]
        with (launch.folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "app.jobs.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=launch.root,
                env=environment(os.environ, launch.network),
                start_new_session=True,
            )
        self._children[process.pid] = process
        return Handle(process.pid, start_time(process.pid) or "", launch.nonce)

    def poll(self, handle: Handle) -> Exit | None:
        """None while the worker runs; the status of a process that is not our child cannot be known."""
        child = self._children.get(handle.pid)
        if child is None:
            return None if alive(handle) else Exit(None)
        # The child is kept: whoever could not write down its end (a full disk) asks for it again.
        status = child.poll()
        return None if status is None else Exit(status)

    def find(self, nonce: str) -> Handle | None:
        """Looked up among this user's processes by their arguments."""
        return find(nonce)

    def resident_bytes(self, handle: Handle) -> int:
        """As the kernel counts it."""
        return resident_bytes(handle.pid)

    def signal(self, handle: Handle) -> None:
        """SIGTERM to the worker alone: its children are for it to end."""
        with suppress(ProcessLookupError):  # gone between the look and the signal
            if self.poll(handle) is None:
                os.kill(handle.pid, signal.SIGTERM)

    def kill(self, handle: Handle) -> None:
        """SIGKILL to the worker's whole session group."""
        with suppress(ProcessLookupError):
            if self.poll(handle) is None:
                os.killpg(handle.pid, signal.SIGKILL)
