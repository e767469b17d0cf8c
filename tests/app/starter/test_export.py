"""The two exported files are the same model: the same tokens, the same choices, the same template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.starter.export import GGUF_FILE, HF_FOLDER, compare_formats, export_run
from app.starter.tokenizer import CHAT_TEMPLATE, chat_text

MESSAGES = [{"role": "user", "content": "Which team should handle this ticket?\n\nTicket: Where is my lamp?"}]


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("export")
    export_run(tiny_run, target)
    return target


def test_gguf_and_folder_give_the_same_tokens_and_the_same_choices(exported: Path) -> None:
    agreement = compare_formats(exported, examples=20)
    assert agreement.token_mismatches == 0
    assert agreement.same_argmax > 0.95 * agreement.positions


def test_both_files_carry_the_same_template_and_end_of_turn(exported: Path) -> None:
    import gguf
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(exported / HF_FOLDER)
    rendered = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert rendered == chat_text(MESSAGES)
    fields = gguf.GGUFReader(str(exported / GGUF_FILE)).fields
    assert fields["tokenizer.chat_template"].contents() == CHAT_TEMPLATE
    assert fields["tokenizer.ggml.eos_token_id"].contents() == tokenizer.eos_token_id
    assert tokenizer.convert_ids_to_tokens(tokenizer.eos_token_id) == "<|im_end|>"


def test_every_matrix_is_q8_and_the_folder_is_bf16(exported: Path) -> None:
    import gguf
    import torch
    from safetensors import safe_open

    kinds = {tensor.tensor_type.name for tensor in gguf.GGUFReader(str(exported / GGUF_FILE)).tensors}
    assert kinds == {"Q8_0", "F32"}
    with safe_open(exported / HF_FOLDER / "model.safetensors", framework="pt") as handle:
        assert {handle.get_tensor(name).dtype for name in handle.keys()} == {torch.bfloat16}  # noqa: SIM118


def test_exporting_again_replaces_what_was_there(exported: Path, tiny_run: Path) -> None:
    before = (exported / HF_FOLDER / "model.safetensors").read_bytes()
    export_run(tiny_run, exported)
    assert (exported / HF_FOLDER / "model.safetensors").read_bytes() == before
    facts = json.loads((exported / "training.json").read_text(encoding="utf-8"))
    assert facts["step"] == 30
    assert sorted(path.name for path in exported.iterdir()) == ["hf", "starter-q8_0.gguf", "training.json"]
