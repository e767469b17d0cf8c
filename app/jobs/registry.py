"""Which operations exist: the one place that walks `app/stages.py` and imports what the stages declare."""

from __future__ import annotations

import difflib
import importlib
from functools import cache

from app import stages
from app.jobs.operation import Operation
from store.errors import NotFound


@cache
def operations_of(stage_id: str) -> dict[str, Operation]:
    """The operations of one stage by name; empty for a stage that this Lathe does not have."""
    stage = next((stage for stage in stages.STAGES if stage.id == stage_id), None)
    if stage is None:
        return {}
    declared: tuple[Operation, ...] = importlib.import_module(stage.operations).OPERATIONS
    return {operation.name: operation for operation in declared}


@cache
def _stage_of() -> dict[str, str]:
    return {name: stage.id for stage in stages.STAGES for name in operations_of(stage.id)}


def operations() -> dict[str, Operation]:
    """Every operation by name, in the order of the stages."""
    return {name: operation for stage in stages.STAGES for name, operation in operations_of(stage.id).items()}


def stage_of(name: str) -> str:
    """The id of the stage that declares the operation `name`; NotFound if none does."""
    return _stage_of()[operation(name).name]


def operation(name: str, stage: str | None = None) -> Operation:
    """The operation called `name`; NotFound names the nearest ones.

    Give `stage` where it is known (a worker reads it from its job): only that stage is then imported.
    """
    if stage is not None and name in operations_of(stage):
        return operations_of(stage)[name]
    known = operations()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`lathe operations` lists them all."
    raise NotFound(f"There is no operation called {name}. {hint}")
