"""Trash, backup, blobs, room and the doctor: nothing is lost by accident, and what is wrong is said."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from store import backup, blobs, datasets, doctor, drafts, evaluations, models, prompts, trash, usage
from store.errors import BadInput, LatheError, NotFound
from store.workspace import Store, open_store


def filled(store: Store) -> evaluations.Evaluation:
    prompts.save_version(store, "reply", {"messages": [{"role": "user", "content": "Hello"}]})
    prompts.set_label(store, "reply@1", "production")
    cases = datasets.save_version(store, "tickets", "cases", [{"x": number} for number in range(30)])
    blobs.use_blob(store, blobs.put_bytes(store, b"the file that was imported"), "dataset", cases.dataset_id)
    comparison = evaluations.create_evaluation(
        store, name="first", spec={}, subjects=[{"ref": "a"}], cases_version_id=cases.id, planned=30
    )
    keys = [f"{number:064x}" for number in range(30)]
    evaluations.record_cells(
        store,
        comparison.id,
        [evaluations.FinishedCell(0, n, 0, key, "ok", passed=True, score=1.0) for n, key in enumerate(keys)],
        [evaluations.NewGeneration(key, None, [], None, "out", "", "stop", 1, 1) for key in keys],
    )
    return comparison


# Trash


def test_what_is_in_the_trash_is_in_no_list_and_no_reference_and_comes_back_whole(workspace: Store) -> None:
    filled(workspace)
    before = prompts.prompt_version(workspace, "reply@production")
    thing = trash.trash(workspace, "prompt", before.prompt_id)
    assert (thing.noun, thing.name, thing.ref) == ("prompt", "reply", "reply")
    assert prompts.list_prompts(workspace) == []
    with pytest.raises(NotFound):
        prompts.prompt_version(workspace, "reply")
    assert trash.trashed(workspace) == [thing]
    trash.restore(workspace, "prompt", before.prompt_id)
    assert prompts.prompt_version(workspace, "reply@production") == before
    assert trash.trashed(workspace) == []


def test_a_name_in_the_trash_is_free_and_restoring_over_it_is_a_sentence(workspace: Store) -> None:
    old = prompts.save_version(workspace, "reply", {"n": 1})
    trash.trash(workspace, "prompt", old.prompt_id)
    new = prompts.save_version(workspace, "reply", {"n": 2})
    assert new.number == 1
    with pytest.raises(BadInput, match="another prompt called reply"):
        trash.restore(workspace, "prompt", old.prompt_id)
    trash.trash(workspace, "prompt", new.prompt_id)
    trash.restore(workspace, "prompt", old.prompt_id)
    assert prompts.prompt_version(workspace, "reply").content == {"n": 1}


def test_what_is_not_there_cannot_be_trashed(workspace: Store) -> None:
    with pytest.raises(NotFound):
        trash.trash(workspace, "prompt", 7)
    with pytest.raises(BadInput, match="prompt, dataset"):
        trash.trash(workspace, "job", 7)


def test_emptying_keeps_what_comparisons_stand_on(workspace: Store) -> None:
    comparison = filled(workspace)
    cases = datasets.dataset_version(workspace, "tickets")
    trash.trash(workspace, "dataset", cases.dataset_id)
    done = trash.empty(workspace)
    assert done.removed == 0
    assert done.kept == ("tickets stays in the trash: 1 comparison show its cases.",)
    trash.trash(workspace, "evaluation", comparison.id)
    assert trash.empty(workspace) == trash.Emptied(2, ())
    count = (
        workspace.read()
        .execute("SELECT (SELECT COUNT(*) FROM rows) + (SELECT COUNT(*) FROM cells)")
        .fetchone()
    )
    assert count[0] == 0
    assert len(evaluations.list_generations(workspace)) == 30
    assert doctor.check(workspace) == []


def test_emptying_takes_prompts_and_models_with_all_that_is_theirs(workspace: Store) -> None:
    filled(workspace)
    second = prompts.save_version(workspace, "reply", {"n": 2})
    drafts.save_draft(workspace, "prompt:reply", {"n": 3})
    model = models.register_version(
        workspace,
        "tiny",
        tag="q8_0",
        format="gguf",
        path="/m.gguf",
        quick_hash="ab" * 8,
        size_bytes=1,
        facts={},
    )
    evaluations.record_cells(
        workspace, 1, [], [evaluations.NewGeneration("f" * 64, model.id, [], None, "x", "", "stop", 1, 1)]
    )
    trash.trash(workspace, "prompt", second.prompt_id)
    trash.trash(workspace, "model", model.model_id)
    assert trash.empty(workspace).removed == 2
    assert drafts.draft(workspace, "prompt:reply") is None
    assert evaluations.find_generations(workspace, ["f" * 64])["f" * 64].model_version_id is None
    assert doctor.check(workspace) == []


# Blobs


def test_the_same_bytes_are_kept_once_and_found_by_their_hash(workspace: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"hello" * 1000)
    digest = blobs.put_file(workspace, tmp_path / "source")
    assert blobs.put_bytes(workspace, b"hello" * 1000) == digest
    path = blobs.path_of(workspace, digest)
    assert path.read_bytes() == b"hello" * 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found for found, _ in blobs.stored_blobs(workspace)] == [digest]
    assert list((workspace.root / "blobs" / "staged").iterdir()) == []


def test_a_hash_is_never_a_way_out_of_the_folder(workspace: Store) -> None:
    for wrong in ("../../etc/passwd", "", "AB" * 32, "a" * 63):
        with pytest.raises(BadInput):
            blobs.path_of(workspace, wrong)
    with pytest.raises(NotFound):
        blobs.path_of(workspace, "a" * 64)
    with pytest.raises(BadInput):
        blobs.put_file(workspace, workspace.root)


KILLED_BLOB = """
import os, sys
from store import blobs
from store.workspace import open_store
store = open_store(sys.argv[1])
def fill(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
blobs._put(store, fill)
"""


def test_a_killed_save_leaves_no_blob_and_is_swept(workspace: Store) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", KILLED_BLOB, str(workspace.root)], check=False)
    assert done.returncode == -9
    assert list(blobs.stored_blobs(workspace)) == []
    assert blobs.sweep(workspace) == 0, "a save that may still be at work is left alone"
    assert blobs.sweep(workspace, older_than_seconds=0) == 1
    assert doctor.check(workspace) == []


def test_cleaning_takes_what_nothing_uses_and_nothing_else(workspace: Store) -> None:
    filled(workspace)
    loose = blobs.put_bytes(workspace, b"nobody wants this")
    assert usage.clean(workspace).blobs == 0, "it may have been saved a moment ago"
    would = usage.clean(workspace, dry_run=True, grace_seconds=0)
    assert (would.blobs, would.bytes) == (1, 17)
    assert usage.clean(workspace, grace_seconds=0) == would
    with pytest.raises(NotFound):
        blobs.path_of(workspace, loose)
    assert len(list(blobs.stored_blobs(workspace))) == 1
    assert doctor.check(workspace) == []


def test_room_is_told_per_kind(workspace: Store) -> None:
    filled(workspace)
    found = {(part.kind, part.where): part for part in usage.usage(workspace)}
    assert found["blobs", "blobs/"].count == 1
    for kind in ("prompts", "datasets", "comparisons", "generations", "search index"):
        assert found[kind, "database"].bytes > 0


# Doctor


def test_a_missing_and_a_changed_blob_are_found(workspace: Store) -> None:
    gone = blobs.put_bytes(workspace, b"gone")
    changed = blobs.put_bytes(workspace, b"changed")
    blobs.path_of(workspace, gone).unlink()
    blobs.path_of(workspace, changed).write_bytes(b"chanGed")
    said = [str(finding) for finding in doctor.check(workspace)]
    assert any("gone" in text and gone[:12] in text for text in said)
    assert any("not what was saved" in text and changed[:12] in text for text in said)


def test_a_model_that_was_moved_away_is_a_warning(workspace: Store) -> None:
    models.register_version(
        workspace,
        "tiny",
        tag="q8_0",
        format="gguf",
        path="/nowhere.gguf",
        quick_hash="ab",
        size_bytes=1,
        facts={},
    )
    (finding,) = doctor.check(workspace)
    assert finding.level == "warning"
    assert "tiny@q8_0" in str(finding)


def test_a_database_that_others_can_read_is_a_warning(workspace: Store) -> None:
    workspace.path.chmod(0o644)
    assert "chmod 600" in str(doctor.check(workspace)[0])


# Backup


def test_a_backup_taken_while_others_write_restores_to_a_sound_workspace(
    workspace: Store, tmp_path: Path
) -> None:
    filled(workspace)
    with workspace.write():  # held open: the copy is the moment before it
        drafts.save_draft(workspace, "prompt:reply", "not yet")
        other = open_store_reading(workspace)
        made = backup.backup(other, tmp_path / "today.lathe")
        other.close()
    assert made.files == 2
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    backup.restore(made.file, tmp_path / "again")
    again = open_store(tmp_path / "again")
    assert doctor.check(again) == []
    assert drafts.draft(again, "prompt:reply") is None
    assert prompts.prompt_version(again, "reply@production") == prompts.prompt_version(
        workspace, "reply@production"
    )
    assert evaluations.cells(again, 1, range(30)) == evaluations.cells(workspace, 1, range(30))
    digest = next(blobs.stored_blobs(workspace))[0]
    assert blobs.path_of(again, digest).read_bytes() == b"the file that was imported"
    again.close()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def open_store_reading(store: Store) -> Store:
    """A hold on the workspace that asks nobody: its writer is at work in this very thread."""
    return Store(store.root, read_only=True)


def test_a_backup_never_overwrites_and_neither_does_a_restore(workspace: Store, tmp_path: Path) -> None:
    filled(workspace)
    file = tmp_path / "today.lathe"
    backup.backup(workspace, file)
    with pytest.raises(BadInput, match="exists already"):
        backup.backup(workspace, file)
    before = workspace.path.read_bytes()
    with pytest.raises(BadInput, match="not empty"):
        backup.restore(file, workspace.root)
    assert workspace.path.read_bytes() == before
    with pytest.raises(BadInput, match="does not exist"):
        backup.backup(workspace, tmp_path / "no" / "such.lathe")


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty"])
def test_a_damaged_backup_restores_nothing(workspace: Store, tmp_path: Path, damage: str) -> None:
    filled(workspace)
    file = tmp_path / "today.lathe"
    backup.backup(workspace, file)
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[data.index(b"the file that was imported")] ^= 1
    else:
        data = bytearray(b"hello\n" * 100) if damage == "text" else bytearray()
    file.write_bytes(data)
    with pytest.raises(LatheError):
        backup.restore(file, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".again")] == []


def hostile_members() -> list[tarfile.TarInfo]:
    found = []
    for name in ("../outside", "/etc/outside", "blobs/../../outside", "elsewhere", "blobs", "models/a\0b"):
        found.append(tarfile.TarInfo(name))
    for kind, name in (
        (tarfile.SYMTYPE, "blobs/link"),
        (tarfile.FIFOTYPE, "blobs/pipe"),
        (tarfile.LNKTYPE, "lathe.db"),
    ):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        found.append(info)
    return found


@pytest.mark.parametrize("member", hostile_members(), ids=lambda info: repr(info.name))
def test_a_hostile_backup_writes_nothing_outside(tmp_path: Path, member: tarfile.TarInfo) -> None:
    inside = tmp_path / "deep" / "deeper"
    inside.mkdir(parents=True)
    file = tmp_path / "hostile.lathe"
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(b""))
    with pytest.raises(BadInput):
        backup.restore(file, inside / "again")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "deeper", "hostile.lathe"]


def test_models_of_the_workspace_are_part_of_its_backup_and_found_where_it_is_restored(
    workspace: Store, tmp_path: Path
) -> None:
    weights = workspace.root / "models" / "tuned" / "weights.gguf"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    os.symlink("/etc/passwd", workspace.root / "models" / "link")
    for tag, path in (("inside", weights), ("outside", tmp_path / "elsewhere.gguf")):
        models.register_version(
            workspace, "m", tag=tag, format="gguf", path=str(path), quick_hash=tag, size_bytes=7, facts={}
        )
    backup.restore(backup.backup(workspace, tmp_path / "b.lathe").file, tmp_path / "again")
    moved = tmp_path / "again" / "models" / "tuned" / "weights.gguf"
    assert moved.read_bytes() == b"weights"
    assert moved.stat().st_mtime_ns == weights.stat().st_mtime_ns
    assert not (tmp_path / "again" / "models" / "link").exists()
    again = open_store(tmp_path / "again")
    assert models.model_version(again, "m@inside").path == str(moved)
    assert models.model_version(again, "m@outside").path == str(tmp_path / "elsewhere.gguf")
    again.close()
