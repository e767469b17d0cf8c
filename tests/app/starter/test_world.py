"""Slot values: random, repeatable, and split into two pools that never meet."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from app.starter.world import World, add_typos, is_unseen

MAKERS: dict[str, Callable[[World], str]] = {
    "first name": World.first_name,
    "product": World.product,
    "city": World.city,
    "order": World.order,
    "email": World.email,
    "phone": World.phone,
    "word": World.word,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_seen_and_unseen_values_never_meet(make: Callable[[World], str]) -> None:
    seen, unseen = World(random.Random(1)), World(random.Random(1), unseen=True)
    ours = {make(seen).lower() for _ in range(2000)}
    theirs = {make(unseen).lower() for _ in range(400)}
    assert not ours & theirs
    assert all(is_unseen(value) for value in theirs)


def test_the_same_seed_draws_the_same_world() -> None:
    one, two = World(random.Random(7)), World(random.Random(7))
    assert [make(one) for make in MAKERS.values()] == [make(two) for make in MAKERS.values()]


def test_products_of_one_text_never_contain_each_other() -> None:
    world = World(random.Random(3))
    for _ in range(300):
        products = world.products(4)
        assert not any(a in b for a in products for b in products if a != b)


def test_dates_are_spelled_from_one_calendar_day() -> None:
    date = World(random.Random(5)).date()
    assert date.iso == date.day.isoformat()
    assert date.long == f"{date.short} {date.day.year}"


def test_typos_leave_names_and_numbers_alone() -> None:
    text = "Please send order A-4821 to Talburg because nothing arrived yesterday"
    for seed in range(50):
        changed = add_typos(text, random.Random(seed), 3)
        assert changed != text
        assert "A-4821" in changed
        assert "Talburg" in changed
        assert changed.startswith("Please ")
