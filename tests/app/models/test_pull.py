"""Fetching by name: only with the network on, only safe files, compared with their digests, resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.models.pull import RemoteFile, choose
from app.models.safety import Refused
from store import models, settings
from store.errors import BadInput, LatheError
from store.workspace import Store
from tests.app.models.conftest import Run
from tests.app.models.fake_hub import REVISION, Hub, serving
from tests.app.models.layouts import pickled, tiny_gguf, tiny_hf

REPO = "tiny-org/Tiny-Chat"


@pytest.fixture
def hub(tmp_path: Path, workspace: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model folder in it, some of which must never come; the network of the workspace is on."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    folder = tiny_hf(tmp_path / "remote")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n", encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(pickled(tmp_path / "canary"))
    (folder / "setup.py").write_text("raise SystemExit", encoding="utf-8")
    with serving(REPO, folder) as hub:
        settings.set(workspace, "network", True)
        settings.set(workspace, "hub_endpoint", hub.url)
        yield hub


def test_with_the_network_off_nothing_is_asked_and_the_way_is_told(
    run: Run, hub: Hub, workspace: Store
) -> None:
    settings.set(workspace, "network", False)
    with pytest.raises(BadInput, match=r"network is off.*f9"):
        run("model.pull", repo=REPO)
    assert hub.asked == []


def test_a_model_is_fetched_checked_and_registered(run: Run, hub: Hub, workspace: Store) -> None:
    summary = run("model.pull", repo=REPO)
    version = models.model_version(workspace, "Tiny-Chat")
    assert version.ref == summary["ref"]
    assert Path(version.path).is_relative_to(workspace.root / "models")
    assert version.facts["licence"] == "apache-2.0"
    assert version.facts["origin"]["revision"] == REVISION
    there = {path.name for path in Path(version.path).iterdir() if path.is_file()}
    assert "model.safetensors" in there
    assert not there & {"pytorch_model.bin", "setup.py"}
    assert not {name for name, _ in hub.asked} & {"pytorch_model.bin", "setup.py"}


def test_a_pull_that_was_cut_off_goes_on_where_it_was(run: Run, hub: Hub, workspace: Store) -> None:
    whole = (hub.folder / "model.safetensors").read_bytes()
    run("model.pull", repo=REPO)
    folder = Path(models.model_version(workspace, "Tiny-Chat").path)
    (folder / "model.safetensors").unlink()
    hub.asked.clear()
    run("model.pull", repo=REPO)
    assert {name for name, _ in hub.asked} == {"model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == whole


def test_a_connection_that_breaks_costs_only_what_had_not_arrived(
    run: Run, hub: Hub, workspace: Store
) -> None:
    tiny_hf(hub.folder, vocab=80_000)  # 20 MB: the client keeps what has arrived in steps of 10
    hub.cuts["model.safetensors"] = 15_000_000
    with pytest.raises(LatheError, match=r"What has arrived is kept; pull again to carry on"):
        run("model.pull", repo=REPO)
    run("model.pull", repo=REPO)
    ranges = [wanted for name, wanted in hub.asked if name == "model.safetensors"]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert ranges[1].startswith("bytes=10")


def test_bytes_that_are_not_what_was_published_are_thrown_away(run: Run, hub: Hub, workspace: Store) -> None:
    honest = (hub.folder / "model.safetensors").read_bytes()
    hub.lies["model.safetensors"] = honest[:-4] + b"evil"
    with pytest.raises(LatheError, match=r"model\.safetensors"):
        run("model.pull", repo=REPO)
    assert models.list_models(workspace) == []
    assert not list((workspace.root / "models").rglob("model.safetensors"))
    hub.lies.clear()
    assert run("model.pull", repo=REPO)["ref"]


def test_a_name_the_hub_does_not_know_is_a_sentence(run: Run, hub: Hub) -> None:
    with pytest.raises(LatheError, match=r"no model “nobody/nothing” on the hub"):
        run("model.pull", repo="nobody/nothing")


def test_one_gguf_of_several_is_chosen_by_a_part_of_its_name(run: Run, hub: Hub, workspace: Store) -> None:
    for path in list(hub.folder.iterdir()):
        path.unlink()
    tiny_gguf(hub.folder, name="Tiny-Q8_0", quantised=True)
    tiny_gguf(hub.folder, name="Tiny-F32")
    with pytest.raises(BadInput, match=r"several GGUF models.*F32.*Q8_0"):
        run("model.pull", repo=REPO)
    run("model.pull", repo=REPO, file="q8")
    assert [version.tag for version in models.model_versions(workspace, "Tiny")] == ["q8_0"]
    assert {name for name, _ in hub.asked} == {"Tiny-Q8_0.gguf"}


def test_pickled_weights_alone_are_refused_and_strange_names_never_come() -> None:
    with pytest.raises(Refused, match=r"pickled"):
        choose("a/b", [RemoteFile("pytorch_model.bin", 10), RemoteFile("config.json", 2)], None)
    names = [
        "../x.safetensors",
        "/etc/x.safetensors",
        "model.safetensors",
        "config.json",
        "run.py",
        "a/b.safetensors",
    ]
    chosen = choose("a/b", [RemoteFile(name, 1) for name in names], None)
    assert [file.name for file in chosen] == ["model.safetensors", "config.json"]


def test_all_parts_of_a_sharded_gguf_come_together() -> None:
    names = [f"big-q8_0-{number:05}-of-00003.gguf" for number in (1, 2, 3)] + [
        "big-q4_0.gguf",
        "mmproj-f16.gguf",
    ]
    chosen = choose("a/b", [RemoteFile(name, 1) for name in names], "q8_0")
    assert [file.name for file in chosen] == names[:3]
