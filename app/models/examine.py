"""One look at something on disk that may be a model: what it is, whether it may be used, and its facts.

The only owner of the question what a path is as a model. It opens headers, never weights, and runs nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.model_files import quick_hash
from app.models.file_kind import file_kind
from app.models.gguf_facts import gguf_facts, read_gguf
from app.models.hf_facts import adapter_facts, hf_facts
from app.models.naming import suggested_name, suggested_tag
from app.models.safety import check_weights
from store.errors import BadInput, LatheError
from store.models import Format


@dataclass(frozen=True)
class Examined:
    """A model as it lies on disk; `path` is what the engine is given (the first part of a sharded GGUF)."""

    path: Path
    format: Format
    facts: dict[str, Any]
    quick_hash: str
    size_bytes: int
    name: str
    tag: str


def examine(path: Path) -> Examined:
    """Look at a GGUF file or a model folder; a LatheError sentence says why it cannot be used."""
    path = Path(os.path.abspath(path.expanduser()))
    try:
        if not path.exists():
            raise BadInput(
                f"{path} is not there. Check the path, or look for models with: lathe run model.discover"
            )
        return _folder(path) if path.is_dir() else _file(path)
    except PermissionError as error:
        raise BadInput(
            f"{error.filename or path} may not be read by you. Ask its owner, or change its mode."
        ) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None


def _file(path: Path) -> Examined:
    found = file_kind(path)
    if found.kind == "gguf":
        headers, first = read_gguf(path)
        size = sum(header.file_size for header in headers)
        facts = gguf_facts(first)
        kind: Format = "adapter" if "adapter" in facts else "gguf"
        return _examined(first, kind, facts, size)
    check_weights(path)
    if found.kind in ("safetensors", "text") and is_model_folder(path.parent):
        raise BadInput(f"{path.name} is one file of a model folder. Register the folder: {path.parent}")
    raise BadInput(
        f"{path.name} is {found.words}, and a model is a GGUF file or a folder with config.json and safetensors weights."
    )


def _folder(path: Path) -> Examined:
    if (path / "adapter_config.json").is_file():
        return _examined(path, "adapter", adapter_facts(path), folder_size(path))
    if (path / "config.json").is_file():
        return _examined(path, "hf", hf_facts(path), folder_size(path))
    models = ggufs_in(path)
    if len(models) == 1:
        return _file(models[0])
    if models:
        names = ", ".join(item.name for item in models[:4]) + (" …" if len(models) > 4 else "")
        raise BadInput(f"{path} holds {len(models)} GGUF models. Name one of them: {names}")
    for item in sorted(path.iterdir())[:1000]:
        if item.is_file() and item.suffix in (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl"):
            check_weights(item)
    raise BadInput(
        f"{path} holds no model: there is neither a GGUF file nor a config.json with safetensors in it."
    )


def is_model_folder(folder: Path) -> bool:
    """Whether a folder looks like one model: a configuration stands in it."""
    return (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()


def ggufs_in(folder: Path) -> list[Path]:
    """The GGUF models of a folder by content, the parts of a sharded one counted once."""
    found: dict[Path, None] = {}
    for item in sorted(folder.iterdir())[:1000]:
        try:
            if not item.is_file() or file_kind(item).kind != "gguf":
                continue
            found[read_gguf(item)[1]] = None
        except LatheError:
            found[item] = None  # it is one, if a broken one: whoever opens it gets the sentence
    return list(found)


def folder_size(folder: Path) -> int:
    """Bytes of a folder's own files; links count as what they point to."""
    return sum(item.stat().st_size for item in folder.iterdir() if item.is_file())


def _examined(path: Path, kind: Format, facts: dict[str, Any], size: int) -> Examined:
    return Examined(
        path, kind, facts, quick_hash(path), size, suggested_name(path, facts), suggested_tag(path, facts)
    )
