"""Keeping a workspace: its backup, and the room that nothing needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.jobs.context import Context
from app.jobs.reasons import size
from app.workspace.operations import BackupSpec, CleanSpec
from store.backup import backup
from store.usage import clean as clean_store


def back_up(spec: BackupSpec, context: Context) -> dict[str, Any]:
    """Write the backup; the workspace stays in use meanwhile."""
    context.progress(0, 1, note="copying the workspace")
    written = backup(context.store, Path(spec.file))
    context.progress(1, 1, note="written")
    context.log(f"The backup is at {written.file}: {written.files} files, {size(written.bytes)}.")
    return {"file": str(written.file), "files": written.files, "bytes": written.bytes}


def clean(spec: CleanSpec, context: Context) -> dict[str, Any]:
    """Remove what nothing refers to, or say what that would be."""
    cleaned = clean_store(context.store, dry_run=spec.dry_run)
    would = "would be" if spec.dry_run else "were"
    context.log(
        f"{cleaned.blobs} unused files, {cleaned.half_written} half-written ones and {cleaned.imports} imports that "
        f"never ended {would} removed: {size(cleaned.bytes)}."
    )
    return {
        "blobs": cleaned.blobs,
        "half_written": cleaned.half_written,
        "imports": cleaned.imports,
        "bytes": cleaned.bytes,
        "removed": not spec.dry_run,
    }
