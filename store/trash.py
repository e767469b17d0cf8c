"""The trash: what is put there leaves every list and every reference, and comes back whole until it is emptied."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from store.errors import BadInput, NotFound
from store.workspace import Store, now

NOUNS = {"prompt": "prompts", "dataset": "datasets", "model": "models", "evaluation": "evaluations"}
"""What can be put into the trash, and the table it lives in."""

BATCH = 500
"""Rows of one transaction while emptying: everybody else waits for it."""


@dataclass(frozen=True)
class Trashed:
    """A thing in the trash."""

    noun: str
    id: int
    name: str
    created_at: str
    trashed_at: str

    @property
    def ref(self) -> str:
        return str(self.id) if self.noun == "evaluation" else self.name


@dataclass(frozen=True)
class Emptied:
    """What emptying the trash did: how many things are gone for good, and a sentence for each that had to stay."""

    removed: int
    kept: tuple[str, ...]


def trash(store: Store, noun: str, thing_id: int) -> Trashed:
    """Put a thing into the trash. Its name is free for another at once."""
    table = _table(noun)
    with store.write(durable=True) as connection:
        changed = connection.execute(
            f"UPDATE {table} SET trashed_at = ? WHERE id = ? AND trashed_at IS NULL", (now(), thing_id)
        ).rowcount
        if not changed:
            raise NotFound(f"There is no {noun} with the number {thing_id}, or it is in the trash already.")
        return _one(connection, noun, thing_id)


def restore(store: Store, noun: str, thing_id: int) -> None:
    """Bring a thing back under its name. BadInput when another has taken the name meanwhile."""
    table = _table(noun)
    with store.write(durable=True) as connection:
        thing = _one(connection, noun, thing_id)
        try:
            connection.execute(f"UPDATE {table} SET trashed_at = NULL WHERE id = ?", (thing_id,))
        except sqlite3.IntegrityError:
            raise BadInput(
                f"There is another {noun} called {thing.name} now. Move that one to the trash first, "
                "then restore this one."
            ) from None


def trashed(store: Store, noun: str | None = None) -> list[Trashed]:
    """What is in the trash, newest first; of one noun or of all."""
    found = [
        Trashed(kind, *row)
        for kind, table in NOUNS.items()
        if noun in (None, kind)
        for row in store.read().execute(
            f"SELECT id, name, created_at, trashed_at FROM {table} WHERE trashed_at IS NOT NULL"
        )
    ]
    return sorted(found, key=lambda thing: (thing.trashed_at, thing.id), reverse=True)


def empty(store: Store) -> Emptied:
    """Delete what is in the trash for good, in short transactions; what comparisons still stand on stays.

    Generations stay too: they are keyed by their content, and whoever asks the same again gets them.
    """
    removed, kept = 0, []
    # Comparisons first: they are what holds case sets in place.
    for thing in sorted(trashed(store), key=lambda thing: thing.noun != "evaluation"):
        reason = _held(store, thing)
        if reason:
            kept.append(reason)
            continue
        _delete(store, thing)
        removed += 1
    _drop_unused_rows(store)
    return Emptied(removed, tuple(kept))


def _held(store: Store, thing: Trashed) -> str:
    """Why a thing cannot be deleted, as a sentence; empty when it can."""
    if thing.noun != "dataset":
        return ""
    count = (
        store.read()
        .execute(
            "SELECT COUNT(*) FROM evaluations e JOIN dataset_versions v ON v.id = e.cases_version_id "
            "WHERE v.dataset_id = ?",
            (thing.id,),
        )
        .fetchone()[0]
    )
    if not count:
        return ""
    return f"{thing.name} stays in the trash: {count} comparison{'s' if count > 1 else ''} show its cases."


def _delete(store: Store, thing: Trashed) -> None:
    if thing.noun == "evaluation":
        _in_batches(store, "cells", "evaluation_id = ?", (thing.id,))
    elif thing.noun == "dataset":
        for (version_id,) in (
            store.read()
            .execute("SELECT id FROM dataset_versions WHERE dataset_id = ?", (thing.id,))
            .fetchall()
        ):
            _in_batches(store, "version_rows", "version_id = ?", (version_id,), key="position")
    elif thing.noun == "model":
        _unname_model(store, thing.id)
    with store.write(durable=True) as connection:
        # References among versions of the same thing (parents, labels) are settled by the end of the transaction.
        connection.execute("PRAGMA defer_foreign_keys=ON")
        connection.execute("DELETE FROM blob_uses WHERE noun = ? AND noun_id = ?", (thing.noun, thing.id))
        if thing.noun == "prompt":
            connection.execute("DELETE FROM labels WHERE prompt_id = ?", (thing.id,))
            connection.execute("DELETE FROM drafts WHERE key = ?", (f"prompt:{thing.name}",))
        connection.execute(
            f"DELETE FROM {_table(thing.noun)} WHERE id = ? AND trashed_at IS NOT NULL", (thing.id,)
        )


def _unname_model(store: Store, model_id: int) -> None:
    """Generations outlive their model: their key says all that made them."""
    changed = BATCH
    while changed == BATCH:
        with store.write() as connection:
            changed = connection.execute(
                "UPDATE generations SET model_version_id = NULL WHERE id IN (SELECT id FROM generations "
                "WHERE model_version_id IN (SELECT id FROM model_versions WHERE model_id = ?) LIMIT ?)",
                (model_id, BATCH),
            ).rowcount


def _drop_unused_rows(store: Store) -> None:
    """Delete dataset rows that no version holds any more: the end of a row's text in the workspace."""
    last = 0
    while True:
        page: list[int] = [
            row[0]
            for row in store.read().execute(
                "SELECT id FROM rows WHERE id > ? ORDER BY id LIMIT ?", (last, BATCH)
            )
        ]
        if not page:
            return
        last = page[-1]
        with store.write() as connection:
            connection.execute(
                "DELETE FROM rows WHERE id BETWEEN ? AND ? "
                "AND NOT EXISTS (SELECT 1 FROM version_rows WHERE row_id = rows.id)",
                (page[0], last),
            )


def _in_batches(store: Store, table: str, where: str, values: Iterable[object], key: str = "id") -> None:
    bound = tuple(values)
    while True:
        with store.write() as connection:
            changed = connection.execute(
                f"DELETE FROM {table} WHERE {where} AND {key} IN "
                f"(SELECT {key} FROM {table} WHERE {where} LIMIT ?)",
                (*bound, *bound, BATCH),
            ).rowcount
        if not changed:
            return


def _one(connection: sqlite3.Connection, noun: str, thing_id: int) -> Trashed:
    row = connection.execute(
        f"SELECT id, name, created_at, trashed_at FROM {_table(noun)} WHERE id = ? AND trashed_at IS NOT NULL",
        (thing_id,),
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no {noun} with the number {thing_id} in the trash.")
    return Trashed(noun, *row)


def _table(noun: str) -> str:
    table = NOUNS.get(noun)
    if table is None:
        raise BadInput(f"A {noun} cannot be put into the trash; {', '.join(NOUNS)} can.")
    return table
