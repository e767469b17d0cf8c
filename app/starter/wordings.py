"""Reads the frozen wordings file and draws instruction parts from its seen or unseen half."""

from __future__ import annotations

import functools
import random
import tomllib
from importlib import resources

UNSEEN_PART_SHARE = 0.5
CLAUSE_SHARE = 0.35
KEPT_WORDS = ("not", "no", "sentence", "JSON", "capitals", "capital", "CAPITALS", "dash", "dashes", "commas")
"""Words that no answer can do without: dropping one would change what is asked for."""


@functools.cache
def load_wordings() -> dict[str, dict[str, list[str]]]:
    """The frozen wordings: section to ``seen`` and ``unseen`` phrases."""
    text = resources.files("app.starter").joinpath("wordings.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


class Words:
    """Draws phrases; an unseen wording has an unseen ask and, half of the time each, other unseen parts.

    ``dropped_words`` is the share of phrases that lose one word, which only training asks for.
    """

    def __init__(self, rng: random.Random, unseen: bool = False, dropped_words: float = 0.0) -> None:
        self.rng = rng
        self.unseen = unseen
        self.dropped_words = dropped_words
        self._sections = load_wordings()

    def ask(self, family: str) -> str:
        """An ask of ``family``: a whole one, or a lead with a clause where the family has clauses."""
        half = "unseen" if self.unseen else "seen"
        clauses = self._sections.get(f"{family}_clause")
        if clauses is not None and self.rng.random() < CLAUSE_SHARE:
            lead = self.rng.choice(self._sections["lead"][half])
            return self._drop_word(lead.replace("{clause}", self.rng.choice(clauses[half])))
        return self._drop_word(self.rng.choice(self._sections[f"{family}_ask"][half]))

    def part(self, section: str) -> str:
        held_out = self.unseen and self.rng.random() < UNSEEN_PART_SHARE
        phrase = self.rng.choice(self._sections[section]["unseen" if held_out else "seen"])
        return phrase if section == "openers" else self._drop_word(phrase)

    def _drop_word(self, phrase: str) -> str:
        """Sometimes without one of its words, never one that holds a slot, a key or the form of a date."""
        if self.dropped_words == 0.0 or self.rng.random() >= self.dropped_words:
            return phrase
        words = phrase.split(" ")
        plain = [place for place, word in enumerate(words) if word.strip(".,:?!").isalpha()]
        plain = [place for place in plain if words[place] not in KEPT_WORDS]
        if len(words) < 3 or not plain:
            return phrase
        gone = self.rng.choice(plain)
        return " ".join(word for place, word in enumerate(words) if place != gone)
