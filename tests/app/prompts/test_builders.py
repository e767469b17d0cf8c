"""Builders make new drafts; examples never give the answer of the case that is tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.runner import Result
from app.prompts import builders
from app.prompts.checks import Check, judge
from app.prompts.compose import ExamplePool, asked_hash, compose, example_of, shared_prefix
from app.prompts.content import parse_content
from app.prompts.template import TemplateProblem
from app.prompts.version_diff import diff_versions
from app.prompts.words import word_diff
from store import drafts, prompts
from store.errors import BadInput
from store.workspace import Store

PROMPT = parse_content([{"role": "system", "content": "S"}, {"role": "user", "content": "Q: {{ q }}"}])


def case(question: str, expected: Any = "a") -> dict[str, Any]:
    return {"variables": {"q": question}, "expected": expected}


def test_examples_stand_between_the_system_message_and_the_question() -> None:
    built = builders.with_examples(PROMPT, [case("one", "1"), case("two", {"n": 2})])
    messages = compose(built, case("three"))
    assert [message["role"] for message in messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert messages[1]["content"] == "Q: one"
    assert messages[4]["content"] == '{"n": 2}'
    assert messages[-1]["content"] == "Q: three"


def test_the_tested_case_and_its_duplicates_are_never_examples() -> None:
    built = builders.with_examples(PROMPT, [case("one", "1"), case("two", "2")])
    for twin in ("one", "  ONE ", "One\n"):
        assert "1" not in [message["content"] for message in compose(built, case(twin))]
    pool = ExamplePool(
        [case("red shoe late"), case("red  SHOE late"), case("blue hat"), case("red shoe broken")]
    )
    near = pool.similar(case("Red shoe late"), 5)
    assert [one["variables"]["q"] for one in near] == ["red shoe broken", "blue hat"]


questions = st.lists(st.text("ab ", min_size=1, max_size=4), min_size=1, max_size=8)


@given(questions, st.integers(0, 7), st.integers(1, 5))
def test_no_pool_ever_gives_the_case_itself(texts: list[str], index: int, count: int) -> None:
    cases = [case(text) for text in texts]
    tested = cases[index % len(cases)]
    found = ExamplePool(cases).similar(tested, count)
    assert all(asked_hash(one) != asked_hash(tested) for one in found)
    assert len(found) <= count


def test_nearest_examples_name_one_fixed_version() -> None:
    with pytest.raises(BadInput, match="tickets@1"):
        builders.with_nearest_examples(PROMPT, "tickets")
    built = builders.with_nearest_examples(PROMPT, "tickets@2", 1)
    pool = ExamplePool([case("red shoe", "shoes"), case("blue hat", "hats")])
    contents = [message["content"] for message in compose(built, case("a red boot"), pool)]
    assert contents == ["S", "Q: red shoe", "shoes", "Q: a red boot"]


def test_chain_of_thought_is_read_by_the_checks_through_its_marker() -> None:
    built = builders.with_chain_of_thought(builders.with_examples(PROMPT, [case("x", "billing")]))
    assert built.few_shot[0].assistant == "Answer: billing"
    assert built.sampling.max_tokens == 512
    for text in (
        "Thinking…\nAnswer: billing",
        "a\n**Answer:** billing**",
        "answer: delivery\nAnswer: billing",
    ):
        assert judge(text, [Check(kind="equals", value="billing")], normalisation=built.normalise).passed, (
            text
        )
    assert not judge("billing", [Check(kind="equals", value="billing")], normalisation=built.normalise).passed
    later = builders.with_examples(built, [case("y", "returns")])
    assert later.few_shot[0].assistant == "Answer: returns"
    with pytest.raises(BadInput, match="already"):
        builders.with_chain_of_thought(built)


def test_json_output_constrains_the_engine_and_keeps_bare_labels_checkable() -> None:
    schema, field = builders.schema_of(["billing", "returns"] * 4)
    assert (field, schema["properties"]["answer"]["enum"]) == ("answer", ["billing", "returns"])
    built = builders.with_json_output(PROMPT, schema, field)
    assert built.json_schema == schema
    assert json.dumps(schema) in compose(built, case("x"))[-1]["content"], (
        "braces of the schema are no template"
    )
    answer = '{"answer": "billing"}'
    assert judge(answer, [Check(kind="equals", value="billing")], normalisation=built.normalise).passed
    objects, none = builders.schema_of([{"n": 1, "name": "x"}, {"n": 2.5}])
    assert none is None
    assert objects["properties"]["n"] == {"type": "number"}
    assert objects["required"] == ["n"]
    with pytest.raises(BadInput):
        builders.schema_of([None])


def test_a_system_preset_replaces_the_system_message() -> None:
    built = builders.with_system(PROMPT, "brief")
    assert [message.role for message in built.messages] == ["system", "user"]
    assert built.messages[0].content == builders.PRESETS["brief"]


def test_a_conversation_goes_before_the_last_user_message() -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello {{ not a template }}"},
    ]
    messages = compose(PROMPT, {"variables": {"q": "x"}, "messages": turns})
    assert [message["content"] for message in messages] == ["S", "hi", "hello {{ not a template }}", "Q: x"]
    only_system = parse_content([{"role": "system", "content": "S"}])
    assert compose(only_system, {"variables": {}, "messages": turns[:1]})[-1]["content"] == "hi"
    with pytest.raises(TemplateProblem, match="does not end with a user message"):
        compose(only_system, {"variables": {}, "messages": turns})


def test_the_engine_is_told_what_all_cases_begin_with() -> None:
    assert shared_prefix(PROMPT) == [{"role": "system", "content": "S"}, {"role": "user", "content": "Q: "}]
    built = builders.with_examples(PROMPT, [case("one", "1")])
    start = shared_prefix(built)
    assert compose(built, case("two"))[: len(start) - 1] == start[:-1]
    assert [message["content"] for message in start] == ["S", "Q: one", "1", "Q: "]
    bare = parse_content([{"role": "user", "content": "{{ q }} and more"}])
    assert shared_prefix(bare) == []
    assert shared_prefix(builders.with_examples(bare, [case("one", "1")]))[0]["content"] == "one and more"
    nearest = builders.with_nearest_examples(PROMPT, "t@1")
    assert shared_prefix(nearest) == [{"role": "system", "content": "S"}]


def test_an_example_is_word_for_word_even_with_braces() -> None:
    built = builders.with_examples(PROMPT, [case("{{ 7 * 7 }}", "{% x %}")])
    assert example_of(PROMPT, case("{{ 7 * 7 }}")).user == "Q: {{ 7 * 7 }}"
    assert compose(built, case("y"))[2]["content"] == "{% x %}"


def test_the_operation_keeps_a_draft_and_throws_none_away(desk: Store, run: Callable[..., Result]) -> None:
    built = run("prompt.build", prompt="route@1", builder="chain_of_thought").summary
    assert built["draft"] == "route@draft"
    draft = drafts.draft(desk, "prompt:route")
    assert draft is not None
    assert "Think step by step" in draft["messages"][0]["content"]
    with pytest.raises(BadInput, match="unsaved draft already"):
        run("prompt.build", prompt="route@1", builder="system", preset="brief")
    saved = run("prompt.save", name="route", draft=True, note="cot").summary
    assert saved["ref"] == "route@4"
    assert drafts.draft(desk, "prompt:route") is None
    nearest = run("prompt.build", prompt="route@1", builder="nearest", cases="tickets", save=True).summary
    assert prompts.prompt_version(desk, nearest["ref"]).content["nearest"] == {
        "cases": "tickets@1",
        "count": 3,
    }


def test_saving_text_keeps_the_settings_of_the_version_before(
    desk: Store, run: Callable[..., Result]
) -> None:
    summary = run("prompt.save", name="route", text="New {{ ticket }}", parent="1", label=["staging"]).summary
    version = prompts.prompt_version(desk, "route@staging")
    assert (summary["ref"], version.content["sampling"]["max_tokens"]) == ("route@4", 6)
    first = prompts.prompt_version(desk, "route@1")
    assert version.parent_id == first.id
    run("prompt.label", prompt="route@1", label="staging")
    assert prompts.prompt_version(desk, "route@staging").id == first.id
    run("prompt.unlabel", prompt="route", label="staging")
    for values, words in (
        ({"name": "new"}, "needs a text"),
        ({"name": "route", "text": "{{ a }"}, "cannot be read"),
        ({"name": "route", "text": "x", "content": {"messages": []}}, "once"),
        ({"name": "route", "content": {"messages": [{"role": "robot", "content": "x"}]}}, "messages.0.role"),
        ({"name": "route", "content": {"messages": [{"role": "user", "content": "x"}], "oops": 1}}, "oops"),
        ({"name": "route", "text": "x", "label": ["draft"]}, "unsaved text"),
        ({"name": "route", "draft": True}, "no draft"),
    ):
        with pytest.raises(Exception, match=words):
            run("prompt.save", **values)
    assert prompts.list_prompts(desk)[0].latest == 4


words = st.text("ab c.\n", max_size=30)


@given(words, words)
def test_word_differences_spell_both_texts(before: str, after: str) -> None:
    ops = word_diff(before, after)
    assert "".join(op.text for op in ops if op.kind != "insert") == before
    assert "".join(op.text for op in ops if op.kind != "delete") == after


def test_a_version_diff_names_messages_examples_and_settings() -> None:
    before = {"messages": [{"role": "user", "content": "Route the ticket"}], "sampling": {"temperature": 0}}
    after = {
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "Route this ticket"},
        ],
        "sampling": {"temperature": 0.7},
        "few_shot": [{"user": "u", "assistant": "a"}],
    }
    found = diff_versions(before, after)
    assert not found.same
    assert [(one.role, one.before is None) for one in found.messages] == [("system", True), ("user", False)]
    assert [op.text for op in found.messages[1].ops if op.kind != "equal"] == ["the", "this"]
    assert [(one.path, one.before, one.after) for one in found.settings] == [("sampling.temperature", 0, 0.7)]
    assert len(found.examples) == 2
    assert diff_versions(after, after).same
