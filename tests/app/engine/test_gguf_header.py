from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from app.engine.gguf_header import TENSOR_TYPES, BadGguf, LongArray, read_header
from tests.tiny_models import CHATML, tiny_gguf


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def header(tensors: int = 0, entries: int = 0, *, version: int = 3, body: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + body + b"\0" * 64


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


U32 = 4
HOSTILE: dict[str, bytes] = {
    "2^60 tensors": header(1 << 60),
    "2^60 entries": header(0, 1 << 60),
    "a key of 2^62 bytes": header(0, 1, body=struct.pack("<Q", 1 << 62)),
    "a string of 2^62 bytes": header(0, 1, body=entry("a", 8, struct.pack("<Q", 1 << 62))),
    "an array of 2^61 items": header(0, 1, body=entry("a", 9, struct.pack("<IQ", U32, 1 << 61))),
    "an array of 2^24 strings that are not there": header(
        0, 1, body=entry("a", 9, struct.pack("<IQ", 8, 1 << 24))
    ),
    "an array of arrays": header(0, 1, body=entry("a", 9, struct.pack("<IQ", 9, 1))),
    "a value of type 77": header(0, 1, body=entry("a", 77, b"")),
    "an array of type 77": header(0, 1, body=entry("a", 9, struct.pack("<IQ", 77, 1))),
    "alignment 0": header(0, 1, body=entry("general.alignment", U32, struct.pack("<I", 0))),
    "alignment 24": header(0, 1, body=entry("general.alignment", U32, struct.pack("<I", 24))),
    "the same key twice": header(0, 2, body=2 * entry("a", U32, struct.pack("<I", 1))),
    "dimensions that overflow": header(1, body=tensor("a", [1 << 31] * 4, 0, 0)),
    "ninety dimensions": header(1, body=text("a") + struct.pack("<I", 90)),
    "an empty dimension": header(1, body=tensor("a", [0], 0, 0)),
    "a tensor of type 9999": header(1, body=tensor("a", [4], 9999, 0)),
    "a tensor behind the end": header(1, body=tensor("a", [4], 0, 1 << 40)),
    "a tensor that ends behind the end": header(1, body=tensor("a", [1 << 30], 0, 0)),
    "a tensor off its alignment": header(1, body=tensor("a", [4], 0, 3)),
    "the same tensor twice": header(2, body=2 * tensor("a", [4], 0, 0)),
    "two tensors in one place": header(2, body=tensor("a", [8], 0, 0) + tensor("b", [8], 0, 0)),
    "rows that no block fits": header(1, body=tensor("a", [33], 8, 0)),
    "version 1": header(version=1),
    "version 99": header(version=99),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + b"\0" * 64,
    "another format": b"PK\x03\x04" + b"\0" * 64,
    "three bytes": b"GGU",
    "nothing": b"",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_does_not_add_up_is_refused_with_a_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(BadGguf, match=r"model\.gguf.*\.$"):
        read_header(path)


def test_every_cut_of_a_real_header_is_refused(tmp_path: Path) -> None:
    whole = tiny_gguf(tmp_path).read_bytes()
    path = tmp_path / "cut.gguf"
    for length in [*range(0, 600, 7), *range(600, len(whole), 4999)]:
        path.write_bytes(whole[:length])
        with pytest.raises(BadGguf):
            read_header(path)


def test_flipped_bits_never_raise_anything_but_a_sentence(tmp_path: Path) -> None:
    whole = tiny_gguf(tmp_path).read_bytes()
    chance = random.Random(7)
    path = tmp_path / "flipped.gguf"
    for _ in range(300):
        data = bytearray(whole[:12_000])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(data) + whole[12_000:])
        try:
            read_header(path)
        except BadGguf:
            continue


def test_a_real_file_is_read_as_the_reference_reader_reads_it(tmp_path: Path) -> None:
    from gguf import GGUFReader

    path = tiny_gguf(tmp_path, quantised=True)
    found, reference = read_header(path), GGUFReader(path)
    assert [(t.name, t.offset, t.size) for t in found.tensors] == [
        (t.name, t.data_offset - reference.data_offset, int(t.n_bytes)) for t in reference.tensors
    ]
    assert found.parameters == sum(int(t.n_elements) for t in reference.tensors)
    assert found.architecture == "llama"
    assert (found.context_length, found.vocabulary, found.tokenizer) == (512, 512, "gpt2/gpt-2")
    assert found.chat_template == CHATML
    assert {name: count for name, (count, _) in found.histogram.items()} == {"Q8_0": 15, "F32": 5}
    assert found.cache_bytes_per_token == 2 * 2 * 2 * (2 * 16)  # layers, keys and values, f16, 2 heads of 16
    assert found.metadata["llama.attention.head_count_kv"] == 2
    assert isinstance(found.metadata["tokenizer.ggml.merges"], (LongArray, list))


def test_tensor_types_have_the_sizes_that_the_gguf_package_gives_them() -> None:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for number, (name, block, size) in TENSOR_TYPES.items():
        kind = GGMLQuantizationType(number)
        assert (kind.name, *GGML_QUANT_SIZES[kind]) == (name, block, size)


def test_a_file_without_a_template_says_none(tmp_path: Path) -> None:
    assert read_header(tiny_gguf(tmp_path, template=False)).chat_template is None
