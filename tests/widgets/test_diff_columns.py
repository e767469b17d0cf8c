"""Texts in columns, and token heat."""

import math
from dataclasses import dataclass

from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.content import Content

from widgets.diff_columns import MOST_CHARACTERS, DiffColumns, TextColumn, diff_content, shortened
from widgets.heat import Token, heat_text, shade, unsure


@dataclass(frozen=True)
class Run:
    kind: str
    text: str


HOSTILE = "x[/]y [red]z[/blue] \x1b]0;title\x07"


class Harness(App[None]):
    def __init__(self, columns: list[TextColumn]) -> None:
        super().__init__()
        self.columns = DiffColumns()
        self.given = columns

    def compose(self) -> ComposeResult:
        yield self.columns

    def on_mount(self) -> None:
        self.columns.focus()
        self.columns.show(self.given)


def column(title: str, text: str) -> TextColumn:
    return TextColumn(title, Content(text), Content("foot"), edge="✓ 0.4 s", mark="passed")


def lines(widget: DiffColumns) -> list[str]:
    return [widget.render_line(y).text for y in range(widget.size.height)]


async def test_six_columns_are_paged_when_the_screen_is_narrow() -> None:
    app = Harness([column(f"@{n}", f"answer {n}") for n in range(1, 7)])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "@1" in lines(app.columns)[0] and "@6" not in lines(app.columns)[0]
        assert app.columns.hidden == (0, 3)
        await pilot.press(*["right"] * 5)
        await pilot.pause()
        assert "@6" in lines(app.columns)[0]
        assert app.columns.hidden == (3, 0)


async def test_all_lines_are_as_wide_as_the_screen_even_with_wide_characters() -> None:
    app = Harness(
        [column("日本語", "日本語のテキスト " * 30), column("@2", "👍 " * 60), column("@3", "plain")]
    )
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        assert {cell_len(line) for line in lines(app.columns)} == {100}


async def test_hostile_titles_and_bodies_are_text() -> None:
    body = diff_content([Run("delete", HOSTILE), Run("insert", HOSTILE)], removed=True)
    app = Harness([TextColumn(HOSTILE, body, Content(""), edge=HOSTILE)])
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        drawn = "".join(lines(app.columns))
        assert "\x1b" not in drawn and "\x07" not in drawn and "[red]z" in drawn


def test_what_is_missing_is_shown_only_when_asked_for() -> None:
    runs = [Run("equal", "one "), Run("delete", "two"), Run("insert", "three")]
    assert diff_content(runs, removed=False).plain == "one three"
    assert diff_content(runs, removed=True).plain == "one twothree"


def test_a_text_too_long_to_lay_out_is_cut_with_a_sentence() -> None:
    cut = shortened(Content("x" * (MOST_CHARACTERS + 500)))
    assert cut.plain.endswith("500 more characters; y copies all")


def test_heat_shades_what_was_unsure_and_keeps_the_text() -> None:
    tokens = [Token("bill", math.log(0.99)), Token("ing", math.log(0.3), (("s", math.log(0.6)),))]
    assert heat_text(tokens).plain == "billing"
    assert shade(0.95) == "" and "underline" in shade(0.2) and shade(0.01) != shade(0.2)


def test_the_least_sure_tokens_come_with_their_alternatives() -> None:
    tokens = [Token("a", 0.0), Token("\n", math.log(0.3), (("\n", math.log(0.3)), ("b", math.log(0.6))))]
    assert unsure(tokens) == ["30 % “↵” · else “b” 60 %"]
