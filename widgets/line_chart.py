"""A curve in braille dots: eight to a cell, axis labels, the last value said in words. Draws itself in a
millisecond.

Written here and not taken from plotext because it has to follow the theme, show gaps (a loss that was
NaN) and cost
nothing before the first curve exists.
"""

import math
from collections.abc import Sequence

from rich.cells import cell_len
from textual.binding import Binding
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from widgets.cells import clip

Point = tuple[float, float | None]
"""Where on the x axis, and the value; None is a gap."""
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def short_number(value: float) -> str:
    """A number for an axis in at most seven cells."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-3:
        return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-")
    if size >= 1000:
        return f"{value / 1000:.1f}k" if size < 1e5 else f"{value / 1000:.0f}k"
    return f"{value:.3g}"


def braille(points: Sequence[Point], width: int, height: int) -> tuple[list[str], float, float]:
    """The curve as `height` lines of `width` cells, with the lowest and highest value drawn.

    Points that fall into one column of dots are drawn as the span from their lowest to their highest. Empty
    lines and 0 to 1 when there is nothing finite to draw.
    """
    finite = [(x, y) for x, y in points if y is not None and math.isfinite(y)]
    if not finite or width < 1 or height < 1:
        return [" " * max(0, width)] * max(0, height), 0.0, 1.0
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    if low == high:
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    first, last = points[0][0], points[-1][0]
    columns, rows = width * 2, height * 4
    spans: dict[int, tuple[int, int]] = {}
    before: tuple[int, int] | None = None
    for x, y in points:
        if y is None or not math.isfinite(y):
            before = None
            continue
        column = round((x - first) / (last - first) * (columns - 1)) if last > first else columns - 1
        row = round((high - y) / (high - low) * (rows - 1))
        for step_column, step_row in _line(before, (column, row)):
            top, bottom = spans.get(step_column, (step_row, step_row))
            spans[step_column] = (min(top, step_row), max(bottom, step_row))
        before = (column, row)
    cells = [[0] * width for _ in range(height)]
    for column, (top, bottom) in spans.items():
        for row in range(top, bottom + 1):
            cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in line) for line in cells], low, high


def _line(start: tuple[int, int] | None, end: tuple[int, int]) -> list[tuple[int, int]]:
    if start is None or end[0] <= start[0] + 1:
        return [end]
    across = end[0] - start[0]
    return [
        (start[0] + step, round(start[1] + (end[1] - start[1]) * step / across))
        for step in range(1, across + 1)
    ]


class LineChart(Widget, can_focus=True):
    """One curve. `+` and `-` zoom in on the newest points and out again."""

    DEFAULT_CSS = """
    LineChart { height: 10; width: 1fr; padding: 0 1; }
    LineChart:focus { background: $surface; }
    """
    BINDINGS = [
        Binding("plus,equals_sign", "zoom(2)", "zoom in", id="chart.in"),
        Binding("minus", "zoom(0.5)", "zoom out", show=False, id="chart.out"),
    ]
    HELP = "A curve. `+` looks closer at the newest points, `-` at more of them."
    zoom: reactive[float] = reactive(1.0)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._title = ""
        self._points: Sequence[Point] = ()

    def show(self, title: str, points: Sequence[Point]) -> None:
        """Draw these points, in the order of their x."""
        self._title, self._points = title, points
        self.refresh()

    def action_zoom(self, by: float) -> None:
        self.zoom = max(1.0, min(64.0, self.zoom * by))

    def render(self) -> Content:
        count = max(2, int(len(self._points) / self.zoom))
        points = self._points[-count:]
        axis = 8
        width, height = self.size.width - axis, self.size.height - 2
        lines, low, high = braille(points, width, height)
        shown = next((y for _, y in reversed(points) if y is not None), None)
        latest = short_number(shown) if shown is not None else "no value"
        title = clip(self._title, self.size.width - len(latest) - 15)
        pieces: list[Content] = [
            Content.assemble(
                (title, "bold"), "  ", (latest, "bold $accent"), ("  the latest", "$foreground-muted")
            )
        ]
        for index, line in enumerate(lines):
            value = high - (high - low) * index / max(1, height - 1)
            label = short_number(value) if index in (0, height // 2, height - 1) else ""
            pieces.append(
                Content.assemble((f"{label:>{axis - 1}} ", "$foreground-disabled"), (line, "$accent"))
            )
        if points and height > 0:
            left, right = short_number(points[0][0]), short_number(points[-1][0])
            gap = " " * max(1, width - cell_len(left) - cell_len(right))
            pieces.append(Content.styled(" " * axis + left + gap + right, "$foreground-disabled"))
        return Content("\n").join(pieces)
