"""What a content hash is: SHA-256 over one canonical JSON spelling of a value."""

import hashlib
import json
import math
from typing import Any

from store.errors import BadInput


def clean(value: Any) -> Any:
    """A copy of `value` that SQLite and JSON can hold: lone surrogates become U+FFFD, NaN and infinities text."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def clean_text(text: str) -> str:
    """`text` with lone surrogates replaced: UTF-8, and so SQLite, cannot hold them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if 0xD800 <= ord(char) <= 0xDFFF else char for char in text)
    return text


def dumps(value: Any) -> str:
    """JSON as the store writes it: cleaned, with text kept readable and keys in their order."""
    return _json(value, sort_keys=False, separators=None)


def canonical(value: Any) -> bytes:
    """The one spelling that is hashed: sorted keys, no spaces, UTF-8."""
    return _json(value, sort_keys=True, separators=(",", ":")).encode("utf-8")


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical spelling, as 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _json(value: Any, *, sort_keys: bool, separators: tuple[str, str] | None) -> str:
    def spelled(what: Any) -> str:
        return json.dumps(
            what, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys, separators=separators
        )

    try:
        text = spelled(value)  # nearly always clean already: cleaning costs more than the spelling
        text.encode("utf-8")
    except (TypeError, UnicodeEncodeError, ValueError):
        return spelled(clean(value))
    except RecursionError:
        raise BadInput("A value is nested too deeply to be kept. Flatten it.") from None
    return text
