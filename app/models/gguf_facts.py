"""What a GGUF model is, read from its own header (all parts of a sharded one), never from its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.chat_template import mentions_thinking, template_hash
from app.engine.gguf_header import TENSOR_TYPES, BadGguf, GgufHeader, read_header
from app.models.tensor_types import TypeCount, bits_per_weight, histogram, quantisation
from store.errors import BadInput

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[A-Za-z0-9]+)?")
MAX_SHARDS = 1000
CLAIM = re.compile(
    r"(?i)(?:^|[-_.])((?:UD-)?I?Q[1-8](?:_[0-9A-Z]+)*|TQ[12]_0|MXFP4(?:_MOE)?|BF16|FP?16|FP?32)(?=$|[-_.])"
)


@dataclass(frozen=True)
class Shards:
    """The parts of one model in order; `missing` are the numbers that are not there."""

    stem: str
    parts: tuple[Path, ...]
    missing: tuple[int, ...]
    count: int


def shards_of(path: Path) -> Shards | None:
    """All parts that `path`, one of them, belongs to; None for a file that is a model by itself."""
    match = SHARD.fullmatch(path.name)
    if match is None:
        return None
    count = int(match["count"])
    if not 1 < count <= MAX_SHARDS:
        return None
    suffix = match["suffix"] or ""
    names = [
        path.with_name(f"{match['stem']}-{number:05}-of-{count:05}{suffix}") for number in range(1, count + 1)
    ]
    missing = tuple(number for number, name in enumerate(names, 1) if not name.is_file())
    return Shards(match["stem"], tuple(name for name in names if name.is_file()), missing, count)


def read_gguf(path: Path) -> tuple[list[GgufHeader], Path]:
    """The headers of a model's file or files, and the file that llama.cpp is given (the first part).

    Raises BadInput naming the missing parts of a sharded model, BadGguf for a header that does not add up.
    """
    shards = shards_of(path)
    header = read_header(path)
    if header.splits <= 1:
        return [header], path
    if shards is None:
        raise BadInput(
            f"{path.name} is one part of a model in {header.splits} files, but its name does not say which. Give the "
            f"parts the names that llama.cpp expects: name-00001-of-{header.splits:05}.gguf and so on."
        )
    if shards.missing:
        numbers = ", ".join(map(str, shards.missing[:8])) + (" …" if len(shards.missing) > 8 else "")
        what = "part" if len(shards.missing) == 1 else "parts"
        raise BadInput(
            f"{shards.stem} lies in {shards.count} files and {what} {numbers} of them "
            f"{'is' if len(shards.missing) == 1 else 'are'} missing in {path.parent}. "
            "Fetch the rest, then register it again."
        )
    headers = [header if part == path else read_header(part) for part in shards.parts]
    counts = {item.splits for item in headers}
    if counts != {shards.count}:
        raise BadGguf(
            f"The parts of {shards.stem} do not belong together: their headers name {sorted(counts)} parts."
        )
    return headers, shards.parts[0]


def gguf_facts(path: Path) -> dict[str, Any]:
    """Everything the workbench shows about a GGUF model and everything the engine plans its memory by."""
    headers, first = read_gguf(path)
    header = headers[0]
    kind = str(header.metadata.get("general.type", "model"))
    if header.architecture in ("clip", "mmproj") or kind == "mmproj":
        raise BadInput(
            f"{path.name} is the image projector of another model (mmproj) and cannot answer by itself. Register the "
            "language model that lies beside it."
        )
    if header.architecture == "imatrix" or kind == "imatrix":
        raise BadInput(f"{path.name} is an importance matrix for quantising, not a model.")
    types = _types(headers)
    names = {tensor.name for item in headers for tensor in item.tensors}
    template = header.chat_template
    facts: dict[str, Any] = {
        "title": _text(header, "general.name"),
        "architecture": header.architecture or "unknown",
        "parameters": sum(item.parameters for item in headers),
        "context_length": header.context_length,
        "layers": header.whole("block_count"),
        "embedding_length": header.whole("embedding_length"),
        "heads": _number(header, "attention.head_count"),
        "kv_heads": _number(header, "attention.head_count_kv") or _number(header, "attention.head_count"),
        "experts": header.whole("expert_count"),
        "sliding_window": header.whole("attention.sliding_window"),
        "tokenizer": header.tokenizer or "none",
        "vocabulary": header.vocabulary,
        "types": [item.as_json() for item in types],
        "quantisation": quantisation(types),
        "bits_per_weight": bits_per_weight(types),
        "claimed": claimed_type(first.name),
        "weights_bytes": sum(item.bytes for item in types),
        "cache_bytes_per_token": header.cache_bytes_per_token,
        "chat_template": template,
        "chat_template_hash": template_hash(template),
        "templates": sorted(key for key in header.metadata if key.startswith("tokenizer.chat_template."))[
            :20
        ],
        "thinking": mentions_thinking(template),
        "bos": header.metadata.get("tokenizer.ggml.bos_token_id"),
        "eos": header.metadata.get("tokenizer.ggml.eos_token_id"),
        "adds_bos": header.metadata.get("tokenizer.ggml.add_bos_token"),
        "tied_embeddings": "token_embd.weight" in names and "output.weight" not in names,
        "licence": _text(header, "general.license") or _text(header, "general.license.name"),
        "files": len(headers),
        "parts": [item.path.name for item in headers] if len(headers) > 1 else [],
    }
    if kind == "adapter":
        facts["adapter"] = {
            "kind": str(header.metadata.get("adapter.type", "lora")),
            "alpha": header.metadata.get("adapter.lora.alpha"),
            "base": _text(header, "general.base_model.0.name"),
            "tensors": sum(len(item.tensors) for item in headers),
        }
    facts["notes"] = _notes(facts)
    return facts


def claimed_type(file_name: str) -> str | None:
    """The quantisation that a file's name claims, in capitals; None when it claims none."""
    stem = file_name.removesuffix(".gguf")
    match = SHARD.fullmatch(file_name)
    found = CLAIM.findall(match["stem"] if match else stem)
    return str(found[-1]).upper().removeprefix("UD-").replace("FP", "F") if found else None


