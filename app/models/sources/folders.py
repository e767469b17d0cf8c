"""Plain folders: what this workspace made or pulled, what LM Studio keeps, and what the user added."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from app.models.file_kind import first_bytes
from app.models.search import Candidate, Search

WORKSPACE, LM_STUDIO, ADDED = "this workspace", "LM Studio", "your folders"


def in_workspace(root: Path, search: Search) -> Iterator[Candidate]:
    """What lies in the workspace's own folder of models."""
    if (root / "models").is_dir():
        yield from search.models_in(root / "models", WORKSPACE)


def in_lm_studio(search: Search) -> Iterator[Candidate]:
    """What LM Studio downloaded: publisher/repository/file.gguf below its folder of models."""
    for folder in lm_studio_folders():
        if folder.is_dir():
            yield from search.models_in(folder, LM_STUDIO)


def lm_studio_folders() -> list[Path]:
    """Where LM Studio keeps models: the home it points to, its present folder and its former one."""
    home = Path.home()
    found = [home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"]
    pointer = home / ".lmstudio-home-pointer"
    if pointer.is_file():
        head, _ = first_bytes(pointer, 4096)
        target = (head or b"").decode("utf-8", "replace").strip()
        if os.path.isabs(target) and "\0" not in target:
            found.insert(0, Path(target) / "models")
    return found


def in_added_folders(folders: list[str], search: Search) -> Iterator[Candidate]:
    """What lies in folders the user named; one that is gone gets a note."""
    for name in folders:
        folder = Path(name).expanduser()
        if folder.is_dir():
            yield from search.models_in(folder, ADDED)
        else:
            search.notes.append(f"Your folder {folder} is not there any more; take it out with model.folder.")
