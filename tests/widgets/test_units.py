"""Numbers as people say them, and numbers as lines."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from widgets import units
from widgets.line_chart import LineChart, braille, short_number
from widgets.sparkline import bar, spark


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.041, "41 ms"), (2.34, "2.3 s"), (42, "42 s"), (200, "3 min 20 s"), (1200, "20 min"), (7800, "2 h 10 min"),
     (7200, "2 h"), (90_000, "1 d 1 h"), (-3, "0 ms")],
)  # fmt: skip
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert units.duration(seconds) == said


def test_time_left_is_never_nothing_and_never_too_exact() -> None:
    assert units.time_left(3.4) == "3 s left"
    assert units.time_left(0) == "1 s left"
    assert units.time_left(7800) == "2 h 10 min left"


def test_sizes_rates_and_shares() -> None:
    assert units.size(512) == "512 B"
    assert units.size(1536) == "1.5 KiB"
    assert units.size_of(1.2 * 2**30, 23 * 2**30) == "1.2 of 23 GiB"
    assert units.rate(41, "cells") == "41 cells/s"
    assert units.rate(0.01, "steps") == "0.6 steps/min"
    assert units.percent(0.999) == "99 %" and units.percent(0.001) == "1 %" and units.percent(1) == "100 %"
    assert units.quantity(1, "job") == "1 job" and units.quantity(2, "job") == "2 jobs"
    assert units.ago(-5) == "just now" and units.ago(300) == "5 min ago"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30), st.integers(1, 20))
def test_sparks_take_any_numbers(values: list[float], width: int) -> None:
    assert len(spark(values, width)) <= width


@given(st.floats(-2, 3), st.integers(0, 40))
def test_a_bar_fills_its_cells(share: float, width: int) -> None:
    assert len(bar(share, width)) == width


@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32)), max_size=60),
    st.integers(0, 40),
    st.integers(0, 12),
)
def test_a_curve_of_any_values_fits_its_box(values: list[float | None], width: int, height: int) -> None:
    lines, low, high = braille([(float(x), y) for x, y in enumerate(values)], width, height)
    assert len(lines) == height and all(len(line) == width for line in lines)
    assert math.isfinite(low) and low < high


def test_a_falling_loss_falls_on_the_screen() -> None:
    lines, low, high = braille([(0.0, 4.0), (1.0, 3.0), (2.0, 1.0)], 10, 4)
    assert (low, high) == (1.0, 4.0)
    assert lines[0].strip() and lines[0].index(lines[0].strip()) == 0
    assert lines[3].rstrip() and not lines[3].startswith(lines[3].strip())


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 1234.0, 99_999.0, 1e9, 1e-7, -1e12])
def test_axis_numbers_are_short(value: float) -> None:
    assert len(short_number(value)) <= 7


class ChartApp(App[None]):
    """A chart."""

    def compose(self) -> ComposeResult:
        yield LineChart()


async def test_a_chart_says_its_latest_value_and_zooms() -> None:
    app = ChartApp()
    async with app.run_test(size=(60, 12)) as pilot:
        chart = app.query_one(LineChart)
        chart.show("loss [/b]", [(float(x), 1 / (x + 1)) for x in range(100)])
        chart.focus()
        assert "loss [/b]" in str(chart.render()) and "0.01" in str(chart.render())
        await pilot.press("plus", "plus")
        assert chart.zoom == 4
        await pilot.press("minus", "minus", "minus")
        assert chart.zoom == 1
