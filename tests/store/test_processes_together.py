"""Several processes on one workspace, killed at any moment, lose nothing that was acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store import doctor, drafts, prompts
from store.errors import StoreBroken
from store.migrations import MIGRATIONS, _back_up
from store.workspace import DATABASE, Store, open_store

WRITER = """
import sys
from store import drafts, prompts
from store.workspace import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    version = prompts.save_version(store, sys.argv[2], {"messages": [{"role": "user", "content": "word " * 50}]})
    drafts.save_draft(store, f"prompt:{sys.argv[2]}", number)
    print(version.number, flush=True)
"""

OPENER = """
import sys
from store.workspace import open_store
open_store(sys.argv[1], create=True).close()
"""

STUCK = """
import sys, time
from store.workspace import open_store
store = open_store(sys.argv[1])
with store.write():
    print("inside", flush=True)
    time.sleep(600)
"""


def writer(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", WRITER, str(root), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_what_was_acknowledged_survives_kill_9_at_any_moment(workspace: Store) -> None:
    chance = random.Random(20261121)
    acknowledged = 0
    for _ in range(20):
        process = writer(workspace.root, "reply", 100_000)
        if process.stdout is None:
            raise RuntimeError("no pipe")
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        lines = process.stdout.read().split("\n")[:-1]  # a torn last line was not an acknowledgement
        process.wait()
        process.stdout.close()
        acknowledged = max([acknowledged, *map(int, lines)])
        saved = prompts.prompt_versions(workspace, "reply") if acknowledged else []
        assert [version.number for version in saved[:acknowledged]] == list(range(1, acknowledged + 1))
    assert acknowledged > 0
    assert [str(finding) for finding in doctor.check(workspace)] == []


def test_two_processes_that_write_the_same_prompt_lose_nothing(workspace: Store) -> None:
    processes = [writer(workspace.root, "reply", 60) for _ in range(2)]
    numbers: list[int] = []
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        numbers += [int(line) for line in output.split()[1:]]
    assert sorted(numbers) == list(range(1, 121))
    assert [version.number for version in prompts.prompt_versions(workspace, "reply")] == list(range(1, 121))


def test_processes_that_make_the_same_workspace_at_once_agree(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    processes = [subprocess.Popen([sys.executable, "-P", "-c", OPENER, str(root)]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    store = open_store(root)
    assert doctor.check(store) == []
    store.close()
    assert sorted(path.name for path in root.iterdir()) == [DATABASE, "lathe.lock"]


def test_a_reader_never_waits_for_a_writer(workspace: Store) -> None:
    prompts.save_version(workspace, "reply", {})
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", STUCK, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        assert process.stdout.readline() == "inside\n"
        assert prompts.prompt_version(workspace, "reply").number == 1
    finally:
        process.kill()
        process.communicate()


def test_a_lock_held_by_a_stuck_process_is_a_sentence_and_ends_with_it(
    workspace: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.workspace.LOCK_PATIENCE_SECONDS", 0.2)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", STUCK, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        assert process.stdout.readline() == "inside\n"
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(StoreBroken, match="Another program has been writing"):
            drafts.save_draft(workspace, "prompt:reply", "x")
    finally:
        process.kill()
        process.communicate()
    drafts.save_draft(workspace, "prompt:reply", "x")
    assert drafts.draft(workspace, "prompt:reply") == "x"


def test_a_migration_keeps_a_copy_and_goes_through_once(
    workspace: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts.save_version(workspace, "reply", {})
    workspace.close()

    def add_table(connection: object) -> None:
        connection.execute("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT")  # type: ignore[attr-defined]

    monkeypatch.setattr("store.migrations.MIGRATIONS", (*MIGRATIONS, add_table))
    for _ in range(2):
        store = open_store(workspace.root)
        assert store.read().execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS) + 1
        assert store.read().execute("SELECT COUNT(*) FROM later").fetchone()[0] == 0
        assert store.read().execute("PRAGMA foreign_keys").fetchone()[0] == 1
        store.close()
    copies = list((workspace.root / "backups").iterdir())
    assert [path.name for path in copies] == [f"before-schema-{len(MIGRATIONS) + 1}.db"]
    assert copies[0].stat().st_mode & 0o077 == 0


def test_a_migration_that_fails_leaves_the_old_schema(
    workspace: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts.save_version(workspace, "reply", {})
    workspace.close()

    def fail(connection: object) -> None:
        connection.execute("DROP TABLE drafts")  # type: ignore[attr-defined]
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr("store.migrations.MIGRATIONS", (*MIGRATIONS, fail))
        with pytest.raises(RuntimeError):
            open_store(workspace.root)
    store = open_store(workspace.root)
    drafts.save_draft(store, "prompt:reply", 1)
    store.close()


def test_a_copy_before_a_migration_is_not_made_twice(workspace: Store) -> None:
    _back_up(workspace, 1)
    first = (workspace.root / "backups" / "before-schema-2.db").stat().st_ino
    _back_up(workspace, 1)
    assert (workspace.root / "backups" / "before-schema-2.db").stat().st_ino == first
