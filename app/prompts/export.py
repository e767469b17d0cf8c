"""A comparison to hand over: one self-contained HTML page, JSON Lines, or Markdown.

What a model wrote is hostile here as everywhere: HTML holds it escaped and without any script (its policy
forbids
scripts and requests), Markdown keeps it inside fences, and control characters are shown as visible signs.
JSON Lines
is exact.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from app.prompts.compose import expected_text
from app.prompts.report import report
from app.prompts.subjects import Subject, subject_of
from app.prompts.titles import case_title
from widgets.text import safe_text

if TYPE_CHECKING:
    from store.workspace import Store

ExportFormat = Literal["html", "jsonl", "md"]
PAGE = 200

MARKS = {
    "passed": "✓",
    "failed": "✗",
    "cut_off": "✂ cut off",
    "overflow": "⇥ does not fit",
    "error": "! failed request",
    "unscored": "·",
}


@dataclass(frozen=True)
class AnswerRow:
    """One finished cell with its answer."""

    subject: int
    repeat: int
    state: str
    score: float | None
    output: str
    thinking: str
    error: str
    checks: list[dict[str, Any]]
    reused: bool
    latency_ms: float | None
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class CaseRow:
    """One case with the answers of every subject."""

    position: int
    content: dict[str, Any]
    answers: list[AnswerRow] = field(default_factory=list)


def export_comparison(store: Store, evaluation_id: int, target: Path, kind: ExportFormat) -> int:
    """Write a comparison to `target` (whole or not at all). Returns the number of cases in it."""
    from store import evaluations

    evaluation = evaluations.evaluation(store, evaluation_id)
    subjects = [subject_of(data) for data in evaluation.subjects]
    summary = report(store, evaluation_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    write = {"html": _write_html, "jsonl": _write_jsonl, "md": _write_markdown}[kind]
    try:
        with fresh.open("w", encoding="utf-8", newline="\n") as file:
            count = write(file, summary, subjects, case_answers(store, evaluation_id))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return count


def case_answers(store: Store, evaluation_id: int) -> Iterator[CaseRow]:
    """The cases of a comparison in order, each with its finished cells, read page by page."""
    from store import datasets, evaluations

    evaluation = evaluations.evaluation(store, evaluation_id)
    after = -1
    while rows := datasets.rows(store, evaluation.cases_version_id, after=after, limit=PAGE):
        after = rows[-1].position
        found: dict[int, list[AnswerRow]] = {}
        for cell in evaluations.cells(store, evaluation_id, [row.position for row in rows]):
            found.setdefault(cell.position, []).append(
                AnswerRow(
                    subject=cell.subject,
                    repeat=cell.repeat,
                    state=cell.state,
                    score=cell.score,
                    output=cell.output or "",
                    thinking=cell.thinking or "",
                    error=cell.error,
                    checks=cell.checks,
                    reused=cell.reused,
                    latency_ms=cell.latency_ms,
                    prompt_tokens=cell.prompt_tokens or 0,
                    completion_tokens=cell.completion_tokens or 0,
                )
            )
        for row in rows:
            answers = sorted(found.get(row.position, ()), key=lambda one: (one.subject, one.repeat))
            if answers:
                yield CaseRow(row.position, row.content, answers)


# --- JSON Lines
# -----------------------------------------------------------------------------------------------------


def _write_jsonl(
    file: TextIO, summary: dict[str, Any], subjects: Sequence[Subject], cases: Iterator[CaseRow]
) -> int:
    head = {"kind": "comparison", "summary": summary, "subjects": [one.as_data() for one in subjects]}
    file.write(json.dumps(head) + "\n")
    count = 0
    for case in cases:
        count += 1
        answers = [{"ref": subjects[one.subject].ref, **one.__dict__} for one in case.answers]
        file.write(
            json.dumps({"kind": "case", "position": case.position, "case": case.content, "answers": answers})
            + "\n"
        )
    return count


# --- Markdown
# -------------------------------------------------------------------------------------------------------


def _write_markdown(
    file: TextIO, summary: dict[str, Any], subjects: Sequence[Subject], cases: Iterator[CaseRow]
) -> int:
    file.write(f"# {_inline(summary['name'])}\n\n")
    file.write(
        "| subject | passed | rate | 95 % | tokens/s | latency (median) |\n|---|---|---|---|---|---|\n"
    )
    for row in summary["subjects"]:
        file.write(
            f"| {_inline(row['name'])} `{_code(row['ref'])}` | {row['passed']:g} of {row['n']} | "
            f"{_rate(row)} | "
            f"{_interval(row)} | {_number(row['tokens_per_second'])} | "
            f"{_milliseconds(row['latency_ms_p50'])} |\n"
        )
    file.write("\n## Is it real?\n\n")
    for pair in summary["pairs"]:
        file.write(f"- {_inline(pair['verdict'])} ({_points(pair)})\n")
    file.writelines(f"- {_inline(note)}\n" for note in summary["notes"])
    file.writelines(
        f"- gate {_inline(gate['gate'])}: {'met' if gate['met'] else 'NOT met'} ({_inline(gate['why'])})\n"
        for gate in summary.get("gates", ())
    )
    file.write(f"\n{_inline(summary['rule'])}\n\n## Cases\n")
    count = 0
    for case in cases:
        count += 1
        file.write(f"\n### {case.position + 1}. {_inline(case_title(case.content))}\n\n")
        if case.content.get("expected") is not None:
            file.write(f"Expected:\n\n{_fenced(expected_text(case.content['expected']))}\n")
        for one in case.answers:
            label = _inline(subjects[one.subject].label)
            repeat = f", repeat {one.repeat + 1}" if one.repeat else ""
            file.write(f"**{label}**{repeat}: {MARKS.get(one.state, one.state)}\n\n")
            file.write(_fenced(one.output or one.error) + "\n")
    return count


def _inline(text: str) -> str:
    """Text inside a Markdown line: nothing in it can start a link, a tag, a table cell or a heading."""
    return re.sub(r"([\\`*_{}\[\]()<>#!|~&])", r"\\\1", safe_text(str(text), newlines=False))


def _code(text: str) -> str:
    return safe_text(text, newlines=False).replace("`", "'").replace("|", "¦")


def _fenced(text: str) -> str:
    shown = safe_text(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{shown}\n{fence}\n"


# --- HTML
# -----------------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding:
.35rem .6rem; }
td, th { border-bottom: 1px solid var(--line); } td.n, th.n { text-align: right; font-variant-numeric:
tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: 13px/1.45 ui-monospace, monospace; }
.passed { color: var(--good); } .failed { color: var(--bad); } .other { opacity: .75; }
summary { cursor: pointer; padding: .3rem 0; } details { border-bottom: 1px solid var(--line); }
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); margin: .5rem
0 1rem; }
.cell { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .7rem; } small { opacity: .75; }
"""


