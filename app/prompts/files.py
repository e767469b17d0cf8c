"""Comparisons, prompts and cases to and from files of other people and of version control."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from app.jobs.context import Context
from app.prompts.case_files import Reading, ReadOptions, read_cases
from app.prompts.case_sets import checks_data, name_from, save_case_rows
from app.prompts.cases import case_data, default_checks, parse_default_checks
from app.prompts.content import PromptContent, content_data, parse_content
from app.prompts.export import ExportFormat, export_comparison
from app.prompts.promptfoo import read_promptfoo
from app.prompts.report import case_rows
from app.prompts.saving import check_templates
from app.prompts.specs import ExportSpec, ImportPromptsSpec, WritePromptsSpec
from app.prompts.template import TemplateProblem
from app.prompts.text_folder import read_folder, write_cases, write_prompt
from store import datasets, evaluations, prompts
from store.errors import BadInput
from store.refs import check_name
from store.workspace import Store


def export(spec: ExportSpec, context: Context) -> dict[str, Any]:
    """Write a comparison as HTML, JSON Lines or Markdown."""
    path = Path(spec.path)
    kind = spec.format if spec.format != "auto" else path.suffix.lower().lstrip(".").replace("markdown", "md")
    if kind not in get_args(ExportFormat):
        raise BadInput(
            f"{path.name} does not say what to write. End it in .html, .jsonl or .md, or name the format."
        )
    if path.is_dir():
        raise BadInput(f"{path} is a folder. Name a file in it.")
    if path.exists() and not spec.overwrite:
        raise BadInput(f"{path} is there already. Choose another name, or overwrite=true.")
    evaluation = evaluations.evaluation(context.store, spec.evaluation)
    context.used("evaluation", evaluation.id, evaluation.ref)
    try:
        cases = export_comparison(context.store, spec.evaluation, path, kind)  # type: ignore[arg-type]
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror or error}.") from None
    return {"path": str(path), "format": kind, "cases": cases, "bytes": path.stat().st_size}


def import_prompts(spec: ImportPromptsSpec, context: Context) -> dict[str, Any]:
    """Import a promptfoo configuration (its prompts become versions of one prompt) or a folder of text
    files."""
    path = Path(spec.path)
    if path.is_dir():
        return _import_folder(spec, context, path)
    found = read_promptfoo(path, held_out=spec.held_out)
    name = check_name(spec.name, "prompt name") if spec.name else _name_of_config(path)
    refs = []
    for label, content in found.prompts:
        note = " · ".join(part for part in (label, spec.note) if part)
        version = prompts.save_version(
            context.store, name, content_data(content), note=note[:500], job_id=context.job_id
        )
        context.publish("prompt", version.id, version.ref, version.hash)
        refs.append(version.ref)
    cases = None
    if found.cases:
        case_name = check_name(spec.cases, "case set name") if spec.cases else name
        rows = (case_data(case) for case in found.cases)
        cases = save_case_rows(context, case_name, rows, (), f"from {path.name}").ref
    for place, why in list(found.not_imported.items())[:200]:
        context.log(f"not imported: {place}: {why}", level="warning")
    return {
        "prompts": refs,
        "cases": cases,
        "cases_count": len(found.cases),
        "not_imported": [{"path": place, "why": why} for place, why in found.not_imported.items()],
        "description": found.description,
    }


def write_prompts(spec: WritePromptsSpec, context: Context) -> dict[str, Any]:
    """Write prompts and case sets as text files; reading the folder again gives the same versions."""
    store, folder = context.store, Path(spec.folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file. Name a folder.")
    written: dict[str, list[str]] = {"prompts": [], "cases": []}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if spec.only != "cases":
            for ref in spec.prompts or [prompt.name for prompt in _all_prompts(store)]:
                version = prompts.prompt_version(store, ref)
                context.used("prompt", version.id, version.ref, version.hash)
                write_prompt(
                    folder, version.name, parse_content(version.content, f"the prompt {version.ref}")
                )
                written["prompts"].append(version.ref)
        if spec.only != "prompts":
            for ref in spec.cases or [
                one.name for one in datasets.list_datasets(store, role="cases", limit=10_000)
            ]:
                cases = datasets.dataset_version(store, ref, role="cases")
                context.used("dataset", cases.id, cases.ref, cases.hash)
                rows = (row.content for row in case_rows(store, cases.id))
                write_cases(folder, cases.name, rows, checks_data(default_checks(cases.meta)))
                written["cases"].append(cases.ref)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror or error}.") from None
    return {"folder": str(folder), **written}


def _import_folder(spec: ImportPromptsSpec, context: Context, folder: Path) -> dict[str, Any]:
    found = read_folder(folder)
    if spec.name and len(found.prompts) > 1:
        raise BadInput(
            f"{folder.name} holds {len(found.prompts)} prompts, so one name does not fit. Leave it out."
        )
    refs, unchanged = [], []
    for file_name, content in found.prompts:
        name = check_name(spec.name, "prompt name") if spec.name else name_from(file_name)
        try:
            check_templates(content)
        except TemplateProblem as problem:
            found.problems[file_name] = str(problem)
            continue
        same = _same_as_latest(context.store, name, content)
        if same is not None:
            unchanged.append(same)
            continue
        version = prompts.save_version(
            context.store,
            name,
            content_data(content),
            note=spec.note or f"from {folder.name}",
            job_id=context.job_id,
        )
        context.publish("prompt", version.id, version.ref, version.hash)
        refs.append(version.ref)
    cases, count = [], 0
    for file_name, path, declared in found.case_files:
        name = spec.cases if spec.cases and len(found.case_files) == 1 else name_from(file_name)
        reading = Reading()
        rows = [case_data(case) for case in read_cases(path, ReadOptions(held_out=spec.held_out), reading)]
        if reading.rejected_count:
            found.problems[path.name] = reading.sentence()
        if not rows:
            continue
        checks = parse_default_checks(declared)
        latest = next((one for one in datasets.list_datasets(context.store, role="cases", filter=name)), None)
        if (
            latest is not None
            and latest.name == name
            and _same_cases(context.store, name, rows, checks_data(checks))
        ):
            unchanged.append(datasets.dataset_version(context.store, name, role="cases").ref)
            continue
        version_ref = save_case_rows(context, name, rows, checks, spec.note or f"from {folder.name}").ref
        cases.append(version_ref)
        count += len(rows)
    for place, why in found.problems.items():
        context.log(f"not imported: {place}: {why}", level="warning")
    return {
        "prompts": refs,
        "cases": cases[0] if len(cases) == 1 else cases or None,
        "cases_count": count,
        "unchanged": unchanged,
        "not_imported": [{"path": place, "why": why} for place, why in found.problems.items()],
    }


def _same_as_latest(store: Store, name: str, content: PromptContent) -> str | None:
    """The latest version's reference when it says the same; a second import of a folder makes no new
    versions."""
    if not any(prompt.name == name for prompt in prompts.list_prompts(store, filter=name, limit=1000)):
        return None
    latest = prompts.prompt_version(store, name)
    return latest.ref if parse_content(latest.content, f"the prompt {latest.ref}") == content else None


def _same_cases(store: Store, name: str, rows: list[dict[str, Any]], checks: list[dict[str, Any]]) -> bool:
    version = datasets.dataset_version(store, name, role="cases")
    if version.rows != len(rows) or (version.meta.get("checks") or []) != checks:
        return False
    return all(row.content == new for row, new in zip(case_rows(store, version.id), rows, strict=True))


def _all_prompts(store: Store) -> list[Any]:
    return prompts.list_prompts(store, limit=10_000)


def _name_of_config(path: Path) -> str:
    """`promptfooconfig.yaml` says nothing about what it holds; the folder's name does."""
    stem = path.stem
    if stem.lower() in ("promptfooconfig", "config", "promptfoo", "index"):
        stem = path.resolve().parent.name or stem
    return name_from(stem)
