"""What a Hugging Face folder is: from its configuration, its tokenizer files and the headers of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.engine.chat_template import mentions_thinking, template_hash
from app.engine.hf_files import chat_template_of
from app.models.file_kind import file_kind, first_bytes
from app.models.safetensors_header import BITS, SafetensorsHeader, read_safetensors
from app.models.safety import PICKLE_ADVICE, Refused, check_folder, read_json
from app.models.tensor_types import TypeCount, bits_per_weight, histogram, quantisation
from store.errors import BadInput

MAX_TEMPLATE = 512 * 1024
MAX_README = 256 * 1024
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_LICENCE = re.compile(r"^license(?:_name)?:\s*(\S[^\n]{0,80})", re.MULTILINE)


def hf_facts(folder: Path) -> dict[str, Any]:
    """Everything the workbench shows about a model folder; raises Refused or BadInput with a sentence."""
    notes = check_folder(folder)
    config = _object(folder / "config.json")
    inner = config.get("text_config")
    shape: Mapping[str, Any] = {**config, **inner} if isinstance(inner, dict) else config
    headers = _weights(folder)
    types = _types(headers)
    layers, hidden = _whole(shape, "num_hidden_layers", "n_layer"), _whole(shape, "hidden_size", "n_embd")
    heads = _whole(shape, "num_attention_heads", "n_head")
    kv_heads = _whole(shape, "num_key_value_heads") or heads
    head_dim = _whole(shape, "head_dim") or (hidden // heads if hidden and heads else 0)
    tokens = _object(folder / "tokenizer_config.json", missing_is_empty=True)
    kind, vocabulary = _tokenizer(folder)
    own = folder / "chat_template.jinja"
    if own.is_file() and own.stat().st_size > MAX_TEMPLATE:
        raise Refused(
            f"{own.name} is {own.stat().st_size} bytes long; no chat template is, so it was not opened."
        )
    template = chat_template_of(folder)
    if template is None:
        notes.append(
            "It brings no chat template, so nobody knows how it expects messages; choose one in its settings."
        )
    return {
        "title": str(config.get("_name_or_path") or "")[:300],
        "architecture": str(config.get("model_type") or "unknown")[:80],
        "classes": [str(name)[:80] for name in _list(config.get("architectures"))][:4],
        "parameters": sum(item.parameters for item in types),
        "context_length": _whole(shape, "max_position_embeddings", "n_positions", "n_ctx") or None,
        "layers": layers or None,
        "embedding_length": hidden or None,
        "heads": heads or None,
        "kv_heads": kv_heads or None,
        "experts": _whole(shape, "num_local_experts", "num_experts") or None,
        "sliding_window": _whole(shape, "sliding_window") or None,
        "tokenizer": kind,
        "vocabulary": vocabulary or _whole(shape, "vocab_size"),
        "types": [item.as_json() for item in types],
        "quantisation": _declared_quantisation(config) or quantisation(types),
        "bits_per_weight": bits_per_weight(types),
        "claimed": None,
        "weights_bytes": sum(item.bytes for item in types),
        # Keys and values of every layer, two bytes each.
        "cache_bytes_per_token": 2 * 2 * layers * kv_heads * head_dim,
        "chat_template": template,
        "chat_template_hash": template_hash(template),
        "templates": [],
        "thinking": mentions_thinking(template),
        "bos": _token(tokens.get("bos_token")) or config.get("bos_token_id"),
        "eos": _token(tokens.get("eos_token")) or config.get("eos_token_id"),
        "adds_bos": tokens.get("add_bos_token"),
        "tied_embeddings": bool(config.get("tie_word_embeddings", False)),
        "licence": licence(folder),
        "files": len(headers),
        "parts": [item.path.name for item in headers] if len(headers) > 1 else [],
        "notes": notes,
    }


def adapter_facts(folder: Path) -> dict[str, Any]:
    """What a PEFT adapter folder is: method, rank, what it changes, and the model it was trained on."""
    notes = check_folder(folder)
    config = _object(folder / "adapter_config.json")
    headers = _weights(folder)
    types = _types(headers)
    targets = config.get("target_modules")
    return {
        "title": "",
        "architecture": "adapter",
        "parameters": sum(item.parameters for item in types),
        "types": [item.as_json() for item in types],
        "quantisation": quantisation(types),
        "bits_per_weight": bits_per_weight(types),
        "weights_bytes": sum(item.bytes for item in types),
        "cache_bytes_per_token": 0,
        "licence": licence(folder),
        "files": len(headers),
        "adapter": {
            "kind": str(config.get("peft_type", "LORA")).lower()[:40],
            "rank": config.get("r") if isinstance(config.get("r"), int) else None,
            "alpha": config.get("lora_alpha") if isinstance(config.get("lora_alpha"), int | float) else None,
            "targets": [str(item)[:80] for item in _list(targets)][:32]
            if not isinstance(targets, str)
            else [targets[:80]],
            "base": str(config.get("base_model_name_or_path") or "")[:300],
            "tensors": sum(len(item.tensors) for item in headers),
        },
        "notes": notes,
    }


def licence(folder: Path) -> str:
    """The licence as the model card's front matter names it, else the first line of a licence file; may be empty."""
    card = folder / "README.md"
    if card.is_file():
        front = _text(card, MAX_README)
        if front.startswith("---"):
            match = _LICENCE.search(front.partition("\n---")[0])
            if match:
                return match[1].strip().strip("\"'")
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"):
        if (folder / name).is_file():
            return licence_name(_text(folder / name, 4096))
    return ""


