"""One case, full answers in columns: where they differ, why they passed or failed, what was asked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Protocol

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.keys import binding
from app.prompts.tab.data import Show
from app.prompts.tab.shell import shell
from app.prompts.tab.views import AnswerView, CaseView
from app.prompts.words import word_diff
from widgets.cells import clip
from widgets.diff_columns import DiffColumns, TextColumn, diff_content, shortened
from widgets.heat import LEGEND, Token, heat_text, unsure
from widgets.hint_bar import HintBar
from widgets.matrix_data import MARKS
from widgets.sentence import keyed
from widgets.text import safe_text


class Cases(Protocol):
    """Where the screen gets its cases; rows are the matrix's rows, filters included."""

    @property
    def titles(self) -> Sequence[str]: ...

    @property
    def baseline(self) -> int: ...

    def row_count(self) -> int: ...

    def found_from(self, row: int, step: int) -> int | None:
        """The next row in that direction where answers differ in outcome or text; None when there is none."""
        ...

    def only(self, show: Show, row: int) -> int:
        """Keep only the cases of that kind (or all again); gives the row where the case in view is now."""
        ...

    def load(self, row: int) -> CaseView:
        """Everything about one row. Reads the store: call it in a thread."""
        ...

    def prompt_of(self, view: CaseView, column: int) -> str:
        """The prompt as it was sent. Fills in the template: call it in a thread."""
        ...

    def rate(self, view: CaseView, column: int, choice: str) -> str:
        """Keep a rating; gives a sentence. `undo` takes the last one back. Writes: call it in a thread."""
        ...


Heat = Callable[[CaseView, int], Awaitable[list[Token]]]


