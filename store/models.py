"""Models and their versions: files that are registered where they lie, with measured facts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from store.errors import Ambiguous, BadInput, NotFound
from store.hashing import clean_text, dumps
from store.refs import check_name, hash_prefix, none_such, parse_ref
from store.workspace import Store, now

Format = Literal["gguf", "hf", "adapter"]


@dataclass(frozen=True)
class Model:
    """A model as lists show it."""

    id: int
    name: str
    created_at: str
    versions: int
    default_version_id: int | None
    trashed_at: str | None

    @property
    def ref(self) -> str:
        return self.name


@dataclass(frozen=True)
class ModelVersion:
    """One set of weights. `hash` is empty until the whole file was read; `quick_hash` is there at once."""

    id: int
    model_id: int
    name: str
    number: int
    tag: str
    format: Format
    path: str
    hash: str
    quick_hash: str
    size_bytes: int
    parent_id: int | None
    facts: dict[str, Any]
    created_at: str
    job_id: int | None
    is_default: bool

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.tag or self.number}"


_VERSION = """
SELECT v.*, m.name, m.default_version_id IS v.id AS is_default
FROM model_versions v JOIN models m ON m.id = v.model_id AND m.trashed_at IS NULL
"""
_NAMES = "SELECT name FROM models WHERE trashed_at IS NULL ORDER BY name"


def register_version(
    store: Store,
    name: str,
    *,
    tag: str,
    format: Format,
    path: str,
    quick_hash: str,
    size_bytes: int,
    facts: dict[str, Any],
    parent: int | None = None,
    job_id: int | None = None,
    default: bool = False,
) -> ModelVersion:
    """Register weights as a version of `name`; the same unchanged file under the same tag is the version it was.

    A tag that already exists moves to the new version. The first version, and one with `default`, is the default.
    """
    check_name(name, "model name")
    if clean_text(path) != path:
        raise BadInput(
            f"The path {clean_text(path)} is not readable text. Rename the file, then register it again."
        )
    if tag:
        check_name(tag, "tag")
    with store.write(durable=True) as connection:
        model_id = _model_id(connection, name)
        if model_id is None:
            model_id = connection.execute(
                "INSERT INTO models (name, created_at) VALUES (?, ?)", (name, now())
            ).lastrowid
        same = connection.execute(
            "SELECT id FROM model_versions WHERE model_id = ? AND tag = ? AND path = ? AND quick_hash = ? "
            "ORDER BY number DESC LIMIT 1",
            (model_id, tag, path, quick_hash),
        ).fetchone()
        if same is not None:
            version_id = same["id"]
            connection.execute("UPDATE model_versions SET facts = ? WHERE id = ?", (dumps(facts), version_id))
        else:
            version_id = connection.execute(
                "INSERT INTO model_versions (model_id, number, tag, format, path, quick_hash, size_bytes, parent_id, "
                "facts, job_id, created_at) VALUES "
                "(?1, (SELECT COALESCE(MAX(number), 0) + 1 FROM model_versions WHERE model_id = ?1), "
                "?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                (model_id, tag, format, path, quick_hash, size_bytes, parent, dumps(facts), job_id, now()),
            ).lastrowid
        connection.execute(
            "UPDATE models SET default_version_id = ? WHERE id = ? AND (? OR default_version_id IS NULL)",
            (version_id, model_id, default),
        )
        return _one(connection, "WHERE v.id = ?", (version_id,))


def model_version(store: Store, ref: str) -> ModelVersion:
    """The version that `ref` means: `name` (its default), `name@tag`, `name@2`, or a hash prefix."""
    connection = store.read()
    parsed = parse_ref(ref)
    model_id = _model_id(connection, parsed.name)
    if model_id is None:
        prefix = hash_prefix(ref)
        found = _by_hash(connection, prefix) if prefix else None
        if found is None:
            raise none_such("model", parsed.name, [row["name"] for row in connection.execute(_NAMES)])
        return found
    if parsed.selector is None:
        return _one(
            connection,
            "WHERE v.model_id = ? ORDER BY (m.default_version_id IS v.id) DESC, v.number DESC LIMIT 1",
            (model_id,),
        )
    # A tag first: tags may be digits ("7b" is not, "2025" could be).
    row = connection.execute(
        f"{_VERSION} WHERE v.model_id = ? AND v.tag = ? ORDER BY v.number DESC LIMIT 1",
        (model_id, parsed.selector),
    ).fetchone()
    if row is None and parsed.number is not None:
        row = connection.execute(
            f"{_VERSION} WHERE v.model_id = ? AND v.number = ?", (model_id, parsed.number)
        ).fetchone()
    if row is None:
        there = connection.execute("SELECT tag, number FROM model_versions WHERE model_id = ?", (model_id,))
        raise none_such(f"version of {parsed.name}", ref, [f"@{r['tag'] or r['number']}" for r in there])
    return _version(row)


def model_version_by_id(store: Store, version_id: int) -> ModelVersion:
    """The version with this id, NotFound when it is gone."""
    return _one(store.read(), "WHERE v.id = ?", (version_id,))


def model_versions(store: Store, name: str) -> list[ModelVersion]:
    """All versions of a model, oldest first."""
    connection = store.read()
    rows = connection.execute(f"{_VERSION} WHERE m.name = ? ORDER BY v.number", (name,)).fetchall()
    if not rows:
        raise none_such("model", name, [row["name"] for row in connection.execute(_NAMES)])
    return [_version(row) for row in rows]


def list_models(store: Store, *, limit: int = 50, after: str | None = None, filter: str = "") -> list[Model]:
    """A page of models by name, starting behind the name `after`; `filter` keeps names that contain it."""
    rows = store.read().execute(
        "SELECT m.*, (SELECT COUNT(*) FROM model_versions v WHERE v.model_id = m.id) AS versions FROM models m "
        "WHERE m.trashed_at IS NULL AND m.name > ? AND instr(lower(m.name), lower(?)) > 0 ORDER BY m.name LIMIT ?",
        (after or "", filter, limit),
    )
    return [Model(**dict(row)) for row in rows]


def set_default(store: Store, ref: str) -> ModelVersion:
    """Make `ref` what the model's bare name means."""
    version = model_version(store, ref)
    with store.write(durable=True) as connection:
        connection.execute(
            "UPDATE models SET default_version_id = ? WHERE id = ?", (version.id, version.model_id)
        )
        return _one(connection, "WHERE v.id = ?", (version.id,))


