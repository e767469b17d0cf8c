"""What may be asked of a model: a validated request, or a sentence that says which field is wrong.

`parse_request` is the only place that reads a request; the parent runs it for its callers and the model process runs
it again on what it is handed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from store.errors import BadInput

MAX_TEXT = 8 * 1024 * 1024  # characters of all messages together
MAX_MESSAGES = 2000
MAX_STOPS = 16
MAX_STOP_LENGTH = 256
MAX_LOGPROBS = 20
MAX_SCHEMA_TEXT = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_NAME = 300
MAX_TOKENS = 1_000_000

Priority = Literal["interactive", "bulk"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user, assistant or tool."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; temperature 0 is greedy, `top_k` 0 and `top_p` 1 switch the filter off."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    repeat_penalty: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One generation; exactly one of `messages` (rendered by the chat template) and `prompt` (as it is) is set."""

    id: str
    model: str
    messages: tuple[Message, ...] | None
    prompt: str | None
    sampling: Sampling = Sampling()
    json_schema: Mapping[str, Any] | None = None
    thinking: bool | None = None
    logprobs: int = 0
    priority: Priority = "bulk"
    tag: str = ""
    shared_prefix: tuple[Message, ...] | None = None
    template: str | None = None
    want_rendered: bool = False
    stream: bool = False


FIELDS = frozenset(Request.__dataclass_fields__)
SAMPLING_FIELDS = frozenset(Sampling.__dataclass_fields__)


def parse_request(value: object) -> Request:
    """Validate one request; a BadInput sentence names the field that is wrong."""
    body = _object(value, "a request")
    unknown = sorted(set(body) - FIELDS)
    if unknown:
        fail(f"A request has no field {unknown[0]!r}; it may have {', '.join(sorted(FIELDS))}.")
    messages = None if body.get("messages") is None else parse_messages(body["messages"], "messages")
    prompt = None if body.get("prompt") is None else _text(body["prompt"], "prompt")
    if (messages is None) == (prompt is None):
        fail("A request needs either messages or a prompt, not both and not neither.")
    prefix = body.get("shared_prefix")
    priority = body.get("priority", "bulk")
    if priority not in ("interactive", "bulk"):
        fail('priority must be "interactive" or "bulk".')
    return Request(
        id=_name(body.get("id"), "id"),
        model=_name(body.get("model"), "model"),
        messages=messages,
        prompt=prompt,
        sampling=parse_sampling(body.get("sampling")),
        json_schema=parse_schema(body.get("json_schema")),
        thinking=_flag(body.get("thinking"), "thinking"),
        logprobs=whole(body.get("logprobs") or 0, "logprobs", 0, MAX_LOGPROBS),
        priority=priority,
        tag=_name(body.get("tag") or "", "tag", empty=True),
        shared_prefix=None if prefix is None else parse_messages(prefix, "shared_prefix"),
        template=None if body.get("template") is None else _name(body["template"], "template"),
        want_rendered=bool(_flag(body.get("want_rendered"), "want_rendered")),
        stream=bool(_flag(body.get("stream"), "stream")),
    )


def parse_messages(value: object, field: str) -> tuple[Message, ...]:
    """Validate a list of messages; text parts are joined, an image or sound part is refused with a sentence."""
    if not isinstance(value, list) or not value:
        fail(f"{field} must be a list of at least one message.")
    if len(value) > MAX_MESSAGES:
        fail(f"{field} holds {len(value)} messages; at most {MAX_MESSAGES} are taken.")
    messages = []
    total = 0
    for index, item in enumerate(value):
        where = f"{field}[{index}]"
        body = _object(item, where)
        role = body.get("role")
        if role == "developer":
            role = "system"
        if role not in ("system", "user", "assistant", "tool"):
            fail(f"{where}.role must be system, user, assistant or tool.")
        content = _content(body.get("content"), where)
        total += len(content)
        messages.append(Message(str(role), content))
    if total > MAX_TEXT:
        fail(f"{field} holds {total} characters; at most {MAX_TEXT} are taken.")
    return tuple(messages)


