"""Backup and restore: a workspace as one tar file, written while it is in use, and read back beside whatever is there.

The file holds a manifest with the SHA-256 of every member, a consistent copy of the database (never a copy of the
live file: SQLite's log would be missing), and every blob. What Lathe made under `models/` is part of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from store.blobs import stored_blobs, sync_folder
from store.connection import sound
from store.errors import BadInput, LatheError, StoreBroken
from store.hashing import dumps
from store.workspace import DATABASE, Store, now, open_store

FORMAT = 1
MANIFEST = "manifest.json"
CHUNK = 1 << 20
MANIFEST_MOST_BYTES = 256 << 20
_KINDS = ("blobs", "models")


@dataclass(frozen=True)
class Backup:
    """A backup that was written: `files` counts its members, `bytes` is the size of the tar file."""

    file: Path
    files: int
    bytes: int


def backup(store: Store, file: Path | str) -> Backup:
    """Write the whole workspace into the tar file `file`; BadInput when that exists.

    Other processes may go on writing: the copy of the database is one moment of it, checked before it is packed.
    """
    file = Path(file).expanduser().absolute()
    if file.exists():
        raise BadInput(f"{file} exists already. Name another file, or remove that one first.")
    if not file.parent.is_dir():
        raise BadInput(f"The folder {file.parent} does not exist. Make it, or name a file in another one.")
    stamp = uuid.uuid4().hex
    staged, copy = file.parent / f".{file.name}.{stamp}", file.parent / f".{file.name}.{stamp}.db"
    try:
        store.copy_to(copy)
        _check_database(copy)
        with staged.open("xb") as raw:
            os.fchmod(raw.fileno(), 0o600)
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
                files = _pack(store, copy, archive)
            raw.flush()
            os.fsync(raw.fileno())
        os.link(staged, file)  # unlike a rename, it never replaces a file that came meanwhile
        sync_folder(file.parent)
    except FileExistsError:
        raise BadInput(f"{file} exists already. Name another file, or remove that one first.") from None
    except OSError as error:
        raise LatheError(f"The backup could not be written to {file}: {error.strerror or error}.") from error
    finally:
        staged.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    return Backup(file, files, file.stat().st_size)


def restore(file: Path | str, root: Path | str) -> None:
    """Make a workspace in the folder `root` from a backup. Nothing that exists is overwritten.

    Raises BadInput when there is something at `root` already or `file` is not a sound backup; then `root` is as
    it was before.
    """
    file, root = Path(file).expanduser().absolute(), Path(root).expanduser().absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BadInput(
            f"{root} is not empty. Name a folder that does not exist yet: lathe restore FILE FOLDER."
        )
    staged = root.parent / f".{root.name}.{uuid.uuid4().hex}"
    try:
        staged.mkdir(mode=0o700, parents=True)
        with tarfile.open(file, mode="r:") as archive:
            manifest = _unpack(archive, staged)
        _check_database(staged / DATABASE)
        store = open_store(staged)  # brings an older schema up to date, and says so when it is a newer one
        try:
            _move_models(store, str(manifest.get("root", "")), root)
        finally:
            store.close()
        if root.exists():
            root.rmdir()
        staged.replace(root)
        sync_folder(root.parent)
    except tarfile.TarError as error:
        raise BadInput(f"{file} is not a backup that Lathe has written: {error}.") from error
    except OSError as error:
        raise BadInput(f"{file} cannot be restored to {root}: {error.strerror or error}.") from error
    finally:
        if staged.exists():
            shutil.rmtree(staged)


def _members(store: Store, copy: Path) -> Iterator[tuple[str, Path]]:
    yield DATABASE, copy
    for digest, path in stored_blobs(store):
        yield f"blobs/{digest[:2]}/{digest}", path
    models = store.root / "models"
    for path in sorted(models.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield f"models/{path.relative_to(models).as_posix()}", path


def _pack(store: Store, copy: Path, archive: tarfile.TarFile) -> int:
    """Write the members and, at the end, the manifest that makes them a backup: a torn file has none."""
    members: list[dict[str, Any]] = []
    for name, path in _members(store, copy):
        with path.open("rb") as file:
            info = tarfile.TarInfo(name)
            found = os.fstat(file.fileno())
            info.size, info.mode, info.mtime = found.st_size, 0o600, found.st_mtime
            counted = _Counted(file)
            archive.addfile(info, counted)
        digest = counted.digest.hexdigest()
        members.append({"name": name, "size": info.size, "mtime_ns": found.st_mtime_ns, "sha256": digest})
    manifest = dumps(
        {"format": FORMAT, "created_at": now(), "root": str(store.root), "members": members}
    ).encode("utf-8")
    info = tarfile.TarInfo(MANIFEST)
    info.size, info.mode = len(manifest), 0o600
    archive.addfile(info, io.BytesIO(manifest))
    return len(members)


class _Counted(io.RawIOBase):
    """A file that is hashed while tarfile reads it, so that nothing is read twice."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _unpack(archive: tarfile.TarFile, folder: Path) -> dict[str, Any]:
    """Write the regular files of a backup under `folder`, each under a checked name, and compare with the manifest."""
    seen: dict[str, str] = {}
    manifest: dict[str, Any] | None = None
    for member in archive:
        source = archive.extractfile(member) if member.isreg() else None
        if source is None:
            raise BadInput(
                f"The backup holds something that is not a plain file ({member.name[:80]!r}). It is not ours."
            )
        if member.name == MANIFEST:
            manifest = _manifest(source.read(MANIFEST_MOST_BYTES))
            continue
        target = folder / _checked(member.name)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            while data := source.read(CHUNK):
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        seen[member.name] = digest.hexdigest()
    if manifest is None:
        raise BadInput(
            "The backup is not whole: its list of contents at the end is missing. Use another one."
        )
    wanted = {str(item["name"]): str(item["sha256"]) for item in manifest["members"]}
    damaged = sorted(name for name in wanted.keys() | seen.keys() if wanted.get(name) != seen.get(name))
    if damaged:
        raise BadInput(
            f"The backup is damaged: {damaged[0]} is not what was backed up "
            f"({len(damaged)} of {len(wanted)} files). Use another one."
        )
    for item in manifest["members"]:
        # A model whose time has changed counts as changed on the disk.
        stamp = int(item.get("mtime_ns", 0))
        os.utime(folder / _checked(str(item["name"])), ns=(stamp, stamp))
    return manifest


