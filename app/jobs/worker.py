"""One attempt at one job, in a process of its own: `python -P -m app.jobs.worker ROOT JOB_ID NONCE`.

What it is to do stands in `spec.json` in the job's folder, what became of it in `events.jsonl` beside it; the
domain's rows it writes itself, the job's own row never. It outlives its supervisor and every terminal.
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from app.jobs import lease, offline, reasons
from app.jobs.context import Context, Stopped
from app.jobs.events import JOURNAL, EventWriter
from app.jobs.executor import LOG
from app.jobs.processes import start_time
from store.workspace import now, open_store

ORDER = "spec.json"
NICENESS = 10
"""The screen comes first: on two cores a worker at equal priority costs every key press."""


class _StopSignal:
    """SIGTERM: the first asks the operation through its context, the second breaks into it wherever it is."""

    def __init__(self) -> None:
        self.context: Context | None = None
        self._asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._asked or self.context is None:
            raise Stopped
        self._asked = True
        self.context.stopping = True


def main(arguments: list[str]) -> int:
    """Run the attempt that `arguments` (root, job id, nonce) name; 0 when its end stands in the journal."""
    root, job_id, nonce = Path(arguments[0]), int(arguments[1]), arguments[2]
    folder = root / "jobs" / str(job_id)
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    alone = os.open(folder / "running.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"job {job_id} already runs in another process", file=sys.stderr)  # noqa: T201 - this is the log
        return 1
    if order["nonce"] != nonce:
        print(f"job {job_id} has been started again since", file=sys.stderr)  # noqa: T201 - this is the log
        return 1
    stop = _StopSignal()
    journal: EventWriter | None = None
    try:
        signal.signal(signal.SIGTERM, stop)
        journal = EventWriter(folder / JOURNAL, order["attempt"])
        protection = _settle_down(root, order["network"])
        journal.emit(
            {
                "kind": "started",
                "at": now(),
                "pid": os.getpid(),
                "started": start_time(os.getpid()),
                "nonce": nonce,
                "protection": protection,
            }
        )
        end = _attempt(root, job_id, order, folder, journal, stop)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        journal.emit({"kind": "end", "at": now(), **end}, durable=True)
    except Stopped:
        # Asked before there was an operation, or while its end was being written down.
        if journal is None:
            return reasons.STOPPED_STATUS
        journal.emit({"kind": "end", "at": now(), "state": "stopped", "reason": "stopped"}, durable=True)
    except MemoryError:
        return reasons.OUT_OF_MEMORY_STATUS
    except OSError as error:
        _log_exception()
        return reasons.DISK_FULL_STATUS if reasons.of_exception(error, folder).reason == "disk full" else 1
    return 0


def _log_exception() -> None:
    with suppress(OSError):  # on a full disk the reason matters more than the log
        traceback.print_exc()


def _settle_down(root: Path, network: bool) -> str:
    """Be a good neighbour: low priority, first to go when memory ends, private files, and no network."""
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    faulthandler.enable()
    os.nice(NICENESS)
    try:
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    except OSError:
        _log_exception()  # another system: the job runs all the same
    offline.install(network, root)
    return "network on" if network else offline.isolate()


def _attempt(
    root: Path, job_id: int, order: dict[str, Any], folder: Path, journal: EventWriter, stop: _StopSignal
) -> dict[str, Any]:
    """Run the operation and answer the fields of its end event."""
    from app.jobs.registry import operation

    store = open_store(root)
    try:
        known = operation(order["operation"], order["stage"])
        spec = known.spec.model_validate(order["values"])
        context = Context(store, job_id, order["attempt"], folder, journal.emit)
        stop.context = context
        if known.kind == "heavy" and lease.take(root, known.title):
            context.log("The engine unloaded its models until this job is over.")
        summary = known.function()(spec, context)
        context.flush()
    except Stopped:
        return {"state": "stopped", "reason": "stopped"}
    except BaseException as error:
        _log_exception()
        ending = reasons.of_exception(error, folder / LOG)
        return {"state": ending.state, "reason": ending.reason, "error": ending.error}
    finally:
        store.close()
    return {"state": "done", "reason": "done", "summary": summary}


if __name__ == "__main__":
    status = main(sys.argv[1:])
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # At once: a library's forgotten thread or exit handler must not keep a finished job running.
    os._exit(status)
