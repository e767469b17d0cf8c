"""What the tab reads from the store, each in one go and off the screen's thread; plain data comes back."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.prompts.subjects import find_subject, subject_of
from app.prompts.tab.data import CaseLabel, CellText, Comparison, Head, Preview
from app.prompts.tab.drafts import content_key
from app.prompts.tab.outline import CaseSet, Past, Shelf
from app.prompts.tab.selection import MOST_COLUMNS, SETTING, Selection, as_data, from_data
from app.prompts.tab.verdict import Verdicts
from app.prompts.titles import case_title
from store import datasets, drafts, evaluations, jobs, models, prompts, settings
from store.errors import BadInput, NotFound
from store.evaluations import Evaluation
from store.workspace import Store

MOST_PROMPTS = 200
MOST_CASE_SETS = 50
MOST_PAST = 30
TEXT_SHOWN = 600
"""Characters of an answer that the grid and the strip below it can show."""
TAIL_PAGE = 500
MOST_PREVIEWED = 200
MOST_AT_ONCE = 3000
"""Cells that are read before the first page is shown: some 20 ms."""

_VARIABLE = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)")


@dataclass(frozen=True)
class First:
    """Everything that the first screen shows."""

    shelf: Shelf
    selection: Selection
    comparison: Comparison | None
    preview: Preview


def first(store: Store, page_rows: int) -> First:
    """What was chosen last (or what fits together best), the list, and the last comparison with its first page."""
    selection = remembered(store)
    found = shelf(store, frozenset({selection.prompt} if selection.prompt else ()))
    shown = next((past.id for past in found.past), None)
    comparison = None if shown is None else open_comparison(store, shown, page_rows)
    seen = Preview((), ()) if comparison is not None else preview(store, selection)
    return First(found, selection, comparison, seen)


def preview(store: Store, selection: Selection) -> Preview:
    """The columns and the first cases of the next run; empty while something has to be chosen first."""
    if selection.missing:
        return Preview((), ())
    version = datasets.dataset_version(store, selection.cases, role="cases")
    rows = datasets.rows(store, version.id, limit=MOST_PREVIEWED)
    asked = [row for row in rows if selection.split in ("all", row.content.get("split", "tune"))]
    return Preview(tuple(column_titles(selection)), tuple(label_of(row.content) for row in asked))


def column_titles(selection: Selection) -> list[str]:
    """What the columns of the next run will be called."""
    names = [f"@{number}" for number in selection.versions] + (["draft"] if selection.draft else [])
    return [
        f"{model} {name}" if len(selection.models) > 1 else name
        for model in selection.models or ("",)
        for name in names
    ]


def shelf(store: Store, unfolded: Collection[str]) -> Shelf:
    """The list at the left, with the versions of the unfolded prompts."""
    known = prompts.list_prompts(store, limit=MOST_PROMPTS + 1)
    names = {prompt.name for prompt in known}
    sets = datasets.list_datasets(store, role="cases", limit=MOST_CASE_SETS)
    return Shelf(
        prompts=known[:MOST_PROMPTS],
        versions={name: prompts.prompt_versions(store, name) for name in unfolded if name in names},
        drafts={name for name in unfolded if drafts.draft(store, content_key(name)) is not None},
        cases=[CaseSet(f"{one.name}@{one.latest}", one.rows) for one in sets],
        past=[_past(one) for one in evaluations.list_evaluations(store, limit=MOST_PAST)],
        more_prompts=len(known) > MOST_PROMPTS,
    )


def _past(one: Evaluation) -> Past:
    prompt_names = list(dict.fromkeys(str(subject.get("prompt", "")) for subject in one.subjects))
    title = f"{one.created_at[5:16].replace('T', ' ')} {' + '.join(prompt_names) or one.name}"
    return Past(
        one.id,
        title,
        f"{len(one.subjects)}×{one.planned // max(1, len(one.subjects))}",
        one.state == "running",
    )


# What is chosen


def remembered(store: Store) -> Selection:
    """The selection kept in the workspace, brought up to what still exists; else one that makes sense."""
    kept = from_data(settings.get(store, SETTING))
    try:
        versions = prompts.prompt_versions(store, kept.prompt) if kept.prompt else []
    except NotFound:
        versions = []
    if not versions:
        return suggested(store, kept)
    numbers = {version.number for version in versions}
    kept = replace(
        kept,
        versions=tuple(number for number in kept.versions if number in numbers),
        draft=kept.draft and drafts.draft(store, content_key(kept.prompt)) is not None,
        models=kept.models or _first_model(store),
    )
    if not kept.versions and not kept.draft:
        kept = replace(kept, versions=tuple(sorted(numbers)[-MOST_COLUMNS:]))
    try:
        datasets.dataset_version(store, kept.cases, role="cases")
    except (NotFound, BadInput):
        kept = replace(kept, cases=_fitting_cases(store, versions[-1].content) or "")
    return kept


def remember(store: Store, selection: Selection) -> None:
    """Keep the selection for the next start."""
    settings.set(store, SETTING, as_data(selection))


def suggested(store: Store, base: Selection | None = None) -> Selection:
    """The prompt with most versions among those that some case set fits, all its versions, and those cases."""
    known = sorted(prompts.list_prompts(store, limit=MOST_PROMPTS), key=lambda prompt: -prompt.versions)
    fallback: Selection | None = None
    for prompt in known:
        chosen = select_prompt(store, base or Selection(), prompt.name)
        if chosen.cases:
            return chosen
        fallback = fallback or chosen
    return fallback or Selection(models=_first_model(store))


def select_prompt(store: Store, selection: Selection, name: str) -> Selection:
    """The selection for another prompt: its last versions, and cases that have its variables."""
    versions = prompts.prompt_versions(store, name)
    newest = versions[-1]
    cases = _fitting_cases(store, newest.content, preferred=selection.cases)
    return replace(
        selection,
        prompt=name,
        versions=tuple(version.number for version in versions[-MOST_COLUMNS:]),
        draft=False,
        baseline="",
        cases=cases or "",
        models=selection.models or _first_model(store),
    )


def _first_model(store: Store) -> tuple[str, ...]:
    known = models.list_models(store, limit=1)
    return (known[0].name,) if known else ()


def _fitting_cases(store: Store, content: Mapping[str, Any], preferred: str = "") -> str | None:
    """The case set whose cases have every variable the prompt asks for, guessed without the template engine."""
    asked = set()
    for message in content.get("messages") or ():
        asked |= set(_VARIABLE.findall(str(message.get("content", ""))))
    sets = datasets.list_datasets(store, role="cases", limit=MOST_CASE_SETS)
    refs = [f"{one.name}@{one.latest}" for one in sets if one.rows]
    if preferred in refs:
        refs.insert(0, preferred)
    for ref in refs:
        version = datasets.dataset_version(store, ref, role="cases")
        row = datasets.rows(store, version.id, limit=1)
        if row and asked <= set(row[0].content.get("variables") or {}):
            return ref
    return None


# A comparison


def open_comparison(store: Store, evaluation_id: int, page_rows: int) -> Comparison:
    """A comparison with the outcomes of its cells and the texts of its first page.

    Of a large finished one only the first page's cells are read (`partial`): a screen must not wait for twenty
    thousand. With no `page_rows` it is always whole.
    """
    one = evaluations.evaluation(store, evaluation_id)
    head = head_of(store, one)
    comparison = Comparison(head)
    if head.live:
        # Read before the table: what lands between the two is then tailed, and counted once all the same.
        row = store.read().execute("SELECT MAX(id) FROM cells WHERE evaluation_id = ?", (one.id,)).fetchone()
        comparison.last_cell = row[0] or 0
    if page_rows and not head.live and one.summary and head.planned > MOST_AT_ONCE:
        comparison.take(evaluations.cells(store, one.id, comparison.rows[:page_rows]))
        comparison.partial, comparison.summary, comparison.done = True, one.summary, head.planned
    else:
        comparison.take(evaluations.outcome_table(store, one.id))
    labels, texts = window(store, head, comparison.rows[:page_rows])
    comparison.keep_texts(labels, texts)
    return comparison


def head_of(store: Store, one: Evaluation) -> Head:
    """What is known of an evaluation before any cell is read."""
    subjects = tuple(subject_of(data) for data in one.subjects)
    baseline: int | None = None
    if named := one.spec.get("baseline"):
        try:
            baseline = subjects.index(find_subject(subjects, str(named)))
        except BadInput:
            baseline = None
    try:
        version = datasets.dataset_version_by_id(store, one.cases_version_id)
        cases_ref, count = version.ref, version.rows
    except NotFound:
        cases_ref, count = "cases in the trash", 0
    return Head(
        id=one.id,
        name=one.name,
        subjects=subjects,
        baseline=baseline,
        cases_ref=cases_ref,
        cases_version_id=one.cases_version_id,
        positions=_positions(store, one, count),
        planned=one.planned,
        repeats=int(one.spec.get("repeats") or 1),
        job_id=one.job_id,
        live=_is_live(store, one),
    )


def _is_live(store: Store, one: Evaluation) -> bool:
    """Running, and somebody is at it: a comparison whose job died is not."""
    if one.state != "running":
        return False
    if one.job_id is None:
        return False
    return jobs.job(store, one.job_id).state in jobs.LIVE


def _positions(store: Store, one: Evaluation, count: int) -> Sequence[int]:
    split = one.spec.get("split") or "all"
    places: Sequence[int] = range(count)
    if split != "all":
        found = store.read().execute(
            "SELECT v.position FROM version_rows v JOIN rows r ON r.id = v.row_id WHERE v.version_id = ? "
            "AND COALESCE(json_extract(r.content, '$.split'), 'tune') = ? ORDER BY v.position",
            (one.cases_version_id, split),
        )
        places = [row[0] for row in found]
    if tag := one.spec.get("tag"):
        tagged = store.read().execute(
            "SELECT v.position FROM version_rows v JOIN rows r ON r.id = v.row_id WHERE v.version_id = ? "
            "AND EXISTS (SELECT 1 FROM json_each(r.content, '$.tags') t WHERE t.value = ?)",
            (one.cases_version_id, tag),
        )
        with_tag = {row[0] for row in tagged}
        places = [place for place in places if place in with_tag]
    limit = one.spec.get("limit")
    return places[: int(limit)] if limit else places


def window(
    store: Store, head: Head, positions: Sequence[int]
) -> tuple[dict[int, CaseLabel], dict[tuple[int, int], CellText]]:
    """Names and answers of a few cases."""
    if not positions:
        return {}, {}
    labels: dict[int, CaseLabel] = {}
    wanted = set(positions)
    low, high = min(positions), max(positions)
    if high - low < 4 * len(positions) + 50:
        rows = datasets.rows(store, head.cases_version_id, after=low - 1, limit=high - low + 1)
    else:
        rows = [
            row
            for p in positions
            for row in datasets.rows(store, head.cases_version_id, after=p - 1, limit=1)
        ]
    for row in rows:
        if row.position in wanted:
            labels[row.position] = label_of(row.content)
    answers: dict[tuple[int, int], list[evaluations.Cell]] = defaultdict(list)
    for cell in evaluations.cells(store, head.id, positions):
        answers[cell.position, cell.subject].append(cell)
    return labels, {key: cell_text(cells) for key, cells in answers.items()}


def label_of(content: Mapping[str, Any]) -> CaseLabel:
    """How the case column names a case."""
    return CaseLabel(
        case_title(content),
        tuple(str(tag) for tag in content.get("tags") or ()),
        content.get("split") == "held_out",
    )


def cell_text(cells: Sequence[evaluations.Cell]) -> CellText:
    """The most frequent answer of a cell's repeats, cut to what a screen shows."""
    texts = [cell.output for cell in cells if cell.output is not None]
    reused = all(cell.reused for cell in cells)
    if not texts:
        return CellText(cells[0].error[:TEXT_SHOWN], reused)
    counted = Counter(texts)
    return CellText(counted.most_common(1)[0][0][:TEXT_SHOWN], reused, len(counted))


