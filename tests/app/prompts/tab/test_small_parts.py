"""Blind choices, edits to a case set, and checks as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prompts.checks import Check
from app.prompts.tab.blind_choices import outcome, pair_up
from app.prompts.tab.case_edits import CaseEdits, read_edits, write_edits
from app.prompts.tab.cases import save_values
from app.prompts.tab.check_text import text_value, value_text, variable_text, variable_value
from store.errors import BadInput
from store.workspace import Store

ANSWERS = [(n, "left", "left" if n % 4 == 0 else f"right {n}") for n in range(40)]


def test_equal_answers_are_not_shown_and_sides_are_shuffled() -> None:
    choices = pair_up("@2", "@3", ANSWERS, seed=1)
    assert len(choices.pairings) == 30 and choices.alike == 10
    sides = [pairing.swapped for pairing in choices.pairings]
    assert any(sides) and not all(sides)


@pytest.mark.parametrize("seed", range(5))
def test_a_choice_counts_for_the_name_that_was_hidden_there(seed: int) -> None:
    choices = pair_up("@2", "@3", ANSWERS, seed=seed)
    while (pairing := choices.at) is not None:
        choices = choices.choose("left" if pairing.swapped else "right")
    assert choices.counts() == (0, 30, 0)
    assert "@3 was better in 30, @2 in 0, neither in 0 of 30 cases." in outcome(choices)
    assert any("you prefer @3" in line for line in outcome(choices))


def test_undo_takes_the_last_choice_back() -> None:
    choices = pair_up("@2", "@3", ANSWERS, seed=1)
    once = choices.choose("equal")
    assert once.choose("left").undo() == once and once.undo() == choices


def test_nothing_is_claimed_from_a_few_choices() -> None:
    choices = pair_up("@2", "@3", ANSWERS[:4], seed=1).choose("left").choose("equal")
    assert any("can be chance" in line for line in outcome(choices))
    assert "no preference" in outcome(pair_up("@2", "@3", ANSWERS[:4], seed=1).choose("equal"))[0]


def test_edits_survive_a_kill_and_are_dropped_when_the_set_has_moved_on(workspace: Store) -> None:
    edits = CaseEdits("tickets", 2, {0: {"variables": {"a": "b"}}, -1: {"variables": {"a": "new"}}}, [3])
    write_edits(workspace, edits)
    assert read_edits(workspace, "tickets", 2) == edits
    assert read_edits(workspace, "tickets", 3).empty
    assert edits.summary() == "1 new, 1 changed, 1 removed"


def test_edits_become_the_values_of_the_operation_with_numbers_from_one() -> None:
    edits = CaseEdits("tickets", 2, {0: {"v": 1}, -1: {"v": 2}, -2: {"v": 3}, 5: {"v": 4}}, [5, -2])
    assert save_values(edits, "note") == {
        "name": "tickets", "rows": [{"v": 2}], "replace": {"1": {"v": 1}}, "remove": [6], "note": "note",
        "parent": "tickets@2",
    }  # fmt: skip


CHECKS = [
    ("equals", "billing"),
    ("contains", "a, b"),
    ("one_of", ["a", "b"]),
    ("one_of", ["a, b", "c"]),
    ("numeric_within", {"target": 12.5, "tolerance": 0.1}),
    ("json_field_equals", {"path": "order.id", "equals": 17}),
    ("json_field_equals", {"path": "name", "equals": "x = y"}),
    ("max_length", 80),
    ("json_schema", {"type": "object"}),
    ("valid_json", None),
    ("regex", "^a.*b$"),
]


@pytest.mark.parametrize(("kind", "value"), CHECKS)
def test_a_checks_value_comes_back_from_its_text(kind: str, value: object) -> None:
    again = text_value(kind, value_text(kind, value))
    assert again == value
    Check.model_validate({"kind": kind, "value": again})


def test_a_value_that_cannot_be_read_is_a_sentence() -> None:
    for kind, text in [
        ("numeric_within", "many"),
        ("max_length", "x"),
        ("json_field_equals", "x"),
        ("json_schema", "{"),
    ]:
        with pytest.raises(BadInput):
            text_value(kind, text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_variables_of_any_type_come_back(value: object) -> None:
    if value is not None:
        assert variable_value(variable_text(value), value) == value
