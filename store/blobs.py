"""Content-addressed files: `blobs/ab/ab12…` holds the bytes whose SHA-256 is `ab12…`.

A blob is whole and on the disk before the row that names it; rows are removed before their file. So after any
crash no row names a missing or torn file, at worst a file is left that no row names (`store.usage` finds it).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from store.errors import BadInput, NotFound, StoreBroken
from store.workspace import Store, now

CHUNK = 1 << 20
STALE_AFTER_SECONDS = 24 * 3600
"""A half-written file this old belongs to nobody: no import takes a day for one file."""


def put_bytes(store: Store, data: bytes) -> str:
    """Keep `data`; returns its SHA-256 (64 hex digits). The same bytes are kept once."""
    return _put(store, lambda file: file.write(data))


def put_file(store: Store, path: Path | str) -> str:
    """Keep a copy of the regular file `path`; returns its SHA-256. BadInput when it cannot be read."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path} is not a file, so it cannot be kept in the workspace.")
    try:
        source = path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    with source:
        return _put(store, lambda file: shutil.copyfileobj(source, file, CHUNK))


def path_of(store: Store, digest: str) -> Path:
    """Where the bytes of `digest` lie; NotFound when they are not there."""
    path = blob_path(store, digest)
    if not path.is_file():
        raise NotFound(
            f"The workspace does not hold the file with the hash {digest[:12]}…; it may have been removed."
        )
    return path


def blob_path(store: Store, digest: str) -> Path:
    """Where a blob lies or would lie. BadInput for anything but 64 hex digits: it becomes part of a path."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BadInput(f"“{digest[:80]}” is not a SHA-256 in hexadecimal.")
    return store.root / "blobs" / digest[:2] / digest


def use_blob(store: Store, digest: str, noun: str, noun_id: int) -> None:
    """Say that a row needs the blob, so that cleaning up leaves it alone."""
    with store.write(durable=True) as connection:
        connection.execute(
            "INSERT INTO blob_uses VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (digest, noun, noun_id)
        )


def verify(store: Store, digest: str) -> bool:
    """True when the bytes on the disk still have their hash: neither SQLite nor the disk notices most bit rot."""
    with path_of(store, digest).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def stored_blobs(store: Store) -> Iterator[tuple[str, Path]]:
    """Hash and path of every blob file that is there, whether or not a row names it."""
    for folder in sorted((store.root / "blobs").glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.iterdir()):
            if len(path.name) == 64:
                yield path.name, path


def half_written(store: Store, older_than_seconds: float = STALE_AFTER_SECONDS) -> list[Path]:
    """Files that a killed process left before they had a hash."""
    return [
        path
        for path in (store.root / "blobs" / "staged").glob("*")
        if age_seconds(path) >= older_than_seconds
    ]


def sweep(store: Store, *, older_than_seconds: float = STALE_AFTER_SECONDS) -> int:
    """Remove half-written files that a killed process left; returns how many."""
    left = half_written(store, older_than_seconds)
    for path in left:
        path.unlink(missing_ok=True)  # another process may sweep at the same time
    return len(left)


def remove_unused(store: Store, digest: str) -> bool:
    """Remove a blob that nothing uses, its row first; False when something uses it after all."""
    with store.write(durable=True) as connection:
        if connection.execute("SELECT 1 FROM blob_uses WHERE hash = ? LIMIT 1", (digest,)).fetchone():
            return False
        connection.execute("DELETE FROM blobs WHERE hash = ?", (digest,))
    with store.write() as connection:
        # Somebody may have saved the same bytes again since: then the row is back, and the file stays.
        if connection.execute("SELECT 1 FROM blobs WHERE hash = ?", (digest,)).fetchone():
            return False
        blob_path(store, digest).unlink(missing_ok=True)
    return True


def age_seconds(path: Path) -> float:
    """How long ago the file was written; 0 when it is gone meanwhile."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _put(store: Store, fill: Callable[[BinaryIO], object]) -> str:
    if store.read_only:
        raise StoreBroken(f"The workspace {store.root} is read-only, so nothing can be saved in it.")
    staged = _folder(store.root / "blobs" / "staged") / uuid.uuid4().hex
    try:
        with staged.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        with staged.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = staged.stat().st_size
        target = blob_path(store, digest)
        # One lock over file and row: a clean-up that finds the file without a row cannot come between them.
        with store.write(durable=True) as connection:
            _folder(target.parent)
            staged.replace(target)
            sync_folder(target.parent)
            connection.execute(
                "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (digest, size, now())
            )
    finally:
        staged.unlink(missing_ok=True)
    return digest


def _folder(path: Path) -> Path:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(path.parent)
    return path


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: a file whose bytes were synced can still be nameless after a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
