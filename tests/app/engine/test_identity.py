from __future__ import annotations

from typing import Any

import pytest

from app.engine.identity import generation_key

SAMPLING = {
    "temperature": 0.7,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.05,
    "repeat_penalty": 1.1,
    "max_tokens": 64,
}
BASE: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}],
    "model_hash": "m",
    "adapter_hash": "",
    "template_hash": "t",
    "sampling": SAMPLING,
    "seed": 1,
    "repeat": 0,
    "json_schema": None,
    "thinking": None,
    "fingerprint": {"build": "1", "slots": "batched"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": "Hi "}]},
        {"messages": [{"role": "system", "content": "Hi"}]},
        {"messages": "Hi"},
        {"model_hash": "n"},
        {"adapter_hash": "a"},
        {"template_hash": "u"},
        {"seed": 2},
        {"repeat": 1},
        {"json_schema": {"type": "object"}},
        {"thinking": False},
        {"fingerprint": {"build": "2", "slots": "batched"}},
        {"sampling": {**SAMPLING, "max_tokens": 65}},
        {"sampling": {**SAMPLING, "temperature": 0.8}},
    ],
    ids=str,
)
def test_whatever_may_change_the_output_changes_the_key(change: dict[str, Any]) -> None:
    assert generation_key(**{**BASE, **change}) != generation_key(**BASE)


def test_the_order_of_keys_and_unset_fields_change_nothing() -> None:
    turned = dict(reversed(SAMPLING.items())) | {"seed": 99, "stop": None}
    assert generation_key(**{**BASE, "sampling": turned}) == generation_key(**BASE)


def test_at_temperature_zero_the_seed_and_the_filters_change_nothing() -> None:
    greedy = {**BASE, "sampling": {**SAMPLING, "temperature": 0}}
    other = {**BASE, "seed": 9, "sampling": {**SAMPLING, "temperature": 0, "top_k": 3, "top_p": 0.1}}
    assert generation_key(**greedy) == generation_key(**other)
    assert generation_key(**{**greedy, "sampling": {"temperature": 0, "max_tokens": 1}}) != generation_key(
        **greedy
    )
