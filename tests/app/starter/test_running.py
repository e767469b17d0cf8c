"""The card's two commands: training registers what it made, evaluation measures it and writes the card."""

from __future__ import annotations

from pathlib import Path

from app.jobs import runner
from store.models import model_versions
from store.workspace import Store


def finished(store: Store, name: str, values: dict[str, object]) -> runner.Result:
    started = runner.start(store, name, values)
    result = started if isinstance(started, runner.Result) else runner.wait(store, started.id)
    assert result.state == "done", result.job.error
    return result


def test_training_registers_both_files_and_evaluation_writes_their_card(
    workspace: Store, tmp_path: Path
) -> None:
    values = {"tokens": 12_000, "layers": 2, "compiled": False, "name": "mine"}
    trained = finished(workspace, "starter.train", values)
    assert {version.tag for version in model_versions(workspace, "mine")} == {"bf16", "q8_0"}
    assert {output["ref"] for output in trained.outputs} == {"mine@bf16", "mine@q8_0"}
    assert trained.summary["tokens"] >= 12_000

    card = tmp_path / "MODEL_CARD.md"
    values = {"weights": trained.summary["folder"], "items": 1, "formats": ["gguf"], "card": str(card)}
    measured = finished(workspace, "starter.evaluate", values)
    assert set(measured.summary["formats"]) == {"gguf"}
    assert "lathe run starter.train tokens=12000 seed=1" in card.read_text(encoding="utf-8")


def test_an_unknown_format_is_refused_in_a_sentence(workspace: Store, tiny_run: Path) -> None:
    started = runner.start(workspace, "starter.evaluate", {"weights": str(tiny_run), "formats": ["onnx"]})
    assert not isinstance(started, runner.Result)
    result = runner.wait(workspace, started.id)
    assert result.state == "failed"
    assert "Formats are gguf and safetensors, not onnx." in str(result.job.error)
