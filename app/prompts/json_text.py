"""Reading JSON that somebody else wrote: a model, or a file. Every bomb ends in a sentence, never in a
crash."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

MAX_JSON_CHARACTERS = 5_000_000


class NotJson(ValueError):
    """The text is not JSON that can be used; the message is a sentence part that says where and why."""


def read_json(text: str, limit: int = MAX_JSON_CHARACTERS, *, unique_keys: bool = False) -> Any:
    """Parse one JSON value. Raises NotJson for bad syntax, NaN, numbers and nesting beyond any use, and
    sheer size; with `unique_keys` also for a key given twice, of which one value would be lost."""
    if len(text) > limit:
        raise NotJson(f"it has {len(text):,} characters; at most {limit:,} are read")
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_each_key_once if unique_keys else None,
        )
    except NotJson:
        raise
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg.lower()} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError:
        raise NotJson("it holds a number with too many digits") from None


def schema_problem(schema: Any) -> str:
    """Why `schema` is not a usable JSON schema, as a sentence part; empty when it is one."""
    if not isinstance(schema, dict | bool):
        return "json_schema needs a schema (a JSON object) as its value"
    import jsonschema

    try:
        jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator).check_schema(
            schema
        )
    except jsonschema.SchemaError as error:
        return f"the schema is not valid: {str(error.message)[:200]}"
    except RecursionError:
        return "the schema is nested too deeply"
    return ""


def schema_violation(value: Any, schema: Any) -> str:
    """The first way in which `value` breaks `schema`, as a sentence part; empty when it fits.

    References to other files or addresses are not followed (nothing is fetched), and patterns run with a
    time limit:
    raises TimeoutError when one takes too long.
    """
    import jsonschema
    import referencing
    import referencing.exceptions

    base = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    validator = jsonschema.validators.extend(base, {"pattern": _pattern_with_a_time_limit})
    try:
        error = jsonschema.exceptions.best_match(
            validator(schema, registry=referencing.Registry()).iter_errors(value)
        )
    except referencing.exceptions.Unresolvable as unresolvable:
        return f"the schema refers to {str(unresolvable.ref)[:100]}, which is not in it and is not fetched"
    if error is None:
        return ""
    path = ".".join(str(step) for step in error.absolute_path)
    return f"{path + ': ' if path else ''}{str(error.message)[:200]}"


def _pattern_with_a_time_limit(validator: Any, pattern: str, instance: Any, schema: Any) -> Any:
    import jsonschema
    import regex

    from app.prompts.normalise import PATTERN_SECONDS

    if isinstance(instance, str) and not regex.search(pattern, instance, timeout=PATTERN_SECONDS):
        yield jsonschema.ValidationError(f"{instance[:60]!r} does not match {pattern!r}")


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not a JSON value")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise NotJson(f"the key {twice[:60]!r} is given twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotJson(f"the number {text[:20]} is too large")
    return number
