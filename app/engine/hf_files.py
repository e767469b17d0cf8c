"""Small facts of a Hugging Face folder, read without transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_JSON = 64 * 1024 * 1024


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when there is none or it is none."""
    try:
        if path.stat().st_size > MAX_JSON:
            return {}
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def chat_template_of(folder: Path) -> str | None:
    """The folder's default chat template: chat_template.jinja, or what tokenizer_config.json holds (older files)."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8") or None
    found = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        named = {item.get("name"): item.get("template") for item in found if isinstance(item, dict)}
        found = named.get("default")
    return found if isinstance(found, str) and found.strip() else None
