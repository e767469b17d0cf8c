"""The bookkeeping of a blind choice: which case is next, which side is whose, and what came out."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.prompts.statistics import p_text, preference
from widgets.units import percent

Choice = Literal["left", "right", "equal"]


@dataclass(frozen=True)
class Pairing:
    """One case to judge. `swapped` puts the second subject's answer on the left."""

    position: int
    swapped: bool


@dataclass(frozen=True)
class BlindChoices:
    """Two subjects (`a`, `b`) over the cases where their answers differ; `chosen` grows with every key."""

    a: str
    b: str
    pairings: tuple[Pairing, ...]
    alike: int
    """Cases left out because both answers are the same: there is nothing to prefer."""
    chosen: tuple[Choice, ...] = ()

    @property
    def at(self) -> Pairing | None:
        """The case to judge now; None when all are judged."""
        return self.pairings[len(self.chosen)] if len(self.chosen) < len(self.pairings) else None

    def choose(self, choice: Choice) -> "BlindChoices":
        """The state after one more choice; unchanged when all are judged."""
        return self if self.at is None else replace(self, chosen=(*self.chosen, choice))

    def undo(self) -> "BlindChoices":
        """The state before the last choice."""
        return replace(self, chosen=self.chosen[:-1])

    def counts(self) -> tuple[int, int, int]:
        """How often a was better, how often b, and how often neither."""
        winners = [
            None if choice == "equal" else (choice == "left") == pairing.swapped
            for pairing, choice in zip(self.pairings, self.chosen, strict=False)
        ]
        return winners.count(False), winners.count(True), winners.count(None)


def pair_up(
    a: str, b: str, answers: Sequence[tuple[int, str, str]], seed: int, *, shuffle_cases: bool = True
) -> BlindChoices:
    """Shuffle cases and sides. `answers` are (position, a's answer, b's answer); equal ones are left out."""
    chance = random.Random(seed)
    differing = [position for position, left, right in answers if left.strip() != right.strip()]
    if shuffle_cases:
        chance.shuffle(differing)
    pairings = tuple(Pairing(position, chance.random() < 0.5) for position in differing)
    return BlindChoices(a, b, pairings, len(answers) - len(differing))


def outcome(choices: BlindChoices) -> list[str]:
    """What came out, names included, as sentences. The share counts only cases with a preference."""
    a_better, b_better, equal = choices.counts()
    decided = a_better + b_better
    if not decided:
        return [f"{choices.a} and {choices.b}: no preference in {equal} judged cases."]
    share, low, high, p = preference(a_better, b_better)
    judged = decided + equal
    lines = [
        f"{choices.b} was better in {b_better}, {choices.a} in {a_better}, neither in {equal} of {judged} cases.",
        f"Where you had a preference it was {choices.b} in {percent(share)} "
        f"({low * 100:.0f}–{high * 100:.0f} %), p {p_text(p)}.",
    ]
    if p <= 0.05:
        lines.append(f"That is more than chance: you prefer {choices.b if share > 0.5 else choices.a}.")
    else:
        lines.append("That can be chance: no preference is settled.")
    if choices.alike:
        lines.append(f"{choices.alike} more cases have the same answer on both sides and were not shown.")
    return lines
