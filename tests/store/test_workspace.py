"""One way to open, one writer at a time, and sentences for everything that can be wrong with the file."""

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from store import doctor, drafts, prompts
from store.connection import connect
from store.errors import BadInput, LatheError, NewerSchema, NotFound, StoreBroken
from store.migrations import MIGRATIONS
from store.workspace import DATABASE, Store, find_workspace, open_store

CONTENT = {"messages": [{"role": "user", "content": "Say hello."}]}


def test_a_new_workspace_is_private_and_sound(workspace: Store) -> None:
    assert stat.S_IMODE(workspace.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(workspace.path.stat().st_mode) == 0o600
    assert workspace.read().execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_the_house_settings_hold_on_every_connection(workspace: Store) -> None:
    def value(name: str) -> object:
        return workspace.read().execute(f"PRAGMA {name}").fetchone()[0]

    assert value("journal_mode") == "wal"
    assert value("foreign_keys") == 1
    with workspace.write():
        assert value("foreign_keys") == 1
        assert value("synchronous") == 1
    with workspace.write(durable=True):
        assert value("synchronous") == 2


def test_opening_a_folder_without_a_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="lathe demo"):
        open_store(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_reading_connection_cannot_write(workspace: Store) -> None:
    with pytest.raises(StoreBroken):
        workspace.read().execute("DELETE FROM prompts")


def test_reads_inside_a_write_see_its_rows_and_others_see_them_after_the_commit(workspace: Store) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(len(prompts.list_prompts(workspace)))

    with workspace.write():
        prompts.save_version(workspace, "greeting", CONTENT)
        assert len(prompts.list_prompts(workspace)) == 1
        outside = threading.Thread(target=look)
        outside.start()
        outside.join()
    look()
    assert seen == [0, 1]


def test_a_write_that_fails_leaves_nothing(workspace: Store) -> None:
    with pytest.raises(RuntimeError), workspace.write():
        prompts.save_version(workspace, "greeting", CONTENT)
        raise RuntimeError
    assert prompts.list_prompts(workspace) == []


def test_a_part_that_fails_comes_to_nothing_alone(workspace: Store) -> None:
    with workspace.write():
        prompts.save_version(workspace, "kept", CONTENT)
        with pytest.raises(RuntimeError), workspace.write():
            prompts.save_version(workspace, "lost", CONTENT)
            raise RuntimeError
    assert [prompt.name for prompt in prompts.list_prompts(workspace)] == ["kept"]


def test_changed_moves_with_every_write_and_only_then(workspace: Store) -> None:
    before = workspace.changed()
    assert workspace.changed() == before
    drafts.save_draft(workspace, "prompt:greeting", {"text": "…"})
    assert workspace.changed() != before


def test_many_threads_write_and_nothing_is_lost(workspace: Store) -> None:
    def save(index: int) -> None:
        for number in range(10):
            prompts.save_version(workspace, f"prompt-{index}", {"n": number})

    threads = [threading.Thread(target=save, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [prompt.versions for prompt in prompts.list_prompts(workspace)] == [10, 10, 10, 10]


def test_connections_of_ended_threads_are_closed(workspace: Store) -> None:
    def count_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    workspace.read()
    before = count_files()
    for _ in range(20):
        thread = threading.Thread(target=lambda: prompts.list_prompts(workspace))
        thread.start()
        thread.join()
    assert count_files() <= before + 6


def test_a_closed_workspace_refuses_use(workspace: Store) -> None:
    workspace.close()
    workspace.close()
    with pytest.raises(StoreBroken, match="closed"):
        workspace.read()
    with pytest.raises(StoreBroken, match="closed"), workspace.write():
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a database at all, just some text\n" * 100,
        bytes(range(256)) * 64,
        b"SQLite format 3\0" + b"\xff" * 4096,
    ],
    ids=["empty", "text", "garbage", "torn header"],
)
def test_a_file_that_is_no_database_is_refused_with_a_sentence_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / DATABASE).write_bytes(content)
    for create in (False, True):
        with pytest.raises(StoreBroken, match="lathe restore"):
            open_store(tmp_path, create=create)
    assert (tmp_path / DATABASE).read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(StoreBroken, match="another program"):
        open_store(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE) as other:
        assert [row[0] for row in other.execute("SELECT name FROM sqlite_schema")] == ["bookmarks"]
    other.close()


