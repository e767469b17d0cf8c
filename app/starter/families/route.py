"""Route a ticket to a team; a ticket with two topics goes to the team of the open request."""

from __future__ import annotations

from app.starter.families.base import Item, Plan
from app.starter.families.labels import label_answer, label_plan
from app.starter.wordings import Words
from app.starter.world import World, add_typos

TEAMS = ("billing", "delivery", "returns", "technical", "account")
ALIASES = {
    "billing": ("payments", "invoices", "accounting"),
    "delivery": ("shipping", "logistics", "parcels"),
    "returns": ("refunds", "exchange"),
    "technical": ("support", "repair", "product help"),
    "account": ("login", "profile", "customer data"),
}

# {p} product, {o} order number, {a} amount, {c} city, {d} date
REQUESTS = {
    "billing": [
        "I was charged twice for the {p}.",
        "The invoice for the {p} shows {a}, but I agreed to less.",
        "Please send me an invoice for the {p}.",
        "My card was charged {a} and I do not know why.",
        "Why did you take {a} from my card?",
        "The discount code did not come off the price of the {p}.",
        "I paid {a} but the bill says that it is still open.",
        "Can I pay for the {p} in three parts?",
        "I need a receipt for {a} for my tax office.",
        "There is a fee of {a} on my bill that nobody told me about.",
        "The payment for the {p} failed, yet the money is gone.",
        "You billed me for two pieces and I bought one {p}.",
        "Please correct the company name on the invoice.",
        "The price on my bill is not the price on your page.",
        "I want to know why the total is {a}.",
        "Do you take bank transfers for the {p}?",
    ],
    "delivery": [
        "Where is my {p}?",
        "The {p} has not arrived yet.",
        "When will the {p} get here?",
        "The tracking page has shown nothing since {d}.",
        "The driver left the parcel in {c}, which is the wrong town.",
        "Can you send the {p} to {c} instead?",
        "My parcel is still on the way after two weeks.",
        "Nobody rang the bell and the parcel went back to the depot.",
        "Please tell me when the courier comes.",
        "The {p} was to be here on {d} and I still wait.",
        "The parcel seems to be lost between you and {c}.",
        "Can I change the day on which the parcel comes?",
        "Do you ship the {p} to {c}?",
        "The tracking number that you gave me does not work.",
        "How long does shipping to {c} take?",
        "The carrier says that it never got the parcel.",
    ],
    "returns": [
        "I want to send the {p} back.",
        "How do I return the {p}?",
        "The {p} is too small, I would like to exchange it.",
        "I changed my mind and want to give the {p} back.",
        "Please send me a return label for the {p}.",
        "You sent me the wrong colour, I would like to swap the {p}.",
        "Can I still return something I bought on {d}?",
        "I sent the {p} back and want to know when I get my money for it.",
        "I do not need the {p} any more and want to return it.",
        "I got two {p} and want to send one back.",
        "The {p} does not fit, please exchange it for a larger one.",
        "To which address do I send the {p} that I do not want?",
        "I would like to swap the {p} for another model.",
        "Your page does not let me register a return.",
        "May I return the {p} without its box?",
    ],
    "technical": [
        "The {p} does not turn on.",
        "The {p} stopped working after a day.",
        "How do I set up the {p}?",
        "The {p} makes a strange noise.",
        "The app does not find my {p}.",
        "The screen of the {p} stays black.",
        "Which battery does the {p} need?",
        "The {p} gets very hot when I use it.",
        "I cannot connect the {p} to my phone.",
        "Is there a manual for the {p}?",
        "The {p} shows error {n}.",
        "The button of the {p} is stuck.",
        "How do I clean the {p}?",
        "The {p} switches itself off all the time.",
        "How can I update the {p}?",
        "The light on the {p} blinks red, what does it mean?",
    ],
    "account": [
        "I cannot log in.",
        "I forgot my password.",
        "Please change the email address of my account.",
        "How do I delete my account?",
        "My account is locked.",
        "The link to reset my password does not work.",
        "I want to change my user name.",
        "Somebody else has used my account.",
        "Please remove me from your mailing list.",
        "I have two accounts and want to join them.",
        "Your page says that my password is wrong.",
        "I no longer get the code that I need to sign in.",
        "How can I change my phone number in my profile?",
        "I moved to {c}, please update my profile.",
        "I cannot sign up with my email address.",
        "My profile shows the name of a stranger.",
    ],
}
SETTLED = {
    "billing": [
        "Last month you charged me twice, but that was paid back.",
        "The wrong invoice is corrected by now, thanks.",
        "The problem with my card is solved.",
        "You have already refunded the double charge of {a}.",
        "The bill over {a} was wrong at first and you fixed it.",
        "My payment of {a} went through in the end.",
    ],
    "delivery": [
        "The parcel came late, but it is here now.",
        "The {p} arrived after three weeks, which I can forgive.",
        "The lost parcel has turned up at my neighbour's.",
        "The courier found my house in the end.",
        "Your driver came on {d} as promised.",
        "The tracking did not work for days, but the parcel has arrived.",
    ],
    "returns": [
        "The return of my old {p} went well.",
        "You have taken back the {p}, thank you.",
        "I sent the wrong colour back and have the right one now.",
        "The exchange of the {p} is done.",
        "My last return label worked in the end.",
        "I wanted to return the {p} at first, but I will keep it.",
    ],
    "technical": [
        "The {p} did not start at first, but it works now.",
        "You helped me to set up the {p}, that is done.",
        "The noise of the {p} is gone.",
        "The error of the {p} went away after the update.",
        "I found the manual of the {p} myself.",
        "The {p} is repaired and runs well.",
    ],
    "account": [
        "I could not log in last week, but that works again.",
        "The new password works, thanks.",
        "You have unlocked my account, thank you.",
        "My email address was changed as I asked.",
        "The mess with my two accounts is cleared up.",
        "Signing in was hard, but I managed it.",
    ],
}
LINKS = [
    "Now something else:",
    "But today:",
    "This time:",
    "Now",
    "What I need now:",
    "My question today:",
    "However,",
    "",
    "But",
]
GREETINGS = [
    "Hello,",
    "Hi,",
    "Dear team,",
    "Good morning,",
    "Hi there,",
    "Hello {b} team,",
    "",
    "",
    "",
    "",
    "",
]
CLOSERS = [
    "Thanks, {f}",
    "Best regards, {f}",
    "Thank you.",
    "Please help.",
    "Kind regards, {f}",
    "",
    "",
    "",
    "",
    "{f}",
    "Waiting for your answer.",
    "Can you help me?",
    "I hope you can help.",
    "I am a bit annoyed.",
]
ORDER_NOTES = [
    "Order {o}.",
    "My order number is {o}.",
    "It is about order {o}.",
    "(order {o})",
    "Order number: {o}.",
]
SENTENCE = "This ticket belongs to the {label} team."


