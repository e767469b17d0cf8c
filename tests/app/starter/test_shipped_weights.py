"""The weights that ship: small, the same in both formats, and as good as their card says."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.starter.answering import answer_with_gguf
from app.starter.evaluate import draw_held_out, score_held_out
from app.starter.export import compare_formats
from app.starter.weights import SHIPPED


@pytest.fixture
def shipped(starter_gguf: Path) -> Path:
    return starter_gguf.parent


def test_the_weights_are_under_twenty_megabytes(shipped: Path) -> None:
    assert shipped == SHIPPED
    assert sum(file.stat().st_size for file in shipped.rglob("*") if file.is_file()) < 20_000_000


def test_both_formats_tokenize_alike_and_choose_alike(shipped: Path) -> None:
    agreement = compare_formats(shipped, examples=20)
    assert agreement.token_mismatches == 0
    assert agreement.same_argmax > 0.97 * agreement.positions


def test_the_starter_does_what_the_demo_asks_of_it(shipped: Path) -> None:
    drawn = draw_held_out(10, ["extract", "lookup", "route"])
    answers = answer_with_gguf(shipped / "starter-q8_0.gguf", [item.messages for item in drawn])
    correct = sum(accuracy.correct for accuracy in score_held_out(drawn, answers))
    assert correct > 0.8 * len(drawn)


def test_the_card_is_beside_the_weights(shipped: Path) -> None:
    card = (shipped / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "## What falls short" in card
    assert "lathe run starter.train" in card
