"""The prompts of the demo workspace: versions that differ in what they tell, and therefore in what they score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TEAMS = "billing, delivery, returns, technical or account"
ROUTE_RULE = (
    "You route tickets of a small shop. Which team should handle the ticket? "
    f"If there are several topics, choose what the customer wants now. Answer with one word: {TEAMS}."
)
ROUTE_EXAMPLES = (
    ("The parcel came late, but it is here now. My question today: I cannot log in.", "account"),
    ("How do I return the paper lamp? By the way: You have unlocked my account, thank you.", "returns"),
    ("Hello, the wrong invoice is corrected by now, thanks. But the Talvo 30 does not turn on.", "technical"),
)


@dataclass(frozen=True)
class DemoPrompt:
    """One version of a demo prompt. ``label`` is put on it when it is not empty."""

    name: str
    content: dict[str, Any]
    note: str
    label: str = ""


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


SHORT, LONG = {"max_tokens": 32}, {"max_tokens": 160}

DEMO_PROMPTS: tuple[DemoPrompt, ...] = (
    DemoPrompt(
        "route-ticket",
        {
            "messages": user("Which team should handle this ticket?\n\nTicket: {{ ticket }}"),
            "sampling": SHORT,
        },
        "the bare question",
    ),
    DemoPrompt(
        "route-ticket",
        {
            "messages": user(
                f"Which team should handle this ticket? Answer with one word: {TEAMS}.\n\nTicket: {{{{ ticket }}}}"
            ),
            "sampling": SHORT,
        },
        "names the teams",
        "production",
    ),
    DemoPrompt(
        "route-ticket",
        {
            "messages": [{"role": "system", "content": ROUTE_RULE}, *user("Ticket: {{ ticket }}")],
            "few_shot": [{"user": f"Ticket: {ticket}", "assistant": team} for ticket, team in ROUTE_EXAMPLES],
            "sampling": SHORT,
        },
        "says what counts when there are two topics, with three examples",
    ),
    DemoPrompt(
        "extract-order",
        {
            "messages": user("Extract the order from this message as JSON.\n\nMessage: {{ message }}"),
            "sampling": LONG,
        },
        "asks for JSON",
    ),
    DemoPrompt(
        "extract-order",
        {
            "messages": user(
                "Extract the order from this message as JSON. Use the keys customer, product, quantity and city. "
                "Write the quantity as a number.\n\nMessage: {{ message }}"
            ),
            "sampling": LONG,
        },
        "names the keys and how to write the quantity",
        "production",
    ),
)
