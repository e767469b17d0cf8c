"""What is refused before anything is loaded: pickled weights by content, and configurations that bring code.

The only owner of the question whether a model folder may be used. Reading a pickle runs what it holds, whatever
the file is called; `auto_map` and keys that end in `_internal` make transformers fetch and run code
(CVE-2026-4372 did so with trust_remote_code off). There is no switch that allows either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.models.file_kind import file_kind, first_bytes, pickles_in_zip
from store.errors import BadInput

MAX_JSON = 64 * 1024 * 1024
MAX_DEPTH = 64
CONFIG_FILES = (
    "config.json", "generation_config.json", "tokenizer_config.json", "adapter_config.json", "processor_config.json",
    "preprocessor_config.json",
)  # fmt: skip
_CODE_KEYS = frozenset(
    {"auto_map", "custom_pipelines", "custom_generate", "trust_remote_code", "code_revision"}
)
_HUB_CODE = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?(:[\w.-]+)?")
_CODE_FILES = re.compile(
    r"(modeling|configuration|tokenization|processing|image_processing|feature_extraction|pipeline|modular|generate)"
    r"\w*\.py"
)
_WEIGHT_NAMES = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".ckpt",
    ".pt2",
    ".h5",
    ".msgpack",
    ".npz",
    ".npy",
)
PICKLE_ADVICE = (
    "Reading a pickle runs whatever code it holds, so Lathe never does. Ask for safetensors or GGUF weights, or convert "
    "them with a tool you trust on a machine you can lose."
)


class Refused(BadInput):
    """Something that could run code, or is not what its name says. The sentence says what it is."""


def check_weights(path: Path) -> None:
    """Raise Refused when `path`, whatever its name, is a pickle or another format that can run code."""
    found = file_kind(path)
    if found.kind == "zip":
        inside = pickles_in_zip(path)
        what = f"a zip archive with pickled data in it ({inside[0]})" if inside else found.words
        raise Refused(f"{path.name} was refused: by its content it is {what}. {PICKLE_ADVICE}")
    if found.can_run_code:
        raise Refused(f"{path.name} was refused: by its content it is {found.words}. {PICKLE_ADVICE}")


def check_folder(folder: Path) -> list[str]:
    """Judge a Hugging Face folder before anything reads it; returns sentences about what is left alone.

    Raises Refused for configurations that bring code, for code beside them, and for a file that is named
    safetensors and is something else.
    """
    for name in CONFIG_FILES:
        if (folder / name).exists():
            check_config(read_json(folder / name), name)
    notes = []
    for path in sorted(folder.iterdir()):
        if _CODE_FILES.fullmatch(path.name):
            raise Refused(
                f"{folder.name} was refused: it brings code of its own ({path.name}), and Lathe never runs a model's "
                "code. Use a GGUF of this model, or a version of it that transformers knows by itself."
            )
        if path.suffix == ".safetensors":
            check_weights(path)
        elif path.suffix in _WEIGHT_NAMES and path.is_file() and file_kind(path).can_run_code:
            notes.append(f"{path.name} is {file_kind(path).words}; it is never opened.")
        elif path.suffix == ".py":
            notes.append(f"{path.name} is code; it is never run.")
    return notes


def check_config(config: Any, name: str = "config.json") -> None:
    """Raise Refused when a configuration asks for code: see the module's first lines."""
    for key, value in _walk(config, 0, name):
        lowered = key.lower()
        asks = lowered in _CODE_KEYS and value not in (None, False, {}, [], "")
        if asks or lowered.endswith("_internal") or lowered.startswith("kernel_config"):
            raise Refused(
                f"{name} was refused: its key “{key[:80]}” makes transformers load and run foreign code. "
                "Lathe never does. Use a GGUF of this model, or a version of it that transformers knows by itself."
            )
        attention = "attn_implementation" in lowered or lowered.startswith("kernel")
        if attention and isinstance(value, str) and _HUB_CODE.fullmatch(value):
            raise Refused(
                f"{name} was refused: “{key[:80]}” names code on a hub ({value[:80]}), and Lathe never runs it."
            )


def read_json(path: Path, most: int = MAX_JSON) -> Any:
    """A JSON file of at most `most` bytes; BadInput says what is wrong with it. Regular files only."""
    head, size = first_bytes(path, 1)
    if head is None:
        raise Refused(f"{path.name} is not a regular file, so it was not opened.")
    if size > most:
        raise Refused(f"{path.name} is {size} bytes long; at most {most} are read.")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path.name} cannot be read as JSON: {str(error)[:160]}.") from None


def _walk(value: Any, depth: int, name: str) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise Refused(f"{name} was refused: it is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key), item
            yield from _walk(item, depth + 1, name)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, depth + 1, name)