def _write_html(
    file: TextIO, summary: dict[str, Any], subjects: Sequence[Subject], cases: Iterator[CaseRow]
) -> int:
    name = _text(summary["name"])
    file.write(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
        "'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style></head><body>\n<h1>{name}</h1>\n"
    )
    file.write(
        '<table><tr><th>subject</th><th class="n">passed</th><th class="n">rate</th><th class="n">95 %</th>'
        '<th class="n">tokens</th><th class="n">tokens/s</th><th class="n">latency</th></tr>\n'
    )
    for row in summary["subjects"]:
        states = ", ".join(
            f"{count} {state.replace('_', ' ')}"
            for state, count in row["states"].items()
            if state not in ("passed", "failed")
        )
        file.write(
            f"<tr><td><b>{_text(row['name'])}</b> <small>{_text(row['ref'])} {_text(states)}</small></td>"
            f'<td class="n">{row["passed"]:g} of {row["n"]}</td><td class="n">{_rate(row)}</td>'
            f'<td class="n">{_interval(row)}</td>'
            f'<td class="n">{row["prompt_tokens"]:,} + {row["completion_tokens"]:,}</td>'
            f'<td class="n">{_number(row["tokens_per_second"])}</td>'
            f'<td class="n">{_milliseconds(row["latency_ms_p50"])}</td></tr>\n'
        )
    file.write("</table>\n<h2>Is it real?</h2>\n<ul>\n")
    for pair in summary["pairs"]:
        file.write(f"<li>{_text(pair['verdict'])} <small>({_points(pair)})</small></li>\n")
    for note in summary["notes"]:
        file.write(f"<li>{_text(note)}</li>\n")
    for gate in summary.get("gates", ()):
        met = "met" if gate["met"] else "not met"
        file.write(f"<li>Gate <b>{_text(gate['gate'])}</b>: {met} <small>{_text(gate['why'])}</small></li>\n")
    file.write(f"</ul>\n<p><small>{_text(summary['rule'])}</small></p>\n")
    _html_tags(file, summary)
    file.write("<h2>Prompts</h2>\n")
    for subject in subjects:
        file.write(
            f"<details><summary>{_text(subject.label)} <small>{_text(subject.ref)}</small></summary>\n"
        )
        for message in subject.content["messages"]:
            file.write(
                f"<p><small>{_text(message['role'])}</small></p><pre>{_text(message['content'])}</pre>\n"
            )
        rest = {key: value for key, value in subject.content.items() if key != "messages"}
        file.write(f"<pre>{_text(json.dumps(rest, ensure_ascii=False, indent=1))}</pre></details>\n")
    file.write("<h2>Cases</h2>\n")
    count = 0
    for case in cases:
        count += 1
        _html_case(file, case, subjects)
    file.write("</body></html>\n")
    return count


