"""A comparison in memory: outcomes of all cells, texts only of the rows on screen. No store, no screen.

Twenty thousand outcomes are small; twenty thousand texts are not, so texts come and go with the visible window.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.prompts.report import Outcome, Shares, decide_pairs, shares_of
from app.prompts.statistics import Decision, wilson
from app.prompts.subjects import Subject
from widgets.matrix_data import MatrixCell, MatrixColumn, State
from widgets.units import duration, percent

Show = Literal["all", "differing", "regressions"]
LABELS: dict[Show, str] = {"all": "", "differing": "only differing", "regressions": "only regressions"}

MOST_TEXTS = 4000
"""Cells whose texts are kept: some forty screens, a few megabytes."""

_STATES: dict[str, State] = {
    "passed": "passed",
    "failed": "failed",
    "cut_off": "cut_off",
    "overflow": "overflow",
    "error": "error",
    "unscored": "done",
}


class Landed(Protocol):
    """A finished cell as the store gives it, in bulk or one after the other."""

    @property
    def position(self) -> int: ...
    @property
    def subject(self) -> int: ...
    @property
    def repeat(self) -> int: ...
    @property
    def passed(self) -> bool | None: ...
    @property
    def score(self) -> float | None: ...
    @property
    def state(self) -> str: ...
    @property
    def reused(self) -> bool: ...
    @property
    def latency_ms(self) -> float | None: ...
    @property
    def tokens_per_second(self) -> float | None: ...


@dataclass(frozen=True)
class Head:
    """What is known of a comparison before any cell is read."""

    id: int
    name: str
    subjects: tuple[Subject, ...]
    baseline: int | None
    cases_ref: str
    cases_version_id: int
    positions: Sequence[int]
    """Positions of the cases that are asked, in the order of the set."""
    planned: int
    repeats: int
    job_id: int | None
    live: bool


@dataclass(frozen=True)
class CellText:
    """What the grid shows of one cell: the first repeat's answer and how many different ones there are."""

    text: str
    reused: bool
    distinct: int = 1


@dataclass(frozen=True)
class CaseLabel:
    """The name of a case, its tags, and whether it is held out."""

    title: str
    tags: tuple[str, ...] = ()
    held_out: bool = False


