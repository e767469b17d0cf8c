"""What counts as a pass: one row per rule, and the states that are neither right nor wrong."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.prompts.checks import Check, checks_of, judge, same_json
from app.prompts.json_text import NotJson, read_json
from app.prompts.normalise import Normalisation, normalise


def verdict(text: str, check: dict[str, Any], expected: Any = None, **how: Any) -> bool | None:
    return judge(
        text, [Check.model_validate(check)], expected=expected, normalisation=Normalisation(**how)
    ).passed


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

PASSES = [
    ("billing", {"kind": "equals", "value": "billing"}),
    ("  billing\n", {"kind": "equals", "value": "billing"}),
    ("Billing", {"kind": "equals", "value": "billing", "fold_case": True}),
    ('{"a": 1, "b": [2]}', {"kind": "equals", "value": {"b": [2.0], "a": 1}}),
    ('{ "a" : 1 }', {"kind": "equals", "value": '{"a":1}'}),
    ("42", {"kind": "equals", "value": 42}),
    ("the bill is due", {"kind": "contains", "value": "bill"}),
    ("order 4711", {"kind": "regex", "value": r"\b\d{4}\b"}),
    ("Answer: x", {"kind": "starts_with", "value": "Answer"}),
    ("it is x.", {"kind": "ends_with", "value": "x."}),
    ("no", {"kind": "one_of", "value": ["yes", "no"]}),
    ("about 1,234.5 in all", {"kind": "numeric_within", "value": {"target": 1234, "tolerance": 1}}),
    ("0.3", {"kind": "numeric_within", "value": [0.2, 0.1]}),
    ("-5", {"kind": "numeric_within", "value": -5}),
    ("[1]", {"kind": "valid_json"}),
    ('{"n": 3}', {"kind": "json_schema", "value": SCHEMA}),
    ('{"a": {"b": ["x"]}}', {"kind": "json_field_equals", "value": {"path": "a.b.0", "equals": "x"}}),
    ("short", {"kind": "max_length", "value": 5}),
]
FAILS = [
    ("billing!", {"kind": "equals", "value": "billing"}),
    ('{"a": true}', {"kind": "equals", "value": {"a": 1}}),
    ("not json", {"kind": "equals", "value": {"a": 1}}),
    ("The answer is 42", {"kind": "equals", "value": 42}),
    ("no number", {"kind": "numeric_within", "value": 5}),
    ("NaN", {"kind": "valid_json"}),
    ('{"n": "3"}', {"kind": "json_schema", "value": SCHEMA}),
    ('{"a": 1}', {"kind": "json_field_equals", "value": {"path": "b", "equals": 1}}),
    ("too long", {"kind": "max_length", "value": 5}),
]


@pytest.mark.parametrize(("text", "check"), PASSES)
def test_an_answer_passes(text: str, check: dict[str, Any]) -> None:
    assert verdict(text, check) is True
    assert verdict(text, {**check, "not": True}) is False


@pytest.mark.parametrize(("text", "check"), FAILS)
def test_an_answer_fails(text: str, check: dict[str, Any]) -> None:
    assert verdict(text, check) is False
    assert verdict(text, {**check, "not": True}) is True


@pytest.mark.parametrize(
    ("text", "expected", "how"),
    [
        ("Billing", "billing", {"case": True}),
        ("billing.", "billing", {"punctuation": True}),
        ("\nbilling\nbecause of the card", "billing", {"first_line": True}),
        ("I think so.\nAnswer: billing", "billing", {"pattern": r"Answer: (\w+)"}),
        ("Answer: a\nAnswer: b", "b", {"pattern": r"Answer: (\w+)"}),
        ('{"A": "x."}', {"A": "x."}, {"case": True, "punctuation": True}),
    ],
)
def test_normalisation_is_applied_before_checks(text: str, expected: Any, how: dict[str, Any]) -> None:
    assert verdict(text, {"kind": "equals"}, expected, **how) is True


def test_a_pattern_that_finds_nothing_fails_even_negated_checks() -> None:
    found = judge(
        "rambling",
        [Check(kind="contains", value="x", negated=True)],
        normalisation=Normalisation(pattern="A: (.)"),
    )
    assert (found.state, found.passed) == ("failed", False)
    assert "found nothing" in found.why


@pytest.mark.parametrize(
    ("finish", "error", "state", "score"),
    [
        ("length", "", "cut_off", 0.0),
        ("context_overflow", "", "overflow", 0.0),
        ("error", "", "error", None),
        ("stop", "the engine died", "error", None),
    ],
)
def test_unfinished_answers_are_states_of_their_own(
    finish: str, error: str, state: str, score: float | None
) -> None:
    found = judge("billing", [Check(kind="equals", value="billing")], finish_reason=finish, error=error)
    assert (found.state, found.passed, found.score) == (state, None, score)
    assert found.why


def test_an_answer_that_nothing_was_asked_of_is_unscored() -> None:
    assert judge("x", []).state == "unscored"
    assert checks_of({"expected": None, "checks": []}) == ()
    assert [check.kind for check in checks_of({"expected": "x"})] == ["equals"]
    assert [check.kind for check in checks_of({"expected": "x"}, [Check(kind="contains")])] == ["contains"]
    assert [
        check.kind for check in checks_of({"checks": [{"kind": "valid_json"}]}, [Check(kind="contains")])
    ] == ["valid_json"]


def test_the_score_is_the_weighted_share_and_all_must_pass() -> None:
    checks = [Check(kind="contains", value="a", weight=3), Check(kind="contains", value="b")]
    found = judge("a", checks)
    assert (found.passed, found.score) == (False, 0.75)
    assert [result.passed for result in found.results] == [True, False]
    assert "contains" in found.why


def test_a_check_that_cannot_be_carried_out_is_an_error_and_not_a_failure() -> None:
    assert judge("x", [Check(kind="contains")]).state == "error"
    slow = Check(kind="regex", value=r"^(a+)+$")
    started = time.process_time()
    found = judge("a" * 40 + "!", [slow])
    assert time.process_time() - started < 3
    assert found.state in ("error", "failed")


def test_a_schema_that_points_outside_is_not_fetched() -> None:
    check = Check(kind="json_schema", value={"$ref": "http://127.0.0.1:9/schema.json"})
    found = judge("{}", [check])
    assert found.passed is False
    assert "is not fetched" in found.why


@pytest.mark.parametrize(
    "check",
    [
        {"kind": "regex", "value": "("},
        {"kind": "one_of", "value": []},
        {"kind": "max_length", "value": -1},
        {"kind": "max_length", "value": True},
        {"kind": "json_schema", "value": {"type": 7}},
        {"kind": "json_field_equals", "value": "a"},
        {"kind": "numeric_within", "value": "x"},
        {"kind": "numeric_within", "value": {"target": 1, "tolerance": -1}},
        {"kind": "contains", "value": ""},
        {"kind": "contains", "value": ["a"]},
        {"kind": "nonsense"},
        {"kind": "equals", "value": "x", "weight": 0},
    ],
)
def test_a_check_that_makes_no_sense_is_refused_when_it_is_made(check: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Check.model_validate(check)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_equals_itself_however_it_is_written(value: Any) -> None:
    import json

    written = json.loads(json.dumps(value, sort_keys=True))
    assert same_json(value, written)
    if isinstance(value, dict | list):
        assert judge(json.dumps(value, indent=1), [Check(kind="equals", value=value)]).passed or value is None


@given(st.text(max_size=200), st.booleans(), st.booleans(), st.booleans())
def test_normalising_twice_changes_nothing_more(
    text: str, case: bool, punctuation: bool, first: bool
) -> None:
    how = Normalisation(case=case, punctuation=punctuation, first_line=first)
    once = normalise(text, how).text
    assert normalise(once, how).text == once


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "9" * 5000, "NaN", '{"a":}', "1e999", "", "-Infinity"], ids=lambda text: text[:8]
)
def test_hostile_json_is_refused_in_words(text: str) -> None:
    with pytest.raises(NotJson) as problem:
        read_json(text)
    assert str(problem.value)
