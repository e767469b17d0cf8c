"""The OpenAI-compatible routes: chat completions, completions, embeddings and models.

What is not understood is refused with a sentence when it would change the answer (tools, images, several choices) and
ignored when it would not (user, metadata), as clients of the official library expect.
"""

from __future__ import annotations

import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.engine.http import ClientLeft, LiveStream, body_of, error_body, sentences, unless_left
from app.engine.hub import Call, Hub
from app.engine.request import (
    Request,
    Sampling,
    fail,
    number,
    parse_messages,
    parse_schema,
    parse_stops,
    whole,
    whole_text,
)
from store import models as stored_models
from store.errors import LatheError

DEFAULT_MAX_TOKENS = 512
MAX_INPUTS = 2048
REFUSED = ("tools", "functions", "audio", "logit_bias", "prediction", "suffix", "web_search_options")


def openai_routes(hub: Hub) -> list[Route]:
    """The routes below /v1, served by `hub`."""
    api = OpenAiApi(hub)
    return [
        Route("/v1/chat/completions", sentences(api.chat), methods=["POST"]),
        Route("/v1/completions", sentences(api.completions), methods=["POST"]),
        Route("/v1/embeddings", sentences(api.embeddings), methods=["POST"]),
        Route("/v1/models", sentences(api.models)),
        Route("/v1/models/{ref:path}", sentences(api.model)),
    ]


