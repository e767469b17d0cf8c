"""The test cases of the demo workspace, drawn from a fixed seed, with values that training never used."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

from app.starter.demo_tickets import OWN_WORDS, OWN_WORDS_TWO_TOPICS
from app.starter.families import EXPLAINED, FAMILIES, Item, Plan
from app.starter.families.route import TEAMS
from app.starter.world import World

CASES = 120
HELD_OUT_EVERY = 3
DEMO_SEED = 4_821


def draw_cases(family: str, plan: Plan, variable: str, count: int) -> Iterator[dict[str, Any]]:
    """``count`` different cases of one family, with values that training never used."""
    world = World(random.Random(f"{DEMO_SEED}/{family}"), unseen=True)
    items: dict[str, Item] = {}
    while len(items) < count:
        item = FAMILIES[family].item(world, plan)
        items.setdefault(item.text, item)
    for text, item in items.items():
        answer = FAMILIES[family].answer(plan, item, True)
        expected = json.loads(answer) if plan.form == "json" else answer
        yield {"variables": {variable: text}, "expected": expected, "tags": list(item.tags)}


def with_splits(cases: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The cases as case files hold them, every third one held out."""
    for number, case in enumerate(cases):
        yield case | {"split": "held_out" if number % HELD_OUT_EVERY == 2 else "tune"}


def ticket_cases() -> Iterator[dict[str, Any]]:
    """Tickets with the team that should handle them; every fourth one is in a customer's own words."""
    written = [
        {"variables": {"ticket": ticket}, "expected": team, "tags": [*tags, "own-words"]}
        for tickets, tags in ((OWN_WORDS, []), (OWN_WORDS_TWO_TOPICS, ["two-topics", "settled-first"]))
        for ticket, team in tickets
    ]
    names = {team: team for team in TEAMS}
    plan = Plan("", "ticket", "word", EXPLAINED, {"names": names})
    drawn = list(draw_cases("route", plan, "ticket", CASES - len(written)))
    share = len(drawn) // len(written)
    mixed = [case for n, own in enumerate(written) for case in (*drawn[n * share : (n + 1) * share], own)]
    return with_splits(mixed + drawn[len(written) * share :])


def order_cases() -> Iterator[dict[str, Any]]:
    """Orders with their JSON."""
    return with_splits(draw_cases("extract", Plan("", "message", "json", EXPLAINED), "message", CASES))
