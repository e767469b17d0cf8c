"""Checks as people type them, one value in one field, and back. No JSON except where a schema is asked for."""

import json
from typing import Any

from store.errors import BadInput

KINDS: tuple[tuple[str, str], ...] = (
    ("equals", "the answer"),
    ("contains", "a text in it"),
    ("regex", "a pattern"),
    ("starts_with", "its beginning"),
    ("ends_with", "its end"),
    ("one_of", "answers, by commas"),
    ("numeric_within", "12.5 ± 0.1"),
    ("valid_json", "needs no value"),
    ("json_schema", "a JSON schema"),
    ("json_field_equals", "field.name = value"),
    ("max_length", "characters"),
)
"""Every kind with what its value field asks for; an empty field means the expected answer."""


def value_text(kind: str, value: Any) -> str:
    """The value of a check as one editable text."""
    if value is None:
        return ""
    if kind == "one_of" and isinstance(value, list) and not any("," in str(item) for item in value):
        return ", ".join(item if isinstance(item, str) else json.dumps(item) for item in value)
    if kind == "numeric_within":
        if isinstance(value, dict):
            return f"{value.get('target')} ± {value.get('tolerance', 0)}"
        if isinstance(value, list) and len(value) == 2:
            return f"{value[0]} ± {value[1]}"
    if kind == "json_field_equals" and isinstance(value, dict):
        return f"{value.get('path')} = {_plain(value.get('equals'))}"
    return _plain(value)


def text_value(kind: str, text: str) -> Any:
    """The value that a typed text means for a check of this kind; None where it was left empty.

    Raises BadInput with a sentence.
    """
    bare = text.strip()
    if kind == "valid_json" or not bare:
        return None
    if kind == "one_of":
        return _json_or(bare, [part.strip() for part in bare.split(",") if part.strip()], "[")
    if kind == "numeric_within":
        target, _, tolerance = bare.replace("+-", "±").replace("+/-", "±").partition("±")
        try:
            return {"target": float(target), "tolerance": float(tolerance or 0)}
        except ValueError:
            raise BadInput(f"Write a number with its tolerance, such as 12.5 ± 0.1, not {bare!r}.") from None
    if kind == "max_length":
        try:
            return int(bare)
        except ValueError:
            raise BadInput(f"max_length takes a whole number of characters, not {bare!r}.") from None
    if kind == "json_field_equals":
        path, equals, value = bare.partition("=")
        if not equals:
            raise BadInput("Write the field and its value with an equals sign: order.id = 17.")
        return {"path": path.strip(), "equals": _scalar(value.strip())}
    if kind == "json_schema":
        try:
            return json.loads(bare)
        except ValueError as error:
            raise BadInput(f"The schema is not JSON: {error}.") from None
    return text


def variable_text(value: Any) -> str:
    """A variable of any JSON type as an editable text; what is not text is shown as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def variable_value(text: str, original: Any) -> Any:
    """The variable that an edited text means: text stays text, what was JSON is read as JSON again.

    Raises BadInput with a sentence when it is not JSON any more.
    """
    if original is None or isinstance(original, str):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"It was {type(original).__name__} and is not JSON now: {error}.") from None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _scalar(text: str) -> Any:
    """A typed value: numbers, true, false, null and quoted texts are what they look like; the rest is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json_or(text: str, otherwise: Any, start: str) -> Any:
    if not text.startswith(start):
        return otherwise
    try:
        return json.loads(text)
    except ValueError:
        return otherwise
