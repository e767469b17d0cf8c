"""Datasets, case sets among them: immutable versions over content-addressed rows that versions share."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from store.errors import Ambiguous, BadInput, NotFound
from store.hashing import canonical, content_hash, dumps
from store.processes import lives, this_process
from store.refs import check_name, hash_prefix, none_such, parse_ref
from store.workspace import Store, now

BATCH = 250
"""Rows of one transaction while staging: 5 to 20 ms, below the 50 ms a write may hold the lock on a busy machine."""
BATCH_CHARACTERS = 200_000
"""What one transaction may hold where rows are long."""


@dataclass(frozen=True)
class Dataset:
    """A dataset as lists show it; `rows` and `latest` are those of its newest version."""

    id: int
    name: str
    role: str
    created_at: str
    latest: int
    rows: int
    trashed_at: str | None

    @property
    def ref(self) -> str:
        return self.name


@dataclass(frozen=True)
class DatasetVersion:
    """One immutable state of a dataset. `hash` is over the hashes of its rows in order and its meta."""

    id: int
    dataset_id: int
    name: str
    number: int
    role: str
    parent_id: int | None
    hash: str
    rows: int
    meta: dict[str, Any]
    note: str
    created_at: str
    job_id: int | None

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True)
class Row:
    """A row at its place in a version; `position` counts from 0."""

    position: int
    row_id: int
    hash: str
    content: dict[str, Any]


class RowDiff(NamedTuple):
    """What version b has that a has not, and the other way round, by content."""

    added: list[Row]
    removed: list[Row]
    shared: int


_VERSION = """
SELECT v.id, v.dataset_id, d.name, v.number, d.role, v.parent_id, v.hash, v.rows, v.meta, v.note, v.created_at,
    v.job_id
FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id AND d.trashed_at IS NULL AND v.number IS NOT NULL
"""
_NAMES = "SELECT name FROM datasets WHERE trashed_at IS NULL ORDER BY name"


def save_version(
    store: Store,
    name: str,
    role: str,
    rows: Iterable[dict[str, Any]],
    *,
    parent: int | None = None,
    meta: dict[str, Any] | None = None,
    note: str = "",
    job_id: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> DatasetVersion:
    """Save `rows` as a new version of the dataset `name`, making it with `role` when it is new.

    Rows are staged in small transactions and become visible all at once at the end; a killed or failed save
    leaves nothing visible. `progress` gets the number of rows staged so far, and may raise to give up.
    """
    check_name(name, "dataset name")
    sweep_staged(store)
    with store.write() as connection:
        existing = connection.execute(
            "SELECT role FROM datasets WHERE name = ? AND trashed_at IS NULL", (name,)
        ).fetchone()
        if existing is not None and existing["role"] != role:
            raise BadInput(
                f"{name} is a dataset with the role “{existing['role']}”, not “{role}”. Choose another name."
            )
        dataset_id = _dataset_id(connection, name, role)
        version_id = connection.execute(
            "INSERT INTO dataset_versions (dataset_id, parent_id, meta, note, job_id, created_at, staged_by) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (dataset_id, parent, dumps(meta or {}), note, job_id, now(), this_process()),
        ).lastrowid
        if version_id is None:
            raise RuntimeError("SQLite gave no row id")
    try:
        digest = hashlib.sha256(canonical(meta or {}))
        count = 0
        iterator = iter(rows)
        while batch := _batch(iterator):
            _stage(store, version_id, count, batch)
            for row_hash, _ in batch:
                digest.update(row_hash.encode("ascii"))
            count += len(batch)
            if progress is not None:
                progress(count)
        with store.write(durable=True) as connection:
            connection.execute(
                "UPDATE dataset_versions SET hash = ?, rows = ?, staged_by = NULL, parent_id = COALESCE(parent_id, "
                "  (SELECT id FROM dataset_versions WHERE dataset_id = ?3 AND number IS NOT NULL "
                "   ORDER BY number DESC LIMIT 1)), "
                "number = (SELECT COALESCE(MAX(number), 0) + 1 FROM dataset_versions WHERE dataset_id = ?3) "
                "WHERE id = ?4",
                (digest.hexdigest(), count, dataset_id, version_id),
            )
            return _one(connection, "WHERE v.id = ?", (version_id,))
    except BaseException:
        _discard(store, version_id)
        raise


def dataset_version(store: Store, ref: str, role: str | None = None) -> DatasetVersion:
    """The version that `ref` means: `name` (latest), `name@2` or a hash prefix; `role` narrows what is accepted."""
    connection = store.read()
    parsed = parse_ref(ref)
    known = connection.execute(
        "SELECT id, role FROM datasets WHERE name = ? AND trashed_at IS NULL", (parsed.name,)
    ).fetchone()
    noun = "case set" if role == "cases" else "dataset"
    if known is None:
        prefix = hash_prefix(ref)
        found = _by_hash(connection, prefix) if prefix else None
        if found is None:
            names = [row.name for row in list_datasets(store, role=role, limit=100)]
            raise none_such(noun, parsed.name, names)
        if role is not None and found.role != role:
            raise BadInput(
                f"{found.ref} has the role “{found.role}”; one with the role “{role}” is needed here."
            )
        return found
    if role is not None and known["role"] != role:
        raise BadInput(
            f"{parsed.name} has the role “{known['role']}”; a dataset with the role “{role}” is needed here."
        )
    if parsed.selector is None:
        where, values = "WHERE v.dataset_id = ? ORDER BY v.number DESC LIMIT 1", (known["id"],)
        return _one(connection, where, values)
    row = connection.execute(
        f"{_VERSION} WHERE v.dataset_id = ? AND v.number = ?", (known["id"], parsed.number)
    ).fetchone()
    if row is None:
        numbers = connection.execute(
            "SELECT number FROM dataset_versions WHERE dataset_id = ? AND number IS NOT NULL ORDER BY number",
            (known["id"],),
        )
        raise none_such(f"version of {parsed.name}", ref, [f"@{r['number']}" for r in numbers])
    return _version(row)


def dataset_version_by_id(store: Store, version_id: int) -> DatasetVersion:
    """The version with this id, NotFound when it is gone."""
    return _one(store.read(), "WHERE v.id = ?", (version_id,))


def dataset_versions(store: Store, name: str) -> list[DatasetVersion]:
    """All versions of a dataset, oldest first."""
    connection = store.read()
    found = connection.execute(f"{_VERSION} WHERE d.name = ? ORDER BY v.number", (name,)).fetchall()
    if not found:
        raise none_such("dataset", name, [row["name"] for row in connection.execute(_NAMES)])
    return [_version(row) for row in found]


def list_datasets(
    store: Store,
    role: str | None = None,
    *,
    limit: int = 50,
    after: str | None = None,
    filter: str = "",
) -> list[Dataset]:
    """A page of datasets by name, of one role or of all, starting behind the name `after`."""
    found = store.read().execute(
        """
        SELECT d.id, d.name, d.role, d.created_at, d.trashed_at, v.number AS latest, v.rows
        FROM datasets d JOIN dataset_versions v ON v.id = (
            SELECT id FROM dataset_versions WHERE dataset_id = d.id AND number IS NOT NULL
            ORDER BY number DESC LIMIT 1)
        WHERE d.trashed_at IS NULL AND d.name > ?1 AND (?2 IS NULL OR d.role = ?2)
            AND instr(lower(d.name), lower(?3)) > 0
        ORDER BY d.name LIMIT ?4
        """,
        (after or "", role, filter, limit),
    )
    return [Dataset(**dict(row)) for row in found]


def rows(store: Store, version_id: int, *, after: int = -1, limit: int = 200) -> list[Row]:
    """A page of rows behind the position `after`, in order."""
    found = store.read().execute(
        "SELECT vr.position, r.id AS row_id, r.hash, r.content FROM version_rows vr JOIN rows r ON r.id = vr.row_id "
        "WHERE vr.version_id = ? AND vr.position > ? ORDER BY vr.position LIMIT ?",
        (version_id, after, limit),
    )
    return [_row(row) for row in found]


def row(store: Store, version_id: int, position: int) -> Row:
    """The row at `position`, NotFound behind the end."""
    found = rows(store, version_id, after=position - 1, limit=1)
    if not found or found[0].position != position:
        raise NotFound(f"There is no row {position + 1} in this version of the dataset.")
    return found[0]


def row_diff(store: Store, a_id: int, b_id: int) -> RowDiff:
    """Rows that only version b (`added`) or only version a (`removed`) holds, by content."""
    connection = store.read()

    def only_in(here: int, there: int) -> list[Row]:
        found = connection.execute(
            "SELECT vr.position, r.id AS row_id, r.hash, r.content FROM version_rows vr JOIN rows r "
            "ON r.id = vr.row_id WHERE vr.version_id = ? "
            "AND vr.row_id NOT IN (SELECT row_id FROM version_rows WHERE version_id = ?) ORDER BY vr.position",
            (here, there),
        )
        return [_row(item) for item in found]

    added, removed = only_in(b_id, a_id), only_in(a_id, b_id)
    total = connection.execute("SELECT COUNT(*) FROM version_rows WHERE version_id = ?", (b_id,)).fetchone()[
        0
    ]
    return RowDiff(added, removed, int(total) - len(added))


def ended_imports(store: Store) -> int:
    """How many saves were killed before their end, and left rows that nobody can see."""
    staged = store.read().execute("SELECT staged_by FROM dataset_versions WHERE staged_by IS NOT NULL")
    return sum(not lives(row[0]) for row in staged)


def sweep_staged(store: Store) -> None:
    """Remove what killed saves have left, in short transactions."""
    found = (
        store.read()
        .execute("SELECT id, staged_by FROM dataset_versions WHERE staged_by IS NOT NULL")
        .fetchall()
    )
    for item in found:
        if not lives(item["staged_by"]):
            _discard(store, item["id"])


def _discard(store: Store, version_id: int) -> None:
    """Take a staged version away with its rows, and its dataset when it was to be the first version."""
    changed = BATCH
    while changed == BATCH:
        with store.write() as connection:
            changed = connection.execute(
                "DELETE FROM version_rows WHERE version_id = ?1 AND position IN "
                "(SELECT position FROM version_rows WHERE version_id = ?1 LIMIT ?2)",
                (version_id, BATCH),
            ).rowcount
    with store.write() as connection:
        connection.execute("DELETE FROM dataset_versions WHERE id = ? AND number IS NULL", (version_id,))
        connection.execute(
            "DELETE FROM datasets WHERE NOT EXISTS (SELECT 1 FROM dataset_versions WHERE dataset_id = datasets.id)"
        )


def _batch(rows: Iterator[dict[str, Any]]) -> list[tuple[str, str]]:
    """Hash and text of the next rows, as many as one transaction may hold the lock for."""
    batch: list[tuple[str, str]] = []
    size = 0
    for content in islice(rows, BATCH):
        text = dumps(content)
        batch.append((content_hash(content), text))
        size += len(text)
        if size > BATCH_CHARACTERS:
            break
    return batch


def _stage(store: Store, version_id: int, first: int, batch: list[tuple[str, str]]) -> None:
    with store.write() as connection:
        connection.executemany(
            "INSERT INTO rows (hash, content) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING", batch
        )
        connection.executemany(
            "INSERT INTO version_rows SELECT ?, ?, id FROM rows WHERE hash = ?",
            ((version_id, first + index, row_hash) for index, (row_hash, _) in enumerate(batch)),
        )


def _dataset_id(connection: sqlite3.Connection, name: str, role: str) -> int:
    known = connection.execute(
        "SELECT id FROM datasets WHERE name = ? AND trashed_at IS NULL", (name,)
    ).fetchone()
    if known is not None:
        return int(known["id"])
    made = connection.execute(
        "INSERT INTO datasets (name, role, created_at) VALUES (?, ?, ?)", (name, role, now())
    )
    return int(made.lastrowid or 0)


def _by_hash(connection: sqlite3.Connection, prefix: str) -> DatasetVersion | None:
    found = connection.execute(
        f"{_VERSION} WHERE v.hash GLOB ? ORDER BY v.id DESC", (prefix + "*",)
    ).fetchall()
    if len({item["hash"] for item in found}) > 1:
        raise Ambiguous(f"“{prefix}” is the start of {len(found)} dataset versions. Write more of the hash.")
    return _version(found[0]) if found else None


def _one(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> DatasetVersion:
    found = connection.execute(f"{_VERSION} {where}", values).fetchone()
    if found is None:
        raise NotFound("That dataset version is not there any more; it may have been moved to the trash.")
    return _version(found)


def _version(item: sqlite3.Row) -> DatasetVersion:
    return DatasetVersion(**{**dict(item), "meta": json.loads(item["meta"])})


def _row(item: sqlite3.Row) -> Row:
    return Row(item["position"], item["row_id"], item["hash"], json.loads(item["content"]))
