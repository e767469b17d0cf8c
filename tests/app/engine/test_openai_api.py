"""The OpenAI-compatible routes, spoken to with the official client and with hostile bodies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest

from app.engine.client import EngineClient
from tests.app.engine.conftest import ONE_THREAD, ask, done

HELLO: list[Any] = [{"role": "user", "content": "Where is my order?"}]


def official(client: EngineClient) -> openai.OpenAI:
    transport = httpx2.HTTPTransport(uds=client.socket)
    return openai.OpenAI(
        base_url="http://engine/v1",
        api_key="-",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


@pytest.fixture(scope="module")
def api(engine: EngineClient) -> Iterator[openai.OpenAI]:
    with official(engine) as client:
        yield client


@pytest.fixture(scope="module")
def raw(engine: EngineClient) -> Iterator[httpx.Client]:
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=engine.socket), base_url="http://engine", timeout=20
    ) as http:
        yield http


def test_a_chat_completion_is_what_the_engine_says(api: openai.OpenAI, engine: EngineClient) -> None:
    answer = api.chat.completions.create(model="tiny", messages=HELLO, temperature=0, max_tokens=12)
    own = done(engine.generate([ask("o", HELLO[0]["content"])]))["o"]
    assert answer.choices[0].message.content == own["text"]
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (own["prompt_tokens"], 12)


def test_streaming_gives_the_same_text_and_ends_with_a_reason_and_usage(api: openai.OpenAI) -> None:
    settings: dict[str, Any] = {"model": "tiny", "messages": HELLO, "temperature": 0, "max_tokens": 40}
    whole = api.chat.completions.create(**settings)
    chunks = list(
        api.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True})
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[
        0
    ].finish_reason
    assert chunks[-1].usage == whole.usage or chunks[-1].usage is not None


def test_plain_completions_and_their_log_probabilities(api: openai.OpenAI) -> None:
    answer = api.completions.create(
        model="tiny", prompt="The parcel", temperature=0, max_tokens=6, logprobs=2
    )
    choice = answer.choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.tokens is not None
    assert len(choice.logprobs.tokens) == 6
    streamed = api.completions.create(
        model="tiny", prompt="The parcel", temperature=0, max_tokens=6, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in streamed) == choice.text


def test_stop_logprobs_and_schema_work_as_the_library_asks_for_them(api: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"team": {"enum": ["billing", "shipping"]}},
        "required": ["team"],
    }
    answer = api.chat.completions.create(
        model="tiny",
        messages=HELLO,
        temperature=0,
        max_tokens=60,
        logprobs=True,
        top_logprobs=2,
        response_format={"type": "json_schema", "json_schema": {"name": "route", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content or "")["team"] in ("billing", "shipping")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].logprobs is not None
    assert len(answer.choices[0].logprobs.content or []) > 3


def test_embeddings_have_length_one_and_are_the_same_in_both_encodings(
    api: openai.OpenAI, raw: httpx.Client
) -> None:
    found = api.embeddings.create(model="tiny", input=["a late parcel", "a refund"]).data
    plain = raw.post("/v1/embeddings", json={"model": "tiny", "input": "a late parcel"}).json()["data"][0][
        "embedding"
    ]
    assert len(found) == 2
    assert sum(value * value for value in found[0].embedding) == pytest.approx(1, abs=1e-5)
    assert found[0].embedding == pytest.approx(plain, abs=1e-6)
    assert found[0].embedding != pytest.approx(found[1].embedding, abs=1e-3)


def test_models_are_listed_by_their_references(api: openai.OpenAI) -> None:
    assert {model.id for model in api.models.list()} == {"tiny@f32", "tiny@hf", "bare@f32"}
    assert api.models.retrieve("tiny@f32").id == "tiny@f32"


def test_an_unknown_model_and_an_impossible_wish_are_errors_in_openais_shape(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="tiny"):
        api.chat.completions.create(model="nope", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="n must be 1"):
        api.chat.completions.create(model="tiny", messages=HELLO, n=2)
    with pytest.raises(openai.BadRequestError, match="tools"):
        api.chat.completions.create(
            model="tiny",
            messages=HELLO,
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        )


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": -1},
        {"max_tokens": "5"},
        {"max_tokens": True},
        {"max_tokens": 2**63},
        {"temperature": -1},
        {"n": 10**6},
        {"logit_bias": {"1000000000": 1}},
        {"stop": ["x"] * 10_000},
        {"messages": "hi"},
        {"messages": []},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"response_format": {"type": "grammar"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"schema": {"$ref": "https://example.org"}},
            }
        },
        {"top_logprobs": 99, "logprobs": True},
        {"stream": "yes"},
        {"model": None},
        {"model": {"a": 1}},
    ],
    ids=lambda body: str(body)[:50],
)
def test_a_bad_body_is_a_400_with_a_sentence(raw: httpx.Client, body: dict[str, Any]) -> None:
    answer = raw.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO, **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff\xfe{", b'{"max_tokens": NaN}', b"[" * 100_000, b'{"a":' * 50_000, b'"x"'],
    ids=lambda data: repr(data[:12]),
)
def test_a_body_that_is_no_request_is_a_400(raw: httpx.Client, data: bytes) -> None:
    for path in (
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/lathe/generate",
        "/lathe/cancel",
    ):
        assert raw.post(path, content=data).status_code == 400


def test_fields_that_change_nothing_are_ignored(raw: httpx.Client) -> None:
    extra = {"user": "me", "metadata": {}, "store": False, "n_discard": -1, "max_tokens": 2, "temperature": 0}
    assert (
        raw.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO, **extra}).status_code
        == 200
    )


def test_hanging_up_ends_the_generation(
    raw: httpx.Client, engine: EngineClient, wait_until: Callable[..., None]
) -> None:
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 490, "stream": True}
    with raw.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
    wait_until(lambda: engine.status()["in_flight"] == 0, what="the abandoned answer to end")


def test_a_model_that_dies_in_mid_stream_never_says_done(own_engine: Callable[[], EngineClient]) -> None:
    client = own_engine()
    client.load("tiny", {**ONE_THREAD, "context": 8192})
    pid = client.status()["models"][0]["pid"]
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 8000, "stream": True, "temperature": 0}
    lines: list[str] = []
    transport = httpx.HTTPTransport(uds=client.socket)
    with (
        httpx.Client(transport=transport, base_url="http://engine", timeout=20) as http,
        http.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        for line in filter(None, answer.iter_lines()):
            lines.append(line)
            if len(lines) == 3:
                os.kill(pid, signal.SIGKILL)
    assert "crashed" in json.loads(lines[-1].removeprefix("data: "))["error"]["message"]
    assert "data: [DONE]" not in lines
    with official(client) as api, pytest.raises(openai.APIError, match="crashed"):
        stream = api.chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=8000, stream=True, temperature=0
        )
        for number, _ in enumerate(stream):
            if number == 2:
                os.kill(client_pid(client), signal.SIGKILL)


def client_pid(client: EngineClient) -> int:
    """The process of the one loaded model."""
    pid: int = client.status()["models"][0]["pid"]
    return pid
