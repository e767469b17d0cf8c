"""What every task family gives: a plan (the wording of one prompt), items, and computed answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.starter.wordings import Words
from app.starter.world import World

BARE, LISTED, EXPLAINED = "bare", "listed", "explained"


@dataclass(frozen=True)
class Plan:
    """One prompt: its instruction and the answer form that the instruction asks for.

    ``tier`` says how much the instruction tells: BARE names no form, LISTED names the form,
    EXPLAINED also tells the rule that settles hard items. ``data`` is the family's own.
    """

    instruction: str
    noun: str
    form: str
    tier: str = EXPLAINED
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One text to work on. ``facts`` holds what the answer is computed from, ``tags`` what is special."""

    text: str
    facts: Mapping[str, object]
    tags: tuple[str, ...] = ()


class Family(Protocol):
    """A task family. ``answer`` is computed, never sampled; ``shots`` says that the prompt shows examples.

    ``copies`` says that its answers are copied from the text.
    """

    name: str
    copies: bool

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan: ...

    def item(self, world: World, plan: Plan) -> Item: ...

    def answer(self, plan: Plan, item: Item, shots: bool) -> str: ...


def pick_tier(rng: random.Random, tier: str | None, bare: float = 0.2, listed: float = 0.33) -> str:
    """``tier`` when it is given, else one drawn with the shares of the training mix."""
    if tier is not None:
        return tier
    draw = rng.random()
    return BARE if draw < bare else LISTED if draw < bare + listed else EXPLAINED


def join_sentences(*parts: str) -> str:
    """The non-empty parts with one space between them."""
    return " ".join(part for part in parts if part)


def instruct(words: Words, ask: str, *parts: str) -> str:
    """An opener, the ask and further sentences, in the order that most people write them."""
    opener = words.part("openers")
    if not ask.endswith("?") and opener == "" and words.rng.random() < 0.15:
        ask = "Please " + ask[0].lower() + ask[1:]
    return opener + join_sentences(ask, *parts)
