"""model.register: a model that lies somewhere becomes known to the workspace. Nothing is copied or moved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.models.advice import gpus, layers_that_fit
from app.models.discover import last_found
from app.models.examine import Examined, examine
from app.models.naming import clean_name
from store.models import ModelVersion, list_models, model_versions, register_version
from store.workspace import Store

if TYPE_CHECKING:
    from app.jobs.context import Context
    from app.models.operations import RegisterSpec

KEPT_FACTS = ("settings", "measured", "origin")
"""Facts that were not read from the files, so reading the files again must not lose them."""


def run(spec: RegisterSpec, context: Context) -> dict[str, Any]:
    """Examine and register `spec.path`; the summary names the version and its most telling facts."""
    context.progress(0, 2, "reading headers")
    found = examine(Path(spec.path))
    context.raise_if_stopped()
    seen = next((item for item in last_found(context.store)[1] if item.path == str(found.path)), None)
    version = register(
        context.store,
        found,
        name=spec.name or (seen.name if seen else None),
        tag=spec.tag or (seen.tag if seen else None),
        default=spec.default,
        origin=seen.origin if seen else None,
        job_id=context.job_id,
    )
    context.publish("model", version.id, version.ref, version.hash or version.quick_hash)
    for note in found.facts.get("notes", []):
        context.log(note, "warning")
    context.progress(2, 2, f"registered {version.ref}")
    return summary(version)


def register(
    store: Store,
    found: Examined,
    *,
    name: str | None = None,
    tag: str | None = None,
    default: bool = False,
    origin: dict[str, Any] | None = None,
    job_id: int | None = None,
) -> ModelVersion:
    """Make an examined model a version in the workspace. The first version of a model becomes its default.

    An adapter gets the version it was trained on as its parent, when that is registered. The same unchanged file
    under the same name and tag stays the version it was, with its settings.
    """
    before = _registered(store, str(found.path))
    kept = {key: before.facts[key] for key in KEPT_FACTS if before is not None and key in before.facts}
    facts = {**found.facts, **kept} | ({"origin": origin} if origin else {})
    layers = layers_that_fit(facts, gpus()) if found.format == "gguf" else None
    if layers is not None and "settings" not in facts:
        facts["settings"] = {"gpu_layers": layers}
        note = f"{layers} of its {facts['layers']} layers fit on the GPU, so that many go there; its settings say so."
        facts["notes"] = [*facts.get("notes", []), note]
    if origin and not facts.get("licence"):
        facts["licence"] = str(origin.get("licence") or "")
    parent = base_of(store, found.facts["adapter"]) if "adapter" in found.facts else None
    return register_version(
        store,
        name if name else found.name,
        tag=tag if tag else clean_name(found.tag),
        format=found.format,
        path=str(found.path),
        quick_hash=found.quick_hash,
        size_bytes=found.size_bytes,
        facts=facts,
        parent=parent.id if parent else None,
        job_id=job_id,
        default=default,
    )


def base_of(store: Store, adapter: dict[str, Any]) -> ModelVersion | None:
    """The registered version that an adapter says it was trained on: by path, else by the last part of its name."""
    base = str(adapter.get("base") or "")
    if not base:
        return None
    wanted = os.path.realpath(base)
    plain = clean_name(base.rstrip("/").rpartition("/")[2]).lower()
    named = None
    for model in list_models(store, limit=10_000):
        for version in model_versions(store, model.name):
            if version.format == "adapter":
                continue
            if os.path.realpath(version.path) == wanted:
                return version
            if model.name.lower() == plain and (named is None or version.format == "hf"):
                named = version
    return named


def summary(version: ModelVersion) -> dict[str, Any]:
    """What a job about a version answers with."""
    facts = version.facts
    return {
        "ref": version.ref,
        "name": version.name,
        "tag": version.tag,
        "format": version.format,
        "path": version.path,
        "size_bytes": version.size_bytes,
        "architecture": facts.get("architecture"),
        "parameters": facts.get("parameters"),
        "quantisation": facts.get("quantisation"),
        "context_length": facts.get("context_length"),
        "notes": facts.get("notes", []),
    }


def _registered(store: Store, path: str) -> ModelVersion | None:
    for model in list_models(store, limit=10_000):
        for version in reversed(model_versions(store, model.name)):
            if version.path == path:
                return version
    return None
