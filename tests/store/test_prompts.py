"""Prompt versions are immutable, form a tree, and are found by number, label or hash."""

from __future__ import annotations

import pytest

from store import drafts, prompts, settings
from store.errors import Ambiguous, BadInput, NotFound
from store.refs import parse_ref
from store.workspace import Store


def content(text: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}]}


def test_saving_the_text_of_version_1_again_is_a_new_version_with_the_same_hash(workspace: Store) -> None:
    first = prompts.save_version(workspace, "reply", content("a"))
    second = prompts.save_version(workspace, "reply", content("b"))
    third = prompts.save_version(workspace, "reply", content("a"), note="back again")
    assert [v.number for v in (first, second, third)] == [1, 2, 3]
    assert first.hash == third.hash != second.hash
    assert third.parent_id == second.id


def test_versions_form_a_tree(workspace: Store) -> None:
    first = prompts.save_version(workspace, "reply", content("a"))
    prompts.save_version(workspace, "reply", content("b"))
    branch = prompts.save_version(workspace, "reply", content("c"), parent=first.id)
    assert branch.parent_id == first.id
    other = prompts.save_version(workspace, "other", content("x"))
    with pytest.raises(BadInput, match="not a version of reply"):
        prompts.save_version(workspace, "reply", content("d"), parent=other.id)


def test_a_saved_version_never_changes(workspace: Store) -> None:
    version = prompts.save_version(workspace, "reply", content("a"))
    with pytest.raises(Exception, match="never changes"), workspace.write() as connection:
        connection.execute("UPDATE prompt_versions SET content = '{}' WHERE id = ?", (version.id,))
    assert prompts.prompt_version(workspace, "reply").content == content("a")


def test_a_reference_is_a_number_a_label_or_the_start_of_a_hash(workspace: Store) -> None:
    first = prompts.save_version(workspace, "reply", content("a"))
    second = prompts.save_version(workspace, "reply", content("b"))
    prompts.set_label(workspace, "reply@1", "production")
    assert prompts.prompt_version(workspace, "reply") == second
    assert prompts.prompt_version(workspace, "reply@1").id == first.id
    assert prompts.prompt_version(workspace, "reply@production").labels == ("production",)
    assert prompts.prompt_version(workspace, f"#{second.hash[:8]}") == second
    assert prompts.prompt_version(workspace, second.hash[:8]) == second
    assert second.ref == "reply@2"


def test_a_missing_label_names_the_labels_there_are(workspace: Store) -> None:
    prompts.save_version(workspace, "reply", content("a"))
    prompts.set_label(workspace, "reply@1", "production")
    with pytest.raises(NotFound, match=r"staging.*@production"):
        prompts.prompt_version(workspace, "reply@staging")
    with pytest.raises(NotFound, match="@1"):
        prompts.prompt_version(workspace, "reply@7")
    with pytest.raises(NotFound, match="reply"):
        prompts.prompt_version(workspace, "replay")


def test_the_same_hash_prefix_of_different_texts_is_ambiguous(workspace: Store) -> None:
    with workspace.write() as connection:
        connection.execute("INSERT INTO prompts (id, name, created_at) VALUES (1, 'x', '')")
        for number, tail in ((1, "0"), (2, "1")):
            connection.execute(
                "INSERT INTO prompt_versions (prompt_id, number, hash, content, created_at) VALUES (1, ?, ?, '{}', '')",
                (number, "abcdef" + tail * 58),
            )
    with pytest.raises(Ambiguous, match="more of the hash"):
        prompts.prompt_version(workspace, "#abcdef")
    assert prompts.prompt_version(workspace, "#abcdef1").number == 2


def test_moving_a_label_is_a_rollback(workspace: Store) -> None:
    for text in "abc":
        prompts.save_version(workspace, "reply", content(text))
    prompts.set_label(workspace, "reply@3", "production")
    prompts.set_label(workspace, "reply@1", "production")
    assert prompts.labels(workspace, "reply") == {"production": 1}
    prompts.remove_label(workspace, "reply", "production")
    assert prompts.labels(workspace, "reply") == {}
    with pytest.raises(NotFound):
        prompts.remove_label(workspace, "reply", "production")


@pytest.mark.parametrize("label", ["3", "draft", "", "a@b", "-x"])
def test_a_label_that_would_mean_something_else_is_refused(workspace: Store, label: str) -> None:
    prompts.save_version(workspace, "reply", content("a"))
    with pytest.raises(BadInput):
        prompts.set_label(workspace, "reply@1", label)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a@b",
        "a/b",
        "a\\b",
        ".a",
        "-a",
        "a\x1b]0;x\x07",
        "\u202eevil",
        "a\ud800",
        "x" * 101,
        "#a",
    ],
)
def test_a_name_that_would_break_references_or_the_screen_is_refused(workspace: Store, name: str) -> None:
    with pytest.raises(BadInput):
        prompts.save_version(workspace, name, content("a"))
    assert prompts.list_prompts(workspace) == []


@pytest.mark.parametrize("text", ["@", "a@", "@1", ""])
def test_what_is_not_a_reference_is_a_sentence(workspace: Store, text: str) -> None:
    with pytest.raises((BadInput, NotFound)):
        prompts.prompt_version(workspace, text)


def test_a_reference_is_split_at_its_last_at_sign() -> None:
    assert parse_ref("reply@2") == ("reply", "2")
    assert parse_ref("reply") == ("reply", None)
    assert parse_ref(" reply@production ").selector == "production"
    assert parse_ref("reply@2").number == 2
    assert parse_ref("reply@production").number is None


def test_hostile_text_comes_back_as_it_went_in_as_far_as_utf8_can_say_it(workspace: Store) -> None:
    hostile = "\x1b]52;c;aGk=\x1b\\ \u202e [/b] \x00 \ufeff 漢字 👩‍👩‍👧 \ud800"
    saved = prompts.save_version(workspace, "reply", content(hostile), note=hostile)
    again = prompts.prompt_version(workspace, "reply")
    assert again.content == content(hostile.replace("\ud800", "\ufffd"))
    assert again.note == hostile.replace("\ud800", "\ufffd")
    assert saved == again


def test_lists_are_read_in_pages_by_name_and_filtered(workspace: Store) -> None:
    for index in range(25):
        prompts.save_version(workspace, f"prompt-{index:02}", content("a"))
    first = prompts.list_prompts(workspace, limit=10)
    second = prompts.list_prompts(workspace, limit=10, after=first[-1].name)
    assert [prompt.name for prompt in (*first, *second)] == [f"prompt-{index:02}" for index in range(20)]
    assert [prompt.name for prompt in prompts.list_prompts(workspace, filter="PT-1")] == [
        f"prompt-{index}" for index in range(10, 20)
    ]


def test_a_draft_survives_and_is_dropped_on_request(workspace: Store) -> None:
    drafts.save_draft(workspace, "prompt:reply", content("half a sen"))
    drafts.save_draft(workspace, "prompt:reply", content("half a sentence"))
    assert drafts.draft(workspace, "prompt:reply") == content("half a sentence")
    drafts.drop_draft(workspace, "prompt:reply")
    assert drafts.draft(workspace, "prompt:reply") is None


def test_settings_have_defaults_and_keep_what_was_set(workspace: Store) -> None:
    assert settings.get(workspace, "network") is False
    assert settings.get(workspace, "unknown", 7) == 7
    settings.set(workspace, "model_folders", ["/models"])
    assert settings.everything(workspace)["model_folders"] == ["/models"]
