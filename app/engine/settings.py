"""How a model is loaded: what may be set, what is chosen when it is not, and what fits into the memory there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.engine.request import fail, whole
from store.errors import LatheError

DEFAULT_CONTEXT = 4096
DEFAULT_SLOTS = 16
CELLS_PER_SLOT = 512
CACHE_SHARE = 0.3  # of the free memory may become key-value cache by default
KV_TYPES = ("f16", "q8_0", "q4_0", "bf16", "f32")
CELL_STEP = 256  # llama.cpp rounds contexts up to this


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Settings of one loaded model; None is chosen from what the machine has. `slots` 1 is the reproducible mode."""

    context: int | None = None
    gpu_layers: int | None = None
    threads: int = 0
    slots: int | None = None
    flash_attention: bool = True
    kv_type: str = "f16"
    template: str | None = None

    def wire(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """`context` tokens for one sequence, `cells` for all together."""

    context: int
    cells: int
    slots: int


def parse_settings(value: object) -> LoadSettings:
    """Validate load settings; a BadInput sentence names the field that is wrong."""
    if value is None:
        value = {}
    if not isinstance(value, dict):
        fail("settings must be a JSON object.")
    unknown = sorted(set(value) - set(LoadSettings.__dataclass_fields__))
    if unknown:
        fail(
            f"settings has no field {unknown[0]!r}; it may have {', '.join(LoadSettings.__dataclass_fields__)}."
        )
    kv_type = value.get("kv_type") or "f16"
    if kv_type not in KV_TYPES:
        fail(f"kv_type must be one of {', '.join(KV_TYPES)}.")
    flash = value.get("flash_attention", True)
    if not isinstance(flash, bool):
        fail("flash_attention must be true or false.")
    if not flash and kv_type.startswith("q"):
        fail(f"A key-value cache of type {kv_type} needs flash attention.")
    template = value.get("template")
    if template is not None and not isinstance(template, str):
        fail("template must be the name of a built-in chat template.")
    return LoadSettings(
        context=_optional(value, "context", 32, 1 << 22),
        gpu_layers=_optional(value, "gpu_layers", -1, 10_000),
        threads=_optional(value, "threads", 0, 1024) or physical_cores(),
        slots=_optional(value, "slots", 1, 128),
        flash_attention=flash,
        kv_type=kv_type,
        template=template,
    )


def effective_settings(stored: object, given: object) -> LoadSettings:
    """The settings that apply to a load: what is asked for now, over what the model's facts keep, over the defaults.

    The only owner of that order; a null in `given` means "as stored".
    """
    if given is not None and not isinstance(given, dict):
        fail("settings must be a JSON object.")
    kept = stored if isinstance(stored, dict) else {}
    return parse_settings(
        {**kept, **{key: value for key, value in (given or {}).items() if value is not None}}
    )


def plan_context(
    settings: LoadSettings, *, trained: int | None, bytes_per_token: int, free_bytes: int
) -> ContextPlan:
    """Choose context, cells and slots so that the cache takes at most its share of the free memory.

    What the user set stays as it is; a LatheError sentence when that cannot fit.
    """
    context = settings.context or min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    slots = settings.slots or DEFAULT_SLOTS
    room = int(free_bytes * CACHE_SHARE) // max(bytes_per_token, 1)
    while settings.slots is None and slots > 2 and _cells(context, slots) > room:
        slots //= 2
    while settings.context is None and context > 512 and _cells(context, slots) > room:
        context //= 2
    cells = _cells(context, slots)
    needed = cells * bytes_per_token
    if needed > free_bytes:
        raise LatheError(
            f"A context of {context} tokens with {slots} slots needs {needed / 1e9:.1f} GB for its key-value cache, "
            f"and {free_bytes / 1e9:.1f} GB are free. Choose a smaller context or fewer slots."
        )
    return ContextPlan(context, cells, slots)


def physical_cores() -> int:
    """Cores this process may use; hyper-threads share the units that matrix products need, so they do not count."""
    import psutil

    # macOS has no affinity; there the process may use them all.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


def _cells(context: int, slots: int) -> int:
    cells = context if slots == 1 else context + slots * min(context, CELLS_PER_SLOT)
    return -(-cells // CELL_STEP) * CELL_STEP


def _optional(value: Mapping[str, Any], field: str, low: int, high: int) -> int | None:
    found = value.get(field)
    return None if found is None else whole(found, field, low, high)