def test_a_file_cut_in_half_is_refused_with_a_sentence(workspace: Store) -> None:
    for number in range(200):
        prompts.save_version(workspace, "long", {"text": f"{number} " * 500})
    workspace.close()
    data = workspace.path.read_bytes()
    workspace.path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreBroken, match="damaged"):
        open_store(workspace.root)


def test_a_page_that_was_wiped_is_a_sentence_when_it_is_read(workspace: Store) -> None:
    for number in range(200):
        prompts.save_version(workspace, "long", {"text": f"{number} " * 500})
    workspace.close()
    data = bytearray(workspace.path.read_bytes())
    half = len(data) // 2
    data[half:] = bytes(len(data) - half)
    workspace.path.write_bytes(data)
    store = open_store(workspace.root)
    try:
        with pytest.raises(StoreBroken, match="damaged"):
            prompts.prompt_versions(store, "long")
    finally:
        store.close()


def test_a_newer_schema_is_refused_with_a_sentence_and_left_alone(workspace: Store) -> None:
    workspace.close()
    connection = connect(workspace.path)
    connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(NewerSchema, match="newer Lathe"):
        open_store(workspace.root)


def test_a_full_database_is_a_sentence_and_what_was_saved_stays(workspace: Store) -> None:
    prompts.save_version(workspace, "kept", CONTENT)
    with workspace.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(StoreBroken, match="disk is full"):
        prompts.save_version(workspace, "too much", {"text": "x" * 100_000})
    assert [prompt.name for prompt in prompts.list_prompts(workspace)] == ["kept"]


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="is a file"):
        open_store(tmp_path / "file", create=True)


READ_ONLY_SESSION = """
import ctypes, os, sys
from store import migrations, prompts
from store.errors import StoreBroken
from store.workspace import open_store
os.setgroups([]); os.setgid(65534); os.setuid(65534)
store = open_store(sys.argv[1])
print(store.read_only, prompts.prompt_version(store, "greeting").number)
try:
    prompts.save_version(store, "greeting", {})
except StoreBroken as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without rights")
def test_a_folder_that_may_only_be_read_can_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("shared") / "workspace"
    store = open_store(root, create=True)
    prompts.save_version(store, "greeting", CONTENT)
    store.close()
    temporary = Path(tempfile.gettempdir())
    for folder in (root, *itertools.takewhile(lambda folder: folder != temporary, root.parents)):
        folder.chmod(0o755)
    (root / DATABASE).chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ_ONLY_SESSION, str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    first, second = done.stdout.splitlines() or [done.stderr, ""]
    assert first == "True 1", done.stderr
    assert "read-only" in second


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without rights")
def test_a_folder_that_may_not_be_looked_into_is_a_sentence(tmp_path: Path) -> None:
    open_store(tmp_path / "workspace", create=True).close()
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ_ONLY_SESSION, str(tmp_path / "workspace")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "StoreBroken: You may not look into" in done.stderr


def test_a_network_file_system_is_refused_and_a_doubtful_one_is_a_warning(
    workspace: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.workspace._filesystem_magic", lambda root: 0x6969)
    with pytest.raises(StoreBroken, match="NFS"):
        open_store(workspace.root)
    monkeypatch.setattr("store.workspace._filesystem_magic", lambda root: 0x65735546)
    open_store(workspace.root).close()
    assert "FUSE" in str(doctor.check(workspace)[0])


def test_what_a_killed_creation_left_is_in_nobodys_way(tmp_path: Path) -> None:
    for name in (f"{DATABASE}.new", f"{DATABASE}.new-wal", f"{DATABASE}.new-shm"):
        (tmp_path / name).write_bytes(b"half")
    store = open_store(tmp_path, create=True)
    assert doctor.check(store) == []
    store.close()


def test_the_nearest_workspace_upward_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert find_workspace(deep) == tmp_path / "data" / "lathe" / "workspace"
    open_store(project / ".lathe", create=True).close()
    assert find_workspace(deep) == project / ".lathe"
    assert find_workspace(project / ".lathe") == project / ".lathe"


def test_importing_the_store_costs_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from store import workspace, prompts, datasets, models, jobs, evaluations, drafts, settings, search\n"
        "bad = {'sqlite_utils', 'pandas', 'numpy', 'pydantic', 'textual'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_every_kind_of_trouble_is_one_family() -> None:
    for kind in (BadInput, NotFound, StoreBroken, NewerSchema):
        assert issubclass(kind, LatheError)
