"""Stop strings, whole characters and thinking blocks, however the tokens cut them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.engine.stops import TextStream
from app.engine.thinking import ThinkingSplitter, opens_thinking


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(
    st.text(max_size=40), st.lists(st.text(min_size=1, max_size=5), max_size=3), st.lists(st.integers(0, 200))
)
def test_text_ends_before_the_first_stop_string_wherever_tokens_are_cut(
    text: str, stops: list[str], places: list[int]
) -> None:
    text = text.encode("utf-8", "replace").decode()
    stops = [stop.encode("utf-8", "replace").decode() for stop in stops]
    stream = TextStream(stops)
    found = "".join([*(stream.feed(piece) for piece in cut(text.encode(), places)), stream.finish()])
    ends = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    # A later stop that is already complete may win over an earlier one that is not: what is shown never holds a stop.
    assert text.startswith(found)
    assert not any(stop in found for stop in stops)
    assert stream.stopped == bool(ends)
    if not ends:
        assert found == text


def test_nothing_that_may_become_a_stop_string_is_shown_early() -> None:
    stream = TextStream(["END"])
    assert [stream.feed(piece) for piece in (b"ab", b"cE", b"N", b"X", b"EN", b"D more")] == [
        "ab",
        "c",
        "",
        "ENX",
        "",
        "",
    ]
    assert stream.stopped
    assert stream.finish() == ""


def test_half_a_character_waits_for_its_other_half() -> None:
    stream = TextStream()
    smile = "🙂".encode()
    assert [stream.feed(smile[:1]), stream.feed(smile[1:3]), stream.feed(smile[3:])] == ["", "", "🙂"]
    assert stream.feed(smile[:2]) == ""
    assert stream.finish() == "\ufffd"


@given(
    st.text(alphabet="ab<>/think\n ", max_size=30),
    st.text(alphabet="ab\n<", max_size=20),
    st.lists(st.integers(0, 99)),
)
def test_thinking_is_split_the_same_however_the_text_arrives(
    thought: str, answer: str, places: list[int]
) -> None:
    if "</think>" in thought or (thought + "</think>").find("</think>") != len(thought):
        return
    text = f"\n<think>{thought}</think>\n\n{answer}"
    splitter = ThinkingSplitter()
    parts = [splitter.feed(piece.decode()) for piece in cut(text.encode(), places)] + [splitter.finish()]
    assert "".join(part[1] for part in parts) == thought
    assert "".join(part[0] for part in parts) == answer.lstrip("\n")


def test_text_that_only_mentions_the_tag_is_no_thinking() -> None:
    splitter = ThinkingSplitter()
    assert splitter.feed("Use <think> tags</think> so.") == ("Use <think> tags</think> so.", "")


def test_a_prompt_that_opens_the_block_makes_the_answer_start_as_thinking() -> None:
    assert opens_thinking("<|assistant|>\n<think>\n")
    assert not opens_thinking("<|assistant|>\n<think>\n\n</think>\n\n")
    splitter = ThinkingSplitter(inside=True)
    assert [splitter.feed("hm</th"), splitter.feed("ink>yes"), splitter.finish()] == [
        ("", "hm"),
        ("yes", ""),
        ("", ""),
    ]


def test_thinking_that_never_ends_is_all_thinking() -> None:
    splitter = ThinkingSplitter()
    assert splitter.feed("<think>on and on </thi") == ("", "on and on ")
    assert splitter.finish() == ("", "</thi")
