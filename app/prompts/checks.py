"""What counts as a pass: the only place in Lathe that decides it.

A check looks at the normalised answer (`normalise.py`), never at the thinking of the model. An answer passes
when all
its checks pass; its score is the weighted share of checks that did. An answer that was cut off, a prompt
that did not
fit and a failed request are states of their own: they are not a pass, and they are not called wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.prompts.json_text import NotJson, read_json
from app.prompts.normalise import (
    PATTERN_SECONDS,
    Answer,
    Normalisation,
    comparable,
    normalise,
    pattern_problem,
)

CheckKind = Literal[
    "equals",
    "contains",
    "regex",
    "starts_with",
    "ends_with",
    "one_of",
    "numeric_within",
    "valid_json",
    "json_schema",
    "json_field_equals",
    "max_length",
]
State = Literal["passed", "failed", "cut_off", "overflow", "error", "unscored"]
TEXT_KINDS = ("equals", "contains", "starts_with", "ends_with")

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+]?\.\d+"


class Check(BaseModel):
    """One thing that must hold of an answer.

    `value` by kind: a text (equals, contains, starts_with, ends_with; any JSON for equals), a regular
    expression,
    a list (one_of), `{"target": number, "tolerance": number}` (numeric_within), a schema (json_schema),
    `{"path": "a.b.0", "equals": any}` (json_field_equals), a number of characters (max_length), nothing
    (valid_json).
    Left out, the expected answer of the case is used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: CheckKind
    value: Any = None
    negated: bool = Field(default=False, alias="not")
    weight: float = Field(default=1.0, gt=0, le=1000)
    fold_case: bool = False

    @model_validator(mode="after")
    def _value_fits(self) -> Check:
        problem = _value_problem(self.kind, self.value)
        if problem:
            raise ValueError(problem)
        return self

    @property
    def label(self) -> str:
        """The check in words: `not contains "sorry"`."""
        shown = (
            ""
            if self.kind == "valid_json"
            else " expected"
            if self.value is None
            else f" {_short(self.value)}"
        )
        return f"{'not ' if self.negated else ''}{self.kind}{shown}"


@dataclass(frozen=True)
class CheckResult:
    """What one check found: `passed` is None when it could not be carried out; `why` is a sentence part for
    people."""

    label: str
    passed: bool | None
    why: str
    weight: float = 1.0

    def as_data(self) -> dict[str, object]:
        """The result as JSON-like data, as the store keeps it."""
        return {"label": self.label, "passed": self.passed, "why": self.why, "weight": self.weight}


@dataclass(frozen=True)
class Verdict:
    """How one answer fared.

    `passed` is None where the state is neither passed nor failed. `score` is the weighted share of checks
    that hold;
    0 for an answer that was cut off or did not fit (it counts as not passed in a pass rate, so that a
    version cannot
    win by never ending); None where nothing was asked of the answer, or the request failed.
    """

    state: State
    passed: bool | None
    score: float | None
    results: tuple[CheckResult, ...]
    why: str = ""


def checks_of(case: dict[str, Any], defaults: Sequence[Check] = ()) -> tuple[Check, ...]:
    """The checks that a case goes through: its own, else the case set's, else `equals` its expected answer,
    else none."""
    own = case.get("checks") or ()
    if own:
        return tuple(one if isinstance(one, Check) else Check.model_validate(one) for one in own)
    if defaults:
        return tuple(defaults)
    return (Check(kind="equals"),) if case.get("expected") is not None else ()


