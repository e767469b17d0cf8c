"""What a comparison will do, cell by cell: which prompt, which key, and what of it is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.engine.client import fingerprint_of
from app.engine.identity import generation_key
from app.prompts.cases import default_checks
from app.prompts.checks import Check
from app.prompts.compose import ExamplePool, Messages, compose
from app.prompts.content import PromptContent
from app.prompts.gate import check_gates, parse_gate
from app.prompts.report import case_rows
from app.prompts.specs import CompareSpec
from app.prompts.subjects import Subject, find_subject, resolve_subjects, wanted_refs
from app.prompts.template import TemplateProblem
from store import datasets, evaluations, models
from store.datasets import Row
from store.errors import BadInput

if TYPE_CHECKING:
    from store.workspace import Store

BLOCK = 16
"""Cases of a block: all versions answer them before the next block begins, so rows become comparable
early."""
_LOOKED_AT = 2000
"""Cells whose keys an estimate computes; beyond them it extrapolates."""
_TRIED = 20
_CHARACTERS_PER_TOKEN = 4.0
"""English text under usual vocabularies; replaced by what was measured as soon as there is something."""


@dataclass(frozen=True)
class Comparison:
    """A resolved comparison: frozen subjects, the exact case set, and everything a key needs."""

    subjects: tuple[Subject, ...]
    contents: tuple[PromptContent, ...]
    fingerprints: tuple[dict[str, Any], ...]
    cases: datasets.DatasetVersion
    checks: tuple[Check, ...]
    positions: Sequence[int]
    repeats: int
    settings: tuple[dict[str, Any], ...]
    """How each subject's model is to be loaded: its stored settings, with those of the comparison over
    them."""
    pools: Mapping[str, ExamplePool] = field(default_factory=dict)

    @property
    def planned(self) -> int:
        """All cells."""
        return len(self.positions) * len(self.subjects) * self.repeats


@dataclass(frozen=True)
class PlannedCell:
    """One cell before it is answered; `problem` says why it cannot be asked (then it has no key)."""

    subject: int
    position: int
    repeat: int
    case: dict[str, Any]
    key: str = ""
    messages: Messages = field(default_factory=list)
    problem: str = ""


def prepare(store: Store, spec: CompareSpec) -> Comparison:
    """Resolve a comparison's names. Raises NotFound or BadInput with what exists, before anything is
    begun."""
    refs = wanted_refs(prompt=spec.prompt, versions=spec.versions, subjects=spec.subjects, model=spec.model)
    subjects = resolve_subjects(store, refs, spec.sampling.model_dump())
    cases = datasets.dataset_version(store, spec.cases, role="cases")
    if spec.baseline:
        find_subject(subjects, spec.baseline)
    for text in spec.gate:
        gate = parse_gate(text)
        for name in (gate.base, gate.who):
            if name:
                find_subject(subjects, name)
    comparison = resolved(store, spec, subjects, cases)
    if not comparison.positions:
        what = {"all": "", "tune": " for tuning", "held_out": " that is held out"}[spec.split]
        tagged = f" with the tag {spec.tag!r}" if spec.tag else ""
        raise BadInput(f"{cases.ref} has no case{what}{tagged}. Choose another split, tag or case set.")
    _refuse_a_prompt_that_fits_no_case(store, comparison)
    return comparison


def resolved(
    store: Store, spec: CompareSpec, subjects: Sequence[Subject], cases: datasets.DatasetVersion
) -> Comparison:
    """The comparison of frozen subjects over a frozen case set; what a resumed job continues from."""
    contents = tuple(subject.parsed() for subject in subjects)
    pools = {
        content.nearest.cases: _pool(store, content.nearest.cases)
        for content in contents
        if content.nearest is not None
    }
    wanted = {
        key: value for key, value in (("slots", spec.slots), ("context", spec.context)) if value is not None
    }
    loading: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
    for subject in subjects:
        if subject.model_id not in loading:
            version = models.model_version_by_id(store, subject.model_id)
            settings = {**(version.facts.get("settings") or {}), **wanted}
            loading[subject.model_id] = settings, fingerprint_of(version, settings)
    return Comparison(
        subjects=tuple(subjects),
        contents=contents,
        fingerprints=tuple(loading[subject.model_id][1] for subject in subjects),
        cases=cases,
        checks=default_checks(cases.meta),
        positions=_positions(store, spec, cases),
        repeats=spec.repeats,
        settings=tuple(loading[subject.model_id][0] for subject in subjects),
        pools=pools,
    )


def planned_cells(
    comparison: Comparison, rows: Sequence[Row], subjects: Sequence[int] | None = None
) -> Iterator[PlannedCell]:
    """The cells of some cases in the order in which they are asked: version by version, so that prefixes are
    shared."""
    for index in subjects if subjects is not None else range(len(comparison.subjects)):
        content = comparison.contents[index]
        for row in rows:
            try:
                messages = compose(content, row.content, _pool_of(comparison, content))
            except TemplateProblem as problem:
                for repeat in range(comparison.repeats):
                    yield PlannedCell(index, row.position, repeat, row.content, problem=str(problem))
                continue
            for repeat in range(comparison.repeats):
                key = cell_key(comparison, index, messages, repeat)
                yield PlannedCell(index, row.position, repeat, row.content, key, messages)


def cell_key(comparison: Comparison, subject: int, messages: Messages, repeat: int) -> str:
    """The key of one answer; `identity.py` owns what is in it."""
    content, one = comparison.contents[subject], comparison.subjects[subject]
    sampling = content.sampling.model_dump(mode="json")
    fingerprint = comparison.fingerprints[subject]
    return generation_key(
        messages=messages,
        model_hash=one.model_hash,
        template_hash=str(fingerprint.get("template_hash", "")),
        sampling=sampling,
        seed=content.sampling.seed + repeat,
        repeat=repeat,
        json_schema=content.json_schema,
        thinking=content.thinking,
        fingerprint=fingerprint,
    )


def selected_rows(store: Store, comparison: Comparison) -> Iterator[Row]:
    """The rows of the comparison's cases, in order, read page by page."""
    wanted = comparison.positions
    if isinstance(wanted, range):
        for row in case_rows(store, comparison.cases.id):
            if row.position >= wanted.stop:
                return
            yield row
        return
    chosen = frozenset(wanted)
    yield from (row for row in case_rows(store, comparison.cases.id) if row.position in chosen)


