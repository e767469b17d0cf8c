"""Models are registered where they lie, and found by tag, number, default or hash."""

from __future__ import annotations

import pytest

from store import models
from store.errors import BadInput, NotFound
from store.models import ModelVersion
from store.workspace import Store


def register(
    store: Store, tag: str, *, name: str = "tiny", quick: str = "", default: bool = False
) -> ModelVersion:
    return models.register_version(
        store,
        name,
        tag=tag,
        format="gguf",
        path=f"/models/{name}-{tag}.gguf",
        quick_hash=quick or f"{hash((name, tag)) & 0xFFFFFFFFFF:016x}",
        size_bytes=1000,
        facts={"architecture": "llama"},
        default=default,
    )


def test_the_first_version_is_the_default_until_another_is_chosen(workspace: Store) -> None:
    first = register(workspace, "q8_0")
    second = register(workspace, "f16")
    assert models.model_version(workspace, "tiny") == first
    assert models.set_default(workspace, "tiny@f16").id == second.id
    assert models.model_version(workspace, "tiny").ref == "tiny@f16"
    third = register(workspace, "q4_k", default=True)
    assert [version.is_default for version in models.model_versions(workspace, "tiny")] == [
        False,
        False,
        True,
    ]
    assert third.is_default


def test_registering_the_same_unchanged_file_again_is_the_version_it_was(workspace: Store) -> None:
    first = register(workspace, "q8_0")
    assert register(workspace, "q8_0").id == first.id
    changed = register(workspace, "q8_0", quick="ff" * 8)
    assert changed.number == 2
    assert models.model_version(workspace, "tiny@q8_0") == changed
    assert models.model_version(workspace, "tiny@1").id == first.id


def test_a_version_is_found_by_tag_number_or_hash(workspace: Store) -> None:
    first = register(workspace, "q8_0", quick="abcdef0123456789")
    models.set_full_hash(workspace, first.id, "12" * 32)
    for ref in ("tiny@q8_0", "tiny@1", "#abcdef", "#121212", "tiny"):
        assert models.model_version(workspace, ref).id == first.id
    with pytest.raises(NotFound, match="@q8_0"):
        models.model_version(workspace, "tiny@q4")
    with pytest.raises(NotFound, match="tiny"):
        models.model_version(workspace, "tny")


def test_facts_are_added_to(workspace: Store) -> None:
    version = register(workspace, "q8_0")
    models.update_facts(workspace, version.id, {"context_length": 2048})
    assert models.model_version(workspace, "tiny").facts == {"architecture": "llama", "context_length": 2048}


def test_a_path_that_no_column_can_hold_is_a_sentence(workspace: Store) -> None:
    with pytest.raises(BadInput, match="Rename the file"):
        models.register_version(
            workspace,
            "x",
            tag="t",
            format="gguf",
            path="/m\udcff.gguf",
            quick_hash="a",
            size_bytes=1,
            facts={},
        )


def test_models_are_listed_by_name_in_pages(workspace: Store) -> None:
    for name in ("c", "a", "b"):
        register(workspace, "q8_0", name=name)
    first = models.list_models(workspace, limit=2)
    assert [model.name for model in (*first, *models.list_models(workspace, after=first[-1].name))] == [
        "a",
        "b",
        "c",
    ]
    assert models.list_models(workspace, filter="B")[0].versions == 1