def _types(headers: Sequence[GgufHeader]) -> list[TypeCount]:
    bits = {name: 8 * size / values for name, values, size in TENSOR_TYPES.values()}
    return histogram(
        (tensor.type, len(tensor.shape), tensor.parameters, tensor.size, bits[tensor.type])
        for header in headers
        for tensor in header.tensors
    )


def _notes(facts: dict[str, Any]) -> list[str]:
    notes = []
    claim, real = facts["claimed"], facts["quantisation"]
    kinds = {entry["type"] for entry in facts["types"]}
    if claim and not _agrees(claim, kinds):
        notes.append(f"The file's name says {claim}, and no tensor in it is of that type: it is {real}.")
    elif claim and not _agrees(claim, {real}):
        notes.append(f"The file's name says {claim}; most of its weights are {real}.")
    if facts["chat_template"] is None and "adapter" not in facts:
        notes.append(
            "It brings no chat template, so nobody knows how it expects messages; choose one in its settings."
        )
    if facts["context_length"] is None and "adapter" not in facts:
        notes.append("It does not say how many tokens it was trained to see at once.")
    return notes


def _agrees(claim: str, types: set[str]) -> bool:
    """Whether a file name's type (Q4_K_M) names one of the real tensor types (Q4_K)."""
    base = re.sub(r"_(XXS|XS|S|M|L|XL|NL)$", "", claim) if "_K" in claim or claim.startswith("IQ") else claim
    return any(kind in (claim, base) or kind.startswith(base + "_") for kind in types)


def _text(header: GgufHeader, key: str) -> str:
    value = header.metadata.get(key)
    return value[:300] if isinstance(value, str) else ""


def _number(header: GgufHeader, name: str) -> int | None:
    """A per-model number; hybrid models give one per layer, of which the largest is told."""
    value = header.metadata.get(f"{header.architecture}.{name}")
    if isinstance(value, list):
        value = max((item for item in value if isinstance(item, int)), default=None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
