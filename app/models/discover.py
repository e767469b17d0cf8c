"""model.discover: what models lie on this machine already, found without being told where."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.models.examine import examine
from app.models.naming import clean_name
from app.models.search import MOST_FOUND, Candidate, Search
from app.models.sources.folders import in_added_folders, in_lm_studio, in_workspace
from app.models.sources.hugging_face import in_hugging_face_cache
from app.models.sources.ollama import in_ollama
from store import settings
from store.errors import LatheError
from store.models import list_models, model_versions
from store.workspace import Store, now

if TYPE_CHECKING:
    from app.jobs.context import Context
    from app.models.operations import DiscoverSpec

FOUND_SETTING = "models.found"
"""What the last search found, kept with the workspace so that the next start can show it at once."""


@dataclass(frozen=True)
class Found:
    """A model on this machine. `problem` says why it cannot be used; facts are empty then."""

    path: str
    source: str
    name: str
    tag: str
    format: str = ""
    size_bytes: int = 0
    architecture: str = ""
    parameters: int = 0
    quantisation: str = ""
    problem: str = ""
    also: tuple[str, ...] = ()
    """Other names for the same bytes."""
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.path


def run(spec: DiscoverSpec, context: Context) -> dict[str, Any]:
    """Search everywhere and keep the result; the summary lists what was found and what was left out."""
    search = Search(context.raise_if_stopped)
    folders = list(dict.fromkeys([*settings.get(context.store, "model_folders"), *spec.folders]))
    found = discover(
        context.root,
        folders,
        search,
        lambda item, count: context.progress(count, note=f"{item.source}: {item.name}", unit="models"),
    )
    known = registered_paths(context.store)
    result = {
        "at": now(),
        "models": [asdict(item) for item in found],
        "notes": search.notes[:100],
        "searched": search.entries,
    }
    settings.set(context.store, FOUND_SETTING, result)
    for note in search.notes[:100]:
        context.log(note, "warning")
    fresh = [item for item in found if not item.problem and os.path.realpath(item.path) not in known]
    return {
        "found": len(found),
        "new": len(fresh),
        "refused": sum(1 for item in found if item.problem),
        "models": [
            {
                "name": item.name,
                "tag": item.tag,
                "path": item.path,
                "source": item.source,
                "format": item.format,
                "size_bytes": item.size_bytes,
                "quantisation": item.quantisation,
                "registered": os.path.realpath(item.path) in known,
                "problem": item.problem,
            }
            for item in found
        ],
        "notes": search.notes[:100],
    }


def discover(
    root: Path,
    folders: list[str],
    search: Search,
    tell: Callable[[Found, int], None] = lambda _found, _count: None,
) -> list[Found]:
    """Everything that is a model or claims to be one, each file once, from all sources in turn.

    `tell` gets each as it is found and how many there are by then. Other names of the same file go to its `also`.
    """
    found: dict[str, Found] = {}
    for candidate in candidates(root, folders, search):
        search.check()
        real = os.path.realpath(candidate.path)
        if real in found:
            other = f"{candidate.source} {candidate.name}:{candidate.tag}" if candidate.name else ""
            first = found[real]
            if other and candidate.source == "Ollama":
                found[real] = replace(first, also=(*first.also, other))
            continue
        if len(found) >= MOST_FOUND:
            search.notes.append(f"More than {MOST_FOUND} models were found; the search ended there.")
            break
        found[real] = look_at(candidate)
        tell(found[real], len(found))
    return list(found.values())


def candidates(root: Path, folders: list[str], search: Search) -> Iterator[Candidate]:
    """The sources in the order in which a model found twice is told: the nearest first."""
    yield from in_workspace(root, search)
    yield from in_ollama(search)
    yield from in_lm_studio(search)
    yield from in_hugging_face_cache(search)
    yield from in_added_folders(folders, search)


def look_at(candidate: Candidate) -> Found:
    """A candidate with its facts, or with the sentence that says why it cannot be used."""
    if candidate.problem:
        return _refused(candidate, candidate.problem)
    try:
        found = examine(candidate.path)
    except LatheError as error:
        return _refused(candidate, str(error))
    facts = found.facts
    return Found(
        path=str(found.path),
        source=candidate.source,
        name=candidate.name or found.name,
        tag=candidate.tag or clean_name(found.tag),
        format=found.format,
        size_bytes=found.size_bytes,
        architecture=str(facts.get("architecture") or ""),
        parameters=int(facts.get("parameters") or 0),
        quantisation=str(facts.get("quantisation") or ""),
        origin=candidate.origin,
    )


def last_found(store: Store) -> tuple[str, list[Found], list[str]]:
    """When the last search was, what it found and what it could not see; an empty time when there was none."""
    kept = settings.get(store, FOUND_SETTING)
    if not isinstance(kept, dict):
        return "", [], []
    models = [Found(**{**item, "also": tuple(item.get("also", ()))}) for item in kept.get("models", [])]
    return str(kept.get("at", "")), models, list(kept.get("notes", []))


def registered_paths(store: Store) -> set[str]:
    """The real paths of everything that is registered."""
    return {
        os.path.realpath(version.path)
        for model in list_models(store, limit=10_000)
        for version in model_versions(store, model.name)
    }


def _refused(candidate: Candidate, problem: str) -> Found:
    name = candidate.name or clean_name(candidate.path.name)
    return Found(
        str(candidate.path), candidate.source, name, candidate.tag, problem=problem, origin=candidate.origin
    )
