"""What a comparison says: one summary, read from the store, for the command line, the tab and every export
alike.

Counting: a case has an outcome for a subject when something was asked of its answer and the request did not
fail. An
answer that was cut off, or whose prompt did not fit, is a state of its own and not called wrong, but it is
not a pass:
it counts in `n`. Failed requests and cases without checks are left out of `n` and named in `states`.

`b over a` everywhere: `a` is the baseline (or the earlier column), a win is a case that b passes and a does
not.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.prompts.statistics import (
    RULE,
    Counts,
    Decision,
    DecisionRule,
    count_pairs,
    decide,
    paired_bootstrap,
    repeat_noise,
    wilson,
)
from app.prompts.subjects import Subject, find_subject, subject_of

if TYPE_CHECKING:
    from store.workspace import Store

STATES = ("passed", "failed", "cut_off", "overflow", "error", "unscored")


@dataclass(frozen=True)
class Outcome:
    """One finished cell, without its texts."""

    position: int
    subject: int
    repeat: int
    passed: bool | None
    score: float | None
    state: str


@dataclass(frozen=True)
class Usage:
    """What the answers of one subject took: tokens in all, median latency, tokens per second while
    writing."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms_p50: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True)
class Shares:
    """Per case, the share of repeats that passed and the mean score; only cases that have an outcome."""

    passed: Mapping[int, float]
    scores: Mapping[int, float]


def shares_of(outcomes: Iterable[Outcome], subjects: int) -> list[Shares]:
    """Fold repeats into one outcome for each subject and case (see `statistics.py` on repeats)."""
    cells: list[dict[int, list[tuple[bool, float]]]] = [defaultdict(list) for _ in range(subjects)]
    for one in outcomes:
        if one.score is not None:
            cells[one.subject][one.position].append((bool(one.passed), one.score))
    return [
        Shares(
            {place: sum(passed for passed, _ in found) / len(found) for place, found in cases.items()},
            {place: math.fsum(score for _, score in found) / len(found) for place, found in cases.items()},
        )
        for cases in cells
    ]


def decide_pairs(
    subjects: Sequence[Subject],
    shares: Sequence[Shares],
    *,
    baseline: int | None = None,
    early: bool = False,
    rule: DecisionRule = RULE,
) -> list[tuple[int, int, Decision]]:
    """The verdict on every pair (a, b) of columns: against the baseline when there is one, else on all of
    them.

    Only the pairs that are looked at count for Holm's correction, so naming a baseline makes the test
    sharper.
    """
    if baseline is None:
        pairs = list(itertools.combinations(range(len(subjects)), 2))
    else:
        pairs = [(baseline, other) for other in range(len(subjects)) if other != baseline]
    passed = {subject.label: share.passed for subject, share in zip(subjects, shares, strict=True)}
    counts = [count_pairs(passed, subjects[a].label, subjects[b].label) for a, b in pairs]
    return [(a, b, one) for (a, b), one in zip(pairs, decide(counts, rule, early=early), strict=True)]


