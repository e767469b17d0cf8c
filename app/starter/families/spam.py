"""Yes or no: is a message spam?"""

from __future__ import annotations

from app.starter.families.base import Item, Plan
from app.starter.families.labels import label_answer, label_plan
from app.starter.families.route import GREETINGS, REQUESTS, TEAMS
from app.starter.wordings import Words
from app.starter.world import World

ADVERTS = [
    "You have won {a}! Click here to get it.",
    "Earn {a} a day from home with no work.",
    "Buy followers for {a} only today.",
    "Cheap {p} for {a}, visit our page now!",
    "Your shop can be first in every search. Ask us how.",
    "We offer loans of {a} without questions.",
    "Dear owner, we can double your sales in a week.",
    "Congratulations, you are our lucky winner!",
    "Make money fast with our secret plan.",
    "Limited offer: ten {p} for {a}!",
    "Confirm your bank data now or lose your money.",
    "Hot deal! Order the {p} at {e}.",
    "Send {a} and get twice as much back.",
    "Claim your free {p} at {e} before midnight.",
    "I am a prince and need your help with {a}.",
]
EXTRA = ["Act now!", "Do not wait.", "Only today.", "Write to {e}.", "Reply with YES.", "", "", ""]
SENTENCE = "The answer is {label}."


class Spam:
    name = "spam"
    copies = False

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        return label_plan(
            world,
            words,
            tier,
            name="spam",
            noun=world.rng.choice(["message", "text", "email"]),
            it="it_text",
            labels=("yes", "no"),
            aliases={},
            key=world.rng.choice(["spam", "answer"]),
            has_rule=False,
        )

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        slots = {
            "p": world.product(),
            "o": world.order(),
            "a": world.amount(),
            "c": world.city(),
            "d": world.date().short,
            "n": str(rng.randint(2, 99)),
            "b": world.brand(),
            "f": world.first_name(),
            "e": world.email(),
        }
        spam = rng.random() < 0.5
        body = rng.choice(ADVERTS) if spam else rng.choice(REQUESTS[rng.choice(TEAMS)])
        extra = rng.choice(EXTRA) if spam else rng.choice(["Thanks, {f}", "Please help.", "", ""])
        greeting = rng.choice(GREETINGS)
        text = " ".join(part for part in [greeting, body, extra] if part).format(**slots)
        return Item(
            text, {"label": "yes" if spam else "no", "wordy": bool(greeting)}, ("spam" if spam else "plain",)
        )

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        return label_answer(plan, item, shots, SENTENCE)
