"""Makes a workspace with prompts, cases, a model and a comparison, through the store's own functions."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.prompts.content import content_data, parse_content
from app.prompts.subjects import Subject, short_labels
from store import datasets, evaluations, models, prompts
from store.evaluations import Evaluation, FinishedCell, NewGeneration
from store.workspace import Store

LABELS = ("billing", "delivery", "returns")
Answer = Callable[[int, int, int], tuple[str, bool]]
"""(subject, position, repeat) -> the answer and whether it passes."""


def make_prompt(store: Store, name: str = "route-ticket", versions: int = 3) -> None:
    """A prompt whose versions ask for the variable `ticket`; @2 and @3 branch off @1."""
    notes = ("plain", "label list", "few-shot", "short", "longer", "json")
    first = None
    for number in range(1, versions + 1):
        content = parse_content(
            {
                "messages": [
                    {"role": "system", "content": f"You sort tickets. Wording {number}."},
                    {"role": "user", "content": "Which team answers this?\n{{ ticket }}"},
                ],
                "sampling": {"max_tokens": 32},
            }
        )
        parent = first.id if first is not None else None
        saved = prompts.save_version(
            store, name, content_data(content), parent=parent, note=notes[number - 1]
        )
        first = first or saved
    if versions >= 3:
        prompts.set_label(store, f"{name}@3", "production")


def make_cases(
    store: Store, name: str = "tickets", count: int = 80, **extra: object
) -> datasets.DatasetVersion:
    """Cases with the variable `ticket`, an expected team, a tag, and every fourth one held out."""
    rows = [
        {
            "variables": {"ticket": f"Ticket {n}: where is my order, it said {LABELS[n % 3]}?"},
            "expected": LABELS[n % 3],
            "checks": [],
            "tags": ["angry" if n % 5 == 0 else "calm"],
            "split": "held_out" if n % 4 == 0 else "tune",
            "name": f"ticket {n}",
            **extra,
        }
        for n in range(count)
    ]
    return datasets.save_version(store, name, "cases", rows, meta={"variables": ["ticket"]})


def make_model(store: Store, path: str = "/nowhere/starter.gguf") -> models.ModelVersion:
    """A registered model; nothing lies at its path."""
    return models.register_version(
        store,
        "starter",
        tag="q8_0",
        format="gguf",
        path=path,
        quick_hash="q" * 16,
        size_bytes=5_000_000,
        facts={"chat_template_hash": ""},
    )


def subjects_for(store: Store, name: str, model: models.ModelVersion) -> list[Subject]:
    """One subject for every version of a prompt."""
    found = [
        Subject(
            ref=f"{model.ref}/{version.ref}",
            label="",
            prompt=name,
            version=version.number,
            version_id=version.id,
            model=model.ref,
            model_id=model.id,
            model_hash=model.quick_hash,
            content=version.content,
            prompt_labels=version.labels,
        )
        for version in prompts.prompt_versions(store, name)
    ]
    return [replace(one, label=label) for one, label in zip(found, short_labels(found), strict=True)]


def better_every_version(subject: int, position: int, repeat: int) -> tuple[str, bool]:
    """Answers where later versions pass more often; always the same for the same cell."""
    chance = random.Random(f"{subject} {position}").random()
    right = LABELS[position % 3]
    passes = chance < 0.45 + 0.2 * subject
    return (right, True) if passes else (LABELS[(position + 1) % 3], False)


def make_comparison(
    store: Store,
    *,
    prompt: str = "route-ticket",
    cases: datasets.DatasetVersion,
    model: models.ModelVersion,
    answer: Answer = better_every_version,
    repeats: int = 1,
    positions: Sequence[int] | None = None,
    finished: bool = True,
    job_id: int | None = None,
) -> Evaluation:
    """A comparison of all versions of a prompt, its cells filled by `answer` (at `positions`, or everywhere)."""
    subjects = subjects_for(store, prompt, model)
    evaluation = evaluations.create_evaluation(
        store,
        name=f"{prompt} × {cases.ref}",
        spec={"split": "all", "repeats": repeats, "cases": cases.ref},
        subjects=[subject.as_data() for subject in subjects],
        cases_version_id=cases.id,
        planned=cases.rows * len(subjects) * repeats,
        job_id=job_id,
    )
    fill(store, evaluation, answer, range(cases.rows) if positions is None else positions, repeats)
    if finished:
        evaluations.finish_evaluation(store, evaluation.id, "done", {})
    return evaluation


def fill(
    store: Store, evaluation: Evaluation, answer: Answer, positions: Sequence[int], repeats: int = 1
) -> None:
    """Fill the cells of some cases."""
    wanted = [(s, p, r) for p in positions for s in range(len(evaluation.subjects)) for r in range(repeats)]
    for start in range(0, len(wanted), 500):
        cells, answers = [], []
        for subject, position, repeat in wanted[start : start + 500]:
            text, passed = answer(subject, position, repeat)
            key = f"{evaluation.id}-{subject}-{position}-{repeat}"
            answers.append(
                NewGeneration(
                    key=key,
                    model_version_id=None,
                    messages=[{"role": "user", "content": f"Ticket {position}"}],
                    rendered=f"<|user|>Ticket {position}<|assistant|>",
                    output=text,
                    thinking="",
                    finish_reason="stop",
                    prompt_tokens=40 + subject,
                    completion_tokens=3,
                    latency_ms=180.0 + 40 * subject,
                    first_token_ms=60.0,
                    tokens_per_second=25.0,
                )
            )
            cells.append(
                FinishedCell(
                    subject=subject,
                    position=position,
                    repeat=repeat,
                    key=key,
                    state="passed" if passed else "failed",
                    passed=passed,
                    score=1.0 if passed else 0.0,
                    checks=[{"label": "equals expected", "passed": passed, "why": "", "weight": 1.0}],
                )
            )
        evaluations.record_cells(store, evaluation.id, cells, answers)
