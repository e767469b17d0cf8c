"""Pages to read: the rule, results by tag, repeats, and what changed between two versions."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from app.keys import binding
from app.prompts.statistics import RULE
from app.prompts.version_diff import MessageChange, VersionDiff
from widgets.cells import pad
from widgets.diff_columns import diff_content
from widgets.matrix_data import bar
from widgets.sentence import keyed
from widgets.text import safe_text
from widgets.units import percent

RULE_PAGE = (
    "One rule decides every pair here, in the exports and on the command line.",
    RULE.sentence,
    "A win is a case that the second version passes and the first does not. Cases where both pass or both "
    "fail say nothing about which is better, so they are ties. With repeats a case still counts once: by the "
    "share of its repeats that pass.",
    "The pass rates in the column heads carry 95 % Wilson intervals. Two intervals that overlap do not mean "
    "that there is no difference: the same cases were asked, so the pair is what counts.",
    "An answer that was cut off, or whose prompt did not fit, is a state of its own and not called wrong, but "
    "it is not a pass. Failed requests and cases without checks are left out.",
    "While cells are missing nothing is a verdict: who stops at the first good moment finds differences that "
    "are not there.",
)


class PageScreen(ModalScreen[None]):
    """A page of our own sentences or a small table, closed with esc."""

    DEFAULT_CSS = """
    PageScreen { align: center middle; }
    PageScreen > VerticalScroll {
        width: 126; max-width: 95%; height: auto; max-height: 88%; padding: 1 2;
        background: $background; border: round $border; border-title-color: $accent;
        scrollbar-size-vertical: 1;
    }
    PageScreen Static { height: auto; margin-bottom: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [binding("back", "dismiss(None)", room="page")]

    def __init__(self, title: str, paragraphs: Sequence[str | Content]) -> None:
        super().__init__()
        self._title_text = title
        self._paragraphs = paragraphs

    def compose(self) -> ComposeResult:
        with VerticalScroll() as page:
            page.border_title = Content(safe_text(self._title_text, newlines=False))
            page.border_subtitle = Content("esc back")
            for paragraph in self._paragraphs:
                text = paragraph if isinstance(paragraph, Content) else Content(safe_text(paragraph))
                yield Static(text)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


NAME_WIDTH = 20
LEAST_COLUMN = 12


def tag_lines(summary: Mapping[str, Any], width: int) -> list[Content]:
    """Pass rates by tag as a table of at most `width` cells; a description, never a verdict."""
    rows = summary.get("by_tag") or []
    if not rows:
        return [keyed("The cases have no tags. `c` opens them, where tags can be typed.")]
    names = [str(subject["name"]) for subject in summary["subjects"]]
    column = max(LEAST_COLUMN, min(26, (width - NAME_WIDTH - 8) // len(names)))
    head = pad("tag", NAME_WIDTH) + pad("cases", 6, right=True) + "  "
    lines = [Content.styled(head + "".join(pad(name, column) for name in names), "$foreground-muted")]
    for row in rows:
        parts: list[tuple[str, str]] = [
            (pad(row["tag"], NAME_WIDTH), "bold"),
            (pad(row["cases"], 6, right=True) + "  ", "$foreground-muted"),
        ]
        for subject in row["subjects"]:
            parts += _rate(subject, column)
        lines.append(Content.assemble(*parts))
    lines.append(Content())
    lines.append(
        Content.styled(
            "Small groups swing widely: look at the intervals. The verdict counts all cases together.",
            "$foreground-muted",
        )
    )
    return [Content("\n").join(lines)]


def _rate(subject: Mapping[str, Any], width: int) -> list[tuple[str, str]]:
    if subject["pass_rate"] is None:
        return [(pad("no checks", width), "$foreground-muted")]
    rate = f"{percent(subject['pass_rate'])} {subject['ci_low'] * 100:.0f}–{subject['ci_high'] * 100:.0f}"
    if width < 22:
        return [(pad(rate, width), "")]
    full, rest = bar(subject["pass_rate"], 8)
    return [(full, "$accent"), (rest, "$foreground-disabled"), (pad(f" {rate}", width - 8), "")]


def noise_lines(summary: Mapping[str, Any], repeats: int) -> list[str | Content]:
    """What the repeats say: how much a version differs from itself."""
    if repeats < 2:
        return [
            "Every case was asked once, so nothing is known about how much a version differs from itself.",
            keyed(
                "`R` sets the repeats of the next run. At temperature 0 they would all give the same answer."
            ),
        ]
    lines: list[str | Content] = [f"Every case was asked {repeats} times."]
    lines += [str(row["sentence"]) + "." for row in summary.get("repeats") or ()]
    lines.append("A difference between two versions that is smaller than this noise is not worth a change.")
    return lines


def diff_lines(before: str, after: str, diff: VersionDiff, notes: tuple[str, str]) -> list[Content]:
    """What changed from one version to another, word by word."""
    lines = [
        Content.assemble(
            (f"{safe_text(before)} → {safe_text(after)}", "bold"),
            (f"   {safe_text(notes[0])} → {safe_text(notes[1])}" if any(notes) else "", "$foreground-muted"),
        )
    ]
    if diff.same:
        return [*lines, Content("Nothing that reaches the model or the checks is different.")]
    lines += [_change(change, "") for change in diff.messages]
    lines += [_change(change, "example · ") for change in diff.examples if change.changed]
    same = sum(not change.changed for change in diff.examples)
    if same:
        lines.append(Content.styled(f"{same} parts of examples are the same", "$foreground-muted"))
    if diff.settings:
        rows = [
            Content.assemble(
                (pad(setting.path, 28), "$foreground-muted"),
                (safe_text(_value(setting.before), newlines=False), "strike $foreground-muted"),
                "  ",
                (safe_text(_value(setting.after), newlines=False), "bold underline $text-accent"),
            )
            for setting in diff.settings
        ]
        lines.append(Content("\n").join([Content.styled("settings", "$accent"), *rows]))
    return lines


def _change(change: MessageChange, kind: str) -> Content:
    sign = "" if change.changed else " (same)"
    if change.before is None:
        sign = " (added)"
    elif change.after is None:
        sign = " (removed)"
    title = Content.styled(
        f"{kind}{safe_text(change.role)}{sign}\n", "$accent" if change.changed else "$foreground-muted"
    )
    body = diff_content(change.ops, removed=True)
    return Content.assemble(title, body if change.changed else body.stylize("$foreground-muted"))


def _value(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
