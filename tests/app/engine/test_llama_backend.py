"""llama.cpp's batch API as we use it: what a copy shares, what an abort leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.engine.backend import Aborted, Chunk
from app.engine.gguf_header import read_header
from app.engine.settings import parse_settings
from tests.tiny_models import tiny_gguf


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("gguf"), layers=12, hidden=256, heads=8, kv_heads=4, ffn=512)


@pytest.fixture
def backend(path: Path) -> Iterator["LlamaBackend"]:  # noqa: F821, UP037
    from app.engine.llama_backend import LlamaBackend

    per_token = read_header(path).cache_bytes_per_token
    made = LlamaBackend(
        path, parse_settings({"threads": 1}), free_bytes=1 << 30, cache_bytes_per_token=per_token
    )
    yield made
    made.close()


def test_a_copied_prefix_gives_the_same_logits_as_reading_it(backend: "LlamaBackend") -> None:  # noqa: F821, UP037
    tokens = backend.tokenize(
        "Route this ticket to one of: billing, shipping, returns. " * 3, add_special=False
    )
    alone = backend.decode([Chunk(0, 0, tokens, True)]).copy()
    backend.clear()
    backend.decode([Chunk(1, 0, tokens[:-4], False)])
    backend.copy(1, 18, len(tokens) - 4)
    backend.drop(1)
    backend.copy(18, 2, len(tokens) - 4)
    shared = backend.decode([Chunk(2, len(tokens) - 4, tokens[-4:], True)])
    assert np.abs(alone - shared).max() < 0.05
    assert alone.argmax() == shared.argmax()


def test_an_aborted_step_leaves_everything_as_it_was_and_can_be_done_again(
    backend: "LlamaBackend",  # noqa: F821, UP037
) -> None:
    first = backend.tokenize("The parcel arrived late and the box was open.", add_special=False)
    long = backend.tokenize("Where is my order? " * 60, add_special=False)[:400]
    following = int(backend.decode([Chunk(0, 0, first, True)])[0].argmax())
    step = [Chunk(0, len(first), [following], True), Chunk(1, 0, long, True)]
    cut = 0
    for delay in (0.0, 0.001, 0.003, 0.01):
        timer = threading.Timer(delay, backend.abort)
        timer.start()
        try:
            backend.decode(step)
        except Aborted:
            cut += 1
        else:
            backend.clear()
            backend.decode([Chunk(0, 0, first, True)])
        timer.join()
        backend.unabort()
    assert cut
    again = backend.decode(step).copy()
    backend.clear()
    backend.decode([Chunk(0, 0, first, True)])
    untouched = backend.decode(step)
    assert (again == untouched).all()


def test_pieces_of_tokens_add_up_to_the_text(backend: "LlamaBackend") -> None:  # noqa: F821, UP037
    text = "Größe 東京 🙂 naïve\n  two  spaces"
    tokens = backend.tokenize(text, add_special=False)
    assert b"".join(backend.piece(token) for token in tokens).decode() == text
    assert backend.piece(backend.tokenize("<|im_end|>", add_special=False)[0]) == b""


def test_a_file_that_llama_cpp_refuses_is_a_sentence_with_its_reason(tmp_path: Path) -> None:
    import gguf

    from app.engine.llama_backend import LlamaBackend
    from store.errors import LatheError

    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(str(path), "no-such-architecture")
    writer.add_tensor("a", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(LatheError, match=r"could not load odd\.gguf: .*no-such-architecture"):
        LlamaBackend(path, parse_settings({"threads": 1}), free_bytes=1 << 30, cache_bytes_per_token=0)
