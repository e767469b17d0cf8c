"""How fast big workspaces open: a comparison of 20,000 cells, a list of a million generations, full-text search.

Limits (`what a user feels`): first page within 200 ms, search within 100 ms. A plain DataTable that is given all
20,000 cells is the yardstick of the matrix, interleaved with it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.widgets import DataTable

from app.prompts.report import report as prompt_report
from app.prompts.tab import reads
from app.prompts.tab.data import Comparison
from store import evaluations
from store.search import search
from store.workspace import Store, now, open_store
from tests.prompts_workspace import make_cases, make_comparison, make_model, make_prompt
from widgets.matrix import Matrix

CASES, VERSIONS = 4_000, 5
GENERATIONS = 1_000_000
CHARACTERS = 200
ROUNDS = 7
PAGE = 48
RARE_EVERY, COMMON_EVERY = 100_000, 3


def main() -> None:
    """Make the workspace, then measure."""
    with tempfile.TemporaryDirectory(prefix="lathe-bench-") as folder:
        store = open_store(Path(folder), create=True)
        began = time.monotonic()
        comparison_id = fill(store)
        print(
            f"   ({GENERATIONS:,} generations and {CASES * VERSIONS:,} cells made in {time.monotonic() - began:.0f} s)"
        )
        report(
            "matrix of 20,000 cells, first page",
            lambda: reads.open_comparison(store, comparison_id, PAGE),
            200,
        )
        report(
            "all its outcomes, behind the first page",
            lambda: reads.open_comparison(store, comparison_id, 0),
            1000,
        )
        report("everything of the first screen", lambda: reads.first(store, PAGE), 200)
        report(
            "1,000,000 generations, first page", lambda: evaluations.list_generations(store, limit=50), 200
        )
        last = evaluations.list_generations(store, limit=1)[0].id
        report(
            "the same, a page in the middle",
            lambda: evaluations.list_generations(store, limit=50, before=last // 2),
            200,
        )
        report("search, a term in 1 of 100,000", lambda: search(store, "zyzzyva", limit=50), 100)
        report("search, a term in 1 of 3", lambda: search(store, "delivery", limit=50), 100)
        paint(reads.open_comparison(store, comparison_id, 0))
        store.close()


def report(what: str, do: Callable[[], Any], limit_ms: float) -> None:
    """Print the median and the worst of some rounds against its limit; the first round has cold caches."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        do()
        times.append((time.perf_counter() - began) * 1000)
    median = statistics.median(times)
    print(
        f"{what}: {median:.0f} ms median, {times[0]:.0f} ms at first, {max(times):.0f} ms worst "
        f"({median / limit_ms:.2f} of {limit_ms:.0f} ms)"
    )


def fill(store: Store) -> int:
    """A comparison of 20,000 cells and a million generations of 200 characters."""
    make_prompt(store, versions=VERSIONS)
    made = make_comparison(
        store,
        cases=make_cases(store, count=CASES),
        model=make_model(store),
        answer=lambda s, p, r: (text(p), p % 3 > 0),
    )
    summary = prompt_report(store, made.id, full=False)
    evaluations.finish_evaluation(store, made.id, "done", summary)
    there = CASES * VERSIONS
    for start in range(there, GENERATIONS, 5000):
        rows = [
            (f"bench-{n}", text(n), "stop", 40, 50, 180.0, now())
            for n in range(start, min(start + 5000, GENERATIONS))
        ]
        with store.write() as connection:
            connection.executemany(
                "INSERT INTO generations (key, output, finish_reason, prompt_tokens, completion_tokens, latency_ms, "
                "created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
    return made.id


def text(number: int) -> str:
    """200 characters; one in three says delivery, one in 100,000 says zyzzyva."""
    words = ["delivery" if number % COMMON_EVERY == 0 else "billing"]
    if number % RARE_EVERY == 7:
        words.append("zyzzyva")
    line = f"answer {number} about {' '.join(words)} "
    return (line + "the parcel is on its way and the money comes back soon " * 4)[:CHARACTERS]


class Painted(App[None]):
    """Shows one widget and stops when its first frame is there."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self._make = make

    def compose(self) -> ComposeResult:
        yield self._make()


def paint(comparison: Comparison) -> None:
    """Time to the first frame: the matrix against a DataTable with the same 20,000 cells, interleaved."""

    def table() -> DataTable[str]:
        made: DataTable[str] = DataTable()
        made.add_columns("case", *(f"@{n + 1}" for n in range(VERSIONS)))
        made.add_rows([f"case {row}", *("answer" for _ in range(VERSIONS))] for row in range(CASES))
        return made

    async def once(make: Callable[[], Any]) -> float:
        app = Painted(make)
        began = time.perf_counter()
        async with app.run_test(size=(160, 48)) as pilot:
            await pilot.pause()
            return (time.perf_counter() - began) * 1000

    ours, theirs = [], []
    for _ in range(3):
        ours.append(asyncio.run(once(lambda: Matrix(comparison))))
        theirs.append(asyncio.run(once(table)))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"first frame, matrix against a DataTable with every cell: {ratio:.2f}× ({statistics.median(ours):.0f} ms)"
    )
