"""The main job with a real store, a real worker and a real engine: what is run, reused, kept and said."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.engine.client import connect
from app.engine.model_files import quick_hash
from app.jobs import runner
from app.jobs.registry import operation
from app.jobs.runner import Result
from store import datasets, drafts, evaluations, jobs, models, prompts
from store.workspace import Store
from tests.app.prompts.conftest import case
from tests.tiny_models import tiny_gguf

Run = Callable[..., Result]
BASIC = {"prompt": "route", "versions": ["1", "2", "3"], "cases": "tickets", "model": "tiny"}


def cells_of(store: Store, evaluation: int) -> list[evaluations.Cell]:
    """Every cell of a comparison over at most 500 cases."""
    return evaluations.cells(store, evaluation, range(500))


def test_a_comparison_fills_every_cell_and_a_second_one_runs_none(desk: Store, run: Run) -> None:
    first = run("prompt.compare", **BASIC)
    assert first.state == "done", first.job.error
    summary = first.summary
    assert (summary["cells_run"], summary["cells_reused"]) == (36, 0)
    assert [one["ref"] for one in summary["subjects"]] == [f"tiny@f32/route@{n}" for n in (1, 2, 3)]
    assert [one["n"] for one in summary["subjects"]] == [12, 12, 12]
    for one in summary["subjects"]:
        assert {
            "passed",
            "pass_rate",
            "ci_low",
            "ci_high",
            "tokens_per_second",
            "latency_ms_p50",
        } <= one.keys()
        assert one["prompt_tokens"] > 0
        assert one["completion_tokens"] > 0
    for pair in summary["pairs"]:
        assert {
            "a",
            "b",
            "difference",
            "ci_low",
            "ci_high",
            "p_value",
            "more_cases_needed",
            "verdict",
        } <= pair.keys()
        assert pair["wins"] + pair["losses"] + pair["ties"] == 12
    assert {row["tag"]: row["cases"] for row in summary["by_tag"]} == {"even": 6, "odd": 6}
    assert first.outputs == [
        {"noun": "evaluation", "id": summary["evaluation"], "ref": str(summary["evaluation"])}
    ]

    second = run("prompt.compare", **BASIC)
    assert (second.summary["cells_run"], second.summary["cells_reused"]) == (0, 36)
    again = [(c.subject, c.position, c.generation_id) for c in cells_of(desk, second.summary["evaluation"])]
    assert again == [(c.subject, c.position, c.generation_id) for c in cells_of(desk, summary["evaluation"])]
    assert second.summary["subjects"] == [{**one} for one in summary["subjects"]]


def test_copies_of_a_case_share_one_answer(desk: Store, run: Run) -> None:
    datasets.save_version(desk, "twins", "cases", [case("the same")] * 5 + [case("another")])
    summary = run("prompt.compare", **{**BASIC, "versions": ["1"], "cases": "twins"}).summary
    assert (summary["cells_run"], summary["cells_reused"]) == (2, 4)
    cells = cells_of(desk, summary["evaluation"])
    assert len({cell.generation_id for cell in cells[:5]}) == 1
    assert summary["subjects"][0]["n"] == 6


def test_a_cut_off_answer_is_its_own_state_and_no_pass(desk: Store, run: Run) -> None:
    result = run("prompt.compare", **BASIC, sampling={"max_tokens": 1})
    one = result.summary["subjects"][0]
    assert one["states"] == {"cut_off": 12}
    assert (one["n"], one["passed"]) == (12, 0)
    assert "cut off at max_tokens 1" in result.summary["notes"][0]
    assert {cell.passed for cell in cells_of(desk, result.summary["evaluation"])} == {None}


def test_a_case_without_the_variable_is_an_error_of_that_cell_alone(desk: Store, run: Run) -> None:
    odd = {"variables": {"text": "no ticket"}, "expected": "x", "checks": [], "tags": [], "split": "tune"}
    datasets.save_version(desk, "mixed", "cases", [case("one"), odd])
    result = run("prompt.compare", **{**BASIC, "versions": ["1"], "cases": "mixed"}, gate=["pass_rate>=0"])
    assert result.state == "done"
    cell = cells_of(desk, result.summary["evaluation"])[1]
    assert cell.state == "error"
    assert "'ticket'" in cell.error
    assert result.summary["subjects"][0]["n"] == 1
    assert not result.summary["gates"][0]["met"], "a failed cell never passes a gate"
    assert operation("prompt.compare").exit_code(result.summary) == 100  # type: ignore[misc]


def test_a_prompt_that_fits_no_case_is_refused_before_anything_runs(desk: Store, run: Run) -> None:
    content = {"messages": [{"role": "user", "content": "{{ tickt }}"}]}
    prompts.save_version(desk, "misspelt", content)
    result = run("prompt.compare", prompt="misspelt", cases="tickets", model="tiny")
    assert result.state == "failed"
    assert "'tickt'" in result.job.error
    assert "It has: ticket" in result.job.error
    assert evaluations.list_evaluations(desk) == []


def test_a_draft_is_a_column_and_is_frozen_with_the_comparison(desk: Store, run: Run) -> None:
    draft = {"messages": [{"role": "user", "content": "Draft: {{ ticket }}"}], "sampling": {"max_tokens": 6}}
    drafts.save_draft(desk, "prompt:route", draft)
    result = run("prompt.compare", **{**BASIC, "versions": ["1", "draft"]}, baseline="1")
    drafts.save_draft(desk, "prompt:route", {**draft, "messages": [{"role": "user", "content": "changed"}]})
    kept = evaluations.evaluation(desk, result.summary["evaluation"]).subjects[1]
    assert kept["ref"] == "tiny@f32/route@draft"
    assert kept["content"]["messages"][0]["content"] == "Draft: {{ ticket }}"
    assert [pair["verdict"].partition(":")[0] for pair in result.summary["pairs"]] == ["draft over @1"]


def test_repeats_show_noise_and_say_when_it_is_meaningless(desk: Store, run: Run) -> None:
    values = {**BASIC, "versions": ["1"], "repeats": 3, "limit": 4}
    greedy = run("prompt.compare", **values).summary
    assert greedy["cells_run"] + greedy["cells_reused"] == 12
    assert "temperature 0" in greedy["repeats"][0]["sentence"]
    warm = run("prompt.compare", **values, sampling={"temperature": 2.0}).summary
    assert warm["repeats"][0]["meaningful"]
    assert warm["repeats"][0]["distinct_answers"] > 1
    assert warm["subjects"][0]["n"] == 4


def test_a_held_out_split_and_a_tag_choose_the_cases(desk: Store, run: Run) -> None:
    rows = [
        case(f"t{n}", split="held_out" if n % 3 == 0 else "tune", tags=["x"] if n < 6 else [])
        for n in range(9)
    ]
    datasets.save_version(desk, "split", "cases", rows)
    held = run("prompt.compare", **{**BASIC, "versions": ["1"], "cases": "split"}, split="held_out").summary
    assert {cell.position for cell in cells_of(desk, held["evaluation"])} == {0, 3, 6}
    tagged = run(
        "prompt.compare", **{**BASIC, "versions": ["1"], "cases": "split"}, split="tune", tag="x"
    ).summary
    assert {cell.position for cell in cells_of(desk, tagged["evaluation"])} == {1, 2, 4, 5}


def test_gates_decide_the_exit_status(desk: Store, run: Run) -> None:
    prompts.set_label(desk, "route@1", "production")
    result = run("prompt.compare", **BASIC, gate=["pass_rate>=0", "no worse than @production by 100%"])
    assert [gate["met"] for gate in result.summary["gates"]] == [True, True]
    failing = run("prompt.compare", **BASIC, gate=["@3: pass_rate>1"])
    assert operation("prompt.compare").exit_code(failing.summary) == 100  # type: ignore[misc]
    assert "@3 has pass_rate" in failing.summary["gates"][0]["why"]


def engine_pid(root: Path) -> int:
    """The process that answers for a workspace's model."""
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "app.engine.server" in line and str(root) in line:
            return process.pid
    raise AssertionError("no engine runs")


