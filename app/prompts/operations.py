"""What can be done with prompts, cases and comparisons; each is a form, a command and a palette entry from
here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.jobs.operation import Operation
from app.prompts import specs
from app.prompts.gate import gate_exit_code

if TYPE_CHECKING:
    from store.workspace import Store


def _foresee(spec: specs.CompareSpec, store: Store) -> str:
    from app.prompts.plan import estimate_sentence

    return estimate_sentence(spec, store)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="prompt.compare",
        title="Compare prompt versions",
        description=(
            "Runs versions of a prompt (or any subjects) over a case set on a local model, scores the "
            "answers, and "
            "says which version is better and whether that is luck. Finished answers are reused for ever."
        ),
        spec=specs.CompareSpec,
        run="app.prompts.compare:run_compare",
        # A worker, not heavy: the engine does the computing and shares it out, so this never waits behind
        # training.
        kind="worker",
        estimate=_foresee,
        resumable=True,
        exit_code=gate_exit_code,
    ),
    Operation(
        name="prompt.save",
        title="Save a prompt version",
        description="Saves a new, immutable version of a prompt from a text, a whole content, or the unsaved "
        "draft.",
        spec=specs.SavePromptSpec,
        run="app.prompts.saving:save_prompt",
        kind="inline",
    ),
    Operation(
        name="prompt.label",
        title="Label a prompt version",
        description="Points a label such as production at a version; moving it back is the rollback.",
        spec=specs.LabelSpec,
        run="app.prompts.saving:label_prompt",
        kind="inline",
    ),
    Operation(
        name="prompt.unlabel",
        title="Remove a label",
        description="Takes a label off a prompt; whatever refers to it is told so from then on.",
        spec=specs.UnlabelSpec,
        run="app.prompts.saving:unlabel_prompt",
        kind="inline",
    ),
    Operation(
        name="prompt.build",
        title="Build a draft",
        description=(
            "Makes a draft from a version: few-shot examples, nearest examples for each case, reasoning "
            "before the "
            "answer, JSON output, or a system message. Examples never come from the case that is tested."
        ),
        spec=specs.BuildSpec,
        run="app.prompts.saving:build_prompt",
        kind="inline",
    ),
    Operation(
        name="prompt.export",
        title="Export a comparison",
        description="Writes a comparison as one self-contained HTML page, as JSON Lines, or as Markdown.",
        spec=specs.ExportSpec,
        run="app.prompts.files:export",
        kind="worker",
    ),
    Operation(
        name="prompt.import",
        title="Import prompts",
        description=(
            "Imports a promptfoo configuration (prompts, tests and assertions; the rest is named as not "
            "imported) or a "
            "folder of text files."
        ),
        spec=specs.ImportPromptsSpec,
        run="app.prompts.files:import_prompts",
        kind="worker",
    ),
    Operation(
        name="prompt.write",
        title="Write prompts as text files",
        description="Writes prompts and case sets into a folder of text files, for git and for any editor.",
        spec=specs.WritePromptsSpec,
        run="app.prompts.files:write_prompts",
        kind="worker",
    ),
    Operation(
        name="cases.import",
        title="Import cases",
        description="Reads test cases from CSV, JSON or JSON Lines; every row that cannot be used is named "
        "by its line.",
        spec=specs.ImportCasesSpec,
        run="app.prompts.case_sets:import_cases",
        kind="worker",
    ),
    Operation(
        name="cases.save",
        title="Save a case set",
        description="Makes a new version of a case set: cases added, replaced or removed, or other default "
        "checks.",
        spec=specs.SaveCasesSpec,
        run="app.prompts.case_sets:save_cases",
        kind="inline",
    ),
    Operation(
        name="cases.write",
        title="Write a case set",
        description="Writes a case set into a JSON Lines file that can be imported again.",
        spec=specs.WriteCasesSpec,
        run="app.prompts.case_sets:write_cases_file",
        kind="worker",
    ),
)
