"""Prompts and cases as text files in a folder, both ways, so that git can keep them and any editor can
change them.

    FOLDER/prompts/NAME/01-system.txt 02-user.txt …   one message a file, word for word
    FOLDER/prompts/NAME/example-01-user.txt …          few-shot examples, the same way
    FOLDER/prompts/NAME/settings.json                   everything else of the prompt
    FOLDER/cases/NAME.jsonl  NAME.checks.json           one case a line; the set's default checks

Every file ends with one line break more than its text has, because editors add one; reading takes one away.
So a
round trip is exact. A folder of plain templates (`*.txt`, `*.md`, `*.j2`, chats as `*.json` or `*.yaml`) is
read too.
Links are not followed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.prompts.content import PromptContent, content_data, parse_content
from app.prompts.json_text import NotJson, read_json
from store.errors import BadInput

_MESSAGE = re.compile(r"(\d{2,6})-(system|user|assistant)\.txt")
_EXAMPLE = re.compile(r"example-(\d{2,6})-(user|assistant)\.txt")
_TEMPLATES = (".txt", ".md", ".j2", ".jinja", ".jinja2", ".prompt")
_CHATS = (".json", ".yaml", ".yml")
MAX_FILE_BYTES = 20_000_000
MAX_FILES = 10_000


@dataclass
class FolderContent:
    """What was found in a folder; `problems` names every file that could not be used."""

    prompts: list[tuple[str, PromptContent]] = field(default_factory=list)
    case_files: list[tuple[str, Path, list[Any]]] = field(default_factory=list)
    """(name of the case set, its JSONL file, default checks)"""
    problems: dict[str, str] = field(default_factory=dict)


def write_prompt(folder: Path, name: str, content: PromptContent) -> Path:
    """Write one prompt below `folder`, replacing what an earlier writing left there. Returns its own
    folder."""
    target = _inside(folder, "prompts", name)
    target.mkdir(parents=True, exist_ok=True)
    data = content_data(content)
    files: dict[str, str] = {}
    for number, message in enumerate(data.pop("messages"), 1):
        files[f"{number:02d}-{message['role']}.txt"] = _ended(message["content"])
    sources = []
    for number, example in enumerate(data.pop("few_shot"), 1):
        files[f"example-{number:02d}-user.txt"] = _ended(example["user"])
        files[f"example-{number:02d}-assistant.txt"] = _ended(example["assistant"])
        sources.append(example["source"])
    if any(source is not None for source in sources):
        data["example_sources"] = sources
    files["settings.json"] = json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    for old in target.iterdir():
        if old.name not in files and (_MESSAGE.fullmatch(old.name) or _EXAMPLE.fullmatch(old.name)):
            old.unlink()
    for file_name, text in files.items():
        _write(target / file_name, text)
    return target


def write_cases(
    folder: Path, name: str, rows: Iterable[Mapping[str, Any]], checks: list[Any]
) -> tuple[Path, int]:
    """Write a case set as JSON Lines below `folder`. Returns the file and the number of cases."""
    target = _inside(folder, "cases", f"{name}.jsonl")
    target.parent.mkdir(parents=True, exist_ok=True)
    count = write_jsonl(target, rows)
    declared = target.with_name(f"{name}.checks.json")
    if checks:
        _write(declared, json.dumps(checks, ensure_ascii=False, indent=2) + "\n")
    elif declared.exists():
        declared.unlink()
    return target, count


def write_jsonl(target: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSON Lines, whole or not at all. Returns their number."""
    count = 0
    fresh = target.with_name(f"{target.name}.new")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        for row in rows:
            # ASCII only: a line separator inside a text must not look like a line to anybody's editor.
            file.write(json.dumps(row, ensure_ascii=True, sort_keys=True) + "\n")
            count += 1
    fresh.replace(target)
    return count


def read_folder(folder: Path) -> FolderContent:
    """Read what `write_prompt` and `write_cases` wrote, or a folder of plain templates. Raises BadInput if
    neither."""
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}. Name one with prompts in it.")
    found = FolderContent()
    own = folder / "prompts"
    roots = [own] if own.is_dir() and not own.is_symlink() else [folder]
    for root in roots:
        for path in _entries(root, found):
            if path.is_dir():
                if root is not folder or _has_messages(path):
                    _read_prompt_folder(path, found)
            elif path.suffix.lower() in (*_TEMPLATES, *_CHATS) and root is folder:
                _read_template(path, found)
    if _has_messages(folder):
        found.prompts.clear()
        found.problems.clear()
        _read_prompt_folder(folder, found)
    cases = folder / "cases"
    if cases.is_dir() and not cases.is_symlink():
        for path in _entries(cases, found):
            if path.suffix == ".jsonl" and path.is_file():
                found.case_files.append((path.stem, path, _declared_checks(path, found)))
    if not found.prompts and not found.case_files:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(found.problems.items())[:5])
        raise BadInput(
            f"{folder} holds no prompts and no cases that can be read. {reasons or 'Nothing fits'}."
        )
    return found


