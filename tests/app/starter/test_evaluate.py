"""The evaluation: fixed items, exact match, and a table that a perfect and a wrong answerer can be told apart by."""

from __future__ import annotations

from app.starter.evaluate import (
    QUADRANTS,
    TIERS,
    WEAK_FAMILIES,
    draw_held_out,
    measure_weak_wordings,
    score_held_out,
    summarise_accuracies,
    weak_prompts,
)
from app.starter.families import FAMILIES
from app.starter.wordings import load_wordings


def test_items_are_the_same_every_time_and_differ_between_quadrants() -> None:
    one = draw_held_out(5)
    assert one == draw_held_out(5)
    assert len(one) == 5 * len(FAMILIES) * len(QUADRANTS)
    assert len({item.messages[-1]["content"] for item in one}) == len(one)


def test_a_perfect_answerer_scores_everything_and_a_talker_nothing() -> None:
    drawn = draw_held_out(10, ["route", "lookup"])
    perfect = summarise_accuracies(score_held_out(drawn, [f" {item.answer}\n" for item in drawn]))
    talking = summarise_accuracies(score_held_out(drawn, [f"I think {item.answer}" for item in drawn]))
    assert all(cell["rate"] == 1.0 for row in perfect.values() for cell in row.values())
    assert all(cell["correct"] == 0 for row in talking.values() for cell in row.values())
    assert set(perfect["route"]) == set(QUADRANTS)


def test_unseen_wordings_use_an_unseen_ask() -> None:
    asks = load_wordings()["spam_ask"]
    seen = [ask.partition("{it}")[0] for ask in asks["seen"] if ask.partition("{it}")[0]]
    for item in draw_held_out(40, ["spam"]):
        if item.quadrant.startswith("unseen wording"):
            text = " ".join(message["content"] for message in item.messages)
            assert not any(start in text for start in seen if len(start) > 8)


def test_weak_prompts_grow_from_bare_to_explained_and_are_scored_by_the_true_answer() -> None:
    for name in WEAK_FAMILIES:
        prompts = weak_prompts(name)
        assert tuple(prompts) == TIERS
        assert len({plan.instruction for plan in prompts.values()}) == 3
    tiers = measure_weak_wordings(lambda prompts: ["billing"] * len(prompts), 60, ["route"])
    assert [tier.tier for tier in tiers] == list(TIERS)
    assert len({tier.correct for tier in tiers}) == 1
    assert [tier.p_value for tier in tiers] == [None, 1.0, 1.0]
