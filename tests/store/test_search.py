"""Search finds words in prompts, answers and rows, newest first, and no typed text breaks it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import datasets, doctor, evaluations, prompts, trash
from store.errors import BadInput, StoreBroken
from store.search import check_index, fts_query, rebuild, search
from store.workspace import Store


def prompt(workspace: Store, name: str, text: str, note: str = "") -> prompts.PromptVersion:
    return prompts.save_version(
        workspace, name, {"messages": [{"role": "system", "content": text}]}, note=note
    )


def answer(key: str, output: str) -> evaluations.NewGeneration:
    return evaluations.NewGeneration(key, None, [], None, output, "", "stop", 1, 1)


def test_words_are_found_newest_first(workspace: Store) -> None:
    for number in range(70):
        prompt(workspace, "reply", f"You answer politely, number {number}.\nNewline")
    hits = search(workspace, "politely")
    assert [hit.ref for hit in hits] == [f"reply@{number}" for number in range(70, 20, -1)]
    assert [hit.ref for hit in search(workspace, "newline", limit=2)] == ["reply@70", "reply@69"]
    assert [hit.ref for hit in search(workspace, "number 7")] == ["reply@8"]
    assert "number 7" in search(workspace, '"number 7"')[0].snippet


def test_notes_are_found_and_settings_are_not(workspace: Store) -> None:
    prompt(workspace, "reply", "You answer.", note="shorter greeting")
    assert search(workspace, "greeting")
    assert search(workspace, "system") == []


def test_rows_are_found_in_the_newest_version_that_holds_them(workspace: Store) -> None:
    rows = [
        {"variables": {"ticket": f"My parcel {word} arrived"}, "expected": word}
        for word in ("never", "twice")
    ]
    datasets.save_version(workspace, "tickets", "cases", rows)
    version = datasets.save_version(workspace, "tickets", "cases", rows[::-1])
    (hit,) = search(workspace, "parcel twice", kinds=["row"])
    assert (hit.ref, hit.version_id, hit.position) == ("tickets@2", version.id, 0)
    assert "variables" not in hit.snippet


def test_answers_are_found_with_the_comparison_that_shows_them(workspace: Store) -> None:
    cases = datasets.save_version(workspace, "tickets", "cases", [{"x": 1}])
    comparison = evaluations.create_evaluation(
        workspace, name="c", spec={}, subjects=[{"ref": "a"}], cases_version_id=cases.id, planned=1
    )
    cell = evaluations.FinishedCell(0, 0, 0, "ab" * 32, "ok", passed=True, score=1.0)
    evaluations.record_cells(workspace, comparison.id, [cell], [answer("ab" * 32, "refund granted")])
    (hit,) = search(workspace, "refund")
    assert (hit.kind, hit.version_id, hit.position) == ("generation", comparison.id, 0)
    trash.trash(workspace, "evaluation", comparison.id)
    assert search(workspace, "refund")[0].version_id is None


def test_what_is_in_the_trash_is_passed_over_until_it_comes_back(workspace: Store) -> None:
    kept = prompt(workspace, "kept", "the same words")
    for _ in range(300):
        gone = prompt(workspace, "gone", "the same words")
    trash.trash(workspace, "prompt", gone.prompt_id)
    assert [hit.id for hit in search(workspace, "same words")] == [kept.id]
    trash.restore(workspace, "prompt", gone.prompt_id)
    assert len(search(workspace, "same words")) == 50


def test_what_is_deleted_for_good_cannot_be_found(workspace: Store) -> None:
    version = prompt(workspace, "reply", "secret handshake")
    data = datasets.save_version(workspace, "tickets", "cases", [{"text": "secret ticket"}])
    trash.trash(workspace, "prompt", version.prompt_id)
    trash.trash(workspace, "dataset", data.dataset_id)
    trash.empty(workspace)
    for index in ("prompt_version_search", "row_search"):
        found = workspace.read().execute(f"SELECT rowid FROM {index} WHERE {index} MATCH 'secret'").fetchall()
        assert found == []


def test_the_beginning_of_a_long_word_is_enough_for_the_last_one(workspace: Store) -> None:
    prompt(workspace, "reply", "categorise carefully")
    assert search(workspace, "carefully categ")
    assert not search(workspace, "categ carefully")
    assert not search(workspace, "car")


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "foo AND",
        "NEAR(",
        "col:x",
        "-x",
        "it's",
        "*",
        "a OR b",
        "{x}",
        "(",
        "^a",
        "text : a",
        "\x00",
        "a\x00b",
        "\ud800",
        "漢字",
    ],
)
def test_nothing_typed_is_an_operator_or_an_error(workspace: Store, query: str) -> None:
    prompt(workspace, "reply", "foo and bar")
    search(workspace, query)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=40))
def test_no_query_is_an_error(workspace: Store, query: str) -> None:
    search(workspace, query)


def test_an_empty_query_finds_nothing() -> None:
    assert fts_query("") == fts_query(' " ') == fts_query("--- !") == ""


def test_an_unknown_kind_is_a_sentence(workspace: Store) -> None:
    with pytest.raises(BadInput, match="generation"):
        search(workspace, "x", kinds=["model"])  # type: ignore[list-item]


def test_a_damaged_index_is_noticed_and_built_anew(workspace: Store) -> None:
    version = prompt(workspace, "reply", "politely")
    with workspace.write() as connection:
        connection.execute("UPDATE prompt_version_search_data SET block = x'00' WHERE id > 10")
    with pytest.raises(StoreBroken), workspace.write() as connection:
        check_index(connection, "prompt")
    assert [str(finding) for finding in doctor.check(workspace)] == [
        "The search index of prompts is damaged. `lathe run workspace.clean` mends it."
    ]
    with workspace.write() as connection:
        rebuild(connection, "prompt")
    assert doctor.check(workspace) == []
    assert [hit.id for hit in search(workspace, "politely")] == [version.id]