def many_cases(store: Store, count: int = 40) -> dict[str, Any]:
    """A comparison that takes a few seconds."""
    datasets.save_version(store, "many", "cases", [case(f"ticket {n} about a parcel") for n in range(count)])
    return {**BASIC, "cases": "many", "sampling": {"max_tokens": 24}}


def test_an_engine_that_dies_is_started_again_and_every_cell_is_answered(
    desk: Store, run: Run, wait_until: Callable[..., None]
) -> None:
    job = runner.start(desk, "prompt.compare", many_cases(desk))
    assert isinstance(job, jobs.Job)

    def some_cells() -> bool:
        found = evaluations.evaluation_of_job(desk, job.id)
        return found is not None and len(cells_of(desk, found.id)) > 10

    wait_until(some_cells, timeout=60, what="the first cells")
    os.kill(engine_pid(desk.root), signal.SIGKILL)
    summary = runner.wait(desk, job.id).summary
    assert summary["cells_run"] + summary["cells_reused"] == 120
    assert not any("error" in one["states"] for one in summary["subjects"])


def test_stopping_keeps_what_is_finished_and_a_new_run_reuses_it(
    desk: Store, run: Run, wait_until: Callable[..., None]
) -> None:
    values = many_cases(desk)
    job = runner.start(desk, "prompt.compare", values)
    assert isinstance(job, jobs.Job)

    def some_cells() -> bool:
        found = evaluations.evaluation_of_job(desk, job.id)
        return found is not None and len(cells_of(desk, found.id)) > 10

    wait_until(some_cells, timeout=60, what="the first cells")
    runner.stop(desk, job.id)
    stopped = runner.wait(desk, job.id)
    assert stopped.state == "stopped"
    evaluation = evaluations.evaluation_of_job(desk, job.id)
    assert evaluation is not None
    assert evaluation.state == "stopped"
    assert evaluation.summary is not None
    assert "looking early is not a verdict" in evaluation.summary["notes"][0]
    kept = {cell.generation_id for cell in cells_of(desk, evaluation.id)}
    summary = run("prompt.compare", **values).summary
    assert summary["cells_reused"] >= len(kept)
    assert summary["cells_run"] + summary["cells_reused"] == 120


