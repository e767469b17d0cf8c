"""model.pull: fetch a model by name from a Hugging Face hub, only when the user switched the network on.

What arrives is safetensors, GGUF, JSON and tokenizer files, never code and never pickles. A pull that was stopped
or killed goes on where it was; every file is compared with the digest its publisher gave.
"""

from __future__ import annotations

import fnmatch
import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.models.advice import free_disk
from app.models.examine import examine
from app.models.gguf_facts import SHARD, claimed_type
from app.models.hashing import Changed, sha256_of
from app.models.naming import clean_name
from app.models.register import register, summary
from app.models.safety import Refused
from store import settings
from store.errors import BadInput, LatheError

if TYPE_CHECKING:
    from app.jobs.context import Context
    from app.models.operations import PullSpec

POLL_SECONDS = 0.2
DISK_RESERVE = 256 * 1024 * 1024
WANTED = (
    "*.safetensors", "*.safetensors.index.json", "*.gguf", "config.json", "generation_config.json",
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json", "adapter_config.json",
    "README.md", "LICENSE*", "LICENCE*",
)  # fmt: skip
NETWORK_OFF = (
    "The network is off for this workspace, so nothing can be fetched. Switch it on in the settings (f9), or with: "
    "lathe set network on"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository; `sha256` for large files, `git_sha1` for small ones."""

    name: str
    size: int
    sha256: str = ""
    git_sha1: str = ""


def run(spec: PullSpec, context: Context) -> dict[str, Any]:
    """Fetch, check and register `spec.repo`; the summary names the version and what was fetched."""
    if not settings.get(context.store, "network"):
        raise BadInput(NETWORK_OFF)
    endpoint = settings.get(context.store, "hub_endpoint") or None
    revision, files = _listing(spec.repo, spec.revision, endpoint)
    chosen = choose(spec.repo, files, spec.file)
    total = sum(file.size for file in chosen)
    folder = context.root / "models" / clean_name(spec.repo.replace("/", "--")) / revision[:12]
    _refuse_full_disk(folder, total - fetched_bytes(folder))
    context.log(f"{len(chosen)} files, {total / 1e6:.1f} MB, revision {revision}, to {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    _fetch(spec.repo, revision, endpoint, folder, chosen, context)
    digests = {}
    for file in chosen:
        context.progress(total, total, f"checking {file.name}", "bytes")
        digests[file.name] = check_digest(folder / file.name, file, context.raise_if_stopped)
    target = _target(folder, chosen)
    found = examine(target)
    context.raise_if_stopped()
    version = register(
        context.store,
        found,
        name=spec.name or (clean_name(spec.repo.rpartition("/")[2]) if target.is_dir() else None),
        tag=spec.tag,
        default=spec.default,
        origin={"repo": spec.repo, "revision": revision, "files": digests},
        job_id=context.job_id,
    )
    context.publish("model", version.id, version.ref, version.quick_hash)
    return {**summary(version), "repo": spec.repo, "revision": revision, "bytes": total, "files": len(chosen)}


def choose(repo: str, files: Sequence[RemoteFile], pattern: str | None) -> list[RemoteFile]:
    """Which files of a repository make the model. Raises a sentence that lists the choice when there is one.

    A repository of GGUFs holds one model per quantisation: `pattern` says which (part of the name or a * pattern).
    """
    safe = [file for file in files if _may_come(file.name)]
    ggufs = [file for file in safe if file.name.endswith(".gguf") and "mmproj" not in file.name.lower()]
    weights = [file for file in safe if file.name.endswith(".safetensors") and "/" not in file.name]
    if weights and not (pattern and ggufs):
        return [file for file in safe if "/" not in file.name and not file.name.endswith(".gguf")]
    if ggufs:
        wanted = [file for file in ggufs if pattern and _matches(file.name, pattern)]
        models = _models(wanted if pattern else ggufs)
        if len(models) == 1:
            return next(iter(models.values()))
        offered = ", ".join(
            f"{claimed_type(Path(name).name) or name} ({sum(part.size for part in parts) / 1e9:.2f} GB)"
            for name, parts in list(_models(ggufs).items())[:24]
        )
        reason = (
            "holds several GGUF models" if not pattern else f"has {len(models)} files that match “{pattern}”"
        )
        raise BadInput(f"{repo} {reason}. Say which with file=…: {offered}.")
    if any(file.name.endswith((".bin", ".pt", ".pth", ".ckpt")) for file in files):
        raise Refused(
            f"{repo} holds only pickled weights. Reading a pickle runs whatever code it holds, so Lathe never does. "
            "Look for a repository with safetensors or GGUF weights."
        )
    raise BadInput(f"{repo} holds neither safetensors nor GGUF weights, so there is no model to fetch.")


def check_digest(path: Path, file: RemoteFile, check: Callable[[], None]) -> str:
    """The SHA-256 of a fetched file; raises Changed, and takes the file away, when it is not what was published."""
    digest = sha256_of(path, lambda _count: check())
    wrong = file.sha256 and digest != file.sha256
    if not file.sha256 and file.git_sha1:
        content = path.read_bytes()
        wrong = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() != file.git_sha1  # noqa: S324 - git's
    if wrong:
        path.unlink()
        raise Changed(
            f"{file.name} did not arrive as it was published: its digest is another one. It was removed; pull again to "
            "fetch it anew."
        )
    return digest


def fetched_bytes(folder: Path) -> int:
    """Bytes that are there already, finished files and the parts of unfinished ones."""
    total = 0
    for path in folder.rglob("*"):
        inside = ".cache" in path.relative_to(folder).parts
        try:
            if path.is_file() and (not inside or path.suffix == ".incomplete"):
                total += path.stat().st_size
        except FileNotFoundError:
            continue  # it was finished and renamed between the two looks
    return total


def _fetch(
    repo: str,
    revision: str,
    endpoint: str | None,
    folder: Path,
    files: Sequence[RemoteFile],
    context: Context,
) -> None:
    """Download in a thread while this one tells how far it is; a stop leaves the parts for the next time."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    troubles: list[BaseException] = []

    def download() -> None:
        try:
            snapshot_download(
                repo,
                revision=revision,
                local_dir=folder,
                allow_patterns=[file.name for file in files],
                endpoint=endpoint,
                token=False,
                max_workers=2,
            )
        except Exception as error:  # handed to the job's own thread, which says what happened
            troubles.append(error)

    total = sum(file.size for file in files)
    before = fetched_bytes(folder)
    if before:
        context.log(f"carrying on: {before / 1e6:.1f} MB are there already")
    worker = threading.Thread(target=download, daemon=True, name="pull")
    worker.start()
    while worker.is_alive():
        worker.join(POLL_SECONDS)
        context.raise_if_stopped()
        context.progress(min(fetched_bytes(folder), total), total, repo, "bytes")
    if troubles:
        raise LatheError(_sentence(repo, troubles[0])) from troubles[0]


def _listing(repo: str, revision: str | None, endpoint: str | None) -> tuple[str, list[RemoteFile]]:
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=endpoint, token=False).model_info(
            repo, revision=revision, files_metadata=True, timeout=30
        )
    except Exception as error:  # the hub's client raises a dozen kinds; each becomes one sentence
        raise LatheError(_sentence(repo, error)) from error
    files = [
        RemoteFile(
            item.rfilename,
            int(item.size or 0),
            str(item.lfs.sha256) if item.lfs else "",
            "" if item.lfs else str(item.blob_id or ""),
        )
        for item in info.siblings or []
    ]
    return str(info.sha), files


