"""Makes the demo workspace, through the same operations that a user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.jobs import runner
from app.starter.demo_prompts import DEMO_PROMPTS
from app.starter.export import GGUF_FILE, HF_FOLDER
from app.starter.weights import shipped_weights
from store.datasets import dataset_versions
from store.errors import LatheError, NotFound
from store.models import model_versions
from store.prompts import prompt_versions
from store.workspace import Store, open_store

MODEL = "starter"
CASE_FILES = Path(__file__).parent / "demo"
CASE_SETS = ("tickets", "orders")


def make_demo(root: Path) -> dict[str, int]:
    """Make the demo workspace in ``root``, or add to it what it lacks; what is there is left as it is.

    Returns how many model versions, case sets and prompt versions were added. Raises LatheError, in the words of
    the operation that failed.
    """
    weights = shipped_weights()
    store = open_store(root, create=True)
    try:
        # The jobs run while the prompts are saved here: a fresh process each is most of the time this takes.
        models = [_start(store, "model.register", values) for values in _missing_models(store, weights)]
        cases = [_start(store, "cases.import", values) for values in _missing_cases(store)]
        prompts = [_start(store, "prompt.save", values) for values in _missing_prompts(store)]
        for started in [*models, *cases, *prompts]:
            _finish(store, started)
        return {"models": len(models), "cases": len(cases), "prompts": len(prompts)}
    finally:
        store.close()


def _missing_models(store: Store, weights: Path) -> list[dict[str, Any]]:
    try:
        known = {version.tag for version in model_versions(store, MODEL)}
    except NotFound:
        known = set()
    wanted: list[dict[str, Any]] = [
        {"path": str(weights / HF_FOLDER), "name": MODEL, "tag": "bf16"},
        {"path": str(weights / GGUF_FILE), "name": MODEL, "tag": "q8_0", "default": True},
    ]
    return [values for values in wanted if values["tag"] not in known]


def _missing_cases(store: Store) -> list[dict[str, Any]]:
    missing = []
    for name in CASE_SETS:
        try:
            dataset_versions(store, name)
        except NotFound:
            missing.append({"path": str(CASE_FILES / f"{name}.jsonl"), "name": name})
    return missing


def _missing_prompts(store: Store) -> list[dict[str, Any]]:
    """The versions that are not there yet: a prompt with fewer versions than the demo's was cut short."""
    missing: list[dict[str, Any]] = []
    for name in dict.fromkeys(prompt.name for prompt in DEMO_PROMPTS):
        try:
            have = len(prompt_versions(store, name))
        except NotFound:
            have = 0
        for prompt in [prompt for prompt in DEMO_PROMPTS if prompt.name == name][have:]:
            values: dict[str, Any] = {"name": name, "content": prompt.content, "note": prompt.note}
            missing.append(values | ({"label": [prompt.label]} if prompt.label else {}))
    return missing


def _start(store: Store, operation: str, values: dict[str, Any]) -> runner.Result | int:
    started = runner.start(store, operation, values)
    return started if isinstance(started, runner.Result) else started.id


def _finish(store: Store, started: runner.Result | int) -> None:
    result = started if isinstance(started, runner.Result) else runner.wait(store, started)
    if result.state != "done":
        why = result.job.error or result.job.reason
        raise LatheError(f"The demo workspace could not be made: {result.job.title}: {why}")