def licence_name(text: str) -> str:
    """A licence text's name: the known ones by their words, else its first line."""
    lowered = " ".join(text.lower().split())
    known = {
        "apache license version 2.0": "apache-2.0", "mit license": "mit", "llama 3": "llama3", "gemma terms": "gemma",
        "gnu general public license version 3": "gpl-3.0", "creative commons attribution 4.0": "cc-by-4.0",
    }  # fmt: skip
    for words, name in known.items():
        if words in lowered[:2000].replace(",", ""):
            return name
    return next((line.strip()[:80] for line in text.splitlines() if line.strip()), "")


def _weights(folder: Path) -> list[SafetensorsHeader]:
    index = next((folder / n for n in ("model.safetensors.index.json",) if (folder / n).is_file()), None)
    if index is not None:
        mapping = _object(index).get("weight_map")
        names = sorted({str(name) for name in mapping.values()}) if isinstance(mapping, dict) else []
        wrong = [name for name in names if "/" in name or "\\" in name or name in ("", ".", "..")]
        if wrong:
            raise Refused(f"{index.name} was refused: it points outside its folder ({wrong[0][:80]!r}).")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise BadInput(
                f"{folder.name} is unfinished: {len(missing)} of its {len(names)} weight files are missing "
                f"({missing[0]}). Fetch the rest, then register it again."
            )
        return [read_safetensors(folder / name) for name in names]
    files = sorted(path for path in folder.iterdir() if path.suffix == ".safetensors" and path.is_file())
    if files:
        return [read_safetensors(path) for path in files]
    pickled = [path for path in sorted(folder.iterdir()) if path.suffix in PICKLED and path.is_file()]
    if pickled:
        what = file_kind(pickled[0]).words
        raise Refused(
            f"{folder.name} was refused: its weights are {what} ({pickled[0].name}). {PICKLE_ADVICE}"
        )
    raise BadInput(
        f"{folder} holds no weights: there is no .safetensors file in it. Was the download interrupted?"
    )


def _types(headers: list[SafetensorsHeader]) -> list[TypeCount]:
    return histogram(
        (tensor.type, len(tensor.shape), tensor.parameters, tensor.size, float(BITS[tensor.type]))
        for header in headers
        for tensor in header.tensors
    )


def _declared_quantisation(config: Mapping[str, Any]) -> str:
    declared = config.get("quantization_config")
    if not isinstance(declared, dict):
        return ""
    method, bits = str(declared.get("quant_method") or "quantised")[:40], declared.get("bits")
    return f"{method} {bits} bit" if isinstance(bits, int) else method


def _tokenizer(folder: Path) -> tuple[str, int]:
    """Kind and size of the vocabulary, from tokenizer.json or the name of what stands in its place."""
    if (folder / "tokenizer.json").is_file():
        found = _object(folder / "tokenizer.json")
        model = found.get("model")
        kind = str(model.get("type") or "?") if isinstance(model, dict) else "?"
        entries = model.get("vocab") if isinstance(model, dict) else None
        names = {entry[0] for entry in entries if entry} if isinstance(entries, list) else set(entries or ())
        added = {item.get("content") for item in _list(found.get("added_tokens")) if isinstance(item, dict)}
        return kind[:40], len(names | added)
    for name, kind in (
        ("tokenizer.model", "SentencePiece"),
        ("vocab.json", "BPE"),
        ("vocab.txt", "WordPiece"),
    ):
        if (folder / name).is_file():
            return kind, 0
    return "none", 0


def _object(path: Path, *, missing_is_empty: bool = False) -> dict[str, Any]:
    if missing_is_empty and not path.is_file():
        return {}
    found = read_json(path)
    if not isinstance(found, dict):
        raise BadInput(f"{path.name} is no JSON object.")
    return found


def _text(path: Path, most: int) -> str:
    head, _ = first_bytes(path, most)
    return (head or b"").decode("utf-8", "replace")


def _whole(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40:
            return value
    return 0


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _token(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("content")
    return value[:80] if isinstance(value, str) else ""
