"""Drafts of prompts: unsaved text that is in the store all the same, so that it survives anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store import drafts
from store.workspace import Store

EMPTY: dict[str, Any] = {"messages": [{"role": "user", "content": ""}]}


@dataclass(frozen=True)
class PromptDraft:
    """The unsaved state of one prompt. `parent` is the version it was made from, None for a new prompt."""

    name: str
    content: dict[str, Any]
    parent: int | None


def content_key(name: str) -> str:
    """Where `prompt.compare` and `prompt.save` look for the draft of a prompt."""
    return f"prompt:{name}"


def _parent_key(name: str) -> str:
    return f"prompt-parent:{name}"


def read_draft(store: Store, name: str) -> PromptDraft | None:
    """The draft of the prompt called `name`, or None when everything is saved."""
    content = drafts.draft(store, content_key(name))
    if content is None:
        return None
    parent = drafts.draft(store, _parent_key(name))
    return PromptDraft(name, dict(content), parent if isinstance(parent, int) else None)


def write_draft(store: Store, name: str, content: Mapping[str, Any], parent: int | None) -> None:
    """Keep the draft; when this returns it survives a kill."""
    with store.write():
        drafts.save_draft(store, content_key(name), dict(content))
        drafts.save_draft(store, _parent_key(name), parent)


def drop_draft(store: Store, name: str) -> None:
    """Forget the draft: it was saved as a version, or thrown away."""
    with store.write():
        drafts.drop_draft(store, content_key(name))
        drafts.drop_draft(store, _parent_key(name))
