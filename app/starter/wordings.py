"""Reads the frozen wordings file and draws instruction parts from its seen or unseen half."""

from __future__ import annotations

import functools
import random
import tomllib
from importlib import resources

UNSEEN_PART_SHARE = 0.5
CLAUSE_SHARE = 0.35


@functools.cache
def load_wordings() -> dict[str, dict[str, list[str]]]:
    """The frozen wordings: section to ``seen`` and ``unseen`` phrases."""
    text = resources.files("app.starter").joinpath("wordings.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


class Words:
    """Draws phrases; an unseen wording has an unseen ask and, half of the time each, other unseen parts."""

    def __init__(self, rng: random.Random, unseen: bool = False) -> None:
        self.rng = rng
        self.unseen = unseen
        self._sections = load_wordings()

    def ask(self, family: str) -> str:
        """An ask of ``family``: a whole one, or a lead with a clause where the family has clauses."""
        half = "unseen" if self.unseen else "seen"
        clauses = self._sections.get(f"{family}_clause")
        if clauses is not None and self.rng.random() < CLAUSE_SHARE:
            lead = self.rng.choice(self._sections["lead"][half])
            return lead.replace("{clause}", self.rng.choice(clauses[half]))
        return self.rng.choice(self._sections[f"{family}_ask"][half])

    def part(self, section: str) -> str:
        held_out = self.unseen and self.rng.random() < UNSEEN_PART_SHARE
        return self.rng.choice(self._sections[section]["unseen" if held_out else "seen"])
