"""Measures the starter on held-out items: per family, wording and slot values, and how weak wordings compare.

Exact match of the whole answer with the computed one, leading and trailing blanks aside. Items are drawn
from a seed of their own; the unseen halves of the wordings and of the slot values never occur in training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.prompts.statistics import mcnemar_p, wilson
from app.starter.demo_prompts import ROUTE_EXAMPLES, ROUTE_RULE
from app.starter.demo_tickets import OWN_WORDS, OWN_WORDS_TWO_TOPICS
from app.starter.families import BARE, EXPLAINED, FAMILIES, LISTED, Item, Plan
from app.starter.prompting import Layout, Message, draw_layout, lay_out
from app.starter.wordings import Words
from app.starter.world import World

EVALUATION_SEED = 20_261_121
QUADRANTS = {
    "seen wording, seen values": (False, False),
    "seen wording, unseen values": (False, True),
    "unseen wording, seen values": (True, False),
    "unseen wording, unseen values": (True, True),
}
WEAK_FAMILIES = ("route", "sentiment", "urgency", "extract")
TIERS = (BARE, LISTED, EXPLAINED)

Answerer = Callable[[Sequence[Sequence[Message]]], list[str]]


@dataclass(frozen=True)
class HeldOut:
    """One held-out question with its computed answer."""

    family: str
    quadrant: str
    messages: list[Message]
    answer: str


@dataclass(frozen=True)
class Accuracy:
    """Exact matches of one family in one quadrant."""

    family: str
    quadrant: str
    items: int
    correct: int

    @property
    def rate(self) -> float:
        return self.correct / self.items

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval."""
        return wilson(self.correct, self.items)


@dataclass(frozen=True)
class Tier:
    """How one prompt does on a family's items; ``p_value`` compares it with the weaker one before it."""

    family: str
    tier: str
    instruction: str
    items: int
    correct: int
    wins: int
    losses: int
    p_value: float | None


def draw_held_out(items: int, families: Sequence[str] = tuple(FAMILIES)) -> list[HeldOut]:
    """``items`` questions per family and quadrant, each with a proper wording of its own and no examples."""
    drawn = []
    for name in families:
        family = FAMILIES[name]
        for quadrant, (unseen_words, unseen_values) in QUADRANTS.items():
            rng = random.Random(f"{EVALUATION_SEED}/{name}/{quadrant}")
            world, words = World(rng, unseen_values), Words(rng, unseen_words)
            for _ in range(items):
                plan = family.plan(world, words, EXPLAINED)
                item = family.item(world, plan)
                messages = lay_out(plan, item, [], draw_layout(rng, words))
                drawn.append(HeldOut(name, quadrant, messages, family.answer(plan, item, False)))
    return drawn


def score_held_out(drawn: Sequence[HeldOut], answers: Sequence[str]) -> list[Accuracy]:
    """Exact matches per family and quadrant, in the order of ``FAMILIES`` and ``QUADRANTS``."""
    found: dict[tuple[str, str], list[bool]] = {}
    for item, answer in zip(drawn, answers, strict=True):
        found.setdefault((item.family, item.quadrant), []).append(answer.strip() == item.answer)
    return [Accuracy(family, quadrant, len(marks), sum(marks)) for (family, quadrant), marks in found.items()]


def weak_prompts(name: str) -> dict[str, Plan]:
    """Three prompts with unseen wordings: a bare one, one with the form, one with the rule too."""
    family = FAMILIES[name]
    rng = random.Random(f"{EVALUATION_SEED}/prompts/{name}")
    world, words = World(rng, True), Words(rng, True)
    found: dict[str, Plan] = {}
    for tier in TIERS:
        while tier not in found:
            plan = family.plan(world, words, tier)
            keys = plan.data.get("keys")
            plain = keys is None or keys == {k: k for k in ("customer", "product", "quantity", "city")}
            if plan.form in ("bare", "word", "json") and (name == "extract" or plan.form != "json") and plain:
                found[tier] = plan
    return found


def measure_weak_wordings(
    answer: Answerer, items: int, families: Sequence[str] = WEAK_FAMILIES
) -> list[Tier]:
    """The three prompts of each family over the same ``items`` unseen items, judged by the true answer."""
    measured = []
    layout = Layout("first", "labelled", False, False, "")
    for name in families:
        family, prompts = FAMILIES[name], weak_prompts(name)
        world = World(random.Random(f"{EVALUATION_SEED}/weak/{name}"), True)
        drawn: list[Item] = [family.item(world, prompts[EXPLAINED]) for _ in range(items)]
        expected = [family.answer(prompts[EXPLAINED], item, False) for item in drawn]
        before: list[bool] | None = None
        for tier, plan in prompts.items():
            answers = answer([lay_out(plan, item, [], layout) for item in drawn])
            marks = [got.strip() == right for got, right in zip(answers, expected, strict=True)]
            pairs = list(zip(marks, before or marks, strict=True))
            wins, losses = sum(m and not b for m, b in pairs), sum(b and not m for m, b in pairs)
            p_value = None if before is None else mcnemar_p(wins, losses)
            measured.append(Tier(name, tier, plan.instruction, items, sum(marks), wins, losses, p_value))
            before = marks
    return measured


def measure_own_words(answer: Answerer) -> dict[str, int]:
    """How many of the hand-written demo tickets the demo's best prompt routes right: ``items`` and ``correct``."""
    tickets = (*OWN_WORDS, *OWN_WORDS_TWO_TOPICS)
    plan = Plan(ROUTE_RULE, "ticket", "word")
    shots = [(Item(ticket, {}), team) for ticket, team in ROUTE_EXAMPLES]
    layout = Layout("system", "labelled", False, True, "")
    answers = answer([lay_out(plan, Item(ticket, {}), shots, layout) for ticket, _ in tickets])
    correct = sum(got.strip() == team for got, (_, team) in zip(answers, tickets, strict=True))
    return {"items": len(tickets), "correct": correct}


def weak_questions(items: int) -> int:
    """How many answers ``measure_weak_wordings`` and ``measure_own_words`` ask for."""
    return items * len(WEAK_FAMILIES) * len(TIERS) + len(OWN_WORDS) + len(OWN_WORDS_TWO_TOPICS)


def summarise_accuracies(accuracies: Sequence[Accuracy]) -> dict[str, dict[str, dict[str, float]]]:
    """Family to quadrant to ``items``, ``correct``, ``rate``, ``ci_low`` and ``ci_high``."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for one in accuracies:
        low, high = one.interval
        figures = {
            "items": one.items,
            "correct": one.correct,
            "rate": one.rate,
            "ci_low": low,
            "ci_high": high,
        }
        table.setdefault(one.family, {})[one.quadrant] = figures
    return table


def summarise_tiers(tiers: Sequence[Tier]) -> dict[str, list[dict[str, Any]]]:
    """Family to its three prompts, weakest first."""
    table: dict[str, list[dict[str, Any]]] = {}
    for tier in tiers:
        table.setdefault(tier.family, []).append(asdict(tier) | {"rate": tier.correct / tier.items})
    return table
