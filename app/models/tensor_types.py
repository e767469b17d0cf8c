"""What a model's weights really are: counted over its tensors, because a file's name only claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TypeCount:
    """How much of a model is of one type. `matrix_parameters` leaves out vectors, which stay in F32 everywhere."""

    type: str
    tensors: int
    parameters: int
    matrix_parameters: int
    bytes: int
    bits: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def histogram(tensors: Iterable[tuple[str, int, int, int, float]]) -> list[TypeCount]:
    """Types by bytes, largest first, from (type, dimensions, parameters, bytes, bits per weight) of every tensor."""
    found: dict[str, TypeCount] = {}
    for kind, dimensions, parameters, size, bits in tensors:
        before = found.get(kind, TypeCount(kind, 0, 0, 0, 0, bits))
        found[kind] = TypeCount(
            kind,
            before.tensors + 1,
            before.parameters + parameters,
            before.matrix_parameters + (parameters if dimensions > 1 else 0),
            before.bytes + size,
            bits,
        )
    return sorted(found.values(), key=lambda item: (-item.bytes, item.type))


def quantisation(types: Sequence[TypeCount]) -> str:
    """The type that most weights of matrices have; "mixed" names the first two when none has half of them."""
    total = sum(item.matrix_parameters for item in types)
    ranked = sorted(types, key=lambda item: -item.matrix_parameters)
    if not ranked:
        return "none"
    if total and ranked[0].matrix_parameters * 2 < total and len(ranked) > 1:
        return f"mixed {ranked[0].type} and {ranked[1].type}"
    return ranked[0].type


def bits_per_weight(types: Sequence[TypeCount]) -> float:
    """Bits that a weight takes on average, over all tensors; 0.0 without weights."""
    parameters = sum(item.parameters for item in types)
    return round(8 * sum(item.bytes for item in types) / parameters, 2) if parameters else 0.0
