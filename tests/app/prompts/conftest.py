"""A workspace with a tiny model, a prompt in three versions and cases, and a way to run operations to their
end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.engine.model_files import quick_hash
from app.jobs import registry, runner
from app.jobs.context import Context
from app.jobs.fields import plain
from app.jobs.runner import Result
from app.jobs.values import validated
from store import datasets, jobs, models, prompts
from store.errors import LatheError
from store.workspace import Store
from tests.tiny_models import tiny_gguf

TEXTS = ("Route: {{ ticket }}", "Please route this ticket: {{ ticket }} Team:", "{{ ticket }} ->")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers nonsense, but the same nonsense every time."""
    return tiny_gguf(tmp_path_factory.mktemp("model"))


def case(text: str, expected: Any = None, **more: Any) -> dict[str, Any]:
    """A case that asks about one ticket; without an expected answer it passes when there is an `e` in the
    answer."""
    checks = [] if expected is not None else [{"kind": "contains", "value": "e"}]
    return {
        "variables": {"ticket": text},
        "expected": expected,
        "checks": checks,
        "tags": [],
        "split": "tune",
        **more,
    }


@pytest.fixture
def desk(workspace: Store, tiny_model: Path) -> Store:
    """Model `tiny`, prompt `route` with versions 1 to 3 of six tokens each, and the case set `tickets` of
    12."""
    models.register_version(
        workspace,
        "tiny",
        tag="f32",
        format="gguf",
        path=str(tiny_model),
        quick_hash=quick_hash(tiny_model),
        size_bytes=tiny_model.stat().st_size,
        facts={},
        default=True,
    )
    for text in TEXTS:
        prompts.save_version(
            workspace,
            "route",
            {"messages": [{"role": "user", "content": text}], "sampling": {"max_tokens": 6}},
        )
    rows = [case(f"parcel {number} is late", tags=["odd" if number % 2 else "even"]) for number in range(12)]
    datasets.save_version(workspace, "tickets", "cases", rows, meta={"variables": ["ticket"]})
    return workspace


@pytest.fixture
def run(workspace: Store, tmp_path: Path) -> Callable[..., Result]:
    """`run(operation, **values)` runs it to its end in this process, with a job's row, and gives the
    result."""

    def run_it(name: str, /, **values: Any) -> Result:
        known = registry.operation(name)
        if known.kind == "inline":
            outcome = runner.start(workspace, name, values)
            assert isinstance(outcome, Result)
            return outcome
        spec = validated(known.spec, values)
        job = jobs.enqueue(workspace, name, "prompts", known.kind, plain(spec), name)
        jobs.claim(workspace, job.id, nonce="")
        events: list[dict[str, Any]] = []
        context = Context(workspace, job.id, 1, tmp_path / "jobs" / str(job.id), events.append)
        try:
            summary = known.function()(spec, context)
        except LatheError as error:
            jobs.finish(workspace, job.id, "failed", "failed", error=str(error))
        else:
            outputs = [event for event in events if event["kind"] == "output"]
            kept = [{key: event[key] for key in ("noun", "id", "ref")} for event in outputs]
            jobs.finish(workspace, job.id, "done", "done", summary=summary, outputs=kept)
        return Result(jobs.job(workspace, job.id))

    return run_it
