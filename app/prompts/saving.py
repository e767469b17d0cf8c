"""Saving prompt versions, moving labels, and building drafts: what one key press in the tab does,
headless."""

from __future__ import annotations

from typing import Any

from app.jobs.context import Context
from app.prompts import builders
from app.prompts.compose import prompt_variables
from app.prompts.content import PromptContent, content_data, parse_content
from app.prompts.report import case_rows
from app.prompts.specs import BuildSpec, LabelSpec, SavePromptSpec, UnlabelSpec
from app.prompts.subjects import DRAFT
from app.prompts.template import TemplateProblem, check_template
from store import datasets, drafts, prompts
from store.errors import BadInput, NotFound
from store.prompts import PromptVersion
from store.workspace import Store


def draft_key(name: str) -> str:
    """Where the unsaved text of a prompt is kept."""
    return f"prompt:{name}"


def save_prompt(spec: SavePromptSpec, context: Context) -> dict[str, Any]:
    """Save a new version from a text, from a whole content, or from the draft."""
    store = context.store
    parent = _parent(store, spec)
    content = _content_of(store, spec, parent)
    overrides = {key: value for key, value in spec.sampling.model_dump().items() if value is not None}
    if overrides:
        data = content_data(content)
        content = parse_content({**data, "sampling": {**data["sampling"], **overrides}}, spec.name)
    check_templates(content)
    version = prompts.save_version(
        store,
        spec.name,
        content_data(content),
        parent=parent.id if parent is not None else None,
        note=spec.note,
        job_id=context.job_id,
    )
    for label in spec.label:
        _refuse_reserved(label)
        version = prompts.set_label(store, version.ref, label)
    if spec.draft:
        drafts.drop_draft(store, draft_key(spec.name))
        drafts.drop_draft(store, f"prompt-parent:{spec.name}")
    return _published(context, version, content)


def label_prompt(spec: LabelSpec, context: Context) -> dict[str, Any]:
    """Point a label at a version; it leaves the version that had it."""
    _refuse_reserved(spec.label)
    version = prompts.set_label(context.store, spec.prompt, spec.label)
    context.publish("prompt", version.id, version.ref, version.hash)
    return {"ref": version.ref, "label": spec.label, "labels": prompts.labels(context.store, version.name)}


def unlabel_prompt(spec: UnlabelSpec, context: Context) -> dict[str, Any]:
    """Take a label away; references that use it fail from now on."""
    name = spec.prompt.partition("@")[0]
    prompts.remove_label(context.store, name, spec.label)
    return {"prompt": name, "labels": prompts.labels(context.store, name)}


def build_prompt(spec: BuildSpec, context: Context) -> dict[str, Any]:
    """Make a new draft (or version) from a version with one of the builders."""
    store = context.store
    parent = prompts.prompt_version(store, spec.prompt)
    content = built(store, spec, parse_content(parent.content, f"the prompt {parent.ref}"))
    check_templates(content)
    note = f"{spec.builder.replace('_', ' ')}, from @{parent.number}"
    if spec.save:
        version = prompts.save_version(
            store, parent.name, content_data(content), parent=parent.id, note=note, job_id=context.job_id
        )
        return _published(context, version, content)
    key = draft_key(parent.name)
    if drafts.draft(store, key) is not None:
        raise BadInput(
            f"{parent.name} has an unsaved draft already, and nothing typed is thrown away. Save it, discard "
            f"it, or "
            "build with save=true."
        )
    drafts.save_draft(store, key, content_data(content))
    drafts.save_draft(store, f"prompt-parent:{parent.name}", parent.number)
    return {"draft": f"{parent.name}@{DRAFT}", "note": note, "variables": list(prompt_variables(content))}


