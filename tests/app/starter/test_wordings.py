"""The frozen wordings: what is held out is held out."""

from __future__ import annotations

import random

import pytest

from app.starter.families import EXPLAINED, FAMILIES
from app.starter.wordings import Words, load_wordings
from app.starter.world import World

SECTIONS = load_wordings()


@pytest.mark.parametrize("section", SECTIONS)
def test_no_phrase_is_both_seen_and_unseen(section: str) -> None:
    seen, unseen = (
        {phrase.lower().strip(" .?!") for phrase in SECTIONS[section][half] if phrase}
        for half in ("seen", "unseen")
    )
    assert seen
    assert unseen
    assert not seen & unseen


@pytest.mark.parametrize("name", FAMILIES)
def test_no_unseen_instruction_can_be_put_together_from_seen_parts(name: str) -> None:
    def instructions(unseen: bool) -> set[str]:
        rng = random.Random(2)
        family, words = FAMILIES[name], Words(rng, unseen)
        return {family.plan(World(rng), words, EXPLAINED).instruction for _ in range(400)}

    assert not instructions(True) & instructions(False)


def test_every_family_has_hundreds_of_seen_wordings() -> None:
    for name, family in FAMILIES.items():
        rng = random.Random(4)
        words = Words(rng)
        found = {family.plan(World(rng), words, EXPLAINED).instruction for _ in range(1000)}
        assert len(found) > 200, name


def test_training_may_lose_one_word_of_a_phrase_but_never_a_slot() -> None:
    whole, lossy = Words(random.Random(3)), Words(random.Random(3), dropped_words=1.0)
    for section in ("lookup", "after", "list", "extract"):
        for _ in range(100):
            phrase = lossy.ask(section)
            known = SECTIONS[f"{section}_ask"]["seen"]
            assert all(slot in phrase for slot in ("{it}",) if all(slot in ask for ask in known))
    assert len(whole.part("value_only").split()) >= 3
    shorter = {lossy.part("value_only") for _ in range(200)} - set(SECTIONS["value_only"]["seen"])
    assert len(shorter) > 10
