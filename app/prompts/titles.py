"""Short names for lists. Imports nothing: the screen needs them before anything else is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def case_title(content: Mapping[str, Any], limit: int = 80) -> str:
    """A short name of a case: its own, else the first text in it, on one line."""
    if content.get("name"):
        return one_line(str(content["name"]), limit)
    values: Iterable[object] = (content.get("variables") or {}).values()
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts:
        texts = [str(message.get("content", "")) for message in (content.get("messages") or ())[-1:]]
    if not texts:
        texts = [str(value) for value in (content.get("variables") or {}).values()]
    return one_line(texts[0] if texts else "", limit)


def one_line(text: str, limit: int = 80) -> str:
    """A text on one line, cut with an ellipsis; only its start is looked at, so a megabyte costs nothing."""
    line = " ".join(text[: limit * 8].split())
    return line if len(line) <= limit and len(text) <= limit * 8 else line[: limit - 1] + "…"
