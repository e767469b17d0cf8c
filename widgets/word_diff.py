"""Word-level differences between two texts. No Textual: reports and exports may use it too."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Literal

_WORDS = re.compile(r"\s+|\w+|[^\w\s]", re.UNICODE)

# SequenceMatcher is quadratic in the worst case: two 3,000-word texts stay well under 100 ms, longer ones are
# compared by whole lines.
_MOST_WORDS = 3000


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text that both sides share (`same`), or that only one has (`added`, `removed`)."""

    kind: Literal["same", "added", "removed"]
    text: str


def words(text: str) -> list[str]:
    """The text cut into words, punctuation marks and runs of white space; joined again it is the text."""
    return _WORDS.findall(text)


@lru_cache(maxsize=256)
def word_diff(base: str, other: str) -> tuple[Piece, ...]:
    """What turns `base` into `other`, in the order of `other`; `removed` pieces stand where they were.

    The `same` and `added` pieces joined are `other`; the `same` and `removed` ones are `base`. Texts of more
    than 3,000 words are compared line by line.
    """
    if base == other:
        return (Piece("same", other),) if other else ()
    left, right = words(base), words(other)
    if len(left) > _MOST_WORDS or len(right) > _MOST_WORDS:
        left, right = base.splitlines(keepends=True), other.splitlines(keepends=True)
    pieces: list[Piece] = []
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(right[j1:j2])))
            continue
        if i2 > i1:
            pieces.append(Piece("removed", "".join(left[i1:i2])))
        if j2 > j1:
            pieces.append(Piece("added", "".join(right[j1:j2])))
    return tuple(pieces)
