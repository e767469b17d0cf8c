"""Reading one case with all its answers, and what is asked of the engine about them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from app.prompts.statistics import distinct_with_counts
from app.prompts.subjects import Subject
from app.prompts.tab.blind_choices import BlindChoices, Choice, pair_up
from app.prompts.tab.data import Comparison, Head, Show, state_of
from app.prompts.tab.shell import Shell
from app.prompts.tab.views import AnswerView, CaseView, CheckView
from app.prompts.titles import case_title
from store import datasets, evaluations
from store.errors import LatheError
from store.workspace import Store
from widgets.heat import Token


def case_view(store: Store, head: Head, position: int) -> CaseView:
    """One case and everything that was answered to it."""
    content = datasets.row(store, head.cases_version_id, position).content
    cells: dict[int, list[evaluations.Cell]] = {}
    for cell in evaluations.cells(store, head.id, [position]):
        cells.setdefault(cell.subject, []).append(cell)
    answers = tuple(
        answer_view(cells[index]) if index in cells else None for index in range(len(head.subjects))
    )
    return CaseView(position, case_title(content), content, answers)


def answer_view(cells: Sequence[evaluations.Cell]) -> AnswerView:
    """The most frequent answer of a cell's repeats, with the checks of one repeat that gave it."""
    texts = [cell.output or "" for cell in cells]
    usual = distinct_with_counts(texts)[0][0]
    cell = next(one for one in cells if (one.output or "") == usual)
    checks = tuple(
        CheckView(str(check.get("label", "")), check.get("passed"), str(check.get("why", "")))
        for check in cell.checks
    )
    return AnswerView(
        state=state_of(cells),
        text=usual,
        thinking=cell.thinking or "",
        why=cell.error or _WHY.get(cell.state, ""),
        checks=checks,
        prompt_tokens=cell.prompt_tokens,
        completion_tokens=cell.completion_tokens,
        first_token_ms=cell.first_token_ms,
        total_ms=cell.latency_ms,
        tokens_per_second=cell.tokens_per_second,
        reused=cell.reused,
        generation_id=cell.generation_id,
        repeats=tuple(texts),
    )


_WHY = {
    "cut_off": "cut off at max_tokens, so it was not checked",
    "overflow": "the prompt and its answer do not fit into the model's context",
    "unscored": "this case has no expected answer and no checks",
}


class CaseBook:
    """The cases of a comparison for the side by side screen, in the matrix's order."""

    def __init__(
        self,
        store: Store,
        comparison: Comparison,
        notes: Mapping[int, str],
        only: Callable[[Show, int], int],
    ) -> None:
        """`notes` by version id; `only(show, row)` filters the matrix and gives the row of the case then."""
        self._store = store
        self._comparison = comparison
        subjects = comparison.head.subjects
        self.titles = [_title(subject, notes.get(subject.version_id or -1, "")) for subject in subjects]
        self.baseline = comparison.head.baseline or 0
        self.only = only

    def row_count(self) -> int:
        return self._comparison.row_count()

    def found_from(self, row: int, step: int) -> int | None:
        return self._comparison.found_from(row, step)

    def load(self, row: int) -> CaseView:
        return case_view(self._store, self._comparison.head, self._comparison.rows[row])

    def prompt_of(self, view: CaseView, column: int) -> str:
        """What was sent: the stored rendering where there is one, else the messages, else filled in anew."""
        answer = view.answers[column]
        if answer is not None and answer.generation_id is not None:
            detail = evaluations.generation_detail(self._store, answer.generation_id)
            if detail.rendered:
                return detail.rendered
            if detail.messages:
                return messages_text(detail.messages)
        from app.prompts.compose import compose

        try:
            messages = compose(self._comparison.head.subjects[column].parsed(), view.content)
        except LatheError as error:
            return str(error)
        return messages_text(messages)

    def rate(self, view: CaseView, column: int, choice: str) -> str:
        """Keep that a column is better than the baseline (or that none is), or take the last rating back."""
        evaluation = self._comparison.head.id
        if choice == "undo":
            gone = evaluations.undo_rating(self._store, evaluation)
            return "The last rating is taken back." if gone else "There is no rating to take back."
        base, count = self.baseline, len(self.titles)
        if count < 2:
            return "There is only one column, so none is better."
        if column == base:
            others = [index for index in range(count) if index != base]
            for other in others:
                evaluations.add_rating(
                    self._store,
                    evaluation,
                    view.position,
                    base,
                    other,
                    "equal" if choice == "equal" else "left",
                )
            return f"{self.titles[base]} is the best here." if choice != "equal" else "None is better here."
        kept = "equal" if choice == "equal" else "right"
        evaluations.add_rating(
            self._store, evaluation, view.position, base, column, "equal" if kept == "equal" else "right"
        )
        if kept == "equal":
            return f"{self.titles[column]} is no better than {self.titles[base]} here."
        return f"{self.titles[column]} is better than {self.titles[base]} here."


