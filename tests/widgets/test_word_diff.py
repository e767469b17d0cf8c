"""Word-level differences keep every character of both sides."""

from hypothesis import given
from hypothesis import strategies as st

from widgets.word_diff import word_diff, words


def kinds(base: str, other: str) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text) for piece in word_diff(base, other)]


def test_one_changed_word_is_one_word() -> None:
    assert kinds("send it to billing.", "send it to delivery.") == [
        ("same", "send it to "),
        ("removed", "billing"),
        ("added", "delivery"),
        ("same", "."),
    ]


def test_equal_texts_are_one_piece_and_empty_ones_none() -> None:
    assert kinds("a b", "a b") == [("same", "a b")]
    assert kinds("", "") == []


@given(st.text(max_size=200), st.text(max_size=200))
def test_both_sides_can_be_put_together_again(base: str, other: str) -> None:
    pieces = word_diff(base, other)
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == other
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == base
    assert "".join(words(base)) == base


def test_very_long_texts_are_compared_by_line() -> None:
    base = "one two three\n" * 4000
    pieces = word_diff(base, base + "four five\n")
    assert [piece.kind for piece in pieces] == ["same", "added"]
    assert pieces[1].text == "four five\n"
