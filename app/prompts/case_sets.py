"""Case sets in the store: imported from files, saved after edits, written back as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app.jobs.context import Context
from app.prompts.case_files import Reading, ReadOptions, read_cases
from app.prompts.cases import case_data, parse_case, parse_default_checks
from app.prompts.checks import Check
from app.prompts.compose import prompt_variables
from app.prompts.content import parse_content
from app.prompts.report import case_rows
from app.prompts.specs import ImportCasesSpec, SaveCasesSpec, WriteCasesSpec
from app.prompts.text_folder import write_jsonl
from store import datasets, prompts
from store.datasets import DatasetVersion
from store.errors import BadInput, NotFound
from store.refs import check_name
from store.workspace import Store

ROLE = "cases"
PROGRESS_EVERY = 1000


def import_cases(spec: ImportCasesSpec, context: Context) -> dict[str, Any]:
    """Read a file into a new version of a case set; every rejected row is named with its line and reason.

    The whole file is read before anything is saved: a refused file changes nothing.
    """
    path = Path(spec.path)
    name = check_name(spec.name, "case set name") if spec.name else name_from(path.stem)
    options = ReadOptions(
        format=None if spec.format == "auto" else spec.format,
        expected=spec.expected,
        tags=spec.tags,
        delimiter=spec.delimiter,
        encoding=spec.encoding,
        held_out=spec.held_out,
        limit=spec.limit,
    )
    reading = Reading()
    seen: set[int] = set()
    counts = {"tune": 0, "held_out": 0, "duplicates": 0}
    gathered = context.folder / "cases.jsonl"
    with gathered.open("w", encoding="utf-8") as file:
        for case in read_cases(path, options, reading):
            data = case_data(case)
            counts[case.split] += 1
            asked = hash(json.dumps([data["variables"], data.get("messages")], sort_keys=True))
            counts["duplicates"] += asked in seen
            seen.add(asked)
            file.write(json.dumps(data) + "\n")
            if reading.rows % PROGRESS_EVERY == 0:
                context.progress(reading.rows, note="reading", unit="cases")
                context.raise_if_stopped()
    if reading.rejected_count and (spec.on_error == "refuse" or not reading.rows):
        advice = "Correct them, or import with on_error=skip." if reading.rows else "Correct the file."
        raise BadInput(
            f"{reading.rejected_count:,} of {reading.rows + reading.rejected_count:,} rows of {path.name} "
            f"cannot be "
            f"used, so nothing was imported. {reading.sentence()}. {advice}"
        )
    for line, reason in reading.rejected:
        context.log(f"{reading.unit} {line} skipped: {reason}", level="warning")
    checks = parse_default_checks([*reading.checks, *spec.checks])
    notes = _variable_notes(context.store, spec.prompt, reading) if spec.prompt else []
    version = _save(
        context,
        name,
        _kept_and_new(context.store, name, spec.append, gathered),
        checks,
        list(reading.variables),
        note=spec.note or f"from {path.name}",
        total=reading.rows,
    )
    gathered.unlink()
    return {
        "ref": version.ref,
        "rows": version.rows,
        "imported": reading.rows,
        "rejected_count": reading.rejected_count,
        "rejected": [{reading.unit: line, "reason": reason} for line, reason in reading.rejected[:100]],
        "variables": list(reading.variables),
        "not_imported": reading.not_imported,
        "notes": notes,
        **counts,
    }


def save_cases(spec: SaveCasesSpec, context: Context) -> dict[str, Any]:
    """Make a new version of a case set from an old one and edits; cases are numbered from 1, as people
    count."""
    store = context.store
    base = _base(store, spec)
    replaced = {_number(text): parse_case(row, held_out=spec.held_out) for text, row in spec.replace.items()}
    for number in (*replaced, *spec.remove):
        if base is None or not 1 <= number <= base.rows:
            raise BadInput(f"There is no case {number} in {base.ref if base else spec.name}.")
    added = []
    for count, row in enumerate(spec.rows, 1):
        try:
            added.append(parse_case(row, held_out=spec.held_out))
        except BadInput as problem:
            raise BadInput(f"Case {count} cannot be saved: {problem}.") from None
    checks = parse_default_checks(base.meta.get("checks") if spec.checks is None and base else spec.checks)

    def rows() -> Iterator[dict[str, Any]]:
        if base is not None:
            for row in case_rows(store, base.id):
                number = row.position + 1
                if number not in spec.remove:
                    yield case_data(replaced[number]) if number in replaced else row.content
        yield from (case_data(case) for case in added)

    names: dict[str, None] = dict.fromkeys((base.meta.get("variables") or []) if base else [])
    for case in (*replaced.values(), *added):
        names.update(dict.fromkeys(case.variables))
    left = (base.rows if base else 0) - len(set(spec.remove)) + len(added)
    if left <= 0:
        raise BadInput(f"This would leave {spec.name} without a case. Keep at least one.")
    version = _save(context, spec.name, rows(), checks, list(names), note=spec.note, base=base)
    return {"ref": version.ref, "rows": version.rows, "variables": list(names)}


def write_cases_file(spec: WriteCasesSpec, context: Context) -> dict[str, Any]:
    """Write a case set as JSON Lines, one case a line, exactly as the store has it."""
    version = datasets.dataset_version(context.store, spec.cases, role=ROLE)
    path = Path(spec.path)
    if path.exists() and not spec.overwrite:
        raise BadInput(f"{path} is there already. Choose another name, or overwrite=true.")
    context.used("dataset", version.id, version.ref, version.hash)
    count = write_jsonl(path, (row.content for row in case_rows(context.store, version.id)))
    return {"path": str(path), "cases": count, "ref": version.ref}


def save_case_rows(
    context: Context, name: str, rows: Iterable[dict[str, Any]], checks: tuple[Check, ...], note: str
) -> DatasetVersion:
    """Save validated rows as a new version of a case set; for imports that read cases along with other
    things."""
    kept = list(rows)
    names: dict[str, None] = {}
    for row in kept:
        names.update(dict.fromkeys(row["variables"]))
    return _save(context, name, kept, checks, list(names), note=note, total=len(kept))


def name_from(text: str) -> str:
    """A usable name from a file's: what a name may not hold becomes a dash."""
    kept = "".join(c if c.isalnum() or c in "-_. +()" else "-" for c in text).strip(" .-")[:100].strip()
    return check_name(kept or "imported", "name")


