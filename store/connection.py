"""How a database file is opened, and how its troubles are said: the only place that calls `sqlite3.connect`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from store.errors import StoreBroken
from store.hashing import clean_text

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "busy_timeout=10000",
    "recursive_triggers=ON",
    "cell_size_check=ON",
    "journal_size_limit=67108864",
    "cache_size=-16384",
)


class _Cursor(sqlite3.Cursor):
    """A cursor whose trouble with the file is a sentence; every other error stays what it is."""

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.DatabaseError as error:
            say(error)
            raise

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except sqlite3.DatabaseError as error:
            say(error)
            raise

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except sqlite3.DatabaseError as error:
            say(error)
            raise

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        try:
            super().execute(sql, parameters)
        except UnicodeEncodeError:
            # Half a surrogate pair, from a file name or a model: no column can hold it.
            super().execute(sql, [clean_text(one) if isinstance(one, str) else one for one in parameters])
        except sqlite3.DatabaseError as error:
            say(error)
            raise
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> _Cursor:
        try:
            super().executemany(sql, parameters)
        except sqlite3.DatabaseError as error:
            say(error)
            raise
        return self


class _Connection(sqlite3.Connection):
    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self.cursor(_Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return self.cursor(_Cursor).executemany(sql, parameters)


def connect(path: Path, query: str = "") -> sqlite3.Connection:
    """Open a database file with the house's settings; `query` is a URI's (`mode=ro`). StoreBroken says why not.

    Transactions are explicit: `Store.write` says BEGIN IMMEDIATE, since a plain BEGIN that reads and then writes
    fails at once when another process has committed in between.
    """
    connection = None
    try:
        connection = sqlite3.connect(
            f"{path.as_uri()}?{query}" if query else path,
            timeout=10,
            isolation_level=None,
            check_same_thread=False,
            uri=bool(query),
            factory=_Connection,
        )
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS[bool(query) :]:  # what only reads cannot choose the journal
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except BaseException as error:
        if connection is not None:
            connection.close()
        cause = error.__cause__ if isinstance(error, StoreBroken) else error
        if isinstance(cause, sqlite3.DatabaseError):
            say(cause, path)
        raise
    return connection


def sound(path: Path) -> str:
    """What SQLite finds wrong with a file that nobody else uses; empty when it is sound."""
    try:
        connection = connect(path, "mode=ro&immutable=1")
    except StoreBroken as error:
        return str(error)
    try:
        said = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except StoreBroken as error:
        said = str(error)
    finally:
        connection.close()
    return "" if said == "ok" else said


def say(error: sqlite3.DatabaseError, path: Path | None = None) -> None:
    """Raise StoreBroken with a sentence for trouble with the file; return when the error is a fault of ours."""
    name = getattr(error, "sqlite_errorname", "") or ""
    where = f"The database {path}" if path else "The workspace's database"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        raise damaged(path, str(error)) from error
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        raise StoreBroken(
            f"{where} could not be read or written ({error}): most likely the disk is full. What was saved "
            "before is safe. Free some space and try again."
        ) from error
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        raise StoreBroken(
            f"{where} is held by another program. Close whatever else has it open and try again."
        ) from error
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        raise StoreBroken(
            f"{where} cannot be opened for writing ({error}). Check who owns the folder and its permissions."
        ) from error


def damaged(path: Path | None, what: str) -> StoreBroken:
    """The sentence for a file that cannot be a workspace's database; `what` is wrong with it."""
    where = f"{path} is" if path else "The workspace's database is"
    return StoreBroken(
        f"{where} damaged or not a Lathe database ({what}). Nothing was changed. "
        "Restore a backup into another folder: lathe restore FILE FOLDER"
    )
