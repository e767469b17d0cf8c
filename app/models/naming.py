"""Names and tags for models that were found: what the user would have typed, made from what the files say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from app.models.gguf_facts import CLAIM, SHARD, claimed_type

_NOT_ALLOWED = re.compile(
    r"[@/\\#\s\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\ud800-\udfff\u202a-\u202e\u2066-\u2069]+"
)
_GENERIC = frozenset(
    {"model", "hf", "gguf", "ggml-model", "weights", "checkpoint", "main", "final", "merged"}
)


def clean_name(text: str, fallback: str = "model") -> str:
    """`text` as something that can be a name or a tag: see `store.refs.check_name`."""
    name = _NOT_ALLOWED.sub("-", text).strip(" -").lstrip(".-")[:100].rstrip(" -")
    return name or fallback


def suggested_name(path: Path, facts: dict[str, Any]) -> str:
    """A name without the quantisation: Qwen2.5-0.5B-Instruct-Q4_K_M.gguf is Qwen2.5-0.5B-Instruct."""
    if path.is_dir():
        return clean_name(_folder_name(path))
    match = SHARD.fullmatch(path.name)
    stem = match["stem"] if match else path.name.removesuffix(".gguf")
    claims = list(CLAIM.finditer(stem))
    if claims:
        stem = stem[: claims[-1].start()] + stem[claims[-1].end() :]
    stem = stem.strip("-_. ")
    if not stem or stem.lower() in _GENERIC or re.fullmatch(r"sha256-[0-9a-f]{64}", stem):
        stem = str(facts.get("title") or "") or path.parent.name
    return clean_name(stem)


def suggested_tag(path: Path, facts: dict[str, Any]) -> str:
    """A tag that tells versions apart: the quantisation for GGUF, the number type for folders, else "adapter"."""
    if "adapter" in facts:
        return "adapter"
    if path.is_dir():
        return clean_name(str(facts.get("quantisation", "")).lower(), "hf")
    claim = claimed_type(path.name) or str(facts.get("quantisation", ""))
    return clean_name(claim.lower(), "gguf")


def _folder_name(path: Path) -> str:
    """The folder's name; a hub cache's snapshot takes that of its repository."""
    parts = path.parts
    if len(parts) >= 3 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].rpartition("--")[2]
    if path.name.lower() in _GENERIC and path.parent.name:
        return path.parent.name
    return path.name
