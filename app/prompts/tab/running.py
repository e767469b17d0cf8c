"""Running a comparison from the tab: what it will take, the start, the live view, the stop."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.timer import Timer

from app.keys import binding
from app.prompts.tab import reads
from app.prompts.tab.base import PromptsBase
from app.prompts.tab.data import Comparison
from app.prompts.tab.selection import SPLITS
from store import evaluations, jobs
from store.errors import LatheError

TICK_SECONDS = 0.25
"""How often finished cells are read while a comparison runs."""
PAINT_SECONDS = 0.1
"""How often streamed text is drawn: more often nobody can read it."""


class Running(PromptsBase):
    """From `r` to the last cell."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding("run", "run", "run", room="prompts"),
        binding("remove", "stop", "stop, remove", room="prompts"),
        Binding("m", "models", "models", show=False, id="prompts.models", tooltip="Which models are compared"),
        Binding("s", "split", "split", show=False, id="prompts.split", tooltip="All cases, tune, or held out"),
        Binding("equals_sign", "baseline", "baseline", show=False, id="prompts.baseline",
                tooltip="Compare the others with the column under the cursor"),
        Binding("O", "options", "all options", show=False, id="prompts.options",
                tooltip="The whole form of the comparison: sampling, gates, limits"),
    ]  # fmt: skip

    _ticker: Timer | None = None
    _painter: Timer | None = None
    _dirty: set[int]

    # Choosing how

    def change(self, **changes: Any) -> None:
        """Change the selection, keep it, and show it."""
        self.selection = replace(self.selection, **changes)
        self._remember()
        self.draw_shelf()
        self.draw_title()
        if self.comparison is None:
            self.read_preview()

    @work(exclusive=True, group="remember")
    async def _remember(self) -> None:
        await asyncio.to_thread(reads.remember, self._store, self.selection)

    @work(exclusive=True, group="ask")
    async def action_repeats(self) -> None:
        from app.prompts.tab.choices import Choice

        now = self.selection.repeats
        choices = [
            Choice(n, f"{n} {'time' if n == 1 else 'times'}", "now" if n == now else "")
            for n in (1, 2, 3, 5, 10)
        ]
        picked = await self.pick_one("How often is every case asked?", choices)
        if picked is not None:
            self.change(repeats=int(picked))
            said = (
                f"The next run asks every case {picked} times." if picked > 1 else "Every case is asked once."
            )
            self.tell(said)

    @work(exclusive=True, group="ask")
    async def action_models(self) -> None:
        picked = await self.shell.pick("model", many=True, title="Models: every version runs on each of them")
        if picked:
            self.change(models=tuple(str(one) for one in picked))
            self.tell(f"The next run compares on {', '.join(self.selection.models)}.")

    def action_split(self) -> None:
        """All cases, those to tune on, or those held out, in turn."""
        split = SPLITS[(SPLITS.index(self.selection.split) + 1) % len(SPLITS)]
        self.change(split=split)
        said = {
            "all": "The next run asks all cases.",
            "tune": "The next run asks only cases to tune on.",
            "held_out": "The next run asks only held-out cases: look at them rarely, or they stop being held out.",
        }
        self.tell(said[split], timeout=4)

    def action_baseline(self) -> None:
        """The column under the cursor becomes what others are compared with, or ceases to be."""
        comparison = self.comparison
        if comparison is None:
            return
        column = min(self.matrix.cursor_column, len(comparison.head.subjects) - 1)
        chosen = None if comparison.head.baseline == column else column
        comparison.head = replace(comparison.head, baseline=chosen)
        subject = comparison.head.subjects[column]
        version = "draft" if subject.version is None else subject.version
        self.change(baseline="" if chosen is None else f"{subject.prompt}@{version}")
        self.matrix.refresh_header()
        self.judge(force=True)

    def action_options(self) -> None:
        self.shell.open_form("prompt.compare", self.selection.values(), self._started)

    # Starting

    @work(exclusive=True, group="run")
    async def action_run(self) -> None:
        """Say what the run will take; enter starts it."""
        from app.prompts.tab.run_sheet import RunSheet, sheet_lines

        if self.live:
            self.tell("This comparison is still running: x stops it.")
            return
        if missing := self.selection.missing:
            self.tell(missing)
            return
        selection = self.selection
        lines, startable = await asyncio.to_thread(sheet_lines, self._store, selection)
        title = f"{selection.prompt} × {selection.cases}"
        if await self.app.push_screen_wait(RunSheet(title, lines, startable=startable)):
            await self._start(selection.values())

    async def _start(self, values: dict[str, Any]) -> None:
        self._remember()
        self._started(await self.shell.run_operation("prompt.compare", values))

    def _started(self, outcome: Any) -> None:
        job = outcome if isinstance(outcome, jobs.Job) else getattr(outcome, "job", None)
        if isinstance(job, jobs.Job):
            self._follow_new(job)

    @work(exclusive=True, group="follow")
    async def _follow_new(self, job: jobs.Job) -> None:
        """Wait for the comparison that the job begins, and put it on the desk."""
        self.tell("Starting …", timeout=2)
        while True:
            found = await self.read(evaluations.evaluation_of_job, self._store, job.id)
            if found is not None:
                await self.open(found.id)
                return
            job = await self.read(jobs.job, self._store, job.id)
            if job.state not in jobs.LIVE:
                if job.error:
                    self.tell(job.error, severity="error", timeout=10)
                return
            await asyncio.sleep(0.1)

    async def open(self, evaluation_id: int) -> None:
        """Put a comparison on the desk and follow it while it runs."""
        comparison = await self.read(reads.open_comparison, self._store, evaluation_id, self.page_rows)
        self.put_on_desk(comparison)
        self.matrix.focus()
        self.read_shelf(at_once=True)

    def put_on_desk(self, comparison: Comparison | None) -> None:
        super().put_on_desk(comparison)
        self._dirty = set()
        self._stop_timers()
        self.workers.cancel_group(self, "deltas")
        if comparison is not None and comparison.head.live:
            self._ticker = self.set_interval(TICK_SECONDS, self._tick)
            self._painter = self.set_interval(PAINT_SECONDS, self._paint_deltas)
            self._watch_deltas(comparison)

    def _stop_timers(self) -> None:
        for timer in (self._ticker, self._painter):
            if timer is not None:
                timer.stop()
        self._ticker = self._painter = None

    # Following

    @work(exclusive=True, group="tail")
    async def _tick(self) -> None:
        """Take in what was finished since the last look; at the end, put the live view away."""
        comparison = self.comparison
        if comparison is None or not comparison.head.live:
            return
        before = comparison.done
        # The state first: cells that land between the two reads are then found by the next look at the latest.
        job = None
        if comparison.head.job_id is not None:
            job = await self.read(jobs.job, self._store, comparison.head.job_id)
        touched: set[int] = set()
        while True:
            cells = await self.read(reads.tail, self._store, comparison.head.id, comparison.last_cell)
            if comparison is not self.comparison:
                return
            if not cells:
                break
            comparison.last_cell = cells[-1].id
            changed = comparison.take(cells)
            touched |= changed
            comparison.keep_texts({}, reads.texts_of(cells, comparison))
        self.job = job
        ended = job is None or job.state not in jobs.LIVE
        if ended:
            comparison.head = replace(comparison.head, live=False)
            comparison.live.clear()
            self._stop_timers()
            self.workers.cancel_group(self, "deltas")
        if touched or ended:
            self.matrix.refresh_header()
            for position in touched:
                self._repaint(comparison, position)
            if comparison.done != before:
                self.draw_strip()
            self.judge(force=ended)
            self.read_window()
        self.draw_title()
        if ended:
            self.matrix.refresh()
            self.refresh_bindings()
            self.read_shelf(at_once=True)
            if job is not None and job.state == "failed":
                self.tell(job.error or f"The comparison failed: {job.reason}.", severity="error", timeout=10)

    def _repaint(self, comparison: Comparison, position: int) -> None:
        row = self._row_on_screen(comparison, position)
        if row is not None:
            self.matrix.refresh_row(row)

    def _row_on_screen(self, comparison: Comparison, position: int) -> int | None:
        for row in self.matrix.visible_rows:
            if comparison.rows[row] == position:
                return row
        return None

    @work(exclusive=True, group="deltas")
    async def _watch_deltas(self, comparison: Comparison) -> None:
        """Take answers as they are written. The store has the truth: a lost stream only costs the show."""
        client = self.shell.engine()
        try:
            while comparison is self.comparison and comparison.head.live:
                with contextlib.suppress(LatheError):
                    async for event in client.watch(f"evaluation-{comparison.head.id}"):
                        self._hear(comparison, event)
                await asyncio.sleep(0.5)
        finally:
            await client.close()

    def _hear(self, comparison: Comparison, event: dict[str, Any]) -> None:
        parts = str(event.get("id", "")).split(":")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            return
        subject, position = int(parts[0]), int(parts[1])
        key = (position, subject)
        if event.get("event") in ("started", "delta") and key not in comparison.outcomes:
            # A delta says where its text belongs: somebody new hears every answer from its beginning.
            known = comparison.live.get(key, "")
            comparison.live[key] = known[: int(event.get("offset") or 0)] + str(event.get("text") or "")
            self._dirty.add(position)
        elif event.get("event") == "error":
            comparison.live.pop(key, None)
            self._dirty.add(position)

    def _paint_deltas(self) -> None:
        comparison = self.comparison
        if comparison is None or not self._dirty or self._hidden:
            return
        dirty, self._dirty = self._dirty, set()
        for row in self.matrix.visible_rows:
            if comparison.rows[row] in dirty:
                self.matrix.refresh_row(row)
        cursor = self.matrix.cursor_row
        if cursor < len(comparison.rows) and comparison.rows[cursor] in dirty:
            self.draw_strip()

    # Stopping

    @work(exclusive=True, group="run")
    async def stop_run(self) -> None:
        """Stop the run; what is finished stays, and `r` goes on where it stopped."""
        comparison = self.comparison
        if comparison is None or not comparison.head.live or comparison.head.job_id is None:
            return
        from app.jobs import runner

        await asyncio.to_thread(runner.stop, self._store, comparison.head.job_id)
        self.tell("Stopping. What is finished stays; r goes on where it stopped.", timeout=4)
