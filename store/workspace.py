"""A workspace: one SQLite file and what lies beside it.

Writes go through `Store.write()`: a lock file is held across processes from BEGIN IMMEDIATE until COMMIT has
returned. That keeps waiting fair, and it closes the WAL-reset race of SQLite before 3.51.3 (one connection
checkpoints while another commits), because automatic checkpoints run inside COMMIT.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from store.connection import connect, damaged
from store.errors import BadInput, LatheError, NotFound, StoreBroken

DATABASE = "lathe.db"
LOCK = "lathe.lock"
NEWEST = 1 << 62
"""Above every row id: where a page that is read newest first begins."""
LOCK_PATIENCE_SECONDS = 30.0
"""A write takes under 50 ms: whoever holds the lock this long is stopped or stuck."""
_NETWORK_FILESYSTEMS = {0x6969: "NFS", 0xFF534D42: "SMB", 0xFE534D42: "SMB"}
_DOUBTFUL_FILESYSTEMS = {0x01021997: "9p", 0x65735546: "FUSE"}


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
        self._sync_after = False
        self._local = threading.local()
        self._listing = threading.Lock()
        self._readers: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._closed = False
        self._lock_file = -1 if read_only else _open_lock(root)
        try:
            # The first connection after a crash plays the log back: nobody may fold it in meanwhile.
            with self._exclusive():
                self._writer = self._connect()
        except BaseException:
            if self._lock_file >= 0:
                os.close(self._lock_file)
            raise

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
            connection = self._connect()
            connection.execute("PRAGMA query_only=1")
            self._local.connection = connection
            with self._listing:  # never the writing lock: a reader waits for nobody
                self._drop_readers_of_ended_threads()
                self._readers.append((threading.current_thread(), connection))
        return connection

    @contextmanager
    def write(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction; nested in the same thread it joins the outer one. `durable` syncs it to the disk.

        Without `durable` nothing is lost to a kill either, only to a power cut. Keep it under 50 ms: every other
        writer of the workspace waits for it.
        """
        if self.read_only:
            raise StoreBroken(f"The workspace {self.root} is read-only, so nothing can be saved in it.")
        with self._writing:
            if self._closed:
                raise StoreBroken("The workspace is closed already.")
            if self._depth:
                with self._joined(durable) as connection:
                    yield connection
                return
            with self._exclusive():
                # The setting has no effect inside a transaction, so it comes first.
                self._writer.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._writer.execute("BEGIN IMMEDIATE")
                self._depth, self._writing_thread, self._sync_after = 1, threading.get_ident(), False
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
                finally:
                    self._depth = self._writing_thread = 0
                if self._sync_after and not durable:
                    self._sync_log()

    @contextmanager
    def schema_change(self) -> Iterator[sqlite3.Connection]:
        """A durable transaction in which tables may be made anew; references are checked once, at its end.

        SQLite cannot replace a table that others refer to while it enforces foreign keys.
        """
        with self._writing:
            self._writer.execute("PRAGMA foreign_keys=OFF")
            try:
                with self.write(durable=True) as connection:
                    yield connection
                    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                        raise StoreBroken(
                            f"The update of {self.path} would break references. Nothing was changed."
                        )
            finally:
                self._writer.execute("PRAGMA foreign_keys=ON")

    def changed(self) -> int:
        """A number that moves when anybody else, in this process or another, has written. Costs microseconds."""
        # Own writes count, too: they come by another connection than the one that asks.
        return int(self.read().execute("PRAGMA data_version").fetchone()[0])

    def copy_to(self, target: Path) -> None:
        """Write one consistent moment of the live database to the new file `target`, without its free pages.

        Never copy the file itself: what stands in the write-ahead log would be missing.
        """
        target.touch(
            mode=0o600, exist_ok=False
        )  # VACUUM INTO takes an empty file, and would make an open one
        connection = self._connect()
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
        with self._writing:
            if self._closed:
                return
            with self._exclusive(), self._listing:  # the last connection folds the log into the file
                self._closed = True
                for _, connection in self._readers:
                    connection.close()
                self._writer.close()
            if self._lock_file >= 0:
                os.close(self._lock_file)

    @contextmanager
    def _joined(self, durable: bool) -> Iterator[sqlite3.Connection]:
        """A part of the running transaction: when it fails and somebody goes on, it alone comes to nothing."""
        self._sync_after = self._sync_after or durable
        name = f"part_{self._depth}"
        self._writer.execute(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield self._writer
        except BaseException:
            if self._writer.in_transaction:  # a full disk rolls all of it back by itself
                self._writer.execute(f"ROLLBACK TO {name}")
                self._writer.execute(f"RELEASE {name}")
            raise
        finally:
            self._depth -= 1
        self._writer.execute(f"RELEASE {name}")

    def _sync_log(self) -> None:
        """What `synchronous=FULL` would have done at the commit, asked for only after BEGIN."""
        log = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(log)
        finally:
            os.close(log)

    def _drop_readers_of_ended_threads(self) -> None:
        for thread, connection in self._readers:
            if not thread.is_alive():
                connection.close()
        self._readers = [pair for pair in self._readers if pair[0].is_alive()]

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the workspace's lock file; the kernel lets go of it when the process ends in any way."""
        if self._lock_file < 0:
            yield
            return
        pause, deadline = 0.0005, time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreBroken(
                        f"Another program has been writing to {self.root} for {LOCK_PATIENCE_SECONDS:g} seconds, so "
                        "nothing was saved. See what else has the workspace open (lathe jobs), and try again."
                    ) from None
            time.sleep(pause)
            pause = min(pause * 2, 0.004)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only:
            return connect(self.path)
        try:
            return connect(self.path, "mode=ro")
        except StoreBroken:
            # SQLite cannot make its shared memory in a folder that it may not write to. Without other writers
            # the file alone is the truth.
            return connect(self.path, "mode=ro&immutable=1")


def open_store(root: Path | str, *, create: bool = False) -> Store:
    """Open the workspace in `root`, bringing its schema up to date (a backup is made before that).

    Raises NotFound when there is none and `create` is false, NewerSchema when a newer Lathe wrote it, and
    StoreBroken when the file is damaged or lies on a network file system, where SQLite's log cannot work.
    """
    from store.migrations import migrate

    root = Path(root).expanduser().absolute()
    path = root / DATABASE
    try:
        there = path.exists()
    except PermissionError:
        raise StoreBroken(
            f"You may not look into {root}. Check who owns the folder and its permissions."
        ) from None
    if not there:
        if not create:
            raise NotFound(f"There is no workspace in {root}. Make one with: lathe demo {root}")
        _make_folder(root)
        _refuse_network_filesystem(root)
        _make_database(root)
    _refuse_network_filesystem(root)
    if not path.is_file() or path.stat().st_size == 0:
        # A new database gets its name only when it is whole, so this one was never ours or has been cut off.
        raise damaged(path, "the file is empty" if path.is_file() else "it is not a file")
    store = Store(root, read_only=not (os.access(root, os.W_OK) and os.access(path, os.W_OK)))
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


def _make_database(root: Path) -> None:
    """A new database under its name all at once: whoever looks finds it whole, or not at all."""
    from store.migrations import apply_all

    staged = root / f"{DATABASE}.new"
    lock = _open_lock(root)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (root / DATABASE).exists():
            return
        for left in (staged, root / f"{DATABASE}.new-wal", root / f"{DATABASE}.new-shm"):
            left.unlink(missing_ok=True)  # of one that was killed right here
        staged.touch(mode=0o600)
        connection = connect(staged)
        try:
            apply_all(connection)
        finally:
            connection.close()
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.replace(root / DATABASE)
    finally:
        os.close(lock)


def _make_folder(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not any(root.iterdir()):
            root.chmod(0o700)
    except (FileExistsError, NotADirectoryError):
        raise BadInput(f"{root} is a file, so it cannot hold a workspace. Name a folder.") from None
    except OSError as error:
        raise BadInput(f"The workspace folder {root} cannot be made: {error.strerror}.") from None


def _open_lock(root: Path) -> int:
    try:
        return os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreBroken(
            f"The workspace {root} cannot be locked for writing: {error.strerror} ({root / LOCK}). "
            "Check who owns the folder and its permissions."
        ) from error


def _refuse_network_filesystem(root: Path) -> None:
    kind = _NETWORK_FILESYSTEMS.get(_filesystem_magic(root))
    if kind:
        raise StoreBroken(
            f"{root} lies on a network file system ({kind}), where SQLite cannot keep its promises. "
            "Use a folder on a local disk."
        )


def doubtful_filesystem(root: Path) -> str:
    """What keeps `root` where that may or may not share memory between processes (9p, FUSE); empty elsewhere."""
    return _DOUBTFUL_FILESYSTEMS.get(_filesystem_magic(root), "")


def _filesystem_magic(root: Path) -> int:
    """The `f_type` of statfs(2), 0 where it cannot be asked (not Linux)."""
    import ctypes

    buffer = (ctypes.c_long * 32)()
    try:
        failed = ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(root), ctypes.byref(buffer))
    except (AttributeError, OSError):
        return 0
    return 0 if failed else buffer[0] & 0xFFFFFFFF


__all__ = ["DATABASE", "LatheError", "Store", "find_workspace", "now", "open_store"]
