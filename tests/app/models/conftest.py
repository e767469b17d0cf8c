"""Running the stage's operations as a worker would, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.jobs import registry
from app.jobs.context import Context
from app.jobs.fields import plain
from app.jobs.values import validated
from store import jobs
from store.workspace import Store
from tests.tiny_models import tiny_gguf

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def made_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real model; tests that change it copy it first."""
    return tiny_gguf(tmp_path_factory.mktemp("made"), name="Tiny-Q8_0", quantised=True)


@pytest.fixture
def home() -> Path:
    """The isolated home of this test."""
    return Path.home()


@pytest.fixture
def run(workspace: Store) -> Run:
    """`run("model.register", path=…)` is the operation's summary; its events are kept in `run.events`."""

    def started(operation_name: str, /, **values: Any) -> dict[str, Any]:
        operation = registry.operation(operation_name)
        spec = validated(operation.spec, values)
        job = jobs.enqueue(workspace, operation_name, "models", operation.kind, plain(spec), operation.title)
        started.events = []  # type: ignore[attr-defined]
        context = Context(workspace, job.id, 1, workspace.root / "jobs" / str(job.id), started.events.append)  # type: ignore[attr-defined]
        return operation.function()(spec, context) or {}

    return started