def _html_tags(file: TextIO, summary: dict[str, Any]) -> None:
    rows = summary.get("by_tag")
    if not rows:
        return
    head = "".join(f'<th class="n">{_text(row["name"])}</th>' for row in summary["subjects"])
    file.write(f'<h2>By tag</h2>\n<table><tr><th>tag</th><th class="n">cases</th>{head}</tr>\n')
    for row in rows:
        cells = "".join(f'<td class="n">{_rate(one)}</td>' for one in row["subjects"])
        file.write(f'<tr><td>{_text(row["tag"])}</td><td class="n">{row["cases"]}</td>{cells}</tr>\n')
    file.write("</table>\n")


def _html_case(file: TextIO, case: CaseRow, subjects: Sequence[Subject]) -> None:
    marks = " ".join(
        f'<span class="{_state_class(one)}">{MARKS.get(one.state, "?")[0]}</span>' for one in case.answers
    )
    file.write(
        f"<details><summary>{case.position + 1}. {_text(case_title(case.content))} {marks}</summary>\n"
        f"<pre>{_text(json.dumps(case.content.get('variables'), ensure_ascii=False, indent=1))}</pre>\n"
    )
    if case.content.get("expected") is not None:
        file.write(f"<p>expected: <b>{_text(expected_text(case.content['expected']))}</b></p>\n")
    file.write('<div class="grid">\n')
    for one in case.answers:
        checks = "".join(
            f"<li>{'✓' if check.get('passed') else '✗'} {_text(check.get('label', ''))}: "
            f"{_text(check.get('why', ''))}</li>"
            for check in one.checks
        )
        repeat = f" · repeat {one.repeat + 1}" if one.repeat else ""
        file.write(
            f'<div class="cell"><small>{_text(subjects[one.subject].label)}{repeat} · '
            f'<span class="{_state_class(one)}">{_text(MARKS.get(one.state, one.state))}</span> · '
            f"{_milliseconds(one.latency_ms)} · {one.prompt_tokens} + {one.completion_tokens} tokens"
            f"{' · reused' if one.reused else ''}</small>\n"
            f"<pre>{_text(one.output or one.error)}</pre>\n<ul><small>{checks}</small></ul></div>\n"
        )
    file.write("</div></details>\n")


def _state_class(one: AnswerRow) -> str:
    return one.state if one.state in ("passed", "failed") else "other"


def _text(text: object) -> str:
    return html.escape(safe_text(str(text)), quote=True)


def _rate(row: dict[str, Any]) -> str:
    return "–" if row["pass_rate"] is None else f"{row['pass_rate']:.1%}"


def _interval(row: dict[str, Any]) -> str:
    return f"{row['ci_low'] * 100:.0f}–{row['ci_high'] * 100:.0f}" if row["n"] else "–"


def _points(pair: dict[str, Any]) -> str:
    return (
        f"{pair['difference'] * 100:+.1f} points, {pair['confidence']:.1%} interval "
        f"{pair['ci_low'] * 100:+.1f} … {pair['ci_high'] * 100:+.1f}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
