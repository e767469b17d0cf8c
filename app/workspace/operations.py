"""Operations on the workspace itself: backup, clean-up, and a trash that gives things back."""

from __future__ import annotations

from typing import Literal

from app.jobs.operation import Field, Operation, Spec

TrashNoun = Literal["prompt", "dataset", "model", "evaluation"]


class BackupSpec(Spec):
    """Where the backup goes."""

    file: str = Field(
        description="The file to write. One that exists already is not overwritten.",
        picks="file",
        min_length=1,
        placeholder="backups/today.lathe",
    )


class CleanSpec(Spec):
    """What clean-up may remove."""

    dry_run: bool = Field(
        False, description="Only say what would be removed, and how much room it would make."
    )


class TrashSpec(Spec):
    """One thing, by what it is and its reference."""

    noun: TrashNoun = Field(description="What it is. Case sets are datasets.")
    name: str = Field(description="Its name; an evaluation's number.", min_length=1)


class EmptySpec(Spec):
    """Emptying the trash needs no choice."""


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="workspace.backup",
        title="Back up the workspace",
        description="Writes everything in the workspace into one file, also while it is in use. `lathe restore FILE "
        "FOLDER` makes a workspace of it again.",
        spec=BackupSpec,
        run="app.workspace.upkeep:back_up",
        kind="worker",
    ),
    Operation(
        name="workspace.clean",
        title="Remove unused files",
        description="Removes files that nothing in the workspace refers to any more: blobs without a row, and what "
        "killed imports left behind. Nothing that can be seen in the workbench goes away.",
        spec=CleanSpec,
        run="app.workspace.upkeep:clean",
        kind="worker",
    ),
    Operation(
        name="trash.put",
        title="Move to the trash",
        description="Takes a prompt, case set, dataset, model or evaluation out of the lists. Nothing is deleted, and "
        "trash.restore brings it back.",
        spec=TrashSpec,
        run="app.workspace.trash:put",
        kind="inline",
    ),
    Operation(
        name="trash.restore",
        title="Restore from the trash",
        description="Brings something back from the trash, under its name.",
        spec=TrashSpec,
        run="app.workspace.trash:restore",
        kind="inline",
    ),
    Operation(
        name="trash.empty",
        title="Empty the trash",
        description="Deletes for good what is in the trash. What comparisons still stand on stays, and says so.",
        spec=EmptySpec,
        run="app.workspace.trash:empty",
        kind="worker",
    ),
)
