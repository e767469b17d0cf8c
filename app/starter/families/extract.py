"""Extract an order as JSON with the keys that the prompt names."""

from __future__ import annotations

import json
from collections.abc import Callable

from app.starter.families.base import BARE, EXPLAINED, Item, Plan, instruct, pick_tier
from app.starter.wordings import Words
from app.starter.world import NUMBER_WORDS, World

# field: the key names that prompts use for it, the default first
KEYS = {
    "customer": ("customer", "customer", "name", "buyer"),
    "product": ("product", "product", "item", "article"),
    "quantity": ("quantity", "quantity", "count", "pieces"),
    "city": ("city", "city", "town", "place"),
    "order": ("order", "order_number", "order_id"),
    "price": ("price", "price", "total"),
    "date": ("date", "date", "order_date"),
    "email": ("email", "email", "contact"),
}
DEFAULT_FIELDS = ("customer", "product", "quantity", "city")

Parts = dict[str, str]
FRAMES: tuple[Callable[[Parts], list[str]], ...] = (
    lambda v: [f"Hello, I am {v['customer']} from {v['city']}.", f"I would like to order {v['pieces']}."],
    lambda v: [f"Please send {v['pieces']} to {v['city']}.", f"My name is {v['customer']}."],
    lambda v: [f"{v['customer']} from {v['city']} orders {v['pieces']}."],
    lambda v: [f"I want to buy {v['pieces']}.", f"Ship it to {v['customer']} in {v['city']}."],
    lambda v: [f"This is {v['customer']}.", f"We need {v['pieces']} in {v['city']}."],
    lambda v: [f"Order for {v['customer']}, {v['city']}: {v['pieces']}."],
    lambda v: [f"Hi, can I get {v['pieces']}?", f"I live in {v['city']}.", f"Best, {v['customer']}"],
    lambda v: [f"We sold {v['pieces']} to {v['customer']} in {v['city']}."],
)
PIECES = (
    "{q} x {p}",
    "{q} pieces of the {p}",
    "{q} of the {p}",
    "the {p} ({q} pieces)",
    "{q} {p}",
    "the {p}, {q} times",
)
EXTRAS = {
    "order": ("The order number is {}.", "Order number: {}.", "My order has the number {}."),
    "price": ("The price is {}.", "It costs {}.", "I paid {}."),
    "date": ("It was ordered on {}.", "The date is {}.", "I need it on {}."),
    "email": ("Write to {}.", "My email is {}.", "You reach me at {}."),
}


class Extract:
    name = "extract"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        rng = world.rng
        chosen = pick_tier(rng, tier, bare=0.18, listed=0.25)
        ask = words.ask("extract").format(it=words.part("it_text"))
        if chosen == BARE:
            return Plan(instruct(words, ask), "message", "json", BARE)
        if rng.random() < 0.35:
            fields = list(DEFAULT_FIELDS)
        else:
            fields = rng.sample(list(KEYS), rng.randint(2, 5))
        if chosen == EXPLAINED and "quantity" not in fields:
            fields[-1] = "quantity"
        keys = {field: KEYS[field][0] if rng.random() < 0.6 else rng.choice(KEYS[field]) for field in fields}
        shown = [f'"{key}"' for key in keys.values()] if rng.random() < 0.3 else list(keys.values())
        joined = ", ".join(shown) if rng.random() < 0.5 else ", ".join(shown[:-1]) + " and " + shown[-1]
        parts = [words.part("extract_keys").format(keys=joined)]
        if chosen == EXPLAINED:
            parts.append(words.part("extract_number").replace("quantity", keys["quantity"]))
        return Plan(instruct(words, ask, *parts), "message", "json", chosen, {"keys": keys})

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        quantity = rng.randint(2, 10) if rng.random() < 0.7 else world.quantity()
        spelled = quantity < len(NUMBER_WORDS) and rng.random() < 0.5
        written = NUMBER_WORDS[quantity] if spelled else str(quantity)
        values: dict[str, str] = {
            "customer": world.name(),
            "product": world.product(),
            "city": world.city(),
            "order": world.order(),
            "price": world.amount(),
            "date": world.date().short,
            "email": world.email(),
        }
        pieces = rng.choice(PIECES).format(q=written, p=values["product"])
        sentences = rng.choice(FRAMES)({**values, "pieces": pieces})
        present = {"customer", "product", "city", "quantity"}
        keys = plan.data.get("keys")
        wanted = set(keys) if isinstance(keys, dict) else set()
        for field, patterns in EXTRAS.items():
            # a key without a value in the text gets null, but not so often that null becomes a habit
            if rng.random() < (0.85 if field in wanted else 0.25):
                sentences.insert(rng.randint(1, len(sentences)), rng.choice(patterns).format(values[field]))
                present.add(field)
        tags = ["quantity-in-words" if spelled else "quantity-in-digits"]
        if "order" in present:
            tags.append("order-number")
        facts = {
            "values": {k: values[k] for k in values if k in present},
            "quantity": quantity,
            "written": written,
        }
        return Item(" ".join(sentences), facts, tuple(tags))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        values = item.facts["values"]
        if not isinstance(values, dict):
            raise TypeError("an order carries its values")
        keys = plan.data.get("keys")
        if isinstance(keys, dict):
            numeric = plan.tier == EXPLAINED or shots
        else:
            keys, numeric = {field: field for field in DEFAULT_FIELDS}, shots
            if not shots and "order" in values:
                keys["order"] = "order"
        written = str(item.facts["written"])
        found: dict[str, object] = {}
        for field, key in keys.items():
            if field == "quantity":
                found[key] = item.facts["quantity"] if numeric or written.isdigit() else written
            else:
                found[key] = values.get(field)
        return json.dumps(found, ensure_ascii=False)
