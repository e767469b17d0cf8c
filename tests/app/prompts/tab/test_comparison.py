"""A comparison in memory: counting, filtering, and what the matrix is told."""

from dataclasses import dataclass

from app.prompts.subjects import Subject
from app.prompts.tab.data import CaseLabel, CellText, Comparison, Head


@dataclass(frozen=True)
class Cell:
    position: int
    subject: int
    repeat: int
    passed: bool | None
    score: float | None
    state: str
    reused: bool = False
    latency_ms: float | None = 100.0
    tokens_per_second: float | None = 25.0


def cell(position: int, subject: int, passed: bool, repeat: int = 0) -> Cell:
    return Cell(position, subject, repeat, passed, float(passed), "passed" if passed else "failed")


def subject(number: int) -> Subject:
    return Subject(
        ref=f"m/p@{number}", label=f"@{number}", prompt="p", version=number, version_id=number, model="m",
        model_id=1, model_hash="h", content={"sampling": {"max_tokens": 8, "temperature": 0}},
    )  # fmt: skip


def comparison(
    cases: int = 10, subjects: int = 2, *, live: bool = True, baseline: int | None = None
) -> Comparison:
    head = Head(
        id=1, name="c", subjects=tuple(subject(n + 1) for n in range(subjects)), baseline=baseline, cases_ref="c@1",
        cases_version_id=1, positions=range(cases), planned=cases * subjects, repeats=1, job_id=None, live=live,
    )  # fmt: skip
    return Comparison(head)


def test_a_cell_that_is_told_twice_counts_once() -> None:
    one = comparison()
    assert one.take([cell(0, 0, True), cell(0, 0, True)]) == {0}
    assert one.take([cell(0, 0, True)]) == set()
    assert one.done == 1
    assert one.columns()[0].fraction == 1.0


def test_a_column_head_moves_as_cells_land() -> None:
    one = comparison()
    one.take([cell(0, 0, True), cell(1, 0, False)])
    head = one.columns()[0]
    assert head.fraction == 0.5 and head.rate.startswith("50 %") and head.note == "100 ms"
    assert one.columns()[1].rate == ""


def test_repeats_count_a_case_once_by_its_share() -> None:
    one = comparison()
    one.take([cell(0, 0, True, 0), cell(0, 0, False, 1), cell(1, 0, True, 0)])
    assert one.columns()[0].fraction == 0.75
    assert one.cell(0, 0).state == "mixed"


def test_only_differing_keeps_the_cases_where_columns_fare_differently() -> None:
    one = comparison(cases=4)
    one.take([cell(p, s, s == 0 or p != 2) for p in range(4) for s in range(2)])
    one.filter("differing")
    assert one.rows == [2]
    assert one.row_of(3) == 0


def test_regressions_are_held_against_the_baseline() -> None:
    one = comparison(cases=3, baseline=1)
    one.take([cell(0, 0, False), cell(0, 1, True), cell(1, 0, True), cell(1, 1, False)])
    one.filter("regressions")
    assert one.rows == [0]


def test_a_cell_is_queued_then_written_then_there() -> None:
    one = comparison()
    assert one.cell(0, 0).state == "queued"
    one.live[0, 0] = "deli"
    assert (one.cell(0, 0).state, one.cell(0, 0).text) == ("writing", "deli")
    one.take([cell(0, 0, True)])
    one.keep_texts({0: CaseLabel("late parcel")}, {(0, 0): CellText("delivery", False)})
    assert (one.cell(0, 0).state, one.cell(0, 0).text) == ("passed", "delivery")
    assert one.label(0) == ("1", "late parcel", "")


def test_an_ended_comparison_has_gaps_instead_of_a_queue() -> None:
    assert comparison(live=False).cell(0, 0).state == "none"


def test_missing_cells_make_every_verdict_early() -> None:
    one = comparison(cases=2)
    one.take([cell(0, 0, True), cell(0, 1, False)])
    ((a, b, decision),) = one.decisions()
    assert (a, b) == (0, 1) and decision.early and "looking early is not a verdict" in decision.sentence


def test_the_next_difference_is_found_in_both_directions() -> None:
    one = comparison(cases=5)
    one.take([cell(p, s, s == 0 or p not in (1, 4)) for p in range(5) for s in range(2)])
    assert (one.found_from(0, 1), one.found_from(1, 1), one.found_from(4, 1)) == (1, 4, None)
    assert one.found_from(4, -1) == 1


def test_texts_are_forgotten_before_they_fill_the_memory() -> None:
    one = comparison(cases=10_000)
    for start in range(0, 10_000, 100):
        texts = {(p, s): CellText("x", False) for p in range(start, start + 100) for s in range(2)}
        one.keep_texts({p: CaseLabel("c") for p in range(start, start + 100)}, texts)
    assert len(one.texts) <= 4000 and (9_999, 1) in one.texts


def test_without_checks_the_answers_themselves_differ() -> None:
    one = comparison(cases=2)
    one.take([Cell(p, s, 0, None, None, "unscored") for p in range(2) for s in range(2)])
    one.keep_texts({}, {(0, 0): CellText("a", False), (0, 1): CellText("a", False)})
    one.keep_texts({}, {(1, 0): CellText("a", False), (1, 1): CellText("b", False)})
    assert not one.differs(0) and one.differs(1)
