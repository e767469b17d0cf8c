"""The grid: what it draws, what it asks for, and that nothing moves under the cursor."""

from dataclasses import dataclass, field

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.message import Message

from widgets.matrix import Matrix
from widgets.matrix_data import MARKS, MatrixCell, MatrixColumn, State, bar, tail

HOSTILE = "x[/]y [red]z[/blue] \x1b]52;c;aGk=\x07 \u202eevil\x1b[2J"


@dataclass
class Plain:
    """A source over plain lists that remembers which cells were asked for."""

    names: list[str]
    heads: list[MatrixColumn]
    cells: dict[tuple[int, int], MatrixCell] = field(default_factory=dict)
    asked: set[tuple[int, int]] = field(default_factory=set)

    def columns(self) -> list[MatrixColumn]:
        return self.heads

    def row_count(self) -> int:
        return len(self.names)

    def label(self, row: int) -> tuple[str, str, str]:
        return str(row), self.names[row], ""

    def cell(self, row: int, column: int) -> MatrixCell:
        self.asked.add((row, column))
        return self.cells.get((row, column), MatrixCell("passed", f"answer {row}-{column}"))


class Harness(App[None]):
    def __init__(self, source: Plain) -> None:
        super().__init__()
        self.matrix = Matrix(source)
        self.seen: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.matrix

    def on_matrix_opened(self, message: Matrix.Opened) -> None:
        self.seen.append(message)

    def on_matrix_window_moved(self, message: Matrix.WindowMoved) -> None:
        self.seen.append(message)


def source(rows: int = 500, columns: int = 3) -> Plain:
    return Plain([f"case {row}" for row in range(rows)], [MatrixColumn(f"@{c + 1}") for c in range(columns)])


def lines(matrix: Matrix) -> list[str]:
    return [matrix.render_line(y).text for y in range(matrix.size.height)]


async def test_only_the_cells_on_screen_are_asked_for() -> None:
    plain = source(rows=20_000)
    app = Harness(plain)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        assert max(row for row, _ in plain.asked) < 30
        await pilot.press("G")
        await pilot.pause()
        assert max(row for row, _ in plain.asked) == 19_999
        assert len(plain.asked) < 30 * 3 * 2
        windows = [message for message in app.seen if isinstance(message, Matrix.WindowMoved)]
        assert windows[0].first == 0 and windows[-1].last == 19_999


async def test_every_state_has_its_own_sign_or_word() -> None:
    plain = source(rows=len(MARKS), columns=1)
    states: list[State] = list(MARKS)
    plain.cells = {(row, 0): MatrixCell(state) for row, state in enumerate(states)}
    app = Harness(plain)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        drawn = lines(app.matrix)
        for row, state in enumerate(states):
            assert MARKS[state] in drawn[row + app.matrix.header_lines]
        assert any("writing…▌" in line for line in drawn)
        assert any("queued" in line for line in drawn)


async def test_reused_cells_look_reused() -> None:
    plain = source(rows=2, columns=1)
    plain.cells = {
        (0, 0): MatrixCell("passed", "billing", reused=True),
        (1, 0): MatrixCell("passed", "billing"),
    }
    app = Harness(plain)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        first, second = lines(app.matrix)[app.matrix.header_lines :][:2]
        assert "↺" in first and "↺" not in second


async def test_wide_characters_and_emoji_keep_the_columns_straight() -> None:
    plain = source(rows=4, columns=2)
    texts = ["plain", "日本語のテキスト" * 6, "👍 ok 👩‍👩‍👧", "é" * 80]
    plain.names = texts
    plain.cells = {(row, 0): MatrixCell("failed", text) for row, text in enumerate(texts)}
    app = Harness(plain)
    async with app.run_test(size=(90, 24)) as pilot:
        await pilot.pause()
        places = set()
        for y in range(app.matrix.header_lines, app.matrix.header_lines + 4):
            line = app.matrix.render_line(y).text
            assert cell_len(line) == app.matrix.size.width
            places.add(tuple(cell_len(line[:at]) for at, sign in enumerate(line) if sign == "│"))
        assert len(places) == 1


async def test_hostile_text_arrives_as_visible_text_in_every_part() -> None:
    plain = Plain([HOSTILE], [MatrixColumn(HOSTILE, rate=HOSTILE, note=HOSTILE, tag=HOSTILE, fraction=0.5)])
    plain.cells = {(0, 0): MatrixCell("writing", HOSTILE, note=HOSTILE)}
    app = Harness(plain)
    async with app.run_test(size=(160, 24), notifications=True, tooltips=True) as pilot:
        await pilot.pause()
        drawn = "".join(lines(app.matrix))
        assert "\x1b" not in drawn and "\u202e" not in drawn and "\x07" not in drawn
        assert "[/]y [red]z" in drawn


async def test_columns_that_do_not_fit_are_paged_by_moving() -> None:
    app = Harness(source(rows=5, columns=6))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "@1" in lines(app.matrix)[0] and "@6" not in lines(app.matrix)[0]
        assert "more ›" in lines(app.matrix)[0]
        await pilot.press(*["right"] * 5)
        await pilot.pause()
        assert "@6" in lines(app.matrix)[0] and "@1" not in lines(app.matrix)[0]
        assert "‹" in lines(app.matrix)[0]


async def test_the_case_under_the_cursor_keeps_its_place_when_rows_appear_above() -> None:
    plain = source(rows=100)
    app = Harness(plain)
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        app.matrix.move_to(50)
        await pilot.pause()
        before = next(y for y, line in enumerate(lines(app.matrix)) if "case 50 " in line)
        plain.names = [f"new {row}" for row in range(20)] + plain.names
        app.matrix.reload(row=70)
        await pilot.pause()
        after = next(y for y, line in enumerate(lines(app.matrix)) if "case 50 " in line)
        assert before == after
        assert app.matrix.cursor_row == 70


async def test_enter_opens_the_cell_and_vim_keys_move() -> None:
    app = Harness(source())
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press("j", "j", "k", "right", "enter")
        await pilot.pause()
        opened = [message for message in app.seen if isinstance(message, Matrix.Opened)]
        assert [(message.row, message.column) for message in opened] == [(1, 1)]


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (80, 24), (160, 48)])
async def test_any_size_draws_lines_of_exactly_its_width(size: tuple[int, int]) -> None:
    app = Harness(source(columns=6))
    async with app.run_test(size=size) as pilot:
        await pilot.press("j", "right")
        await pilot.pause()
        assert {cell_len(line) for line in lines(app.matrix)} <= {app.matrix.size.width}


async def test_an_empty_matrix_survives_every_key() -> None:
    app = Harness(Plain([], []))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("j", "k", "G", "g", "enter", "right", "left", "pagedown", "pageup")
        await pilot.pause()
        assert app.seen == []


def test_a_bar_tells_nothing_from_something_and_all_from_nearly_all() -> None:
    assert bar(0, 10) == ("", "▁" * 10)
    assert bar(0.001, 10)[0] == "▇"
    assert bar(0.999, 10)[0] == "▇" * 9
    assert bar(1, 10) == ("▇" * 10, "")


def test_the_tail_of_a_growing_text_fits_and_ends_with_its_end() -> None:
    assert tail("short", 10) == "short"
    assert tail("a long answer that goes on", 10) == "…t goes on"
    assert cell_len(tail("日本語のテキスト", 7)) <= 7
