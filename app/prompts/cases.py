"""A test case: variables (or a conversation), the expected answer, checks, tags and its side of the split.

A case set is a dataset with the role `cases`. Its version's meta may hold `checks`, the defaults for cases
without
their own, and `variables`, the names that its cases fill in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.prompts.checks import Check
from app.prompts.content import Message, field_sentences
from store.errors import BadInput
from store.hashing import canonical, content_hash

Split = Literal["tune", "held_out"]
HELD_OUT_SHARE = 0.25
MAX_CASE_BYTES = 4_000_000
RESERVED = ("variables", "vars", "messages", "expected", "checks", "tags", "split", "name")
"""Keys of a case that are not variables of the prompt."""


class Case(BaseModel):
    """One test case, checked; `case_data` is how the store keeps it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variables: dict[str, Any] = Field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    """The conversation so far, word for word; it goes before the prompt's last user message."""
    expected: Any = None
    checks: tuple[Check, ...] = ()
    tags: tuple[str, ...] = ()
    split: Split = "tune"
    name: str | None = None

    @field_validator("tags", mode="before")
    @classmethod
    def _one_or_many(cls, tags: object) -> object:
        return split_tags(tags) if isinstance(tags, str) else tags

    @model_validator(mode="after")
    def _asks_something(self) -> Case:
        if not self.variables and not self.messages:
            raise ValueError("a case needs at least one variable or message")
        return self


def case_data(case: Case) -> dict[str, Any]:
    """The case as the JSON of a row: the fixed keys always, `messages` and `name` only where there are
    any."""
    data: dict[str, Any] = {
        "variables": case.variables,
        "expected": case.expected,
        "checks": [
            check.model_dump(mode="json", by_alias=True, exclude_defaults=True) for check in case.checks
        ],
        "tags": list(case.tags),
        "split": case.split,
    }
    if case.messages:
        data["messages"] = [message.model_dump() for message in case.messages]
    if case.name:
        data["name"] = case.name
    return data


def parse_case(row: object, *, held_out: float = HELD_OUT_SHARE, expected_key: str = "expected") -> Case:
    """A case from one JSON object: `{"variables": {…}, "expected": …}` or flat, where other keys are
    variables.

    A conversation that ends with the assistant and has no expected answer expects that last message. Without
    `split`
    the row's own hash decides (see `split_of`). Raises BadInput with a sentence part that says what is wrong.
    """
    if not isinstance(row, dict):
        raise BadInput(f"a case must be an object with variables, not {type(row).__name__}")
    fields: dict[str, Any] = {
        key: row[key] for key in ("checks", "tags", "split", "name") if row.get(key) is not None
    }
    fields["expected"] = row.get(expected_key)
    inner = row.get("variables", row.get("vars"))
    if isinstance(inner, dict):
        unknown = [str(key) for key in row if key not in RESERVED and key != expected_key]
        if unknown:
            raise BadInput(f"it has variables and also the unknown keys {', '.join(unknown[:5])}")
        fields["variables"] = inner
    else:
        fields["variables"] = {
            str(key): value
            for key, value in row.items()
            if key != expected_key
            and (key not in RESERVED or (key in ("variables", "vars") and value is not None))
        }
        if expected_key != "expected" and "expected" in row:
            fields["variables"]["expected"] = row["expected"]
    messages = row.get("messages") or ()
    if isinstance(messages, list) and messages and fields["expected"] is None:
        last = messages[-1]
        if isinstance(last, dict) and last.get("role") == "assistant" and len(messages) > 1:
            messages, fields["expected"] = messages[:-1], last.get("content")
    fields["messages"] = messages
    if "split" not in fields:
        fields["split"] = split_of(fields["variables"], messages, held_out)
    try:
        case = Case.model_validate(fields)
    except ValidationError as error:
        raise BadInput(field_sentences(error, 3)) from None
    try:
        size = len(canonical(case_data(case)))
    except (RecursionError, ValueError, TypeError) as error:
        raise BadInput(f"it cannot be kept: {error}") from None
    if size > MAX_CASE_BYTES:
        raise BadInput(f"it has {size:,} bytes; at most {MAX_CASE_BYTES:,} fit into a case")
    return case


def split_of(variables: Mapping[str, Any], messages: object, held_out: float) -> Split:
    """Which side a case is on: decided by the hash of what it asks, so that duplicates are never on both
    sides."""
    digest = content_hash({"variables": variables, "messages": messages or []})
    return "held_out" if int(digest[:8], 16) / 0x1_0000_0000 < held_out else "tune"


def split_tags(text: str) -> list[str]:
    """Tags typed as one text: separated by commas or semicolons."""
    return [tag.strip() for tag in text.replace(";", ",").split(",") if tag.strip()]


def parse_default_checks(value: object) -> tuple[Check, ...]:
    """The default checks of a case set from JSON-like data. Raises BadInput with a sentence."""
    if not value:
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    checks = []
    for number, item in enumerate(items, 1):
        try:
            checks.append(item if isinstance(item, Check) else Check.model_validate(item))
        except ValidationError as error:
            raise BadInput(f"Check {number} cannot be used: {field_sentences(error)}.") from None
    return tuple(checks)


def default_checks(meta: Mapping[str, Any]) -> tuple[Check, ...]:
    """The default checks that a case set's version holds in its meta."""
    return parse_default_checks(meta.get("checks"))
