"""How things stand, for the line at the top: jobs, models, memory, network. Read in a thread, never on
the screen's."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store import jobs, settings
from store.workspace import Store
from widgets import units
from widgets.sparkline import spark
from widgets.text import safe_text
from widgets.top_bar import StatusPart

LIVE = ("queued", "running", "stopping")


@dataclass(frozen=True)
class Standing:
    """One look at the workspace and the machine. Memory in bytes; `rate` is the first running job's,
    per second."""

    running: int = 0
    queued: int = 0
    rate: float | None = None
    network: bool = False
    memory_used: int = 0
    memory_total: int = 0
    live: tuple[jobs.Job, ...] = ()


def machine_memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[int, int]:
    """Bytes in use and bytes there are. Linux answers from a file; elsewhere psutil is asked."""
    try:
        lines = dict(
            line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line
        )
        total = int(lines["MemTotal"].split()[0]) * 1024
        return total - int(lines["MemAvailable"].split()[0]) * 1024, total
    except (OSError, KeyError, ValueError):
        import psutil

        memory = psutil.virtual_memory()
        return memory.total - memory.available, memory.total


def look(store: Store) -> Standing:
    """Read everything the top line shows except what the engine says. A few milliseconds, so from a
    thread."""
    live = jobs.list_jobs(store, states=LIVE, limit=100)
    running = [job for job in live if job.state != "queued"]
    used, total = machine_memory()
    return Standing(
        running=len(running),
        queued=len(live) - len(running),
        rate=running[-1].rate if running else None,
        network=bool(settings.get(store, "network")),
        memory_used=used,
        memory_total=total,
        live=tuple(live),
    )


def loaded_models(status: dict[str, Any] | None) -> tuple[str, ...]:
    """Names of what the engine holds in memory, from its status answer."""
    if not status:
        return ()
    return tuple(
        str(model.get("ref") or model.get("model") or model.get("id")) for model in status.get("models", ())
    )


def status_parts(
    standing: Standing, workspace: str, models: Sequence[str], rates: "deque[float]"
) -> tuple[StatusPart, ...]:
    """The facts at the right of the top line, the first to give way having the lowest weight."""
    parts = [StatusPart(safe_text(workspace, newlines=False), 1)]
    if models:
        first = safe_text(models[0], newlines=False)
        parts.append(StatusPart(first if len(models) == 1 else f"{first} +{len(models) - 1}", 3))
    if standing.running:
        line = spark(rates, 6)
        text = units.quantity(standing.running, "job") + (f" {line}" if line else "")
        parts.append(StatusPart(text, 8, "$accent"))
    elif standing.queued:
        parts.append(StatusPart(f"{standing.queued} queued", 7))
    if standing.memory_total:
        parts.append(StatusPart(units.size_of(standing.memory_used, standing.memory_total), 2))
    if standing.network:
        parts.append(StatusPart("network ON", 10, "bold $text-warning"))
    else:
        parts.append(StatusPart("network off", 9))
    return tuple(parts)
