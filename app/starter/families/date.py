"""Find the one date in a sentence and write it as YYYY-MM-DD."""

from __future__ import annotations

from app.starter.families.base import Item, Plan, instruct
from app.starter.wordings import Words
from app.starter.world import MONTHS, World

FRAMES = (
    "The parcel left on {d}.",
    "I ordered the {p} on {d}.",
    "Order {o} was paid on {d}.",
    "Please deliver on {d}.",
    "Our meeting is on {d}, {f}.",
    "The invoice over {a} is dated {d}.",
    "{d}: the {p} was sent to {c}.",
    "It broke on {d}.",
    "The warranty ends on {d}.",
    "{f} moves to {c} on {d}.",
    "My account was opened on {d}.",
    "The sale starts on {d}.",
    "Due date: {d}",
    "{d}",
    "We closed the shop in {c} on {d}.",
    "The return of the {p} was booked on {d} by {f}.",
)


def spell_date(world: World) -> tuple[str, str]:
    """A date as people write it, and its ISO form. No form leaves day and month in doubt."""
    day = world.date().day
    month = MONTHS[day.month - 1]
    ending = "th" if 10 <= day.day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    spelled = world.rng.choice(
        [
            f"{day.day} {month} {day.year}",
            f"{month} {day.day}, {day.year}",
            f"{day.day}{ending} of {month} {day.year}",
            f"{day.day:02d}.{day.month:02d}.{day.year}",
            f"{day.day}.{day.month}.{day.year}",
            f"{month} {day.day}{ending}, {day.year}",
            f"{day.year}/{day.month:02d}/{day.day:02d}",
            f"{day.day} {month[:3]} {day.year}",
            f"{month[:3]} {day.day}, {day.year}",
        ]
    )
    return spelled, day.isoformat()


class IsoDate:
    name = "date"
    copies = False

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        ask = words.ask("date").format(it=words.part("it_text"))
        tail = words.part("value_only") if world.rng.random() < 0.3 else ""
        return Plan(instruct(words, ask, tail), world.rng.choice(["text", "message", "note"]), "iso")

    def item(self, world: World, plan: Plan) -> Item:
        spelled, iso = spell_date(world)
        slots = {
            "d": spelled,
            "p": world.product(),
            "o": world.order(),
            "a": world.amount(),
            "c": world.city(),
            "f": world.first_name(),
        }
        return Item(world.rng.choice(FRAMES).format(**slots), {"iso": iso})

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        return str(item.facts["iso"])
