"""What is compared: a prompt version (or an unsaved draft) on a model, and how such a pair is written and
named.

Nothing heavy is imported at the top: the screen reads labels from here before its first paint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from store.errors import BadInput, NotFound

if TYPE_CHECKING:
    from app.prompts.content import PromptContent
    from store.workspace import Store

DRAFT = "draft"
MOST_SUBJECTS = 24


@dataclass(frozen=True)
class SubjectRef:
    """`model@version/prompt@version` taken apart; the model is None when it was left out."""

    model: str | None
    prompt: str


@dataclass(frozen=True)
class Subject:
    """One column of a comparison, resolved and frozen: everything that its answers depend on stands here.

    `content` is the prompt's content as it was when the comparison started, drafts included, with the
    sampling
    overrides of the comparison already applied.
    """

    ref: str
    label: str
    prompt: str
    version: int | None
    """None for a draft."""
    version_id: int | None
    model: str
    model_id: int
    model_hash: str
    """The quick hash: known at once and the same before and after the full one was computed."""
    content: dict[str, Any] = field(repr=False)
    prompt_labels: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """The subject as the JSON that an evaluation keeps."""
        return asdict(self) | {"prompt_labels": list(self.prompt_labels)}

    def parsed(self) -> PromptContent:
        """The content, validated."""
        from app.prompts.content import parse_content

        return parse_content(self.content, f"the prompt of {self.ref}")


def subject_of(data: Mapping[str, Any]) -> Subject:
    """A subject from the JSON that an evaluation keeps."""
    return Subject(**{**data, "prompt_labels": tuple(data.get("prompt_labels", ()))})


def parse_subject(text: str) -> SubjectRef:
    """Take `model@version/prompt@version` apart; without a slash it is a prompt on the default model."""
    model, slash, prompt = text.strip().rpartition("/")
    if not prompt or (slash and not model):
        raise BadInput(
            f"{text!r} is not a subject. Write it as model@version/prompt@version, or prompt@version."
        )
    return SubjectRef(model if slash else None, prompt)


def wanted_refs(
    *, prompt: str | None, versions: Sequence[str], subjects: Sequence[str], model: Sequence[str]
) -> list[SubjectRef]:
    """The subjects that a comparison names: `subjects` as they are, else every version of `prompt` on every
    `model`.

    Raises BadInput when neither is given, or both.
    """
    if subjects:
        if prompt or versions:
            raise BadInput("Name either subjects, or a prompt with its versions, but not both.")
        refs = [parse_subject(text) for text in subjects]
        if len(model) == 1:
            refs = [SubjectRef(ref.model or model[0], ref.prompt) for ref in refs]
        return refs
    if not prompt:
        raise BadInput(
            "Name a prompt and its versions (prompt=NAME versions=1,2), or subjects=model/prompt@1,…."
        )
    if "@" in prompt:
        if versions:
            raise BadInput(
                f"{prompt} already names a version. Leave the version out of the prompt, or out of versions."
            )
        named = [prompt]
    else:
        named = [f"{prompt}@{version.strip().lstrip('@')}" for version in versions] or [prompt]
    every: Sequence[str | None] = model or (None,)
    return [SubjectRef(one, name) for one in every for name in named]


def resolve_subjects(
    store: Store, refs: Sequence[SubjectRef], overrides: Mapping[str, Any] | None = None
) -> list[Subject]:
    """Look up prompts, drafts and models, and freeze them. Raises NotFound with the names that do exist."""
    from store import models

    found: list[Subject] = []
    for ref in refs:
        model = models.model_version(store, ref.model) if ref.model else default_model(store)
        content, version, version_id, labels, prompt = _prompt(store, ref.prompt)
        data = _with_overrides(content, overrides or {}, ref.prompt)
        text = f"{model.ref}/{prompt}@{version if version is not None else DRAFT}"
        if any(one.ref == text for one in found):
            continue
        found.append(
            Subject(
                ref=text,
                label="",
                prompt=prompt,
                version=version,
                version_id=version_id,
                model=model.ref,
                model_id=model.id,
                model_hash=model.quick_hash,
                content=data,
                prompt_labels=labels,
            )
        )
    if len(found) > MOST_SUBJECTS:
        raise BadInput(f"{len(found)} subjects are too many to compare at once; at most {MOST_SUBJECTS}.")
    return [replace(one, label=name) for one, name in zip(found, short_labels(found), strict=True)]


def short_labels(subjects: Sequence[Subject]) -> list[str]:
    """The shortest names that tell the subjects apart: `@3`, `draft`, `route@3`, `starter@q4 @3`."""
    one_prompt = len({subject.prompt for subject in subjects}) <= 1
    one_model = len({subject.model for subject in subjects}) <= 1
    labels = []
    for subject in subjects:
        version = DRAFT if subject.version is None else f"@{subject.version}"
        name = (
            version
            if one_prompt
            else f"{subject.prompt} {DRAFT}"
            if version == DRAFT
            else subject.prompt + version
        )
        labels.append(name if one_model else f"{subject.model} {name}")
    return labels


def find_subject(subjects: Sequence[Subject], text: str) -> Subject:
    """The subject that `text` means: its reference, its label, `@3`, `3`, `@production` or `draft`.

    Raises BadInput when none, or more than one, is meant.
    """
    wanted = text.strip()
    short = wanted.lstrip("@")
    exact = [one for one in subjects if wanted in (one.ref, one.label)]
    loose = [
        one
        for one in subjects
        if short in one.prompt_labels
        or short == (DRAFT if one.version is None else str(one.version))
        or wanted == f"{one.prompt}@{DRAFT if one.version is None else one.version}"
        or any(wanted == f"{one.prompt}@{label}" for label in one.prompt_labels)
    ]
    found = exact or loose
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.label for one in subjects)
    problem = "means more than one column" if found else "is not among the columns"
    raise BadInput(f"{wanted!r} {problem} of this comparison. The columns are: {names}.")


def default_model(store: Store) -> Any:
    """The model that is meant when none is named: the only default, else the only model there is."""
    from store import models

    known = models.list_models(store, limit=50)
    if not known:
        raise NotFound(
            "There is no model in this workspace yet. Register one: lathe run model.register path=FILE."
        )
    if len(known) > 1:
        names = ", ".join(str(one.name) for one in known[:20])
        raise BadInput(f"Name a model: model=NAME. This workspace has: {names}.")
    return models.model_version(store, known[0].name)


def _prompt(store: Store, ref: str) -> tuple[dict[str, Any], int | None, int | None, tuple[str, ...], str]:
    from store import drafts, prompts

    name, at, selector = ref.partition("@")
    if at and selector == DRAFT:
        draft = drafts.draft(store, f"prompt:{name}")
        if draft is None:
            raise NotFound(f"{name} has no draft. Edit it first, or name a version.")
        return draft, None, None, (), name
    version = prompts.prompt_version(store, ref)
    return version.content, version.number, version.id, tuple(version.labels), version.ref.partition("@")[0]


def _with_overrides(content: Mapping[str, Any], overrides: Mapping[str, Any], ref: str) -> dict[str, Any]:
    from app.prompts.content import content_data, parse_content

    parsed = parse_content(dict(content), f"the prompt {ref}")
    data = content_data(parsed)
    given = {key: value for key, value in overrides.items() if value is not None}
    if given:
        data["sampling"] = {**data["sampling"], **given}
        data = content_data(parse_content(data, f"the prompt {ref} with these sampling settings"))
    return data