class Route:
    name = "route"
    copies = False

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        return label_plan(
            world,
            words,
            tier,
            name="route",
            noun=world.rng.choice(["ticket", "message", "text"]),
            it="it_ticket",
            labels=TEAMS,
            aliases=ALIASES,
            key=world.rng.choice(["team", "label", "department"]),
        )

    def item(self, world: World, plan: Plan) -> Item:
        rng = world.rng
        team = rng.choice(TEAMS)
        slots = {
            "p": world.product(),
            "o": world.order(),
            "a": world.amount(),
            "c": world.city(),
            "d": world.date().short,
            "n": str(rng.randint(2, 99)),
            "b": world.brand(),
            "f": world.first_name(),
        }
        request = rng.choice(REQUESTS[team]).format(**slots)
        naive, tags = team, []
        draw = rng.random()
        body = request
        if draw < 0.46:
            other = rng.choice([t for t in TEAMS if t != team])
            settled = rng.choice(SETTLED[other]).format(**{**slots, "p": world.product()})
            tags.append("two-topics")
            if draw < 0.32:
                naive = other
                tags.append("settled-first")
                link = rng.choice(LINKS)
                lead = link and not link.endswith(":")
                keep = request.startswith(("I ", "I'")) or not lead
                body = f"{settled} {link} {request if keep else request[0].lower() + request[1:]}".replace(
                    "  ", " "
                )
            else:
                body = f"{request} {rng.choice(['By the way: ', 'PS: ', '', ''])}{settled}"
        elif draw < 0.56:
            second = rng.choice(list(REQUESTS[team])).format(**slots)
            body = request if second == request else f"{request} {second}"
        has_order = rng.random() < 0.42
        note = rng.choice(ORDER_NOTES).format(**slots) if has_order else ""
        if has_order:
            tags.append("order-number")
        pieces = [rng.choice(GREETINGS).format(**slots), body, rng.choice(CLOSERS).format(**slots)]
        pieces.insert(rng.choice([1, 2]), note)
        text = " ".join(piece for piece in pieces if piece)
        if rng.random() < 0.15:
            text = add_typos(text, rng, rng.randint(1, 3))
            tags.append("typo")
        return Item(text, {"label": team, "naive": naive, "wordy": has_order}, tuple(tags or ["plain"]))

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        return label_answer(plan, item, shots, SENTENCE)
