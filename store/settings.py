"""The workspace's settings: JSON values under dotted keys."""

import json
from typing import Any

from store.hashing import dumps
from store.workspace import Store, now

DEFAULTS: dict[str, Any] = {"network": False, "model_folders": [], "theme": "lathe-dark"}


def get(store: Store, key: str, default: Any = None) -> Any:
    """The value of `key`; when it was never set, the workbench's default, or `default` for an unknown key."""
    row = store.read().execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
    return DEFAULTS.get(key, default) if row is None else json.loads(row["value"])


def set(store: Store, key: str, value: Any) -> None:  # noqa: A001 - read as settings.set
    """Keep `value` (anything JSON can say) durably."""
    with store.write(durable=True) as connection:
        connection.execute(
            "INSERT INTO settings VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
            (key, dumps(value), now()),
        )


def everything(store: Store) -> dict[str, Any]:
    """Every setting, defaults included."""
    rows = store.read().execute("SELECT key, value FROM settings").fetchall()
    return DEFAULTS | {row["key"]: json.loads(row["value"]) for row in rows}
