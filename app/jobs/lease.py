"""The device lease: a heavy job has the machine's cores, memory and graphics card to itself.

Two programs that compute on the same two cores slow each other fivefold, so the engine gives its place to a heavy
job: it unloads its models, says so, and comes back by itself when the job's process is gone.
"""

from __future__ import annotations

import os
from pathlib import Path

from store.errors import LatheError


def take(root: Path, reason: str) -> bool:
    """Ask a running engine to unload and wait until this process ends; False when there is none to ask.

    An engine that starts later sees the running job in the store and waits as well.
    """
    if not (root / "engine.json").exists():
        return False
    from app.engine.client import connect

    try:
        engine = connect(root, start=False)
    except LatheError:
        return False
    try:
        engine.pause(reason, os.getpid())
    finally:
        engine.close()
    return True
