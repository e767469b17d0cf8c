"""The Hugging Face cache: hub/models--org--name/{refs,snapshots/<revision>,blobs}, snapshots being links to blobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from app.models.file_kind import first_bytes
from app.models.naming import clean_name
from app.models.search import Candidate, Search

SOURCE = "Hugging Face cache"


def in_hugging_face_cache(search: Search) -> Iterator[Candidate]:
    """Every snapshot that holds a model; the one that a branch points to carries the branch's name."""
    for hub in hub_folders():
        if not hub.is_dir():
            continue
        for repository in sorted(hub.glob("models--*")):
            search.check()
            if repository.is_dir():
                yield from _snapshots(repository, search)


def hub_folders() -> list[Path]:
    """Where the cache lies, as huggingface_hub itself looks for it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return [Path(os.environ[name]).expanduser()]
    if os.environ.get("HF_HOME"):
        return [Path(os.environ["HF_HOME"]).expanduser() / "hub"]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [Path(cache).expanduser() / "huggingface" / "hub"]


def _snapshots(repository: Path, search: Search) -> Iterator[Candidate]:
    _, _, rest = repository.name.partition("--")
    repo_id = rest.replace("--", "/", 1)
    branches = _branches(repository / "refs")
    unfinished = (
        any((repository / "blobs").glob("*.incomplete")) if (repository / "blobs").is_dir() else False
    )
    snapshots = repository / "snapshots"
    if not snapshots.is_dir():
        return
    revisions = sorted(path for path in snapshots.iterdir() if path.is_dir())
    for snapshot in revisions:
        origin = {"repo": repo_id, "revision": snapshot.name, "branch": branches.get(snapshot.name, "")}
        found = False
        for candidate in search.models_in(snapshot, SOURCE, depth=3):
            found = True
            whole = candidate.path == snapshot
            tag = ""
            if whole and len(revisions) > 1:
                tag = clean_name(branches.get(snapshot.name) or snapshot.name[:8])
            name = clean_name(repo_id.rpartition("/")[2]) if whole else ""
            yield Candidate(candidate.path, SOURCE, name=name, tag=tag, origin=origin)
        if not found and unfinished:
            problem = f"The download of {repo_id} was interrupted; fetch it again to finish it."
            yield Candidate(
                snapshot, SOURCE, name=clean_name(repo_id.rpartition("/")[2]), problem=problem, origin=origin
            )


def _branches(refs: Path) -> dict[str, str]:
    """Revision to the branch or tag that points to it; `main` wins."""
    found: dict[str, str] = {}
    if not refs.is_dir():
        return found
    for path in sorted(refs.rglob("*"))[:1000]:
        if path.is_file():
            head, _ = first_bytes(path, 200)
            revision = (head or b"").decode("ascii", "replace").strip()
            branch = str(path.relative_to(refs))
            if revision and (branch == "main" or revision not in found):
                found[revision] = branch
    return found