def _title(subject: Subject, note: str) -> str:
    labels = f"{', '.join(subject.prompt_labels)} ●" if subject.prompt_labels else ""
    return " ".join(part for part in (subject.label, note, labels) if part)


def messages_text(messages: Sequence[dict[str, Any]]) -> str:
    """A conversation as text, each message under its speaker."""
    return "\n\n".join(f"[{message.get('role')}]\n{message.get('content')}" for message in messages)


# Blind choice


def blind_choices(store: Store, comparison: Comparison, pair: tuple[int, int]) -> BlindChoices:
    """Cases where both columns have an answer, shuffled; those alike are counted and left out."""
    answers: list[tuple[int, str, str]] = []
    positions = list(comparison.rows)
    for start in range(0, len(positions), 200):
        found: dict[tuple[int, int], str] = {}
        for cell in evaluations.cells(store, comparison.head.id, positions[start : start + 200]):
            if cell.subject in pair and cell.output is not None:
                found.setdefault((cell.position, cell.subject), cell.output)
        for position in positions[start : start + 200]:
            left, right = found.get((position, pair[0])), found.get((position, pair[1]))
            if left is not None and right is not None:
                answers.append((position, left, right))
    labels = [comparison.head.subjects[index].label for index in pair]
    return pair_up(labels[0], labels[1], answers, random.SystemRandom().getrandbits(32))


def keep_choice(
    store: Store,
    evaluation_id: int,
    pair: tuple[int, int],
    position: int,
    choice: Choice | None,
    swapped: bool,
) -> None:
    """Write one blind choice, as it was seen: the left subject is the one that stood on the left."""
    if choice is None:
        evaluations.undo_rating(store, evaluation_id)
        return
    left, right = pair[::-1] if swapped else pair
    evaluations.add_rating(store, evaluation_id, position, left, right, choice)


# Token probabilities


def token_heat(store: Store, head: Head, shell: Shell) -> Callable[[CaseView, int], Awaitable[list[Token]]]:
    """A function that gives the token probabilities of an answer: the stored ones, or asked for again."""

    async def heat(view: CaseView, column: int) -> list[Token]:
        answer = view.answers[column]
        if answer is None or answer.generation_id is None:
            return []
        detail = await asyncio.to_thread(evaluations.generation_detail, store, answer.generation_id)
        logprobs = detail.logprobs
        if not logprobs:
            logprobs = await _ask_again(head, column, detail, shell)
            if logprobs and "".join(str(one["token"]) for one in logprobs).strip() == answer.text.strip():
                await asyncio.to_thread(evaluations.keep_logprobs, store, answer.generation_id, logprobs)
        return [_token(one) for one in logprobs or ()]

    return heat


async def _ask_again(
    head: Head, column: int, detail: evaluations.GenerationDetail, shell: Shell
) -> list[dict[str, Any]]:
    subject = head.subjects[column]
    content = subject.content
    request = {
        "id": "heat",
        "model": subject.model,
        "messages": detail.messages,
        "sampling": detail.params.get("sampling") or content.get("sampling") or {},
        "json_schema": content.get("json_schema"),
        "thinking": content.get("thinking"),
        "logprobs": 5,
        "priority": "interactive",
    }
    async for event in shell.engine().generate([request]):
        if event.get("event") == "done":
            return list(event.get("logprobs") or [])
        if event.get("event") == "error":
            raise LatheError(
                f"The model could not say how sure it was: {event.get('error') or event.get('message')}"
            )
    return []


def _token(data: dict[str, Any]) -> Token:
    top = tuple((str(pair[0]), float(pair[1])) for pair in data.get("top") or ())
    return Token(str(data.get("token", "")), float(data.get("logprob", 0.0)), top)