@dataclass
class Comparison:
    """One comparison as the matrix shows it; every method answers at once."""

    head: Head
    outcomes: dict[tuple[int, int], list[Outcome]] = field(default_factory=dict)
    """By (position, subject), repeats in the order in which they came."""
    done: int = 0
    reused: int = 0
    texts: dict[tuple[int, int], CellText] = field(default_factory=dict)
    labels: dict[int, CaseLabel] = field(default_factory=dict)
    live: dict[tuple[int, int], str] = field(default_factory=dict)
    """Answers that are being written, by (position, subject)."""
    rows: list[int] = field(default_factory=list)
    """Positions on the matrix's rows, after filters."""
    show: Show = "all"
    last_cell: int = 0
    """Row id behind which a tail goes on."""
    partial: bool = False
    """Only the first page's cells are here yet; heads come from `summary`, the rest is on its way."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """What the finished comparison found out, as the store keeps it."""

    def __post_init__(self) -> None:
        if not self.rows:
            self.rows = list(self.head.positions)
        self._scored = [0] * len(self.head.subjects)
        self._passed = [0.0] * len(self.head.subjects)
        self._latencies: list[list[float]] = [[] for _ in self.head.subjects]
        self._speeds: list[list[float]] = [[] for _ in self.head.subjects]
        self._places = {position: index for index, position in enumerate(self.head.positions)}

    # Taking in

    def take(self, found: Iterable[Landed]) -> set[int]:
        """Add finished cells; returns the positions that changed. A cell that is known already counts once."""
        touched = set()
        for one in found:
            key = (one.position, one.subject)
            cells = self.outcomes.get(key)
            if cells is None:
                cells = self.outcomes[key] = []
            elif any(known.repeat == one.repeat for known in cells):
                continue
            else:
                self._count(one.subject, cells, -1)
            cells.append(Outcome(one.position, one.subject, one.repeat, one.passed, one.score, one.state))
            self._count(one.subject, cells, 1)
            if one.latency_ms is not None:
                insort(self._latencies[one.subject], one.latency_ms)
            if one.tokens_per_second is not None:
                insort(self._speeds[one.subject], one.tokens_per_second)
            self.done += 1
            self.reused += one.reused
            self.live.pop(key, None)
            self.texts.pop(key, None)
            touched.add(one.position)
        return touched

    def adopt(self, whole: "Comparison") -> None:
        """Take over every cell from the same comparison, read as a whole."""
        self.outcomes, self.partial = whole.outcomes, False
        self.done, self.reused = whole.done, whole.reused
        self._scored, self._passed = whole._scored, whole._passed
        self._latencies, self._speeds = whole._latencies, whole._speeds

    def _count(self, subject: int, cells: Sequence[Outcome], sign: int) -> None:
        scored = [bool(one.passed) for one in cells if one.score is not None]
        if scored:
            self._scored[subject] += sign
            self._passed[subject] += sign * sum(scored) / len(scored)

    def keep_texts(self, labels: Mapping[int, CaseLabel], texts: Mapping[tuple[int, int], CellText]) -> None:
        """Add what was read for a window; the oldest texts go when there are too many."""
        self.labels.update(labels)
        self.texts.update(texts)
        while len(self.texts) > MOST_TEXTS:
            self.texts.pop(next(iter(self.texts)))
        while len(self.labels) > MOST_TEXTS:
            self.labels.pop(next(iter(self.labels)))

    # What the matrix asks

    def columns(self) -> list[MatrixColumn]:
        return [self._column(index, subject) for index, subject in enumerate(self.head.subjects)]

    def _column(self, index: int, subject: Subject) -> MatrixColumn:
        rate, fraction, note, speed = self._told(index) if self.partial else self._counted(index)
        words = []
        if self.head.baseline == index:
            words.append("baseline")
        if subject.prompt_labels:
            words.append(f"{', '.join(subject.prompt_labels)} ●")
        if subject.version is None:
            words.append("•")
        return MatrixColumn(subject.label, rate, fraction, note, " ".join(words), speed)

    def _counted(self, index: int) -> tuple[str, float | None, str, str]:
        """Rate, bar, median latency and speed from the cells that are here."""
        count, passed = self._scored[index], self._passed[index]
        latencies, speeds = self._latencies[index], self._speeds[index]
        low, high = wilson(passed, count)
        return _figures(
            passed / count if count else None,
            low,
            high,
            latencies[len(latencies) // 2] if latencies else None,
            speeds[len(speeds) // 2] if speeds else None,
        )

    def _told(self, index: int) -> tuple[str, float | None, str, str]:
        """The same from the stored summary."""
        rows = self.summary.get("subjects") or ()
        row = rows[index] if index < len(rows) else {}
        return _figures(
            row.get("pass_rate"),
            row.get("ci_low", 0.0),
            row.get("ci_high", 1.0),
            row.get("latency_ms_p50"),
            row.get("tokens_per_second"),
        )

    def row_count(self) -> int:
        return len(self.rows)

    def label(self, row: int) -> tuple[str, str, str]:
        position = self.rows[row]
        label = self.labels.get(position)
        if label is None:
            return str(position + 1), "…", ""
        return str(position + 1), label.title, "held out" if label.held_out else ""

    def cell(self, row: int, column: int) -> MatrixCell:
        position = self.rows[row]
        key = (position, column)
        cells = self.outcomes.get(key)
        if not cells:
            if key in self.live:
                return MatrixCell("writing", self.live[key])
            if self.partial:
                return MatrixCell("loading")
            return MatrixCell("queued" if self.head.live else "none")
        text = self.texts.get(key)
        state = state_of(cells)
        if text is None:
            return MatrixCell(state, "…")
        note = f"×{text.distinct} " if text.distinct > 1 else ""
        return MatrixCell(state, text.text, reused=text.reused, note=note)

    # What is looked for

    def differs(self, position: int) -> bool:
        """Whether the columns do not all fare alike in this case; cells that are missing say nothing.

        Without checks all fare alike, so there the answers count, as far as they are known.
        """
        columns = range(len(self.head.subjects))
        found = {state_of(cells) for i in columns if (cells := self._at(position, i))}
        if found != {"done"}:
            return len(found) > 1
        texts = {text.text if (text := self.texts.get((position, i))) else None for i in columns}
        return len(texts) > 1 or None in texts

    def regressed(self, position: int) -> bool:
        """Whether some column fares worse here than the baseline (the first column without one)."""
        base = share(self._at(position, self.head.baseline or 0))
        if base is None:
            return False
        others = (share(self._at(position, i)) for i in range(len(self.head.subjects)))
        return any(other is not None and other < base for other in others)

    def _at(self, position: int, subject: int) -> Sequence[Outcome]:
        return self.outcomes.get((position, subject), ())

    def filter(self, show: Show, positions: Iterable[int] | None = None) -> None:
        """Choose the rows: those that differ, regress, or all; of `positions` only, when they are given."""
        self.show = show
        wanted = (
            self.head.positions
            if positions is None
            else [p for p in self.head.positions if p in set(positions)]
        )
        if show == "differing":
            wanted = [position for position in wanted if self.differs(position)]
        elif show == "regressions":
            wanted = [position for position in wanted if self.regressed(position)]
        self.rows = list(wanted)

    def row_of(self, position: int) -> int:
        """The row that shows a case, or the nearest one when it is filtered out."""
        if not self.rows:
            return 0
        place = self._places.get(position, 0)
        return min(range(len(self.rows)), key=lambda row: abs(self._places[self.rows[row]] - place))

    def found_from(self, row: int, step: int) -> int | None:
        """The next row in that direction where the columns do not fare alike."""
        at = row + step
        while 0 <= at < len(self.rows):
            if self.differs(self.rows[at]):
                return at
            at += step
        return None

    # Statistics

    def shares(self) -> list[Shares]:
        """Share passed per case for every column."""
        every = (one for cells in list(self.outcomes.values()) for one in cells)
        return shares_of(every, len(self.head.subjects))

    def decisions(self) -> list[tuple[int, int, Decision]]:
        """The rule's word on every pair. A few milliseconds to a second: call it in a thread."""
        early = self.done < self.head.planned
        return decide_pairs(self.head.subjects, self.shares(), baseline=self.head.baseline, early=early)

    def states(self) -> list[dict[str, int]]:
        """How many cells of each state every column has."""
        found: list[dict[str, int]] = [defaultdict(int) for _ in self.head.subjects]
        for (_, subject), cells in list(self.outcomes.items()):
            for one in cells:
                found[subject][one.state] += 1
        return found


