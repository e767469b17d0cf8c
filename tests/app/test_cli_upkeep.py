"""The command line around a workspace: doctor, backup, restore."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from store import prompts
from store.workspace import Store
from tests.app.jobs.house import PROJECT, answer, lathe


def test_the_doctor_finds_a_fresh_workspace_sound_and_no_connection_attempted(workspace: Store) -> None:
    done = lathe(PROJECT, "doctor", "--workspace", str(workspace.root), "--json")
    lines = {(line["about"], line["state"]): line["text"] for line in answer(done)}
    assert done.returncode == 0, done.stderr
    assert "0 connections" in lines["network", "ok"]
    assert ("store", "ok") in lines and ("machine", "ok") in lines
    assert any(about == "protection" for about, _ in lines)


def test_the_doctor_tells_what_was_attempted_and_by_whom(workspace: Store) -> None:
    script = (
        "import sys; from pathlib import Path; from app.jobs import offline\n"
        "offline.install(False, Path(sys.argv[1]))\n"
        "import socket\n"
        "try: socket.create_connection(('192.0.2.7', 443), timeout=1)\n"
        "except OSError: pass\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script, str(workspace.root)], check=True)
    shown = lathe(PROJECT, "doctor", "-w", str(workspace.root)).stdout
    assert "1 connections were attempted: 1 blocked" in shown and "192.0.2.7:443" in shown


def test_the_doctor_says_so_with_its_exit_status_when_something_is_broken(workspace: Store) -> None:
    root = workspace.root
    with workspace.write() as connection:
        connection.execute("INSERT INTO blobs VALUES (?, 1, '2026-01-01')", ("ab" * 32,))
    done = lathe(PROJECT, "doctor", "-w", str(root))
    assert done.returncode == 1 and "gone from blobs/" in done.stdout


def test_the_doctor_looks_at_the_machine_where_there_is_no_workspace(tmp_path: Path) -> None:
    done = lathe(PROJECT, "doctor", cwd=tmp_path)
    assert done.returncode == 0 and "There is no workspace" in done.stdout
    named = lathe(PROJECT, "doctor", "-w", str(tmp_path / "none"))
    assert named.returncode == 2


def test_a_backup_and_a_restore_give_the_same_workspace(workspace: Store, tmp_path: Path) -> None:
    prompts.save_version(workspace, "reply", {"messages": []})
    W, file, again = str(workspace.root), tmp_path / "b.lathe", tmp_path / "again"
    assert lathe(PROJECT, "backup", str(file), "-w", W).stdout == f"{file}\n"
    assert lathe(PROJECT, "backup", str(file), "-w", W).returncode == 2
    assert lathe(PROJECT, "restore", str(file), str(again)).returncode == 0
    shown = answer(lathe(PROJECT, "show", "prompts", "-w", str(again), "--json"))
    assert [prompt["name"] for prompt in shown] == ["reply"]
    over = lathe(PROJECT, "restore", str(file), W)
    assert over.returncode == 2 and "already" in over.stderr
    torn = tmp_path / "torn.lathe"
    torn.write_bytes(file.read_bytes()[:3000])
    broken = lathe(PROJECT, "restore", str(torn), str(tmp_path / "c"))
    assert broken.returncode == 2 and "Traceback" not in broken.stderr and not (tmp_path / "c").exists()


def test_a_workspace_of_a_newer_lathe_is_refused_with_a_sentence(workspace: Store) -> None:
    with workspace.write() as connection:
        connection.execute("PRAGMA user_version=999")
    done = lathe(PROJECT, "show", "jobs", "-w", str(workspace.root))
    assert done.returncode == 1 and "newer Lathe" in done.stderr and "Traceback" not in done.stderr


def test_a_file_that_is_no_workspace_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "lathe.db").write_bytes(b"not a database, but long enough to be read as one" * 40)
    for name in ("file", "broken"):
        done = lathe(PROJECT, "show", "jobs", "-w", str(tmp_path / name))
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr and "fault" not in done.stderr
