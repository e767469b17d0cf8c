"""List the products that a message names, in order of mention."""

from __future__ import annotations

import json

from app.starter.families.base import BARE, EXPLAINED, Item, Plan, instruct, pick_tier
from app.starter.wordings import Words
from app.starter.world import NUMBER_WORDS, World

FRAMES = (
    "I would like to order {list}.",
    "Please send me {list}.",
    "My parcel had {list} in it.",
    "I bought {list} from you.",
    "Do you still have {list}?",
    "We need {list} for {c}.",
    "Hello, this is {f}. I want {list}.",
    "{f} from {c} asks for {list}.",
    "Could you pack {list} for me?",
    "The order of {f} holds {list}.",
    "On {d} I ordered {list}.",
    "I am looking for {list}.",
)
TAILS = ("Thank you.", "Please ship to {c}.", "Order {o}.", "I paid {a}.", "Best, {f}", "", "", "")


class Listing:
    name = "list"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        rng = world.rng
        chosen = BARE if pick_tier(rng, tier, bare=0.2, listed=0.0) == BARE else EXPLAINED
        ask = words.ask("list").format(it=words.part("it_text"))
        if chosen == BARE:
            return Plan(instruct(words, ask), "message", "comma", BARE)
        form = rng.choice(["comma", "comma", "bullets", "json"])
        return Plan(instruct(words, ask, words.part(f"list_{form}")), "message", form, EXPLAINED)

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        products = world.products(rng.choice([1, 2, 2, 3, 3, 3, 4, 5]))
        named = []
        for product in products:
            quantity = rng.randint(2, 9)
            article = rng.choice(
                [
                    "the",
                    "the",
                    "the",
                    "my",
                    "one",
                    f"{quantity} x",
                    f"{NUMBER_WORDS[quantity]} pieces of the",
                    f"{quantity} of the",
                ]
            )
            named.append(f"{article} {product}")
        joined = ", ".join(named[:-1]) + " and " + named[-1] if len(named) > 1 else named[0]
        slots = {
            "list": joined,
            "c": world.city(),
            "f": world.first_name(),
            "d": world.date().short,
            "o": world.order(),
            "a": world.amount(),
        }
        text = f"{rng.choice(FRAMES)} {rng.choice(TAILS)}".format(**slots).strip()
        return Item(text, {"products": products}, (f"{len(products)}-products",))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        products = item.facts["products"]
        if not isinstance(products, list):
            raise TypeError("a message carries its products")
        if plan.form == "json":
            return json.dumps(products, ensure_ascii=False)
        return "\n".join(f"- {p}" for p in products) if plan.form == "bullets" else ", ".join(products)
