"""What a content hash is: SHA-256 over one canonical JSON spelling of a value."""

import hashlib
import json
import math
from typing import Any


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
    """JSON as the store writes it: cleaned, with text kept readable."""
    return json.dumps(clean(value), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """The one spelling that is hashed: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        clean(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    ).encode("utf-8")


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical spelling, as 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
