"""A workspace: one SQLite file and what lies beside it. The only place that opens the database.

Writes go through `Store.write()`: a lock file is held across processes from BEGIN IMMEDIATE until COMMIT has
returned. That keeps waiting fair, and it closes the WAL-reset race of SQLite before 3.51.3 (one connection
checkpoints while another commits), because automatic checkpoints run inside COMMIT.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from store.errors import BadInput, LatheError, NotFound, StoreBroken

DATABASE = "lathe.db"
LOCK = "lathe.lock"
_NETWORK_FILESYSTEMS = {0x6969: "NFS", 0xFF534D42: "SMB", 0xFE534D42: "SMB", 0x01021997: "9p"}
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "busy_timeout=10000",
    "recursive_triggers=ON",
    "cell_size_check=ON",
    "journal_size_limit=67108864",
)


def now() -> str:
    """UTC with milliseconds, as every table stores time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Store:
    """One process's hold on a workspace: a writing connection behind a lock, a reading one for each thread."""

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self.root = root
        self.path = root / DATABASE
        self.read_only = read_only
        self._writing = threading.RLock()
        self._depth = 0
        self._writing_thread = 0
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        self._lock_file = (
            -1 if read_only else os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        )
        with self._sentences():
            if read_only:
                self._writer = self._connect_immutable()
            else:
                with self._exclusive():
                    self._writer = _connect(self.path)
                os.chmod(self.path, 0o600)

    def read(self) -> sqlite3.Connection:
        """This thread's own connection, which cannot write; inside `write()` the writing one, which sees its rows.

        Keep reads short: a long one lets the write-ahead log grow.
        """
        if self._closed:
            raise StoreBroken("The workspace is closed already.")
        if self._writing_thread == threading.get_ident():
            return self._writer
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self._sentences():
                connection = self._connect_immutable() if self.read_only else _connect(self.path)
                connection.execute("PRAGMA query_only=1")
            self._local.connection = connection
            with self._writing:
                self._readers.append(connection)
        return connection

    @contextmanager
    def write(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction; nested in the same thread it joins the outer one. `durable` syncs it to the disk.

        Keep it under 50 ms: every other writer of the workspace waits for it.
        """
        if self.read_only:
            raise StoreBroken(f"The workspace {self.root} is read-only, so nothing can be saved in it.")
        with self._writing:
            if self._depth:
                self._depth += 1
                try:
                    yield self._writer
                finally:
                    self._depth -= 1
                return
            with self._sentences(), self._exclusive():
                # The setting has no effect inside a transaction, so it comes first.
                self._writer.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._writer.execute("BEGIN IMMEDIATE")
                self._depth, self._writing_thread = 1, threading.get_ident()
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
                finally:
                    self._depth = self._writing_thread = 0

    def changed(self) -> int:
        """A number that moves when anybody else, in this process or another, has written. Costs microseconds."""
        return int(
            self.read().execute("PRAGMA data_version").fetchone()[0]
        )  # own writes come by another connection

    def copy_to(self, target: Path) -> None:
        """Write one consistent moment of the live database to the new file `target`, without its free pages.

        Never copy the file itself: what stands in the write-ahead log would be missing.
        """
        target.touch(
            mode=0o600, exist_ok=False
        )  # VACUUM INTO takes an empty file, and would make an open one
        with self._sentences():
            if self.read_only:
                self._writer.execute("VACUUM INTO ?", (str(target),))
            else:
                connection = _connect(self.path)
                try:
                    connection.execute("VACUUM INTO ?", (str(target),))
                finally:
                    connection.close()  # never the last one on the file, so it folds no log into it
        with target.open("rb") as copied:
            os.fsync(copied.fileno())

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the database file."""
        with self._writing, self._exclusive():
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close every connection; a closed store refuses further use."""
        if self._closed:
            return
        self._closed = True
        with self._writing:
            if self.read_only:
                self._close_connections()
                return
            with self._exclusive():
                self._close_connections()
            os.close(self._lock_file)

    def _close_connections(self) -> None:
        for connection in (*self._readers, self._writer):
            connection.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _connect_immutable(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{self.path}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        return connection

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise StoreBroken(_sentence(self.path, error)) from error


def open_store(root: Path | str, *, create: bool = False) -> Store:
    """Open the workspace in `root`, bringing its schema up to date (a backup is made before that).

    Raises NotFound when there is none and `create` is false, NewerSchema when a newer Lathe wrote it, and
    StoreBroken when the file is damaged or lies on a network file system, where SQLite's log cannot work.
    """
    from store.migrations import migrate

    root = Path(root).expanduser().absolute()
    if not (root / DATABASE).exists():
        if not create:
            raise NotFound(f"There is no workspace in {root}. Make one with: lathe demo {root}")
        _make_folder(root)
    _refuse_network_filesystem(root)
    if not os.access(root, os.W_OK) or (
        not os.access(root / DATABASE, os.W_OK | os.F_OK) and (root / DATABASE).exists()
    ):
        store = Store(root, read_only=True)
        migrate(store)
        return store
    store = Store(root)
    try:
        migrate(store)
    except BaseException:
        store.close()
        raise
    return store


def find_workspace(start: Path | str) -> Path:
    """The folder of the workspace that `start` means: itself, its `.lathe`, the nearest `.lathe` above, or the user's."""
    start = Path(start).expanduser().absolute()
    for folder in (start, *start.parents):
        if (folder / ".lathe" / DATABASE).exists():
            return folder / ".lathe"
        if folder == start and (folder / DATABASE).exists():
            return folder
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "lathe" / "workspace"


def _connect(path: Path) -> sqlite3.Connection:
    # Explicit transactions only: `write()` issues BEGIN IMMEDIATE itself.
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_folder(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not any(root.iterdir()):
            root.chmod(0o700)
    except (FileExistsError, NotADirectoryError):
        raise BadInput(f"{root} is a file, so it cannot hold a workspace. Name a folder.") from None
    except OSError as error:
        raise BadInput(f"The workspace folder {root} cannot be made: {error.strerror}.") from None


def _refuse_network_filesystem(root: Path) -> None:
    kind = _NETWORK_FILESYSTEMS.get(_filesystem_magic(root))
    if kind:
        raise StoreBroken(
            f"{root} lies on a network file system ({kind}), where SQLite cannot keep its promises. "
            "Use a folder on a local disk."
        )


def _filesystem_magic(root: Path) -> int:
    """The `f_type` of statfs(2), 0 where it cannot be asked (not Linux)."""
    import ctypes

    buffer = (ctypes.c_long * 32)()
    try:
        failed = ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(root), ctypes.byref(buffer))
    except (AttributeError, OSError):
        return 0
    return 0 if failed else buffer[0] & 0xFFFFFFFF


def _sentence(path: Path, error: sqlite3.DatabaseError) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return (
            f"{path} is damaged or is not a Lathe database ({error}). Nothing was changed. "
            f"Restore a backup with: lathe restore FILE {path.parent}"
        )
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE")):
        return f"The disk that holds {path.parent} is full; nothing was lost. Free some space and try again."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return (
            f"{path} is held by another program for too long. Close whatever else has it open and try again."
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return (
            f"{path} cannot be opened for writing ({error}). Check who owns the folder and its permissions."
        )
    return f"The workspace database {path} reports an error: {error}."


__all__ = ["DATABASE", "LatheError", "Store", "find_workspace", "now", "open_store"]
