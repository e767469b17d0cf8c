"""Prompts and their immutable versions, which form a tree, and the labels that point at them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from store.errors import Ambiguous, BadInput, NotFound
from store.hashing import content_hash, dumps
from store.refs import check_name, hash_prefix, none_such, parse_ref
from store.workspace import Store, now


@dataclass(frozen=True)
class Prompt:
    """A prompt as lists show it. `labels` maps a label to a version's number."""

    id: int
    name: str
    created_at: str
    latest: int
    versions: int
    labels: dict[str, int]
    trashed_at: str | None

    @property
    def ref(self) -> str:
        return self.name


@dataclass(frozen=True)
class PromptVersion:
    """One saved state of a prompt; never changes."""

    id: int
    prompt_id: int
    name: str
    number: int
    parent_id: int | None
    hash: str
    content: dict[str, Any]
    note: str
    created_at: str
    job_id: int | None
    labels: tuple[str, ...]

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.number}"


_VERSION = """
SELECT v.*, p.name,
    (SELECT json_group_array(label) FROM labels WHERE version_id = v.id) AS labels
FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id AND p.trashed_at IS NULL
"""


def save_version(
    store: Store,
    name: str,
    content: dict[str, Any],
    *,
    parent: int | None = None,
    note: str = "",
    job_id: int | None = None,
) -> PromptVersion:
    """Save a new version of `name`, making the prompt when it is new.

    `parent` is a version's id; without it the latest version is the parent. The same content again is a new
    version with the same hash.
    """
    check_name(name, "prompt name")
    text = dumps(content)
    with store.write(durable=True) as connection:
        prompt_id = _prompt_id(connection, name)
        if prompt_id is None:
            prompt_id = connection.execute(
                "INSERT INTO prompts (name, created_at) VALUES (?, ?)", (name, now())
            ).lastrowid
        latest = connection.execute(
            "SELECT id, number FROM prompt_versions WHERE prompt_id = ? ORDER BY number DESC LIMIT 1",
            (prompt_id,),
        ).fetchone()
        if parent is None and latest is not None:
            parent = latest["id"]
        elif parent is not None:
            owner = connection.execute(
                "SELECT prompt_id FROM prompt_versions WHERE id = ?", (parent,)
            ).fetchone()
            if owner is None or owner["prompt_id"] != prompt_id:
                raise BadInput(f"The parent version is not a version of {name}.")
        version_id = connection.execute(
            "INSERT INTO prompt_versions (prompt_id, number, parent_id, hash, content, note, job_id, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                prompt_id,
                latest["number"] + 1 if latest else 1,
                parent,
                content_hash(content),
                text,
                note,
                job_id,
                now(),
            ),
        ).lastrowid
        return _one(connection, "WHERE v.id = ?", (version_id,))


def prompt_version(store: Store, ref: str) -> PromptVersion:
    """The version that `ref` means: `name` (latest), `name@3`, `name@label`, or a hash prefix.

    A label that is not set is an error that names the labels there are, never a silent fallback.
    """
    connection = store.read()
    parsed = parse_ref(ref)
    prompt_id = _prompt_id(connection, parsed.name)
    if prompt_id is None:
        prefix = hash_prefix(ref)
        found = _by_hash(connection, prefix) if prefix else None
        if found is None:
            names = [row["name"] for row in connection.execute(_NAMES)]
            raise none_such("prompt", ref if parsed.selector is None else parsed.name, names)
        return found
    if parsed.selector is None:
        return _one(connection, "WHERE v.prompt_id = ? ORDER BY v.number DESC LIMIT 1", (prompt_id,))
    if parsed.number is not None:
        rows = connection.execute(
            f"{_VERSION} WHERE v.prompt_id = ? AND v.number = ?", (prompt_id, parsed.number)
        )
        version = rows.fetchone()
        if version is None:
            numbers = connection.execute(
                "SELECT number FROM prompt_versions WHERE prompt_id = ? ORDER BY number", (prompt_id,)
            )
            raise none_such(f"version of {parsed.name}", ref, [f"@{row['number']}" for row in numbers])
        return _version(version)
    labelled = connection.execute(
        "SELECT version_id FROM labels WHERE prompt_id = ? AND label = ?", (prompt_id, parsed.selector)
    ).fetchone()
    if labelled is None:
        there = [f"@{label}" for label in labels(store, parsed.name)]
        raise none_such(f"label “{parsed.selector}” on {parsed.name}, so no", ref, there)
    return _one(connection, "WHERE v.id = ?", (labelled["version_id"],))


