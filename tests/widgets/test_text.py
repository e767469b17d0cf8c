"""What the border between hostile text and the terminal promises."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from widgets.cells import clip, pad
from widgets.text import safe_text

HOSTILE = [
    "\x00",
    "a\x00b",
    "\x1b]52;c;aGk=\x1b\\",
    "\x1b]0;P\x07",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "\x90q\x9c",
    "\x1b]8;;http://x\x1b\\L\x1b]8;;\x1b\\",
    "\u202etxt.exe",
    "\u2066",
    "\u200f",
    "\ud800",
    "\ufeff",
    "\U000e0041",
    "\U000e0101",
    "\u2028",
    "a" + "\u0301" * 20_000,
    "\x7f",
    "\r\n\rX",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_drives_a_terminal_survives(text: str) -> None:
    shown = safe_text(text)
    assert shown
    for character in shown:
        code = ord(character)
        assert code in (0x09, 0x0A) or 0x20 <= code < 0x7F or code > 0x9F
        assert not 0xD800 <= code <= 0xDFFF
        assert code not in range(0x2028, 0x202F)
        assert code not in range(0x2066, 0x2070)
        assert code < 0xE0000
    shown.encode("utf-8")


def test_controls_are_shown_as_signs_and_not_dropped() -> None:
    assert safe_text("\x1b[31mred") == "␛[31mred"
    assert safe_text("a\u202eb") == "a⟨U+202E⟩b"
    assert safe_text("\x9b1m") == "⟨U+009B⟩1m"
    assert safe_text("del\x7f") == "del␡"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\tand a tab",
        "日本語",
        "👩‍👩‍👧‍👦 family",
        "naïve café",
        "[/b] [link=x]",
        "a\u0301",
        "می‌خواهم",
    ],
)
def test_real_writing_is_left_alone(text: str) -> None:
    assert safe_text(text) == text


def test_one_line_form_shows_line_ends_as_a_sign() -> None:
    assert safe_text("a\r\nb\tc", newlines=False) == "a↵b c"


def test_stacked_marks_are_counted() -> None:
    assert safe_text("a" + "\u0301" * 100) == "a" + "\u0301" * 8 + "⟨+92 marks⟩"


@given(st.text(st.characters(), max_size=200))
def test_safe_text_is_stable_and_never_raises(text: str) -> None:
    once = safe_text(text)
    assert safe_text(once) == once


@given(st.text(max_size=80), st.integers(0, 40))
def test_clip_never_exceeds_its_cells_and_pad_fills_them(text: str, width: int) -> None:
    assert cell_len(clip(text, width)) <= width
    assert cell_len(pad(text, width)) == width


def test_clip_counts_wide_characters_twice() -> None:
    assert clip("日本語", 5) == "日本…"
    assert clip("日本語", 6) == "日本語"
    assert pad("7 ms", 6, right=True) == "  7 ms"


def test_a_megabyte_on_one_line_is_clipped_at_once() -> None:
    assert clip("x" * 10_000_000, 10) == "xxxxxxxxx…"


def test_safe_text_needs_only_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import widgets.text; "
        "print(sorted(n for n in set(sys.modules) - before if n.split('.')[0] not in "
        "sys.stdlib_module_names | {'widgets'}))"
    )
    out = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
