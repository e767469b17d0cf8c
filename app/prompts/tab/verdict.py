"""The panel that answers "is it real?" for one pair of columns at a time."""

from dataclasses import dataclass

from textual.content import Content
from textual.widgets import Static

from app.prompts.statistics import Decision
from widgets.sentence import keyed
from widgets.text import safe_text


@dataclass(frozen=True)
class Verdicts:
    """What the panel shows: the decisions on all pairs, and sentences for what else should be known.

    `missing` is the number of cells that are not there yet; `notes` are our own sentences.
    """

    decisions: tuple[Decision, ...] = ()
    missing: int = 0
    notes: tuple[str, ...] = ()


class VerdictPanel(Static):
    """The decision on one pair of columns at a time; the pane pages through them."""

    DEFAULT_CSS = """
    VerdictPanel { height: auto; min-height: 2; max-height: 6; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False)
        self._verdicts = Verdicts()
        self._at = 0
        self._height = -1

    def show(self, verdicts: Verdicts) -> None:
        """Show these verdicts; the pair that was looked at stays in view."""
        self._verdicts = verdicts
        self._at = max(0, min(self._at, len(verdicts.decisions) - 1))
        self._draw()

    def invite(self, *sentences: str) -> None:
        """Say what can be done instead of a verdict; keys stand between backticks."""
        self._verdicts = Verdicts()
        self._say(Content("\n").join(keyed(sentence, "$foreground-muted") for sentence in sentences))

    def page(self, step: int) -> None:
        """Show another pair."""
        if self._verdicts.decisions:
            self._at = (self._at + step) % len(self._verdicts.decisions)
            self._draw()

    def look_at(self, a: str, b: str) -> None:
        """Show the decision on `b` over `a` if there is one."""
        for index, decision in enumerate(self._verdicts.decisions):
            if (decision.counts.a, decision.counts.b) == (a, b) and index != self._at:
                self._at = index
                self._draw()

    @property
    def decision(self) -> Decision | None:
        """The decision in view."""
        decisions = self._verdicts.decisions
        return decisions[self._at] if decisions else None

    def _draw(self) -> None:
        decision = self.decision
        lines = []
        if decision is not None:
            lines.append(decision_line(decision))
            if decision.counts.cases:
                lines.append(self._figures(decision))
        lines += [Content.styled(note, "$foreground-muted") for note in self._verdicts.notes]
        self._say(Content("\n").join(lines) if lines else Content(""))

    def _say(self, content: Content) -> None:
        """Show a text; the screen is laid out anew only when it takes another number of lines."""
        width = self.content_size.width
        before = self._height
        self._height = len(content.wrap(width)) if width else -1
        self.update(content, layout=self._height != before or not width)

    def _figures(self, decision: Decision) -> Content:
        parts = [
            f"{signed(decision.difference)} points ({signed(decision.ci_low)} … {signed(decision.ci_high)})",
            f"{decision.confidence * 100:.0f} % interval" if len(self._verdicts.decisions) == 1 else "",
            f"Holm over {len(self._verdicts.decisions)} pairs" if len(self._verdicts.decisions) > 1 else "",
        ]
        text = " · ".join(part for part in parts if part)
        keys = keyed(
            f"pair {self._at + 1} of {len(self._verdicts.decisions)} `,` `.`  `w` why", "$foreground-muted"
        )
        if len(self._verdicts.decisions) == 1:
            keys = keyed("`w` why", "$foreground-muted")
        return Content.assemble((text, "$foreground-muted"), "   ", keys)


def decision_line(decision: Decision) -> Content:
    """The rule's sentence; what it settles stands out, what it leaves open does not."""
    head, _, tail = safe_text(decision.sentence, newlines=False).rpartition(": ")
    style = "bold $text-success" if decision.settled and not decision.early else "bold"
    return Content.assemble((f"{head}: " if head else "", ""), (tail, style))


def signed(share: float) -> str:
    """A difference of shares in points with its sign: `+11`, `−1`, `0`."""
    points = round(share * 100)
    return f"+{points}" if points > 0 else f"−{-points}" if points < 0 else "0"
