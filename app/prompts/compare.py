"""The main job: run every version over every case on a local model, score, and say which is better.

Each finished cell is in the store within a quarter of a second. A cell's answer is known by its key for
ever, so a
resumed job, a second run and a copy of a case are the same thing: an answer that is there already.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from app.jobs.context import Context, Stopped
from app.prompts.asking import Replies, ask, call_off, error_of, fit_together
from app.prompts.checks import checks_of, judge
from app.prompts.compose import shared_prefix
from app.prompts.plan import (
    BLOCK,
    Comparison,
    PlannedCell,
    gates_met,
    planned_cells,
    prepare,
    resolved,
    selected_rows,
)
from app.prompts.report import report
from app.prompts.specs import CompareSpec
from app.prompts.subjects import subject_of
from store import datasets, evaluations
from store.errors import LatheError
from store.evaluations import Evaluation, FinishedCell, NewGeneration

FLUSH_SECONDS = 0.25
FLUSH_CELLS = 200
LOW_WATER = 32
"""With fewer answers on their way the next block is sent: twice the engine's usual slots, so that they never
run dry,
and few enough that the versions it likes to take together do not run ahead of the others by many rows."""
MOST_TRIES = 2
HOPELESS = 64
"""When so many cells failed and none was answered, the rest would fail too."""
TICK_SECONDS = 0.05


@dataclass
class _Asked:
    """An answer on its way, and every cell that waits for it (copies of a case share one)."""

    cells: list[PlannedCell]
    tries: int = 1


@dataclass
class _Run:
    """One run of a comparison in this process."""

    context: Context
    comparison: Comparison
    evaluation: Evaluation
    done: int
    asked: dict[str, _Asked] = field(default_factory=dict)
    """Key → answer on its way."""
    replies: Replies = field(default_factory=queue.SimpleQueue)
    over: threading.Event = field(default_factory=threading.Event)
    sent: threading.Event | None = None
    """Set once the engine works on the batch sent last."""
    note: str = ""
    """Why nothing comes at the moment."""
    cells: list[tuple[PlannedCell, Mapping[str, Any] | None, str]] = field(default_factory=list)
    """Finished and not yet kept: (cell, the engine's done event or None, error)."""
    kept_at: float = field(default_factory=time.monotonic)
    streams: int = 0
    generated: int = 0
    tokens: dict[str, list[float]] = field(default_factory=dict)
    """Model → [answers, prompt characters, prompt tokens, completion tokens] of this run."""
    answered: int = 0
    unanswered: int = 0
    """Requests of this run by whether the engine could answer them; reused cells are in neither."""
    failed: int = 0
    last_error: str = ""

    @property
    def tag(self) -> str:
        return f"evaluation-{self.evaluation.id}"


def run_compare(spec: CompareSpec, context: Context) -> dict[str, Any]:
    """Run a comparison to its end (or go on with it), and return its summary."""
    store = context.store
    evaluation = evaluations.evaluation_of_job(store, context.job_id)
    if evaluation is None:
        comparison = prepare(store, spec)
        evaluation = _begin(spec, context, comparison)
    else:
        # Labels may have moved and drafts changed since: what was frozen at the start is what is compared.
        subjects = [subject_of(data) for data in evaluation.subjects]
        cases = datasets.dataset_version_by_id(store, evaluation.cases_version_id)
        comparison = resolved(store, spec, subjects, cases)
        evaluations.finish_evaluation(store, evaluation.id, "running")
    filled = evaluations.filled(store, evaluation.id)
    run = _Run(context, comparison, evaluation, done=len(filled))
    started = time.monotonic()
    try:
        _answer_all(run, filled)
        run.over.set()
        if run.failed and run.failed == run.done:
            raise LatheError(f"None of the {run.failed} cells could be answered. {run.last_error}")
    except Stopped:
        _stop(run)
        evaluations.finish_evaluation(
            store, evaluation.id, "stopped", report(store, evaluation.id, full=False)
        )
        raise
    except BaseException:
        _stop(run)
        evaluations.finish_evaluation(store, evaluation.id, "failed")
        raise
    seconds = time.monotonic() - started
    summary = report(store, evaluation.id)
    summary["seconds"] = round(seconds, 3)
    summary["speeds"] = _speeds(run, seconds)
    summary["gates"] = gates_met(spec, comparison.subjects, summary)
    evaluations.finish_evaluation(store, evaluation.id, "done", summary)
    return summary


def _begin(spec: CompareSpec, context: Context, comparison: Comparison) -> Evaluation:
    cases = comparison.cases
    prompts = sorted({subject.prompt for subject in comparison.subjects})
    evaluation = evaluations.create_evaluation(
        context.store,
        name=spec.name or f"{', '.join(prompts)} × {cases.name}",
        spec={**spec.model_dump(mode="json"), "cases": cases.ref},
        subjects=[subject.as_data() for subject in comparison.subjects],
        cases_version_id=cases.id,
        planned=comparison.planned,
        job_id=context.job_id,
    )
    context.publish("evaluation", evaluation.id, evaluation.ref)
    context.used("dataset", cases.id, cases.ref, cases.hash)
    for subject in comparison.subjects:
        if subject.version_id is not None:
            context.used("prompt", subject.version_id, f"{subject.prompt}@{subject.version}")
        context.used("model", subject.model_id, subject.model, subject.model_hash)
    return evaluation


def _answer_all(run: _Run, filled: set[tuple[int, int, int]]) -> None:
    """Send cases block by block, keep what comes back, until nothing is missing."""
    run.context.progress(run.done, run.comparison.planned, unit="cells")
    blocks = _blocks(run, filled)
    more = True
    while more or run.asked or run.streams:
        while more and len(run.asked) < LOW_WATER:
            block = next(blocks, None)
            if block is None:
                more = False
            else:
                _ask(run, block)
            run.context.raise_if_stopped()
        _take_in(run)
        if run.cells and (time.monotonic() - run.kept_at >= FLUSH_SECONDS or len(run.cells) >= FLUSH_CELLS):
            _keep(run)
        run.context.raise_if_stopped()
    _keep(run)


def _blocks(run: _Run, filled: set[tuple[int, int, int]]) -> Iterator[list[PlannedCell]]:
    """Cells that are still empty, by block: the same cases for all versions, and those on one model
    together."""
    for subjects in _models_in_turn(run):
        rows = selected_rows(run.context.store, run.comparison)
        while block := list(islice(rows, BLOCK)):
            cells = [
                cell
                for cell in planned_cells(run.comparison, block, subjects)
                if (cell.subject, cell.position, cell.repeat) not in filled
            ]
            if cells:
                yield cells


def _models_in_turn(run: _Run) -> list[list[int]]:
    """Which subjects are asked together: all whose models stay loaded together, else model by model."""
    comparison = run.comparison
    by_model: dict[int, list[int]] = {}
    for index, subject in enumerate(comparison.subjects):
        by_model.setdefault(subject.model_id, []).append(index)
    if len(by_model) > 1:
        wanted = [
            (comparison.subjects[some[0]].model, comparison.settings[some[0]]) for some in by_model.values()
        ]
        if fit_together(run.context.root, wanted):
            return [list(range(len(comparison.subjects)))]
    return list(by_model.values())


def _ask(run: _Run, cells: list[PlannedCell]) -> None:
    there = evaluations.find_generations(run.context.store, (cell.key for cell in cells if cell.key))
    fresh: list[str] = []
    for cell in cells:
        if cell.problem:
            _finished(run, cell, None, cell.problem)
        elif cell.key in there:
            _finished(run, cell, None, "")
        elif cell.key in run.asked:
            run.asked[cell.key].cells.append(cell)
        else:
            run.asked[cell.key] = _Asked([cell])
            fresh.append(cell.key)
    _send(run, fresh)


def _send(run: _Run, keys: list[str]) -> None:
    """Hand requests to the engine, one batch for each model."""
    by_model: dict[int, list[str]] = {}
    for key in keys:
        by_model.setdefault(run.comparison.subjects[run.asked[key].cells[0].subject].model_id, []).append(key)
    for some in by_model.values():
        cells = [run.asked[key].cells[0] for key in some]
        requests = [_request(run, cell) for cell in cells]
        ids = {str(request["id"]): key for request, key in zip(requests, some, strict=True)}
        run.streams += 1
        settings = run.comparison.settings[cells[0].subject]
        run.sent = ask(run.context.root, requests, ids, settings, run.replies, run.over, run.sent)


def _request(run: _Run, cell: PlannedCell) -> dict[str, Any]:
    content, subject = run.comparison.contents[cell.subject], run.comparison.subjects[cell.subject]
    sampling = content.sampling.model_dump(mode="json")
    return {
        "id": f"{cell.subject}:{cell.position}:{cell.repeat}",
        "model": subject.model,
        "messages": cell.messages,
        "shared_prefix": shared_prefix(content) or None,
        "sampling": {**sampling, "seed": (content.sampling.seed + cell.repeat) % 2**32},
        "json_schema": content.json_schema,
        "thinking": content.thinking,
        "priority": "bulk",
        "tag": run.tag,
        "want_rendered": True,
    }


def _take_in(run: _Run) -> None:
    """Take what the engine sent, waiting a moment when there is nothing."""
    again: list[str] = []
    wait = bool(run.asked or run.streams)
    while len(run.cells) < FLUSH_CELLS:
        try:
            reply = run.replies.get(timeout=TICK_SECONDS) if wait else run.replies.get_nowait()
        except queue.Empty:
            break
        wait = False
        if reply.kind == "ended":
            run.streams -= 1
        elif reply.kind == "note":
            run.note = reply.text
            run.context.progress(run.done, run.comparison.planned, note=run.note, unit="cells")
        elif reply.kind == "again":
            again.append(reply.key)
        else:
            asked = run.asked[reply.key]
            error = error_of(reply.event)
            if error and asked.tries < MOST_TRIES:
                asked.tries += 1
                again.append(reply.key)
                continue
            del run.asked[reply.key]
            run.answered += not error
            run.unanswered += bool(error)
            for number, cell in enumerate(asked.cells):
                _finished(run, cell, reply.event if not error and number == 0 else None, error)
    _send(run, again)


def _finished(run: _Run, cell: PlannedCell, event: Mapping[str, Any] | None, error: str) -> None:
    run.cells.append((cell, event, error))
    run.done += 1
    if error:
        run.failed += 1
        run.last_error = error
        if run.failed <= 20:
            run.context.log(f"case {cell.position + 1}, {_label(run, cell)}: {error}", level="warning")


def _label(run: _Run, cell: PlannedCell) -> str:
    return run.comparison.subjects[cell.subject].label


def _keep(run: _Run) -> None:
    """Put finished cells into the store, in one transaction with their answers."""
    waiting, run.cells = run.cells, []
    run.kept_at = time.monotonic()
    store = run.context.store
    fresh = {cell.key: _generation(run, cell, event) for cell, event, _ in waiting if event is not None}
    there = evaluations.find_generations(store, (cell.key for cell, _, error in waiting if not error))
    # Checks may take long, and everybody else's writes wait for a transaction: judge before it begins.
    finished = [_finished_cell(run, one, there, fresh) for one in waiting]
    with store.write():
        # Another comparison may have kept the same answer just now: then that one is the answer, and is
        # judged.
        late = evaluations.find_generations(store, (key for key in fresh if key not in there))
        if late:
            there |= late
            finished = [
                _finished_cell(run, one, there, fresh) if one[0].key in late else cell
                for one, cell in zip(waiting, finished, strict=True)
            ]
        new = [one for key, one in fresh.items() if key not in there]
        evaluations.record_cells(store, run.evaluation.id, finished, new)
    _count_tokens(run, waiting)
    run.context.progress(run.done, run.comparison.planned, note=run.note, unit="cells")
    if run.unanswered >= HOPELESS and not run.answered:
        raise LatheError(
            f"The first {run.unanswered} requests all failed, so the rest was not tried. {run.last_error}"
        )


def _finished_cell(
    run: _Run,
    waiting: tuple[PlannedCell, Mapping[str, Any] | None, str],
    there: Mapping[str, evaluations.Generation],
    fresh: Mapping[str, NewGeneration],
) -> FinishedCell:
    cell, event, error = waiting
    answer = None if error else there.get(cell.key) or fresh.get(cell.key)
    verdict = judge(
        answer.output if answer is not None else "",
        checks_of(cell.case, run.comparison.checks),
        expected=cell.case.get("expected"),
        normalisation=run.comparison.contents[cell.subject].normalise,
        finish_reason=answer.finish_reason if answer is not None else "error",
        error=error,
    )
    return FinishedCell(
        subject=cell.subject,
        position=cell.position,
        repeat=cell.repeat,
        key=cell.key if answer is not None else None,
        state=verdict.state,
        passed=verdict.passed,
        score=verdict.score,
        checks=[result.as_data() for result in verdict.results],
        reused=not error and (event is None or cell.key in there),
        error=verdict.why if verdict.state in ("error", "cut_off", "overflow") else "",
    )


def _generation(run: _Run, cell: PlannedCell, event: Mapping[str, Any]) -> NewGeneration:
    timings = event.get("timings") or {}
    # Cells queue by the hundred; what an answer took begins when the engine turns to it.
    queued = timings.get("queue_ms") or 0.0
    content, subject = run.comparison.contents[cell.subject], run.comparison.subjects[cell.subject]
    return NewGeneration(
        key=cell.key,
        model_version_id=subject.model_id,
        messages=[dict(message) for message in cell.messages],
        rendered=event.get("rendered"),
        output=event.get("text") or "",
        thinking=event.get("thinking") or "",
        finish_reason=event["finish_reason"],
        prompt_tokens=event.get("prompt_tokens") or 0,
        completion_tokens=event.get("completion_tokens") or 0,
        cached_tokens=event.get("cached_tokens") or 0,
        latency_ms=_less(timings.get("total_ms"), queued),
        first_token_ms=_less(timings.get("first_token_ms"), queued),
        tokens_per_second=timings.get("tokens_per_second"),
        timings=timings,
        logprobs=event.get("logprobs"),
        params={
            "sampling": content.sampling.model_dump(mode="json"),
            "repeat": cell.repeat,
            "fingerprint": run.comparison.fingerprints[cell.subject],
        },
    )


def _less(milliseconds: float | None, queued: float) -> float | None:
    return None if milliseconds is None else max(0.0, round(milliseconds - queued, 3))


def _count_tokens(run: _Run, waiting: list[tuple[PlannedCell, Mapping[str, Any] | None, str]]) -> None:
    for cell, event, _ in waiting:
        if event is None:
            continue
        run.generated += 1
        counts = run.tokens.setdefault(run.comparison.subjects[cell.subject].model, [0.0, 0.0, 0.0, 0.0])
        counts[0] += 1
        counts[1] += sum(len(message["content"]) for message in cell.messages)
        counts[2] += event.get("prompt_tokens") or 0
        counts[3] += event.get("completion_tokens") or 0
    if run.generated:
        run.context.metric("cells", run.done)


def _speeds(run: _Run, seconds: float) -> dict[str, dict[str, float]]:
    """What this run measured about its models, for the estimates of later ones."""
    every = sum(counts[2] + counts[3] for counts in run.tokens.values())
    return {
        model: {
            "characters_per_token": characters / prompt,
            "completion_tokens": completion / answers,
            "seconds_per_token": seconds / every,
        }
        for model, (answers, characters, prompt, completion) in run.tokens.items()
        if prompt and every
    }


def _stop(run: _Run) -> None:
    """Call off what is on its way, and keep what has come back."""
    run.over.set()
    call_off(run.context.root, run.tag)
    if run.cells:
        _keep(run)