def parse_sampling(value: object) -> Sampling:
    """Validate sampling settings; a missing or null field means its default."""
    if value is None:
        return Sampling()
    body = _object(value, "sampling")
    unknown = sorted(set(body) - SAMPLING_FIELDS)
    if unknown:
        fail(f"sampling has no field {unknown[0]!r}; it may have {', '.join(sorted(SAMPLING_FIELDS))}.")
    given = {key: item for key, item in body.items() if item is not None}
    seed = given.get("seed")
    return Sampling(
        temperature=number(given.get("temperature", 0.0), "temperature", 0, 10),
        top_k=whole(given.get("top_k", 0), "top_k", 0, 1_000_000),
        top_p=number(given.get("top_p", 1.0), "top_p", 0, 1),
        min_p=number(given.get("min_p", 0.0), "min_p", 0, 1),
        seed=None if seed is None else whole(seed, "seed", 0, 2**63 - 1),
        repeat_penalty=number(given.get("repeat_penalty", 1.0), "repeat_penalty", 0.01, 10),
        max_tokens=whole(given.get("max_tokens", 256), "max_tokens", 1, MAX_TOKENS),
        stop=parse_stops(given.get("stop", [])),
    )


def parse_stops(value: object) -> tuple[str, ...]:
    """Validate stop strings: one string or a list of at most 16, each 1 to 256 characters."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or len(value) > MAX_STOPS:
        fail(f"stop must be a string or a list of at most {MAX_STOPS} strings.")
    for index, item in enumerate(value):
        if not isinstance(item, str) or not 1 <= len(item) <= MAX_STOP_LENGTH:
            fail(f"stop[{index}] must be a string of 1 to {MAX_STOP_LENGTH} characters.")
    return tuple(value)


def parse_schema(value: object) -> Mapping[str, Any] | None:
    """Validate a JSON schema's size and shape; references may only point into the schema itself."""
    if value is None:
        return None
    body = _object(value, "json_schema")
    _check_depth(body, "json_schema", MAX_SCHEMA_DEPTH)
    try:
        size = len(json.dumps(body, allow_nan=False))
    except ValueError:
        fail("json_schema holds a number that JSON does not have.")
    if size > MAX_SCHEMA_TEXT:
        fail(f"json_schema is {size} characters long; at most {MAX_SCHEMA_TEXT} are taken.")
    return body


def whole(value: object, field: str, low: int, high: int) -> int:
    """An integer between `low` and `high`; a float with no fraction counts, a bool or a string does not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        fail(f"{field} must be a whole number from {low} to {high}.")
    return value


def number(value: object, field: str, low: float, high: float) -> float:
    """A finite number between `low` and `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        fail(f"{field} must be a number from {low:g} to {high:g}.")
    if not math.isfinite(value) or not low <= value <= high:
        fail(f"{field} must be a number from {low:g} to {high:g}.")
    return float(value)


def load_json(data: bytes) -> Any:
    """Parse a request body; a BadInput sentence for text that is not JSON, NaN, or nesting deeper than Python's."""
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        fail("The request body is not UTF-8 text.")
    except RecursionError:
        fail("The request body is nested too deeply.")
    except ValueError as error:
        fail(f"The request body is not valid JSON: {error}.")


def fail(sentence: str) -> NoReturn:
    """Refuse what was asked with a sentence for the user."""
    raise BadInput(sentence)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        fail(f"{field} must be a JSON object.")
    return value


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        fail(f"{field} must be text.")
    if len(value) > MAX_TEXT:
        fail(f"{field} holds {len(value)} characters; at most {MAX_TEXT} are taken.")
    return whole_text(value)


def whole_text(value: str) -> str:
    """Text with every lone surrogate replaced by U+FFFD: neither UTF-8 nor a tokenizer can hold one."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _name(value: object, field: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME or not (value or empty):
        fail(f"{field} must be a text of {0 if empty else 1} to {MAX_NAME} characters.")
    return value


def _flag(value: object, field: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        fail(f"{field} must be true or false.")
    return value


def _content(value: object, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return whole_text(value)
    if not isinstance(value, list):
        fail(f"{where}.content must be text or a list of text parts.")
    parts = []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            fail(f"{where}.content holds a part of type {str(kind)[:40]!r}; only text is understood here.")
        parts.append(whole_text(part["text"]))
    return "".join(parts)


def _check_depth(value: object, field: str, room: int) -> None:
    if room == 0:
        fail(f"{field} is nested more than {MAX_SCHEMA_DEPTH} levels deep.")
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            fail(
                f"{field} refers to {reference[:80]!r}; only references into the schema itself are followed."
            )
        for item in value.values():
            _check_depth(item, field, room - 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, field, room - 1)
