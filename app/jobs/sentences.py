"""What pydantic found wrong, as a sentence for the person who typed the value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from app.jobs.fields import Leaf

WIDEST_QUOTE = 60

_SAYS: dict[str, str] = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "may have at most {max_length} characters",
    "too_short": "needs at least {min_length}",
    "too_long": "may have at most {max_length}",
    "string_pattern_mismatch": "must look like {pattern}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be yes or no",
    "bool_type": "must be yes or no",
    "string_type": "must be text",
    "dict_type": "must be an object of keys and values",
    "model_type": "must be an object of keys and values",
    "list_type": "must be a list",
}
_ABOUT_LENGTH = ("too_short", "too_long", "string_too_short", "string_too_long")


def field_sentence(problem: ErrorDetails, path: str, known: Mapping[str, Leaf]) -> str:
    """One sentence on what is wrong at `path` and what would be right."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        leaf = known.get(path)
        about = (leaf.info.description or "").rstrip(".") if leaf else ""
        return f"is needed: {about[:1].lower()}{about[1:]}." if about else "is needed."
    if kind == "extra_forbidden":
        return unknown_field(path, known)
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", problem["msg"]))
    context = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
    said = _SAYS[kind].format(**context) if kind in _SAYS else problem["msg"]
    if problem["input"] is None or kind in _ABOUT_LENGTH:
        return f"{said}."
    return f"{said}, not {quoted(problem['input'])}."


def unknown_field(name: str, known: Iterable[str]) -> str:
    """The sentence for a field that is not there, with the nearest ones that are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    if near:
        return f"is no field here. Did you mean {' or '.join(near)}?"
    return (
        f"is no field here. There are: {', '.join(known)}." if known else "is no field here: there are none."
    )


def quoted(value: Any) -> str:
    """The value in quotes, cut where it would fill the line."""
    text = str(value)
    return f'"{text[:WIDEST_QUOTE]}…"' if len(text) > WIDEST_QUOTE else f'"{text}"'
