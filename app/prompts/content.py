"""What a prompt version holds: messages, few-shot examples, sampling settings and how its answers are
read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.prompts.normalise import Normalisation
from store.errors import BadInput

Role = Literal["system", "user", "assistant"]
MAX_TEXT = 4_000_000
"""Characters of one message: ten novels; more is a mistake, not a prompt."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Message(_Part):
    """One message of a conversation; `content` of a prompt's own messages is a Jinja template."""

    role: Role
    content: str = Field(max_length=MAX_TEXT)

    @field_validator("content", mode="before")
    @classmethod
    def _text_only(cls, content: object) -> object:
        if isinstance(content, list):
            return _joined_text_parts(content)
        return content


class Example(_Part):
    """One few-shot example, word for word (no template).

    `source` is the `asked_hash` of the case it was made from: the example is left out when that case,
    or its
    duplicate, is the one being tested.
    """

    user: str = Field(max_length=MAX_TEXT)
    assistant: str = Field(max_length=MAX_TEXT)
    source: str | None = None


class Nearest(_Part):
    """Few-shot examples picked for every case anew: the `count` most similar answered cases of a fixed case
    set."""

    cases: str
    """A reference to one version, such as `tickets@2`: it must not move under a saved prompt."""
    count: int = Field(default=3, ge=1, le=50)


class Sampling(_Part):
    """How the model picks tokens. Temperature 0 is greedy: the same prompt gives the same answer."""

    temperature: float = Field(default=0.0, ge=0, le=10)
    top_k: int = Field(default=40, ge=0, le=1_000_000)
    top_p: float = Field(default=0.95, gt=0, le=1)
    min_p: float = Field(default=0.05, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    repeat_penalty: float = Field(default=1.0, gt=0, le=10)
    max_tokens: int = Field(default=256, ge=1, le=1_000_000)
    stop: tuple[str, ...] = Field(default=(), max_length=16)

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, stop: object) -> object:
        return (stop,) if isinstance(stop, str) else stop

    @field_validator("stop")
    @classmethod
    def _no_empty_stop(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if any(text == "" for text in stop):
            raise ValueError("a stop text must not be empty: it would end every answer at once")
        return stop


class PromptContent(_Part):
    """Everything of a prompt version that can change an answer or how it is read; frozen, so two runs mean
    the same."""

    messages: tuple[Message, ...] = Field(min_length=1, max_length=1000)
    few_shot: tuple[Example, ...] = Field(default=(), max_length=1000)
    nearest: Nearest | None = None
    sampling: Sampling = Sampling()
    json_schema: dict[str, Any] | None = None
    thinking: bool | None = None
    """Switch the model's thinking on or off where its template allows; None leaves it to the model."""
    normalise: Normalisation = Normalisation()
    notes: str = ""

    @model_validator(mode="after")
    def _something_to_answer(self) -> PromptContent:
        if self.messages[-1].role == "assistant":
            raise ValueError(
                "the last message is the assistant's: there is nothing left to answer. End with a user "
                "message"
            )
        return self


def parse_content(value: object, where: str = "the prompt") -> PromptContent:
    """Validate a prompt's content from JSON-like data; a plain string is one user message.

    Raises BadInput with one sentence that names every bad field.
    """
    if isinstance(value, PromptContent):
        return value
    if isinstance(value, str):
        value = {"messages": [{"role": "user", "content": value}]}
    elif isinstance(value, list):
        value = {"messages": value}
    try:
        return PromptContent.model_validate(value)
    except ValidationError as error:
        raise BadInput(f"{where[:1].upper()}{where[1:]} cannot be used: {field_sentences(error)}.") from None


def content_data(content: PromptContent) -> dict[str, Any]:
    """The content as the JSON that the store keeps: every field written out, so that defaults can change
    later."""
    return content.model_dump(mode="json")


def field_sentences(error: ValidationError, limit: int = 5) -> str:
    """The problems of a pydantic error as `field: reason; field: reason`, without its links and inputs."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        path = ".".join(str(part) for part in problem["loc"])
        reason = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
        found.append(f"{path}: {reason}" if path else reason)
    more = f"; and {len(found) - limit} more" if len(found) > limit else ""
    return "; ".join(found[:limit]) + more


def _joined_text_parts(parts: Iterable[object]) -> str:
    texts = []
    for part in parts:
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
            continue
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        raise ValueError(
            f"only text can be sent to the model here; a part of type {kind!r} (images too) is left out"
        )
    return "\n".join(texts)
