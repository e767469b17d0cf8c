"""Sentiment of a review; sarcastic praise of a broken product is negative."""

from __future__ import annotations

from app.starter.families.base import Item, Plan
from app.starter.families.labels import label_answer, label_plan
from app.starter.wordings import Words
from app.starter.world import World, add_typos

LABELS = ("positive", "negative", "mixed")
ALIASES = {
    "positive": ("good", "happy", "satisfied"),
    "negative": ("bad", "unhappy", "dissatisfied"),
    "mixed": ("neutral", "both", "undecided"),
}
GOOD = [
    "I love the {p}.",
    "The {p} works very well.",
    "The {p} is exactly what I wanted.",
    "It is easy to use.",
    "The quality is excellent.",
    "It looks great in my kitchen.",
    "I would buy the {p} again.",
    "It is worth every cent.",
    "My whole family enjoys it.",
    "It arrived early and works fine.",
    "The colour is beautiful.",
    "It does its job well.",
    "I am very happy with the {p}.",
    "It is light, strong and quiet.",
    "The best {p} I have had.",
    "Not bad at all, I like it a lot.",
    "I had doubts, but the {p} won me over.",
    "It has never let me down.",
    "No problems so far, it runs like new.",
    "The material feels good.",
    "I can recommend the {p} to everyone.",
    "Setting it up took two minutes.",
]
BAD = [
    "The {p} broke after two days.",
    "It does not work.",
    "The quality is poor.",
    "I regret that I bought the {p}.",
    "It is far too loud.",
    "The {p} came with scratches.",
    "It fell apart in the first week.",
    "The colour faded at once.",
    "I would not buy it again.",
    "It is a waste of money.",
    "I am disappointed with the {p}.",
    "The handle came off.",
    "The {p} smells of glue.",
    "It is much smaller than in the picture.",
    "I wanted to like the {p}, but I cannot.",
    "The instructions make no sense.",
    "It stopped working after an hour.",
    "I have sent the {p} back.",
    "The battery is empty after ten minutes.",
    "It was not worth the money.",
    "The material feels cheap.",
    "It leaks.",
]
PRAISE = [
    "Great,",
    "Oh, wonderful:",
    "Just what I needed:",
    "Bravo!",
    "Fantastic!",
    "Well done,",
    "What a dream:",
    "Congratulations!",
    "How lovely:",
    "Perfect!",
    "Amazing work:",
    "Superb:",
    "Thanks a lot!",
]
SARCASM = [
    "it broke after two days.",
    "the {p} died before breakfast.",
    "the handle fell off on the first day.",
    "now I have a {p} that does nothing.",
    "it leaks all over my table.",
    "I can throw the {p} away after a week.",
    "my new {p} sounds like a truck.",
    "the lid does not even close.",
    "it burns everything I put in.",
    "the {p} has more scratches than my old car.",
    "it stopped after an hour.",
    "half of the parts are missing.",
]
TAILS = [
    "I am so impressed.",
    "Ten out of ten.",
    "What a bargain.",
    "I could not be happier.",
    "Money well spent.",
    "",
    "",
    "",
]
JOINS = [" But ", " On the other hand, ", " Still, ", " Sadly, ", " However, ", " Then again: "]
NEUTRAL = [
    "I bought the {p} on {d}.",
    "I ordered it for {f}.",
    "My order was {o}.",
    "It came to {c}.",
    "It cost {a}.",
    "",
    "",
    "",
    "",
    "",
]
SENTENCE = "The sentiment of this review is {label}."


def _lower(sentence: str) -> str:
    return sentence if sentence.startswith("I ") else sentence[0].lower() + sentence[1:]


class Sentiment:
    name = "sentiment"
    copies = False

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        return label_plan(
            world,
            words,
            tier,
            name="sentiment",
            noun=world.rng.choice(["review", "text", "comment"]),
            it="it_review",
            labels=LABELS,
            aliases=ALIASES,
            key=world.rng.choice(["sentiment", "label", "mood"]),
        )

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        slots = {
            "p": world.product(),
            "o": world.order(),
            "a": world.amount(),
            "c": world.city(),
            "d": world.date().short,
            "f": world.first_name(),
        }
        label = rng.choice(
            ["positive", "positive", "negative", "negative", "sarcastic", "sarcastic", "mixed", "mixed"]
        )
        naive = truth = label
        tags = [label]
        if label == "sarcastic":
            truth, naive = "negative", "positive"
            tags = ["sarcasm"]
            parts = [f"{rng.choice(PRAISE)} {rng.choice(SARCASM)}", rng.choice(TAILS)]
            parts[0] = parts[0].replace("! ", "! ", 1)
        elif label == "mixed":
            good, bad = rng.choice(GOOD), rng.choice(BAD)
            first, second = (good, bad) if rng.random() < 0.5 else (bad, good)
            join = rng.choice(JOINS[:2] + JOINS[4:] if first == bad else JOINS)
            parts = [first + join + _lower(second)]
        else:
            parts = rng.sample(GOOD if label == "positive" else BAD, rng.choice([1, 2, 2, 3]))
        note = rng.choice(NEUTRAL)
        parts.insert(rng.choice([0, len(parts)]), note)
        text = " ".join(part for part in parts if part).format(**slots)
        if rng.random() < 0.15:
            text = add_typos(text, rng, rng.randint(1, 2))
            tags.append("typo")
        # a review with a note on its purchase reads like a letter: the bare question gets a sentence back
        return Item(text, {"label": truth, "naive": naive, "wordy": bool(note)}, tuple(tags))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        return label_answer(plan, item, shots, SENTENCE)
