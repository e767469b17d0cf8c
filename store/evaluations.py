"""Comparisons: evaluations, their cells (subject × case × repeat) and the ratings people give them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from store.errors import NotFound
from store.generations import (
    KEYS_AT_ONCE,
    Generation,
    GenerationDetail,
    NewGeneration,
    find_generations,
    generation,
    generation_detail,
    insert_generation,
    keep_logprobs,
    list_generations,
)
from store.hashing import clean_text, dumps
from store.workspace import NEWEST, Store, now

__all__ = [
    "Cell", "Choice", "Evaluation", "FinishedCell", "Generation", "GenerationDetail", "NewGeneration", "Outcome",
    "Rating", "Totals", "add_rating", "cells", "cells_after", "create_evaluation", "evaluation",
    "evaluation_of_job", "filled", "find_generations", "finish_evaluation", "generation", "generation_detail",
    "keep_logprobs", "list_evaluations", "list_generations", "outcome_table", "ratings", "record_cells",
    "subject_totals", "undo_rating",
]  # fmt: skip

Choice = Literal["left", "right", "equal"]


@dataclass(frozen=True)
class Evaluation:
    """One comparison. `subjects` are frozen at its start: each a dict with at least `ref`; `planned` counts cells."""

    id: int
    name: str
    spec: dict[str, Any]
    subjects: list[dict[str, Any]]
    cases_version_id: int
    planned: int
    state: str
    summary: dict[str, Any] | None
    job_id: int | None
    created_at: str
    ended_at: str | None
    trashed_at: str | None

    @property
    def ref(self) -> str:
        return str(self.id)


@dataclass(frozen=True)
class FinishedCell:
    """A cell with its answer and verdict. `key` names the generation; None where none came to be (state `error`).

    `state`: ok, cut_off, context_overflow, error. `passed` is None where no check applies or the state is not ok
    by nature; `score` is 0 to 1.
    """

    subject: int
    position: int
    repeat: int
    key: str | None
    state: str
    passed: bool | None
    score: float | None
    checks: list[dict[str, Any]] = field(default_factory=list)
    reused: bool = False
    error: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell as the matrix shows it; the generation's columns are joined in and None when there is none."""

    id: int
    subject: int
    position: int
    repeat: int
    generation_id: int | None
    state: str
    passed: bool | None
    score: float | None
    checks: list[dict[str, Any]]
    error: str
    reused: bool
    output: str | None
    thinking: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float | None
    first_token_ms: float | None
    tokens_per_second: float | None


class Outcome(NamedTuple):
    """The compact verdict of a cell: what statistics, filters and column heads are made of."""

    position: int
    subject: int
    repeat: int
    passed: bool | None
    score: float | None
    state: str
    reused: bool
    latency_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens_per_second: float | None


@dataclass(frozen=True)
class Totals:
    """One subject's column head: counts of cells, and sums over their generations."""

    subject: int
    cells: int
    passed: int
    judged: int
    reused: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Rating:
    """A person's blind choice between two subjects on one case."""

    id: int
    evaluation_id: int
    position: int
    left_subject: int
    right_subject: int
    choice: Choice
    created_at: str


_CELL = """
SELECT c.id, c.subject, c.position, c.repeat, c.generation_id, c.state, c.passed, c.score, c.checks, c.error,
    c.reused, g.output, g.thinking, g.finish_reason, g.prompt_tokens, g.completion_tokens, g.latency_ms,
    g.first_token_ms, g.tokens_per_second
FROM cells c LEFT JOIN generations g ON g.id = c.generation_id
"""


def create_evaluation(
    store: Store,
    *,
    name: str,
    spec: Mapping[str, Any],
    subjects: Sequence[Mapping[str, Any]],
    cases_version_id: int,
    planned: int,
    job_id: int | None = None,
) -> Evaluation:
    """Begin a comparison, in the state `running`."""
    with store.write(durable=True) as connection:
        evaluation_id = connection.execute(
            "INSERT INTO evaluations (name, spec, subjects, cases_version_id, planned, state, job_id, created_at) "
            "VALUES (?, ?, ?, ?, ?, 'running', ?, ?)",
            (
                name,
                dumps(dict(spec)),
                dumps([dict(s) for s in subjects]),
                cases_version_id,
                planned,
                job_id,
                now(),
            ),
        ).lastrowid
        return _evaluation(connection, evaluation_id)


