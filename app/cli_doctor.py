"""`lathe doctor`: what this machine has, what protects you, and whether the workspace is sound."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli import DONE, FAILED
from app.cli_narration import as_json
from app.cli_open import opened, root_of
from app.cli_workspace import Parser, with_workspace
from app.jobs import offline
from app.jobs.reasons import machine_memory, size
from store.errors import NotFound
from widgets.text import safe_text

if TYPE_CHECKING:
    from store.workspace import Store

# fmt: off
LIBRARIES = (
    "textual", "rich", "pydantic", "torch", "transformers", "llama-cpp-python", "gguf",
    "safetensors", "jinja2", "starlette", "uvicorn", "httpx",
)
# fmt: on
_SHOWN_ATTEMPTS = 5


@dataclass(frozen=True)
class Line:
    """One line of the doctor's report. `state`: ok, note (good to know) or bad (so is the exit status)."""

    about: str
    state: str
    text: str


def doctor(arguments: list[str]) -> int:
    """Look at everything; exit status 1 when something needs mending."""
    parser = Parser("doctor", "Machine, devices, libraries, protection, store integrity, network attempts.")
    parser.add_argument("--json", action="store_true", help="as a JSON array")
    with_workspace(parser)
    given = parser.parse_args(arguments)
    lines = [*_machine(), *_devices(), *_libraries(), *_protection()]
    try:
        with opened(root_of(given.workspace)) as store:
            lines += [*_workspace(store), _engine(store.root), *_network(store.root)]
    except NotFound as error:
        if given.workspace is not None:
            raise
        lines.append(Line("workspace", "note", str(error)))
    if given.json:
        sys.stdout.write(as_json([asdict(line) for line in lines]))
    else:
        mark = {"ok": "✓", "note": "·", "bad": "✗"}
        for line in lines:
            sys.stdout.write(f"{mark[line.state]} {line.about:<10} {safe_text(line.text)}\n")
    return FAILED if any(line.state == "bad" for line in lines) else DONE


def _machine() -> list[Line]:
    available, total = machine_memory()
    memory = f"{size(available)} of {size(total)} memory free, " if total else ""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return [
        Line("machine", "ok", f"{system}, {os.cpu_count()} cores, {memory}Python {platform.python_version()}")
    ]


def _devices() -> list[Line]:
    """Graphics cards as their own tool names them: no heavy library is loaded to find out."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return [Line("devices", "ok", "No NVIDIA card found; models run on the processor.")]
    try:
        told = subprocess.run(
            [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout
    except (subprocess.SubprocessError, OSError) as error:
        return [Line("devices", "note", f"nvidia-smi is there but does not answer: {error}.")]
    return [Line("devices", "ok", line.strip()) for line in told.splitlines() if line.strip()]


def _libraries() -> list[Line]:
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    lines = [Line("libraries", "ok", ", ".join(found))]
    if missing:
        lines.append(
            Line("libraries", "bad", f"Missing: {', '.join(missing)}. Install them with: make setup")
        )
    return lines


def _protection() -> list[Line]:
    """What keeps a worker off the network here, found out by a process that tries it."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from app.jobs import offline; print(offline.isolate())"],
        capture_output=True,
        text=True,
        env=offline.environment(os.environ, allowed=False),
        check=False,
    )
    kind = done.stdout.strip() or "audit hook"
    said = {
        "namespace": "Workers have a network namespace of their own; an audit hook stands in every process.",
        "namespace without loopback": "Workers have an empty network namespace and an audit hook.",
        "audit hook": "An audit hook stands in every process. This system gives no network namespaces, so "
        "native code in a worker is not held back.",
    }
    return [Line("protection", "ok" if kind != "audit hook" else "note", said.get(kind, kind))]


def _workspace(store: Store) -> list[Line]:
    from app.jobs.keeper import take_lock
    from store.doctor import check

    connection = store.read()
    version = connection.execute("SELECT sqlite_version()").fetchone()[0]
    lines = [
        Line("workspace", "ok", f"{store.root}, {size(shutil.disk_usage(store.root).free)} free on its disk")
    ]
    fixed = tuple(int(part) for part in version.split(".")) >= (3, 51, 3)
    about = "" if fixed else " (has the WAL-reset fault; Lathe's write lock keeps it from striking)"
    lines.append(Line("sqlite", "ok" if fixed else "note", f"SQLite {version}{about}"))
    findings = check(store)
    lines += [
        Line("store", "bad" if finding.level == "error" else "note", finding.text) for finding in findings
    ]
    if not findings:
        lines.append(Line("store", "ok", "Database, indexes, references and blobs are sound."))
    lock = take_lock(store.root, patience=0)
    if lock is not None:
        os.close(lock)
    lines.append(Line("jobs", "ok", "Nothing to look after." if lock is not None else "A supervisor runs."))
    return lines


def _engine(root: Path) -> Line:
    """Whether the process that answers prompts runs; it is asked nothing."""
    from app.engine.address import read_pointer
    from app.jobs.processes import start_time

    pointer = read_pointer(root)
    if pointer is None or start_time(pointer.pid) != pointer.started:
        return Line("engine", "ok", "None runs; it starts by itself when something is to be answered.")
    return Line("engine", "ok", f"Runs as process {pointer.pid}.")


def _network(root: Path) -> list[Line]:
    seen = offline.attempts(root)
    blocked = [attempt for attempt in seen if attempt.blocked]
    through = [attempt for attempt in seen if not attempt.blocked]
    if not seen:
        return [Line("network", "ok", "0 connections were attempted.")]
    lines = [
        Line(
            "network",
            "note",
            f"{len(seen)} connections were attempted: {len(blocked)} blocked, {len(through)} let through "
            "because the network was on.",
        )
    ]
    for attempt in seen[-_SHOWN_ATTEMPTS:]:
        outcome = "blocked" if attempt.blocked else "let through"
        lines.append(
            Line(
                "network", "note", f"{attempt.at} {outcome}: {attempt.target} by {Path(attempt.program).name}"
            )
        )
    return lines
