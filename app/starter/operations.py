"""The starter's operations: train it from scratch, measure it on held-out items, make the demo workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.jobs.operation import Field, Operation, Spec

if TYPE_CHECKING:
    from store.workspace import Store


class TrainStarter(Spec):
    tokens: int = Field(26_500_000, description="Real tokens to train on.", ge=1_000, unit="tokens")
    name: str = Field(
        "starter-retrained", description="Name under which the result is registered.", max_length=100
    )
    seed: int = Field(1, description="Seed of the corpus, the tokenizer and the first weights.", ge=0)
    threads: int = Field(1, description="Processor threads.", ge=1, le=64, advanced=True)
    rate: float = Field(2e-3, description="Peak learning rate.", gt=0, le=0.1, advanced=True)
    layers: int = Field(6, description="Transformer layers.", ge=1, le=32, advanced=True)
    max_steps: int | None = Field(
        None, description="Stop after this many steps, for trying out.", ge=1, advanced=True
    )
    compiled: bool = Field(
        True,
        description="Compile the model with torch.compile: 20 % faster, needs a C++ compiler.",
        advanced=True,
    )


class EvaluateStarter(Spec):
    weights: str | None = Field(
        None,
        description="Folder with hf/ and starter-q8_0.gguf; the shipped weights when empty.",
        picks="folder",
    )
    items: int = Field(
        400, description="Held-out items per family and quadrant.", ge=1, le=100_000, unit="items"
    )
    formats: list[str] = Field(
        ["gguf", "safetensors"], description="Which files to measure: gguf, safetensors."
    )
    card: str | None = Field(
        None, description="Write a model card with the figures to this file.", picks="file"
    )


def estimate_training(spec: TrainStarter, store: Store) -> str:
    """How long the training takes, from the speed measured on one core of a 2-core machine."""
    minutes = spec.tokens / 4_500 / 60
    return f"About {minutes:,.0f} minutes on one core like the one it was measured on (4,500 tokens/s)."


def estimate_evaluation(spec: EvaluateStarter, store: Store) -> str:
    """How long the evaluation takes."""
    minutes = spec.items * 52 * len(spec.formats) / 60 / 60
    return f"{spec.items * 52 * len(spec.formats):,} answers, about {max(1, round(minutes))} minutes."


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="starter.train",
        title="Train the starter model",
        description="Trains the model that ships with Lathe from scratch, on text that Lathe generates.",
        spec=TrainStarter,
        run="app.starter.running:run_training",
        kind="heavy",
        estimate=estimate_training,
        resumable=True,
    ),
    Operation(
        name="starter.evaluate",
        title="Measure the starter model",
        description="Exact match per task family on held-out items, seen and unseen wordings and values.",
        spec=EvaluateStarter,
        run="app.starter.running:run_evaluation",
        kind="heavy",
        estimate=estimate_evaluation,
    ),
)
