"""Looking at a comparison: filters, differences, side by side, pairs, tags, repeats, blind choice."""

import asyncio
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType

from app.keys import binding
from app.prompts.tab import reads
from app.prompts.tab.base import PromptsBase
from app.prompts.tab.data import Comparison, Show
from app.prompts.tab.verdict import VerdictPanel
from widgets.matrix import Matrix


class Looking(PromptsBase):
    """What can be looked at once there is a comparison."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "d", "show('differing')", "only differing", id="prompts.differing", tooltip="Cases that differ"
        ),
        Binding(
            "D",
            "show('regressions')",
            "only regressions",
            show=False,
            id="prompts.regressions",
            tooltip="Cases where a column fares worse than the baseline",
        ),
        binding("filter", "filter", room="prompts"),
        binding("next-found", "difference(1)", "next difference", show=False, room="prompts"),
        binding("previous-found", "difference(-1)", "previous difference", show=False, room="prompts"),
        Binding("b", "blind", "blind", id="prompts.blind", tooltip="Choose the better answer without names"),
        Binding("R", "repeats", "repeats", id="prompts.repeats", tooltip="How often every case is asked"),
        Binding("full_stop", "pair(1)", "next pair", show=False, id="prompts.next-pair", tooltip="Next pair"),
        Binding(
            "comma", "pair(-1)", "pair before", show=False, id="prompts.previous-pair", tooltip="Pair before"
        ),
        Binding("w", "rule", "why", show=False, id="prompts.rule", tooltip="The rule behind the verdict"),
        Binding("T", "tags", "by tag", show=False, id="prompts.tags", tooltip="Pass rates by tag"),
        Binding(
            "A", "noise", "A against A", show=False, id="prompts.noise", tooltip="How much repeats disagree"
        ),
        binding("copy", "copy_cell", show=False, room="prompts"),
        binding("back", "all_rows", "all cases", show=False, room="prompts"),
    ]

    # Filters

    def action_show(self, show: Show) -> None:
        """Only the rows of that kind, or all of them again; the case under the cursor stays under it."""
        comparison = self.comparison
        if comparison is None:
            return
        self.refilter("all" if comparison.show == show else show, self._filtered)

    _filtered: list[int] | None = None
    """Positions that the text filter keeps; None without one."""

    def refilter(self, show: Show, positions: list[int] | None) -> None:
        """Choose rows anew; the cursor stays on its case, or goes to the nearest one left."""
        comparison = self.comparison
        if comparison is None:
            return
        if comparison.partial:
            self.tell("The cells are still being read.", timeout=2)
            return
        row = self.matrix.cursor_row
        position = comparison.rows[row] if row < len(comparison.rows) else 0
        before = (comparison.show, comparison.rows)
        comparison.filter(show, positions)
        if not comparison.rows:
            comparison.show, comparison.rows = before
            what = {"differing": "No case differs", "regressions": "Nothing got worse"}.get(
                show, "No case has that"
            )
            self.tell(f"{what}{' yet' if self.live else ''}.", timeout=3)
            return
        self._filtered = positions
        self.matrix.reload(row=comparison.row_of(position))
        self.read_window()
        self.draw_title()
        self.draw_strip()

    def action_all_rows(self) -> None:
        if self.comparison is not None and len(self.comparison.rows) != len(self.comparison.head.positions):
            self.refilter("all", None)

    @work(exclusive=True, group="filter")
    async def action_filter(self) -> None:
        """Ask for words or `tag:name`, and keep the cases that have them all."""
        comparison = self.comparison
        if comparison is None:
            return
        words = await self.ask(
            "Show cases with these words (tag:refund looks at tags)", placeholder="empty shows all"
        )
        if words is None:
            return
        if not words:
            self.refilter(comparison.show, None)
            return
        found = await self.read(reads.positions_matching, self._store, comparison.head, words)
        self.refilter(comparison.show, found)

    def action_difference(self, step: int) -> None:
        comparison = self.comparison
        found = comparison.found_from(self.matrix.cursor_row, step) if comparison is not None else None
        if found is None:
            self.tell("No more differences this way.", timeout=2)
        else:
            self.matrix.move_to(found)

    # Verdicts

    def action_pair(self, step: int) -> None:
        self.query_one(VerdictPanel).page(step)

    def action_rule(self) -> None:
        from app.prompts.tab.pages import RULE_PAGE, PageScreen

        self.app.push_screen(PageScreen("Is it real? The rule", RULE_PAGE))

    @work(exclusive=True, group="page")
    async def action_tags(self) -> None:
        from app.prompts.tab.pages import PageScreen, tag_lines

        comparison = self.comparison
        if comparison is None:
            return
        summary = await self._report(comparison)
        self.app.push_screen(
            PageScreen("Results by tag", tag_lines(summary, min(120, int(self.app.size.width * 0.95) - 6)))
        )

    @work(exclusive=True, group="page")
    async def action_noise(self) -> None:
        from app.prompts.tab.pages import PageScreen, noise_lines

        comparison = self.comparison
        if comparison is None:
            return
        summary = await self._report(comparison) if comparison.head.repeats > 1 else {}
        self.app.push_screen(PageScreen("A against A", noise_lines(summary, comparison.head.repeats)))

    async def _report(self, comparison: Comparison) -> dict[str, Any]:
        from app.prompts.report import report

        return await asyncio.to_thread(report, self._store, comparison.head.id)

    # Answers

    def action_copy_cell(self) -> None:
        comparison = self.comparison
        row, column = self.matrix.cursor_row, self.matrix.cursor_column
        if comparison is None or row >= len(comparison.rows):
            return
        self._copy(comparison, comparison.rows[row], column)

    @work(exclusive=True, group="copy")
    async def _copy(self, comparison: Comparison, position: int, column: int) -> None:
        from app.prompts.tab.case_views import case_view

        view = await self.read(case_view, self._store, comparison.head, position)
        answer = view.answers[column] if column < len(view.answers) else None
        if answer is None:
            self.tell("This cell has no answer yet.", timeout=2)
        else:
            self.shell.copy(answer.text)

    @work(group="side")
    async def on_matrix_opened(self, message: Matrix.Opened) -> None:
        from app.prompts.tab.case_views import CaseBook, token_heat
        from app.prompts.tab.side_by_side import SideBySideScreen

        comparison = self.comparison
        if comparison is None:
            return
        book = CaseBook(self._store, comparison, self._notes(), self._only)
        heat = token_heat(self._store, comparison.head, self.shell)
        row = await self.app.push_screen_wait(
            SideBySideScreen(book, message.row, heat, column=message.column)
        )
        if comparison is self.comparison and row is not None:
            self.matrix.move_to(row)

    def _only(self, show: Show, row: int) -> int:
        """Filter from the side by side screen; the case in view stays in view where it is kept."""
        self.matrix.move_to(row)
        self.action_show(show)
        return self.matrix.cursor_row

    def _notes(self) -> dict[int, str]:
        """Notes of the versions that the list at the left has read, by their ids."""
        read = (self.shelf.versions or {}).values()
        return {version.id: version.note for versions in read for version in versions}

    @work(group="blind", exclusive=True)
    async def action_blind(self) -> None:
        """Choose between the column under the cursor and the baseline, names hidden."""
        from app.prompts.tab.blind import BlindScreen
        from app.prompts.tab.case_views import blind_choices, case_view, keep_choice

        comparison = self.comparison
        if comparison is None or len(comparison.head.subjects) < 2:
            self.tell("Blind choice needs a comparison of at least two columns.")
            return
        pair = self._pair_at_cursor(comparison)
        choices = await asyncio.to_thread(blind_choices, self._store, comparison, pair)
        if not choices.pairings:
            self.tell("These two columns gave the same answer in every case, so there is nothing to choose.")
            return
        head = comparison.head
        await self.app.push_screen_wait(
            BlindScreen(
                choices,
                lambda position: case_view(self._store, head, position),
                lambda position, choice, swapped: keep_choice(
                    self._store, head.id, pair, position, choice, swapped
                ),
                pair,
            )
        )

    def _pair_at_cursor(self, comparison: Comparison) -> tuple[int, int]:
        column = min(self.matrix.cursor_column, len(comparison.head.subjects) - 1)
        base = comparison.head.baseline or 0
        if column == base:
            column = base + 1 if base + 1 < len(comparison.head.subjects) else base - 1
        return base, column
