"""Where an engine lives: its socket in the user's runtime folder, and the pointer to it in the workspace."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from store.errors import LatheError

POINTER = "engine.json"
LOCK = "engine.lock"
LOG = "engine.log"
SOCKET_PATH_BYTES = 107  # what sockaddr_un holds, less its final zero


@dataclass(frozen=True)
class Pointer:
    """What W/engine.json says: `version` is `code_version()` of the engine that wrote it."""

    socket: str
    pid: int
    started: str
    version: str


def socket_path(root: Path) -> Path:
    """The engine socket of a workspace; the folder is made, 0700 and ours, or a LatheError says whose it is."""
    name = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16] + ".sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        path = Path(runtime) / "lathe" / name
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            return _own_folder(path.parent) / name
    return _own_folder(Path(tempfile.gettempdir()) / f"lathe-{os.getuid()}") / name


def read_pointer(root: Path) -> Pointer | None:
    """The pointer of a workspace, or None when there is none that can be read."""
    try:
        fields = json.loads((root / POINTER).read_text(encoding="utf-8"))
        return Pointer(
            str(fields["socket"]), int(fields["pid"]), str(fields["started"]), str(fields["version"])
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_pointer(root: Path, pointer: Pointer) -> None:
    """Replace the pointer in one step, readable by the user alone."""
    handle, name = tempfile.mkstemp(dir=root, prefix=".engine-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(pointer), file)
    os.replace(name, root / POINTER)


@cache
def code_version() -> str:
    """Changes whenever the engine's own files change, so that an engine started before an update is noticed."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _own_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise LatheError(
            f"{folder} belongs to somebody else, so no engine socket is put there. Set XDG_RUNTIME_DIR."
        )
    if status.st_mode & 0o077:
        folder.chmod(0o700)
    return folder
