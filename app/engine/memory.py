"""What the machine has, what a model needs, and how much of it the engine may take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.settings import LoadSettings, plan_context
from store.errors import LatheError

BUDGET_SHARE = 0.7
OVERHEAD_BYTES = 160 * 1024 * 1024  # a child with llama.cpp and its compute buffers, measured at 130-160 MB
TORCH_OVERHEAD_BYTES = 700 * 1024 * 1024  # the same with torch and transformers imported
WEIGHTS_FACTOR = 1.05


@dataclass(frozen=True)
class Memory:
    """Bytes of main memory; both as the container sees them where there is one."""

    total: int
    available: int


def machine_memory() -> Memory:
    """What this machine has, or what its container allows when that is less."""
    import psutil

    found = psutil.virtual_memory()
    limit = _container_limit()
    if limit is None or limit[0] >= found.total:
        return Memory(int(found.total), int(found.available))
    return Memory(limit[0], min(int(found.available), max(0, limit[0] - limit[1])))


def resident_bytes(pid: int) -> int:
    """Memory the process holds now; 0 when it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def budget(held: int, memory: Memory | None = None) -> int:
    """Bytes that all loaded models may hold together, when they hold `held` now."""
    memory = memory or machine_memory()
    return int((memory.available + held) * BUDGET_SHARE)


def needed_bytes(
    *, size_bytes: int, format: str, facts: dict[str, Any], settings: LoadSettings, free_bytes: int
) -> int:
    """What a model will hold once it is loaded: as measured last time with these settings, else estimated.

    `facts` are the model version's: `measured` (what the engine wrote after a load), `context_length` and
    `cache_bytes_per_token`.
    """
    measured = facts.get("measured")
    if isinstance(measured, dict) and measured.get("settings") == settings.wire():
        return int(measured["rss_bytes"])
    per_token = int(facts.get("cache_bytes_per_token") or 0)
    trained = facts.get("context_length")
    plan = plan_context(
        settings, trained=trained, bytes_per_token=per_token, free_bytes=max(free_bytes, 1 << 30)
    )
    if format == "gguf":
        return int(size_bytes * WEIGHTS_FACTOR) + plan.cells * per_token + OVERHEAD_BYTES
    # Folders mostly hold 16-bit weights, which become float32 on a CPU; so does their cache.
    return 2 * (size_bytes + plan.cells * per_token) + TORCH_OVERHEAD_BYTES


@dataclass(frozen=True)
class Holder:
    """A loaded model as the budget sees it."""

    key: int
    rss_bytes: int
    busy: bool
    used_at: float


def to_unload(needed: int, holders: Iterable[Holder], allowed: int, name: str) -> list[int]:
    """Which idle models must go, least recently used first, so that `needed` bytes fit into `allowed`.

    Raises a LatheError sentence when even all idle ones together do not free enough.
    """
    loaded = list(holders)
    held = sum(holder.rss_bytes for holder in loaded)
    leaving = []
    for holder in sorted(loaded, key=lambda item: item.used_at):
        if held + needed <= allowed:
            break
        if not holder.busy:
            held -= holder.rss_bytes
            leaving.append(holder.key)
    if held + needed > allowed:
        raise LatheError(
            f"{name} needs about {needed / 1e9:.1f} GB and models may hold {allowed / 1e9:.1f} GB together"
            + (f", of which {held / 1e9:.1f} GB are in use" if held else "")
            + ". Unload a model, choose a smaller context, or a smaller quantisation."
        )
    return leaving


def _container_limit() -> tuple[int, int] | None:
    """(limit, used) of the control group in bytes, or None without a limit."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return (int(limit), used) if limit.isdigit() else None