def texts_of(cells: Sequence[evaluations.Cell], comparison: Comparison) -> dict[tuple[int, int], CellText]:
    """Texts of cells that have just landed, where one repeat is the whole cell; others are read as a window."""
    if comparison.head.repeats > 1:
        return {}
    return {(cell.position, cell.subject): cell_text([cell]) for cell in cells}


def tail(store: Store, evaluation_id: int, after: int) -> list[evaluations.Cell]:
    """Cells finished since `after`, at most a page of them."""
    return evaluations.cells_after(store, evaluation_id, after, TAIL_PAGE)


def positions_matching(store: Store, head: Head, text: str) -> list[int]:
    """Cases whose text, tags or name hold every word of `text`; `tag:refund` looks at tags alone."""
    words = text.casefold().split()
    found = []
    after = -1
    while rows := datasets.rows(store, head.cases_version_id, after=after, limit=500):
        for row in rows:
            tags = [str(tag).casefold() for tag in row.content.get("tags") or ()]
            haystack = str(row.content).casefold()
            if all(
                word.removeprefix("tag:") in tags if word.startswith("tag:") else word in haystack
                for word in words
            ):
                found.append(row.position)
        after = rows[-1].position
    return found


def verdicts(store: Store, comparison: Comparison) -> Verdicts:
    """The rule's word on every pair, and what else a reader should know."""
    head = comparison.head
    decisions = tuple(one for _, _, one in comparison.decisions()) if len(head.subjects) > 1 else ()
    missing = max(0, head.planned - comparison.done)
    notes = []
    if missing and head.live and not decisions:
        notes.append(f"{missing:,} cells are still being made: looking early is not a verdict.")
    elif missing and not head.live:
        notes.append(f"{missing:,} cells are missing, so this is not a verdict: r goes on where it stopped.")
    for subject, states in zip(head.subjects, comparison.states(), strict=True):
        if states.get("cut_off"):
            limit = subject.content.get("sampling", {}).get("max_tokens", "?")
            notes.append(
                f"{states['cut_off']} answers of {subject.label} were cut off at {limit} tokens: not passed, not wrong."
            )
        if states.get("overflow"):
            notes.append(
                f"{states['overflow']} prompts of {subject.label} did not fit into the model's context."
            )
    failed = sum(states.get("error", 0) for states in comparison.states())
    if failed:
        notes.append(f"{failed:,} cells failed and are left out: enter says why, r tries them again.")
    if head.subjects and not missing and not failed and all(not one.passed for one in comparison.shares()):
        notes.append("Nothing was checked: give the cases an expected answer or checks (c edits them).")
    return Verdicts(decisions, missing, tuple(notes[:4]))