def update_facts(store: Store, version_id: int, facts: dict[str, Any]) -> None:
    """Set the keys of `facts` on the version, keeping its other facts."""
    with store.write() as connection:
        row = connection.execute("SELECT facts FROM model_versions WHERE id = ?", (version_id,)).fetchone()
        if row is not None:
            merged = json.loads(row["facts"]) | facts
            connection.execute(
                "UPDATE model_versions SET facts = ? WHERE id = ?", (dumps(merged), version_id)
            )


def set_full_hash(store: Store, version_id: int, digest: str) -> None:
    """Keep the SHA-256 of the whole file, once it was read."""
    with store.write(durable=True) as connection:
        connection.execute("UPDATE model_versions SET hash = ? WHERE id = ?", (digest, version_id))


def _model_id(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute(
        "SELECT id FROM models WHERE name = ? AND trashed_at IS NULL", (name,)
    ).fetchone()
    return None if row is None else int(row["id"])


def _by_hash(connection: sqlite3.Connection, prefix: str) -> ModelVersion | None:
    rows = connection.execute(
        f"{_VERSION} WHERE v.hash GLOB ?1 OR v.quick_hash GLOB ?1 ORDER BY v.id DESC", (prefix + "*",)
    ).fetchall()
    if len({row["quick_hash"] for row in rows}) > 1:
        raise Ambiguous(f"“{prefix}” is the start of {len(rows)} model versions. Write more of the hash.")
    return _version(rows[0]) if rows else None


def _one(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> ModelVersion:
    row = connection.execute(f"{_VERSION} {where}", values).fetchone()
    if row is None:
        raise NotFound("That model version is not registered any more.")
    return _version(row)


def _version(row: sqlite3.Row) -> ModelVersion:
    return ModelVersion(
        **{**dict(row), "facts": json.loads(row["facts"]), "is_default": bool(row["is_default"])}
    )