def built(store: Store, spec: BuildSpec, content: PromptContent) -> PromptContent:
    """The new content that a builder makes of `content`."""
    if spec.builder == "chain_of_thought":
        return builders.with_chain_of_thought(content, spec.marker)
    if spec.builder == "system":
        return builders.with_system(content, spec.preset)
    if spec.builder == "json" and spec.json_schema is not None:
        return builders.with_json_output(content, spec.json_schema)
    if not spec.cases:
        raise BadInput(f"The builder {spec.builder} needs a case set: cases=NAME.")
    cases = datasets.dataset_version(store, spec.cases, role="cases")
    if spec.builder == "nearest":
        return builders.with_nearest_examples(content, cases.ref, spec.count)
    rows = [row.content for row in case_rows(store, cases.id)]
    if spec.builder == "json":
        schema, field = builders.schema_of(row.get("expected") for row in rows)
        return builders.with_json_output(content, schema, field)
    if spec.positions:
        missing = [number for number in spec.positions if not 1 <= number <= len(rows)]
        if missing:
            raise BadInput(f"{cases.ref} has no case {missing[0]}; its cases are numbered 1 to {len(rows)}.")
        chosen = [rows[number - 1] for number in spec.positions]
    else:
        # Those for tuning: held-out answers must not be in the prompt that is judged by them.
        tuning = [row for row in rows if row.get("expected") is not None and row.get("split") != "held_out"]
        chosen = _varied(tuning, spec.count)
    if not chosen:
        raise BadInput(f"{cases.ref} has no answered case for tuning. Add one, or choose cases by number.")
    return builders.with_examples(content, chosen)


def check_templates(content: PromptContent) -> None:
    """Raise TemplateProblem, naming the message, when a template cannot be read."""
    for number, message in enumerate(content.messages, 1):
        try:
            check_template(message.content)
        except TemplateProblem as problem:
            raise TemplateProblem(f"Message {number} ({message.role}): {problem}") from None


def _varied(cases: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first cases with different answers, then the first of the rest: examples should show what there
    is."""
    seen: set[str] = set()
    different: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for case in cases:
        answer = str(case.get("expected"))
        (rest if answer in seen else different).append(case)
        seen.add(answer)
    return (different + rest)[:count]


def _parent(store: Store, spec: SavePromptSpec) -> PromptVersion | None:
    if spec.parent is not None:
        text = spec.parent.strip().lstrip("@")
        if text.isdecimal() or "@" not in spec.parent.strip().lstrip("@"):
            text = text if text == spec.name else f"{spec.name}@{text}"
        return prompts.prompt_version(store, text)
    exists = any(
        prompt.name == spec.name for prompt in prompts.list_prompts(store, filter=spec.name, limit=1000)
    )
    return prompts.prompt_version(store, spec.name) if exists else None


def _content_of(store: Store, spec: SavePromptSpec, parent: PromptVersion | None) -> PromptContent:
    given = [spec.text is not None or spec.system is not None, spec.content is not None, spec.draft]
    if sum(given) > 1:
        raise BadInput("Give the prompt once: as text (and system), as content, or draft=true.")
    if spec.draft:
        draft = drafts.draft(store, draft_key(spec.name))
        if draft is None:
            raise NotFound(f"{spec.name} has no draft to save.")
        return parse_content(draft, f"the draft of {spec.name}")
    if spec.content is not None:
        return parse_content(spec.content, f"the prompt {spec.name}")
    old = (
        content_data(parse_content(parent.content, f"the prompt {parent.ref}")) if parent is not None else {}
    )
    if not any(given):
        if parent is None:
            raise BadInput(f"{spec.name} is new, so it needs a text: text='…{{{{variable}}}}…'.")
        return parse_content(old, parent.ref)
    before = old.get("messages", [])
    system = spec.system
    if system is None:
        system = next((message["content"] for message in before if message["role"] == "system"), None)
    messages = [{"role": "system", "content": system}] if system else []
    if spec.text is not None:
        messages.append({"role": "user", "content": spec.text})
    else:
        messages += [message for message in before if message["role"] != "system"]
    # Only the messages are new: sampling, examples and the rest come from the version before.
    return parse_content({**old, "messages": messages}, f"the prompt {spec.name}")


def _refuse_reserved(label: str) -> None:
    if label == DRAFT:
        raise BadInput(
            "“draft” means the unsaved text of a prompt, so it cannot be a label. Use another word."
        )


def _published(context: Context, version: PromptVersion, content: PromptContent) -> dict[str, Any]:
    context.publish("prompt", version.id, version.ref, version.hash)
    return {
        "ref": version.ref,
        "version": version.number,
        "hash": version.hash,
        "variables": list(prompt_variables(content)),
        "labels": list(version.labels),
    }
