"""Seeing to it that a workspace with unfinished jobs has its supervisor, and only one.

Light on purpose: every command and the workbench call `tend`, so it imports neither specs nor stages.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from app.jobs import offline
from store import jobs
from store.errors import LatheError
from store.workspace import Store

LOCK = "supervisor.lock"
LOG = "supervisor.log"
MOST_BYTES_OF_LOG = 1 << 20
LOOK_AGAIN_SECONDS = 0.05


def tend(store: Store) -> bool:
    """See to it that somebody looks after the jobs that are not finished; True when there are any."""
    waiting = not store.read_only and bool(jobs.list_jobs(store, states=jobs.LIVE, limit=1))
    if waiting:
        ensure_supervisor(store.root)
    return waiting


def ensure_supervisor(root: Path) -> bool:
    """Start the workspace's supervisor unless one runs; True if one had to be started.

    Whoever enqueues calls this afterwards. Raises LatheError when no process can be started.
    """
    lock = take_lock(root, patience=0)
    if lock is None:
        return False
    os.close(lock)
    file = root / LOG
    mode = "wb" if file.exists() and file.stat().st_size > MOST_BYTES_OF_LOG else "ab"
    try:
        with file.open(mode) as log:
            subprocess.run(
                [sys.executable, "-P", "-m", "app.jobs.supervisor", str(root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=root,
                env=offline.environment(os.environ, allowed=True),
                start_new_session=True,  # a ctrl-c in the terminal is not for it
                check=True,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise LatheError(
            f"The process that looks after jobs could not be started ({error}). Its log is {file}; the job waits "
            "in the queue, and the next lathe command tries again."
        ) from None
    return True


def take_lock(root: Path, patience: float = 1.0) -> int | None:
    """The lock that makes a supervisor the only one, as an open file; None when another one has it.

    A little patience, because whoever asks whether a supervisor runs holds the lock for a moment, too.
    """
    file = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(file)
                return None
            time.sleep(LOOK_AGAIN_SECONDS)
