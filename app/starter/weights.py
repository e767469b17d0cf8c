"""Where the shipped weights are."""

from __future__ import annotations

from pathlib import Path

from store.errors import NotFound

SHIPPED = Path(__file__).parent / "weights"


def shipped_weights() -> Path:
    """The folder with ``hf/`` and ``starter-q8_0.gguf``; NotFound when this copy came without them."""
    if not (SHIPPED / "hf" / "config.json").exists() or not (SHIPPED / "starter-q8_0.gguf").exists():
        raise NotFound(
            f"The starter model is missing from {SHIPPED}. Install Lathe again, or train it with "
            "`lathe run starter.train`."
        )
    return SHIPPED
