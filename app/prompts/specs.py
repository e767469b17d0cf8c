"""The typed input of this stage's operations: forms, command line, recipes and help are made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from app.jobs.operation import Field, Spec

SplitChoice = Literal["all", "tune", "held_out"]


def _texts(value: object) -> object:
    """Names may look like numbers (`versions=1,2`), and one is as good as a list of one."""
    if isinstance(value, str | int):
        return [str(value)]
    if isinstance(value, list | tuple):
        return [str(one) if isinstance(one, int) else one for one in value]
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class SamplingOverride(BaseModel):
    """Settings that replace those of every version compared, for this comparison only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float | None = Field(
        None, ge=0, le=10, description="0 is greedy: the same prompt, the same answer."
    )
    top_k: int | None = Field(None, ge=0, description="Only the k likeliest tokens; 0 is all.", advanced=True)
    top_p: float | None = Field(None, gt=0, le=1, description="Only tokens within this share.", advanced=True)
    min_p: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Only tokens at least this likely, against the likeliest.",
        advanced=True,
    )
    seed: int | None = Field(None, ge=0, lt=2**32, description="Start of the random numbers.", advanced=True)
    repeat_penalty: float | None = Field(
        None, gt=0, le=10, description="Over 1 avoids repetition.", advanced=True
    )
    max_tokens: int | None = Field(
        None, ge=1, le=1_000_000, description="Longest answer, in tokens.", unit="tokens"
    )


class CompareSpec(Spec):
    """What to compare: versions of one prompt on a model, or any subjects, over a case set."""

    prompt: str | None = Field(None, picks="prompt", description="The prompt whose versions are compared.")
    versions: Texts = Field(
        (),
        picks="prompt_version",
        many=True,
        depends_on="prompt",
        description="Numbers, labels, or `draft` for the unsaved text; empty is the latest version.",
        placeholder="1, 2, production, draft",
    )
    cases: str = Field(picks="cases", description="The case set, or one version of it (tickets@2).")
    model: Texts = Field(
        (), picks="model", many=True, description="The model, or several; empty is the only one."
    )
    subjects: Texts = Field(
        (),
        many=True,
        advanced=True,
        description="Instead of prompt and versions: model@version/prompt@version, several of them.",
    )
    split: SplitChoice = Field(
        "all", description="All cases, those for tuning, or those held out for the final word."
    )
    repeats: int = Field(1, ge=1, le=100, description="How often each case is asked; more shows the noise.")
    limit: int | None = Field(None, ge=1, description="Only the first so many cases.", advanced=True)
    tag: str | None = Field(None, description="Only cases with this tag.", advanced=True)
    baseline: str | None = Field(
        None,
        advanced=True,
        description="The column that the others are held against; fewer pairs make a sharper test.",
        placeholder="production",
    )
    gate: Texts = Field(
        (),
        many=True,
        advanced=True,
        description="Conditions for exit status 0: pass_rate>=0.8, or: no worse than @production by 0.05.",
    )
    sampling: SamplingOverride = Field(
        SamplingOverride(), group="sampling", description="Replaces the versions' own sampling settings."
    )
    slots: int | None = Field(
        None,
        ge=1,
        le=256,
        group="engine",
        advanced=True,
        description="Answers written at the same time; 1 makes a run reproducible to the byte.",
    )
    context: int | None = Field(
        None,
        ge=64,
        group="engine",
        advanced=True,
        unit="tokens",
        description="Room for prompt and answer together.",
    )
    name: str | None = Field(None, advanced=True, description="What this comparison is called in lists.")


class SavePromptSpec(Spec):
    """A new version of a prompt."""

    name: str = Field(picks="prompt", description="The prompt; a new name makes a new prompt.")
    text: str | None = Field(
        None,
        multiline=True,
        description="The user message, a Jinja template: {{variable}} is filled in per case.",
    )
    system: str | None = Field(None, multiline=True, description="A system message before it.")
    content: dict[str, Any] | list[Any] | None = Field(
        None,
        advanced=True,
        description="Instead of text: the whole content as JSON (messages, few_shot, sampling …).",
    )
    draft: bool = Field(False, description="Save the unsaved draft of this prompt; it is dropped then.")
    parent: str | None = Field(
        None,
        picks="prompt_version",
        advanced=True,
        description="The version it comes from; empty is the latest.",
    )
    sampling: SamplingOverride = Field(SamplingOverride(), group="sampling", description="Sampling settings.")
    note: str = Field("", description="What changed, in a few words.")
    label: Texts = Field((), many=True, advanced=True, description="Labels to put on the new version.")


class LabelSpec(Spec):
    """Where a label is to point."""

    prompt: str = Field(picks="prompt_version", description="The version, as name@number.")
    label: str = Field(description="The label: production, staging, or your own.", placeholder="production")


class UnlabelSpec(Spec):
    """A label to take away."""

    prompt: str = Field(picks="prompt", description="The prompt.")
    label: str = Field(description="The label to remove.")


