"""Walking folders for models: bounded, stoppable, and not to be led in circles or into devices."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.models.file_kind import file_kind
from app.models.gguf_facts import SHARD

MOST_ENTRIES = 200_000
MOST_DEPTH = 12
MOST_FOUND = 500
SMALLEST = 1024
"""Bytes; no model is smaller, and reading the head of every tiny file would be most of the work."""
PASSED_BY = frozenset(
    {".git", ".hg", "node_modules", "__pycache__", ".venv", "site-packages", ".tox", ".Trash"}
)
NOT_FILES = ("/proc", "/sys", "/dev", "/run")
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Candidate:
    """Something that may be a model, where it was found, and what its finder knows of it."""

    path: Path
    source: str
    name: str = ""
    tag: str = ""
    problem: str = ""
    """Why it cannot be used, when the finder knows already."""
    origin: dict[str, Any] = field(default_factory=dict)


@dataclass
class Search:
    """One search: what was visited, what has to be said about it, and whether it is to stop.

    `check` is called often and raises when the search is to end.
    """

    check: Callable[[], None]
    notes: list[str] = field(default_factory=list)
    entries: int = 0
    visited: set[tuple[int, int]] = field(default_factory=set)

    def models_in(self, root: Path, source: str, *, depth: int = MOST_DEPTH) -> Iterator[Candidate]:
        """Candidates below `root`: GGUF files by content, model folders, adapters. Links are followed, once."""
        budget = self.entries + MOST_ENTRIES
        stack = [(root, 0)]
        while stack:
            self.check()
            folder, level = stack.pop()
            entries = self._list(folder)
            if entries is None:
                continue
            self.entries += len(entries)
            if self.entries > budget:
                self.notes.append(
                    f"{root} holds more than {MOST_ENTRIES:,} files; the search stopped at {folder}."
                )
                return
            names = {entry.name for entry in entries}
            if holds_a_model(names):
                yield Candidate(folder, source)
            yield from self._files(entries, source, folder_taken=holds_a_model(names))
            below = [
                Path(entry.path) for entry in entries if _is_folder(entry) and entry.name not in PASSED_BY
            ]
            if below and level >= depth:
                self.notes.append(
                    f"{folder} is nested deeper than {depth} folders; what lies below was not searched."
                )
                continue
            stack.extend((path, level + 1) for path in sorted(below, reverse=True))

    def _list(self, folder: Path) -> list[os.DirEntry[str]] | None:
        """The entries of a folder that was not visited yet; None with a note when it cannot be listed."""
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in self.visited or not stat.S_ISDIR(state.st_mode):
                return None
            self.visited.add((state.st_dev, state.st_ino))
            if os.path.realpath(folder).startswith(NOT_FILES):
                return None
            with os.scandir(folder) as found:
                entries = []
                for entry in found:
                    entries.append(entry)
                    if len(entries) > MOST_ENTRIES:
                        break
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.notes.append(f"{folder} could not be searched: {error.strerror or error}.")
            return None

    def _files(
        self, entries: list[os.DirEntry[str]], source: str, *, folder_taken: bool
    ) -> Iterator[Candidate]:
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            if index % 64 == 0:
                self.check()
            path = Path(entry.path)
            try:
                # A link to nowhere, a FIFO or a device is not opened at all.
                state = entry.stat()
                if not stat.S_ISREG(state.st_mode) or state.st_size < SMALLEST:
                    continue
                kind = file_kind(path)
            except OSError as error:
                if not isinstance(error, FileNotFoundError):
                    self.notes.append(f"{path} could not be read: {error.strerror or error}.")
                continue
            if kind.kind == "gguf":
                part = SHARD.fullmatch(entry.name)
                if part is None or part["stem"] not in seen:
                    yield Candidate(path, source)
                if part is not None:
                    seen.add(part["stem"])
            elif not folder_taken and path.suffix in (".gguf", ".safetensors") and kind.kind != "safetensors":
                yield Candidate(path, source)  # it is not what its name says, and somebody should be told


def holds_a_model(names: set[str]) -> bool:
    """Whether a folder with these file names is a model: a configuration and weights beside it."""
    if "adapter_config.json" in names:
        return any(name.startswith("adapter_model.") for name in names)
    return "config.json" in names and any(
        name.endswith(WEIGHTS) or name.endswith(".safetensors.index.json") for name in names
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