def worker_of(store: Store, job_id: int) -> int | None:
    """The process of a running job, None while there is none."""
    needle = ("app.jobs.worker", str(store.root), str(job_id))
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if all(part in line for part in needle):
            return process.pid
    return None


@pytest.mark.parametrize("seed", [1])
def test_killed_at_random_moments_and_resumed_no_cell_is_run_twice(
    desk: Store, seed: int, wait_until: Callable[..., None]
) -> None:
    chance = random.Random(seed)
    job = runner.start(desk, "prompt.compare", many_cases(desk))
    assert isinstance(job, jobs.Job)
    finished: dict[tuple[int, int], tuple[int, str | None]] = {}
    for _ in range(5):
        wait_until(
            lambda: worker_of(desk, job.id) or jobs.job(desk, job.id).state not in jobs.LIVE,
            timeout=30,
            what="a worker",
        )
        goal = len(finished) + chance.randrange(0, 30)

        def enough(goal: int = goal) -> bool:
            found = evaluations.evaluation_of_job(desk, job.id)
            ended = jobs.job(desk, job.id).state not in jobs.LIVE
            return ended or (found is not None and len(evaluations.filled(desk, found.id)) >= goal)

        wait_until(enough, timeout=60, what=f"{goal} cells")
        pid = worker_of(desk, job.id)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: jobs.job(desk, job.id).state not in jobs.LIVE, timeout=30, what="the end of the attempt"
        )
        found = evaluations.evaluation_of_job(desk, job.id)
        for cell in cells_of(desk, found.id) if found is not None else ():
            kept = finished.setdefault((cell.subject, cell.position), (cell.id, cell.output))
            assert kept == (cell.id, cell.output), "a finished cell keeps its id and its bytes"
        if jobs.job(desk, job.id).state == "done":
            break
        runner.resume(desk, job.id)
    result = runner.wait(desk, job.id)
    assert result.state == "done", result.job.error
    evaluation = result.summary["evaluation"]
    cells = cells_of(desk, evaluation)
    assert len({(cell.subject, cell.position, cell.repeat) for cell in cells}) == len(cells) == 120
    assert result.summary["cells_run"] + result.summary["cells_reused"] == 120
    assert result.summary["cells_run"] == 120, "an answer kept in an earlier attempt counts as run, once"
    with sqlite3.connect(desk.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_rows_become_comparable_in_their_order(desk: Store, run: Run) -> None:
    result = run("prompt.compare", **many_cases(desk, 96), slots=4)
    finished = [cell.position // 16 for cell in evaluations.cells_after(desk, result.summary["evaluation"])]
    ahead = max(max(finished[: index + 1]) - block for index, block in enumerate(finished))
    assert ahead <= 2, "versions that the engine likes to take together run ahead by a block or two, no more"


def test_a_request_that_the_engine_refuses_fails_alone(desk: Store, run: Run) -> None:
    content = {"messages": [{"role": "user", "content": "{{ ticket }}"}], "sampling": {"max_tokens": 4}}
    prompts.save_version(desk, "long", {**content, "sampling": {"max_tokens": 4, "stop": ["x" * 300]}})
    prompts.save_version(desk, "short", content)
    result = run("prompt.compare", subjects=["tiny/short@1", "tiny/long@1"], cases="tickets")
    short, long = result.summary["subjects"]
    assert "error" not in short["states"]
    assert long["states"] == {"error": 12}
    assert "stop[0]" in cells_of(desk, result.summary["evaluation"])[1].error


def test_a_comparison_waits_while_the_engine_is_paused(desk: Store, wait_until: Callable[..., None]) -> None:
    client = connect(desk.root)
    client.pause("training", os.getpid())
    job = runner.start(desk, "prompt.compare", BASIC)
    assert isinstance(job, jobs.Job)
    wait_until(lambda: "training" in jobs.job(desk, job.id).progress_note, timeout=60, what="the note")
    client.resume()
    summary = runner.wait(desk, job.id).summary
    assert (summary["cells_run"], [one["states"].get("error") for one in summary["subjects"]]) == (
        36,
        [None] * 3,
    )


def test_two_models_are_compared_over_the_same_cases(desk: Store, run: Run, tmp_path: Path) -> None:
    other = tiny_gguf(tmp_path, seed=7, name="other")
    models.register_version(
        desk,
        "other",
        tag="f32",
        format="gguf",
        path=str(other),
        quick_hash=quick_hash(other),
        size_bytes=other.stat().st_size,
        facts={},
    )
    missing = run("prompt.compare", prompt="route", cases="tickets")
    assert "Name a model" in missing.job.error
    summary = run(
        "prompt.compare", prompt="route", versions=["1"], model=["tiny", "other"], cases="tickets"
    ).summary
    assert [one["name"] for one in summary["subjects"]] == ["tiny@f32 @1", "other@f32 @1"]
    assert summary["cells_run"] == 24


def test_a_model_that_cannot_be_loaded_ends_the_job_with_its_reason(
    desk: Store, run: Run, tmp_path: Path
) -> None:
    gone = tiny_gguf(tmp_path, name="gone")
    models.register_version(
        desk,
        "gone",
        tag="f32",
        format="gguf",
        path=str(gone),
        quick_hash=quick_hash(gone),
        size_bytes=gone.stat().st_size,
        facts={"chat_template_hash": ""},
    )
    gone.unlink()
    result = run("prompt.compare", prompt="route", model="gone", cases="tickets")
    assert result.state == "failed"
    assert "gone" in result.job.error


def test_a_model_that_was_replaced_ends_the_job_although_finished_cells_were_reused(
    desk: Store, run: Run, tmp_path: Path
) -> None:
    path = tiny_gguf(tmp_path, name="replaced")
    models.register_version(
        desk,
        "replaced",
        tag="f32",
        format="gguf",
        path=str(path),
        quick_hash=quick_hash(path),
        size_bytes=path.stat().st_size,
        facts={},
    )
    datasets.save_version(desk, "many", "cases", [case(f"parcel {number}") for number in range(80)])
    values = {"prompt": "route", "versions": ["1"], "model": "replaced", "cases": "many"}
    assert run("prompt.compare", **values, limit=3).summary["cells_run"] == 3
    os.kill(engine_pid(desk.root), signal.SIGKILL)
    tiny_gguf(tmp_path, seed=5, name="replaced")
    result = run("prompt.compare", **values)
    assert result.state == "failed"
    assert "requests all failed" in result.job.error
    assert "changed on disk" in result.job.error
