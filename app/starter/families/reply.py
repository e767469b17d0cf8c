"""Write a polite reply to a customer from a handful of facts."""

from __future__ import annotations

from app.starter.families.base import Item, Plan, instruct
from app.starter.wordings import Words
from app.starter.world import World

PROBLEMS = (
    "the parcel is late",
    "the {p} is broken",
    "the {p} is missing",
    "the invoice is wrong",
    "the {p} has the wrong colour",
    "you were charged twice",
    "the {p} came without a cable",
    "the address was wrong",
    "you had to wait",
    "the {p} is too loud",
    "nobody answered your mail",
    "the {p} does not fit",
)
ACTIONS = (
    "send a new {p} on {d}",
    "pay back {a}",
    "send a return label to {e}",
    "repair the {p}",
    "call you on {d}",
    "send the parcel to {c}",
    "correct the invoice",
    "give you a voucher of {a}",
    "send a new cable",
    "look into it until {d}",
)


class Reply:
    name = "reply"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        ask = words.ask("reply").format(it=words.part("it_facts"))
        return Plan(instruct(words, ask), world.rng.choice(["facts", "notes"]), "letter")

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        slots = {
            "p": world.product(),
            "d": world.date().short,
            "a": world.amount(),
            "e": world.email(),
            "c": world.city(),
        }
        facts = {
            "name": world.first_name(),
            "problem": rng.choice(PROBLEMS).format(**slots),
            "action": rng.choice(ACTIONS).format(**slots),
        }
        if rng.random() < 0.6:
            facts["order"] = world.order()
        if rng.random() < 0.6:
            facts["agent"] = world.first_name()
        keys = list(facts)
        rng.shuffle(keys)
        style = rng.choice(["{}: {}", "{}: {}", "- {}: {}", "{} = {}"])
        separator = rng.choice(["\n", "\n", "; "])
        text = separator.join(style.format(key, facts[key]) for key in keys)
        return Item(text, dict(facts))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        facts = item.facts
        parts = [f"Dear {facts['name']}, we are sorry that {facts['problem']}. We will {facts['action']}."]
        if "order" in facts:
            parts.append(f"Your order number is {facts['order']}.")
        parts.append(f"Kind regards, {facts['agent']}" if "agent" in facts else "Kind regards")
        return " ".join(parts)
