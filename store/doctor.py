"""Is the workspace sound? Looks, and repairs nothing: every finding says what to do."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from store import blobs, search
from store.errors import StoreBroken
from store.processes import lives
from store.workspace import Store, doubtful_filesystem

LEAST_FREE_BYTES = 256 << 20
_SAMPLE = 20


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. `str()` of it is the sentence for the user."""

    level: Literal["error", "warning"]
    text: str

    def __str__(self) -> str:
        return self.text


def check(store: Store) -> list[Finding]:
    """Everything that is wrong with the workspace, gravest first; empty when it is sound.

    Reads the whole database once: seconds for gigabytes. SQLite's own check finds only some flipped bits, so blobs
    are compared with their SHA-256, too.
    """
    findings = [
        *_database(store),
        *_references(store),
        *_indexes(store),
        *_blobs(store),
        *_jobs(store),
        *_staged(store),
        *_models(store),
        *_disk(store),
    ]
    return sorted(findings, key=lambda finding: finding.level != "error")


def _database(store: Store) -> list[Finding]:
    try:
        said = [row[0] for row in store.read().execute(f"PRAGMA integrity_check({_SAMPLE})")]
    except StoreBroken as error:
        said = [str(error.__cause__)]
    if said == ["ok"]:
        return []
    more = f", and {len(said) - 1} more" if len(said) > 1 else ""
    return [
        Finding(
            "error",
            f"The database is damaged ({said[0].splitlines()[0]}{more}). "
            f"Restore a backup beside it: lathe restore FILE FOLDER. Copies made before updates lie in "
            f"{store.root / 'backups'}.",
        )
    ]


def _references(store: Store) -> list[Finding]:
    try:
        broken = store.read().execute("PRAGMA foreign_key_check").fetchmany(_SAMPLE)
    except StoreBroken:
        return []  # the integrity check has said so already
    tables = sorted({row[0] for row in broken})
    if not tables:
        return []
    return [
        Finding(
            "error",
            f"Rows of {', '.join(tables)} point at rows that do not exist: something other than Lathe has "
            "written to the database. Restore a backup beside it: lathe restore FILE FOLDER.",
        )
    ]


def _indexes(store: Store) -> list[Finding]:
    """Full-text indexes. The check is a write to SQLite, so a read-only workspace goes without."""
    findings: list[Finding] = []
    for kind in search.KINDS if not store.read_only else ():
        try:
            with store.write() as connection:
                search.check_index(connection, kind)
        except StoreBroken:
            findings.append(
                Finding(
                    "warning",
                    f"The search index of {kind}s is damaged. `lathe run workspace.clean` mends it.",
                )
            )
    return findings


def _blobs(store: Store) -> list[Finding]:
    missing, changed = [], []
    try:
        rows = store.read().execute("SELECT hash FROM blobs ORDER BY hash").fetchall()
    except StoreBroken:
        return []
    for (digest,) in rows:
        if not blobs.blob_path(store, digest).is_file():
            missing.append(digest)
        elif not blobs.verify(store, digest):
            changed.append(digest)
    findings = []
    if missing:
        findings.append(
            Finding("error", f"{_files(missing)} of the workspace are gone from blobs/ ({missing[0][:12]}…).")
        )
    if changed:
        findings.append(
            Finding("error", f"{_files(changed)} under blobs/ are not what was saved ({changed[0][:12]}…).")
        )
    return findings


def _jobs(store: Store) -> list[Finding]:
    findings = []
    for row in store.read().execute(
        "SELECT id, title, pid, pid_start FROM jobs WHERE state IN ('running', 'stopping') AND pid IS NOT NULL"
    ):
        if not lives(f"{row['pid']}:{row['pid_start']}"):
            findings.append(
                Finding(
                    "warning",
                    f"Job {row['id']} ({row['title']}) counts as running, but its process is gone. "
                    "The next `lathe jobs` or workbench puts that right.",
                )
            )
    return findings


def _staged(store: Store) -> list[Finding]:
    rows = (
        store.read().execute("SELECT staged_by FROM dataset_versions WHERE staged_by IS NOT NULL").fetchall()
    )
    left = sum(1 for row in rows if not lives(row["staged_by"]))
    if not left:
        return []
    return [
        Finding(
            "warning",
            f"{left} import{'s' if left > 1 else ''} ended before the end; nothing of it can be seen. "
            "`lathe run workspace.clean` frees the room.",
        )
    ]


def _models(store: Store) -> list[Finding]:
    rows = (
        store.read()
        .execute(
            "SELECT m.name, v.tag, v.path FROM model_versions v JOIN models m ON m.id = v.model_id "
            "WHERE m.trashed_at IS NULL ORDER BY v.id"
        )
        .fetchall()
    )
    gone = [row for row in rows if not Path(row["path"]).exists()]
    return [
        Finding(
            "warning",
            f"The model {row['name']}@{row['tag']} is not where it was registered: {row['path']}. "
            "Put it back, or register it again.",
        )
        for row in gone
    ]


def _disk(store: Store) -> list[Finding]:
    findings = []
    if kind := doubtful_filesystem(store.root):
        findings.append(
            Finding(
                "warning",
                f"{store.root} lies on {kind}, which may keep SQLite's promises or not. Several programs at once are "
                "safer on a local disk.",
            )
        )
    free = shutil.disk_usage(store.root).free
    if free < LEAST_FREE_BYTES:
        findings.append(
            Finding(
                "warning",
                f"Only {free >> 20} MB are free on the disk of {store.root}. Make room before long jobs.",
            )
        )
    if store.read_only:
        findings.append(Finding("warning", f"{store.root} can only be read: nothing can be saved in it."))
    elif os.stat(store.path).st_mode & 0o077:
        findings.append(
            Finding("warning", f"Others can read {store.path}. Close it to them: chmod 600 {store.path}")
        )
    return findings


def _files(hashes: list[str]) -> str:
    return "1 file" if len(hashes) == 1 else f"{len(hashes)} files"
