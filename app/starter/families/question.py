"""Answer a question over a paragraph of facts, or say that the text does not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.starter.families.base import BARE, EXPLAINED, Item, Plan, instruct, pick_tier
from app.starter.wordings import Words
from app.starter.world import World

FALLBACKS = ("not stated", "unknown", "not given", "no answer", "not in the text", "n/a", "missing")
UNSTATED_SENTENCE = "The text does not say."
TEAMS = ("billing", "delivery", "returns", "technical", "account")
MATERIALS = ("wood", "steel", "cotton", "glass", "plastic", "leather", "paper", "wool", "stone", "rubber")
REASONS = (
    "it was too small",
    "it was broken",
    "the colour was wrong",
    "it was too loud",
    "it came too late",
    "it had a scratch",
)
PAYMENTS = ("card", "bank transfer", "cash", "voucher", "invoice")


@dataclass(frozen=True)
class Fact:
    """One sentence and the questions that it answers, each with its answer."""

    sentence: str
    questions: tuple[tuple[str, str], ...]


def _days(world: World) -> str:
    return f"{world.rng.randint(2, 60)} days"


def _lives(w: World, n: str, p: str, c: str) -> Fact:
    s = w.rng.choice([f"{n} lives in {c}.", f"{n} comes from {c}.", f"The home of {n} is in {c}."])
    return Fact(
        s, ((f"Where does {n} live?", c), (f"In which city does {n} live?", c), (f"Who lives in {c}?", n))
    )


def _ordered(w: World, n: str, p: str, c: str) -> Fact:
    d = w.date().short
    s = w.rng.choice(
        [f"{n} ordered the {p} on {d}.", f"On {d}, {n} ordered the {p}.", f"{n} bought the {p} on {d}."]
    )
    return Fact(
        s,
        (
            (f"What did {n} order?", f"the {p}"),
            (f"When did {n} order the {p}?", d),
            (f"Who ordered the {p}?", n),
            (f"On which day did {n} place the order?", d),
        ),
    )


def _number(w: World, n: str, p: str, c: str) -> Fact:
    o = w.order()
    s = w.rng.choice(
        [f"The order number of {n} is {o}.", f"{n} has the order number {o}.", f"Order {o} belongs to {n}."]
    )
    return Fact(
        s,
        (
            (f"What is the order number of {n}?", o),
            (f"Which order number does {n} have?", o),
            (f"Whose order is {o}?", n),
        ),
    )


def _paid(w: World, n: str, p: str, c: str) -> Fact:
    a, how = w.amount(), w.rng.choice(PAYMENTS)
    s = w.rng.choice([f"{n} paid {a} by {how}.", f"By {how}, {n} paid {a}."])
    return Fact(
        s,
        (
            (f"How much did {n} pay?", a),
            (f"How did {n} pay?", how),
            (f"What did {n} pay?", a),
            (f"Who paid {a}?", n),
        ),
    )


def _price(w: World, n: str, p: str, c: str) -> Fact:
    a = w.amount()
    s = w.rng.choice([f"The {p} costs {a}.", f"The price of the {p} is {a}.", f"You pay {a} for the {p}."])
    return Fact(
        s,
        (
            (f"How much does the {p} cost?", a),
            (f"What is the price of the {p}?", a),
            (f"What costs {a}?", f"the {p}"),
        ),
    )


def _material(w: World, n: str, p: str, c: str) -> Fact:
    m = w.rng.choice(MATERIALS)
    s = w.rng.choice([f"The {p} is made of {m}.", f"The {p} consists of {m}."])
    return Fact(s, ((f"What is the {p} made of?", m), (f"Which material is the {p} made of?", m)))


def _warranty(w: World, n: str, p: str, c: str) -> Fact:
    t = f"{w.rng.randint(2, 9)} {w.rng.choice(['years', 'months'])}"
    s = w.rng.choice([f"The warranty of the {p} is {t}.", f"The {p} has a warranty of {t}."])
    return Fact(s, ((f"How long is the warranty of the {p}?", t), (f"What warranty does the {p} have?", t)))


def _maker(w: World, n: str, p: str, c: str) -> Fact:
    b = w.brand()
    s = w.rng.choice([f"The {p} is made by {b}.", f"{b} makes the {p}.", f"The maker of the {p} is {b}."])
    return Fact(
        s,
        (
            (f"Who makes the {p}?", b),
            (f"Which company makes the {p}?", b),
            (f"What does {b} make?", f"the {p}"),
        ),
    )


def _stock(w: World, n: str, p: str, c: str) -> Fact:
    k = w.number(1, 3)
    s = w.rng.choice(
        [f"There are {k} pieces of the {p} in stock.", f"We have {k} pieces of the {p} in stock."]
    )
    return Fact(
        s, ((f"How many pieces of the {p} are in stock?", k), (f"How many of the {p} do we have?", k))
    )


def _shipping(w: World, n: str, p: str, c: str) -> Fact:
    t = _days(w)
    s = w.rng.choice([f"Delivery to {c} takes {t}.", f"A parcel to {c} takes {t}."])
    return Fact(
        s, ((f"How long does delivery to {c} take?", t), (f"How many days does a parcel to {c} take?", t))
    )


def _shipping_cost(w: World, n: str, p: str, c: str) -> Fact:
    a = w.amount()
    return Fact(
        f"Shipping to {c} costs {a}.",
        ((f"How much is shipping to {c}?", a), (f"What does shipping to {c} cost?", a)),
    )


def _carrier(w: World, n: str, p: str, c: str) -> Fact:
    b = w.brand()
    s = w.rng.choice([f"Parcels to {c} go with {b}.", f"{b} carries the parcels to {c}."])
    return Fact(s, ((f"Which carrier takes parcels to {c}?", b), (f"Who carries parcels to {c}?", b)))


def _team(w: World, n: str, p: str, c: str) -> Fact:
    t = w.rng.choice(TEAMS)
    return Fact(
        f"{n} works in the {t} team.",
        ((f"In which team does {n} work?", t), (f"Which team does {n} work in?", t)),
    )


def _returned(w: World, n: str, p: str, c: str) -> Fact:
    r = w.rng.choice(REASONS)
    return Fact(
        f"{n} returned the {p} because {r}.",
        (
            (f"Why did {n} return the {p}?", r),
            (f"What did {n} return?", f"the {p}"),
            (f"Who returned the {p}?", n),
        ),
    )


def _policy(w: World, n: str, p: str, c: str) -> Fact:
    t = _days(w)
    s = w.rng.choice([f"Goods can be returned within {t}.", f"You may return goods within {t}."])
    return Fact(s, (("Within which time can goods be returned?", t), ("How long can goods be returned?", t)))


def _contact(w: World, n: str, p: str, c: str) -> Fact:
    e = w.email()
    return Fact(
        f"Questions go to {e}.", (("Where do questions go?", e), ("Which email address takes questions?", e))
    )


def _phone(w: World, n: str, p: str, c: str) -> Fact:
    t = w.phone()
    s = w.rng.choice([f"The phone number of {n} is {t}.", f"{n} can be called at {t}."])
    return Fact(s, ((f"What is the phone number of {n}?", t), (f"At which number can {n} be called?", t)))


def _sent(w: World, n: str, p: str, c: str) -> Fact:
    o, d = w.order(), w.date().short
    return Fact(
        f"Order {o} was sent on {d}.",
        ((f"When was order {o} sent?", d), (f"Which order was sent on {d}?", o)),
    )


def _hours(w: World, n: str, p: str, c: str) -> Fact:
    a, b = w.rng.randint(6, 11), w.rng.randint(15, 22)
    return Fact(
        f"The shop in {c} is open from {a} to {b}.",
        ((f"When does the shop in {c} open?", str(a)), (f"When does the shop in {c} close?", str(b))),
    )


Maker = Callable[[World, str, str, str], Fact]
KINDS: tuple[Maker, ...] = (
    _lives,
    _ordered,
    _number,
    _paid,
    _price,
    _material,
    _warranty,
    _maker,
    _stock,
    _shipping,
    _shipping_cost,
    _carrier,
    _team,
    _returned,
    _policy,
    _contact,
    _phone,
    _sent,
    _hours,
)
# Facts whose question no other kind of fact can half answer, so that "not stated" is beyond doubt.
SAFE_TO_MISS: tuple[Maker, ...] = (
    _lives,
    _number,
    _material,
    _warranty,
    _maker,
    _stock,
    _shipping,
    _carrier,
    _team,
    _phone,
)
FILLERS = (
    "The shop is small.",
    "The weather was bad that week.",
    "Everybody was friendly.",
    "This is an old note.",
    "",
    "",
    "",
    "",
)


class Question:
    name = "question"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        rng = world.rng
        chosen = BARE if pick_tier(rng, tier, bare=0.18, listed=0.0) == BARE else EXPLAINED
        ask = words.ask("question").format(it=words.part("it_text"))
        if chosen == BARE:
            return Plan(instruct(words, ask), "text", "sentence", BARE, {"fallback": UNSTATED_SENTENCE})
        fallback = rng.choice(FALLBACKS)
        parts = [words.part("value_only"), words.part("question_fallback").format(fallback=fallback)]
        rng.shuffle(parts)
        return Plan(instruct(words, ask, *parts), "text", "value", EXPLAINED, {"fallback": fallback})

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        people = [world.first_name()]
        while len(people) < 3:
            other = world.first_name()
            if other not in people:
                people.append(other)
        products, cities = world.products(3), [world.city() for _ in range(3)]
        count = rng.randint(2, 6)
        kinds = rng.sample(KINDS, count)
        if kinds[0] not in (_policy, _contact) and rng.random() < 0.55:
            kinds[0:2] = [
                kinds[0],
                kinds[0],
            ]  # the same fact about somebody else: the question must tell them apart
        used: dict[Maker, int] = {}
        facts: list[Fact] = []
        for kind in kinds:
            turn = used.get(kind, 0)
            used[kind] = turn + 1
            facts.append(kind(world, people[turn], products[turn], cities[turn]))
        asked = facts[rng.randrange(len(facts))] if rng.random() < 0.5 else facts[0]
        question, answer = rng.choice(asked.questions)
        sentence = asked.sentence
        stated = True
        if rng.random() < 0.22:
            missing = rng.choice(SAFE_TO_MISS)
            turn = used.get(missing, 0)
            if turn < 3:
                question = rng.choice(
                    missing(world, people[turn], products[turn], cities[turn]).questions[:1]
                )[0]
                stated = False
        rng.shuffle(facts)
        sentences = [fact.sentence for fact in facts]
        sentences.insert(rng.randint(0, len(sentences)), rng.choice(FILLERS))
        text = " ".join(part for part in sentences if part)
        label = rng.choice(["Question:", "Question:", "Q:", "The question is:"])
        block = f"{text}\n{label} {question}" if rng.random() < 0.8 else f"{label} {question}\n{text}"
        facts_out = {"value": answer, "sentence": sentence, "stated": stated}
        return Item(block, facts_out, ("stated",) if stated else ("not-stated",))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        if not item.facts["stated"]:
            return str(plan.data["fallback"])
        return str(item.facts["sentence"] if plan.form == "sentence" else item.facts["value"])
