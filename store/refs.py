"""How a reference is read: `reviews@2`, `reply@production`, `starter@q8_0`, `#3fa9c1` or `3fa9c1`. The only parser."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from store.errors import BadInput, NotFound

_HASH = re.compile(r"#?([0-9a-f]{6,64})")
_FORBIDDEN = re.compile(r"[@/\\#\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Ref(NamedTuple):
    """A name and what it selects: a version number, a label or a tag; None is the latest (models: the default)."""

    name: str
    selector: str | None

    @property
    def number(self) -> int | None:
        """The selector as a version number, or None when it is a word."""
        return int(self.selector) if self.selector and self.selector.isdecimal() else None


def parse_ref(text: str) -> Ref:
    """Split `name@selector`; BadInput when it is neither that nor a plain name."""
    name, separator, selector = text.strip().rpartition("@")
    if not separator:
        return Ref(text.strip(), None)
    if not name or not selector:
        raise BadInput(
            f"“{text}” is not a reference. Write a name (reply), or name@version (reply@2, reply@production)."
        )
    return Ref(name, selector)


def hash_prefix(text: str) -> str | None:
    """The hexadecimal prefix that `text` may mean (6 digits or more, with or without #), else None."""
    match = _HASH.fullmatch(text.strip().lower())
    return match.group(1) if match else None


def check_name(name: str, noun: str = "name") -> str:
    """`name` itself when it can name a thing; BadInput says why not.

    A name is 1 to 100 characters, without @ / \\ # and control characters, not starting with a dot or a dash.
    """
    if not name.strip():
        raise BadInput(f"The {noun} is empty. Give it a name.")
    if name != name.strip() or len(name) > 100 or name[0] in ".-" or _FORBIDDEN.search(name):
        raise BadInput(
            f"“{name[:120]}” cannot be a {noun}: use 1 to 100 characters, none of @ / \\ #, "
            "and no dot, dash or space at the start."
        )
    return name


def none_such(noun: str, text: str, existing: Iterable[str]) -> NotFound:
    """The sentence for a reference that names nothing, with the names that exist."""
    names = list(existing)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    hint = f"There is: {shown}." if names else "There is none yet."
    return NotFound(f"There is no {noun} “{text}”. {hint}")
