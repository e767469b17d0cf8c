"""What a comparison says: figures that follow from the cells, gates, and exports that carry nobody's
payload."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from app.jobs.runner import Result
from app.prompts.gate import check_gates, parse_gate
from app.prompts.plan import estimate
from app.prompts.report import Outcome, Usage, report, summarise
from app.prompts.specs import CompareSpec
from app.prompts.subjects import Subject, find_subject, parse_subject, short_labels, wanted_refs
from store import datasets, evaluations
from store.errors import BadInput
from store.evaluations import FinishedCell, NewGeneration
from store.workspace import Store

CONTENT = {"messages": [{"role": "user", "content": "x"}], "sampling": {"max_tokens": 8, "temperature": 0}}


def subject(
    version: int | None, model: str = "m@q8", prompt: str = "p", labels: Sequence[str] = ()
) -> Subject:
    name = "draft" if version is None else f"@{version}"
    ref = f"{model}/{prompt}@{'draft' if version is None else version}"
    return Subject(ref, name, prompt, version, version, model, 1, "hash", CONTENT, tuple(labels))


def outcomes(subject: int, marks: str, repeat: int = 0) -> list[Outcome]:
    """`+` passed, `-` failed, `c` cut off, `o` overflow, `e` error, `.` unscored, one letter a case."""
    states = {"+": "passed", "-": "failed", "c": "cut_off", "o": "overflow", "e": "error", ".": "unscored"}
    return [
        Outcome(
            place,
            subject,
            repeat,
            {"+": True, "-": False}.get(mark),
            {"+": 1.0, "-": 0.0, "c": 0.0, "o": 0.0}.get(mark),
            states[mark],
        )
        for place, mark in enumerate(marks)
    ]


def summary_of(*rows: str, **more: Any) -> dict[str, Any]:
    subjects = [subject(number) for number in range(1, len(rows) + 1)]
    cells = [cell for index, marks in enumerate(rows) for cell in outcomes(index, marks)]
    return summarise(subjects, cells, [Usage()] * len(rows), **{"planned": len(cells), **more})


def test_cut_off_counts_as_not_passed_and_failures_of_the_machine_do_not_count() -> None:
    one = summary_of("++-co", "+++e.")["subjects"]
    assert (one[0]["n"], one[0]["passed"], one[0]["pass_rate"]) == (5, 2, 0.4)
    assert one[0]["states"] == {"passed": 2, "failed": 1, "cut_off": 1, "overflow": 1}
    assert (one[1]["n"], one[1]["passed"]) == (3, 3)


def test_pairs_go_from_earlier_to_later_and_from_the_baseline_to_the_rest() -> None:
    pairs = summary_of("--", "+-", "++")["pairs"]
    assert [(pair["a"][-1], pair["b"][-1]) for pair in pairs] == [("1", "2"), ("1", "3"), ("2", "3")]
    assert [(pair["wins"], pair["losses"]) for pair in pairs] == [(1, 0), (2, 0), (1, 0)]
    held = summary_of("--", "+-", "++", baseline=1)["pairs"]
    assert [(pair["a"][-1], pair["b"][-1]) for pair in held] == [("2", "1"), ("2", "3")]


def test_looking_early_is_not_a_verdict() -> None:
    summary = summary_of("-" * 30, "+" * 30, planned=100)
    assert not summary["complete"]
    assert not summary["pairs"][0]["settled"]
    assert "looking early is not a verdict" in summary["pairs"][0]["verdict"]
    assert summary_of("-" * 30, "+" * 30)["pairs"][0]["settled"]


def test_repeats_count_a_case_once() -> None:
    subjects = [subject(1), subject(2)]
    cells = [
        *outcomes(0, "+-"),
        *outcomes(0, "--", repeat=1),
        *outcomes(1, "++"),
        *outcomes(1, "+-", repeat=1),
    ]
    answers = {(index, place): ["a", "b"] for index in (0, 1) for place in (0, 1)}
    summary = summarise(subjects, cells, [Usage()] * 2, planned=8, answers=answers)
    assert [(one["n"], one["passed"]) for one in summary["subjects"]] == [(2, 0.5), (2, 1.5)]
    assert (summary["pairs"][0]["wins"], summary["pairs"][0]["ties"]) == (2, 0)
    assert summary["repeats"][0]["flip_rate"] == 0.5


def test_scores_between_0_and_1_get_a_bootstrap_interval() -> None:
    cells = [
        Outcome(place, index, 0, False, 0.25 * (index + 1), "failed")
        for index in (0, 1)
        for place in range(9)
    ]
    pair = summarise([subject(1), subject(2)], cells, [Usage()] * 2, planned=18)["pairs"][0]
    assert pair["score_difference"] == pair["score_ci_low"] == pair["score_ci_high"] == 0.25
    assert "score_difference" not in summary_of("+-", "-+")["pairs"][0]


def test_tags_split_the_figures() -> None:
    rows = summary_of("+-+-", "++++", tags={0: ["a"], 1: ["a", "b"], 2: ["b"]})["by_tag"]
    assert [(row["tag"], row["cases"], [one["passed"] for one in row["subjects"]]) for row in rows] == [
        ("a", 2, [1, 2]),
        ("b", 2, [1, 2]),
    ]


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("pass_rate>=0.5", True),
        ("pass_rate >= 75%", False),
        ("@2: pass_rate>0.7", True),
        ("cut_off<1", False),
        ("no worse than @1 by 0.05", True),
        ("no worse than @2 by 0.05", False),
        ("no worse than @2 by 25%", True),
        ("no worse than @2", False),
    ],
)
def test_gates(text: str, met: bool) -> None:
    subjects = [subject(1), subject(2)]
    summary = summary_of("++--", "+++-")
    for one in summary["subjects"]:
        one["cut_off"] = 1
    (result,) = check_gates([text], summary, lambda name: find_subject(subjects, name).ref)
    assert result.met is met, result.why
    assert result.why


def test_a_missing_cell_or_a_failed_one_never_passes_a_gate() -> None:
    subjects = [subject(1), subject(2)]
    for rows, planned in ((("+++", "++e"), 6), (("+++", "++"), 6), (("...", "..."), 6)):
        summary = summary_of(*rows, planned=planned)
        results = check_gates(
            ["pass_rate>=0", "no worse than @1 by 100%"],
            summary,
            lambda name: find_subject(subjects, name).ref,
        )
        assert not any(result.met for result in results)


@pytest.mark.parametrize("text", ["", "pass_rate", "speed>=1", "pass_rate>=x", "no worse", "pass_rate=>1"])
def test_a_gate_that_means_nothing_is_a_sentence(text: str) -> None:
    with pytest.raises(BadInput):
        parse_gate(text)


def test_subjects_are_named_as_shortly_as_they_can_be() -> None:
    assert short_labels([subject(1), subject(None)]) == ["@1", "draft"]
    assert short_labels([subject(1), subject(1, prompt="r")]) == ["p@1", "r@1"]
    assert short_labels([subject(1), subject(1, model="n@f16")]) == ["m@q8 @1", "n@f16 @1"]
    assert (parse_subject("m@q8/p@2").model, parse_subject("m@q8/p@2").prompt) == ("m@q8", "p@2")
    assert parse_subject("p@2").model is None
    for bad in ("", "/p", "m/"):
        with pytest.raises(BadInput):
            parse_subject(bad)
    with pytest.raises(BadInput, match="not both"):
        wanted_refs(prompt="p", versions=["1"], subjects=["p@1"], model=[])


def test_a_name_means_one_column_or_is_a_sentence() -> None:
    subjects = [subject(1, labels=["production"]), subject(2), subject(None)]
    for name in ("@1", "1", "@production", "production", "p@1", "m@q8/p@1", "p@production"):
        assert find_subject(subjects, name).version == 1
    assert find_subject(subjects, "draft").version is None
    with pytest.raises(BadInput, match="not among the columns"):
        find_subject(subjects, "@9")


PAYLOADS = [
    "\x1b]52;c;aGk=\x1b\\",
    "\x9b31m",
    "\u202etxt.exe",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "```\n# not a heading\n```",
    "[link](javascript:alert(1)) | cell | `code`",
    "{{ 7 * 7 }}",
    "\x00",
]


@pytest.fixture
def hostile(workspace: Store) -> int:
    """A finished comparison whose cases and answers hold payloads."""
    content = {**CONTENT, "messages": [{"role": "user", "content": PAYLOADS[3]}]}
    subjects = [{**subject(number).as_data(), "content": content} for number in (1, 2)]
    rows = [
        {"variables": {"q": text}, "expected": text, "checks": [], "tags": [text[:9]], "split": "tune"}
        for text in PAYLOADS
    ]
    cases = datasets.save_version(workspace, "hostile", "cases", rows)
    one = evaluations.create_evaluation(
        workspace,
        name=PAYLOADS[3],
        spec={"baseline": None, "repeats": 1},
        subjects=subjects,
        cases_version_id=cases.id,
        planned=len(rows) * 2,
    )
    cells, generations = [], []
    for index in (0, 1):
        for place, text in enumerate(PAYLOADS):
            key = f"{index}-{place}"
            generations.append(NewGeneration(key, None, [], None, text, "", "stop", 1, 1))
            checks = [{"label": text, "passed": True, "why": text, "weight": 1.0}]
            cells.append(FinishedCell(index, place, 0, key, "passed", True, 1.0, checks))
    evaluations.record_cells(workspace, one.id, cells, generations)
    return one.id


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag, *(name for name, _ in attrs)]


def test_an_exported_page_holds_no_payload_and_needs_nothing_else(
    hostile: int, run: Callable[..., Result], tmp_path: Path
) -> None:
    target = tmp_path / "out.html"
    result = run("prompt.export", evaluation=hostile, path=str(target))
    assert result.summary["cases"] == len(PAYLOADS)
    page = target.read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(page)
    assert not {"script", "img", "onerror", "src", "href", "link", "iframe"} & set(elements.found)
    assert "default-src 'none'" in page
    for control in "\x1b\x9b\u202e\x00":
        assert control not in page
    assert "is there already" in run("prompt.export", evaluation=hostile, path=str(target)).job.error


def test_exported_markdown_keeps_answers_inside_their_fences(
    hostile: int, run: Callable[..., Result], tmp_path: Path
) -> None:
    target = tmp_path / "out.md"
    run("prompt.export", evaluation=hostile, path=str(target))
    text = target.read_text(encoding="utf-8")
    assert "````\n```\n# not a heading" in text
    for control in "\x1b\x9b\u202e\x00":
        assert control not in text
    outside, fence = [], ""
    for line in text.splitlines():
        if not fence and line.startswith("```"):
            fence = line
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert not any("<script>" in line.replace("\\<", "") for line in outside)


def test_exported_json_lines_are_exact(hostile: int, run: Callable[..., Result], tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    run("prompt.export", evaluation=hostile, path=str(target))
    head, *cases = [json.loads(line) for line in target.read_text(encoding="ascii").splitlines()]
    assert [one["answers"][0]["output"] for one in cases] == PAYLOADS
    assert head["summary"]["subjects"][0]["passed"] == len(PAYLOADS)


def test_an_export_says_what_is_wrong(hostile: int, run: Callable[..., Result], tmp_path: Path) -> None:
    assert "End it in" in run("prompt.export", evaluation=hostile, path=str(tmp_path / "x.pdf")).job.error
    assert "99" in run("prompt.export", evaluation=99, path=str(tmp_path / "x.md")).job.error
    assert "folder" in run("prompt.export", evaluation=hostile, path=str(tmp_path), format="md").job.error


def test_the_report_of_the_store_is_the_same_as_the_summary(desk: Store, run: Callable[..., Result]) -> None:
    summary = run("prompt.compare", prompt="route", versions=["1", "2"], cases="tickets").summary
    again = report(desk, summary["evaluation"])
    assert json.loads(json.dumps(again)) == {key: summary[key] for key in again}


def test_an_estimate_knows_what_is_there_already(desk: Store, run: Callable[..., Result]) -> None:
    spec = CompareSpec(prompt="route", versions=("1", "2"), cases="tickets")
    before = estimate(desk, spec)
    assert (before.cells, before.reused, before.seconds) == (24, 0, None)
    assert before.completion_tokens == 24 * 6
    run("prompt.compare", prompt="route", versions=["1"], cases="tickets")
    after = estimate(desk, spec)
    assert (after.cells, after.reused) == (24, 12)
    assert after.seconds is not None
    assert after.sentence.startswith("24 cells, 12 of them reused, about ")
