"""model.verify: read every byte of a model once and keep its SHA-256; compare it with what its publisher said.

The cheap hash that notices a changed file before every load is the engine's (`app.engine.model_files.quick_hash`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.engine.model_files import model_files, quick_hash
from store.errors import BadInput, LatheError
from store.hashing import content_hash
from store.models import ModelVersion, model_version, set_full_hash, update_facts

if TYPE_CHECKING:
    from app.jobs.context import Context
    from app.models.operations import VerifySpec

CHUNK = 4 * 1024 * 1024
_SHA256 = re.compile(r"(?:sha256-)?([0-9a-f]{64})")


class Changed(LatheError):
    """A model's bytes are not what they were, or not what their publisher said."""


def run(spec: VerifySpec, context: Context) -> dict[str, Any]:
    """Hash the whole model; raises Changed when a byte differs from what was known of it."""
    version = model_version(context.store, spec.model)
    context.used("model", version.id, version.ref, version.hash or version.quick_hash)
    path = Path(version.path)
    if not path.exists():
        raise BadInput(
            f"{version.ref} is not there any more: {version.path} is gone. Register it from where it is now."
        )
    files = model_files(path)
    total = sum(file.stat().st_size for file in files)
    done = 0
    digests: dict[str, str] = {}
    published = published_digests(version)
    for file in files:

        def step(count: int) -> None:
            nonlocal done
            done += count
            context.raise_if_stopped()
            context.progress(done, total, file.name, "bytes")  # noqa: B023 - called within this turn only

        digests[file.name] = sha256_of(file, step)
        known = published.get(file.name)
        if known and known != digests[file.name]:
            raise Changed(
                f"{file.name} of {version.ref} is not what was published: its SHA-256 is {digests[file.name][:12]}…, and "
                f"{known[:12]}… was expected. The file is damaged or was exchanged; fetch it again."
            )
    digest = digests[files[0].name] if len(files) == 1 else content_hash(digests)
    if version.hash and version.hash != digest:
        raise Changed(
            f"{version.ref} has changed on disk since it was last verified ({version.hash[:12]}… then, "
            f"{digest[:12]}… now). Register it again to use it as a new version."
        )
    if quick_hash(path) != version.quick_hash:
        raise Changed(
            f"{version.ref} has changed on disk since it was registered: its size, time or head differ. "
            "Register it again to use it as a new version."
        )
    set_full_hash(context.store, version.id, digest)
    confirmed = sorted(name for name in published if name in digests)
    update_facts(context.store, version.id, {"published": bool(confirmed)})
    context.publish("model", version.id, version.ref, digest)
    return {"ref": version.ref, "sha256": digest, "bytes": total, "files": digests, "confirmed": confirmed}


def sha256_of(path: Path, step: Callable[[int], None]) -> str:
    """SHA-256 of a file as 64 hex digits; `step` gets the size of every chunk read and may raise to end it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            step(len(chunk))
    return digest.hexdigest()


def published_digests(version: ModelVersion) -> dict[str, str]:
    """File name to the SHA-256 its publisher gave: in the blob's own name (Ollama, the hub's cache) or at the pull."""
    found: dict[str, str] = {}
    for file in model_files(Path(version.path)):
        # A link into blobs/ carries the digest in its target's name; names of 40 digits are git's and say less.
        match = _SHA256.fullmatch(file.resolve().name)
        if match:
            found[file.name] = match[1]
    origin = version.facts.get("origin")
    listed = origin.get("files") if isinstance(origin, dict) else None
    if isinstance(listed, dict):
        found |= {str(name): str(digest) for name, digest in listed.items()}
    return found


def on_disk(version: ModelVersion) -> str:
    """How a version's files stand now: "unchanged", or a sentence that says what is wrong."""
    path = Path(version.path)
    try:
        if not path.exists():
            return f"Gone: {version.path} is not there any more."
        if quick_hash(path) != version.quick_hash:
            return "Changed on disk since it was registered. Register it again to use it as a new version."
    except OSError as error:
        return f"It cannot be read: {error.strerror or error}."
    return "unchanged"
