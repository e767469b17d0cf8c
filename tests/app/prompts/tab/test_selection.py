"""What is chosen, and the lines of the list that chooses it."""

import json

from app.prompts.report import report
from app.prompts.tab import reads
from app.prompts.tab.outline import lines
from app.prompts.tab.selection import Selection, as_data, from_data
from store import evaluations, prompts
from store.workspace import Store
from tests.prompts_workspace import make_cases, make_comparison, make_model, make_prompt


def test_a_selection_names_every_column_on_every_model() -> None:
    chosen = Selection("route", (1, 3), True, ("starter", "big@q4"), "tickets@1")
    assert chosen.subjects == (
        "starter/route@1", "starter/route@3", "starter/route@draft",
        "big@q4/route@1", "big@q4/route@3", "big@q4/route@draft",
    )  # fmt: skip
    values = chosen.values()
    assert (values["prompt"], values["versions"], values["model"]) == (
        "route",
        ["1", "3", "draft"],
        ["starter", "big@q4"],
    )


def test_marking_takes_in_and_out_and_another_prompt_starts_anew() -> None:
    chosen = Selection("route", (1, 2), baseline="route@2")
    assert chosen.toggled("route", 3).versions == (1, 2, 3)
    assert chosen.toggled("route", 2).versions == (1,)
    assert chosen.toggled("route", 2).baseline == ""
    assert chosen.toggled("other", 4) == Selection("other", (4,))
    assert chosen.toggled("route", None).draft


def test_a_selection_survives_the_store_and_rubbish_does_not_break_it() -> None:
    chosen = Selection("route", (1, 2), True, ("m",), "c@1", "tune", 3, "route@1", {"temperature": 0.5})
    assert from_data(json.loads(json.dumps(as_data(chosen)))) == chosen
    assert from_data({"versions": "x", "nonsense": 1}) == Selection()
    assert from_data(None) == Selection()


def test_what_is_missing_is_said_with_the_key_that_helps() -> None:
    assert "n writes one" in Selection().missing
    assert "space marks" in Selection("route").missing
    assert "i imports" in Selection("route", (1,)).missing
    assert Selection("route", (1,), cases="c@1").missing == ""


def test_on_a_fresh_workspace_the_prompt_its_versions_and_fitting_cases_are_chosen(workspace: Store) -> None:
    make_prompt(workspace, "extract-order", 2)
    make_prompt(workspace, "route-ticket", 3)
    make_cases(workspace, "zzz", 4)
    make_model(workspace)
    chosen = reads.first(workspace, 40).selection
    assert chosen.prompt == "route-ticket" and chosen.versions == (1, 2, 3)
    assert chosen.cases == "zzz@1" and chosen.models == ("starter",)
    assert chosen.missing == ""


def test_a_case_set_without_the_prompts_variables_is_not_chosen(workspace: Store) -> None:
    from store import datasets

    make_prompt(workspace)
    datasets.save_version(workspace, "orders", "cases", [{"variables": {"order": "x"}, "expected": "y"}])
    assert reads.first(workspace, 40).selection.cases == ""


def test_what_is_gone_is_dropped_from_the_remembered_selection(workspace: Store) -> None:
    make_prompt(workspace)
    make_cases(workspace)
    reads.remember(workspace, Selection("route-ticket", (2, 9), True, cases="gone@4"))
    chosen = reads.remembered(workspace)
    assert chosen.versions == (2,) and not chosen.draft and chosen.cases == "tickets@1"


def test_the_list_shows_the_tree_labels_cases_and_past_comparisons(workspace: Store) -> None:
    make_prompt(workspace)
    cases = make_cases(workspace)
    made = make_comparison(workspace, cases=cases, model=make_model(workspace))
    first = reads.first(workspace, 40)
    texts = [
        f"{item.guides}{item.text} {item.note}".strip()
        for item in lines(first.shelf, first.selection, made.id)
    ]
    assert "▾ route-ticket" in texts
    assert "├ @2 label list" in texts
    assert "└ @3 few-shot production ●" in texts
    assert "tickets@1 80" in texts
    assert any("route-ticket 3×80" in text for text in texts)


def test_the_last_comparison_is_opened_with_its_first_page_only(workspace: Store) -> None:
    make_prompt(workspace)
    cases = make_cases(workspace, count=300)
    make_comparison(workspace, cases=cases, model=make_model(workspace))
    opened = reads.first(workspace, 40).comparison
    assert opened is not None and opened.done == 900
    assert len(opened.labels) == 40 and len(opened.texts) == 120


def test_a_comparison_whose_job_died_is_not_called_live(workspace: Store) -> None:
    make_prompt(workspace)
    cases = make_cases(workspace, count=4)
    made = make_comparison(
        workspace, cases=cases, model=make_model(workspace), finished=False, positions=range(2)
    )
    opened = reads.open_comparison(workspace, made.id, 40)
    assert not opened.head.live
    assert "r goes on where it stopped" in " ".join(reads.verdicts(workspace, opened).notes)


def test_words_and_tags_filter_cases(workspace: Store) -> None:
    make_prompt(workspace)
    cases = make_cases(workspace, count=20)
    made = make_comparison(workspace, cases=cases, model=make_model(workspace))
    head = reads.open_comparison(workspace, made.id, 40).head
    assert reads.positions_matching(workspace, head, "tag:angry") == [0, 5, 10, 15]
    assert reads.positions_matching(workspace, head, "Ticket 13:") == [13]
    assert prompts.labels(workspace, "route-ticket") == {"production": 3}


def test_a_large_comparison_opens_with_its_first_page_and_the_summary_of_the_rest(workspace: Store) -> None:
    make_prompt(workspace, versions=2)
    cases = make_cases(workspace, count=1600)
    made = make_comparison(workspace, cases=cases, model=make_model(workspace))
    evaluations.finish_evaluation(workspace, made.id, "done", report(workspace, made.id, full=False))
    first = reads.open_comparison(workspace, made.id, 40)
    whole = reads.open_comparison(workspace, made.id, 0)
    assert first.partial and len(first.outcomes) == 80
    assert [head.rate for head in first.columns()] == [head.rate for head in whole.columns()]
    assert first.cell(1000, 0).state == "loading" and first.cell(3, 0).state == whole.cell(3, 0).state
    first.adopt(whole)
    assert not first.partial and first.done == 3200 and first.columns() == whole.columns()
