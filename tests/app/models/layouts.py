"""Models laid out on disk as other programs lay them out, and things that pretend to be models."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import gguf

from tests import tiny_models
from tests.tiny_models import tiny_gguf, tiny_hf

OLLAMA = "application/vnd.ollama.image."


class Canary:
    """Unpickling this makes a file: whoever finds the file has run the pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mknod, (str(self.path),))


def pickled(canary: Path) -> bytes:
    return pickle.dumps({"weight": Canary(canary)}, protocol=2)


def zipped_pickle(path: Path, canary: Path) -> Path:
    """A file as torch.save writes it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(canary) + b" " * 2000)
        archive.writestr("archive/version", "3\n")
    return path


def ollama(folder: Path, name: str = "llama3.2", tag: str = "1b", *, weights: Path, **layers: str) -> Path:
    """Put `weights` into an Ollama folder under `name:tag`; returns the blob."""
    (folder / "blobs").mkdir(parents=True, exist_ok=True)

    def blob(data: bytes) -> tuple[str, int]:
        digest = hashlib.sha256(data).hexdigest()
        (folder / "blobs" / f"sha256-{digest}").write_bytes(data)
        return digest, len(data)

    parts = {"model": weights.read_bytes(), **{kind: text.encode() for kind, text in layers.items()}}
    entries = []
    found = Path()
    for kind, data in parts.items():
        digest, size = blob(data)
        entries.append({"mediaType": OLLAMA + kind, "digest": f"sha256:{digest}", "size": size})
        if kind == "model":
            found = folder / "blobs" / f"sha256-{digest}"
    manifest = folder / "manifests" / "registry.ollama.ai" / "library" / name / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "config": {}, "layers": entries}), encoding="utf-8")
    return found


def hub_snapshot(
    hub: Path, repo: str = "tiny-org/Tiny-Chat", revision: str = "a" * 40, branch: str = "main", seed: int = 0
) -> Path:
    """A repository as huggingface_hub caches it: a snapshot of links into blobs/."""
    repository = hub / f"models--{repo.replace('/', '--')}"
    made = tiny_hf(hub.parent / f"made-{revision[:6]}-{seed}", seed=seed)
    snapshot = repository / "snapshots" / revision
    for place in (repository / "blobs", repository / "refs", snapshot):
        place.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / branch).write_text(revision, encoding="utf-8")
    for file in made.iterdir():
        data = file.read_bytes()
        large = file.suffix == ".safetensors"
        digest = hashlib.sha256(data).hexdigest() if large else hashlib.sha1(data).hexdigest()  # noqa: S324 - what git names its blobs
        (repository / "blobs" / digest).write_bytes(data)
        (snapshot / file.name).symlink_to(f"../../blobs/{digest}")
    return snapshot


def sharded(folder: Path, name: str = "big-Q8_0", tensors_per_part: int = 8) -> list[Path]:
    """A tiny model in several GGUF files, as llama.cpp splits them."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(folder / f"{name}.gguf"), "llama", split_max_tensors=tensors_per_part)
    writer.add_name(name)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(16)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(512)
    tiny_models._add_tokenizer(writer, 512)
    for key, array in tiny_models._weights(0, 2, 64, 4, 2, 128, 512).items():
        writer.add_tensor(tiny_models._gguf_name(key), tiny_models._unpermuted(key, array, 4, 2))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(folder.glob(f"{name}-*.gguf"))


def adapter(folder: Path, base: str) -> Path:
    """A PEFT LoRA folder."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
    (folder / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": base}), encoding="utf-8"
    )
    weights = {
        f"base_model.model.layers.0.q_proj.lora_{side}.weight": np.zeros((8, 64), np.float32) for side in "AB"
    }
    save_file(weights, str(folder / "adapter_model.safetensors"))
    return folder


def edited(folder: Path, file: str, **changes: Any) -> Path:
    """The folder with keys of one of its JSON files changed."""
    path = folder / file
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder


__all__ = [
    "adapter",
    "edited",
    "hub_snapshot",
    "ollama",
    "pickled",
    "sharded",
    "tiny_gguf",
    "tiny_hf",
    "zipped_pickle",
]
