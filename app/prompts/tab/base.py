"""The tab's state and its drawing: the list at the left, the matrix, and the panel that judges."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import var
from textual.widgets import Static

from app.prompts.tab import reads
from app.prompts.tab.choices import Choice
from app.prompts.tab.data import LABELS, Comparison, Preview
from app.prompts.tab.outline import Shelf, lines
from app.prompts.tab.selection import Selection
from app.prompts.tab.shell import Answer, Shell, shell
from app.prompts.tab.verdict import VerdictPanel, Verdicts
from store.jobs import Job
from store.workspace import Store
from widgets import units
from widgets.cells import clip
from widgets.empty import EmptyState
from widgets.matrix import Matrix
from widgets.matrix_data import MARKS
from widgets.text import safe_text
from widgets.version_tree import Outline

SHELF_SECONDS = 1.0
"""The list at the left is read again at most this often, however much is written."""
SLIM = 100
"""Columns of the terminal below which the list folds away."""
JUDGE_SECONDS = 0.5
"""The verdict is worked out again at most this often while cells land."""


class PromptsBase(Vertical):
    """State shared by everything the tab can do. The parts that act on it are its subclasses."""

    DEFAULT_CSS = """
    PromptsBase { height: 1fr; }
    PromptsBase > Horizontal { height: 1fr; }
    PromptsBase #shelf { width: 26%; min-width: 26; max-width: 36; padding: 0; }
    PromptsBase.-folded #shelf { display: none; }
    PromptsBase #desk { width: 1fr; padding: 0; }
    PromptsBase #desk.-empty Matrix, PromptsBase #desk.-empty #strip, PromptsBase #desk.-empty #judge {
        display: none;
    }
    PromptsBase #invite { display: none; }
    PromptsBase #desk.-empty #invite { display: block; }
    PromptsBase #strip {
        height: 3; padding: 0 1; color: $foreground 85%; border-top: solid $border-blurred;
    }
    PromptsBase #judge {
        height: auto; border-top: solid $border-blurred;
        border-title-color: $text-muted; border-title-style: bold;
    }
    PromptsBase #filter { height: 1; display: none; dock: bottom; }
    PromptsBase.-slim #shelf { display: none; }
    PromptsBase.-slim.-listing #shelf { display: block; width: 1fr; max-width: 100%; }
    PromptsBase.-slim.-listing #desk { display: none; }
    """

    stage_id: ClassVar[str] = "prompts"

    comparison: var[Comparison | None] = var(None, init=False)

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self.selection = Selection()
        self.shelf = Shelf()
        self.job: Job | None = None
        self.verdicts = Verdicts()
        self.preview = Preview((), ())
        self._unfolded: set[str] = set()
        self._shelf_read_at = 0.0
        self._judge_after = 0.0
        self._hidden = False
        self.selection_read = False
        """Whether the first read is on the screen."""

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="shelf", classes="panel") as shelf:
                shelf.border_title = Content("Prompts")
                yield Outline()
            with Vertical(id="desk", classes="panel -empty"):
                yield EmptyState("Prompts", id="invite")
                yield Matrix()
                yield Static("", id="strip", markup=False)
                with Vertical(id="judge") as judge:
                    judge.border_title = Content(" Is it real? ")
                    yield VerdictPanel()

    # Handy parts

    @property
    def shell(self) -> Shell:
        """The workbench around the tab."""
        return shell(self)

    @property
    def matrix(self) -> Matrix:
        """The grid."""
        return self.query_one(Matrix)

    @property
    def outline(self) -> Outline:
        """The list at the left."""
        return self.query_one(Outline)

    @property
    def live(self) -> bool:
        """Whether the comparison on screen is still being made."""
        return self.comparison is not None and self.comparison.head.live

    async def read(self, function: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
        """Read off the screen's thread. When the tab has left the screen meanwhile, whatever waited ends here."""
        found = await self.shell.read(function, *arguments, **named)
        if not self.query(Outline):
            raise asyncio.CancelledError
        return found

    # Opening

    def on_mount(self) -> None:
        self._open_first()

    @work(exclusive=True, group="open")
    async def _open_first(self) -> None:
        """Everything the first screen shows, in one read: what was chosen last, the list, the last comparison."""
        first = await self.read(reads.first, self._store, self.page_rows)
        self.selection = first.selection
        self._unfolded = {first.selection.prompt} if first.selection.prompt else set()
        self.shelf = first.shelf
        self._shelf_read_at = time.monotonic()
        self.draw_shelf()
        self.preview = first.preview
        self.put_on_desk(first.comparison)
        self.outline.select(("prompt", self.selection.prompt))
        # The shell gave the focus to the first widget there is; nobody has chosen yet.
        if self.screen.focused in (None, self.outline):
            (self.matrix if self.comparison is not None else self.outline).focus()
        self.selection_read = True

    @property
    def page_rows(self) -> int:
        """Rows that fit on the screen, for reading the first page before it is laid out."""
        return max(10, self.app.size.height)

    def put_on_desk(self, comparison: Comparison | None) -> None:
        """Show a comparison, or the invitation to make one."""
        self.comparison = comparison
        self.verdicts = Verdicts()
        self.job = None
        if comparison is None:
            self.show_preview()
        else:
            self.query_one("#desk").remove_class("-empty")
            self.matrix.show(comparison)
            self.query_one(VerdictPanel).show(self.verdicts)
            if comparison.partial:
                self._complete(comparison)
            else:
                self.judge(force=True)
        self.draw_title()
        self.draw_strip()
        self.draw_shelf()
        self.refresh_bindings()

    @work(exclusive=True, group="complete")
    async def _complete(self, comparison: Comparison) -> None:
        """Read all cells of a large comparison behind its first page."""
        whole = await asyncio.to_thread(reads.open_comparison, self._store, comparison.head.id, 0)
        comparison.adopt(whole)
        if comparison is self.comparison and self.query(Matrix):
            self.matrix.refresh_header()
            self.matrix.refresh()
            self.draw_title()
            self.judge(force=True)

    def show_preview(self) -> None:
        """Without a comparison: the grid that the next run fills, or what has to be chosen first."""
        missing = self.selection.missing
        self.query_one("#desk").set_class(bool(missing), "-empty")
        if missing:
            invite = self.query_one("#invite", EmptyState)
            if not self.selection.prompt:
                invite.say("No prompts yet", "`n` writes one.  `i` imports yours: text files, promptfoo.")
            else:
                invite.say(
                    "Nothing to compare yet", "`i` imports cases from a file, `c` types one, `space` marks."
                )
            return
        self.matrix.show(self.preview)
        columns = units.quantity(len(self.preview.titles), "column")
        ready = f"Ready: {columns} over {safe_text(self.selection.cases, newlines=False)}. `r` says what it takes."
        self.query_one(VerdictPanel).invite(
            ready,
            "`space` marks versions, `m` chooses models, `e` edits a draft, `s` the split, `R` repeats.",
        )

    @work(exclusive=True, group="preview")
    async def read_preview(self) -> None:
        """Read the preview again after the selection changed."""
        self.preview = await self.read(reads.preview, self._store, self.selection)
        if self.comparison is None:
            self.show_preview()
            self.draw_title()

    # Drawing

    def draw_shelf(self) -> None:
        """Draw the list at the left from what is known."""
        shown = self.comparison.head.id if self.comparison is not None else None
        self.outline.show(lines(self.shelf, self.selection, shown))

    def draw_title(self) -> None:
        """What is on the desk and how far it is, across the top border."""
        desk = self.query_one("#desk")
        comparison = self.comparison
        name = self._desk_name()
        right = self._progress() if comparison is not None else ""
        room = desk.size.width - 2 - len(name) - len(right)
        fill = "─" * max(1, room - 2)
        desk.border_title = Content.assemble(
            (clip(name, max(10, desk.size.width - 8)), ""),
            (f" {fill} " if right else "", "$border-blurred"),
            (right, "$foreground-muted" if not self.live else "$accent"),
        )

    def _desk_name(self) -> str:
        if self.comparison is None:
            parts = [self.selection.prompt, self.selection.cases]
            return safe_text(" × ".join(part for part in parts if part) or "Compare", newlines=False)
        head = self.comparison.head
        prompts = list(dict.fromkeys(subject.prompt for subject in head.subjects))
        shown = f" · {LABELS[self.comparison.show]}" if self.comparison.show != "all" else ""
        rows = f" ({len(self.comparison.rows)})" if len(self.comparison.rows) != len(head.positions) else ""
        return safe_text(f"{' + '.join(prompts)} × {head.cases_ref}{shown}{rows}", newlines=False)

    def _progress(self) -> str:
        comparison, job = self.comparison, self.job
        if comparison is None:
            return ""
        done, planned = comparison.done, comparison.head.planned
        if self.live:
            parts = [f"{done:,} of {planned:,} cells"]
            if job is not None and job.state == "queued":
                parts = ["waiting for its turn", "x takes it back"]
                return " · ".join(parts)
            if job is not None and job.rate:
                parts += [units.rate(job.rate, "cell"), units.time_left((planned - done) / job.rate)]
            return " · ".join([*parts, "x stops"])
        parts = [f"{planned:,} cells" if done >= planned else f"{done:,} of {planned:,} cells"]
        if comparison.reused:
            parts.append(f"{comparison.reused:,} reused")
        if done < planned:
            parts.append("r goes on")
        if following := self._next_columns(comparison):
            parts.append(f"r compares {following}")
        return " · ".join(parts)

    def _next_columns(self, comparison: Comparison) -> str:
        """The columns of the next run in words, where they are others than those on the desk."""
        selection, head = self.selection, comparison.head
        wanted = set(selection.prompts)
        shown = {f"{one.prompt}@{'draft' if one.version is None else one.version}" for one in head.subjects}
        if selection.missing or (
            wanted == shown and selection.cases == head.cases_ref and not selection.draft
        ):
            return ""
        same_prompt = all(one.prompt == selection.prompt for one in head.subjects)
        columns = " ".join(reads.column_titles(selection))
        cases = f" over {selection.cases}" if selection.cases != head.cases_ref else ""
        return safe_text(
            f"{columns if same_prompt else f'{selection.prompt} {columns}'}{cases}", newlines=False
        )

    def draw_strip(self) -> None:
        """The whole text of the cell under the cursor, as far as two lines hold it."""
        strip = self.query_one("#strip", Static)
        comparison = self.comparison
        row, column = self.matrix.cursor_row, self.matrix.cursor_column
        roomy = self.app.size.height >= 30
        if comparison is None or not roomy or row >= comparison.row_count() or not comparison.head.subjects:
            strip.display = False
            return
        strip.display = True
        subject = comparison.head.subjects[min(column, len(comparison.head.subjects) - 1)]
        cell = comparison.cell(row, column)
        text = cell.text[-600:] if cell.state == "writing" else cell.text[:600]
        strip.update(
            Content.assemble(
                (f"{safe_text(subject.label, newlines=False)} {MARKS[cell.state]} ", "$foreground-muted"),
                safe_text(" ".join(text.split()) or cell.state.replace("_", " ")),
            ),
            layout=False,  # its height is fixed: a key press must not lay the whole screen out again
        )

    # Reading the rows on screen

    def on_matrix_window_moved(self, message: Matrix.WindowMoved) -> None:
        self.read_window()

    @work(exclusive=True, group="window")
    async def read_window(self) -> None:
        """Read the texts of the rows on screen that are not known yet, and some on either side."""
        comparison = self.comparison
        if comparison is None:
            return
        rows = self.matrix.visible_rows
        around = range(max(0, rows.start - 10), min(len(comparison.rows), rows.stop + 10))
        wanted = [comparison.rows[row] for row in around]
        missing = [position for position in wanted if self._lacks(comparison, position)]
        if not missing:
            return
        labels, texts = await self.read(reads.window, self._store, comparison.head, missing)
        if comparison is self.comparison:
            comparison.keep_texts(labels, texts)
            for row in around:
                if comparison.rows[row : row + 1] and comparison.rows[row] in labels:
                    self.matrix.refresh_row(row)
            self.draw_strip()

    @staticmethod
    def _lacks(comparison: Comparison, position: int) -> bool:
        if position not in comparison.labels:
            return True
        keys = ((position, subject) for subject in range(len(comparison.head.subjects)))
        return any(key in comparison.outcomes and key not in comparison.texts for key in keys)

    def on_matrix_cursor_moved(self, message: Matrix.CursorMoved) -> None:
        self.draw_strip()
        comparison = self.comparison
        if comparison is not None and comparison.head.subjects:
            base = comparison.head.baseline or 0
            self.query_one(VerdictPanel).look_at(
                comparison.head.subjects[base].label, comparison.head.subjects[message.column].label
            )

    # Judging

    def judge(self, *, force: bool = False) -> None:
        """Work the verdict out anew, at most every half second while cells land."""
        if force or time.monotonic() >= self._judge_after:
            self._judge_after = time.monotonic() + JUDGE_SECONDS
            self._judge()

    @work(exclusive=True, group="judge")
    async def _judge(self) -> None:
        comparison = self.comparison
        if comparison is None:
            return
        # Not on the reading thread: many close pairs take long enough to hold up the rows on screen.
        began = time.monotonic()
        verdicts = await asyncio.to_thread(reads.verdicts, self._store, comparison)
        # A rule that takes long is asked less often, so that it never takes more than a tenth of the time.
        self._judge_after = time.monotonic() + max(JUDGE_SECONDS, 10 * (time.monotonic() - began))
        if comparison is self.comparison and self.query(VerdictPanel):
            self.verdicts = verdicts
            self.query_one(VerdictPanel).show(verdicts)

    # Hearing of changes

    def on_tab_shown(self) -> None:
        """The shell brought the tab to the front."""
        self._hidden = False

    def on_tab_hidden(self) -> None:
        """The shell put another tab in front: stop what only serves the eye."""
        self._hidden = True

    @work(exclusive=True, group="shelf")
    async def read_shelf(self, *, at_once: bool = False) -> None:
        """Read the list at the left again, now or within a second."""
        wait = self._shelf_read_at + SHELF_SECONDS - time.monotonic()
        if wait > 0 and not at_once:
            await asyncio.sleep(wait)
        self._shelf_read_at = time.monotonic()
        self.shelf = await self.read(reads.shelf, self._store, frozenset(self._unfolded))
        self.draw_shelf()

    def on_resize(self) -> None:
        self.set_class(self.app.size.width < SLIM, "-slim")
        self.call_after_refresh(self.draw_title)
        self.draw_strip()

    async def ask(self, question: str, *, value: str = "", placeholder: str = "") -> str | None:
        """A line of text from the user; None when it was taken back. Call it from a worker."""
        from app.prompts.tab.ask import NoteScreen

        return await self.app.push_screen_wait(NoteScreen(question, value=value, placeholder=placeholder))

    async def pick_one(self, title: str, choices: Sequence[Choice], *, empty: str = "") -> Any:
        """The key of one of a few lines; None when none was taken. Call it from a worker."""
        from app.prompts.tab.ask import choose

        return await self.app.push_screen_wait(choose(title, choices, empty=empty))

    def tell(self, message: str, **options: Any) -> None:
        """A toast."""
        self.app.notify(message, **options)