def version_by_id(store: Store, version_id: int) -> PromptVersion:
    """The version with this id, NotFound when it is gone."""
    return _one(store.read(), "WHERE v.id = ?", (version_id,))


def prompt_versions(store: Store, name: str) -> list[PromptVersion]:
    """All versions of a prompt, oldest first."""
    connection = store.read()
    rows = connection.execute(f"{_VERSION} WHERE p.name = ? ORDER BY v.number", (name,)).fetchall()
    if not rows:
        raise none_such("prompt", name, [row["name"] for row in connection.execute(_NAMES)])
    return [_version(row) for row in rows]


_NAMES = "SELECT name FROM prompts WHERE trashed_at IS NULL ORDER BY name"


def list_prompts(
    store: Store, *, limit: int = 50, after: str | None = None, filter: str = ""
) -> list[Prompt]:
    """A page of prompts by name, starting behind the name `after`; `filter` keeps names that contain it."""
    connection = store.read()
    rows = connection.execute(
        """
        SELECT p.*, (SELECT COALESCE(MAX(number), 0) FROM prompt_versions WHERE prompt_id = p.id) AS latest,
            (SELECT COUNT(*) FROM prompt_versions WHERE prompt_id = p.id) AS versions,
            (SELECT json_group_object(l.label, w.number) FROM labels l JOIN prompt_versions w ON w.id = l.version_id
             WHERE l.prompt_id = p.id) AS labels
        FROM prompts p
        WHERE p.trashed_at IS NULL AND p.name > ? AND instr(lower(p.name), lower(?)) > 0
        ORDER BY p.name LIMIT ?
        """,
        (after or "", filter, limit),
    )
    return [Prompt(**{**dict(row), "labels": json.loads(row["labels"])}) for row in rows]


def set_label(store: Store, ref: str, label: str) -> PromptVersion:
    """Point `label` at the version `ref`, taking it from wherever it was."""
    check_name(label, "label")
    if label == "draft":
        raise BadInput(
            "“draft” means the text that is not saved yet, so it cannot be a label. Use another word."
        )
    if label.isdecimal():
        raise BadInput(f"“{label}” would be read as a version number. Use a word as the label.")
    version = prompt_version(store, ref)
    with store.write(durable=True) as connection:
        connection.execute(
            "INSERT INTO labels VALUES (?, ?, ?, ?) ON CONFLICT (prompt_id, label) "
            "DO UPDATE SET version_id = excluded.version_id, moved_at = excluded.moved_at",
            (version.prompt_id, label, version.id, now()),
        )
        return _one(connection, "WHERE v.id = ?", (version.id,))


def remove_label(store: Store, name: str, label: str) -> None:
    """Take `label` off the prompt; NotFound when it is not set."""
    if label not in labels(store, name):
        raise none_such(f"label on {name}", label, labels(store, name))
    with store.write(durable=True) as connection:
        connection.execute(
            "DELETE FROM labels WHERE prompt_id = ? AND label = ?", (_prompt_id(connection, name), label)
        )


def labels(store: Store, name: str) -> dict[str, int]:
    """The labels of a prompt and the version number each points at."""
    rows = store.read().execute(
        "SELECT l.label, v.number FROM labels l JOIN prompt_versions v ON v.id = l.version_id "
        "JOIN prompts p ON p.id = l.prompt_id WHERE p.name = ? AND p.trashed_at IS NULL ORDER BY l.label",
        (name,),
    )
    return {row["label"]: row["number"] for row in rows}


def _prompt_id(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute(
        "SELECT id FROM prompts WHERE name = ? AND trashed_at IS NULL", (name,)
    ).fetchone()
    return None if row is None else int(row["id"])


def _by_hash(connection: sqlite3.Connection, prefix: str) -> PromptVersion | None:
    rows = connection.execute(
        f"{_VERSION} WHERE v.hash GLOB ? ORDER BY v.id DESC", (prefix + "*",)
    ).fetchall()
    if len({row["hash"] for row in rows}) > 1:
        raise Ambiguous(f"“{prefix}” is the start of {len(rows)} versions. Write more of the hash.")
    return _version(rows[0]) if rows else None


def _one(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> PromptVersion:
    row = connection.execute(f"{_VERSION} {where}", values).fetchone()
    if row is None:
        raise NotFound("That prompt version is not there any more; it may have been moved to the trash.")
    return _version(row)


def _version(row: sqlite3.Row) -> PromptVersion:
    return PromptVersion(
        **{
            **dict(row),
            "content": json.loads(row["content"]),
            "labels": tuple(sorted(json.loads(row["labels"]))),
        }
    )
