"""A workspace with a tiny model, a prompt in three versions and cases, and a way to run operations to their
end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.engine.model_files import quick_hash
from app.jobs import runner
from app.jobs.runner import Result
from store import datasets, models, prompts
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
def run(workspace: Store) -> Callable[..., Result]:
    """`run(operation, **values)` runs it to its end, in this process or as a real job, and gives the
    result."""

    def run_it(name: str, **values: Any) -> Result:
        outcome = runner.start(workspace, name, values)
        return outcome if isinstance(outcome, Result) else runner.wait(workspace, outcome.id)

    return run_it
