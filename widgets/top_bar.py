"""The first line of the workbench: the stages at the left, how things stand at the right."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class TabLabel(NamedTuple):
    """One stage as the bar shows it."""

    id: str
    title: str
    digit: str


class StatusPart(NamedTuple):
    """One fact at the right. Where room is short the part with the lowest `weight` goes first."""

    text: str
    weight: int
    style: str = "$foreground-muted"


class TopBar(Widget):
    """Stages and status on one line, drawn as one piece of text: nothing to lay out, so it paints at once."""

    DEFAULT_CSS = """
    TopBar { dock: top; height: 1; width: 1fr; background: $background; }
    """

    active: reactive[str] = reactive("")
    status: reactive[tuple[StatusPart, ...]] = reactive(())

    class Chosen(Message):
        """A stage was clicked."""

        def __init__(self, tab_id: str) -> None:
            super().__init__()
            self.tab_id = tab_id

    def __init__(self, tabs: Sequence[TabLabel], *, active: str, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.tabs = tuple(tabs)
        self.set_reactive(TopBar.active, active)

    def _labels(self) -> list[tuple[TabLabel, str, str]]:
        """Each stage with its digit part and its title part; only the active title where room is short."""
        wide = [(tab, f" {tab.digit} ", f"{tab.title} ") for tab in self.tabs]
        if sum(len(digit) + cell_len(title) + 1 for _, digit, title in wide) + 14 <= self.size.width:
            return wide
        return [
            (tab, f" {tab.digit} ", f"{tab.title} " if tab.id == self.active else "") for tab in self.tabs
        ]

    def render(self) -> Content:
        pieces: list[Content | tuple[str, str]] = []
        used = 0
        for tab, digit, title in self._labels():
            if tab.id == self.active:
                pieces += [(digit, "bold $accent on $panel"), (title, "bold $foreground on $panel")]
            else:
                pieces += [(digit, "$accent"), (title, "$foreground-muted")]
            pieces.append((" ", ""))
            used += cell_len(digit) + cell_len(title) + 1
        room = self.size.width - used - 1
        parts = list(self.status)
        while parts and sum(cell_len(part.text) + 3 for part in parts) - 3 > room:
            parts.remove(min(parts, key=lambda part: part.weight))
        right: list[tuple[str, str]] = []
        for part in parts:
            right += (
                [(" · ", "$foreground-disabled"), (part.text, part.style)]
                if right
                else [(part.text, part.style)]
            )
        gap = room - sum(cell_len(text) for text, _ in right)
        return Content.assemble(*pieces, " " * max(0, gap), *right)

    def on_click(self, event: events.Click) -> None:
        at = 0
        for tab, digit, title in self._labels():
            at += cell_len(digit) + cell_len(title) + 1
            if event.x < at:
                self.post_message(self.Chosen(tab.id))
                return
