"""What the models tab shows, read in one go on the reading thread."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.models.advice import Advice, Machine, advise, context_steps, machine
from app.models.discover import Found, last_found
from app.models.hashing import on_disk
from store import jobs
from store.errors import LatheError
from store.models import ModelVersion, list_models, model_versions
from store.workspace import Store
from widgets import units

if TYPE_CHECKING:
    from app.workbench import Workbench

MOST_MODELS = 500
JOBS_HERE = ("model.discover", "model.pull", "model.register", "model.verify")


@dataclass(frozen=True)
class Models:
    """Everything registered, everything found beside it, and the jobs of this stage that are not finished."""

    versions: tuple[ModelVersion, ...] = ()
    found: tuple[Found, ...] = ()
    searched_at: str = ""
    notes: tuple[str, ...] = ()
    jobs: tuple[jobs.Job, ...] = ()

    def version(self, version_id: int) -> ModelVersion | None:
        return next((version for version in self.versions if version.id == version_id), None)

    @property
    def searching(self) -> bool:
        return any(job.operation == "model.discover" for job in self.jobs)


@dataclass(frozen=True)
class Loaded:
    """One loaded model as the engine says; bytes of its process, tokens a second of late."""

    rss_bytes: int
    state: str
    tokens_per_second: float
    context: int
    slots: int


@dataclass(frozen=True)
class Card:
    """What is known of one version now: its state on disk, and what loading it takes at several contexts."""

    version: ModelVersion
    disk: str
    there: Machine
    advice: Advice
    steps: tuple[Advice, ...]
    adapters: tuple[ModelVersion, ...] = field(default=())


def read_models(store: Store) -> Models:
    """The lists of the tab. A few milliseconds for hundreds of models."""
    versions = tuple(
        version
        for model in list_models(store, limit=MOST_MODELS)
        for version in model_versions(store, model.name)
    )
    known = {os.path.realpath(version.path) for version in versions}
    at, found, notes = last_found(store)
    fresh = tuple(item for item in found if os.path.realpath(item.path) not in known)
    live = tuple(
        job for job in jobs.list_jobs(store, states=jobs.LIVE, limit=50) if job.operation in JOBS_HERE
    )
    return Models(versions, fresh, at, tuple(notes), live)


def read_card(
    version: ModelVersion, context: int | None, held: int, everything: tuple[ModelVersion, ...]
) -> Card:
    """The facts of a version that change by themselves: what is on disk, what the machine has free."""
    there = machine()
    steps = tuple(advise(version, there, context=step, held=held) for step in context_steps(version.facts))
    adapters = tuple(item for item in everything if item.format == "adapter" and item.parent_id == version.id)
    return Card(
        version, on_disk(version), there, advise(version, there, context=context, held=held), steps, adapters
    )


async def loaded_now(bench: Workbench) -> Mapping[int, Loaded]:
    """Version id to what the engine says of it; empty when no engine runs, which is then not started."""
    if not (bench.root / "engine.json").exists():
        return {}
    await ready_engine(bench)
    try:
        status = await bench.engine().status(start=False)
    except LatheError:
        return {}  # it left between two looks, as an idle engine does
    found = {}
    for item in status.get("models", ()):
        facts = item.get("facts") or {}
        found[int(item["version_id"])] = Loaded(
            int(item.get("rss_bytes") or 0),
            str(item.get("state", "ready")),
            float(item.get("tokens_per_second") or 0.0),
            int(facts.get("context") or 0),
            int(facts.get("slots") or 0),
        )
    return found


async def ready_engine(bench: Workbench) -> None:
    """Import the engine's client on the reading thread: it takes 60 ms, and no key press waits for it."""
    await bench.read(importlib.import_module, "app.engine.client")


def exact(version: ModelVersion) -> str:
    """A reference that means this version for ever; its tag may have moved to a newer one."""
    return f"{version.name}@{version.number}"


def parameters(count: int) -> str:
    """A number of weights as the field says it: 4.1M, 7.2B."""
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= scale:
            value = count / scale
            return f"{value:.0f}{letter}" if value >= 99.5 else f"{value:.1f}{letter}"
    return units.count(count)


def job_line(job: jobs.Job) -> str:
    """What a job of this stage is doing: what, how far, how fast, how long still."""
    parts = [job.title or job.operation]
    if job.progress_total and job.progress_done is not None and job.progress_unit == "bytes":
        parts.append(units.size_of(job.progress_done, job.progress_total))
        if job.rate:
            parts.append(f"{units.size(job.rate)}/s")
            parts.append(units.time_left((job.progress_total - job.progress_done) / job.rate))
    elif job.progress_done:
        parts.append(units.quantity(job.progress_done, (job.progress_unit or "steps").removesuffix("s")))
    return " · ".join([*parts, "f2 shows it"])
