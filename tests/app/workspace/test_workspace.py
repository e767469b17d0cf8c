"""Operations on the workspace: nothing is lost on the way into the trash, into a backup, or in a clean-up."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.jobs import runner
from app.jobs.runner import Result
from store import jobs, prompts
from store.backup import restore
from store.blobs import blob_path, put_bytes
from store.errors import BadInput, NotFound
from store.workspace import Store, open_store


def at_once(store: Store, operation: str, **values: object) -> Result:
    """Run an operation to its end, whatever its kind."""
    outcome = runner.start(store, operation, values)
    return outcome if isinstance(outcome, Result) else runner.wait(store, outcome.id)


def test_what_goes_into_the_trash_comes_back_whole(workspace: Store) -> None:
    saved = prompts.save_version(workspace, "reply", {"messages": []})
    put = at_once(workspace, "trash.put", noun="prompt", name="reply")
    assert put.summary == {"noun": "prompt", "id": saved.prompt_id, "name": "reply"}
    assert prompts.list_prompts(workspace) == []
    assert at_once(workspace, "trash.restore", noun="prompt", name="reply").state == "done"
    assert prompts.prompt_version(workspace, "reply@1").id == saved.id


def test_a_taken_name_is_said_and_nothing_changes(workspace: Store) -> None:
    prompts.save_version(workspace, "reply", {"messages": []})
    at_once(workspace, "trash.put", noun="prompt", name="reply")
    prompts.save_version(workspace, "reply", {"messages": [1]})
    with pytest.raises(BadInput, match="another prompt called reply"):
        at_once(workspace, "trash.restore", noun="prompt", name="reply")
    assert len(jobs.list_jobs(workspace)) == 1  # what did not happen has left no job


def test_what_is_not_there_is_a_sentence(workspace: Store) -> None:
    with pytest.raises(NotFound, match="There is no prompt"):
        at_once(workspace, "trash.put", noun="prompt", name="nobody")
    with pytest.raises(NotFound, match="is in the trash"):
        at_once(workspace, "trash.restore", noun="model", name="nobody")
    with pytest.raises(BadInput, match="named by its number"):
        at_once(workspace, "trash.put", noun="evaluation", name="first")


def test_an_emptied_trash_is_gone_for_good(workspace: Store) -> None:
    prompts.save_version(workspace, "reply", {"messages": []})
    at_once(workspace, "trash.put", noun="prompt", name="reply")
    assert at_once(workspace, "trash.empty").summary == {"removed": 1, "kept": 0}
    with pytest.raises(NotFound):
        at_once(workspace, "trash.restore", noun="prompt", name="reply")


def test_a_backup_made_by_a_job_is_a_workspace_again(workspace: Store, tmp_path: Path) -> None:
    prompts.save_version(workspace, "reply", {"messages": [], "notes": "täglich"})
    file = tmp_path / "today.lathe"
    result = at_once(workspace, "workspace.backup", file=str(file))
    assert result.state == "done" and result.summary["bytes"] == file.stat().st_size
    restore(file, tmp_path / "again")
    again = open_store(tmp_path / "again")
    assert prompts.prompt_version(again, "reply").content["notes"] == "täglich"
    again.close()
    refused = at_once(workspace, "workspace.backup", file=str(file))
    assert refused.state == "failed" and "exists already" in refused.job.error


def test_the_summary_of_every_operation_is_json(workspace: Store, tmp_path: Path) -> None:
    result = at_once(workspace, "workspace.backup", file=str(tmp_path / "b.lathe"))
    assert json.loads(json.dumps(result.as_json()))["summary"] == result.summary


def test_a_clean_up_takes_what_nothing_needs_and_a_dry_run_takes_nothing(workspace: Store) -> None:
    unused = put_bytes(workspace, b"nobody needs this")
    path = blob_path(workspace, unused)
    long_ago = path.stat().st_mtime - 86_400
    os.utime(path, (long_ago, long_ago))
    dry = at_once(workspace, "workspace.clean", dry_run=True)
    assert dry.summary["blobs"] == 1 and dry.summary["removed"] is False and path.exists()
    wet = at_once(workspace, "workspace.clean")
    assert wet.state == "done", wet.job.error
    assert wet.summary["blobs"] == 1 and wet.summary["bytes"] == 17 and not path.exists()
