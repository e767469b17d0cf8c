"""The test cases of the demo workspace, drawn from a fixed seed, with values that training never used."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from app.starter.families import EXPLAINED, FAMILIES, Item, Plan
from app.starter.families.route import TEAMS
from app.starter.world import World

CASES = 120
HELD_OUT_EVERY = 3
DEMO_SEED = 4_821


def draw_cases(family: str, plan: Plan, variable: str) -> Iterator[dict[str, Any]]:
    """``CASES`` different cases of one family as case files hold them, every third one held out."""
    world = World(random.Random(f"{DEMO_SEED}/{family}"), unseen=True)
    items: dict[str, Item] = {}
    while len(items) < CASES:
        item = FAMILIES[family].item(world, plan)
        items.setdefault(item.text, item)
    for number, (text, item) in enumerate(items.items()):
        answer = FAMILIES[family].answer(plan, item, True)
        yield {
            "variables": {variable: text},
            "expected": json.loads(answer) if plan.form == "json" else answer,
            "tags": list(item.tags),
            "split": "held_out" if number % HELD_OUT_EVERY == 2 else "tune",
        }


def ticket_cases() -> Iterator[dict[str, Any]]:
    """Tickets with the team that should handle them."""
    names = {team: team for team in TEAMS}
    return draw_cases("route", Plan("", "ticket", "word", EXPLAINED, {"names": names}), "ticket")


def order_cases() -> Iterator[dict[str, Any]]:
    """Orders with their JSON."""
    return draw_cases("extract", Plan("", "message", "json", EXPLAINED), "message")
