"""Builders: from a prompt's content to the content of a new draft. They change nothing but what their name
says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.prompts.compose import example_of, expected_text
from app.prompts.content import Message, Nearest, PromptContent, parse_content
from app.prompts.normalise import Normalisation
from store.errors import BadInput

PRESETS: dict[str, str] = {
    "brief": "You answer briefly and directly. Write nothing besides the answer.",
    "label only": "You classify texts. Answer with exactly one of the allowed labels and nothing else.",
    "careful": (
        "You are careful and exact. Use only what the text says. If it does not say it, answer that it does "
        "not."
    ),
    "json": "You answer with one JSON object and nothing else: no explanation, no code fence.",
    "support desk": "You work at the support desk of a shop. You are friendly, exact and brief, and promise "
    "nothing.",
    "step by step": "You think through a problem step by step before you give the answer on a line of its "
    "own.",
}
"""System prompts to start from, by name."""

# Models like to set the marker in bold or as a heading.
_BEFORE_MARKER, _AFTER_MARKER = r"(?im)^[\s*_#>-]*", r"[\s*_]*(.+?)[\s*_]*$"
_COT_TOKENS = 512
_LABELS_AT_MOST = 20


def with_examples(content: PromptContent, cases: Sequence[Mapping[str, Any]]) -> PromptContent:
    """Few-shot from chosen cases. Each is left out again while that case (or its duplicate) is tested."""
    unanswered = sum(case.get("expected") is None for case in cases)
    if unanswered:
        raise BadInput(
            f"{unanswered} of the {len(cases)} chosen cases have no expected answer, so they cannot be "
            f"examples. "
            "Choose answered cases."
        )
    examples = [_as_answer(content, example_of(content, case).model_dump()) for case in cases]
    return _changed(content, few_shot=examples)


def with_nearest_examples(content: PromptContent, cases_ref: str, count: int = 3) -> PromptContent:
    """Few-shot picked for every case anew from a fixed version of a case set (`tickets@2`), never the case
    itself."""
    if "@" not in cases_ref:
        raise BadInput(
            f"Name a version of the case set, such as {cases_ref}@1: a saved prompt must not change later."
        )
    return _changed(content, nearest=Nearest(cases=cases_ref, count=count).model_dump())


def with_chain_of_thought(content: PromptContent, marker: str = "Answer:") -> PromptContent:
    """Ask for reasoning first and the answer on a last line after `marker`; the checks then read only that
    answer."""
    marker = " ".join(marker.split())
    if not marker:
        raise BadInput("The marker before the answer must not be empty. Use one such as Answer:")
    if content.normalise.pattern and re.escape(marker) in content.normalise.pattern:
        raise BadInput(f"This prompt already asks for its answer after {marker!r}.")
    instruction = f"Think step by step. Then write the answer alone on the last line, after “{marker}”."
    pattern = _BEFORE_MARKER + re.escape(marker) + _AFTER_MARKER
    normalise = content.normalise.model_copy(update={"pattern": pattern, "first_line": False})
    sampling = content.sampling.model_copy(
        update={"max_tokens": max(content.sampling.max_tokens, _COT_TOKENS)}
    )
    examples = [
        example.model_copy(update={"assistant": f"{marker} {example.assistant}"}).model_dump()
        for example in content.few_shot
    ]
    return _changed(
        content,
        messages=_last_user(content, instruction),
        normalise=normalise.model_dump(),
        sampling=sampling.model_dump(),
        few_shot=examples,
    )


def with_json_output(
    content: PromptContent, schema: Mapping[str, Any], field: str | None = None
) -> PromptContent:
    """Ask for JSON that fits `schema`, and let the engine allow nothing else.

    `field` names the one text field that the checks read, for case sets whose expected answer is a bare
    label.
    """
    from app.prompts.json_text import schema_problem

    problem = schema_problem(dict(schema))
    if problem:
        raise BadInput(f"This cannot be the answer's form: {problem}.")
    written = json.dumps(schema, ensure_ascii=False)
    # Raw: a schema is full of braces, and a label may be anything.
    instruction = "Answer with one JSON object that fits this schema:\n{% raw %}" + written + "{% endraw %}"
    normalise = content.normalise
    if field is not None:
        normalise = Normalisation(
            **{**normalise.model_dump(), "pattern": rf'"{re.escape(field)}"\s*:\s*"((?:[^"\\]|\\.)*)"'}
        )
    return _changed(
        content,
        messages=_last_user(content, instruction),
        json_schema=dict(schema),
        normalise=normalise.model_dump(),
        few_shot=[_json_example(example.model_dump(), field) for example in content.few_shot],
    )


def schema_of(expected: Iterable[Any]) -> tuple[dict[str, Any], str | None]:
    """A JSON schema that the expected answers fit, and the field that bare labels go into (None for objects).

    Objects give their common keys and types; a few different texts give an enumeration under `answer`.
    """
    values = [value for value in map(_parsed, expected) if value is not None]
    if not values:
        raise BadInput("The cases have no expected answers to make a schema from. Write the schema yourself.")
    if all(isinstance(value, dict) for value in values):
        keys: dict[str, list[Any]] = {}
        for value in values:
            for key, inner in value.items():
                keys.setdefault(key, []).append(inner)
        properties = {key: _type_of(inner) for key, inner in keys.items()}
        required = [key for key, inner in keys.items() if len(inner) == len(values)]
        return (
            {"type": "object", "properties": properties, "required": required, "additionalProperties": False},
            None,
        )
    labels = sorted({expected_text(value) for value in values})
    answer: dict[str, Any] = {"type": "string"}
    if len(labels) <= _LABELS_AT_MOST and len(labels) * 2 <= len(values):
        answer["enum"] = labels
    schema = {
        "type": "object",
        "properties": {"answer": answer},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return schema, "answer"


def with_system(content: PromptContent, text: str) -> PromptContent:
    """Put `text` (or the preset of that name) in place of the system message, or before everything without
    one."""
    text = PRESETS.get(text, text)
    if not text.strip():
        raise BadInput(f"Name a preset ({', '.join(PRESETS)}) or write a system message.")
    rest = [message.model_dump() for message in content.messages if message.role != "system"]
    if not rest:
        raise BadInput("This prompt has only a system message; give it a user message first.")
    return _changed(content, messages=[{"role": "system", "content": text}, *rest])


def _changed(content: PromptContent, **changes: Any) -> PromptContent:
    return parse_content({**content.model_dump(), **changes}, "the new draft")


def _last_user(content: PromptContent, instruction: str) -> list[dict[str, Any]]:
    messages = list(content.messages)
    place = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    if place < 0:
        messages.append(Message(role="user", content=instruction))
    else:
        old = messages[place]
        messages[place] = Message(role="user", content=f"{old.content.rstrip()}\n\n{instruction}")
    return [message.model_dump() for message in messages]


def _as_answer(content: PromptContent, example: dict[str, Any]) -> dict[str, Any]:
    """An example must show the form that the prompt asks for, or it teaches the wrong one."""
    pattern = content.normalise.pattern
    marker = _marker_of(pattern or "")
    if marker:
        return {**example, "assistant": f"{marker} {example['assistant']}"}
    if content.json_schema is not None:
        properties = content.json_schema.get("properties")
        names = list(properties) if isinstance(properties, dict) else []
        return _json_example(example, names[0] if pattern and len(names) == 1 else None)
    return example


def _marker_of(pattern: str) -> str:
    """The marker of a pattern that `with_chain_of_thought` made; empty for any other pattern."""
    if pattern.startswith(_BEFORE_MARKER) and pattern.endswith(_AFTER_MARKER):
        return re.sub(r"\\(.)", r"\1", pattern[len(_BEFORE_MARKER) : -len(_AFTER_MARKER)])
    return ""


def _json_example(example: dict[str, Any], field: str | None) -> dict[str, Any]:
    if field is not None and not isinstance(_parsed(example["assistant"]), dict):
        return {**example, "assistant": json.dumps({field: example["assistant"]}, ensure_ascii=False)}
    return example


def _parsed(value: Any) -> Any:
    from app.prompts.json_text import NotJson, read_json

    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            return read_json(value)
        except NotJson:
            return value
    return value


def _type_of(values: Sequence[Any]) -> dict[str, Any]:
    names = {_NAMES.get(type(value), "string") for value in values}
    if names == {"integer", "number"}:
        names = {"number"}
    if len(names) > 1:
        return {"type": sorted(names)}
    (name,) = names
    schema: dict[str, Any] = {"type": name}
    if name == "string":
        labels = sorted(set(values))
        if len(labels) <= _LABELS_AT_MOST and len(labels) * 4 <= len(values):
            schema["enum"] = labels
    elif name == "array":
        inner = [item for value in values for item in value]
        if inner:
            schema["items"] = _type_of(inner)
    elif name == "object":
        keys = {key for value in values for key in value}
        schema["properties"] = {
            key: _type_of([value[key] for value in values if key in value]) for key in sorted(keys)
        }
        schema["required"] = [key for key in sorted(keys) if all(key in value for value in values)]
    return schema


_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_NAMES[type(None)] = "null"