class OpenAiApi:
    """Translates OpenAI's bodies to requests of the engine, and its events back."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def chat(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        wanted = chat_request(body)
        shape = ChatShape(wanted, body)
        return await self._serve(request, wanted, shape, bool(body.get("stream")))

    async def completions(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        wanted = completion_request(body)
        return await self._serve(request, wanted, CompletionShape(wanted, body), bool(body.get("stream")))

    async def _serve(self, request: HttpRequest, wanted: Request, shape: Shape, stream: bool) -> Response:
        # Loading before the first byte gives its trouble a status of its own instead of a broken stream.
        await self.hub.loaded(wanted.model)
        if stream:
            return LiveStream(self._stream(wanted, shape), "text/event-stream")
        call = await self.hub.submit([wanted])
        try:
            event = await unless_left(request.receive, _last(call))
        except ClientLeft:
            return Response(status_code=499)
        finally:
            self.hub.close(call)
        if event["event"] == "error":
            raise LatheError(event["error"])
        return JSONResponse(shape.whole(event))

    async def _stream(self, wanted: Request, shape: Shape) -> AsyncGenerator[bytes, None]:
        call: Call | None = None
        try:
            call = await self.hub.submit([wanted])
            yield _sse(shape.first())
            sent = thought = 0
            while True:
                event = await call.events.get()
                if event["event"] == "error":
                    # No [DONE]: a client must be able to tell a broken answer from a complete one.
                    yield _sse(error_body(LatheError(event["error"])))
                    return
                if event["event"] == "delta":
                    text, thinking = event["text"], event["thinking"]
                    sent, thought = sent + len(text), thought + len(thinking)
                    if text or thinking:
                        yield _sse(shape.delta(text, thinking))
                elif event["event"] == "done":
                    yield _sse(shape.delta(event["text"][sent:], event["thinking"][thought:], event))
                    yield _sse(shape.last(event))
                    if shape.with_usage:
                        yield _sse(shape.usage_chunk(event))
                    yield b"data: [DONE]\n\n"
                    return
        finally:
            if call is not None:
                self.hub.close(call)

    async def embeddings(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        texts = body.get("input")
        if isinstance(texts, str):
            texts = [texts]
        if (
            not isinstance(texts, list)
            or not texts
            or not all(isinstance(text, str) and text for text in texts)
        ):
            fail("input must be a text or a list of texts, none of them empty.")
        if len(texts) > MAX_INPUTS:
            fail(f"input holds {len(texts)} texts; at most {MAX_INPUTS} are taken.")
        model = await self.hub.loaded(_model(body))
        found = await model.ask("embed", texts=[whole_text(text) for text in texts])
        base64 = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if base64 else vector}
            for index, vector in enumerate(found["vectors"])
        ]
        usage = {"prompt_tokens": found["tokens"], "total_tokens": found["tokens"]}
        return JSONResponse({"object": "list", "model": _model(body), "data": data, "usage": usage})

    async def models(self, _request: HttpRequest) -> Response:
        found: list[dict[str, Any]] = []
        after: str | None = None
        while page := stored_models.list_models(self.hub.store, limit=200, after=after):
            for model in page:
                found += [
                    _card(version) for version in stored_models.model_versions(self.hub.store, model.name)
                ]
            after = page[-1].name
        return JSONResponse({"object": "list", "data": found})

    async def model(self, request: HttpRequest) -> Response:
        return JSONResponse(_card(stored_models.model_version(self.hub.store, request.path_params["ref"])))


class Shape(ABC):
    """How the events of one answer look to an OpenAI client."""

    object = chunk_object = ""
    prefix = ""

    def __init__(self, request: Request, body: Mapping[str, Any]) -> None:
        self.request = request
        options = body.get("stream_options")
        self.with_usage = isinstance(options, dict) and options.get("include_usage") is True
        self.base = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": request.model,
        }

    @abstractmethod
    def first(self) -> dict[str, Any]: ...

    @abstractmethod
    def delta(self, text: str, thinking: str, event: Mapping[str, Any] | None = None) -> dict[str, Any]: ...

    @abstractmethod
    def last(self, event: Mapping[str, Any]) -> dict[str, Any]: ...

    @abstractmethod
    def whole(self, event: Mapping[str, Any]) -> dict[str, Any]: ...

    def usage_chunk(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.base, "object": self.chunk_object, "choices": [], "usage": _usage(event)}

    def chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**self.base, "object": self.chunk_object, "choices": [{"index": 0, **choice}]}


class ChatShape(Shape):
    """`/v1/chat/completions`; thinking goes to `reasoning_content`, as other local servers have it."""

    object, chunk_object, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def first(self) -> dict[str, Any]:
        return self.chunk(
            {"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        )

    def delta(self, text: str, thinking: str, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        delta: dict[str, Any] = {"content": text}
        if thinking:
            delta["reasoning_content"] = thinking
        return self.chunk({"delta": delta, "logprobs": self._logprobs(event), "finish_reason": None})

    def last(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return self.chunk({"delta": {}, "logprobs": None, "finish_reason": _reason(event)})

    def whole(self, event: Mapping[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": event["text"], "refusal": None}
        if event["thinking"]:
            message["reasoning_content"] = event["thinking"]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(event),
            "finish_reason": _reason(event),
        }
        return {
            **self.base,
            "object": self.object,
            "choices": [choice],
            "usage": _usage(event),
            **_timings(event),
        }

    def _logprobs(self, event: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if event is None or not event.get("logprobs"):
            return None
        return {
            "content": [
                {
                    **_token(item["token"], item["logprob"]),
                    "top_logprobs": [_token(token, logprob) for token, logprob in item["top"]],
                }
                for item in event["logprobs"]
            ],
            "refusal": None,
        }


class CompletionShape(Shape):
    """`/v1/completions`, for plain prompts."""

    object, chunk_object, prefix = "text_completion", "text_completion", "cmpl"

    def first(self) -> dict[str, Any]:
        return self.chunk({"text": "", "logprobs": None, "finish_reason": None})

    def delta(self, text: str, thinking: str, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self.chunk({"text": text, "logprobs": self._logprobs(event), "finish_reason": None})

    def last(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return self.chunk({"text": "", "logprobs": None, "finish_reason": _reason(event)})

    def whole(self, event: Mapping[str, Any]) -> dict[str, Any]:
        choice = {
            "index": 0,
            "text": event["text"],
            "logprobs": self._logprobs(event),
            "finish_reason": _reason(event),
        }
        return {
            **self.base,
            "object": self.object,
            "choices": [choice],
            "usage": _usage(event),
            **_timings(event),
        }

    def _logprobs(self, event: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if event is None or not event.get("logprobs"):
            return None
        items = event["logprobs"]
        offsets, at = [], 0
        for item in items:
            offsets.append(at)
            at += len(item["token"])
        return {
            "tokens": [item["token"] for item in items],
            "token_logprobs": [item["logprob"] for item in items],
            "top_logprobs": [dict(item["top"]) for item in items],
            "text_offset": offsets,
        }


def chat_request(body: Mapping[str, Any]) -> Request:
    """A chat completion's body as a request; BadInput for what would change the answer and is not understood."""
    _refuse_unknown(body)
    logprobs = 0
    if body.get("logprobs"):
        logprobs = max(1, whole(body.get("top_logprobs") or 0, "top_logprobs", 0, 20))
    kwargs = body.get("chat_template_kwargs")
    thinking = kwargs.get("enable_thinking") if isinstance(kwargs, dict) else None
    return Request(
        id="chat",
        model=_model(body),
        messages=parse_messages(body.get("messages"), "messages"),
        prompt=None,
        sampling=_sampling(body),
        json_schema=_schema(body.get("response_format")),
        thinking=thinking if isinstance(thinking, bool) else None,
        logprobs=logprobs,
        priority="interactive",
        stream=bool(body.get("stream")),
    )


