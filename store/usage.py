"""What takes room in a workspace, and making room: only what nothing refers to any more goes away."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store import blobs, datasets, search
from store.errors import StoreBroken
from store.workspace import DATABASE, Store

_FAMILIES = {
    "generations": "generations", "texts": "generations", "cells": "comparisons", "evaluations": "comparisons",
    "ratings": "comparisons", "rows": "datasets", "version_rows": "datasets", "datasets": "datasets",
    "dataset_versions": "datasets", "prompts": "prompts", "prompt_versions": "prompts", "labels": "prompts",
    "drafts": "prompts", "models": "models", "model_versions": "models", "jobs": "jobs", "job_events": "jobs",
    "metrics": "jobs", "lineage": "jobs",
}  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """Room that one kind of thing takes. `where` is `database` or the folder it lies in."""

    kind: str
    where: str
    bytes: int
    count: int


@dataclass(frozen=True)
class Cleaned:
    """What was (or would be) removed: blob files without a row, half-written files, ended imports."""

    blobs: int
    half_written: int
    imports: int
    bytes: int


def usage(store: Store) -> list[Usage]:
    """Room per kind, largest first. Reads every page of the database: a second per gigabyte or so."""
    found = [*_in_database(store), *_in_folders(store)]
    return sorted((part for part in found if part.bytes), key=lambda part: -part.bytes)


def unreferenced(store: Store) -> list[Path]:
    """Blob files that no row uses."""
    used = {row[0] for row in store.read().execute("SELECT DISTINCT hash FROM blob_uses")}
    return [path for digest, path in blobs.stored_blobs(store) if digest not in used]


def clean(store: Store, *, dry_run: bool = False, grace_seconds: float = 3600.0) -> Cleaned:
    """Remove what nothing refers to: unused blobs, half-written files and ended imports; mend search indexes.

    A blob younger than `grace_seconds` stays: whoever is saving it may not have said yet what needs it. Rows go
    before files, so that no row ever names a missing one.
    """
    loose = [path for path in unreferenced(store) if blobs.age_seconds(path) >= grace_seconds]
    size = sum(path.stat().st_size for path in loose)
    imports = datasets.ended_imports(store)
    if dry_run:
        return Cleaned(len(loose), len(blobs.half_written(store, grace_seconds)), imports, size)
    removed = 0
    for path in loose:
        removed += blobs.remove_unused(store, path.name)
    half = blobs.sweep(store, older_than_seconds=grace_seconds)
    datasets.sweep_staged(store)
    _mend_indexes(store)
    return Cleaned(removed, half, imports, size)


def _mend_indexes(store: Store) -> None:
    """Build a full-text index anew where it is damaged."""
    for kind in search.KINDS:
        with store.write() as connection:
            try:
                search.check_index(connection, kind)
            except StoreBroken:
                search.rebuild(connection, kind)


def _in_database(store: Store) -> list[Usage]:
    connection = store.read()
    sizes: dict[str, int] = {}
    try:
        pages = connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall()
    except sqlite3.OperationalError:
        # This SQLite was built without dbstat: the file as a whole is all that can be said.
        return [Usage("database", "database", _size(store.root / DATABASE), 1)]
    owners = {
        row[0]: row[1]
        for row in connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'")
    }
    for name, size in pages:
        table = owners.get(name, name)
        family = "search index" if "_search" in table else _FAMILIES.get(table, "everything else")
        sizes[family] = sizes.get(family, 0) + size
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    page = connection.execute("PRAGMA page_size").fetchone()[0]
    sizes["free pages"] = free * page
    return [Usage(family, "database", size, 0) for family, size in sizes.items()]


def _in_folders(store: Store) -> Iterator[Usage]:
    for kind in ("blobs", "jobs", "models", "backups"):
        sizes = [_size(path) for path in _files(store.root / kind)]
        yield Usage(kind, f"{kind}/", sum(sizes), len(sizes))
    log = _size(store.root / f"{DATABASE}-wal")
    yield Usage("write-ahead log", "database", log, 1)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                yield path


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0  # gone since it was listed