def judge(
    text: str,
    checks: Sequence[Check],
    *,
    expected: Any = None,
    normalisation: Normalisation | None = None,
    finish_reason: str = "stop",
    error: str = "",
) -> Verdict:
    """Decide how one answer fared; `finish_reason` is the engine's. The only function that does."""
    if error or finish_reason in ("error", "cancelled"):
        return Verdict("error", None, None, (), error or f"the request was {finish_reason}")
    unfinished = 0.0 if checks else None
    if finish_reason == "context_overflow":
        return Verdict(
            "overflow", None, unfinished, (), "the prompt and its answer do not fit into the model's context"
        )
    if finish_reason == "length":
        return Verdict(
            "cut_off", None, unfinished, (), "the answer was cut off at max_tokens, so it was not checked"
        )
    if not checks:
        return Verdict("unscored", None, None, (), "this case has no expected answer and no checks")
    how = normalisation or Normalisation()
    answer = normalise(text, how)
    if answer.missing:
        # "not contains X" must not pass because there is no answer at all.
        results = tuple(CheckResult(check.label, False, answer.missing, check.weight) for check in checks)
        return Verdict("failed", False, 0.0, results, answer.missing)
    results = tuple(_run(check, answer, expected, how) for check in checks)
    broken = [result for result in results if result.passed is None]
    if broken:
        return Verdict("error", None, None, results, f"{broken[0].label}: {broken[0].why}")
    passed = all(result.passed for result in results)
    total = sum(result.weight for result in results)
    score = 1.0 if passed else sum(result.weight for result in results if result.passed) / total
    first = next((f"{result.label}: {result.why}" for result in results if not result.passed), "")
    return Verdict("passed" if passed else "failed", passed, score, results, first)


def _run(check: Check, answer: Answer, expected: Any, how: Normalisation) -> CheckResult:
    value = check.value if check.value is not None else expected
    if value is None and check.kind != "valid_json":
        return CheckResult(
            check.label, None, "this case has no expected answer to check against", check.weight
        )
    problem = _value_problem(check.kind, value)
    if problem:
        return CheckResult(check.label, None, problem, check.weight)
    try:
        holds, why = _RUN[check.kind](answer, value, check.fold_case, how)
    except TimeoutError:
        return CheckResult(
            check.label, None, f"the pattern took longer than {PATTERN_SECONDS:g} s", check.weight
        )
    except RecursionError:
        return CheckResult(check.label, None, "the answer or the schema is nested too deeply", check.weight)
    label = (
        check.label
        if check.value is not None or check.kind == "valid_json"
        else f"{check.label} {_short(value)}"
    )
    if check.negated:
        return CheckResult(label, not holds, "it does not" if not holds else f"but {why}", check.weight)
    return CheckResult(label, holds, why, check.weight)


