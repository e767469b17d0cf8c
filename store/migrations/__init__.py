"""Numbered migrations, one idea each, applied in order and never edited after a release."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from store.errors import NewerSchema, StoreBroken
from store.migrations.m001_initial import initial

if TYPE_CHECKING:
    from store.workspace import Store

MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (initial,)
"""The place in this tuple, from 1, is the schema's number (`PRAGMA user_version`)."""


APPLICATION_ID = 0x4C617468
"""“Lath”: tells our files from other programs' SQLite files."""


def migrate(store: Store) -> None:
    """Bring the schema up to date, each step in its own transaction, with a copy of the database before the first."""
    connection = store.read()
    version = _version(connection)
    if not version or connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreBroken(
            f"{store.path} is a database of another program. Nothing was changed. "
            "Choose another folder for the workspace."
        )
    if version > len(MIGRATIONS):
        raise NewerSchema(
            f"The workspace {store.root} was written by a newer Lathe (schema {version}, this one knows "
            f"{len(MIGRATIONS)}). Update Lathe, or open another workspace."
        )
    if version == len(MIGRATIONS):
        return
    if store.read_only:
        raise StoreBroken(f"The workspace {store.root} needs an update of its schema, but it is read-only.")
    _back_up(store, version)
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        with store.schema_change() as connection:
            # Asked again under the lock: another process may have migrated while this one waited.
            if _version(connection) < number:
                step(connection)
                connection.execute(f"PRAGMA user_version={number}")


def apply_all(connection: sqlite3.Connection) -> None:
    """Make a new file ours: every migration, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for step in MIGRATIONS:
        step(connection)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _back_up(store: Store, version: int) -> None:
    folder = store.root / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    target, staged = (
        folder / f"before-schema-{version + 1}.db",
        folder / f"before-schema-{version + 1}.{os.getpid()}",
    )
    if target.exists():
        return
    staged.unlink(missing_ok=True)
    store.copy_to(staged)
    staged.replace(target)  # whole under its name, or not there