class SideBySideScreen(Screen[int]):
    """Full answers of one case; j and k go through the cases, the answer is the row it was left on."""

    DEFAULT_CSS = """
    SideBySideScreen #asked { height: auto; max-height: 8; padding: 0 1; color: $foreground 85%; }
    SideBySideScreen #more { height: auto; max-height: 10; padding: 0 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,n", "case(1)", "next case", id="side.next", tooltip="Next case"),
        Binding("k", "case(-1)", "previous", show=False, id="side.previous", tooltip="Case before"),
        binding("next-found", "difference(1)", "difference", room="side"),
        binding("previous-found", "difference(-1)", "difference", show=False, room="side"),
        Binding("d", "only('differing')", "only differing", id="side.differing", tooltip="Cases that differ"),
        Binding(
            "D",
            "only('regressions')",
            "only regressions",
            show=False,
            id="side.regressions",
            tooltip="Cases where a column fares worse than the baseline",
        ),
        Binding("h", "heat", "token heat", id="side.heat", tooltip="How sure the model was of each token"),
        Binding("p", "prompt", "rendered prompt", id="side.prompt", tooltip="The prompt as it was sent"),
        Binding("o", "thinking", "thinking", id="side.thinking", tooltip="What the model thought first"),
        Binding("w", "removed", "missing words", id="side.removed", tooltip="Also words the baseline has"),
        *(
            Binding(
                str(digit),
                f"better({digit - 1})",
                "better",
                show=digit == 1,
                key_display="1-6",
                id=f"side.better-{digit}",
                tooltip=f"Column {digit} is the best",
            )
            for digit in range(1, 7)
        ),
        Binding("0", "rate('equal')", "equal", id="side.equal", tooltip="None is better"),
        binding("undo", "rate('undo')", "undo", room="side"),
        binding("copy", "copy", "copy", room="side"),
        binding("back", "leave", "back", room="side"),
    ]

    HELP = (
        "One case, all answers. Underlined words are not in the baseline's answer. `left` and `right` choose the "
        "column that **y**, **p** and **h** speak of; digits say which column is better, `0` that none is."
    )

    def __init__(self, cases: Cases, row: int, heat: Heat, *, column: int = 0) -> None:
        super().__init__()
        self._cases = cases
        self._row = row
        self._heat = heat
        self._start_column = column
        self._view: CaseView | None = None
        self._removed = False
        self._thinking = False
        self._tokens: dict[tuple[int, int], list[Token]] = {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel", id="case"):
            yield Static("", id="asked")
            yield DiffColumns()
            yield Static("", id="more")
        yield HintBar()

    def on_mount(self) -> None:
        columns = self.query_one(DiffColumns)
        columns.set_reactive(DiffColumns.chosen, self._start_column)
        columns.focus()
        self._load()

    @work(exclusive=True, group="case")
    async def _load(self, *, keep_scroll: bool = False) -> None:
        view = await asyncio.to_thread(self._cases.load, self._row)
        self._view = view
        self._draw(keep_scroll=keep_scroll)

    def on_store_changed(self) -> None:
        """Answers that land while the case is open appear in place."""
        if self._view is not None and any(answer is None for answer in self._view.answers):
            self._load(keep_scroll=True)

    # Drawing

    def _draw(self, *, keep_scroll: bool = False) -> None:
        view = self._view
        if view is None:
            return
        panel = self.query_one("#case", Vertical)
        place = f"case {self._row + 1} of {self._cases.row_count()}"
        split = " · held out" if view.content.get("split") == "held_out" else ""
        tags = ", ".join(view.content.get("tags") or ())
        about = f"{place} · {clip(view.title, 60)}{split}{f' · {tags}' if tags else ''}"
        panel.border_title = Content(safe_text(about, newlines=False))
        expected = clip(view.expected, max(10, self.size.width // 2))
        panel.border_subtitle = Content(f"expected: {expected}" if expected else "nothing expected")
        self.query_one("#asked", Static).update(shortened(Content(view.asked)))
        columns = [self._column(index, answer) for index, answer in enumerate(view.answers)]
        self.query_one(DiffColumns).show(columns, keep_scroll=keep_scroll)
        self._draw_more()

    def _column(self, index: int, answer: AnswerView | None) -> TextColumn:
        title = self._cases.titles[index]
        if answer is None:
            return TextColumn(title, Content.styled("not there yet", "$foreground-muted"), Content(""))
        view = self._view
        base = view.answers[self._cases.baseline] if view is not None else None
        tokens = self._tokens.get((self._row, index))
        if tokens is not None:
            body = shortened(heat_text(tokens))
        elif base is None or index == self._cases.baseline:
            body = shortened(Content(safe_text(answer.text)))
        else:
            body = diff_content(word_diff(base.text, answer.text), removed=self._removed)
        if not answer.text:
            body = Content() if answer.why else Content.styled("(empty answer)", "$foreground-muted")
        if self._thinking and answer.thinking:
            thought = shortened(Content.styled(safe_text(answer.thinking), "italic $foreground-muted"))
            body = Content.assemble(thought, "\n\n", body)
        return TextColumn(title, body, self._foot(answer), edge=answer.edge, mark=answer.mark)

    def _foot(self, answer: AnswerView) -> Content:
        lines: list[Content] = []
        for check in answer.checks:
            sign = {True: "✓", False: "✗", None: "⚠"}[check.passed]
            style = {True: "$text-success", False: "$text-error", None: "$text-warning"}[check.passed]
            why = f" · {check.why}" if check.why and check.passed is not True else ""
            lines.append(
                Content.assemble((f"{sign} ", style), safe_text(f"{check.label}{why}", newlines=False))
            )
        if answer.why and not answer.checks:
            lines.append(Content.styled(f"{MARKS[answer.state]} {safe_text(answer.why)}", "$text-warning"))
        for text, count in answer.distinct()[:5]:
            lines.append(Content(f"{count}× {clip(text, 60)}"))
        if answer.thinking and not self._thinking:
            lines.append(keyed("it thought first; `o` shows it", "$foreground-muted"))
        lines.append(Content.styled(answer.figures(), "$foreground-muted"))
        return Content("\n").join(lines)

    def _draw_more(self) -> None:
        """Below the columns: what is left and right, and the least sure tokens of the chosen column."""
        columns = self.query_one(DiffColumns)
        before, after = columns.hidden
        lines = []
        if before or after:
            lines.append(f"‹ {before} columns left · {after} right ›")
        tokens = self._tokens.get((self._row, columns.chosen))
        if tokens:
            lines += [LEGEND, *unsure(tokens)]
        self.query_one("#more", Static).update(Content("\n".join(lines)))
        self.query_one("#more", Static).display = bool(lines)

    def on_diff_columns_chosen_moved(self) -> None:
        self._draw_more()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_more)

    # Actions

    def action_case(self, step: int) -> None:
        self._go(self._row + step)

    def action_difference(self, step: int) -> None:
        found = self._cases.found_from(self._row, step)
        if found is None:
            self.app.notify("No more differences this way.", timeout=2)
        else:
            self._go(found)

    def action_only(self, show: Show) -> None:
        self._row = self._cases.only(show, self._row)
        self._load()

    def _go(self, row: int) -> None:
        row = max(0, min(row, self._cases.row_count() - 1))
        if row != self._row:
            self._row = row
            self._load()

    @property
    def _answer(self) -> AnswerView | None:
        if self._view is None or not self._view.answers:
            return None
        return self._view.answers[self.query_one(DiffColumns).chosen]

    def action_removed(self) -> None:
        self._removed = not self._removed
        self._draw(keep_scroll=True)

    def action_thinking(self) -> None:
        self._thinking = not self._thinking
        if self._thinking and self._view and not any(a and a.thinking for a in self._view.answers):
            self.app.notify("No answer of this case has thinking.", timeout=2)
        self._draw(keep_scroll=True)

    def action_copy(self) -> None:
        if self._answer is not None:
            shell(self).copy(self._answer.text)

    @work(exclusive=True, group="prompt")
    async def action_prompt(self) -> None:
        from widgets.reading import ReadingScreen

        if self._view is None:
            return
        column = self.query_one(DiffColumns).chosen
        text = await asyncio.to_thread(self._cases.prompt_of, self._view, column)
        self.app.push_screen(ReadingScreen(f"What {self._cases.titles[column]} was asked", text))

    @work(exclusive=True, group="heat")
    async def action_heat(self) -> None:
        """Shade the chosen answer by the model's certainty; where that was not stored the model says it again."""
        view, row = self._view, self._row
        column = self.query_one(DiffColumns).chosen
        if view is None or view.answers[column] is None:
            return
        if (row, column) in self._tokens:
            del self._tokens[row, column]
        else:
            self.app.notify("Asking the model for its probabilities …", timeout=2)
            tokens = await self._heat(view, column)
            if not tokens:
                return
            self._tokens[row, column] = tokens
        self._draw(keep_scroll=True)

    def action_better(self, column: int) -> None:
        if self._view is not None and column < len(self._view.answers):
            self._rate(column, "better")

    def action_rate(self, choice: str) -> None:
        self._rate(self.query_one(DiffColumns).chosen, choice)

    @work(exclusive=True, group="rate")
    async def _rate(self, column: int, choice: str) -> None:
        if self._view is not None:
            said = await asyncio.to_thread(self._cases.rate, self._view, column, choice)
            self.app.notify(said, timeout=2)

    def action_leave(self) -> None:
        self.dismiss(self._row)
