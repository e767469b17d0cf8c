"""Comparisons: every cell exactly once, every answer kept once, whatever is said twice."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from store import datasets, evaluations
from store.errors import NotFound
from store.evaluations import FinishedCell, NewGeneration
from store.workspace import Store


@pytest.fixture
def comparison(workspace: Store) -> evaluations.Evaluation:
    cases = datasets.save_version(workspace, "tickets", "cases", [{"x": number} for number in range(50)])
    subjects = [{"ref": "tiny@q8_0/reply@1"}, {"ref": "tiny@q8_0/reply@2"}]
    return evaluations.create_evaluation(
        workspace,
        name="reply",
        spec={"repeats": 1},
        subjects=subjects,
        cases_version_id=cases.id,
        planned=100,
    )


def answer(key: str, output: str = "yes", **more: object) -> NewGeneration:
    values: dict[str, object] = {
        "key": key,
        "model_version_id": None,
        "messages": [{"role": "user", "content": "Is it?"}],
        "rendered": "<|user|>Is it?",
        "output": output,
        "thinking": "",
        "finish_reason": "stop",
        "prompt_tokens": 12,
        "completion_tokens": 3,
    }
    return NewGeneration(**(values | more))  # type: ignore[arg-type]


def cell(subject: int, position: int, key: str | None, **more: object) -> FinishedCell:
    values: dict[str, object] = {"repeat": 0, "state": "ok", "passed": True, "score": 1.0}
    return FinishedCell(subject, position, key=key, **(values | more))  # type: ignore[arg-type]


def test_a_cell_comes_back_with_its_answer_and_why_it_passed(
    workspace: Store, comparison: evaluations.Evaluation
) -> None:
    checks = [{"kind": "equals", "passed": True, "why": "yes = yes"}]
    evaluations.record_cells(
        workspace, comparison.id, [cell(1, 7, "a" * 64, checks=checks)], [answer("a" * 64, latency_ms=12.5)]
    )
    (found,) = evaluations.cells(workspace, comparison.id, [7])
    assert (found.subject, found.position, found.output, found.passed) == (1, 7, "yes", True)
    assert found.checks == checks
    assert found.latency_ms == 12.5
    detail = evaluations.generation_detail(workspace, found.generation_id or 0)
    assert detail.messages == [{"role": "user", "content": "Is it?"}]
    assert detail.rendered == "<|user|>Is it?"


def test_recording_twice_counts_once_and_keeps_the_first(
    workspace: Store, comparison: evaluations.Evaluation
) -> None:
    evaluations.record_cells(workspace, comparison.id, [cell(0, 0, "a" * 64)], [answer("a" * 64)])
    first = evaluations.cells(workspace, comparison.id, [0])
    again = cell(0, 0, "a" * 64, passed=False, reused=True)
    evaluations.record_cells(workspace, comparison.id, [again], [answer("a" * 64, output="no")])
    assert evaluations.cells(workspace, comparison.id, [0]) == first
    assert len(evaluations.list_generations(workspace)) == 1


def test_two_comparisons_share_an_answer(workspace: Store, comparison: evaluations.Evaluation) -> None:
    evaluations.record_cells(workspace, comparison.id, [cell(0, 0, "a" * 64)], [answer("a" * 64)])
    other = evaluations.create_evaluation(
        workspace, name="o", spec={}, subjects=[], cases_version_id=comparison.cases_version_id, planned=1
    )
    known = evaluations.find_generations(workspace, ["a" * 64, "b" * 64])
    assert set(known) == {"a" * 64}
    evaluations.record_cells(workspace, other.id, [cell(0, 0, "a" * 64, reused=True)])
    (mine,), (theirs,) = (evaluations.cells(workspace, one.id, [0]) for one in (comparison, other))
    assert mine.generation_id == theirs.generation_id
    assert (mine.reused, theirs.reused) == (False, True)


def test_a_cell_without_an_answer_says_why(workspace: Store, comparison: evaluations.Evaluation) -> None:
    failed = cell(0, 3, None, state="error", passed=None, score=None, error="The model has left.\ud800")
    evaluations.record_cells(workspace, comparison.id, [failed])
    (found,) = evaluations.cells(workspace, comparison.id, [3])
    assert (found.state, found.passed, found.output, found.error) == (
        "error",
        None,
        None,
        "The model has left.\ufffd",
    )


def test_totals_and_outcomes_count_every_cell_once(
    workspace: Store, comparison: evaluations.Evaluation
) -> None:
    keys = [f"{number:064x}" for number in range(50)]
    for subject in (0, 1):
        evaluations.record_cells(
            workspace,
            comparison.id,
            [cell(subject, n, key, passed=n % (subject + 2) == 0) for n, key in enumerate(keys)],
            [answer(key) for key in keys],
        )
    first, second = evaluations.subject_totals(workspace, comparison.id)
    assert (first.cells, first.passed, first.prompt_tokens, first.completion_tokens) == (50, 25, 600, 150)
    assert (second.cells, second.passed) == (50, 17)
    table = evaluations.outcome_table(workspace, comparison.id)
    assert [(one.position, one.subject) for one in table] == [(n, s) for n in range(50) for s in (0, 1)]
    assert sum(one.passed is True for one in table if one.subject == 1) == 17
    assert len(evaluations.filled(workspace, comparison.id)) == 100


def test_a_tab_follows_cells_in_the_order_they_were_finished(
    workspace: Store, comparison: evaluations.Evaluation
) -> None:
    order = [7, 3, 40, 1]
    for position in order:
        key = f"{position:064x}"
        evaluations.record_cells(workspace, comparison.id, [cell(0, position, key)], [answer(key)])
    first = evaluations.cells_after(workspace, comparison.id, limit=3)
    rest = evaluations.cells_after(workspace, comparison.id, first[-1].id)
    assert [one.position for one in (*first, *rest)] == order


RECORDER = """
import os, sys
from store import evaluations
from store.workspace import open_store
store = open_store(sys.argv[1])
keys = [f"{n:064x}" for n in range(50)]
with store.write():
    evaluations.record_cells(
        store, int(sys.argv[2]),
        [evaluations.FinishedCell(0, n, 0, key, "ok", True, 1.0) for n, key in enumerate(keys)],
        [evaluations.NewGeneration(key, None, [], None, "x", "", "stop", 1, 1) for key in keys],
    )
    os.kill(os.getpid(), 9)
