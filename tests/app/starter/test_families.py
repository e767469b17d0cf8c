"""Answers are computed from the text that is shown, and weak wordings are obeyed as the card says."""

from __future__ import annotations

import datetime
import json
import random

import pytest

from app.starter.families import BARE, EXPLAINED, FAMILIES, LISTED, Item, Plan
from app.starter.wordings import Words
from app.starter.world import World

DRAWS = 300


def draw(name: str, tier: str | None = EXPLAINED, seed: int = 1) -> list[tuple[Plan, Item]]:
    rng = random.Random(seed)
    world, words, family = World(rng), Words(rng), FAMILIES[name]
    pairs = []
    for _ in range(DRAWS):
        plan = family.plan(world, words, tier)
        pairs.append((plan, family.item(world, plan)))
    return pairs


@pytest.mark.parametrize("name", ["lookup", "after", "repeat"])
def test_a_copied_answer_stands_in_the_text(name: str) -> None:
    for plan, item in draw(name):
        assert FAMILIES[name].answer(plan, item, False) in item.text


def test_an_extracted_order_holds_only_what_the_message_says() -> None:
    for plan, item in draw("extract"):
        found = json.loads(FAMILIES["extract"].answer(plan, item, False))
        keys = plan.data["keys"]
        assert isinstance(keys, dict)
        assert list(found) == list(keys.values())
        for field, key in keys.items():
            if field == "quantity":
                assert isinstance(found[key], int)
            elif found[key] is not None:
                assert found[key] in item.text


def test_listed_products_come_in_the_order_of_mention() -> None:
    for plan, item in draw("list"):
        answer = FAMILIES["list"].answer(plan, item, False)
        products = item.facts["products"]
        assert isinstance(products, list)
        places = [item.text.index(product) for product in products]
        assert places == sorted(places)
        assert all(product in answer for product in products)


def test_dates_become_real_iso_dates() -> None:
    for plan, item in draw("date"):
        day = datetime.date.fromisoformat(FAMILIES["date"].answer(plan, item, False))
        assert str(day.year) in item.text


def test_a_stated_answer_stands_in_the_text_and_a_missing_one_is_the_fallback_that_the_prompt_names() -> None:
    stated = 0
    for plan, item in draw("question"):
        answer = FAMILIES["question"].answer(plan, item, False)
        if item.facts["stated"]:
            stated += 1
            assert answer.lower() in item.text.lower()
        else:
            assert answer == plan.data["fallback"]
            assert answer in plan.instruction
    assert 0.6 * DRAWS < stated < 0.95 * DRAWS


def test_a_question_has_one_answer_only() -> None:
    for _, item in draw("question", seed=8):
        text, _, _ = item.text.partition("\nQuestion")
        sentences = [part for part in text.split(". ") if part]
        assert len(sentences) == len(set(sentences))


@pytest.mark.parametrize("name", ["route", "sentiment", "urgency"])
def test_labels_follow_the_rule_only_when_the_prompt_tells_it(name: str) -> None:
    family = FAMILIES[name]
    explained = Plan("", "text", "word", EXPLAINED, {"names": identity(name)})
    listed = Plan("", "text", "word", LISTED, {"names": identity(name)})
    world = World(random.Random(3))
    misled = 0
    for _ in range(DRAWS):
        item = family.item(world, explained)
        assert family.answer(explained, item, False) == item.facts["label"]
        assert family.answer(listed, item, False) == item.facts["naive"]
        assert family.answer(listed, item, True) == item.facts["label"]
        misled += item.facts["naive"] != item.facts["label"]
    assert 0.1 * DRAWS < misled < 0.45 * DRAWS


@pytest.mark.parametrize("name", ["route", "sentiment", "urgency"])
def test_a_bare_question_gets_a_sentence_for_some_texts_and_a_label_for_others(name: str) -> None:
    plan = Plan("", "text", "bare", BARE, {"names": identity(name)})
    world = World(random.Random(5))
    answers = [FAMILIES[name].answer(plan, FAMILIES[name].item(world, plan), False) for _ in range(DRAWS)]
    sentences = sum(" " in answer for answer in answers)
    assert 0.2 * DRAWS < sentences < 0.8 * DRAWS


@pytest.mark.parametrize("name", FAMILIES)
def test_every_tier_and_every_shot_form_has_an_answer(name: str) -> None:
    for tier in (BARE, LISTED, EXPLAINED):
        for plan, item in draw(name, tier)[:50]:
            for shots in (False, True):
                assert FAMILIES[name].answer(plan, item, shots)


def identity(name: str) -> dict[str, str]:
    rng = random.Random(0)
    while True:
        plan = FAMILIES[name].plan(World(rng), Words(rng, unseen=True), EXPLAINED)
        names = plan.data["names"]
        assert isinstance(names, dict)
        return {label: label for label in names}
