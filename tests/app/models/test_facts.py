"""Facts are read from what the files hold, and registering, verifying and settings keep them true."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from app.engine.client import connect
from app.engine.memory import Memory
from app.engine.settings import parse_settings
from app.models.advice import Gpu, Machine, advise, context_steps, gpus, layers_that_fit, where_it_runs
from app.models.examine import examine
from app.models.gguf_facts import claimed_type
from app.models.hashing import Changed, on_disk
from app.models.naming import clean_name
from app.models.tensor_types import TypeCount, quantisation
from store import models
from store.errors import BadInput
from store.refs import check_name
from store.workspace import Store
from tests.app.models.conftest import Run
from tests.app.models.layouts import adapter, edited, ollama, sharded, tiny_gguf, tiny_hf


def test_the_file_and_the_folder_of_one_model_tell_the_same_facts(tmp_path: Path) -> None:
    file = examine(tiny_gguf(tmp_path)).facts
    folder = examine(tiny_hf(tmp_path / "hf")).facts
    same = ("architecture", "parameters", "context_length", "layers", "embedding_length", "heads", "kv_heads")
    same += (
        "quantisation",
        "weights_bytes",
        "cache_bytes_per_token",
        "chat_template_hash",
        "thinking",
        "tied_embeddings",
    )
    assert {key: file[key] for key in same} == {key: folder[key] for key in same}
    assert file["thinking"] is True
    assert (
        file["cache_bytes_per_token"] == 2 * 2 * 2 * 2 * 16
    )  # keys and values, f16, layers, kv heads, head size


def test_types_are_counted_over_tensors_and_the_name_is_only_a_claim(tmp_path: Path) -> None:
    facts = examine(tiny_gguf(tmp_path, name="Tiny-Q4_K_M", quantised=True)).facts
    assert {entry["type"]: entry["tensors"] for entry in facts["types"]} == {"Q8_0": 15, "F32": 5}
    assert facts["quantisation"] == "Q8_0"
    assert facts["claimed"] == "Q4_K_M"
    assert any("no tensor in it is of that type" in note for note in facts["notes"])


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("Qwen2.5-0.5B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q8_0.gguf", "Q8_0"),
        ("big-IQ4_XS-00001-of-00002.gguf", "IQ4_XS"),
        ("x-fp16.gguf", "F16"),
        ("x-bf16.gguf", "BF16"),
        ("Q-learning.gguf", None),
        ("sha256-" + "a" * 64, None),
    ],
)
def test_what_a_file_name_claims(name: str, claim: str | None) -> None:
    assert claimed_type(name) == claim


def test_a_model_of_many_types_is_called_mixed() -> None:
    types = [TypeCount(kind, 1, 10, 10, size, 8.0) for kind, size in (("Q5_0", 9), ("Q6_K", 8), ("Q8_0", 7))]
    assert quantisation(types) == "mixed Q5_0 and Q6_K"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b]52;c;aGk=\x1b\\",
        "../../x",
        "-rf",
        ".hidden",
        "a@b",
        "a b\nc",
        "\u202etxt",
        "",
        "x" * 300,
        "\ud800",
        "[/b]",
    ],
)
def test_any_text_becomes_a_name_that_the_store_takes(text: str) -> None:
    assert check_name(clean_name(text))


def test_a_model_without_a_template_says_so(tmp_path: Path) -> None:
    facts = examine(tiny_gguf(tmp_path, template=False)).facts
    assert facts["chat_template"] is None
    assert facts["chat_template_hash"] == ""
    assert any("no chat template" in note for note in facts["notes"])


def test_registering_the_same_file_again_keeps_its_version_and_its_settings(
    run: Run, workspace: Store, made_gguf: Path
) -> None:
    first = run("model.register", path=str(made_gguf), name="tiny")
    run("model.settings", model="tiny", context=256, slots=2)
    assert run("model.register", path=str(made_gguf), name="tiny")["ref"] == first["ref"]
    (version,) = models.model_versions(workspace, "tiny")
    assert version.facts["settings"] == {"context": 256, "slots": 2}
    assert version.is_default


def test_a_tag_tells_versions_apart_and_the_default_moves(run: Run, workspace: Store, tmp_path: Path) -> None:
    run("model.register", path=str(tiny_gguf(tmp_path, name="Tiny-F32")))
    run("model.register", path=str(tiny_gguf(tmp_path, name="Tiny-Q8_0", quantised=True)))
    assert models.model_version(workspace, "Tiny").tag == "f32"
    run("model.default", model="Tiny@q8_0")
    assert models.model_version(workspace, "Tiny").tag == "q8_0"


def test_an_adapter_hangs_below_the_model_it_was_made_for(run: Run, workspace: Store, tmp_path: Path) -> None:
    base = tiny_hf(tmp_path / "base-model")
    run("model.register", path=str(base))
    run("model.register", path=str(adapter(tmp_path / "tuned", base="some-org/base-model")), name="tuned")
    version = models.model_version(workspace, "tuned")
    assert version.format == "adapter"
    assert version.parent_id == models.model_version(workspace, "base-model").id
    assert version.facts["adapter"]["rank"] == 8


def test_verifying_reads_every_byte_and_notices_a_change(run: Run, workspace: Store, tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path)
    run("model.register", path=str(path), name="tiny")
    digest = run("model.verify", model="tiny")["sha256"]
    assert models.model_version(workspace, "tiny").hash == digest
    assert on_disk(models.model_version(workspace, "tiny")) == "unchanged"
    stamp = path.stat()
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # size, time and head are as before
    assert on_disk(models.model_version(workspace, "tiny")) == "unchanged"
    with pytest.raises(Changed, match=r"has changed on disk"):
        run("model.verify", model="tiny")
    path.write_bytes(path.read_bytes() + b"\0")
    assert on_disk(models.model_version(workspace, "tiny")).startswith("Changed on disk")


def test_a_blob_is_compared_with_the_digest_in_its_name(run: Run, home: Path, made_gguf: Path) -> None:
    blob = ollama(home / ".ollama" / "models", weights=made_gguf)
    run("model.register", path=str(blob), name="blob")
    assert run("model.verify", model="blob")["confirmed"] == [blob.name]
    damaged = bytearray(blob.read_bytes())
    damaged[-1] ^= 1
    blob.write_bytes(damaged)
    with pytest.raises(Changed, match=r"not what was published"):
        run("model.verify", model="blob")


def test_verifying_a_sharded_model_reads_every_part(run: Run, tmp_path: Path) -> None:
    parts = sharded(tmp_path / "shards")
    run("model.register", path=str(parts[0]), name="big")
    assert sorted(run("model.verify", model="big")["files"]) == [part.name for part in parts]


def test_settings_are_checked_with_a_sentence(run: Run, made_gguf: Path) -> None:
    run("model.register", path=str(made_gguf), name="tiny")
    with pytest.raises(BadInput, match=r"flash attention"):
        run("model.settings", model="tiny", kv_type="q8_0", flash_attention=False)


def test_memory_needed_grows_with_the_context_and_is_held_against_what_is_free(
    run: Run, workspace: Store, made_gguf: Path
) -> None:
    run("model.register", path=str(made_gguf), name="tiny")
    version = models.model_version(workspace, "tiny")
    plenty = Machine(2, Memory(16 << 30, 8 << 30), ())
    needs = [advise(version, plenty, context=step).needed for step in (512, 4096, 65536)]
    assert needs == sorted(needs)
    assert needs[0] < needs[2]
    assert advise(version, plenty).fits
    assert not advise(version, Machine(2, Memory(16 << 30, 100 << 20), ())).fits
    assert context_steps(version.facts) == [512]


def test_a_measured_load_replaces_the_estimate(run: Run, workspace: Store, made_gguf: Path) -> None:
    run("model.register", path=str(made_gguf), name="tiny")
    there = Machine(2, Memory(16 << 30, 8 << 30), ())
    settings = advise(models.model_version(workspace, "tiny"), there).settings
    measured = {"rss_bytes": 123 << 20, "settings": settings.wire(), "context": 512}
    models.update_facts(workspace, models.model_version(workspace, "tiny").id, {"measured": measured})
    advice = advise(models.model_version(workspace, "tiny"), there)
    assert (advice.measured, advice.needed) == (True, 123 << 20)
    version = models.model_version(workspace, "tiny")
    more = advise(version, there, context=65536)
    assert more.measured
    assert (
        more.needed - advice.needed
        == (more.context - advice.context) * version.facts["cache_bytes_per_token"]
    )


def test_a_licence_is_read_from_the_card_or_the_licence_file(tmp_path: Path) -> None:
    folder = tiny_hf(tmp_path / "model")
    (folder / "LICENSE").write_text("MIT License\n\nCopyright", encoding="utf-8")
    assert examine(folder).facts["licence"] == "mit"
    (folder / "README.md").write_text(
        "---\nlicense: 'cc-by-4.0'\ntags: [x]\n---\nlicense: gpl", encoding="utf-8"
    )
    assert examine(folder).facts["licence"] == "cc-by-4.0"


def test_nested_configurations_and_named_templates_are_understood(tmp_path: Path) -> None:
    folder = tiny_hf(tmp_path / "model", template=False)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(
        json.dumps({"model_type": "outer", "text_config": config}), encoding="utf-8"
    )
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D{{ messages }}"}]
    edited(folder, "tokenizer_config.json", chat_template=named)
    facts = examine(folder).facts
    assert (facts["architecture"], facts["layers"], facts["chat_template"]) == ("outer", 2, "D{{ messages }}")


def test_a_registered_blob_without_suffix_answers(
    run: Run, workspace: Store, home: Path, made_gguf: Path
) -> None:
    blob = ollama(home / ".ollama" / "models", weights=made_gguf)
    run("model.register", path=str(blob), name="blob")
    request = {
        "id": "1",
        "model": "blob",
        "messages": [{"role": "user", "content": "hi"}],
        "sampling": {"max_tokens": 3},
    }
    client = connect(workspace.root)
    try:
        done = [event for event in client.generate([request]) if event["event"] == "done"]
        assert done[0]["completion_tokens"] == 3
    finally:
        client.exit()
        client.close()


def test_a_registered_sharded_model_answers(run: Run, workspace: Store, tmp_path: Path) -> None:
    parts = sharded(tmp_path / "shards")
    run("model.register", path=str(parts[2]), name="big")
    request = {"id": "1", "model": "big", "prompt": "hi", "sampling": {"max_tokens": 3}}
    client = connect(workspace.root)
    try:
        done = [event for event in client.generate([request]) if event["event"] == "done"]
        assert done[0]["finish_reason"] in ("length", "stop")
    finally:
        client.exit()
        client.close()


def test_copying_a_model_elsewhere_makes_another_version(
    run: Run, workspace: Store, tmp_path: Path, made_gguf: Path
) -> None:
    run("model.register", path=str(made_gguf), name="tiny")
    run("model.register", path=str(shutil.copy(made_gguf, tmp_path / "copy.gguf")), name="tiny", tag="copy")
    assert [version.tag for version in models.model_versions(workspace, "tiny")] == ["q8_0", "copy"]


def test_a_gguf_adapter_is_an_adapter(run: Run, workspace: Store, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(str(tmp_path / "lora.gguf"), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((8, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    run("model.register", path=str(tmp_path / "lora.gguf"))
    version = models.model_version(workspace, "lora")
    assert (version.format, version.tag, version.facts["adapter"]["alpha"]) == ("adapter", "adapter", 16.0)


def test_graphics_cards_are_asked_of_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 'NVIDIA H200, 143771, 143000'\necho 'MIG, [N/A], [N/A]'\n", encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    gpus.cache_clear()
    try:
        (card,) = gpus()
    finally:
        gpus.cache_clear()
    assert (card.name, card.total) == ("NVIDIA H200", 143771 << 20)
    there = Machine(8, Memory(1 << 34, 1 << 34), (card,))
    assert where_it_runs(parse_settings({}), there).startswith("all layers on NVIDIA H200")
    assert "the GPU is left alone" in where_it_runs(parse_settings({"gpu_layers": 0}), there)


def test_only_as_many_layers_as_fit_go_to_the_graphics_card() -> None:
    facts = {"layers": 32, "weights_bytes": 16 << 30, "cache_bytes_per_token": 131072, "context_length": 8192}
    big, small, full = (Gpu("card", 80 << 30, free << 20) for free in (80_000, 8_000, 500))
    assert layers_that_fit(facts, [big]) is None
    assert layers_that_fit(facts, []) is None
    some = layers_that_fit(facts, [small])
    assert some is not None
    assert 5 < some < 16
    assert layers_that_fit(facts, [small, small]) == pytest.approx(2 * some, abs=1)
    assert layers_that_fit(facts, [full]) == 0