def _fold(text: str, fold_case: bool, how: Normalisation) -> str:
    folded = comparable(text, how)
    return folded.casefold() if fold_case else folded


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _equals(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    structured = value if isinstance(value, dict | list) else _object_in(value)
    if structured is not None:
        try:
            given = read_json(answer.raw)
        except NotJson as error:
            return False, f"the answer is not JSON ({error})"
        same = same_json(given, structured, fold_case or how.case)
        return same, "the same JSON value" if same else f"the JSON differs: {_short(given)}"
    if isinstance(value, int | float) and not isinstance(value, bool) and _whole_number(answer.raw) == value:
        return True, "the same number"
    same = _fold(answer.text, fold_case, how) == _fold(_text(value), fold_case, how)
    return same, "equal" if same else f"the answer is {_short(answer.text)}"


def _contains(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    holds = _fold(_text(value), fold_case, how) in _fold(answer.text, fold_case, how)
    return holds, "it is in the answer" if holds else f"it is not in {_short(answer.text)}"


def _starts_with(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    holds = _fold(answer.text, fold_case, how).startswith(_fold(_text(value), fold_case, how))
    return holds, "it starts so" if holds else f"the answer starts {_short(answer.text[:40])}"


def _ends_with(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    holds = _fold(answer.text, fold_case, how).endswith(_fold(_text(value), fold_case, how))
    return holds, "it ends so" if holds else f"the answer ends {_short(answer.text[-40:])}"


def _regex(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    import regex

    flags = regex.IGNORECASE if fold_case or how.case else 0
    match = regex.search(value, answer.text, flags=flags, timeout=PATTERN_SECONDS)
    return (
        (True, f"it matches {_short(match.group(0))}")
        if match
        else (False, f"no match in {_short(answer.text)}")
    )


def _one_of(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    for choice in value:
        if _equals(answer, choice, fold_case, how)[0]:
            return True, f"it is {_short(choice)}"
    return False, f"the answer is {_short(answer.text)}"


def _numeric_within(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    target, tolerance = _numeric_target(value)
    number = _as_number(answer.raw)
    if number is None:
        return False, f"there is no number in {_short(answer.text)}"
    # A hair of slack: 0.3 is within 0.1 of 0.2 for everybody but binary floating point.
    holds = abs(number - target) <= tolerance + 1e-9 * max(1.0, abs(target))
    return holds, f"the answer's number is {number:g}"


def _valid_json(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    try:
        read_json(answer.raw)
    except NotJson as error:
        return False, str(error)
    return True, "the answer is JSON"


def _json_schema(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    from app.prompts.json_text import schema_violation

    try:
        given = read_json(answer.raw)
    except NotJson as error:
        return False, f"the answer is not JSON ({error})"
    violation = schema_violation(given, value)
    return (False, violation) if violation else (True, "it fits the schema")


def _json_field_equals(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    try:
        found: Any = read_json(answer.raw)
    except NotJson as error:
        return False, f"the answer is not JSON ({error})"
    for step in str(value["path"]).split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return False, f"the answer has no field {value['path']}"
    same = same_json(found, value["equals"], fold_case or how.case)
    return same, "the field is equal" if same else f"the field is {_short(found)}"


def _max_length(answer: Answer, value: Any, fold_case: bool, how: Normalisation) -> tuple[bool, str]:
    return len(answer.text) <= value, f"the answer has {len(answer.text)} characters"


_RUN = {
    "equals": _equals,
    "contains": _contains,
    "regex": _regex,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "one_of": _one_of,
    "numeric_within": _numeric_within,
    "valid_json": _valid_json,
    "json_schema": _json_schema,
    "json_field_equals": _json_field_equals,
    "max_length": _max_length,
}


def same_json(left: Any, right: Any, fold_case: bool = False) -> bool:
    """Whether two parsed JSON values are equal: key order is free, 1 equals 1.0, but true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold() if fold_case else left == right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            same_json(one, other, fold_case) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same_json(left[key], right[key], fold_case) for key in left
        )
    return left is None and right is None


def _object_in(value: Any) -> Any:
    """The JSON object or list that an expected text spells, or None when it is ordinary text."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found = read_json(value)
    except NotJson:
        return None
    return found if isinstance(found, dict | list) else None


def _as_number(text: str) -> float | None:
    """The last number in a text: chains of thought end with their result; thousands may be grouped by
    commas."""
    import regex

    found = regex.findall(_NUMBER, text[-10_000:], timeout=PATTERN_SECONDS)
    if not found:
        return None
    number = float(found[-1].replace(",", ""))
    return number if math.isfinite(number) else None


def _whole_number(text: str) -> float | None:
    """The number that a text is, or None when it is anything else besides."""
    try:
        return float(text.strip())
    except ValueError:
        return None


def _numeric_target(value: Any) -> tuple[float, float]:
    if isinstance(value, dict):
        return float(value["target"]), float(value.get("tolerance", 0.0))
    if isinstance(value, list):
        return float(value[0]), float(value[1])
    return float(value), 0.0


def _value_problem(kind: str, value: Any) -> str:
    """Why `value` cannot be used with a check of this kind, as a sentence part; empty when it can (or is
    left out)."""
    if value is None:
        return ""
    if kind in TEXT_KINDS:
        if kind != "equals" and not isinstance(value, str | int | float):
            return f"{kind} needs a text as its value, not {type(value).__name__}"
        if kind == "contains" and value == "":
            return "contains needs a text that is not empty: every answer contains nothing"
    elif kind == "regex":
        return pattern_problem(value) if isinstance(value, str) else "regex needs a pattern as its value"
    elif kind == "one_of" and not (isinstance(value, list | tuple) and value):
        return "one_of needs a list of answers as its value"
    elif kind == "max_length" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        return "max_length needs a whole number of characters as its value"
    elif kind == "json_schema":
        from app.prompts.json_text import schema_problem

        return schema_problem(value)
    elif kind == "json_field_equals" and not (isinstance(value, dict) and {"path", "equals"} <= value.keys()):
        return 'json_field_equals needs {"path": "a.b", "equals": value}'
    elif kind == "numeric_within":
        try:
            target, tolerance = _numeric_target(value)
        except (TypeError, ValueError, KeyError, IndexError, OverflowError):
            return 'numeric_within needs {"target": number, "tolerance": number}'
        if not math.isfinite(target) or not tolerance >= 0:
            return "numeric_within needs a finite target and a tolerance of 0 or more"
    return ""


def _short(value: Any, limit: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[: limit - 1] + "…"
