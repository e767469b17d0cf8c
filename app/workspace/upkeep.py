"""Keeping a workspace: its backup, and the room that nothing needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.jobs.context import Context
from app.jobs.reasons import size
from app.workspace.operations import BackupSpec
from store.backup import backup


def back_up(spec: BackupSpec, context: Context) -> dict[str, Any]:
    """Write the backup; the workspace stays in use meanwhile."""
    context.progress(0, 1, note="copying the workspace")
    written = backup(context.store, Path(spec.file))
    context.progress(1, 1, note="written")
    context.log(f"The backup is at {written.file}: {written.files} files, {size(written.bytes)}.")
    return {"file": str(written.file), "files": written.files, "bytes": written.bytes}