def _entries(folder: Path, found: FolderContent) -> Iterator[Path]:
    for count, path in enumerate(sorted(folder.iterdir())):
        if count >= MAX_FILES:
            found.problems[folder.name] = f"only the first {MAX_FILES:,} files of the folder were read"
            return
        if path.name.startswith("."):
            continue
        if path.is_symlink():
            found.problems[path.name] = "a link, which is not followed"
        elif path.is_file() or path.is_dir():
            yield path
        else:
            found.problems[path.name] = "not an ordinary file"


def _has_messages(folder: Path) -> bool:
    return any(_MESSAGE.fullmatch(path.name) for path in folder.iterdir() if not path.is_symlink())


def _read_prompt_folder(folder: Path, found: FolderContent) -> None:
    messages: list[tuple[int, dict[str, str]]] = []
    examples: dict[int, dict[str, Any]] = {}
    data: dict[str, Any] = {}
    try:
        for path in _entries(folder, found):
            if match := _MESSAGE.fullmatch(path.name):
                messages.append((int(match[1]), {"role": match[2], "content": _read(path)}))
            elif match := _EXAMPLE.fullmatch(path.name):
                examples.setdefault(int(match[1]), {})[match[2]] = _read(path)
            elif path.name == "settings.json":
                value = read_json(_read(path))
                if not isinstance(value, dict):
                    raise BadInput("settings.json must hold an object")
                data = value
            else:
                found.problems[f"{folder.name}/{path.name}"] = "not a part of a prompt"
        sources = data.pop("example_sources", None) or [None] * len(examples)
        data["messages"] = [message for _, message in sorted(messages, key=lambda one: one[0])]
        data["few_shot"] = [
            {**example, "source": source}
            for (_, example), source in zip(sorted(examples.items()), sources, strict=False)
        ]
        if len(sources) < len(examples):
            data["few_shot"] += [examples[number] for number in sorted(examples)[len(sources) :]]
        found.prompts.append((folder.name, parse_content(data, f"the prompt in {folder.name}")))
    except (BadInput, NotJson) as problem:
        found.problems[folder.name] = str(problem)


def _read_template(path: Path, found: FolderContent) -> None:
    try:
        text = _read(path)
        if path.suffix.lower() in _CHATS:
            from app.prompts.yaml_text import read_yaml

            value = read_json(text) if path.suffix.lower() == ".json" else read_yaml(text, path.name)
            if isinstance(value, list):
                value = {"messages": value}
            if not isinstance(value, dict) or "messages" not in value:
                found.problems[path.name] = "neither a list of messages nor an object with messages"
                return
            found.prompts.append((path.stem, parse_content(value, f"the prompt in {path.name}")))
        elif text.strip():
            found.prompts.append((path.stem, parse_content(text)))
        else:
            found.problems[path.name] = "an empty file"
    except (BadInput, NotJson) as problem:
        found.problems[path.name] = str(problem)


def _declared_checks(path: Path, found: FolderContent) -> list[Any]:
    declared = path.with_name(f"{path.stem}.checks.json")
    if not declared.is_file() or declared.is_symlink():
        return []
    try:
        value = read_json(_read(declared))
    except (BadInput, NotJson) as problem:
        found.problems[declared.name] = str(problem)
        return []
    return value if isinstance(value, list) else [value]


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadInput(f"{path.name} is larger than {MAX_FILE_BYTES // 1_000_000} MB")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with open(descriptor, encoding="utf-8", newline="") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is not UTF-8 text") from None
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read: {error.strerror}") from None
    if text.endswith("\r\n"):
        return text[:-2]
    return text[:-1] if text.endswith("\n") else text


def _ended(text: str) -> str:
    """`text` with the end of line that `_read` takes off again: a text may itself end with a carriage return."""
    return text + ("\r\n" if text.endswith("\r") else "\n")


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
    fresh.replace(path)


def _inside(folder: Path, *parts: str) -> Path:
    target = folder.joinpath(*parts)
    if not target.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"{'/'.join(parts)} would be written outside {folder}. Rename it first.")
    return target
