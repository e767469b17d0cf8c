"""Ollama's folder: manifests/registry/namespace/name/tag are JSON, layers are blobs/sha256-<digest>."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.models.file_kind import first_bytes
from app.models.hf_facts import licence_name
from app.models.naming import clean_name
from app.models.safety import read_json
from app.models.search import Candidate, Search
from store.errors import LatheError

SOURCE = "Ollama"
MAX_MANIFEST = 1024 * 1024
MAX_LAYER_TEXT = 8 * 1024  # kept with what was found, so a hostile folder must not fill the workspace
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_KIND = "application/vnd.ollama.image."


def in_ollama(search: Search) -> Iterator[Candidate]:
    """Every name and tag that Ollama has, with the blob that holds its weights."""
    for folder in ollama_folders():
        manifests = folder / "manifests"
        if not manifests.is_dir():
            continue
        for manifest in _manifests(manifests, search):
            search.check()
            candidate = _candidate(folder, manifests, manifest, search)
            if candidate is not None:
                yield candidate


def ollama_folders() -> list[Path]:
    """OLLAMA_MODELS when it is set, else the user's folder and those of the system service."""
    if os.environ.get("OLLAMA_MODELS"):
        return [Path(os.environ["OLLAMA_MODELS"]).expanduser()]
    services = (Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/models"))
    found = []
    for folder in (Path.home() / ".ollama" / "models", *services):
        try:
            if folder.is_dir():
                found.append(folder)
        except OSError:
            continue  # the service's folder may be closed to us; that is its business
    return found


def _manifests(folder: Path, search: Search) -> Iterator[Path]:
    """The manifest files: four levels down, never through a link."""
    for root, folders, files in os.walk(folder, onerror=lambda error: search.notes.append(f"{error}.")):
        search.check()
        depth = len(Path(root).relative_to(folder).parts)
        folders.sort()
        if depth >= 5:
            folders.clear()
        if depth >= 2:
            yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))


def _candidate(folder: Path, manifests: Path, manifest: Path, search: Search) -> Candidate | None:
    *place, name, tag = manifest.relative_to(manifests).parts
    shown = f"{name}:{tag}"
    try:
        layers = _layers(read_json(manifest, MAX_MANIFEST))
    except (LatheError, OSError) as error:
        search.notes.append(f"Ollama's manifest of {shown} cannot be read: {error}")
        return None
    if "model" not in layers:
        return None  # a model that Ollama runs elsewhere has no weights here
    digest, size = layers["model"]
    blob = folder / "blobs" / f"sha256-{digest}"
    problem = ""
    if not blob.is_file():
        problem = (
            f"Ollama names {shown}, but its weights are not in {folder / 'blobs'}. Pull it again with Ollama."
        )
    elif size and blob.stat().st_size != size:
        problem = f"{shown} is unfinished: {blob.stat().st_size} of {size} bytes are there. Pull it again with Ollama."
    origin: dict[str, Any] = {"registry": "/".join(place), "ollama": shown, "sha256": digest}
    for kind in ("template", "params", "system", "license"):
        if kind in layers:
            text = _text(folder / "blobs" / f"sha256-{layers[kind][0]}")
            origin["licence" if kind == "license" else kind] = (
                licence_name(text) if kind == "license" else text
            )
    if "adapter" in layers:
        origin["adapter_sha256"] = layers["adapter"][0]
    return Candidate(blob, SOURCE, name=clean_name(name), tag=clean_name(tag), problem=problem, origin=origin)


def _layers(manifest: Any) -> dict[str, tuple[str, int]]:
    """Kind of layer (model, template, params, license, …) to digest and size; what is malformed is left out."""
    found: dict[str, tuple[str, int]] = {}
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        if not isinstance(layer, dict):
            continue
        # fullmatch: a digest with ../ or a newline in it would lead out of the folder (CVE-2024-37032).
        digest = _DIGEST.fullmatch(str(layer.get("digest")))
        kind = str(layer.get("mediaType", ""))
        size = layer.get("size")
        if digest and kind.startswith(_KIND):
            found.setdefault(kind.removeprefix(_KIND), (digest[1], size if isinstance(size, int) else 0))
    return found


def _text(path: Path) -> str:
    try:
        head, _ = first_bytes(path, MAX_LAYER_TEXT)
    except OSError:
        return ""
    return (head or b"").decode("utf-8", "replace")
