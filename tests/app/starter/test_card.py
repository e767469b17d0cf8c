"""The card says what was measured, and says what falls short."""

from __future__ import annotations

from pathlib import Path

from app.starter.card import write_card
from app.starter.evaluate import (
    draw_held_out,
    measure_weak_wordings,
    score_held_out,
    summarise_accuracies,
    summarise_tiers,
)


def summary(wrong_family: str) -> dict[str, object]:
    drawn = draw_held_out(4)
    answers = ["no idea" if item.family == wrong_family else item.answer for item in drawn]
    tiers = measure_weak_wordings(lambda prompts: ["billing"] * len(prompts), 10)
    figures = {
        "accuracy": summarise_accuracies(score_held_out(drawn, answers)),
        "wordings": summarise_tiers(tiers),
        "own_words": {"items": 30, "correct": 16},
    }
    return {"weights": "x", "items": 4, "formats": {"gguf": figures}, "training": None}


def test_a_family_below_ninety_percent_is_named(tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "starter-q8_0.gguf").write_bytes(b"GGUF")
    card = tmp_path / "MODEL_CARD.md"
    write_card(card, summary("question"), tmp_path)
    text = card.read_text(encoding="utf-8")
    short = text.partition("## What falls short")[2].partition("##")[0]
    assert "Below it: question 0.0 %" in short
    assert "12 of 13 families" in short
    assert "16 of 30 (gguf)" in short
    assert text.count("| route |") == 4
