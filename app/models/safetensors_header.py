"""Reads and judges the header of a safetensors file in plain Python: names, types, shapes and where the bytes lie.

The header is JSON, so nothing in it can run; what it claims is still checked against the file's size, because
facts are shown from it and memory is planned by it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from app.models.file_kind import MAX_SAFETENSORS_HEADER, file_kind
from store.errors import BadInput

MAX_TENSORS = 200_000
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "I64": 64, "I32": 32,
    "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class BadSafetensors(BadInput):
    """A file that is not safetensors, or one whose header does not add up."""


@dataclass(frozen=True)
class SafeTensor:
    """One tensor's entry; `size` in bytes."""

    name: str
    type: str
    shape: tuple[int, ...]
    size: int

    @property
    def parameters(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True)
class SafetensorsHeader:
    """What a safetensors file says about itself, checked against its size."""

    path: Path
    size: int
    metadata: dict[str, str]
    tensors: tuple[SafeTensor, ...]


def read_safetensors(path: Path) -> SafetensorsHeader:
    """Read and check a header. Raises BadSafetensors with a sentence for anything that does not add up."""
    found = file_kind(path)
    if found.kind != "safetensors":
        raise BadSafetensors(f"{path.name} is not a safetensors file: by its content it is {found.words}.")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_SAFETENSORS_HEADER, found.size - 8):
            _fail(path, "its header is longer than the file")
        raw = file.read(length)
    try:
        table = json.loads(raw, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        _fail(path, f"its header is no JSON object ({str(error)[:120]})")
    if not isinstance(table, dict):
        _fail(path, "its header is no JSON object")
    if len(table) > MAX_TENSORS:
        _fail(path, f"it claims {len(table)} tensors")
    noted = table.pop("__metadata__", {})
    metadata = {str(key): str(value) for key, value in noted.items()} if isinstance(noted, dict) else {}
    room = found.size - 8 - length
    entries = sorted(
        (_tensor(path, name, entry, room) for name, entry in table.items()), key=lambda item: item[0]
    )
    expected = 0
    for start, end, tensor in entries:
        if start != expected:
            _fail(path, f"the tensor {tensor.name[:80]!r} does not follow the one before it")
        expected = end
    if expected != room:
        _fail(path, f"its tensors take {expected} bytes and the file has {room} for them")
    return SafetensorsHeader(path, found.size, metadata, tuple(tensor for _, _, tensor in entries))


def _tensor(path: Path, name: str, entry: Any, room: int) -> tuple[int, int, SafeTensor]:
    if not isinstance(entry, dict):
        _fail(path, f"the entry {name[:80]!r} is no object")
    kind = entry.get("dtype")
    if kind not in BITS:
        _fail(path, f"the tensor {name[:80]!r} has the unknown type {str(kind)[:40]!r}")
    shape, offsets = _whole_numbers(entry.get("shape")), _whole_numbers(entry.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        _fail(path, f"the tensor {name[:80]!r} has no proper shape or place")
    start, end = offsets
    if not start <= end <= room:
        _fail(path, f"the tensor {name[:80]!r} lies outside the file")
    tensor = SafeTensor(name, kind, tuple(shape), end - start)
    if -(-tensor.parameters * BITS[kind] // 8) != tensor.size:
        _fail(path, f"the tensor {name[:80]!r} has another size than its shape says")
    return start, end, tensor


def _whole_numbers(value: Any) -> list[int] | None:
    """`value` when it is a list of sizes, else None."""
    if not isinstance(value, list):
        return None
    sizes = all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 62 for item in value
    )
    return value if sizes else None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _fail(path: Path, reason: str) -> NoReturn:
    raise BadSafetensors(
        f"{path.name} was not opened: {reason}. The file is damaged, unfinished or made to harm; fetch it again "
        "from where it came."
    )
