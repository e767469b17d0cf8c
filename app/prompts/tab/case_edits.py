"""Unsaved changes to a case set: kept in the store as they are made, turned into a new version on demand."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from store import drafts
from store.workspace import Store

Key = int
"""A case's position in the version that is edited; new cases have -1, -2 …"""


@dataclass
class CaseEdits:
    """What is different from version `number` of `name` (0: a set that does not exist yet)."""

    name: str
    number: int
    changed: dict[Key, dict[str, Any]] = field(default_factory=dict)
    removed: list[Key] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether saving would change nothing."""
        return not self.changed and not self.removed

    @property
    def added(self) -> list[Key]:
        """Keys of the new cases, oldest first."""
        return sorted((key for key in self.changed if key < 0 and key not in self.removed), reverse=True)

    def next_key(self) -> Key:
        """The key for one more new case."""
        return min((-1, *(key - 1 for key in self.changed if key < 0)))

    def summary(self) -> str:
        """What is unsaved, in words."""
        removed = sum(key >= 0 for key in self.removed)
        changed = sum(key >= 0 and key not in self.removed for key in self.changed)
        parts = [(len(self.added), "new"), (changed, "changed"), (removed, "removed")]
        return ", ".join(f"{count} {word}" for count, word in parts if count) or "nothing unsaved"

    def applied(self, rows: Iterable[tuple[Key, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """The cases of the new version, from the (position, case) pairs of the old one."""
        gone = set(self.removed)
        for key, case in rows:
            if key not in gone:
                yield self.changed.get(key, case)
        for key in self.added:
            yield self.changed[key]


def _draft_key(name: str) -> str:
    return f"cases:{name}"


def read_edits(store: Store, name: str, number: int) -> CaseEdits:
    """The unsaved changes of a case set; none when they were made to another version than `number`."""
    data = drafts.draft(store, _draft_key(name))
    if not isinstance(data, Mapping) or data.get("number") != number:
        return CaseEdits(name, number)
    changed = {int(key): case for key, case in dict(data.get("changed") or {}).items()}
    return CaseEdits(name, number, changed, [int(key) for key in data.get("removed") or ()])


def write_edits(store: Store, edits: CaseEdits) -> None:
    """Keep the changes; when this returns they survive a kill."""
    if edits.empty:
        drafts.drop_draft(store, _draft_key(edits.name))
        return
    content = {
        "number": edits.number,
        "changed": {str(key): case for key, case in edits.changed.items()},
        "removed": edits.removed,
    }
    drafts.save_draft(store, _draft_key(edits.name), content)