def finish_evaluation(
    store: Store, evaluation_id: int, state: str, summary: Mapping[str, Any] | None = None
) -> None:
    """End a comparison as `done`, `stopped` or `failed`, or put it back to `running` (a resumed job)."""
    with store.write(durable=True) as connection:
        connection.execute(
            "UPDATE evaluations SET state = ?, summary = ?, ended_at = ? WHERE id = ?",
            (
                state,
                None if summary is None else dumps(dict(summary)),
                None if state == "running" else now(),
                evaluation_id,
            ),
        )


def evaluation(store: Store, evaluation_id: int) -> Evaluation:
    """The comparison with this id, NotFound with a sentence when there is none."""
    return _evaluation(store.read(), evaluation_id)


def evaluation_of_job(store: Store, job_id: int) -> Evaluation | None:
    """The comparison a job has begun, or None: a resumed job finds its own again."""
    row = (
        store.read()
        .execute("SELECT id FROM evaluations WHERE job_id = ? ORDER BY id DESC LIMIT 1", (job_id,))
        .fetchone()
    )
    return None if row is None else evaluation(store, row["id"])


def list_evaluations(store: Store, *, limit: int = 50, before: int | None = None) -> list[Evaluation]:
    """Comparisons, newest first, with an id below `before`."""
    found = store.read().execute(
        "SELECT * FROM evaluations WHERE trashed_at IS NULL AND id < ? ORDER BY id DESC LIMIT ?",
        (NEWEST if before is None else before, limit),
    )
    return [_as_evaluation(row) for row in found]


def record_cells(
    store: Store,
    evaluation_id: int,
    cells: Sequence[FinishedCell],
    generations: Sequence[NewGeneration] = (),
) -> None:
    """Keep finished answers and the cells they fill, in one transaction.

    Idempotent: an answer whose key is there already and a cell that is filled already stay as they are.
    """
    with store.write() as connection:
        for generation in generations:
            insert_generation(connection, generation)
        for cell in cells:
            connection.execute(
                "INSERT INTO cells (evaluation_id, subject, position, repeat, generation_id, state, passed, score, "
                "checks, error, reused, created_at) "
                "VALUES (?, ?, ?, ?, (SELECT id FROM generations WHERE key = ?), ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (evaluation_id, position, subject, repeat) DO NOTHING",
                (
                    evaluation_id,
                    cell.subject,
                    cell.position,
                    cell.repeat,
                    cell.key,
                    cell.state,
                    None if cell.passed is None else int(cell.passed),
                    cell.score,
                    dumps(cell.checks),
                    clean_text(cell.error),
                    int(cell.reused),
                    now(),
                ),
            )


def cells(store: Store, evaluation_id: int, positions: Sequence[int] | range) -> list[Cell]:
    """The cells of the given cases (positions in the case set), by position, subject and repeat."""
    connection = store.read()
    found: list[Cell] = []
    wanted = list(positions)
    for start in range(0, len(wanted), KEYS_AT_ONCE):
        part = wanted[start : start + KEYS_AT_ONCE]
        marks = ",".join("?" * len(part))
        rows = connection.execute(
            f"{_CELL} WHERE c.evaluation_id = ? AND c.position IN ({marks}) ORDER BY c.position, c.subject, c.repeat",
            (evaluation_id, *part),
        )
        found += [_cell(row) for row in rows]
    return found


def cells_after(store: Store, evaluation_id: int, after_id: int = 0, limit: int = 500) -> list[Cell]:
    """Cells behind the row id `after_id` in the order they were finished: how a tab follows a running comparison."""
    rows = store.read().execute(
        f"{_CELL} WHERE c.evaluation_id = ? AND c.id > ? ORDER BY c.id LIMIT ?",
        (evaluation_id, after_id, limit),
    )
    return [_cell(row) for row in rows]


