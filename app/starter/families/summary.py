"""Summarise a customer's message in one sentence."""

from __future__ import annotations

from app.starter.families.base import Item, Plan, instruct
from app.starter.wordings import Words
from app.starter.world import World

PROBLEMS = (
    "broke after a day",
    "came without a cable",
    "does not turn on",
    "has the wrong colour",
    "makes a strange noise",
    "is too small",
    "arrived with a scratch",
    "stopped working on {d}",
    "never arrived",
    "is too heavy",
    "smells of glue",
    "lost its handle",
)
WISHES = (
    "a refund",
    "a new one",
    "a refund of {a}",
    "a repair",
    "a return label",
    "a voucher",
    "a call",
    "the missing part",
    "an answer by {d}",
)
INTRO = ("My name is {n}.", "I am {n}.", "This is {n}.", "{n} here.")
BUY = (
    "I bought the {p}.",
    "I ordered the {p} from you.",
    "You sent me the {p}.",
    "I have the {p}.",
    "On {d2} I bought the {p}.",
)
WANT = ("I would like {w}.", "I want {w}.", "Please give me {w}.", "I ask for {w}.", "What I need is {w}.")
ORDER = ("My order number is {o}.", "The order number is {o}.", "It is order {o}.")
CHATTER = (
    "Hello!",
    "I hope you are well.",
    "The weather in {c} is fine.",
    "My neighbour told me about your shop.",
    "",
    "",
    "",
    "",
)


class Summary:
    name = "summary"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        ask = words.ask("summary").format(it=words.part("it_text"))
        return Plan(instruct(words, ask), world.rng.choice(["message", "text", "ticket"]), "sentence")

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        slots = {
            "n": world.first_name(),
            "p": world.product(),
            "o": world.order(),
            "a": world.amount(),
            "d": world.date().short,
            "d2": world.date().short,
            "c": world.city(),
        }
        problem = rng.choice(PROBLEMS).format(**slots)
        wish = rng.choice(WISHES).format(**slots)
        with_order = rng.random() < 0.6
        parts = [
            rng.choice(CHATTER),
            rng.choice(INTRO),
            rng.choice(BUY),
            f"It {problem}.",
            rng.choice(WANT).replace("{w}", wish),
        ]
        if with_order:
            parts.insert(rng.randint(2, len(parts)), rng.choice(ORDER))
        parts.insert(rng.randint(1, len(parts)), rng.choice(CHATTER[2:]))
        text = " ".join(part for part in parts if part).format(**slots)
        facts = {"name": slots["n"], "product": slots["p"], "problem": problem, "wish": wish}
        return Item(text, {**facts, "order": slots["o"]} if with_order else dict(facts))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        facts = item.facts
        order = f" (order {facts['order']})" if "order" in facts else ""
        who = f"{facts['name']}{order} has the {facts['product']}"
        return f"{who}, which {facts['problem']}, and wants {facts['wish']}."