class BuildSpec(Spec):
    """How to make a new draft from a version."""

    prompt: str = Field(picks="prompt_version", description="The version to start from.")
    builder: Literal["few_shot", "nearest", "chain_of_thought", "json", "system"] = Field(
        description="Examples, nearest examples, reasoning first, JSON output, or a system message."
    )
    cases: str | None = Field(
        None,
        picks="cases",
        depends_on="builder=few_shot|nearest|json",
        description="The case set that examples (or the form of the answer) are taken from.",
    )
    positions: tuple[int, ...] = Field(
        (),
        many=True,
        depends_on="builder=few_shot",
        description="Numbers of the chosen cases, counted from 1.",
    )
    count: int = Field(
        3, ge=1, le=50, depends_on="builder=few_shot|nearest", description="How many examples."
    )
    marker: str = Field(
        "Answer:",
        depends_on="builder=chain_of_thought",
        description="What stands before the answer on its line.",
    )
    json_schema: dict[str, Any] | None = Field(
        None,
        depends_on="builder=json",
        description="The JSON schema; empty makes one from the expected answers.",
    )
    preset: str = Field(
        "brief", depends_on="builder=system", description="A preset's name, or the system message itself."
    )
    save: bool = Field(False, description="Save it as a new version at once instead of keeping a draft.")


class ExportSpec(Spec):
    """A comparison to write into a file."""

    evaluation: int = Field(picks="evaluation", description="The comparison.")
    path: str = Field(picks="file", description="Where to write: .html, .jsonl or .md.")
    format: Literal["auto", "html", "jsonl", "md"] = Field(
        "auto", description="By the file's ending, or named."
    )
    overwrite: bool = Field(False, description="Replace a file that is there already.")


class ImportPromptsSpec(Spec):
    """Prompts (and cases) that somebody has as files."""

    path: str = Field(picks="file", description="A promptfoo configuration, or a folder of text files.")
    name: str | None = Field(
        None, description="Name of the first prompt and of the case set; empty is the file's."
    )
    cases: str | None = Field(None, description="Name of the case set; empty is the prompt's name.")
    held_out: float = Field(
        0.25, ge=0, le=1, advanced=True, description="Share of the cases that is held out for the final word."
    )
    note: str = Field("", description="A note for the new versions.")


class WritePromptsSpec(Spec):
    """Prompts and cases to write as text files."""

    folder: str = Field(picks="folder", description="The folder; prompts/ and cases/ are made in it.")
    prompts: Texts = Field(
        (), picks="prompt_version", many=True, description="Prompts or versions; empty is all."
    )
    cases: Texts = Field((), picks="cases", many=True, description="Case sets or versions; empty is all.")
    only: Literal["both", "prompts", "cases"] = Field("both", description="Write prompts, cases, or both.")


class ImportCasesSpec(Spec):
    """A file of test cases."""

    path: str = Field(picks="file", description="A CSV, JSON or JSON Lines file.")
    name: str | None = Field(
        None, description="The case set; empty is the file's name. An existing one gets a version."
    )
    format: Literal["auto", "csv", "json", "jsonl"] = Field(
        "auto", advanced=True, description="What the file is."
    )
    expected: str = Field("expected", description="The column or key with the expected answer.")
    tags: str = Field("tags", advanced=True, description="The column or key with tags.")
    checks: list[dict[str, Any]] = Field(
        [], advanced=True, description="Default checks for cases without their own, as a list of objects."
    )
    prompt: str | None = Field(
        None, picks="prompt_version", description="A prompt whose variables the cases must have."
    )
    on_error: Literal["refuse", "skip"] = Field(
        "refuse",
        description="What to do when rows cannot be read: refuse the file, or skip those rows and say so.",
    )
    held_out: float = Field(
        0.25, ge=0, le=1, description="Share of the cases that is held out for the final word."
    )
    delimiter: str | None = Field(
        None, advanced=True, max_length=1, description="CSV delimiter; empty finds it."
    )
    encoding: str | None = Field(None, advanced=True, description="Text encoding; empty is UTF-8.")
    append: bool = Field(
        False, advanced=True, description="Keep the cases of the latest version and add these."
    )
    limit: int | None = Field(None, ge=1, advanced=True, description="Only the first so many cases.")
    note: str = Field("", advanced=True, description="A note for the new version.")


class SaveCasesSpec(Spec):
    """A new version of a case set, typed or edited."""

    name: str = Field(picks="cases", description="The case set; a new name makes a new one.")
    rows: list[dict[str, Any]] = Field(
        [], description="Cases to add: objects with variables, expected, checks, tags, split, name."
    )
    replace: dict[str, dict[str, Any]] = Field(
        {}, advanced=True, description="Cases to replace, by number from 1."
    )
    remove: tuple[int, ...] = Field(
        (), many=True, advanced=True, description="Numbers of cases to leave out, from 1."
    )
    parent: str | None = Field(None, picks="cases", advanced=True, description="The version it comes from.")
    fresh: bool = Field(False, advanced=True, description="Start empty instead of from the latest version.")
    checks: list[dict[str, Any]] | None = Field(
        None, advanced=True, description="New default checks of the set."
    )
    held_out: float = Field(
        0.25, ge=0, le=1, advanced=True, description="Share of new cases that is held out."
    )
    note: str = Field("", description="What changed, in a few words.")


class WriteCasesSpec(Spec):
    """A case set to write into a file."""

    cases: str = Field(picks="cases", description="The case set or a version of it.")
    path: str = Field(picks="file", description="The JSON Lines file to write.")
    overwrite: bool = Field(False, description="Replace a file that is there already.")
