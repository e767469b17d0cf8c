"""Word-level differences between two texts, as data for any view."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

MAX_PRODUCT = 4_000_000
"""Words × words that are compared one by one; beyond that, whole lines are (a second on a slow machine)."""
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Op:
    """A run of text that both have, that only the first has (`delete`), or only the second (`insert`)."""

    kind: Literal["equal", "delete", "insert"]
    text: str


def word_diff(before: str, after: str) -> list[Op]:
    """How to get from `before` to `after` in runs of words; the kept and deleted runs spell `before`
    exactly."""
    if before == after:
        return [Op("equal", before)] if before else []
    left, right = _WORD.findall(before), _WORD.findall(after)
    if len(left) * len(right) > MAX_PRODUCT:
        left, right = before.splitlines(keepends=True), after.splitlines(keepends=True)
        if len(left) * len(right) > MAX_PRODUCT:
            return [op for op in (Op("delete", before), Op("insert", after)) if op.text]
    ops: list[Op] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            ops.append(Op("equal", "".join(left[i1:i2])))
            continue
        if i2 > i1:
            ops.append(Op("delete", "".join(left[i1:i2])))
        if j2 > j1:
            ops.append(Op("insert", "".join(right[j1:j2])))
    return ops


def differs(ops: list[Op]) -> bool:
    """Whether the two texts differ at all."""
    return any(op.kind != "equal" for op in ops)
