"""What a file is by its first bytes. Names and suffixes are claims; nothing here believes them.

The only function of the models stage that opens an unknown file is `first_bytes`: regular files only, so that a
FIFO cannot hang a search and a device cannot answer for ever.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal[
    "gguf", "safetensors", "pickle", "zip", "numpy", "hdf5", "archive", "text", "other", "empty", "special"
]
HEAD = 512
WORDS: dict[Kind, str] = {
    "gguf": "a GGUF file",
    "safetensors": "a safetensors file",
    "pickle": "a pickle, a program in disguise",
    "zip": "a zip archive, as PyTorch packs its pickles",
    "numpy": "a NumPy array, which may hold pickled objects",
    "hdf5": "an HDF5 file",
    "archive": "a compressed archive",
    "text": "a text file",
    "other": "no kind of file that is known here",
    "empty": "an empty file",
    "special": "not a regular file",
}
CAN_RUN_CODE: frozenset[Kind] = frozenset({"pickle", "zip", "numpy"})
MAX_SAFETENSORS_HEADER = 100_000_000  # the format's own limit


@dataclass(frozen=True)
class FileKind:
    """The kind of a file and its size in bytes."""

    kind: Kind
    size: int

    @property
    def words(self) -> str:
        return WORDS[self.kind]

    @property
    def can_run_code(self) -> bool:
        """True for formats whose reading may execute what they hold."""
        return self.kind in CAN_RUN_CODE


def file_kind(path: Path) -> FileKind:
    """What `path` is by content; symlinks are followed. Raises OSError where it cannot be read."""
    head, size = first_bytes(path)
    if head is None:
        return FileKind("special", 0)
    return FileKind(_kind(head, size), size)


def first_bytes(path: Path, count: int = HEAD) -> tuple[bytes | None, int]:
    """The first `count` bytes and the size of a regular file; (None, 0) for a folder, FIFO, socket or device.

    The kind is asked before and after opening, without blocking: between the two a name may become something else.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None, 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            return None, 0
        return os.read(descriptor, count), state.st_size
    finally:
        os.close(descriptor)


def _kind(head: bytes, size: int) -> Kind:
    if not head:
        return "empty"
    if head[:4] == b"GGUF":
        return "gguf"
    if head[:2] == b"PK":
        return "zip"
    if head[:6] == b"\x93NUMPY":
        return "numpy"
    if head[:4] == b"\x89HDF":
        return "hdf5"
    if (
        head[:2] == b"\x1f\x8b"
        or head[:4] == b"(\xb5/\xfd"
        or head[:6] == b"\xfd7zXZ\0"
        or head[:3] == b"BZh"
    ):
        return "archive"
    if _is_safetensors(head, size):
        return "safetensors"
    if _is_pickle(head):
        return "pickle"
    return "text" if _is_text(head) else "other"


def _is_safetensors(head: bytes, size: int) -> bool:
    if len(head) < 10 or head[8:9] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= min(MAX_SAFETENSORS_HEADER, size - 8)


def _is_pickle(head: bytes) -> bool:
    # Protocol 2 and later say so; 0 and 1 begin with an opcode that no weights format begins with.
    if head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5:
        return True
    return (
        head[:1] in (b"(", b"]", b"}", b"c", b"\x8c")
        and any(mark in head for mark in (b"\n", b"q\x00", b"\x94", b"R.", b"tR"))
        and not head.lstrip().startswith(b"{")
    )


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a letter was cut at the end of the window
    return True


def pickles_in_zip(path: Path, most: int = 10_000) -> list[str]:
    """Names of pickled members of a zip archive, read from its table of contents only; empty when it cannot be read."""
    import zipfile  # only for what is going to be refused

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:most]
            found = []
            for name in names:
                if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin")):
                    found.append(name)
                    continue
                with archive.open(name) as member:
                    if _is_pickle(member.read(64) or b" "):
                        found.append(name)
                if len(found) >= 3:
                    break
            return found
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, EOFError):
        return []
