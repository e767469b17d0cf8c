"""What the label families share: label lists, answer forms, and how strictly each form is obeyed.

A bare question is answered with a sentence when the text holds an order number and with the bare label
otherwise; a label list alone gets the naive label (first topic, tone, literal praise), the rule or examples
get the true one. Weak prompts therefore score lower by construction, which the model card says.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

from app.starter.families.base import BARE, EXPLAINED, Item, Plan, instruct, pick_tier
from app.starter.wordings import Words
from app.starter.world import World

ALIAS_SHARE = 0.2


def list_labels(labels: Sequence[str], rng: random.Random) -> str:
    """The labels in random order, joined as people do."""
    shuffled = list(labels)
    rng.shuffle(shuffled)
    style = rng.random()
    if style < 0.35:
        return ", ".join(shuffled)
    if style < 0.85:
        return ", ".join(shuffled[:-1]) + " or " + shuffled[-1]
    return " / ".join(shuffled) if style < 0.93 else ", ".join(f'"{label}"' for label in shuffled)


def label_plan(
    world: World,
    words: Words,
    tier: str | None,
    *,
    name: str,
    noun: str,
    it: str,
    labels: Sequence[str],
    aliases: Mapping[str, Sequence[str]],
    key: str,
    has_rule: bool = True,
) -> Plan:
    """A prompt of a label family: ask, then by tier the label list and the rule.

    The answer form is ``word``, ``caps``, ``json``, ``sentence`` or ``bare`` (no form was asked for).
    """
    rng = world.rng
    chosen = pick_tier(rng, tier)
    ask = words.ask(name).format(it=words.part(it))
    if chosen == BARE:
        return Plan(instruct(words, ask), noun, "bare", BARE, {"names": {label: label for label in labels}})
    renamed = {
        label: rng.choice(list(aliases[label]))
        if label in aliases and not words.unseen and rng.random() < ALIAS_SHARE
        else label
        for label in labels
    }
    draw = rng.random()
    form = "word" if draw < 0.76 else "caps" if draw < 0.84 else "json" if draw < 0.93 else "sentence"
    shown = [label.upper() for label in renamed.values()] if form == "caps" else list(renamed.values())
    phrase = words.part(f"label_{form}").replace("{labels}", list_labels(shown, rng)).replace("{key}", key)
    rule = words.part(f"{name}_rule") if has_rule and chosen == EXPLAINED else ""
    parts = [rule, phrase] if rng.random() < 0.5 else [phrase, rule]
    data = {"names": renamed, "key": key}
    return Plan(instruct(words, ask, *parts), noun, form, chosen if has_rule else EXPLAINED, data)


def label_answer(plan: Plan, item: Item, shots: bool, sentence: str) -> str:
    """The label in the form the plan asks for; ``sentence`` has ``{label}`` for the full-sentence form."""
    truth = str(item.facts["label"])
    knows_rule = shots or plan.tier == EXPLAINED
    label = truth if knows_rule else str(item.facts.get("naive", truth))
    names = plan.data["names"]
    if not isinstance(names, Mapping):
        raise TypeError("a label plan carries the names of its labels")
    shown = str(names[label])
    form = plan.form
    if form == "bare":
        form = "sentence" if item.facts.get("wordy") and not shots else "word"
    if form == "json":
        return json.dumps({str(plan.data["key"]): shown})
    if form == "sentence":
        return sentence.format(label=shown)
    return shown.upper() if form == "caps" else shown
