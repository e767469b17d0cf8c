"""What the matrix shows, as plain data: columns, cells, their signs and bars. No widget."""

from dataclasses import dataclass
from typing import Literal, Protocol

from rich.cells import cell_len

from widgets.cells import ELLIPSIS
from widgets.text import safe_text

State = Literal[
    "none",
    "queued",
    "writing",
    "passed",
    "failed",
    "mixed",
    "done",
    "cut_off",
    "overflow",
    "error",
    "loading",
]

MARKS: dict[State, str] = {
    "none": " ",
    "queued": "·",
    "writing": "◌",
    "passed": "✓",
    "failed": "✗",
    "mixed": "±",
    "done": "•",
    "cut_off": "✂",
    "overflow": "⚠",
    "error": "⚠",
    "loading": "…",
}
"""A sign for every state, so that no state is told by colour alone."""

LEGEND = (
    "✓ passed  ✗ failed  ± some repeats passed  • no checks  ✂ cut off  ⚠ did not fit, or failed to run  "
    "◌ writing  · queued  ↺ reused from an earlier run"
)


@dataclass(frozen=True, slots=True)
class MatrixColumn:
    """What the header says of one subject; all texts may come from anywhere."""

    title: str
    rate: str = ""
    fraction: float | None = None
    """Length of the bar, 0 to 1; None draws no bar."""
    note: str = ""
    tag: str = ""
    """A word at the right of the title: `baseline`, `draft`."""
    aside: str = ""
    """Shown quietly at the right of the rate where there is room."""


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One answer as the grid shows it."""

    state: State
    text: str = ""
    reused: bool = False
    note: str = ""
    """A few characters at the right edge, such as `×3` for three distinct answers."""


class MatrixSource(Protocol):
    """Where the grid gets what it paints; every call must answer at once."""

    def columns(self) -> "list[MatrixColumn]": ...

    def row_count(self) -> int: ...

    def label(self, row: int) -> tuple[str, str, str]:
        """The number and the name of the case in `row`, and a word that stands quietly at the right."""
        ...

    def cell(self, row: int, column: int) -> MatrixCell: ...


class NoRows:
    """The source of a matrix that has nothing to show yet."""

    def columns(self) -> list[MatrixColumn]:
        return []

    def row_count(self) -> int:
        return 0

    def label(self, row: int) -> tuple[str, str, str]:
        return ("", "", "")

    def cell(self, row: int, column: int) -> MatrixCell:
        return MatrixCell("none")


def tail(text: str, width: int) -> str:
    """The last `width` cells of a growing text on one line; what came before is `…`."""
    line = " ".join(safe_text(text[-4 * max(1, width) :]).split())
    if cell_len(line) <= width:
        return line
    while line and cell_len(line) > width - 1:
        line = line[1:]
    return ELLIPSIS + line


def bar(fraction: float, width: int) -> tuple[str, str]:
    """The filled and the empty part of a bar of `width` cells; any fraction above zero shows at least one."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    if fraction > 0:
        full = max(1, full)
    if fraction < 1:
        full = min(full, width - 1) if width > 1 else full
    return "▇" * full, "▁" * (width - full)
