"""Urgency of a ticket, by the time the customer has and not by the tone."""

from __future__ import annotations

from app.starter.families.base import Item, Plan
from app.starter.families.labels import label_answer, label_plan
from app.starter.wordings import Words
from app.starter.world import World, add_typos

LABELS = ("low", "normal", "high")
ALIASES = {"low": ("can wait", "minor"), "normal": ("medium", "standard"), "high": ("urgent", "critical")}
TOPICS = [
    "The {p} does not turn on.",
    "I have not received the {p}.",
    "The invoice for order {o} is wrong.",
    "I would like to exchange the {p}.",
    "I cannot log in.",
    "The {p} makes a noise.",
    "I need a copy of the bill for order {o}.",
    "The parcel to {c} is late.",
    "I have a question about the {p}.",
    "Part of order {o} is missing.",
    "The {p} has a scratch.",
    "The address of my order is wrong.",
]
WHEN = {
    "high": [
        "I need it today.",
        "The party is tomorrow.",
        "We cannot work until this is solved.",
        "It sparks when I plug it in.",
        "I leave in two hours.",
        "The shop opens tomorrow morning and we need it.",
        "There is smoke coming out of it.",
        "Please answer today.",
        "The event is tonight.",
        "All our orders stand still.",
        "My flight goes tomorrow.",
        "It must be solved before noon.",
    ],
    "normal": [
        "I would like an answer this week.",
        "Please reply in the next days.",
        "I need it by the end of next week.",
        "We need it in about ten days.",
        "Please look at it this week.",
        "A reply within a few days would be good.",
        "I would like to use it next week.",
        "It should be settled in the next few days.",
        "The birthday is in ten days.",
    ],
    "low": [
        "There is no hurry.",
        "Answer whenever you have time.",
        "It is only a small thing.",
        "Any time next month is fine.",
        "I am just curious.",
        "Take your time.",
        "It can wait.",
        "I do not need it before next season.",
        "No need to answer soon.",
    ],
}
TONES = {
    "loud": [
        "THIS IS A SCANDAL!!!",
        "I am furious!!",
        "UNBELIEVABLE!!!",
        "Hello?! Is anybody there?!",
        "I am really angry now!!",
        "WHAT A MESS!!",
        "This is the worst shop ever!!!",
        "I have had enough!!",
        "HELLO!!!",
    ],
    "soft": [
        "Sorry to bother you.",
        "I hope you are well.",
        "Excuse my question.",
        "I know that you are busy.",
        "You are always so kind.",
        "A friendly hello to the team.",
        "Forgive me for writing again.",
        "I hope this is no trouble.",
    ],
    "plain": ["Hello.", "Hi,", "Good morning.", "Dear team,", "", "", "", ""],
}
NAIVE = {"loud": "high", "soft": "low"}
CLOSERS = ["Thanks, {f}", "{f}", "Regards, {f}", "", "", ""]
SENTENCE = "The urgency of this ticket is {label}."


class Urgency:
    name = "urgency"
    copies = False

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        return label_plan(
            world,
            words,
            tier,
            name="urgency",
            noun=world.rng.choice(["ticket", "message", "text"]),
            it="it_ticket",
            labels=LABELS,
            aliases=ALIASES,
            key=world.rng.choice(["urgency", "priority", "label"]),
        )

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        slots = {"p": world.product(), "o": world.order(), "c": world.city(), "f": world.first_name()}
        label = rng.choice(LABELS)
        tone = rng.choice(["plain", "plain", "loud", "soft"])
        naive = NAIVE.get(tone, label)
        tags = [tone if naive == label else f"{tone}-tone-misleads"]
        topic = rng.choice(TOPICS)
        when = rng.choice(WHEN[label])
        parts = [topic, when] if rng.random() < 0.8 else [when, topic]
        parts.insert(0 if tone != "loud" else rng.choice([0, 2]), rng.choice(TONES[tone]))
        closer = rng.choice(CLOSERS)
        text = " ".join(part for part in [*parts, closer] if part).format(**slots)
        if rng.random() < 0.12:
            text = add_typos(text, rng, rng.randint(1, 2))
            tags.append("typo")
        return Item(text, {"label": label, "naive": naive, "wordy": bool(closer)}, tuple(tags))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        return label_answer(plan, item, shots, SENTENCE)