def summarise(
    subjects: Sequence[Subject],
    outcomes: Sequence[Outcome],
    usage: Sequence[Usage],
    *,
    planned: int,
    baseline: int | None = None,
    tags: Mapping[int, Sequence[str]] | None = None,
    answers: Mapping[tuple[int, int], Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The summary of a comparison as JSON-like data. Pure: everything it says follows from its arguments.

    `tags` by case position; `answers` by (subject, position) are the texts of the repeats, when there are
    several.
    """
    shares = shares_of(outcomes, len(subjects))
    early = len(outcomes) < planned
    states = [
        Counter(one.state for one in outcomes if one.subject == index) for index in range(len(subjects))
    ]
    rows = [
        _subject_row(subject, shares[index], states[index], usage[index])
        for index, subject in enumerate(subjects)
    ]
    decisions = decide_pairs(subjects, shares, baseline=baseline, early=early)
    summary: dict[str, Any] = {
        "subjects": rows,
        "pairs": [_pair_row(subjects[a], subjects[b], one, shares[a], shares[b]) for a, b, one in decisions],
        "cells": len(outcomes),
        "planned": planned,
        "cells_per_subject": planned // max(1, len(subjects)),
        "complete": not early,
        "rule": RULE.sentence,
        "notes": _notes(subjects, states, early),
    }
    if tags:
        summary["by_tag"] = _by_tag(subjects, shares, tags)
    if answers is not None:
        summary["repeats"] = _repeats(subjects, outcomes, answers)
    return summary


def report(store: Store, evaluation_id: int, *, full: bool = True) -> dict[str, Any]:
    """The summary of a stored comparison, finished or not; `full` adds tags and repeats, which read every
    case."""
    from store import evaluations

    evaluation = evaluations.evaluation(store, evaluation_id)
    subjects = [subject_of(data) for data in evaluation.subjects]
    table = evaluations.outcome_table(store, evaluation_id)
    outcomes = [
        Outcome(row.position, row.subject, row.repeat, row.passed, row.score, row.state) for row in table
    ]
    spec = evaluation.spec
    baseline = spec.get("baseline")
    index = subjects.index(find_subject(subjects, baseline)) if baseline else None
    repeated = full and int(spec.get("repeats", 1)) > 1
    summary = summarise(
        subjects,
        outcomes,
        _usage(table, len(subjects)),
        planned=evaluation.planned,
        baseline=index,
        tags=_tags(store, evaluation.cases_version_id) if full else None,
        answers=_answers(store, evaluation_id, outcomes) if repeated else None,
    )
    reused = sum(row.reused for row in table)
    return {
        "evaluation": evaluation_id,
        "name": evaluation.name,
        **summary,
        "cells_run": len(outcomes) - reused,
        "cells_reused": reused,
    }


def _subject_row(subject: Subject, shares: Shares, states: Mapping[str, int], usage: Usage) -> dict[str, Any]:
    count = len(shares.passed)
    passed = math.fsum(shares.passed.values())
    low, high = wilson(passed, count)
    whole = round(passed)
    return {
        "ref": subject.ref,
        "name": subject.label,
        "n": count,
        "passed": whole if math.isclose(passed, whole, abs_tol=1e-9) else round(passed, 6),
        "pass_rate": passed / count if count else None,
        "ci_low": low,
        "ci_high": high,
        "score": math.fsum(shares.scores.values()) / count if count else None,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "tokens_per_second": usage.tokens_per_second,
        "latency_ms_p50": usage.latency_ms_p50,
        "states": {state: states[state] for state in STATES if states.get(state)},
    }


def _pair_row(a: Subject, b: Subject, one: Decision, left: Shares, right: Shares) -> dict[str, Any]:
    row: dict[str, Any] = {
        "a": a.ref,
        "b": b.ref,
        "wins": one.counts.wins,
        "losses": one.counts.losses,
        "ties": one.counts.ties,
        "difference": one.difference,
        "ci_low": one.ci_low,
        "ci_high": one.ci_high,
        "confidence": one.confidence,
        "p_value": one.p_value,
        "p_raw": one.p_raw,
        "settled": one.settled and not one.early,
        "more_cases_needed": one.more_cases_needed,
        "verdict": one.sentence,
    }
    shared = sorted(left.scores.keys() & right.scores.keys())
    values = [left.scores[place] for place in shared], [right.scores[place] for place in shared]
    if any(value not in (0.0, 1.0) for side in values for value in side):
        mean = paired_bootstrap(*values, level=1.0 - one.confidence)
        row["score_difference"] = mean.difference
        row["score_ci_low"], row["score_ci_high"] = mean.ci_low, mean.ci_high
    return row


def _notes(subjects: Sequence[Subject], states: Sequence[Mapping[str, int]], early: bool) -> list[str]:
    notes = ["Cells are still missing: looking early is not a verdict."] if early else []
    for subject, found in zip(subjects, states, strict=True):
        limit = subject.content["sampling"]["max_tokens"]
        if found.get("cut_off"):
            notes.append(
                f"{found['cut_off']} answers of {subject.label} were cut off at max_tokens {limit}; they are "
                f"not "
                "checked and count as not passed. Raise max_tokens to see them whole."
            )
        if found.get("overflow"):
            notes.append(
                f"{found['overflow']} prompts of {subject.label} did not fit into the model's context; they "
                f"count as "
                "not passed. Load the model with a larger context, or shorten the prompt."
            )
        if found.get("error"):
            notes.append(
                f"{found['error']} cells of {subject.label} failed and are left out of the figures; run "
                f"again to "
                "retry them."
            )
        if found.get("unscored"):
            notes.append(
                f"{found['unscored']} answers of {subject.label} have no expected answer and no checks."
            )
    return notes


def _by_tag(
    subjects: Sequence[Subject], shares: Sequence[Shares], tags: Mapping[int, Sequence[str]]
) -> list[dict[str, Any]]:
    places: dict[str, set[int]] = defaultdict(set)
    for place, names in tags.items():
        for name in names:
            places[name].add(place)
    rows = []
    for name in sorted(places):
        row: dict[str, Any] = {"tag": name, "cases": len(places[name]), "subjects": []}
        for subject, share in zip(subjects, shares, strict=True):
            values = [value for place, value in share.passed.items() if place in places[name]]
            passed, count = math.fsum(values), len(values)
            low, high = wilson(passed, count)
            row["subjects"].append(
                {
                    "ref": subject.ref,
                    "n": count,
                    "passed": passed,
                    "pass_rate": passed / count if count else None,
                    "ci_low": low,
                    "ci_high": high,
                }
            )
        rows.append(row)
    return rows


def _repeats(
    subjects: Sequence[Subject], outcomes: Sequence[Outcome], answers: Mapping[tuple[int, int], Sequence[str]]
) -> list[dict[str, Any]]:
    rows = []
    for index, subject in enumerate(subjects):
        passed: dict[int, list[bool]] = defaultdict(list)
        for one in outcomes:
            if one.subject == index and one.score is not None:
                passed[one.position].append(bool(one.passed))
        texts = {place: found for (column, place), found in answers.items() if column == index}
        noise = repeat_noise(passed, texts)
        greedy = subject.content["sampling"]["temperature"] == 0
        sentence = (
            f"{subject.label} runs at temperature 0, so its repeats give the same answer and say nothing "
            f"about noise"
            if greedy
            else f"{subject.label} against itself: two runs of a case disagree on pass or fail in "
            f"{noise.flip_rate:.1%} of the cases, {noise.distinct_answers:.1f} different answers a case"
        )
        rows.append(
            {
                "ref": subject.ref,
                "cases": noise.cases,
                "flip_rate": noise.flip_rate,
                "distinct_answers": noise.distinct_answers,
                "meaningful": not greedy,
                "sentence": sentence,
            }
        )
    return rows


def _usage(table: Sequence[Any], count: int) -> list[Usage]:
    """Sums over the answers that cells show, reused or not: a table is the same after a resume."""
    usage = []
    for subject in range(count):
        rows = [row for row in table if row.subject == subject and row.completion_tokens is not None]
        timed = [row for row in rows if row.tokens_per_second]
        seconds = math.fsum(row.completion_tokens / row.tokens_per_second for row in timed)
        if not timed:
            # One-token answers have no rate between their tokens: the whole time of an answer is all there
            # is.
            timed = [row for row in rows if row.latency_ms]
            seconds = math.fsum(row.latency_ms for row in timed) / 1000.0
        usage.append(
            Usage(
                sum(row.prompt_tokens for row in rows),
                sum(row.completion_tokens for row in rows),
                _median([row.latency_ms for row in rows if row.latency_ms is not None]),
                sum(row.completion_tokens for row in timed) / seconds if seconds else None,
            )
        )
    return usage


def _median(values: Sequence[float]) -> float | None:
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _tags(store: Store, version_id: int) -> dict[int, list[str]]:
    return {
        row.position: row.content["tags"] for row in case_rows(store, version_id) if row.content.get("tags")
    }


def case_rows(store: Store, version_id: int, page: int = 500) -> Iterable[Any]:
    """All rows of a case set's version in order, read page by page."""
    from store import datasets

    after = -1
    while found := datasets.rows(store, version_id, after=after, limit=page):
        yield from found
        after = found[-1].position


def _answers(
    store: Store, evaluation_id: int, outcomes: Sequence[Outcome]
) -> dict[tuple[int, int], list[str]]:
    from store import evaluations

    places = sorted({one.position for one in outcomes})
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for start in range(0, len(places), 200):
        for cell in evaluations.cells(store, evaluation_id, places[start : start + 200]):
            if cell.output is not None:
                found[(cell.subject, cell.position)].append(cell.output)
    return found


def counts_between(shares: Sequence[Shares], a: int, b: int) -> Counts:
    """Wins, losses and ties of column `b` over column `a`, for views that look at one pair."""
    return count_pairs({"a": shares[a].passed, "b": shares[b].passed}, "a", "b")
