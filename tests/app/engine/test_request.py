from __future__ import annotations

from typing import Any

import pytest

from app.engine.request import load_json, parse_messages, parse_request, parse_schema, whole_text
from store.errors import BadInput

PLAIN = {"id": "a", "model": "tiny", "prompt": "Hello"}
HOSTILE_SAMPLING = [
    {"max_tokens": -1},
    {"max_tokens": "5"},
    {"max_tokens": True},
    {"max_tokens": 2**63},
    {"max_tokens": 1.5},
    {"temperature": -0.1},
    {"temperature": float("inf")},
    {"temperature": float("nan")},
    {"temperature": "hot"},
    {"top_p": 1.5},
    {"top_k": -1},
    {"seed": -1},
    {"seed": 2**64},
    {"repeat_penalty": 0},
    {"n_discard": -1},
    {"stop": ["x"] * 10_000},
    {"stop": [""]},
    {"stop": [7]},
    {"stop": {"a": 1}},
]


@pytest.mark.parametrize("sampling", HOSTILE_SAMPLING, ids=str)
def test_sampling_out_of_range_is_refused_with_a_sentence(sampling: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"\.$"):
        parse_request({**PLAIN, "sampling": sampling})


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"id": "a", "model": "tiny"},
        {**PLAIN, "messages": [{"role": "user", "content": "both"}]},
        {**PLAIN, "id": ""},
        {**PLAIN, "id": "x" * 1000},
        {**PLAIN, "model": 5},
        {**PLAIN, "priority": "urgent"},
        {**PLAIN, "thinking": "yes"},
        {**PLAIN, "logprobs": 1000},
        {**PLAIN, "surprise": 1},
        {"id": "a", "model": "tiny", "messages": []},
        {"id": "a", "model": "tiny", "messages": [{"role": "god", "content": "x"}]},
        {"id": "a", "model": "tiny", "messages": [{"role": "user", "content": 7}]},
        {"id": "a", "model": "tiny", "messages": [{"role": "user", "content": "x"}] * 5000},
    ],
    ids=lambda body: str(body)[:60],
)
def test_a_request_that_is_not_one_is_refused_with_a_sentence(body: object) -> None:
    with pytest.raises(BadInput):
        parse_request(body)


def test_an_image_is_left_out_with_a_sentence_not_silently() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:"}}
    with pytest.raises(BadInput, match="only text"):
        parse_messages([{"role": "user", "content": [{"type": "text", "text": "look"}, part]}], "messages")


def test_null_sampling_fields_mean_their_defaults() -> None:
    request = parse_request({**PLAIN, "sampling": {"top_k": None, "top_p": None, "seed": None}})
    assert (request.sampling.top_k, request.sampling.top_p, request.sampling.seed) == (0, 1.0, None)


def test_lone_surrogates_become_replacement_characters() -> None:
    assert whole_text("a\ud800b") == "a\ufffdb"


def test_a_schema_may_refer_only_to_itself_and_not_be_bottomless() -> None:
    with pytest.raises(BadInput, match="into the schema itself"):
        parse_schema({"$ref": "https://example.org/schema.json"})
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"properties": {"a": deep}}
    with pytest.raises(BadInput, match="deep"):
        parse_schema(deep)


@pytest.mark.parametrize(
    "data",
    [b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 200_000, b'{"a": 1e999'],
    ids=lambda data: repr(data[:12]),
)
def test_a_body_that_is_not_json_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(BadInput):
        load_json(data)
