"""Reads and judges the header of a GGUF file in plain Python, before llama.cpp sees a byte of it.

llama.cpp parses headers in C++ and has had memory errors in exactly that code (CVE-2024-21802, CVE-2025-53630,
CVE-2026-27940) and its users in what follows (CVE-2026-7482: tensors that end behind the file). So every count,
length, type and offset is checked here against the size of the file. `read_header` is the only owner of the question
whether a file may be given to llama.cpp.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from store.errors import LatheError

MAX_ENTRIES = 100_000  # metadata keys, and tensors; the largest real models have a few thousand
MAX_KEY = 65_535
MAX_STRING = 16 * 1024 * 1024
MAX_ARRAY = 16 * 1024 * 1024  # items; the largest vocabularies have 300,000
KEPT_ITEMS = 1024  # longer arrays are walked and counted, not kept
MAX_HEADER = 512 * 1024 * 1024

# id: (name, values in a block, bytes of a block), from ggml.h and ggml-common.h
TENSOR_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class BadGguf(LatheError):
    """A file that is not a GGUF file, or one whose header does not add up."""


@dataclass(frozen=True)
class LongArray:
    """An array that was walked but not kept."""

    length: int


@dataclass(frozen=True)
class Tensor:
    """One tensor's entry; `offset` counts from the start of the data section, `size` is in bytes."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size: int

    @property
    def parameters(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says about itself, checked against its size."""

    path: Path
    version: int
    file_size: int
    data_offset: int
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @cached_property
    def parameters(self) -> int:
        """Number of weights in this file."""
        return sum(tensor.parameters for tensor in self.tensors)

    @cached_property
    def histogram(self) -> dict[str, tuple[int, int]]:
        """Real tensor types: type name to (number of tensors, bytes), largest first; the file's name may claim else."""
        found: dict[str, tuple[int, int]] = {}
        for tensor in self.tensors:
            count, size = found.get(tensor.type, (0, 0))
            found[tensor.type] = (count + 1, size + tensor.size)
        return dict(sorted(found.items(), key=lambda item: -item[1][1]))

    @property
    def chat_template(self) -> str | None:
        """The default chat template's source, if the file brings one."""
        source = self.metadata.get("tokenizer.chat_template")
        return source if isinstance(source, str) and source.strip() else None

    @property
    def tokenizer(self) -> str:
        """The tokenizer's kind and pre-tokenizer as the file names them, for example "gpt2/qwen2"."""
        kind = str(self.metadata.get("tokenizer.ggml.model", ""))
        pre = str(self.metadata.get("tokenizer.ggml.pre", ""))
        return f"{kind}/{pre}" if pre else kind

    @property
    def vocabulary(self) -> int:
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return tokens.length if isinstance(tokens, LongArray) else len(tokens or ())

    @property
    def context_length(self) -> int | None:
        """Tokens the model was trained to see at once, or None when the file does not say."""
        return self.whole("context_length")

    @property
    def splits(self) -> int:
        """In how many files the model lies; 1 for a whole one."""
        count = self.metadata.get("split.count")
        return count if isinstance(count, int) and count > 1 else 1

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of an f16 key-value cache per token, from the header's numbers; 0 when they are not there."""
        layers = self.whole("block_count") or 0
        width = self.whole("embedding_length") or 0
        heads = self.whole("attention.head_count") or 0
        if not (layers and width and heads):
            return 0
        shared = self.metadata.get(f"{self.architecture}.attention.head_count_kv", heads)
        per_layer = [int(item) for item in shared] if isinstance(shared, list) else [int(shared)] * layers
        key = self.whole("attention.key_length") or width // heads
        value = self.whole("attention.value_length") or width // heads
        return 2 * (key + value) * sum(per_layer)

    def whole(self, name: str) -> int | None:
        """An integer of the model's own architecture, for example `whole("block_count")`."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def read_header(path: Path) -> GgufHeader:
    """Read and check a GGUF header; raises BadGguf with a sentence for anything that does not add up."""
    size = path.stat().st_size
    if size < 24:
        raise BadGguf(f"{path.name} is not a GGUF file: it holds only {size} bytes.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _Reader(path, data, size).header()


class _Reader:
    """A cursor over the header; every read is checked against the end of the file first."""

    def __init__(self, path: Path, data: mmap.mmap, size: int) -> None:
        self.path, self.data, self.size, self.at = path, data, size, 0
        self.end = min(size, MAX_HEADER)

    def fail(self, reason: str) -> NoReturn:
        raise BadGguf(
            f"{self.path.name} was not opened: {reason} (byte {self.at}). The file is damaged, unfinished or made to "
            "harm; fetch it again from where it came."
        )

    def take(self, count: int) -> int:
        """Move over `count` bytes and return where they start."""
        start = self.at
        if count > self.end - start:
            self.fail(f"its header asks for {count} more bytes than are there")
        self.at = start + count
        return start

    def scalar(self, layout: str) -> Any:
        start = self.take(struct.calcsize("<" + layout))
        if layout == "?":
            return self.data[start] != 0
        return struct.unpack_from("<" + layout, self.data, start)[0]

    def raw(self, limit: int, what: str) -> bytes:
        length = self.scalar("Q")
        if length > limit:
            self.fail(f"{what} claims to be {length} bytes long")
        start = self.take(length)
        return self.data[start : start + length]

    def text(self, limit: int, what: str) -> str:
        return self.raw(limit, what).decode("utf-8", "replace")

    def header(self) -> GgufHeader:
        if self.data[:4] != b"GGUF":
            raise BadGguf(f"{self.path.name} is not a GGUF file: it does not start with the letters GGUF.")
        self.at = 4
        version = self.scalar("I")
        if version not in (2, 3):
            self.fail(f"its format version is {version}, and only 2 and 3 (little-endian) are read")
        tensors = self.scalar("Q")
        entries = self.scalar("Q")
        if tensors > MAX_ENTRIES:
            self.fail(f"it claims to hold {tensors} tensors")
        if entries > MAX_ENTRIES:
            self.fail(f"it claims to hold {entries} metadata entries")
        metadata = self.metadata(entries)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20 or alignment & (alignment - 1):
            self.fail(f"its alignment is {alignment!r}, which is no power of two")
        table = self.tensors(tensors)
        start = -(-self.at // alignment) * alignment
        self.check_extents(table, start, alignment)
        return GgufHeader(self.path, version, self.size, start, metadata, table)

    def metadata(self, count: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(count):
            key = self.text(MAX_KEY, "a metadata key")
            if key in found:
                self.fail(f"the metadata key {key[:80]!r} appears twice")
            found[key] = self.value(self.scalar("I"), key)
        return found

    def value(self, kind: int, key: str) -> Any:
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind == STRING:
            return self.text(MAX_STRING, f"the value of {key[:80]!r}")
        if kind != ARRAY:
            self.fail(f"the value of {key[:80]!r} has the unknown type {kind}")
        item = self.scalar("I")
        length = self.scalar("Q")
        if length > MAX_ARRAY:
            self.fail(f"the list {key[:80]!r} claims {length} items")
        if item in SCALARS:
            width = struct.calcsize("<" + SCALARS[item])
            start = self.take(width * length)
            if length > KEPT_ITEMS:
                return LongArray(length)
            return list(struct.unpack_from(f"<{length}{SCALARS[item]}", self.data, start))
        if item != STRING:
            self.fail(f"the list {key[:80]!r} holds items of the type {item}, which lists may not")
        if length > KEPT_ITEMS:
            self.skip_strings(length, key)
            return LongArray(length)
        return [self.text(MAX_STRING, f"an item of {key[:80]!r}") for _ in range(length)]

    def skip_strings(self, count: int, key: str) -> None:
        """Walk over `count` strings; on its own because vocabularies make it the one hot loop here."""
        at, end, data = self.at, self.end, self.data
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if at + 8 > end:
                break
            length = unpack(data, at)[0]
            at += 8 + length
            if length > MAX_STRING or at > end:
                self.fail(f"an item of {key[:80]!r} claims to be {length} bytes long")
        else:
            self.at = at
            return
        self.fail(f"the list {key[:80]!r} ends before its {count} items")

    def tensors(self, count: int) -> tuple[Tensor, ...]:
        found: dict[str, Tensor] = {}
        for _ in range(count):
            name = self.text(MAX_KEY, "a tensor's name")
            if name in found:
                self.fail(f"the tensor {name[:80]!r} appears twice")
            dimensions = self.scalar("I")
            if dimensions > 4:
                self.fail(f"the tensor {name[:80]!r} claims {dimensions} dimensions")
            shape = tuple(self.scalar("Q") for _ in range(dimensions))
            kind = self.scalar("I")
            offset = self.scalar("Q")
            if kind not in TENSOR_TYPES:
                self.fail(f"the tensor {name[:80]!r} has the unknown type {kind}")
            label, block, width = TENSOR_TYPES[kind]
            values = 1
            for length in shape:
                values *= length
            if values <= 0 or values >= 1 << 60:
                self.fail(f"the tensor {name[:80]!r} claims the shape {' x '.join(map(str, shape))}")
            if shape and shape[0] % block:
                self.fail(
                    f"rows of the tensor {name[:80]!r} are {shape[0]} long, which {label} blocks do not fit"
                )
            found[name] = Tensor(name, shape, label, offset, values // block * width)
        return tuple(found.values())

    def check_extents(self, tensors: tuple[Tensor, ...], start: int, alignment: int) -> None:
        """Tensors lie one behind the other inside the file; llama.cpp reads them on that promise."""
        room = self.size - start
        expected = 0
        for tensor in sorted(tensors, key=lambda item: item.offset):
            if tensor.offset % alignment:
                self.fail(f"the tensor {tensor.name[:80]!r} does not start on its alignment")
            if tensor.offset < expected:
                self.fail(f"the tensor {tensor.name[:80]!r} overlaps the one before it")
            if tensor.offset + tensor.size > room:
                self.fail(f"the tensor {tensor.name[:80]!r} ends behind the end of the file")
            expected = tensor.offset + tensor.size
