"""What to load a model with on this machine: context, slots, threads, GPU layers, and whether it fits into memory.

The sums are the engine's own (`app.engine.memory`, `app.engine.settings`), so that the card and the loader agree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.engine.memory import BUDGET_SHARE, Memory, machine_memory, needed_bytes
from app.engine.settings import LoadSettings, parse_settings, physical_cores, plan_context
from store.errors import LatheError
from store.models import ModelVersion

NVIDIA_SECONDS = 3
GPU_SHARE = 0.9  # of a card's free memory; the rest is for the driver and for what else draws on it
GPU_OVERHEAD = 600 * 1024 * 1024  # a CUDA context and llama.cpp's compute buffers on one card


@dataclass(frozen=True)
class Gpu:
    """A graphics card as its driver describes it; memory in bytes."""

    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Machine:
    """What there is to run on."""

    cores: int
    memory: Memory
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True)
class Advice:
    """How a version would be loaded at one context. `free` is what models may take of the memory now."""

    settings: LoadSettings
    context: int
    slots: int
    needed: int
    free: int
    measured: bool
    problem: str = ""

    @property
    def fits(self) -> bool:
        return not self.problem and self.needed <= self.free


def machine() -> Machine:
    """What this machine has now. Asks the driver for its cards once; takes milliseconds after that."""
    return Machine(physical_cores(), machine_memory(), gpus())


@lru_cache(maxsize=1)
def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA cards, asked of nvidia-smi where there is one; no library is loaded for it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = ["--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            [program, *query], capture_output=True, text=True, timeout=NVIDIA_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = []
    for line in answer.stdout.splitlines():
        name, *numbers = (part.strip() for part in line.split(","))
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            found.append(Gpu(name, int(numbers[0]) << 20, int(numbers[1]) << 20))
    return tuple(found)


def advise(version: ModelVersion, there: Machine, *, context: int | None = None, held: int = 0) -> Advice:
    """How the engine would load `version` with its stored settings, at `context` tokens when that is given.

    `held` are bytes that loaded models hold already and could give back.
    """
    facts = version.facts
    # The cores are known already; left out, each call would ask the system for them.
    settings = parse_settings({"threads": there.cores, **(facts.get("settings") or {})})
    if context is not None:
        settings = replace(settings, context=context)
    free = int((there.memory.available + held) * BUDGET_SHARE)
    per_token = int(facts.get("cache_bytes_per_token") or 0)
    room = max(free - version.size_bytes, 1 << 30)
    try:
        plan = plan_context(
            settings, trained=facts.get("context_length"), bytes_per_token=per_token, free_bytes=room
        )
        needed = needed_bytes(
            size_bytes=version.size_bytes,
            format=version.format,
            facts=facts,
            settings=settings,
            free_bytes=free,
        )
        measured = _measured(version, settings, free)
    except LatheError as error:
        least = version.size_bytes + (settings.context or 0) * per_token
        return Advice(settings, settings.context or 0, settings.slots or 1, least, free, False, str(error))
    if measured is None:
        return Advice(settings, plan.context, plan.slots, needed, free, False)
    return Advice(settings, plan.context, plan.slots, max(measured, version.size_bytes), free, True)


def _measured(version: ModelVersion, settings: LoadSettings, free: int) -> int | None:
    """What `settings` would hold by the last load's own figure, corrected by how much the estimates differ.

    None before the first load: then the estimate has to do.
    """
    found = version.facts.get("measured")
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        return None
    then = parse_settings(found["settings"])
    plain = {key: value for key, value in version.facts.items() if key != "measured"}

    def estimate(of: LoadSettings) -> int:
        return needed_bytes(
            size_bytes=version.size_bytes, format=version.format, facts=plain, settings=of, free_bytes=free
        )

    return int(found["rss_bytes"]) + estimate(settings) - estimate(then)


def layers_that_fit(facts: dict[str, Any], cards: Sequence[Gpu]) -> int | None:
    """How many layers the graphics cards can hold with their part of the cache; None when all do, or without cards.

    llama.cpp fails to load when it is told to put more on a card than there is room for, so this errs to the low side.
    """
    layers, weights = int(facts.get("layers") or 0), int(facts.get("weights_bytes") or 0)
    if not cards or not layers or not weights:
        return None
    cells = plan_context(
        parse_settings({}),
        trained=facts.get("context_length"),
        bytes_per_token=int(facts.get("cache_bytes_per_token") or 0),
        free_bytes=sum(card.free for card in cards),
    ).cells
    room = sum(max(0, int(card.free * GPU_SHARE) - GPU_OVERHEAD) for card in cards)
    # The output matrix counts as one more layer.
    each = weights / (layers + 1) + cells * int(facts.get("cache_bytes_per_token") or 0) / layers
    fitting = int(room / each)
    return None if fitting > layers else fitting


def context_steps(facts: dict[str, Any]) -> list[int]:
    """Contexts worth asking about: powers of two from 512 up to what the model was trained for."""
    trained = int(facts.get("context_length") or 4096)
    steps = [512]
    while steps[-1] * 2 <= trained:
        steps.append(steps[-1] * 2)
    if steps[-1] < trained:
        steps.append(trained)
    return [step for step in steps if step <= trained] or [trained]


def where_it_runs(settings: LoadSettings, there: Machine) -> str:
    """A sentence about threads and GPU layers."""
    threads = f"{settings.threads} thread{'' if settings.threads == 1 else 's'} of {len(os.sched_getaffinity(0))} cores"
    if not there.gpus:
        return f"on the processor, {threads}"
    layers = "all layers" if settings.gpu_layers in (None, -1) else f"{settings.gpu_layers} layers"
    if settings.gpu_layers == 0:
        return f"on the processor, {threads} (the GPU is left alone)"
    return f"{layers} on {there.gpus[0].name} where llama.cpp was built for it, {threads}"


def free_disk(folder: Path) -> int:
    """Bytes free on the disk that holds `folder`, or its nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
