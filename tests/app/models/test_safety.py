"""What could run code is refused by what it is, whatever it is called, and nothing of it runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.models.examine import examine
from app.models.safetensors_header import BadSafetensors, read_safetensors
from app.models.safety import Refused
from store.errors import BadInput, LatheError
from tests.app.models.layouts import edited, pickled, tiny_gguf, tiny_hf, zipped_pickle


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "weights.gguf", "model.pt"])
@pytest.mark.parametrize("packed", [False, True], ids=["pickle", "zip"])
def test_a_pickle_is_refused_under_any_name_and_never_run(tmp_path: Path, name: str, packed: bool) -> None:
    canary = tmp_path / "canary"
    folder = tiny_hf(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    weights = folder / name
    if packed:
        zipped_pickle(weights, canary)
    else:
        weights.write_bytes(pickled(canary) + b"\0" * 4096)
    for path in (folder, weights):
        with pytest.raises(LatheError) as caught:
            examine(path)
        assert "pickle" in str(caught.value)
    assert not canary.exists()


def test_pickles_beside_safetensors_are_left_alone_and_told(tmp_path: Path) -> None:
    folder = tiny_hf(tmp_path / "model")
    (folder / "training_args.bin").write_bytes(pickled(tmp_path / "canary"))
    assert "training_args.bin is a pickle" in " ".join(examine(folder).facts["notes"])
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"auto_map": {"AutoModelForCausalLM": "modeling_x.X"}},
        {"_attn_implementation_internal": "org/kernel"},
        {"attn_implementation": "org/repo"},
        {"text_config": {"auto_map": {"AutoConfig": "configuration_x.X"}}},
        {"trust_remote_code": True},
        {"kernel_config": {"x": "org/repo"}},
        {"custom_pipelines": {"x": {"impl": "a.B"}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_configuration_that_brings_code_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    folder = edited(tiny_hf(tmp_path / "model"), "config.json", **change)
    with pytest.raises(Refused, match=r"refused"):
        examine(folder)


def test_code_beside_the_weights_is_refused_and_never_run(tmp_path: Path) -> None:
    folder = tiny_hf(tmp_path / "model")
    (folder / "modeling_tiny.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')", encoding="utf-8")
    with pytest.raises(Refused, match=r"modeling_tiny\.py"):
        examine(folder)
    assert not (tmp_path / "canary").exists()


def test_ordinary_settings_of_a_configuration_are_taken(tmp_path: Path) -> None:
    folder = edited(
        tiny_hf(tmp_path / "model"),
        "config.json",
        attn_implementation="sdpa",
        trust_remote_code=False,
        auto_map={},
    )
    assert examine(folder).facts["architecture"] == "llama"


def _header(table: object, data: bytes = b"\0" * 16) -> bytes:
    raw = json.dumps(table).encode()
    return len(raw).to_bytes(8, "little") + raw + data


FOUR = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "content",
    [
        (2**63).to_bytes(8, "little") + b"{}",
        _header({"a": {**FOUR, "shape": [5]}}),
        _header({"a": {**FOUR, "data_offsets": [0, 1 << 40]}}),
        _header({"a": FOUR, "b": FOUR}),
        _header({"a": {**FOUR, "dtype": "X9"}}),
        _header({"a": {**FOUR, "shape": [-4]}}),
        _header({"a": {**FOUR, "shape": [1 << 61, 1 << 61]}}),
        _header({"a": FOUR}, b"\0" * 20),
        _header({"a": FOUR}, b"\0" * 8),
        _header([1]),
        _header({"a": 7}),
        len(b"[" * 90_000).to_bytes(8, "little") + b"[" * 90_000,
        b'\x20\0\0\0\0\0\0\0{"a":' + b"\xff" * 64,
        b"",
    ],
)
def test_a_safetensors_header_that_does_not_add_up_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadSafetensors, match=r"model\.safetensors"):
        read_safetensors(path)


def test_an_index_may_not_point_out_of_its_folder(tmp_path: Path) -> None:
    folder = tiny_hf(tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../../secret.safetensors"}}), encoding="utf-8"
    )
    with pytest.raises(Refused, match=r"outside its folder"):
        examine(folder)


def test_missing_weights_of_an_index_are_named(tmp_path: Path) -> None:
    folder = tiny_hf(tmp_path / "model")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    with pytest.raises(BadInput, match=r"2 of its 2 weight files are missing"):
        examine(folder)


def test_what_is_no_model_gets_a_sentence_about_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "notes.txt", "a text file"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "empty", "holds no model"),
        (tmp_path / "gone", "is not there"),
    ):
        with pytest.raises(BadInput, match=words):
            examine(path)


def test_a_truncated_gguf_is_refused_before_llama_cpp_sees_it(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(LatheError, match=r"ends behind the end of the file"):
        examine(path)
