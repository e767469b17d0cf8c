"""Hugging Face folders behind the same interface: equal to transformers' own loop, batched or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.engine.backend import Aborted, Chunk
from app.engine.client import EngineClient
from store.errors import BadInput
from tests.app.engine.conftest import ONE_THREAD, done
from tests.app.engine.test_generation import grid
from tests.tiny_models import tiny_hf

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_hf(tmp_path_factory.mktemp("hf") / "tiny")


def backend_of(folder: Path, **settings: int) -> "TransformersBackend":  # noqa: F821, UP037
    from app.engine.hf_backend import TransformersBackend
    from app.engine.settings import parse_settings

    return TransformersBackend(folder, parse_settings({"threads": 1, **settings}), free_bytes=1 << 30)


def test_rows_of_a_batch_equal_each_prompt_alone_whatever_their_lengths_and_pieces(folder: Path) -> None:
    import transformers

    backend = backend_of(folder)
    reference = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompts = [
        backend.tokenize(text, add_special=False)
        for text in ("The parcel arrived late", "Hi", "Where is it? " * 9)
    ]
    backend.decode([Chunk(slot, 0, tokens[:2], False) for slot, tokens in enumerate(prompts)])
    rows = backend.decode(
        [Chunk(slot, 2, tokens[2:], True) for slot, tokens in enumerate(prompts) if len(tokens) > 2]
    )
    grown = [tokens for tokens in prompts if len(tokens) > 2]
    for step in range(6):
        with torch.no_grad():
            expected = [reference(torch.tensor([tokens])).logits[0, -1].numpy() for tokens in grown]
        assert np.abs(rows - np.stack(expected)).max() < 1e-3
        following = [int(row.argmax()) for row in rows]
        if step == 3:  # one leaves, the others go on
            backend.drop(prompts.index(grown[0]) if grown[0] in prompts else 0)
            grown, following = grown[1:], following[1:]
        slots = [next(s for s, tokens in enumerate(prompts) if tokens is item) for item in grown]
        for tokens, token in zip(grown, following, strict=True):
            tokens.append(token)
        rows = backend.decode(
            [Chunk(s, len(tokens) - 1, tokens[-1:], True) for s, tokens in zip(slots, grown, strict=True)]
        )


def test_pieces_of_tokens_add_up_to_the_text(folder: Path) -> None:
    backend = backend_of(folder)
    text = "Größe 東京 🙂 naïve\n  two  spaces"
    tokens = backend.tokenize(text, add_special=False)
    assert b"".join(backend.piece(token) for token in tokens).decode() == text
    end = backend.tokenize("<|im_end|>", add_special=False)
    assert len(end) == 1
    assert backend.piece(end[0]) == b""
    assert backend.is_end(end[0])


def test_a_step_can_be_cut_short(folder: Path) -> None:
    backend = backend_of(folder)
    backend.abort()
    with pytest.raises(Aborted):
        backend.decode([Chunk(0, 0, [1, 2, 3], True)])
    backend.unabort()
    backend.clear()
    assert len(backend.decode([Chunk(0, 0, [1, 2, 3], True)])) == 1


def test_a_schema_is_refused_with_a_sentence(folder: Path) -> None:
    with pytest.raises(BadInput, match="GGUF"):
        backend_of(folder).grammar({"type": "object"})


def test_pickled_weights_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    import shutil

    bad = tmp_path / "pickled"
    shutil.copytree(folder, bad)
    (bad / "model.safetensors").unlink()
    torch.save({}, bad / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        backend_of(bad)


def test_a_folder_answers_like_the_gguf_of_the_same_weights_batched_and_alone(engine: EngineClient) -> None:
    gguf = done(engine.generate(grid(24)))
    engine.load("tiny@hf", ONE_THREAD)
    batched = done(engine.generate(grid(24, "tiny@hf")))
    engine.load("tiny@hf", {**ONE_THREAD, "slots": 1})
    single = done(engine.generate(grid(24, "tiny@hf")))
    embedded = engine.status()["models"]
    engine.unload("tiny@hf")
    assert {event["event"] for event in batched.values()} == {"done"}
    assert sum(batched[key]["text"] == single[key]["text"] for key in single) >= 22
    assert sum(batched[key]["text"] == gguf[key]["text"] for key in gguf) >= 21
    assert all(batched[key]["prompt_tokens"] == gguf[key]["prompt_tokens"] for key in gguf)
    assert {model["facts"]["backend"] for model in embedded} == {"llama_cpp", "transformers"}
