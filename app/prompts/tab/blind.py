"""Blind choice: two answers without names, one key each, and the names only at the end."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.keys import binding
from app.prompts.tab.blind_choices import BlindChoices, Choice, outcome
from app.prompts.tab.views import CaseView
from app.prompts.words import word_diff
from widgets.diff_columns import DiffColumns, TextColumn, diff_content, shortened
from widgets.hint_bar import HintBar
from widgets.sentence import keyed
from widgets.text import safe_text

Load = Callable[[int], CaseView]
Keep = Callable[[int, Choice | None, bool], None]
"""(position, choice or None to take the last one back, swapped): writes to the store, so it runs in a thread."""


class BlindScreen(Screen[None]):
    """Judges the answers of two columns; every choice is in the store before the next case is shown."""

    DEFAULT_CSS = """
    BlindScreen #asked { height: auto; max-height: 10; padding: 0 1 1 1; color: $foreground 85%; }
    BlindScreen #ended { padding: 1 2; display: none; }
    BlindScreen.-ended DiffColumns { display: none; }
    BlindScreen.-ended #asked { display: none; }
    BlindScreen.-ended #ended { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "1", "choose('left')", "left is better", id="blind.left", tooltip="The left answer is better"
        ),
        Binding(
            "2", "choose('right')", "right is better", id="blind.right", tooltip="The right one is better"
        ),
        Binding("0", "choose('equal')", "equal", id="blind.equal", tooltip="Neither is better"),
        binding("undo", "undo", "undo", room="blind"),
        Binding("d", "differences", "differences", id="blind.differences", tooltip="Mark words that differ"),
        Binding("s", "finish", "show names", id="blind.finish", tooltip="Stop here and show the names"),
        binding("back", "leave", "back", room="blind"),
    ]

    HELP = (
        "Two answers to the same case, sides shuffled, names hidden. **1** the left one is better, **2** the "
        "right one, **0** neither, **u** takes back. Cases with the same answer on both sides are left out."
    )

    def __init__(self, choices: BlindChoices, load: Load, keep: Keep, columns: tuple[int, int]) -> None:
        super().__init__()
        self._choices = choices
        self._load_case = load
        self._keep = keep
        self._columns = columns
        self._view: CaseView | None = None
        self._marked = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel", id="blind"):
            yield Static("", id="asked")
            yield DiffColumns()
            yield Static("", id="ended")
        yield HintBar()

    def on_mount(self) -> None:
        self.query_one(DiffColumns).focus()
        self._next()

    @work(exclusive=True, group="blind")
    async def _next(self) -> None:
        pairing = self._choices.at
        if pairing is None:
            self._end()
            return
        self.remove_class("-ended")
        self._view = await asyncio.to_thread(self._load_case, pairing.position)
        self._draw()

    def _draw(self) -> None:
        view, pairing = self._view, self._choices.at
        if view is None or pairing is None:
            return
        panel = self.query_one("#blind", Vertical)
        done = len(self._choices.chosen)
        panel.border_title = Content(f"blind choice · {done + 1} of {len(self._choices.pairings)}")
        panel.border_subtitle = Content("names are shown at the end")
        self.query_one("#asked", Static).update(shortened(Content(view.asked)))
        sides = self._columns[::-1] if pairing.swapped else self._columns
        texts = [answer.text if (answer := view.answers[side]) else "" for side in sides]
        if self._marked:
            bodies = [diff_content(word_diff(texts[1 - side], texts[side]), removed=False) for side in (0, 1)]
        else:
            bodies = [shortened(Content(safe_text(text))) for text in texts]
        self.query_one(DiffColumns).show(
            [TextColumn(name, body, Content("")) for name, body in zip(("1", "2"), bodies, strict=True)]
        )

    def _end(self) -> None:
        panel = self.query_one("#blind", Vertical)
        panel.border_title = Content("blind choice · the names")
        panel.border_subtitle = Content("")
        lines = [Content(safe_text(line)) for line in outcome(self._choices)]
        lines.append(
            keyed("Every choice is kept. `u` takes the last one back, `esc` goes back.", "$foreground-muted")
        )
        self.query_one("#ended", Static).update(Content("\n\n").join(lines))
        self.add_class("-ended")

    async def action_choose(self, choice: Choice) -> None:
        """Keep the choice, then show the next case."""
        pairing = self._choices.at
        if pairing is None or self.has_class("-ended"):
            return
        await asyncio.to_thread(self._keep, pairing.position, choice, pairing.swapped)
        self._choices = self._choices.choose(choice)
        self._next()

    async def action_undo(self) -> None:
        if not self._choices.chosen:
            self.app.notify("Nothing to take back.", timeout=2)
            return
        self._choices = self._choices.undo()
        pairing = self._choices.at
        if pairing is not None:
            await asyncio.to_thread(self._keep, pairing.position, None, pairing.swapped)
        self._next()

    def action_differences(self) -> None:
        self._marked = not self._marked
        self._draw()

    def action_finish(self) -> None:
        if self._choices.chosen:
            self._end()
        else:
            self.app.notify("Nothing is judged yet; esc goes back.", timeout=2)

    def action_leave(self) -> None:
        if self._choices.chosen and not self.has_class("-ended"):
            self._end()
        else:
            self.dismiss(None)
