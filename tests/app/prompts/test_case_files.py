"""Other people's case files: a result, or a sentence with the line number; never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.jobs.runner import Result
from store import datasets
from store.workspace import Store

Run = Callable[..., Result]


@pytest.fixture
def imported(run: Run, tmp_path: Path) -> Callable[..., Result]:
    """Write a file and import it as the case set `cases`."""

    def do(name: str, content: str | bytes, **values: Any) -> Result:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return run("cases.import", path=str(path), name="cases", **values)

    return do


def rows_of(store: Store) -> list[dict[str, Any]]:
    version = datasets.dataset_version(store, "cases", role="cases")
    return [row.content for row in datasets.rows(store, version.id, limit=1000)]


def test_a_csv_with_bom_quotes_and_newlines(workspace: Store, imported: Callable[..., Result]) -> None:
    text = (
        '\ufeffticket,expected,tags\r\n"where is it?\nline two, ""quoted""",delivery,"angry, late"\r\nx,,\r\n'
    )
    result = imported("a.csv", text)
    assert result.state == "done", result.job.error
    first, second = rows_of(workspace)
    assert first["variables"] == {"ticket": 'where is it?\nline two, "quoted"'}
    assert (first["expected"], first["tags"]) == ("delivery", ["angry", "late"])
    assert second["expected"] is None
    assert result.summary["variables"] == ["ticket"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found(workspace: Store, imported: Callable[..., Result], delimiter: str) -> None:
    lines = [
        delimiter.join(("ticket", "expected")),
        delimiter.join(("a, b, c", "x")),
        delimiter.join(("d", "y")),
    ]
    assert imported("a.csv", "\n".join(lines)).state == "done"
    assert [row["variables"]["ticket"] for row in rows_of(workspace)] == ["a, b, c", "d"]


def test_promptfoo_columns_become_checks(workspace: Store, imported: Callable[..., Result]) -> None:
    text = (
        "q,__expected,__expected2,__description,__metric\n"
        "1,contains: x,not-regex: ^y,first,m\n2,bare answer,,,\n3,is-json,similar(0.8): "
        'z,,\n4,"contains-any: a, b",,,\n'
    )
    result = imported("a.csv", text)
    rows = rows_of(workspace)
    assert rows[0]["checks"] == [
        {"kind": "contains", "value": "x"},
        {"kind": "regex", "value": "^y", "not": True},
    ]
    assert rows[0]["name"] == "first"
    assert rows[1]["checks"] == [{"kind": "equals", "value": "bare answer"}]
    assert rows[2]["checks"] == [{"kind": "valid_json"}]
    assert rows[3]["checks"][0]["kind"] == "regex"
    assert "similar" in result.summary["not_imported"]["__expected2"]
    assert "__metric" in result.summary["not_imported"]


def test_ragged_rows_are_named_by_line_and_refused_or_skipped(
    workspace: Store, imported: Callable[..., Result]
) -> None:
    text = "ticket,expected\na,x\nb\nc,y,z\nd,w\n"
    refused = imported("a.csv", text)
    assert refused.state == "failed"
    assert "line 3: the row has 1 cells, the header 2" in refused.job.error
    assert "line 4" in refused.job.error
    assert datasets.list_datasets(workspace, role="cases") == []
    skipped = imported("a.csv", text, on_error="skip")
    assert (skipped.summary["rows"], skipped.summary["rejected_count"]) == (2, 2)
    assert skipped.summary["rejected"][0] == {"line": 3, "reason": "the row has 1 cells, the header 2"}


def test_a_quote_that_is_never_closed_is_named_by_its_line(imported: Callable[..., Result]) -> None:
    result = imported("a.csv", 'ticket,expected\na,x\n"b,y\nc,z\n')
    assert "line 3: a quote opened in this row is never closed" in result.job.error


def test_jsonl_with_broken_lines_keeps_the_rest_on_choice(
    workspace: Store, imported: Callable[..., Result]
) -> None:
    bombs = [
        "[" * 100_000,
        "9" * 5000,
        '{"q": NaN}',
        "not json",
        "[1]",
        '{"expected": "x"}',
        '{"q":"\\ud800"}',
    ]
    lines = [json.dumps({"q": "one", "expected": "x"}), *bombs, json.dumps({"variables": {"q": "two"}})]
    result = imported("a.jsonl", "\n".join(lines), on_error="skip")
    assert result.state == "done", result.job.error
    assert [row["line"] for row in result.summary["rejected"]] == [2, 3, 4, 5, 6, 7]
    assert [row["variables"]["q"] for row in rows_of(workspace)] == ["one", "\ufffd", "two"]


def test_json_lists_wrapped_lists_and_chats(workspace: Store, imported: Callable[..., Result]) -> None:
    assert (
        imported("a.json", json.dumps([{"q": {"nested": [1, None]}, "expected": {"a": 1}}])).state == "done"
    )
    assert rows_of(workspace)[0]["variables"] == {"q": {"nested": [1, None]}}
    wrapped = {"cases": [{"q": "x"}], "checks": [{"kind": "valid_json"}], "author": "me"}
    result = imported("b.json", json.dumps(wrapped))
    assert "author" in result.summary["not_imported"]
    version = datasets.dataset_version(workspace, "cases", role="cases")
    assert version.meta == {"checks": [{"kind": "valid_json"}], "variables": ["q"]}
    chat = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
    assert imported("c.jsonl", json.dumps(chat)).state == "done"
    (row,) = rows_of(workspace)
    assert row["expected"] == "hello"
    assert row["messages"] == [{"role": "user", "content": "hi"}]


def test_images_are_left_out_with_a_sentence(imported: Callable[..., Result]) -> None:
    part = {"type": "image_url", "image_url": {"url": "x"}}
    chat = {"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, part]}]}
    result = imported("a.jsonl", json.dumps(chat))
    assert "line 1" in result.job.error
    assert "images too" in result.job.error


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", "", "is empty"),
        ("empty.jsonl", "\n\n", "holds no cases"),
        ("head.csv", "ticket,expected\n", "holds no cases"),
        ("twice.csv", "a,a\n1,2\n", "two columns named 'a' (line 1)"),
        ("unnamed.csv", "a,,c\n1,2,3\n", "Column 2"),
        ("latin.csv", "ticket\nfine\nm\xfcde\n".encode("latin-1"), "line 3"),
        ("bad.json", '[{"q": 1},]', "line 1, column"),
        ("deep.json", "[" * 200_000, "nested too deeply"),
        ("word.json", '"text"', "not a list of cases"),
        ("no_vars.csv", "expected\nx\n", "at least one variable"),
        ("checks.csv", 'q,checks\n1,"[{""kind"": ""regex"", ""value"": ""(""}]"\n', "line 2"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_file_that_cannot_be_used_is_a_sentence(
    imported: Callable[..., Result], name: str, content: str | bytes, words: str
) -> None:
    result = imported(name, content)
    assert result.state == "failed"
    assert words in result.job.error
    assert "Traceback" not in result.job.error


def test_odd_paths_are_sentences(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "gone.csv", "no file"),
        (tmp_path / "pipe.csv", "ordinary"),
    ):
        assert words in run("cases.import", path=str(path)).job.error


def test_another_encoding_can_be_named(workspace: Store, imported: Callable[..., Result]) -> None:
    assert imported("a.csv", "ticket\nmüde\n".encode("cp1252"), encoding="cp1252").state == "done"
    assert rows_of(workspace)[0]["variables"]["ticket"] == "müde"
    assert "no text encoding" in imported("b.csv", "ticket\nx\n", encoding="klingon").job.error


def test_variables_that_a_prompt_asks_for_are_checked(desk: Store, imported: Callable[..., Result]) -> None:
    result = imported("a.csv", "text,expected\nx,y\n", prompt="route")
    assert "No case has the variable 'ticket' that route@3 asks for. The file has: text" in result.job.error
    result = imported("b.csv", "ticket,other\nx,y\n", prompt="route")
    assert result.summary["notes"] == ["route@3 does not use: other"]


def test_copies_are_counted_and_never_split_apart(workspace: Store, imported: Callable[..., Result]) -> None:
    lines = [json.dumps({"q": f"question {number % 50}"}) for number in range(200)]
    summary = imported("a.jsonl", "\n".join(lines), held_out=0.5).summary
    assert summary["duplicates"] == 150
    assert 0 < summary["held_out"] < 200
    sides: dict[str, set[str]] = {}
    for row in rows_of(workspace):
        sides.setdefault(row["variables"]["q"], set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values())


def test_a_hundred_thousand_rows(workspace: Store, imported: Callable[..., Result]) -> None:
    text = "ticket,expected\n" + "".join(
        f"ticket number {number},answer {number % 7}\n" for number in range(100_000)
    )
    result = imported("big.csv", text)
    assert result.summary["rows"] == 100_000
    assert result.seconds < 60


def test_edits_make_a_new_version_and_numbers_count_from_one(desk: Store, run: Run) -> None:
    result = run(
        "cases.save",
        name="tickets",
        rows=[{"variables": {"ticket": "new"}, "expected": "x"}],
        replace={"2": {"variables": {"ticket": "second"}}},
        remove=[1],
    )
    assert result.summary["ref"] == "tickets@2"
    version = datasets.dataset_version(desk, "tickets@2", role="cases")
    texts = [row.content["variables"]["ticket"] for row in datasets.rows(desk, version.id)]
    assert texts[0] == "second"
    assert texts[-1] == "new"
    assert len(texts) == 12
    assert datasets.dataset_version(desk, "tickets@1", role="cases").rows == 12


def test_a_case_set_written_and_read_again_is_the_same(desk: Store, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    run("cases.write", cases="tickets", path=str(target))
    run("cases.import", path=str(target), name="copy")
    one, two = (datasets.dataset_version(desk, name, role="cases") for name in ("tickets", "copy"))
    assert [row.hash for row in datasets.rows(desk, one.id)] == [
        row.hash for row in datasets.rows(desk, two.id)
    ]
    assert "is there already" in run("cases.write", cases="tickets", path=str(target)).job.error


def test_a_key_given_twice_and_a_broken_line_are_named_by_the_line_of_the_file(
    imported: Callable[..., Result],
) -> None:
    result = imported("a.jsonl", '{"q": "a"}\n{"q": "b", "q": "c"}\n{"q": "d", "expected":\n')
    assert result.state == "failed"
    assert "line 2: the line is not JSON: the key 'q' is given twice" in result.job.error
    assert "line 3: the line is not JSON: expecting value at column" in result.job.error