@dataclass(frozen=True)
class Estimate:
    """What a comparison will take, as far as can be known before it starts."""

    cells: int
    reused: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float | None
    """None when nothing was measured with this model yet."""
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The estimate in words: `240 cells, 80 of them reused, about 21,000 + 1,900 tokens, about 12 s`."""
        parts = [f"{self.cells:,} cells"]
        if self.reused:
            parts.append(f"{self.reused:,} of them reused")
        if self.cells > self.reused:
            parts.append(f"about {_rounded(self.prompt_tokens)} + {_rounded(self.completion_tokens)} tokens")
            parts.append(
                "time not known yet: nothing was measured with this model"
                if self.seconds is None
                else f"about {_duration(self.seconds)}"
            )
        return ", ".join(parts) + "".join(f". {note}" for note in self.notes)


def estimate(store: Store, spec: CompareSpec) -> Estimate:
    """Foresee a comparison: cells, those reused, tokens, and seconds from the speed measured in earlier
    ones."""
    comparison = prepare(store, spec)
    cells: list[PlannedCell] = []
    rows: list[Row] = []
    for row in selected_rows(store, comparison):
        rows.append(row)
        if len(rows) * len(comparison.subjects) * comparison.repeats >= _LOOKED_AT:
            break
    cells = list(planned_cells(comparison, rows))
    there = evaluations.find_generations(store, (cell.key for cell in cells if cell.key))
    fresh = {cell.key: cell for cell in cells if cell.key and cell.key not in there}
    reused = len(cells) - len(fresh)
    speeds = measured_speeds(store, {subject.model for subject in comparison.subjects})
    prompt = completion = seconds = 0.0
    known = True
    for cell in fresh.values():
        subject = comparison.subjects[cell.subject]
        speed = speeds.get(subject.model, {})
        characters = sum(len(message["content"]) for message in cell.messages)
        cell_prompt = characters / speed.get("characters_per_token", _CHARACTERS_PER_TOKEN)
        limit = comparison.contents[cell.subject].sampling.max_tokens
        cell_completion = min(limit, speed.get("completion_tokens", limit))
        prompt, completion = prompt + cell_prompt, completion + cell_completion
        if "seconds_per_token" in speed:
            seconds += speed["seconds_per_token"] * (cell_prompt + cell_completion)
        else:
            known = False
    scale = comparison.planned / max(1, len(cells))
    notes = []
    if comparison.repeats > 1 and all(content.sampling.temperature == 0 for content in comparison.contents):
        notes.append("At temperature 0 repeats give the same answers: set a temperature to see noise")
    if spec.split == "all" and any(row.content.get("split") == "held_out" for row in rows):
        notes.append("Held-out cases are included: tune on split=tune, and keep held_out for the final word")
    return Estimate(
        cells=comparison.planned,
        reused=round(reused * scale),
        prompt_tokens=round(prompt * scale),
        completion_tokens=round(completion * scale),
        seconds=seconds * scale if known else None,
        notes=tuple(notes),
    )


def estimate_sentence(spec: CompareSpec, store: Store) -> str:
    """The estimate as the sentence that forms show before the start."""
    return estimate(store, spec).sentence


def measured_speeds(store: Store, wanted: set[str]) -> dict[str, dict[str, float]]:
    """By model: characters per token, tokens per answer and wall seconds per token, from the latest
    comparisons."""
    found: dict[str, dict[str, float]] = {}
    for evaluation in evaluations.list_evaluations(store, limit=50):
        for model, speed in ((evaluation.summary or {}).get("speeds") or {}).items():
            if model in wanted and speed:
                found[model] = {**speed, **found.get(model, {})}
        if wanted <= {model for model, speed in found.items() if "seconds_per_token" in speed}:
            break
    return found


def gates_met(
    spec: CompareSpec, subjects: Sequence[Subject], summary: Mapping[str, Any]
) -> list[dict[str, object]]:
    """The gates of a comparison, checked against its summary."""
    results = check_gates(spec.gate, summary, lambda name: find_subject(subjects, name).ref)
    return [result.as_data() for result in results]


def _positions(store: Store, spec: CompareSpec, cases: datasets.DatasetVersion) -> Sequence[int]:
    if spec.split == "all" and spec.tag is None:
        return range(cases.rows if spec.limit is None else min(cases.rows, spec.limit))
    found: list[int] = []
    for row in case_rows(store, cases.id):
        if spec.split != "all" and row.content.get("split", "tune") != spec.split:
            continue
        if spec.tag is not None and spec.tag not in (row.content.get("tags") or ()):
            continue
        found.append(row.position)
        if spec.limit is not None and len(found) >= spec.limit:
            break
    return found


def _refuse_a_prompt_that_fits_no_case(store: Store, comparison: Comparison) -> None:
    """A misspelt variable would make every cell fail; say so before the first one."""
    rows: list[Row] = []
    for row in selected_rows(store, comparison):
        rows.append(row)
        if len(rows) == _TRIED:
            break
    for subject, content in zip(comparison.subjects, comparison.contents, strict=True):
        problem = None
        for row in rows:
            try:
                compose(content, row.content, _pool_of(comparison, content))
                break
            except TemplateProblem as found:
                problem = problem or found
        else:
            raise BadInput(
                f"{subject.label} cannot be asked with the cases of {comparison.cases.ref}. {problem}"
            )


def _pool(store: Store, ref: str) -> ExamplePool:
    version = datasets.dataset_version(store, ref, role="cases")
    return ExamplePool(row.content for row in case_rows(store, version.id))


def _pool_of(comparison: Comparison, content: PromptContent) -> ExamplePool | None:
    return comparison.pools[content.nearest.cases] if content.nearest is not None else None


def _rounded(count: int) -> str:
    if count < 1000:
        return f"{count:,}"
    digits = len(str(count)) - 2
    return f"{round(count, -digits):,}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