def filled(store: Store, evaluation_id: int) -> set[tuple[int, int, int]]:
    """(subject, position, repeat) of every cell that is filled."""
    rows = (
        store.read()
        .execute("SELECT subject, position, repeat FROM cells WHERE evaluation_id = ?", (evaluation_id,))
        .fetchall()
    )
    return {(row[0], row[1], row[2]) for row in rows}


def outcome_table(store: Store, evaluation_id: int) -> list[Outcome]:
    """The compact verdict of every cell, by position, subject and repeat."""
    rows = (
        store.read()
        .execute(
            "SELECT c.position, c.subject, c.repeat, c.passed, c.score, c.state, c.reused, g.latency_ms, "
            "g.prompt_tokens, g.completion_tokens, g.tokens_per_second "
            "FROM cells c LEFT JOIN generations g ON g.id = c.generation_id "
            "WHERE c.evaluation_id = ? ORDER BY c.position, c.subject, c.repeat",
            (evaluation_id,),
        )
        .fetchall()
    )
    return [
        Outcome(r[0], r[1], r[2], None if r[3] is None else bool(r[3]), r[4], r[5], bool(r[6]), *r[7:])
        for r in rows
    ]


def subject_totals(store: Store, evaluation_id: int) -> list[Totals]:
    """Counts and token sums of every subject that has a finished cell."""
    rows = store.read().execute(
        "SELECT c.subject, COUNT(*) AS cells, SUM(c.passed IS 1) AS passed, SUM(c.passed IS NOT NULL) AS judged, "
        "SUM(c.reused) AS reused, COALESCE(SUM(g.prompt_tokens), 0) AS prompt_tokens, "
        "COALESCE(SUM(g.completion_tokens), 0) AS completion_tokens "
        "FROM cells c LEFT JOIN generations g ON g.id = c.generation_id WHERE c.evaluation_id = ? "
        "GROUP BY c.subject ORDER BY c.subject",
        (evaluation_id,),
    )
    return [Totals(**dict(row)) for row in rows]


def add_rating(
    store: Store, evaluation_id: int, position: int, left_subject: int, right_subject: int, choice: Choice
) -> Rating:
    """Keep a blind choice durably."""
    with store.write(durable=True) as connection:
        rating_id = connection.execute(
            "INSERT INTO ratings (evaluation_id, position, left_subject, right_subject, choice, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (evaluation_id, position, left_subject, right_subject, choice, now()),
        ).lastrowid
        return Rating(
            **dict(connection.execute("SELECT * FROM ratings WHERE id = ?", (rating_id,)).fetchone())
        )


def undo_rating(store: Store, evaluation_id: int) -> Rating | None:
    """Take back the newest choice of the comparison and return it; None when there is none."""
    with store.write(durable=True) as connection:
        row = connection.execute(
            "SELECT * FROM ratings WHERE evaluation_id = ? ORDER BY id DESC LIMIT 1", (evaluation_id,)
        ).fetchone()
        if row is None:
            return None
        connection.execute("DELETE FROM ratings WHERE id = ?", (row["id"],))
        return Rating(**dict(row))


def ratings(store: Store, evaluation_id: int) -> list[Rating]:
    """Every choice of the comparison, oldest first."""
    rows = store.read().execute("SELECT * FROM ratings WHERE evaluation_id = ? ORDER BY id", (evaluation_id,))
    return [Rating(**dict(row)) for row in rows]


def _evaluation(connection: sqlite3.Connection, evaluation_id: int | None) -> Evaluation:
    row = connection.execute("SELECT * FROM evaluations WHERE id = ?", (evaluation_id,)).fetchone()
    if row is None:
        raise NotFound(
            f"There is no comparison {evaluation_id} in this workspace. `lathe show evaluations` lists them."
        )
    return _as_evaluation(row)


def _as_evaluation(row: sqlite3.Row) -> Evaluation:
    return Evaluation(
        **{
            **dict(row),
            "spec": json.loads(row["spec"]),
            "subjects": json.loads(row["subjects"]),
            "summary": None if row["summary"] is None else json.loads(row["summary"]),
        }
    )


def _cell(row: sqlite3.Row) -> Cell:
    return Cell(
        **{
            **dict(row),
            "passed": None if row["passed"] is None else bool(row["passed"]),
            "checks": json.loads(row["checks"]),
            "reused": bool(row["reused"]),
        }
    )
