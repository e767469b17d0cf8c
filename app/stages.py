"""The registry of stages: one line per room, nothing imported until somebody asks for it.

A new stage is a folder under `app/` and one line here. Digits are fixed for ever (`design.md` §5); a stage without
a tab (None) still brings its operations to the command line, the palette and the lineage.
"""

from typing import NamedTuple


class Stage(NamedTuple):
    """Where one stage of the lifecycle lives: module paths as text, so that naming a stage costs no import."""

    id: str
    title: str
    digit: str | None
    operations: str
    """Module that exports `OPERATIONS`."""
    tab: str | None
    """`module:class` of the tab, or None while the stage has no screen."""


STAGES: tuple[Stage, ...] = (
    Stage("models", "Models", "3", "app.models.operations", "app.models.tab:ModelsTab"),
    Stage("prompts", "Prompts", "4", "app.prompts.operations", "app.prompts.tab:PromptsTab"),
    Stage("starter", "Starter", None, "app.starter.operations", None),
    Stage("workspace", "Workspace", None, "app.workspace.operations", None),
)
