"""Importing a promptfoo configuration: prompts, tests and the assertions that map to checks.

Nothing is left out silently: every key that does not become part of a prompt or a case is named with its
path and the
reason. No code in a configuration is ever run, and files outside its folder are not read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.prompts.case_files import Reading, ReadOptions, read_cases
from app.prompts.cases import HELD_OUT_SHARE, Case
from app.prompts.content import PromptContent, parse_content
from app.prompts.json_text import NotJson, read_json
from app.prompts.promptfoo_checks import checks_from_list, read_test, why_not
from app.prompts.template import TemplateProblem, check_template
from app.prompts.yaml_text import read_yaml
from store.errors import BadInput

MAX_FILE_BYTES = 20_000_000
MAX_PRODUCT = 10_000
"""Cases that one test with list variables may multiply into."""
_READ_KEYS = ("prompts", "tests", "defaultTest", "description")


@dataclass
class PromptfooImport:
    """What a configuration came to."""

    prompts: list[tuple[str, PromptContent]] = field(default_factory=list)
    """(name or label, content) in the order of the file."""
    cases: list[Case] = field(default_factory=list)
    not_imported: dict[str, str] = field(default_factory=dict)
    """Path in the configuration → why it was left out."""
    description: str = ""


def read_promptfoo(path: Path, *, held_out: float = HELD_OUT_SHARE) -> PromptfooImport:
    """Read a promptfoo YAML or JSON configuration. Raises BadInput with a sentence (and the line for bad
    YAML)."""
    value = _load(path)
    if not isinstance(value, dict):
        raise BadInput(
            f"{path.name} is not a promptfoo configuration: its top level must be a mapping with 'prompts'."
        )
    if not any(key in value for key in ("prompts", "tests", "defaultTest")):
        raise BadInput(f"{path.name} is not a promptfoo configuration: it has neither 'prompts' nor 'tests'.")
    found = PromptfooImport(description=str(value.get("description") or "")[:500])
    for key in value:
        if key not in _READ_KEYS:
            found.not_imported[str(key)] = why_not(str(key))
    _read_prompts(value.get("prompts"), path.parent, found)
    defaults = _read_defaults(value.get("defaultTest"), path.parent, found)
    for place, test in _tests(value.get("tests"), path.parent, found, held_out):
        if isinstance(test, Case):
            found.cases.append(_with_defaults(test, defaults, found))
            continue
        for one in _multiplied(test, place, found):
            try:
                found.cases.append(
                    read_test(one, found.not_imported, path=place, defaults=defaults, held_out=held_out)
                )
            except BadInput as problem:
                found.not_imported[place] = str(problem)
    if not found.prompts and not found.cases:
        reasons = "; ".join(f"{key}: {reason}" for key, reason in list(found.not_imported.items())[:5])
        raise BadInput(f"Nothing in {path.name} could be imported. {reasons}.")
    return found


def _load(path: Path) -> Any:
    try:
        if not path.is_file():
            raise BadInput(f"There is no file {path}. Name a promptfooconfig.yaml.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadInput(
                f"{path.name} is larger than {MAX_FILE_BYTES // 1_000_000} MB; it is not a configuration."
            )
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if path.suffix.lower() == ".json":
        try:
            return read_json(text, unique_keys=True)
        except NotJson as problem:
            raise BadInput(f"{path.name} is not JSON: {problem}.") from None
    if path.suffix.lower() in (".js", ".cjs", ".mjs", ".ts", ".py"):
        raise BadInput(f"{path.name} is code, and code is never run here. Write the configuration as YAML.")
    return read_yaml(text, path.name)


# --- prompts
# --------------------------------------------------------------------------------------------------------


def _read_prompts(value: object, folder: Path, found: PromptfooImport) -> None:
    if value is None:
        return
    items: list[Any] = list(value) if isinstance(value, list) else [value]
    if isinstance(value, dict) and not ({"raw", "id", "label"} & value.keys()):
        # The old form: {file or text: label}.
        items = [{"id": key, "label": label} for key, label in value.items()]
    for number, item in enumerate(items):
        place = f"prompts[{number}]"
        try:
            found.prompts += _prompt(item, place, folder, found)
        except (BadInput, NotJson) as problem:
            found.not_imported[place] = str(problem)


def _prompt(item: Any, place: str, folder: Path, found: PromptfooImport) -> list[tuple[str, PromptContent]]:
    label = ""
    if isinstance(item, dict) and not ("role" in item and "content" in item):
        for key in item:
            if key not in ("raw", "id", "label", "display"):
                found.not_imported[f"{place}.{key}"] = why_not(str(key))
        if "raw" in item and "id" in item:
            found.not_imported[f"{place}.id"] = "a prompt here has a name and a version, no id of its own"
        label = str(item.get("label") or item.get("display") or "")
        item = item.get("raw", item.get("id"))
        if item is None:
            raise BadInput("a prompt without text: neither 'raw' nor 'id' is given")
    if isinstance(item, list | dict):
        return [(label, _conversation(item))]
    if not isinstance(item, str) or not item.strip():
        raise BadInput("a prompt must be a text, a file or a list of messages")
    if item.startswith("file://") or _looks_like_a_file(item):
        return _prompts_of_file(item.removeprefix("file://"), label, folder)
    return [(label, _text_prompt(item))]


def _looks_like_a_file(text: str) -> bool:
    return (
        "\n" not in text
        and "{{" not in text
        and len(text) < 300
        and bool(re.fullmatch(r"\S+\.(txt|json|jsonl|ya?ml|md|j2|csv|py|js|cjs|mjs|ts)(:\w+)?", text.strip()))
    )


def _prompts_of_file(name: str, label: str, folder: Path) -> list[tuple[str, PromptContent]]:
    found = []
    for path in _files(name, folder):
        suffix = path.suffix.lower()
        if suffix in (".py", ".js", ".cjs", ".mjs", ".ts") or ":" in path.name:
            raise BadInput(f"{name}: a prompt made by code; code is never run here")
        text = _text_of(path)
        title = label or path.stem
        if suffix in (".json", ".yaml", ".yml"):
            value = read_json(text) if suffix == ".json" else read_yaml(text, path.name)
            found.append(
                (title, _conversation(value) if isinstance(value, list | dict) else _text_prompt(text))
            )
        elif suffix == ".jsonl":
            found += [(title, _conversation(read_json(line))) for line in text.splitlines() if line.strip()]
        else:
            # promptfoo's separator of several prompts in one text file.
            parts = [part.strip("\n") for part in re.split(r"(?m)^---[ \t]*$", text) if part.strip()]
            found += [(title, _text_prompt(part)) for part in parts]
    if not found:
        raise BadInput(f"{name}: the file holds no prompt")
    return found


def _files(name: str, folder: Path) -> list[Path]:
    root = folder.resolve()
    if any(mark in name for mark in "*?["):
        if name.startswith("/") or ".." in Path(name).parts:
            raise BadInput(f"{name}: files outside the configuration's folder are not read")
        paths = sorted(path for path in root.glob(name) if path.is_file())[:200]
    else:
        paths = [root / name]
    for path in paths:
        try:
            inside = path.resolve().is_relative_to(root)
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside:
            raise BadInput(f"{name}: files outside the configuration's folder are not read")
    if not paths:
        raise BadInput(f"{name}: no file matches")
    return paths


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            raise BadInput(f"{path.name}: there is no such file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadInput(f"{path.name}: larger than {MAX_FILE_BYTES // 1_000_000} MB")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path.name}: not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path.name}: {getattr(error, 'strerror', None) or error}") from None


def _text_prompt(text: str) -> PromptContent:
    """A text prompt; one that spells a list of chat messages as JSON or YAML is that conversation."""
    stripped = text.strip()
    if stripped.startswith("[") and '"role"' in stripped:
        try:
            return _conversation(read_json(stripped))
        except NotJson:
            # Its JSON only comes about when the variables are filled in, as with {{ x | dump }}.
            return _checked([{"role": "user", "content": text}])
    if stripped.startswith("- role:"):
        return _conversation(read_yaml(stripped, "the prompt"))
    return _checked([{"role": "user", "content": text}])


def _conversation(value: Any) -> PromptContent:
    if isinstance(value, dict):
        value = value.get("messages", [value] if "role" in value else None)
    if not isinstance(value, list) or not value:
        raise BadInput("a prompt that is neither a text nor a list of messages")
    messages = []
    for message in value:
        if not isinstance(message, dict) or "content" not in message:
            raise BadInput("a message without content")
        role = "system" if message.get("role") == "developer" else message.get("role")
        messages.append({"role": role, "content": message["content"]})
    return _checked(messages)


def _checked(messages: list[dict[str, Any]]) -> PromptContent:
    content = parse_content({"messages": _in_jinja(messages)})
    for message in content.messages:
        try:
            check_template(message.content)
        except TemplateProblem as problem:
            raise BadInput(str(problem)) from None
    return content


def _in_jinja(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """promptfoo's templates are Nunjucks: `dump` is Jinja's `tojson`, and conditions and loops read the
    same."""
    return [
        {**message, "content": re.sub(r"\|\s*dump\b(\(\d*\))?", "| tojson", message["content"])}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]


# --- tests
# ----------------------------------------------------------------------------------------------------------


def _read_defaults(value: object, folder: Path, found: PromptfooImport) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str) and value.startswith("file://"):
        try:
            (path,) = _files(value.removeprefix("file://"), folder)
            value = read_yaml(_text_of(path), path.name)
        except (BadInput, ValueError) as problem:
            found.not_imported["defaultTest"] = str(problem)
            return {}
    if not isinstance(value, dict):
        found.not_imported["defaultTest"] = "it must be a mapping"
        return {}
    for key in value:
        if key not in ("vars", "assert"):
            found.not_imported[f"defaultTest.{key}"] = why_not(str(key))
    kept = {key: value[key] for key in ("vars", "assert") if key in value}
    if not isinstance(kept.get("vars", {}), dict):
        found.not_imported["defaultTest.vars"] = "it must be a mapping of names to values"
        del kept["vars"]
    return kept


def _tests(
    value: object, folder: Path, found: PromptfooImport, held_out: float
) -> Iterator[tuple[str, dict[str, Any] | Case]]:
    items = value if isinstance(value, list) else [] if value is None else [value]
    for number, item in enumerate(items):
        place = f"tests[{number}]" if isinstance(value, list) else "tests"
        if isinstance(item, str):
            yield from _tests_of_file(item.removeprefix("file://"), place, folder, found, held_out)
        elif isinstance(item, dict) and "path" in item and "vars" not in item:
            found.not_imported[place] = (
                f"tests made by code ({str(item['path'])[:100]}); code is never run here"
            )
        elif isinstance(item, dict):
            yield place, item
        else:
            found.not_imported[place] = f"a test must be a mapping, not {type(item).__name__}"


def _tests_of_file(
    name: str, place: str, folder: Path, found: PromptfooImport, held_out: float
) -> Iterator[tuple[str, dict[str, Any] | Case]]:
    if re.match(r"(https?|s3|az|gs|huggingface)://", name):
        found.not_imported[place] = f"{name[:100]}: nothing is fetched from the network"
        return
    try:
        for path in _files(name, folder):
            suffix = path.suffix.lower()
            if suffix in (".csv", ".tsv", ".jsonl", ".ndjson", ".json"):
                reading = Reading()
                yield from (
                    (place, case) for case in read_cases(path, ReadOptions(held_out=held_out), reading)
                )
                for key, reason in reading.not_imported.items():
                    found.not_imported[f"{place} ({path.name}): {key}"] = reason
                if reading.rejected_count:
                    found.not_imported[f"{place} ({path.name})"] = reading.sentence()
            elif suffix in (".yaml", ".yml"):
                yield from _tests(read_yaml(_text_of(path), path.name), folder, found, held_out)
            else:
                raise BadInput(
                    f"{name}: only CSV, JSON, JSONL and YAML files of tests are read; code is never run"
                )
    except BadInput as problem:
        found.not_imported[place] = str(problem)


def _multiplied(test: dict[str, Any], place: str, found: PromptfooImport) -> Iterable[dict[str, Any]]:
    """promptfoo runs a test once for every combination of its list variables; so do we, each as its own
    case."""
    variables = test.get("vars")
    if not isinstance(variables, dict):
        return [test]
    options = test.get("options")
    if isinstance(options, dict) and options.get("disableVarExpansion"):
        return [test]
    lists = {name: value for name, value in variables.items() if isinstance(value, list) and value}
    lists = {
        name: value
        for name, value in lists.items()
        if all(isinstance(one, str | int | float) for one in value)
    }
    product = 1
    for value in lists.values():
        product *= len(value)
    if product > MAX_PRODUCT:
        found.not_imported[place] = (
            f"its list variables multiply into {product:,} cases; at most {MAX_PRODUCT:,}"
        )
        return []
    return [
        {**test, "vars": {**variables, **dict(zip(lists, values, strict=True))}}
        for values in itertools.product(*lists.values())
    ]


def _with_defaults(case: Case, defaults: dict[str, Any], found: PromptfooImport) -> Case:
    if not defaults:
        return case
    variables = {**defaults.get("vars", {}), **case.variables}
    checks = checks_from_list(defaults.get("assert"), "defaultTest.assert", variables, found.not_imported)
    return case.model_copy(update={"variables": variables, "checks": (*checks, *case.checks)})
