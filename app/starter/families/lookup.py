"""Look one field up in a record or in a table of several entries."""

from __future__ import annotations

import json
from collections.abc import Callable

from app.starter.families.base import BARE, EXPLAINED, Item, Plan, instruct, pick_tier
from app.starter.wordings import Words
from app.starter.world import World

FIELDS: dict[str, Callable[[World], str]] = {
    "customer": World.name,
    "order number": World.order,
    "product": World.product,
    "quantity": lambda world: str(world.quantity()),
    "price": World.amount,
    "city": World.city,
    "order date": lambda world: world.date().long,
    "delivery date": lambda world: world.date().short,
    "email": World.email,
    "phone": World.phone,
    "carrier": World.brand,
    "agent": World.first_name,
    "status": lambda world: world.rng.choice(
        ["open", "sent", "paid", "returned", "lost", "waiting", "closed"]
    ),
    "payment": lambda world: world.rng.choice(["card", "bank transfer", "cash", "invoice", "voucher"]),
    "invoice": World.order,
    "street": lambda world: f"{world.syllables(2, 3).capitalize()} Street {world.number(1, 3)}",
    "zip code": lambda world: world.number(5, 5),
    "colour": lambda world: world.rng.choice(["red", "blue", "green", "black", "white", "grey", "yellow"]),
}


def write_record(fields: dict[str, str], world: World) -> str:
    """A record in one of the layouts that people paste."""
    style = world.rng.choice(["colon", "colon", "colon", "dash", "equals", "json", "table", "line", "upper"])
    if style == "json":
        return json.dumps(fields, ensure_ascii=False)
    if style == "table":
        return "\n".join(f"| {key} | {value} |" for key, value in fields.items())
    if style == "line":
        return "; ".join(f"{key}: {value}" for key, value in fields.items())
    pattern = {"colon": "{}: {}", "dash": "- {}: {}", "equals": "{} = {}", "upper": "{}: {}"}[style]
    return "\n".join(
        pattern.format(key.capitalize() if style == "upper" else key, value) for key, value in fields.items()
    )


class Lookup:
    name = "lookup"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        rng = world.rng
        chosen = BARE if pick_tier(rng, tier, bare=0.25, listed=0.0) == BARE else EXPLAINED
        made_up = rng.random() < 0.25
        field = world.word() if made_up else rng.choice(list(FIELDS))
        rows = not made_up and rng.random() < 0.3
        who = world.first_name() if rows else ""
        if rows and field in ("customer", "agent"):
            field = "city"
        section, it = ("row", "it_table") if rows else ("lookup", "it_record")
        ask = words.ask(section).format(field=field, it=words.part(it), who=who)
        ask = ask[0].upper() + ask[1:]
        tail = words.part("value_only") if chosen == EXPLAINED else ""
        form = "sentence" if chosen == BARE and ask.endswith("?") else "value"
        data = {"field": field, "rows": rows, "who": who}
        return Plan(instruct(words, ask, tail), "table" if rows else "record", form, chosen, data)

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        field = str(plan.data["field"])
        if plan.data["rows"]:
            return self._table(world, plan, field)
        others = [name for name in FIELDS if name != field]
        rng.shuffle(others)
        names = others[: rng.randint(2, 7)]
        if field not in FIELDS:
            names = [world.word() if rng.random() < 0.7 else name for name in names]
            names = [name for name in names if name != field]
        names.insert(rng.randint(0, len(names)), field)
        fields = {
            name: FIELDS[name](world)
            if name in FIELDS
            else rng.choice([World.word, World.order, World.name])(world)
            for name in names
        }
        return Item(write_record(fields, world), {"value": fields[field]})

    def _table(self, world: World, plan: Plan, field: str) -> Item:
        rng = world.rng
        who = str(plan.data["who"])
        people = [who]
        while len(people) < rng.randint(2, 4):
            other = world.first_name()
            if other not in people:
                people.append(other)
        rng.shuffle(people)
        columns = [
            name for name in ("city", "product", "order number", "price", "phone", "status") if name != field
        ]
        rng.shuffle(columns)
        columns = [*columns[: rng.randint(0, 2)], field]
        rng.shuffle(columns)
        table = [[person, *(FIELDS[column](world) for column in columns)] for person in people]
        header = ["name", *columns]
        value = table[people.index(who)][1 + columns.index(field)]
        style = rng.choice(["pipes", "csv", "lines"])
        if style == "pipes":
            text = "\n".join("| " + " | ".join(row) + " |" for row in [header, *table])
        elif style == "csv":
            text = "\n".join(", ".join(row) for row in [header, *table])
        else:
            text = "\n".join(
                f"{row[0]}: "
                + ", ".join(f"{column} {cell}" for column, cell in zip(columns, row[1:], strict=True))
                for row in table
            )
        return Item(text, {"value": value}, ("table",))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        value = str(item.facts["value"])
        if plan.form == "sentence" and not shots:
            who = f" of {plan.data['who']}" if plan.data["rows"] else ""
            return f"The {plan.data['field']}{who} is {value}."
        return value
