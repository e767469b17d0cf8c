"""Lays a plan, its shots and one item out as chat messages, in the many ways that people write prompts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from app.starter.families.base import Item, Plan
from app.starter.wordings import Words

Message = dict[str, str]
WRAPS = ("plain", "plain", "labelled", "labelled", "labelled", "quotes", "fence", "tags", "hashes")


@dataclass(frozen=True)
class Layout:
    """Where the instruction stands and how the text is set apart."""

    place: str  # first, last or system
    wrap: str
    cue: bool  # ends with "Answer:"
    shots_as_turns: bool
    system: str


def draw_layout(rng: random.Random, words: Words) -> Layout:
    place = rng.choice(["first", "first", "first", "last", "system"])
    system = words.part("system") if rng.random() < 0.25 else ""
    return Layout(place, rng.choice(WRAPS), rng.random() < 0.2, rng.random() < 0.5, system)


def wrap_text(text: str, noun: str, wrap: str) -> str:
    if wrap == "labelled":
        return f"{noun.capitalize()}:{chr(10) if chr(10) in text else ' '}{text}"
    if wrap == "quotes":
        return f'"{text}"'
    if wrap == "fence":
        return f'"""\n{text}\n"""'
    if wrap == "tags":
        return f"<{noun}>\n{text}\n</{noun}>" if "\n" in text else f"<{noun}>{text}</{noun}>"
    return f"### {noun.capitalize()}\n{text}" if wrap == "hashes" else text


def lay_out(plan: Plan, item: Item, shots: Sequence[tuple[Item, str]], layout: Layout) -> list[Message]:
    """The messages up to the answer: optional system, shots as turns or text, and the user's message."""
    place = "first" if shots and layout.place == "last" else layout.place
    system = layout.system
    if place == "system":
        system = f"{system} {plan.instruction}".strip()
    cue = "\nAnswer:" if layout.cue or (shots and not layout.shots_as_turns) else ""

    def ask(one: Item, with_instruction: bool) -> str:
        block = wrap_text(one.text, plan.noun, layout.wrap)
        if place == "last":
            return f"{block}\n\n{plan.instruction}{cue}"
        gap = "\n\n" if layout.wrap != "plain" or "\n" in one.text else "\n"
        return (f"{plan.instruction}{gap}" if with_instruction and place == "first" else "") + block + cue

    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    if shots and not layout.shots_as_turns:
        examples = [f"{ask(one, False)} {answer}" for one, answer in shots]
        body = "\n\n".join([*examples, ask(item, False)])
        head = f"{plan.instruction}\n\n" if place == "first" else ""
        return [*messages, {"role": "user", "content": head + body}]
    for number, (one, answer) in enumerate(shots):
        messages += [
            {"role": "user", "content": ask(one, number == 0)},
            {"role": "assistant", "content": answer},
        ]
    return [*messages, {"role": "user", "content": ask(item, not shots)}]