"""


def test_a_batch_is_whole_or_not_there(workspace: Store, comparison: evaluations.Evaluation) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", RECORDER, str(workspace.root), str(comparison.id)], check=False
    )
    assert done.returncode == -9
    assert evaluations.filled(workspace, comparison.id) == set()
    assert evaluations.list_generations(workspace) == []


def test_probabilities_can_be_added_later_and_answers_never_change(
    workspace: Store, comparison: evaluations.Evaluation
) -> None:
    evaluations.record_cells(workspace, comparison.id, [cell(0, 0, "a" * 64)], [answer("a" * 64)])
    (found,) = evaluations.list_generations(workspace)
    logprobs = [{"token": "yes", "logprob": -math.inf, "top": [["no", -1.0]]}]
    evaluations.keep_logprobs(workspace, found.id, logprobs)
    kept = evaluations.generation_detail(workspace, found.id).logprobs
    assert kept is not None
    assert kept[0]["token"] == "yes"
    with pytest.raises(Exception, match="never changes"), workspace.write() as connection:
        connection.execute("UPDATE generations SET output = 'no'")


def test_lists_are_read_in_pages_newest_first(workspace: Store, comparison: evaluations.Evaluation) -> None:
    for _ in range(12):
        evaluations.create_evaluation(
            workspace, name="o", spec={}, subjects=[], cases_version_id=comparison.cases_version_id, planned=1
        )
    first = evaluations.list_evaluations(workspace, limit=5)
    second = evaluations.list_evaluations(workspace, limit=5, before=first[-1].id)
    assert [one.id for one in (*first, *second)] == list(range(13, 3, -1))


def test_a_comparison_ends_with_its_summary_and_can_be_resumed(
    workspace: Store, comparison: evaluations.Evaluation
) -> None:
    evaluations.finish_evaluation(workspace, comparison.id, "stopped", {"cells_run": 3})
    ended = evaluations.evaluation(workspace, comparison.id)
    assert (ended.state, ended.summary, ended.ended_at is None) == ("stopped", {"cells_run": 3}, False)
    evaluations.finish_evaluation(workspace, comparison.id, "running")
    assert evaluations.evaluation(workspace, comparison.id).ended_at is None
    with pytest.raises(NotFound, match="lathe show evaluations"):
        evaluations.evaluation(workspace, 99)


def test_a_choice_can_be_taken_back(workspace: Store, comparison: evaluations.Evaluation) -> None:
    first = evaluations.add_rating(workspace, comparison.id, 0, 0, 1, "left")
    second = evaluations.add_rating(workspace, comparison.id, 1, 1, 0, "equal")
    assert evaluations.undo_rating(workspace, comparison.id) == second
    assert evaluations.ratings(workspace, comparison.id) == [first]
    assert evaluations.undo_rating(workspace, comparison.id) == first
    assert evaluations.undo_rating(workspace, comparison.id) is None
