"""promptfoo's assertions as checks: what maps exactly is mapped, everything else is named and left out.

The names and meanings are those of promptfoo's documentation (configuration/expected-outputs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.prompts.cases import HELD_OUT_SHARE, Case, parse_case
from app.prompts.checks import Check
from app.prompts.content import field_sentences
from app.prompts.json_text import NotJson, read_json
from app.prompts.template import TemplateProblem, render
from store.errors import BadInput

_TEXT_TYPES = {
    "equals": "equals",
    "contains": "contains",
    "icontains": "contains",
    "starts-with": "starts_with",
    "regex": "regex",
}
_NO_VALUE = ("is-json", "is-refusal", "is-html", "is-sql", "is-xml")
_OTHER_TYPES = (
    "answer-relevance",
    "bleu",
    "classifier",
    "contains-html",
    "contains-json",
    "contains-sql",
    "contains-xml",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "conversation-relevance",
    "cost",
    "factuality",
    "finish-reason",
    "g-eval",
    "gleu",
    "guardrails",
    "is-html",
    "is-refusal",
    "is-sql",
    "is-valid-function-call",
    "is-valid-openai-function-call",
    "is-valid-openai-tools-call",
    "is-xml",
    "javascript",
    "latency",
    "levenshtein",
    "llm-rubric",
    "meteor",
    "model-graded-closedqa",
    "model-graded-factuality",
    "moderation",
    "perplexity",
    "perplexity-score",
    "pi",
    "python",
    "rouge-n",
    "ruby",
    "search-rubric",
    "select-best",
    "similar",
    "skill-used",
    "tool-call-f1",
    "trace-error-spans",
    "trace-span-count",
    "trace-span-duration",
    "webhook",
    "word-count",
    "max-score",
    "not-is-refusal",
)
_KNOWN = (
    *_TEXT_TYPES,
    *_OTHER_TYPES,
    "is-json",
    "contains-any",
    "contains-all",
    "icontains-any",
    "icontains-all",
)
_TEST_KEYS = (
    "vars",
    "assert",
    "description",
    "metadata",
    "tags",
    "variables",
    "expected",
    "messages",
    "checks",
)


class NotMapped(BadInput):
    """An assertion has no counterpart here; the message says which and why."""


def checks_from_assertion(assertion: object, variables: Mapping[str, Any] | None = None) -> list[Check]:
    """The checks that stand for one promptfoo assertion. Raises NotMapped with the reason.

    `{{variables}}` in its value are filled in, because here a check belongs to one case.
    """
    if not isinstance(assertion, dict):
        raise NotMapped("an assertion must be a mapping with a type")
    kind = assertion.get("type")
    if not isinstance(kind, str):
        raise NotMapped("an assertion without a type")
    if kind == "assert-set":
        raise NotMapped("assert-set: groups of assertions with a threshold of their own are not supported")
    for key in ("transform", "provider", "rubricPrompt", "config"):
        if assertion.get(key) is not None:
            raise NotMapped(
                f"{kind} with {key!r}: it changes what is checked in a way that is not supported here"
            )
    negated = kind.startswith("not-")
    name = kind.removeprefix("not-")
    value = _filled(assertion.get("value"), variables or {}, kind)
    if isinstance(value, str) and value.startswith("file://"):
        raise NotMapped(
            f"{kind} with a value from a file ({value[:100]}): write the value into the assertion"
        )
    common: dict[str, Any] = {"not": negated}
    weight = assertion.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise NotMapped(f"{kind} with a weight that is not a number")
    if weight == 0:
        raise NotMapped(f"{kind} with weight 0: it would not count")
    common["weight"] = float(weight)
    try:
        return _mapped(name, kind, value, common)
    except ValidationError as error:
        raise NotMapped(f"{kind}: {field_sentences(error, 1)}") from None


def checks_from_text(text: str, variables: Mapping[str, Any] | None = None) -> list[Check]:
    """The checks of a promptfoo `__expected` cell: `contains: x`, `not-regex: x`, `is-json`, or the bare
    answer.

    Raises NotMapped for kinds that have no counterpart (`llm-rubric: …`, `similar(0.8): …`).
    """
    stripped = text.strip()
    match = re.match(r"(?P<kind>(?:not-)?[a-z-]+)(?:\((?P<threshold>[^)]*)\))?\s*:\s*", stripped)
    shorthand = {
        "fn:": "javascript",
        "eval:": "javascript",
        "grade:": "llm-rubric",
        "javascript:": "javascript",
    }
    for prefix, kind in shorthand.items():
        if stripped.startswith(prefix):
            raise NotMapped(f"{kind}: this kind of assertion is not supported here")
    if stripped.removeprefix("not-") in _NO_VALUE:
        return checks_from_assertion({"type": stripped})
    if match and match["kind"].removeprefix("not-") in _KNOWN:
        value: Any = stripped[match.end() :]
        name = match["kind"].removeprefix("not-")
        if name.endswith(("-any", "-all")):
            value = [part.strip() for part in value.split(",") if part.strip()]
        elif name == "is-json" and value:
            value = _yaml_or_json(value)
        return checks_from_assertion({"type": match["kind"], "value": value}, variables)
    if stripped.startswith(("file://", "python:")):
        raise NotMapped(f"{stripped[:40]}: code and files as assertions are not supported here")
    return [Check(kind="equals", value=text)]


def read_test(
    test: Mapping[str, Any],
    not_imported: dict[str, str],
    *,
    path: str = "test",
    defaults: Mapping[str, Any] | None = None,
    held_out: float = HELD_OUT_SHARE,
) -> Case:
    """A case from one promptfoo test; what it says beyond variables and assertions lands in `not_imported`
    by path.

    Raises BadInput when nothing usable is left.
    """
    defaults = defaults or {}
    for key in test:
        if key not in _TEST_KEYS:
            not_imported[f"{path}.{key}"] = why_not(str(key))
    variables = {
        **_vars(defaults.get("vars"), "defaultTest"),
        **_vars(test.get("vars", test.get("variables")), path),
    }
    for name, value in variables.items():
        if isinstance(value, str) and value.startswith("file://"):
            not_imported[f"{path}.vars.{name}"] = (
                f"a value from a file ({value[:100]}); the path is kept as text"
            )
        elif isinstance(value, list) and value and not all(isinstance(one, dict) for one in value):
            # promptfoo multiplies a test by its list variables; `promptfoo.py` does that before it comes
            # here.
            not_imported.setdefault(f"{path}.vars.{name}", "a list: kept as one value of one case")
    checks = [
        *checks_from_list(defaults.get("assert"), "defaultTest.assert", variables, not_imported),
        *checks_from_list(test.get("assert"), f"{path}.assert", variables, not_imported),
    ]
    row: dict[str, Any] = {"variables": variables, "checks": checks}
    for key in ("expected", "messages"):
        if test.get(key) is not None:
            row[key] = test[key]
    if isinstance(test.get("checks"), list):
        row["checks"] = [*checks, *test["checks"]]
    if isinstance(test.get("description"), str):
        row["name"] = test["description"]
    row["tags"] = _tags(test.get("metadata"), test.get("tags"))
    return parse_case(row, held_out=held_out)


def checks_from_list(
    assertions: object, place: str, variables: Mapping[str, Any], not_imported: dict[str, str]
) -> list[Check]:
    """The checks of a list of assertions; what does not map lands in `not_imported` under its place."""
    if assertions is None:
        return []
    if not isinstance(assertions, list):
        not_imported[place] = "assertions must be a list"
        return []
    checks: list[Check] = []
    for number, assertion in enumerate(assertions):
        try:
            checks += checks_from_assertion(assertion, variables)
        except NotMapped as problem:
            not_imported[f"{place}[{number}]"] = str(problem)
            continue
        for key in assertion if isinstance(assertion, dict) else ():
            if key not in ("type", "value", "weight"):
                not_imported[f"{place}[{number}].{key}"] = why_not(str(key))
    return checks


def _mapped(name: str, kind: str, value: Any, common: dict[str, Any]) -> list[Check]:
    if name in _TEXT_TYPES:
        if value is None:
            raise NotMapped(f"{kind} without a value")
        if name != "equals" and not isinstance(value, str | int | float):
            raise NotMapped(f"{kind} with a value that is not a text")
        value = value if name == "equals" else str(value)
        return [_check(_TEXT_TYPES[name], value, common, fold_case=name == "icontains")]
    if name == "is-json":
        if value is None or value == "":
            return [_check("valid_json", None, common)]
        schema = _yaml_or_json(value) if isinstance(value, str) else value
        return [_check("json_schema", schema, common)]
    if name in ("contains-any", "icontains-any", "contains-all", "icontains-all"):
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(parts, list) or not parts or not all(str(part) for part in parts):
            raise NotMapped(f"{kind} without a list of texts")
        fold = name.startswith("i")
        if name.endswith("-any"):
            pattern = "(?s)" + "|".join(re.escape(str(part)) for part in parts)
            return [_check("regex", pattern, common, fold_case=fold)]
        if common["not"]:
            # "not all of them" is one pattern with a look-ahead for each, negated as a whole.
            pattern = "(?s)^" + "".join(f"(?=.*{re.escape(str(part))})" for part in parts)
            return [_check("regex", pattern, common, fold_case=fold)]
        share = {**common, "weight": common["weight"] / len(parts)}
        return [_check("contains", str(part), share, fold_case=fold) for part in parts]
    raise NotMapped(f"{kind}: this kind of assertion is not supported here")


def _check(kind: str, value: Any, common: dict[str, Any], fold_case: bool = False) -> Check:
    return Check.model_validate({"kind": kind, "value": value, "fold_case": fold_case, **common})


def _filled(value: Any, variables: Mapping[str, Any], kind: str) -> Any:
    if isinstance(value, str) and "{{" in value:
        try:
            return render(value, variables)
        except TemplateProblem as problem:
            raise NotMapped(f"{kind}: its value cannot be filled in. {problem}") from None
    if isinstance(value, list):
        return [_filled(one, variables, kind) for one in value]
    return value


def _yaml_or_json(text: str) -> Any:
    try:
        return read_json(text)
    except NotJson:
        from app.prompts.yaml_text import read_yaml

        return read_yaml(text, "the schema")


def _vars(value: object, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(f"{where}.vars must be a mapping of names to values, not {type(value).__name__}")
    return {str(name): one for name, one in value.items()}


def _tags(metadata: object, tags: object) -> list[str]:
    found = [str(tag) for tag in tags] if isinstance(tags, list) else []
    if isinstance(metadata, dict):
        found += [
            f"{key}={value}" for key, value in metadata.items() if isinstance(value, str | int | float | bool)
        ]
    return found


_WHY = {
    "options": "options of a test (transforms, prefixes, graders) have no counterpart",
    "threshold": "a score threshold: here an answer passes when all its checks pass",
    "metric": "named metrics have no counterpart; tag the case instead",
    "provider": "the model is chosen when the comparison is started",
    "providers": "the model is chosen when the comparison is started",
    "scenarios": "scenarios are not supported; write their tests out",
    "transform": "code is never run from a configuration",
    "transformVars": "code is never run from a configuration",
    "extensions": "code is never run from a configuration",
    "providerOutput": "stored outputs are not imported",
    "env": "environment variables are not read from a configuration",
    "sharing": "nothing is shared anywhere",
    "commandLineOptions": "options of promptfoo's own command line",
    "evaluateOptions": "options of promptfoo's own runner",
    "outputPath": "export a comparison with prompt.export instead",
    "writeLatestResults": "every comparison is kept",
    "redteam": "red teaming is not supported",
    "nunjucksFilters": "code is never run from a configuration",
    "derivedMetrics": "derived metrics have no counterpart",
    "tags": "tags of the whole configuration have no counterpart",
}


def why_not(key: str) -> str:
    """Why a promptfoo key is not imported, in words."""
    return _WHY.get(key, "not known here")
