"""What the training stream holds when: three phases, each a mix of the families and how examples are weighed.

A phase begins at a block of batches, so that the stream stays a function of the seed and the batch number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SHORT_ANSWER, MOST_WEIGHT = 24, 3.0


@dataclass(frozen=True)
class Phase:
    """``mix`` is each family's share of the examples. ``dropped_words`` is the share of phrases of an instruction
    that lose one word, so that no single word carries its meaning."""

    first_block: int
    mix: Mapping[str, float]
    short_answers_count: bool
    dropped_words: float

    def answer_weight(self, tokens: int) -> float:
        """The loss weight of an answer of ``tokens`` tokens.

        A label is 3 of the 18 tokens of the average answer; weighed alike, labels would hardly count.
        """
        return min(MOST_WEIGHT, max(1.0, SHORT_ANSWER / tokens)) if self.short_answers_count else 1.0


COPYING_FIRST = Phase(
    first_block=0,
    mix={
        "sentiment": 1.0,
        "route": 1.2,
        "urgency": 1.0,
        "spam": 0.5,
        "extract": 1.4,
        "lookup": 1.2,
        "question": 1.7,
        "list": 0.8,
        "date": 0.8,
        "reply": 0.7,
        "summary": 0.7,
        "repeat": 0.7,
        "after": 0.7,
    },
    short_answers_count=False,
    dropped_words=0.0,
)
LABELS_TOO = Phase(
    first_block=41,  # copying has arrived: fewer drills, and short answers begin to count
    mix={
        "sentiment": 1.5,
        "route": 2.2,
        "urgency": 1.4,
        "spam": 0.4,
        "extract": 1.6,
        "lookup": 1.4,
        "question": 2.4,
        "list": 0.9,
        "date": 0.6,
        "reply": 0.5,
        "summary": 0.5,
        "repeat": 0.35,
        "after": 0.8,
    },
    short_answers_count=True,
    dropped_words=0.0,
)
HARDEST_LAST = Phase(
    first_block=88,  # labels are learned: what is left is to find the right one of several like things
    mix={
        "sentiment": 0.8,
        "route": 1.1,
        "urgency": 0.7,
        "spam": 0.3,
        "extract": 2.6,
        "lookup": 3.0,
        "question": 3.6,
        "list": 1.4,
        "date": 0.4,
        "reply": 0.4,
        "summary": 0.4,
        "repeat": 0.6,
        "after": 1.2,
    },
    short_answers_count=True,
    dropped_words=0.3,
)
PHASES = (COPYING_FIRST, LABELS_TOO, HARDEST_LAST)


def phase_of(block: int) -> Phase:
    """The phase that a block of batches belongs to."""
    return max((phase for phase in PHASES if phase.first_block <= block), key=lambda phase: phase.first_block)