def _figures(
    fraction: float | None, low: float, high: float, latency_ms: float | None, speed: float | None
) -> tuple[str, float | None, str, str]:
    rate = "" if fraction is None else f"{percent(fraction)}  {low * 100:.0f}–{high * 100:.0f}"
    note = duration(latency_ms / 1000) if latency_ms is not None else ""
    return rate, fraction, note, f"{speed:.0f} tok/s" if speed is not None else ""


@dataclass(frozen=True)
class Preview:
    """What the next run would fill: its columns and the first of its cases, with nothing in them yet."""

    titles: tuple[str, ...]
    names: tuple[CaseLabel, ...]

    def columns(self) -> list[MatrixColumn]:
        return [MatrixColumn(title) for title in self.titles]

    def row_count(self) -> int:
        return len(self.names)

    def label(self, row: int) -> tuple[str, str, str]:
        name = self.names[row]
        return str(row + 1), name.title, "held out" if name.held_out else ""

    def cell(self, row: int, column: int) -> MatrixCell:
        return MatrixCell("none")


class HasState(Protocol):
    """Anything with the state of a finished cell."""

    @property
    def state(self) -> str: ...


def state_of(cells: Sequence[HasState]) -> State:
    """One sign for all repeats of a cell: mixed when some passed and some did not."""
    states = {one.state for one in cells}
    if len(states) == 1:
        return _STATES.get(cells[0].state, "error")
    return "mixed" if "passed" in states else _STATES.get(cells[0].state, "error")


def share(cells: Sequence[Outcome]) -> float | None:
    """The share of a cell's repeats that passed; None when none was scored."""
    scored = [bool(one.passed) for one in cells if one.score is not None]
    return sum(scored) / len(scored) if scored else None
