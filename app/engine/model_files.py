"""The files of a model: which they are, and a cheap fingerprint that notices when they change on disk."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

HEAD = 64 * 1024
SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})\.gguf")


def model_files(path: Path) -> list[Path]:
    """The files that make a model: the GGUF file, all its shards, or a folder's own files (links are followed)."""
    if path.is_dir():
        return sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    shard = SHARD.fullmatch(path.name)
    if shard is None:
        return [path]
    stem, count = shard.groups()
    shards = [path.with_name(f"{stem}-{number:05}-of-{count}.gguf") for number in range(1, int(count) + 1)]
    return [file for file in shards if file.exists()] or [path]


def quick_hash(path: Path) -> str:
    """SHA-256 over every file's name, size, time and first 64 KB: cheap, and different after any usual change.

    The only owner of the question whether a model changed on disk; `model.verify` reads the whole file.
    """
    digest = hashlib.sha256()
    for file in model_files(path):
        status = file.stat()
        digest.update(
            f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape")
        )
        with file.open("rb") as stream:
            digest.update(stream.read(HEAD))
    return digest.hexdigest()


def size_bytes(path: Path) -> int:
    """Bytes of all files of a model."""
    return sum(file.stat().st_size for file in model_files(path))
