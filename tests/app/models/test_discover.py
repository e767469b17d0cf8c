"""Models are found where other programs keep them, by content, without being led astray."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from app.jobs.context import Stopped
from app.models import search as searching
from app.models.discover import Found, discover
from app.models.search import Search
from store import models, settings
from store.workspace import Store
from tests.app.models.conftest import Run
from tests.app.models.layouts import adapter, hub_snapshot, ollama, sharded, tiny_gguf, tiny_hf


def found_in(*folders: Path, root: Path = Path("/nowhere")) -> tuple[list[Found], list[str]]:
    search = Search(lambda: None)
    return discover(root, [str(folder) for folder in folders], search), search.notes


def test_ollamas_blobs_without_suffix_are_found_under_their_own_names(
    run: Run, workspace: Store, home: Path, made_gguf: Path
) -> None:
    blob = ollama(
        home / ".ollama" / "models",
        weights=made_gguf,
        template="{{ .Prompt }}",
        license="Apache License\nVersion 2.0, January 2004",
        params='{"stop":["<|im_end|>"]}',
    )
    summary = run("model.discover")
    assert [(item["source"], item["name"], item["tag"]) for item in summary["models"]] == [
        ("Ollama", "llama3.2", "1b")
    ]
    run("model.register", path=str(blob))
    version = models.model_version(workspace, "llama3.2@1b")
    assert version.path == str(blob)
    assert version.facts["quantisation"] == "Q8_0"
    assert version.facts["licence"] == "apache-2.0"
    assert version.facts["origin"]["template"] == "{{ .Prompt }}"


def test_ollama_models_says_where_ollama_keeps_them(
    tmp_path: Path, made_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama(tmp_path / "elsewhere", "qwen", "0.5b", weights=made_gguf)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "elsewhere"))
    assert [item.name for item in found_in()[0]] == ["qwen"]


def test_two_tags_of_the_same_blob_are_one_model_with_two_names(home: Path, made_gguf: Path) -> None:
    for tag in ("1b", "latest"):
        ollama(home / ".ollama" / "models", tag=tag, weights=made_gguf)
    (only,) = found_in()[0]
    assert only.tag == "1b"
    assert only.also == ("Ollama llama3.2:latest",)


def test_a_digest_that_leads_out_of_the_folder_is_not_followed(home: Path, made_gguf: Path) -> None:
    folder = home / ".ollama" / "models"
    ollama(folder, weights=made_gguf)
    for index, digest in enumerate(("sha256:../../../../etc/passwd", "sha256:" + "a" * 64 + "\n", 7, None)):
        layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 1}]
        manifest = folder / "manifests" / "evil.example" / "library" / "evil" / str(index)
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps({"layers": layers}), encoding="utf-8")
    (folder / "manifests" / "evil.example" / "library" / "evil" / "list").write_text("[[[", encoding="utf-8")
    found, notes = found_in()
    assert [item.name for item in found] == ["llama3.2"]
    assert any("evil:list" in note for note in notes)


def test_an_unfinished_ollama_download_says_so(home: Path, made_gguf: Path) -> None:
    blob = ollama(home / ".ollama" / "models", weights=made_gguf)
    blob.write_bytes(blob.read_bytes()[:5000])
    (only,) = found_in()[0]
    assert "unfinished" in only.problem


def test_snapshots_of_the_hubs_cache_are_found_through_their_links(
    run: Run, workspace: Store, home: Path
) -> None:
    hub = home / ".cache" / "huggingface" / "hub"
    main = hub_snapshot(hub)
    hub_snapshot(hub, revision="b" * 40, branch="old", seed=1)
    summary = run("model.discover")
    assert {(item["name"], item["tag"]) for item in summary["models"]} == {
        ("Tiny-Chat", "main"),
        ("Tiny-Chat", "old"),
    }
    run("model.register", path=str(main))
    version = models.model_version(workspace, "Tiny-Chat@main")
    assert version.format == "hf"
    assert version.facts["origin"] == {"repo": "tiny-org/Tiny-Chat", "revision": "a" * 40, "branch": "main"}
    assert version.size_bytes > 400_000  # of what the links point to


def test_an_interrupted_hub_download_says_so(home: Path) -> None:
    snapshot = hub_snapshot(home / ".cache" / "huggingface" / "hub")
    (snapshot / "model.safetensors").unlink()
    (snapshot.parent.parent / "blobs" / "ffff.incomplete").write_bytes(b"x")
    (only,) = found_in()[0]
    assert "interrupted" in only.problem


def test_lm_studio_and_the_home_it_points_to(home: Path, tmp_path: Path, made_gguf: Path) -> None:
    inside = home / ".lmstudio" / "models" / "publisher" / "repo"
    tiny_gguf(inside, name="Studio-1B-Q4_K_M", quantised=True)
    (home / ".lmstudio-home-pointer").write_text(str(tmp_path / "moved"), encoding="utf-8")
    tiny_gguf(tmp_path / "moved" / "models" / "p" / "r", name="Moved", seed=3)
    found, _ = found_in()
    assert {(item.source, item.name, item.tag) for item in found} == {
        ("LM Studio", "Moved", "f32"),
        ("LM Studio", "Studio-1B", "q4_k_m"),
    }


def test_a_sharded_model_is_one_model_and_missing_parts_are_named(
    run: Run, tmp_path: Path, workspace: Store
) -> None:
    parts = sharded(tmp_path / "shards")
    assert len(parts) == 3
    (only,) = found_in(tmp_path / "shards")[0]
    assert (only.name, only.path) == ("big", str(parts[0]))
    summary = run("model.register", path=str(parts[1]))
    version = models.model_version(workspace, summary["ref"])
    assert version.path == str(parts[0])
    assert version.size_bytes == sum(part.stat().st_size for part in parts)
    assert sum(entry["tensors"] for entry in version.facts["types"]) == 20
    parts[1].unlink()
    (broken,) = found_in(tmp_path / "shards")[0]
    assert "part 2 of them is missing" in broken.problem


def test_suffixes_are_not_believed_in_either_direction(tmp_path: Path, made_gguf: Path) -> None:
    shutil.copy(made_gguf, tmp_path / "holiday.jpg")
    (tmp_path / "fake.gguf").write_bytes(b"#!/bin/sh\n" * 500)
    found, _ = found_in(tmp_path)
    assert {Path(item.path).name: bool(item.problem) for item in found} == {
        "holiday.jpg": False,
        "fake.gguf": True,
    }


def test_adapters_and_folders_are_found_beside_files(tmp_path: Path) -> None:
    tiny_hf(tmp_path / "chat")
    adapter(tmp_path / "tuned", base="chat")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "config.json").write_text("{}", encoding="utf-8")
    found, _ = found_in(tmp_path)
    assert {(item.name, item.format) for item in found} == {("chat", "hf"), ("tuned", "adapter")}


def test_loops_fifos_devices_and_closed_folders_do_not_stop_a_search(tmp_path: Path, made_gguf: Path) -> None:
    shutil.copy(made_gguf, tmp_path / "real.gguf")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nothing.gguf").symlink_to(tmp_path / "gone")
    (tmp_path / "device.gguf").symlink_to("/dev/zero")
    (tmp_path / "processes").symlink_to("/proc")
    os.mkfifo(tmp_path / "pipe.gguf")
    found, _ = found_in(tmp_path)
    assert [Path(item.path).name for item in found] == ["real.gguf"]


def test_a_huge_folder_ends_with_a_note(
    tmp_path: Path, made_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_ENTRIES", 50)
    (tmp_path / "many").mkdir()
    for index in range(60):
        (tmp_path / "many" / f"{index:03}").mkdir()
    found, notes = found_in(tmp_path)
    assert found == []
    assert "the search stopped" in notes[0]


def test_a_search_stops_when_it_is_asked_to(tmp_path: Path, made_gguf: Path) -> None:
    for index in range(5):
        (tmp_path / f"{index}").mkdir()
        shutil.copy(made_gguf, tmp_path / f"{index}" / "model.gguf")
    left = iter(range(4))

    def check() -> None:
        if next(left, None) is None:
            raise Stopped

    with pytest.raises(Stopped):
        discover(tmp_path / "none", [str(tmp_path)], Search(check))


def test_an_added_folder_is_searched_from_then_on_and_can_be_taken_out(
    run: Run, workspace: Store, tmp_path: Path, made_gguf: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(made_gguf, mine / "Mine-Q8_0.gguf")
    run("model.folder", folder=str(mine))
    assert [item["name"] for item in run("model.discover")["models"]] == ["Mine"]
    assert run("model.folder", folder=str(mine), remove=True) == {"folders": []}
    assert settings.get(workspace, "model_folders") == []
    assert run("model.discover")["models"] == []
