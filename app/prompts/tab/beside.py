"""A past comparison beside the present one: the figures, and the cases that changed."""

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from app.prompts.report import report
from app.prompts.tab import reads
from app.prompts.tab.data import Comparison, share
from app.prompts.titles import case_title
from store import datasets, evaluations
from store.workspace import Store
from widgets.cells import pad
from widgets.text import safe_text
from widgets.units import percent

MOST_CHANGED = 40


def beside_lines(store: Store, then_id: int, now_id: int) -> list[str | Content]:
    """Both comparisons by subject, then the cases whose outcome changed. Reads the store: call it in a thread."""
    then, now = report(store, then_id, full=False), report(store, now_id, full=False)
    before = evaluations.evaluation(store, then_id)
    lines: list[str | Content] = [
        f"Comparison {then_id} of {before.created_at[:16].replace('T', ' ')}, and this one"
    ]
    lines.append(_table(then, now))
    old = reads.open_comparison(store, then_id, 0)
    new = reads.open_comparison(store, now_id, 0)
    if old.head.cases_version_id != new.head.cases_version_id:
        lines.append(
            f"They asked different cases ({old.head.cases_ref}, {new.head.cases_ref}), so cases are not compared."
        )
        return lines
    changed = _changed(old, new)
    if not changed:
        lines.append("No case fares differently in a column that both have.")
        return lines
    lines.append(f"{len(changed)} cases fare differently:")
    rows = []
    for position, label, was, now_share in changed[:MOST_CHANGED]:
        name = case_title(datasets.row(store, new.head.cases_version_id, position).content)
        rows.append(
            Content.assemble(
                (pad(position + 1, 5, right=True) + "  ", "$foreground-muted"),
                pad(name, 46),
                (pad(label, 14), "$foreground-muted"),
                (
                    f" {_sign(was)} → {_sign(now_share)}",
                    "$text-success" if now_share > was else "$text-error",
                ),
            )
        )
    if len(changed) > MOST_CHANGED:
        rows.append(Content(f"… and {len(changed) - MOST_CHANGED} more"))
    lines.append(Content("\n").join(rows))
    return lines


def _table(then: Mapping[str, Any], now: Mapping[str, Any]) -> Content:
    old = {row["ref"]: row for row in then["subjects"]}
    new = {row["ref"]: row for row in now["subjects"]}
    rows = [Content.styled(pad("", 44) + pad("then", 20) + pad("now", 20) + "change", "$foreground-muted")]
    for ref in dict.fromkeys([*new, *old]):
        was, present = old.get(ref), new.get(ref)
        change = ""
        if was and present and was["pass_rate"] is not None and present["pass_rate"] is not None:
            points = round((present["pass_rate"] - was["pass_rate"]) * 100)
            change = f"{points:+d} points" if points else "the same"
        rows.append(
            Content.assemble(safe_text(pad(ref, 44)), pad(_rate(was), 20), pad(_rate(present), 20), change)
        )
    return Content("\n").join(rows)


def _rate(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not in it"
    if row["pass_rate"] is None:
        return "no checks"
    return f"{percent(row['pass_rate'])}  {row['ci_low'] * 100:.0f}–{row['ci_high'] * 100:.0f}  n {row['n']}"


def _changed(old: Comparison, new: Comparison) -> list[tuple[int, str, float, float]]:
    columns = {subject.ref: index for index, subject in enumerate(old.head.subjects)}
    found = []
    for index, subject in enumerate(new.head.subjects):
        if subject.ref not in columns:
            continue
        for position in new.head.positions:
            was = share(old.outcomes.get((position, columns[subject.ref]), ()))
            now = share(new.outcomes.get((position, index), ()))
            if was is not None and now is not None and was != now:
                found.append((position, subject.label, was, now))
    return sorted(found)


def _sign(passed: float) -> str:
    return "✓" if passed == 1 else "✗" if passed == 0 else "±"
