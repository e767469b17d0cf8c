"""The trash as operations: things go in and come back by name, and only emptying it deletes."""

from __future__ import annotations

from typing import Any

from app.jobs.context import Context
from app.workspace.operations import EmptySpec, TrashSpec
from store import datasets, evaluations, models, prompts
from store import trash as store_trash
from store.errors import BadInput, NotFound


def put(spec: TrashSpec, context: Context) -> dict[str, Any]:
    """Take a thing out of the lists."""
    thing = store_trash.trash(context.store, spec.noun, _id_of(spec, context))
    context.log(
        f"{thing.name} is in the trash. Bring it back: lathe run trash.restore noun={spec.noun} name={thing.ref}"
    )
    return {"noun": thing.noun, "id": thing.id, "name": thing.name}


def restore(spec: TrashSpec, context: Context) -> dict[str, Any]:
    """Bring back what was last put into the trash under that name."""
    wanted = (spec.name, spec.name.removeprefix("#"))
    found = next(
        (
            thing
            for thing in store_trash.trashed(context.store, spec.noun)
            if thing.ref in wanted or thing.name == spec.name
        ),
        None,
    )
    if found is None:
        raise NotFound(
            f"No {spec.noun} called {spec.name} is in the trash. `lathe show trash` lists what is."
        )
    store_trash.restore(context.store, spec.noun, found.id)
    context.log(f"{found.name} is back.")
    return {"noun": found.noun, "id": found.id, "name": found.name}


def empty(spec: EmptySpec, context: Context) -> dict[str, Any]:
    """Delete for good what is in the trash and held by nothing."""
    emptied = store_trash.empty(context.store)
    for reason in emptied.kept:
        context.log(reason)
    return {"removed": emptied.removed, "kept": len(emptied.kept)}


def _id_of(spec: TrashSpec, context: Context) -> int:
    """The id of the thing whose name (or a reference to any version of it) was given."""
    store = context.store
    if spec.noun == "prompt":
        return prompts.prompt_version(store, spec.name).prompt_id
    if spec.noun == "dataset":
        return datasets.dataset_version(store, spec.name).dataset_id
    if spec.noun == "model":
        return models.model_version(store, spec.name).model_id
    number = spec.name.removeprefix("#")
    if not number.isdecimal():
        raise BadInput(
            f"An evaluation is named by its number, not by {spec.name}. `lathe show evaluations` lists them."
        )
    return evaluations.evaluation(store, int(number)).id
