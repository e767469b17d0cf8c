"""What makes two generations the same one. `generation_key` is its only owner: reuse, resume and cache all follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from store.hashing import content_hash

KEY_VERSION = 1


def generation_key(
    *,
    messages: Sequence[Mapping[str, str]] | str,
    model_hash: str,
    adapter_hash: str = "",
    template_hash: str,
    sampling: Mapping[str, Any],
    seed: int | None,
    repeat: int,
    json_schema: Mapping[str, Any] | None,
    thinking: bool | None,
    fingerprint: Mapping[str, Any],
) -> str:
    """The key under which a generation is kept: equal keys, equal output as far as llama.cpp and torch allow.

    `messages` is a conversation or a plain prompt. At temperature 0 the seed and the filters of sampling choose
    nothing, so they are left out: changing them does not make anybody wait again.
    """
    kept = {key: value for key, value in sampling.items() if value is not None and key != "seed"}
    if not kept.get("temperature"):
        kept = {key: kept[key] for key in ("repeat_penalty", "max_tokens", "stop") if key in kept}
        seed = None
    return content_hash(
        {
            "version": KEY_VERSION,
            "messages": messages if isinstance(messages, str) else [dict(message) for message in messages],
            "model": model_hash,
            "adapter": adapter_hash,
            "template": template_hash,
            "sampling": kept,
            "seed": seed,
            "repeat": repeat,
            "json_schema": None if json_schema is None else dict(json_schema),
            "thinking": thinking,
            "fingerprint": dict(fingerprint),
        }
    )
