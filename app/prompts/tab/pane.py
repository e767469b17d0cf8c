"""The Prompts tab: compare versions side by side, and know whether a difference is real."""

from typing import ClassVar

from textual.binding import BindingType

from app.panes import StoreChanged
from app.prompts.tab.looking import Looking
from app.prompts.tab.shelving import Shelving
from widgets.matrix_data import LEGEND


class PromptsTab(Looking, Shelving):
    """The main job. What it can do is in its parts: `shelving`, `running`, `looking`."""

    BINDINGS: ClassVar[list[BindingType]] = []

    HELP = f"""\
Rows are cases, columns are prompt versions. **r** runs what is marked at the left: enter starts, and cells fill
while they are written. **enter** shows one case with full answers side by side. Below the grid stands whether the
difference is real; **w** says by which rule.

Signs: {LEGEND}

- **space** marks versions, **m** chooses models, **s** the split, **R** repeats, **=** the baseline, **O** all options
- **e** edits a draft (kept as you type, and a column of its own), **v** shows what changed, **t** labels, **B** builds
- **d** only cases that differ, **D** only regressions, **]** **[** next and previous, **/** filter by words or tag
- **b** blind choice, **T** by tag, **A** repeats, **,** **.** pairs, **H** past comparisons, **E** export
- **c** cases, **i** import, **n** new prompt, **x** stop or move to the trash, **u** undo, **o** the list at the left
"""

    def on_store_changed(self, _: StoreChanged) -> None:
        """Somebody wrote: another terminal, a job, this tab."""
        if not self.live:
            self.read_shelf()

    async def action_stop(self) -> None:
        """Stop the run; in the list, move what the cursor stands on to the trash."""
        if self.outline.has_focus and not self.live:
            self.remove_spoken_of()
        elif self.live:
            self.stop_run()
        else:
            self.tell("Nothing is running.", timeout=2)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "run":
            return not self.live
        if action == "stop":
            return self.live or self.outline.has_focus
        if action in ("show", "blind", "export", "baseline", "tags", "noise"):
            return self.comparison is not None
        return True