def checks_data(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """Checks as the JSON that a case set's meta holds."""
    return [check.model_dump(mode="json", by_alias=True, exclude_defaults=True) for check in checks]


def _save(
    context: Context,
    name: str,
    rows: Iterable[dict[str, Any]],
    checks: tuple[Check, ...],
    variables: list[str],
    *,
    note: str,
    total: int | None = None,
    base: DatasetVersion | None = None,
) -> DatasetVersion:
    def progress(done: int) -> None:
        context.progress(done, total, note="saving", unit="cases")
        context.raise_if_stopped()

    version = datasets.save_version(
        context.store,
        name,
        ROLE,
        rows,
        parent=base.id if base is not None else None,
        meta={"checks": checks_data(checks), "variables": variables},
        note=note,
        job_id=context.job_id,
        progress=progress,
    )
    context.publish("dataset", version.id, version.ref, version.hash)
    return version


def _kept_and_new(store: Store, name: str, append: bool, gathered: Path) -> Iterator[dict[str, Any]]:
    if append:
        version = _latest(store, name)
        if version is not None:
            yield from (row.content for row in case_rows(store, version.id))
    with gathered.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _latest(store: Store, name: str) -> DatasetVersion | None:
    try:
        return datasets.dataset_version(store, name, role=ROLE)
    except NotFound:
        return None


def _base(store: Store, spec: SaveCasesSpec) -> DatasetVersion | None:
    if spec.fresh:
        return None
    if spec.parent is None:
        return _latest(store, spec.name)
    text = spec.parent.strip().lstrip("@")
    return datasets.dataset_version(store, f"{spec.name}@{text}" if text.isdecimal() else text, role=ROLE)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise BadInput(f"{text!r} is not the number of a case; cases are numbered from 1.")
    return int(text)


def _variable_notes(store: Store, prompt: str, reading: Reading) -> list[str]:
    version = prompts.prompt_version(store, prompt)
    wanted = prompt_variables(parse_content(version.content, f"the prompt {version.ref}"))
    missing = [name for name in wanted if name not in reading.variables]
    if missing:
        raise BadInput(
            f"No case has the variable {missing[0]!r} that {version.ref} asks for. The file has: "
            f"{', '.join(reading.variables) or 'none'}. Rename the column, or the variable in the prompt."
        )
    partly = [f"{name!r} is missing in {reading.rows - reading.variables[name]:,} cases" for name in wanted]
    notes = [
        note for note, name in zip(partly, wanted, strict=True) if reading.variables[name] < reading.rows
    ]
    unused = [name for name in reading.variables if name not in wanted]
    if unused:
        notes.append(f"{version.ref} does not use: {', '.join(unused)}")
    return notes