def _move_models(store: Store, was: str, root: Path) -> None:
    """Models that lie in the workspace itself lie in the new one now."""
    with store.write(durable=True) as connection:
        connection.execute(
            "UPDATE model_versions SET path = ?1 || substr(path, length(?2) + 1) "
            "WHERE ?2 <> '' AND substr(path, 1, length(?2) + 1) = ?2 || '/'",
            (str(root), was),
        )


def _checked(name: str) -> Path:
    """The relative path of a member; BadInput for a name that a backup of ours cannot hold."""
    path = PurePosixPath(name)
    parts = path.parts
    plain = not path.is_absolute() and not any(
        part in ("..", ".", "") or "\0" in part for part in name.split("/")
    )
    if not plain or not (name == DATABASE or (len(parts) > 1 and parts[0] in _KINDS)):
        raise BadInput(
            f"The backup holds a file with the name {name[:80]!r}, which Lathe has not written there."
        )
    return Path(*parts)


def _manifest(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("members"), list):
        raise BadInput("The backup's list of contents cannot be read. Use another one.")
    if found.get("format") != FORMAT:
        raise BadInput("The backup was written by a newer Lathe. Update Lathe to restore it.")
    return found


def _check_database(path: Path) -> None:
    if not path.is_file():
        raise BadInput("The backup holds no database, so it cannot be a workspace.")
    wrong = sound(path)
    if wrong:
        raise StoreBroken(f"The copied database is not sound ({wrong}). Try: lathe doctor")
