"""Prompts and cases as text files: a round trip is exact, strangers' folders are read, links are not
followed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.jobs.runner import Result
from app.prompts.content import PromptContent, content_data, parse_content
from app.prompts.text_folder import read_folder, write_cases, write_prompt
from store import datasets, prompts
from store.errors import BadInput
from store.workspace import Store

# What a text file can hold: everything but lone surrogates, which the store replaces.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": texts}), min_size=1
)
contents = st.builds(
    lambda messages, few, stop, schema, notes: parse_content(
        {
            "messages": messages,
            "few_shot": few,
            "sampling": {"stop": stop, "temperature": 0.5},
            "json_schema": schema,
            "notes": notes,
        }
    ),
    messages,
    st.lists(
        st.fixed_dictionaries({"user": texts, "assistant": texts, "source": st.none() | texts}), max_size=3
    ),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), max_size=3),
    st.none() | st.dictionaries(texts, st.integers() | texts, max_size=2),
    texts,
)


@given(contents)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_prompt_written_and_read_again_is_the_same(tmp_path: Path, content: PromptContent) -> None:
    write_prompt(tmp_path, "some prompt", content)
    found = read_folder(tmp_path)
    assert found.problems == {}
    assert found.prompts == [("some prompt", content)]


@given(
    st.lists(st.dictionaries(texts, st.none() | texts | st.integers(), min_size=1, max_size=3), min_size=1)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_case_files_are_one_line_a_case_whatever_the_text(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path, count = write_cases(tmp_path, "set", [{"variables": row} for row in rows], [])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert count == len(rows) == len(lines)
    assert [json.loads(line)["variables"] for line in lines] == rows


def test_an_editor_that_adds_a_line_break_changes_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "prompts" / "p"
    folder.mkdir(parents=True)
    (folder / "01-user.txt").write_text("no line break", encoding="utf-8")
    (folder / "02-user.txt").write_text("one\n", encoding="utf-8")
    ((_, content),) = read_folder(tmp_path).prompts
    assert [message.content for message in content.messages] == ["no line break", "one"]


def test_a_whole_workspace_goes_out_and_comes_back(
    desk: Store, run: Callable[..., Result], tmp_path: Path
) -> None:
    out = tmp_path / "texts"
    written = run("prompt.write", folder=str(out)).summary
    assert (written["prompts"], written["cases"]) == (["route@3"], ["tickets@1"])
    again = run("prompt.import", path=str(out)).summary
    assert again["prompts"] == [], "nothing changed, so no version is made"
    assert sorted(again["unchanged"]) == ["route@3", "tickets@1"]
    edited = out / "prompts" / "route" / "01-user.txt"
    edited.write_text("Edited: {{ ticket }}\n", encoding="utf-8")
    changed = run("prompt.import", path=str(out)).summary
    assert changed["prompts"] == ["route@4"]
    version = prompts.prompt_version(desk, "route@4")
    assert version.content["messages"][0]["content"] == "Edited: {{ ticket }}"
    assert version.content["sampling"]["max_tokens"] == 6


def test_a_shorter_prompt_leaves_no_old_files(tmp_path: Path) -> None:
    two = parse_content([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
    write_prompt(tmp_path, "p", two)
    one = parse_content("only {{ x }}")
    write_prompt(tmp_path, "p", one)
    assert read_folder(tmp_path).prompts == [("p", one)]


def test_a_strangers_folder_of_templates(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Sum up {{ text }}\n", encoding="utf-8")
    (tmp_path / "chat.yaml").write_text("- {role: user, content: 'Hi {{ name }}'}\n", encoding="utf-8")
    (tmp_path / "empty.md").write_text("", encoding="utf-8")
    (tmp_path / "bad.json").write_text('{"a": 1}', encoding="utf-8")
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    found = read_folder(tmp_path)
    assert [name for name, _ in found.prompts] == ["chat", "one"]
    assert set(found.problems) == {"empty.md", "bad.json", "link.txt", "binary.txt"}
    assert found.prompts[1][1].messages[0].content == "Sum up {{ text }}"


def test_an_empty_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no prompts and no cases"):
        read_folder(tmp_path)
    with pytest.raises(BadInput, match="There is no folder"):
        read_folder(tmp_path / "gone")


def test_default_checks_travel_with_the_cases(
    desk: Store, run: Callable[..., Result], tmp_path: Path
) -> None:
    run("cases.save", name="tickets", checks=[{"kind": "contains", "not": True}])
    run("prompt.write", folder=str(tmp_path / "o"), only="cases")
    (tmp_path / "o" / "cases" / "tickets.jsonl").rename(tmp_path / "o" / "cases" / "moved.jsonl")
    (tmp_path / "o" / "cases" / "tickets.checks.json").rename(tmp_path / "o" / "cases" / "moved.checks.json")
    run("prompt.import", path=str(tmp_path / "o"))
    assert datasets.dataset_version(desk, "moved").meta["checks"] == [{"kind": "contains", "not": True}]


@given(contents)
@settings(max_examples=50, deadline=None)
def test_content_as_data_and_back_is_the_same(content: PromptContent) -> None:
    assert parse_content(content_data(content)) == content
