"""Unsaved text, kept so that it survives the loss of any process."""

import json
from typing import Any

from store.hashing import dumps
from store.workspace import Store, now


def save_draft(store: Store, key: str, content: Any) -> None:
    """Keep the draft `key` (for a prompt: `prompt:<name>`), replacing what was there."""
    with store.write() as connection:
        connection.execute(
            "INSERT INTO drafts VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET content = excluded.content, saved_at = excluded.saved_at",
            (key, dumps(content), now()),
        )


def draft(store: Store, key: str) -> Any | None:
    """The content of the draft, or None when there is none."""
    row = store.read().execute("SELECT content FROM drafts WHERE key = ?", (key,)).fetchone()
    return None if row is None else json.loads(row["content"])


def drop_draft(store: Store, key: str) -> None:
    """Forget the draft."""
    with store.write() as connection:
        connection.execute("DELETE FROM drafts WHERE key = ?", (key,))
