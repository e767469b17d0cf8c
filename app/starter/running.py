"""The starter's operations at work: training as a resumable job, evaluation, and the model card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.starter.answering import answer_with_folder, answer_with_gguf
from app.starter.card import write_card
from app.starter.evaluate import (
    Answerer,
    draw_held_out,
    measure_own_words,
    measure_weak_wordings,
    score_held_out,
    summarise_accuracies,
    summarise_tiers,
    weak_questions,
)
from app.starter.export import GGUF_FILE, HF_FOLDER, TRAINING_FILE, export_run
from app.starter.prompting import Message
from app.starter.registering import register_starter
from app.starter.train import Progress, Recipe, Run, Shape
from app.starter.weights import shipped_weights
from store.errors import BadInput

if TYPE_CHECKING:
    from app.jobs.context import Context
    from app.starter.operations import EvaluateStarter, TrainStarter


def run_training(spec: TrainStarter, context: Context) -> dict[str, Any]:
    """Train, export and register; a killed or stopped job continues from its last saved state."""
    recipe = Recipe(tokens=spec.tokens, seed=spec.seed, rate=spec.rate, compiled=spec.compiled)
    run = Run(context.folder / "run", recipe, Shape(layers=spec.layers), spec.threads)
    if run.step:
        context.log(f"Continuing after step {run.step} ({run.tokens:,} tokens).")

    def report(progress: Progress) -> None:
        context.progress(progress.tokens, spec.tokens, f"answer loss {progress.answer_loss:.3f}", "tokens")
        context.metric("answer_loss", progress.answer_loss, progress.step)
        context.metric("prompt_loss", progress.prompt_loss, progress.step)
        context.metric("learning_rate", progress.rate, progress.step)
        context.metric("tokens_per_second", progress.tokens_per_second, progress.step)

    run.train(report, lambda: context.stopping, report_every=10, max_steps=spec.max_steps)
    context.raise_if_stopped()
    target = context.root / "models" / f"{spec.name}-{context.job_id}"
    export_run(context.folder / "run", target)
    for version in register_starter(context.store, target, spec.name, job_id=context.job_id):
        context.publish("model", version.id, version.ref, version.hash)
    facts: dict[str, Any] = json.loads((target / TRAINING_FILE).read_text(encoding="utf-8"))
    return {"folder": str(target), **facts}


def run_evaluation(spec: EvaluateStarter, context: Context) -> dict[str, Any]:
    """Measure the files in the weights folder and, when asked, write the card beside them."""
    folder = Path(spec.weights) if spec.weights else shipped_weights()
    answerers: dict[str, Callable[..., list[str]]] = {
        "gguf": answer_with_gguf,
        "safetensors": answer_with_folder,
    }
    paths = {"gguf": folder / GGUF_FILE, "safetensors": folder / HF_FOLDER}
    unknown = [name for name in spec.formats if name not in answerers]
    if unknown or not spec.formats:
        raise BadInput(f"Formats are gguf and safetensors, not {', '.join(unknown) or 'nothing'}.")
    drawn = draw_held_out(spec.items)
    per_format = len(drawn) + weak_questions(spec.items)
    total = per_format * len(spec.formats)
    formats: dict[str, Any] = {}
    for number, name in enumerate(spec.formats):
        done = number * per_format

        def answer(prompts: list[list[Message]], name: str = name) -> list[str]:
            nonlocal done
            before = done

            def report(count: int) -> None:
                context.raise_if_stopped()
                context.progress(before + count, total, name, "answers")

            done += len(prompts)
            return answerers[name](paths[name], prompts, report)

        ask: Answerer = lambda prompts: answer([list(p) for p in prompts])  # noqa: E731
        accuracies = score_held_out(drawn, ask([item.messages for item in drawn]))
        tiers = measure_weak_wordings(ask, spec.items)
        formats[name] = {
            "accuracy": summarise_accuracies(accuracies),
            "wordings": summarise_tiers(tiers),
            "own_words": measure_own_words(ask),
        }
    training_file = folder / TRAINING_FILE
    training = json.loads(training_file.read_text(encoding="utf-8")) if training_file.exists() else None
    summary: dict[str, Any] = {
        "weights": str(folder),
        "items": spec.items,
        "formats": formats,
        "training": training,
    }
    if spec.card:
        write_card(Path(spec.card), summary, folder)
        context.log(f"The card is in {spec.card}.")
    return summary
