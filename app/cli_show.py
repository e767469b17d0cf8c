"""`lathe show NOUN [REF]`: what is in a workspace, as a table for people or as JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.cli import DONE
from app.cli_narration import as_json
from app.cli_open import opened, root_of
from app.cli_workspace import Parser, with_workspace
from store.errors import BadInput, NotFound
from widgets.cells import clip, pad

if TYPE_CHECKING:
    from store.workspace import Store

Item = dict[str, Any]
WIDEST_COLUMN = 48
_ROWS_SHOWN = 50


@dataclass(frozen=True)
class Noun:
    """How one kind of thing is listed (newest or first by name), looked at, and which of its values make
    a table.
    """

    many: Callable[[Store, int], list[Item]]
    one: Callable[[Store, str, int], Item]
    columns: tuple[str, ...]


def show(arguments: list[str]) -> int:
    """`lathe show NOUN [REF]`"""
    parser = Parser("show", f"Show what is in the workspace: {', '.join(NOUNS)}.")
    parser.add_argument("noun", help=", ".join(NOUNS))
    parser.add_argument("ref", nargs="?", help="one of them, with its full content")
    parser.add_argument("--json", action="store_true", help="a JSON array; of one thing, an object")
    parser.add_argument("--limit", type=int, default=None, help="how many to show (default 50)")
    with_workspace(parser)
    given = parser.parse_intermixed_args(arguments)
    noun = NOUNS.get(given.noun)
    if noun is None:
        raise BadInput(f"There is nothing called {given.noun} to show. There are: {', '.join(NOUNS)}.")
    limit = _ROWS_SHOWN if given.limit is None else given.limit
    if limit < 1:
        raise BadInput("--limit is at least 1.")
    with opened(root_of(given.workspace)) as store:
        if given.ref is not None:
            sys.stdout.write(as_json(noun.one(store, given.ref, limit)))
        else:
            write_list(noun.many(store, limit), noun.columns, given.json)
    return DONE


def show_jobs(store: Store, limit: int, json_wanted: bool) -> None:
    """The list that `lathe jobs` prints, too."""
    write_list(NOUNS["jobs"].many(store, limit), NOUNS["jobs"].columns, json_wanted)


def write_list(items: Sequence[Item], columns: Sequence[str], json_wanted: bool) -> None:
    """Print `items` as a JSON array, or as a table of `columns`; a table of nothing is empty."""
    if json_wanted:
        sys.stdout.write(as_json(list(items)))
        return
    table = [[_cell(item.get(column)) for column in columns] for item in items]
    if not table:
        return
    widths = [max(_width(row[at]) for row in [list(columns), *table]) for at in range(len(columns))]
    for row in [list(columns), *table]:
        line = "  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return clip(" ".join(f"{name}={item}" for name, item in value.items()), WIDEST_COLUMN)
    if isinstance(value, list | tuple):
        return clip(" ".join(map(str, value)), WIDEST_COLUMN)
    if isinstance(value, float):
        return f"{value:g}"
    return clip(str(value), WIDEST_COLUMN)


def _item(thing: Any) -> Item:
    """A row of the store with the four keys that every object has in front."""
    front = {"id": thing.id, "name": thing.name, "ref": thing.ref, "created_at": thing.created_at}
    return front | asdict(thing)


def _prompts(store: Store, limit: int) -> list[Item]:
    from store import prompts

    return [_item(prompt) for prompt in prompts.list_prompts(store, limit=limit)]


def _prompt(store: Store, ref: str, limit: int) -> Item:
    from store import prompts

    return _item(prompts.prompt_version(store, ref))


def _datasets(role: str | None) -> Callable[[Store, int], list[Item]]:
    def many(store: Store, limit: int) -> list[Item]:
        from store import datasets

        return [_item(dataset) for dataset in datasets.list_datasets(store, role, limit=limit)]

    return many


def _dataset(role: str | None) -> Callable[[Store, str, int], Item]:
    def one(store: Store, ref: str, limit: int) -> Item:
        from store import datasets

        version = datasets.dataset_version(store, ref, role)
        rows = datasets.rows(store, version.id, limit=limit)
        shown = [{"position": row.position, "hash": row.hash, "content": row.content} for row in rows]
        return _item(version) | {"content": shown}

    return one


def _models(store: Store, limit: int) -> list[Item]:
    from store import models

    found = models.list_models(store, limit=limit)
    # Programs want to know what can be run: each version is a line of its own.
    return [
        _item(version) | {"default": version.is_default}
        for model in found
        for version in models.model_versions(store, model.name)
    ][:limit]


def _model(store: Store, ref: str, limit: int) -> Item:
    from store import models

    return _item(models.model_version(store, ref))


def _jobs(store: Store, limit: int) -> list[Item]:
    from store import jobs

    return [_item(job) for job in jobs.list_jobs(store, limit=limit)]


def _job(store: Store, ref: str, limit: int) -> Item:
    from app.jobs import runner
    from store import jobs

    job = jobs.job(store, _number(ref, "job"))
    told = [{"at": event.at, "kind": event.kind, **event.payload} for event in jobs.events(store, job.id)]
    edges = [asdict(edge) for edge in jobs.lineage_of_job(store, job.id)]
    command = runner.command_line(job)
    return _item(job) | {"command": command, "events": told[-limit:], "lineage": edges}


def _evaluations(store: Store, limit: int) -> list[Item]:
    from store import evaluations

    return [_item(evaluation) for evaluation in evaluations.list_evaluations(store, limit=limit)]


def _evaluation(store: Store, ref: str, limit: int) -> Item:
    from store import evaluations

    return _item(evaluations.evaluation(store, _number(ref, "evaluation")))


def _generations(store: Store, limit: int) -> list[Item]:
    from store import evaluations

    return [_item(generation) for generation in evaluations.list_generations(store, limit=limit)]


def _generation(store: Store, ref: str, limit: int) -> Item:
    from store import evaluations

    generation = evaluations.generation(store, _number(ref, "generation"))
    return _item(generation) | asdict(evaluations.generation_detail(store, generation.id))


def _labels(store: Store, limit: int) -> list[Item]:
    from store import prompts

    found = (
        {
            "id": version.id,
            "name": label,
            "ref": f"{prompt.name}@{label}",
            "created_at": version.created_at,
            "prompt": prompt.name,
            "version": version.number,
        }
        for prompt in prompts.list_prompts(store, limit=limit)
        for label in prompt.labels
        for version in [prompts.prompt_version(store, f"{prompt.name}@{label}")]
    )
    return list(islice(found, limit))


def _label(store: Store, ref: str, limit: int) -> Item:
    return _prompt(store, ref, limit)


def _edges_of_jobs(store: Store, job_ids: Sequence[int]) -> list[Item]:
    from store import jobs

    found = []
    for job_id in job_ids:
        job = jobs.job(store, job_id)
        for edge in jobs.lineage_of_job(store, job_id):
            found.append(_edge(edge, job))
    return found


def _edge(edge: Any, job: Any) -> Item:
    facts = {"operation": job.operation, "direction": edge.direction, "noun": edge.noun}
    front = {"id": edge.noun_id, "name": edge.noun, "ref": edge.ref, "created_at": job.created_at}
    return front | {"job": job.id} | facts | {"hash": edge.hash}


def _lineage(store: Store, limit: int) -> list[Item]:
    from store import jobs

    recent = [job.id for job in jobs.list_jobs(store, limit=limit)]
    return _edges_of_jobs(store, recent)[:limit]


def _lineage_of(store: Store, ref: str, limit: int) -> Item:
    """Every job that read or made what `ref` names; of a number, what that job read and made."""
    from store import datasets, jobs, models, prompts

    if ref.isdecimal():
        job = jobs.job(store, int(ref))
        return _item(job) | {"lineage": _edges_of_jobs(store, [job.id])}
    edges: list[Item] = []
    found: Item = {}
    resolvers: tuple[tuple[str, Callable[[Store, str], Any]], ...] = (
        ("prompt", prompts.prompt_version),
        ("dataset", datasets.dataset_version),
        ("model", models.model_version),
    )
    for noun, resolve in resolvers:
        try:
            version = resolve(store, ref)
        except NotFound:
            continue
        found = found or {"id": version.id, "name": version.name, "ref": version.ref}
        found.setdefault("created_at", version.created_at)
        for name in (f"{noun}_version", noun, "cases" if noun == "dataset" else f"{noun}s"):
            edges += [
                _edge(edge, jobs.job(store, edge.job_id)) for edge in jobs.lineage(store, name, version.id)
            ]
    if not found:
        raise NotFound(
            f"Nothing here is called {ref}. Lineage is asked for by a prompt, dataset or model, or a job's number."
        )
    return found | {"lineage": edges[:limit]}


def _settings(store: Store, limit: int) -> list[Item]:
    from store import settings

    return [
        {"id": key, "name": key, "ref": key, "created_at": None, "value": value}
        for key, value in sorted(settings.everything(store).items())
    ][:limit]


def _setting(store: Store, ref: str, limit: int) -> Item:
    found = next((item for item in _settings(store, 1_000_000) if item["name"] == ref), None)
    if found is None:
        raise NotFound(f"There is no setting {ref}. `lathe show settings` lists them.")
    return found


def _trash(store: Store, limit: int) -> list[Item]:
    from store import trash

    return [_item(thing) for thing in trash.trashed(store)][:limit]


def _trashed(store: Store, ref: str, limit: int) -> Item:
    found = next((item for item in _trash(store, 1_000_000) if ref in (item["name"], item["ref"])), None)
    if found is None:
        raise NotFound(f"Nothing called {ref} is in the trash. `lathe show trash` lists what is.")
    return found


def _number(text: str, noun: str) -> int:
    if not text.removeprefix("#").isdecimal():
        raise BadInput(f"A {noun} is named by its number, not {text!r}.")
    return int(text.removeprefix("#"))


NOUNS: dict[str, Noun] = {
    "prompts": Noun(_prompts, _prompt, ("name", "latest", "versions", "labels", "created_at")),
    "cases": Noun(_datasets("cases"), _dataset("cases"), ("name", "latest", "rows", "created_at")),
    "datasets": Noun(_datasets(None), _dataset(None), ("name", "role", "latest", "rows", "created_at")),
    "models": Noun(_models, _model, ("ref", "format", "size_bytes", "default", "path")),
    "jobs": Noun(_jobs, _job, ("id", "name", "state", "reason", "attempt", "created_at")),
    "evaluations": Noun(_evaluations, _evaluation, ("id", "name", "state", "planned", "created_at")),
    "generations": Noun(_generations, _generation, ("id", "output", "finish_reason", "created_at")),
    "labels": Noun(_labels, _label, ("ref", "version", "created_at")),
    "lineage": Noun(_lineage, _lineage_of, ("job", "operation", "direction", "noun", "ref", "created_at")),
    "settings": Noun(_settings, _setting, ("name", "value")),
    "trash": Noun(_trash, _trashed, ("ref", "noun", "name", "trashed_at")),
}