def _sentence(repo: str, error: BaseException) -> str:
    name = type(error).__name__
    if name in ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"):
        return f"There is no model “{repo}” on the hub under that name and revision (or it is private). Check the name."
    if name == "GatedRepoError":
        return f"{repo} asks for consent on its page first. Fetch it with the hub's own tool, and it is found here."
    if name == "DisabledRepoError":
        return f"{repo} was disabled by the hub, so it cannot be fetched."
    reason = str(error).splitlines()[0][:200] if str(error) else name
    return f"{repo} could not be fetched: {reason}. What has arrived is kept; pull again to carry on."


def _may_come(name: str) -> bool:
    plain = name.rpartition("/")[2]
    inside = not name.startswith("/") and ".." not in name.split("/") and "\\" not in name
    return inside and any(fnmatch.fnmatchcase(plain, wanted) for wanted in WANTED)


def _matches(name: str, pattern: str) -> bool:
    plain, wanted = name.lower(), pattern.lower()
    return fnmatch.fnmatchcase(plain, wanted) or fnmatch.fnmatchcase(plain, f"*{wanted}*")


def _models(files: Sequence[RemoteFile]) -> dict[str, list[RemoteFile]]:
    """GGUF files by the model they are or are a part of."""
    found: dict[str, list[RemoteFile]] = {}
    for file in sorted(files, key=lambda item: item.name):
        part = SHARD.fullmatch(file.name)
        found.setdefault(part["stem"] if part else file.name, []).append(file)
    return found


def _target(folder: Path, files: Sequence[RemoteFile]) -> Path:
    ggufs = [file for file in files if file.name.endswith(".gguf")]
    return folder / sorted(file.name for file in ggufs)[0] if ggufs else folder


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = free_disk(folder)
    if needed + DISK_RESERVE > free:
        raise LatheError(
            f"There is not enough room: {needed / 1e9:.1f} GB are to be fetched, and {free / 1e9:.1f} GB are free on the "
            f"disk of {folder}. Free some space, or keep the workspace on another disk."
        )
