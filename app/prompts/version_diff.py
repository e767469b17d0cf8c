"""What changed between two prompt versions: messages word by word, examples, and settings one by one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.prompts.words import Op, differs, word_diff


@dataclass(frozen=True)
class MessageChange:
    """One message, before and after; `before` or `after` is None when it was added or removed."""

    role: str
    before: str | None
    after: str | None
    ops: tuple[Op, ...]

    @property
    def changed(self) -> bool:
        """Whether anything in it changed."""
        return differs(list(self.ops))


@dataclass(frozen=True)
class SettingChange:
    """One setting that differs; `path` is dotted, a value None where it was not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class VersionDiff:
    """Everything that differs between two contents; equal messages are there too, as context."""

    messages: tuple[MessageChange, ...]
    examples: tuple[MessageChange, ...]
    settings: tuple[SettingChange, ...]

    @property
    def same(self) -> bool:
        """Whether nothing that reaches the model or the checks differs."""
        changes = (*self.messages, *self.examples)
        return not self.settings and not any(change.changed for change in changes)


def diff_versions(before: Mapping[str, Any], after: Mapping[str, Any]) -> VersionDiff:
    """Compare two prompt contents as the store keeps them."""
    rest = [key for key in {**before, **after} if key not in ("messages", "few_shot")]
    settings = [change for key in rest for change in _settings(key, before.get(key), after.get(key))]
    return VersionDiff(
        tuple(_aligned(_pairs(before.get("messages")), _pairs(after.get("messages")))),
        tuple(_aligned(_examples(before.get("few_shot")), _examples(after.get("few_shot")))),
        tuple(settings),
    )


def _pairs(messages: Any) -> list[tuple[str, str]]:
    return [(str(message.get("role")), str(message.get("content"))) for message in messages or ()]


def _examples(few_shot: Any) -> list[tuple[str, str]]:
    pairs = []
    for example in few_shot or ():
        pairs += [("user", str(example.get("user"))), ("assistant", str(example.get("assistant")))]
    return pairs


def _aligned(before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]) -> Iterator[MessageChange]:
    """Pair messages up: equal ones first, then by place and role inside each gap between equal ones."""
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            for role, text in before[i1:i2]:
                yield MessageChange(role, text, text, tuple(word_diff(text, text)))
            continue
        left, right = list(before[i1:i2]), list(after[j1:j2])
        while left or right:
            if left and right and left[0][0] == right[0][0]:
                (role, old), (_, new) = left.pop(0), right.pop(0)
                yield MessageChange(role, old, new, tuple(word_diff(old, new)))
            elif left and (not right or len(left) >= len(right)):
                role, old = left.pop(0)
                yield MessageChange(role, old, None, (Op("delete", old),))
            else:
                role, new = right.pop(0)
                yield MessageChange(role, None, new, (Op("insert", new),))


def _settings(path: str, before: Any, after: Any) -> Iterator[SettingChange]:
    if isinstance(before, dict) and isinstance(after, dict) and path != "json_schema":
        for key in {**before, **after}:
            yield from _settings(f"{path}.{key}", before.get(key), after.get(key))
    elif before != after:
        yield SettingChange(path, before, after)