def completion_request(body: Mapping[str, Any]) -> Request:
    """A plain completion's body as a request."""
    _refuse_unknown(body)
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        fail("prompt must be one text.")
    if body.get("echo") or (body.get("best_of") or 1) != 1:
        fail("echo and best_of are not supported.")
    return Request(
        id="completion",
        model=_model(body),
        messages=None,
        prompt=whole_text(prompt),
        sampling=_sampling(body),
        json_schema=_schema(body.get("response_format")),
        logprobs=whole(body.get("logprobs") or 0, "logprobs", 0, 20),
        priority="interactive",
        stream=bool(body.get("stream")),
    )


def _refuse_unknown(body: Mapping[str, Any]) -> None:
    for field in REFUSED:
        if body.get(field):
            fail(f"{field} is not supported here.")
    if body.get("n") not in (None, 1):
        fail("n must be 1: ask again for another answer.")
    for field in ("frequency_penalty", "presence_penalty"):
        if number(body.get(field) or 0, field, -2, 2) != 0:
            fail(f"{field} is not supported here; repeat_penalty is.")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        fail("stream must be true or false.")


def _sampling(body: Mapping[str, Any]) -> Sampling:
    limit = body.get("max_completion_tokens")
    limit = body.get("max_tokens") if limit is None else limit
    seed = body.get("seed")
    return Sampling(
        temperature=number(_or(body.get("temperature"), 1.0), "temperature", 0, 10),
        top_k=whole(_or(body.get("top_k"), 0), "top_k", 0, 1_000_000),
        top_p=number(_or(body.get("top_p"), 1.0), "top_p", 0, 1),
        min_p=number(_or(body.get("min_p"), 0.0), "min_p", 0, 1),
        seed=None if seed is None else whole(seed, "seed", -(2**63), 2**63 - 1) % 2**63,
        repeat_penalty=number(_or(body.get("repeat_penalty"), 1.0), "repeat_penalty", 0.01, 10),
        max_tokens=whole(_or(limit, DEFAULT_MAX_TOKENS), "max_tokens", 1, 1_000_000),
        stop=parse_stops(_or(body.get("stop"), [])),
    )


def _schema(response_format: object) -> Mapping[str, Any] | None:
    if response_format is None:
        return None
    given = response_format if isinstance(response_format, dict) else {}
    inner = given.get("json_schema")
    if given.get("type") == "json_schema" and isinstance(inner, dict):
        return parse_schema(inner.get("schema") or {})
    if given.get("type") not in ("text", "json_object"):
        fail("response_format must be text, json_object, or json_schema with a schema.")
    return {"type": "object"} if given["type"] == "json_object" else None


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not 1 <= len(model) <= 300:
        fail("model must be the reference of a registered model, for example starter@q8_0.")
    return model


def _or(value: object, default: object) -> object:
    return default if value is None else value


async def _last(call: Call) -> dict[str, Any]:
    while (event := await call.events.get())["event"] not in ("done", "error"):
        pass
    return event


def _reason(event: Mapping[str, Any]) -> str:
    """OpenAI knows two of our reasons; an answer that ran into the context's end was cut off by length."""
    return "length" if event["finish_reason"] in ("length", "context_overflow") else "stop"


def _usage(event: Mapping[str, Any]) -> dict[str, Any]:
    prompt, completion = event["prompt_tokens"], event["completion_tokens"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": event["cached_tokens"]},
    }


def _timings(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"lathe": {"finish_reason": event["finish_reason"], "timings": event["timings"]}}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8"))}


def _card(version: stored_models.ModelVersion) -> dict[str, Any]:
    from datetime import datetime

    created = int(datetime.fromisoformat(version.created_at).timestamp())
    return {"id": version.ref, "object": "model", "created": created, "owned_by": "local"}


def _packed(vector: list[float]) -> str:
    import base64
    import struct

    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def _sse(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
