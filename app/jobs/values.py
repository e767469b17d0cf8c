"""From what a person gives (`a.b=1`, a list by commas, a file by `@path`, TOML, a form) to a valid spec,
and back.

The only place that turns text into the values of a spec; everything it refuses comes back as one sentence
a field.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.jobs.fields import Leaf, leaves, plain
from app.jobs.sentences import field_sentence, unknown_field
from store.errors import BadInput

AnySpec = TypeVar("AnySpec", bound=BaseModel)
MOST_BYTES_OF_A_VALUE = 16 << 20


class SpecError(BadInput):
    """Values that a spec does not take; `fields` has one sentence for each dotted name, "" for the whole."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(
            "\n".join(f"{name}: {sentence}" if name else sentence for name, sentence in fields.items())
        )


def assignments(spec: type[BaseModel], words: Iterable[str], base: Path | None = None) -> dict[str, Any]:
    """Read `key=value` words into a nested dict for `validated`.

    Lists go by commas (`"a,b",c` quotes one that holds a comma) and a list's key may be repeated; `@path`
    reads the value from a file relative to `base`, `@@x` is the text `@x`. Raises SpecError.
    """
    known = {leaf.path: leaf for leaf in leaves(spec)}
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        leaf = known.get(name)
        holder = None if leaf else _open_ended(known, name)
        if not equals:
            problems[word] = f"is not of the form key=value. Write {word}=… with a value."
        elif leaf is None and holder is None:
            problems[name] = unknown_field(name, known)
        else:
            try:
                value = _from_word(leaf, text, base or Path.cwd())
                _put(values, name, value, repeatable=leaf is not None and leaf.shape == "list")
            except BadInput as error:
                problems[name] = str(error)
    if problems:
        raise SpecError(problems)
    return values


def validated(spec: type[AnySpec], values: Mapping[str, Any]) -> AnySpec:
    """The spec made of `values`: nested or with dotted keys, typed or as a form's text. Raises SpecError."""
    nested: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in values.items():
        try:
            _put(nested, name, value, replace=True)
        except BadInput as error:
            problems[name] = str(error)
    known = {leaf.path: leaf for leaf in leaves(spec)}
    for leaf in known.values():
        try:
            _read_text(nested, leaf)
        except BadInput as error:
            problems[leaf.path] = str(error)
    if problems:
        raise SpecError(problems)
    try:
        return spec.model_validate(nested)
    except ValidationError as error:
        raise SpecError(_sentences(error, known)) from None


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts laid over each other; later ones win, leaf by leaf."""
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            here = result.get(name)
            if isinstance(here, Mapping) and isinstance(value, Mapping):
                result[name] = merged(here, value)
            else:
                result[name] = value
    return result


def with_absolute_paths(spec: AnySpec, base: Path) -> AnySpec:
    """The same spec with its files and folders made absolute: a worker does not run in the user's folder."""
    values = plain(spec)
    for leaf in leaves(type(spec)):
        if leaf.fact("picks") in ("file", "folder"):
            *parents, last = leaf.path.split(".")
            holder = values
            for parent in parents:
                holder = (holder or {}).get(parent)
            if holder and holder.get(last):
                given = holder[last]
                holder[last] = (
                    [_absolute(item, base) for item in given]
                    if isinstance(given, list)
                    else _absolute(given, base)
                )
    return type(spec).model_validate(values)


def as_words(spec: type[BaseModel], values: Mapping[str, Any]) -> list[str]:
    """The `key=value` words that say `values` again; what is at its default needs no word."""
    words = []
    for leaf in leaves(spec):
        value: Any = values
        for part in leaf.path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value != leaf.default():
            words.append(f"{leaf.path}={_as_word(leaf, value)}")
    return words


def read_recipe(path: Path) -> dict[str, Any]:
    """The values in a TOML recipe; BadInput says where it is broken."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"The recipe {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"The recipe {path} is not UTF-8 text.") from None
    return _from_toml(text, f"The recipe {path}")


def to_toml(spec: BaseModel) -> str:
    """The spec as a TOML recipe that `read_recipe` and `validated` turn back into the same spec."""
    lines: list[str] = []
    _write_table(plain(spec), (), lines)
    return "\n".join(lines).strip() + "\n"


def _from_word(leaf: Leaf | None, text: str, base: Path) -> Any:
    if text.startswith("@@"):
        text = text[1:]
    elif text.startswith("@"):
        path = Path(base, Path(text[1:]).expanduser())
        text = _read_value_file(path)
        if leaf is not None and leaf.shape == "list" and path.suffix != ".json":
            return [line for line in text.splitlines() if line.strip()]
        if leaf is not None and leaf.shape == "json" and path.suffix == ".toml":
            return _from_toml(text, f"names the file {path}, which")
    if leaf is None:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return _typed(leaf, text)


def _as_word(leaf: Leaf, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if leaf.shape == "list" and isinstance(value, list):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value)
        text = line.getvalue()
        if _typed(leaf, text) != [str(item) for item in value]:
            text = json.dumps(value, ensure_ascii=False)  # line ends, blanks at the edge, a bracket in front
        return f"@{text}" if text.startswith("@") else text
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"@{text}" if text.startswith("@") else text


def _from_toml(text: str, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{what} is not valid TOML: {error}.") from None


def _typed(leaf: Leaf, text: str) -> Any:
    """The value that `text` means at `leaf`; pydantic reads the scalars itself."""
    bare = text.strip()
    if leaf.optional and (bare.lower() in ("none", "null") or (not bare and leaf.shape != "text")):
        return None
    if leaf.shape == "list":
        if bare.startswith("["):
            try:
                return json.loads(bare)
            except (ValueError, RecursionError):
                pass  # a list whose first element begins with a bracket
        try:
            rows = list(csv.reader([text.replace("\n", " ").replace("\r", " ")], skipinitialspace=True))
        except csv.Error:
            raise BadInput(
                "has an element that is too long. Give the list as JSON in a file: @list.json"
            ) from None
        return [item.strip() for row in rows for item in row if item.strip()]
    if leaf.shape == "json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            if leaf.takes_text:
                return text
            raise BadInput(f"is not valid JSON: {error}.") from None
    return text if leaf.shape == "text" else bare


def _read_text(nested: dict[str, Any], leaf: Leaf) -> None:
    """Turn a form's text at `leaf` into its value, in place; text left empty means the default."""
    *parents, last = leaf.path.split(".")
    holder: Any = nested
    for parent in parents:
        holder = holder.get(parent) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or last not in holder:
        return
    value = holder[last]
    if isinstance(value, str):
        if not value.strip() and leaf.shape not in ("text", "list") and not leaf.optional:
            del holder[last]
        else:
            holder[last] = _typed(leaf, value)
    elif leaf.shape == "list" and value is not None and not isinstance(value, list | tuple | set | frozenset):
        holder[last] = [value]


def _put(
    values: dict[str, Any], name: str, value: Any, *, repeatable: bool = False, replace: bool = False
) -> None:
    *parents, last = name.split(".")
    holder = values
    for parent in parents:
        holder = holder.setdefault(parent, {})
        if not isinstance(holder, dict):
            raise BadInput(f"stands beside a value for {parent} as a whole. Give one of the two.")
    if last in holder and not replace:
        if not repeatable:
            raise BadInput("is given twice. Give it once.")
        value = [*holder[last], *value]
    if replace and isinstance(value, Mapping):
        value = merged(holder.get(last, {}), value)
    holder[last] = value


def _open_ended(known: Mapping[str, Leaf], name: str) -> Leaf | None:
    """The leaf that takes any JSON object and so takes `variables.name=…` too."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        leaf = known.get(".".join(parts[:count]))
        if leaf is not None and leaf.shape == "json":
            return leaf
    return None


def _read_value_file(path: Path) -> str:
    try:
        if not path.is_file():
            raise BadInput(
                f"names the file {path}, which does not exist. Write @@ for a text that begins with @."
            )
        if path.stat().st_size > MOST_BYTES_OF_A_VALUE:
            raise BadInput(f"names the file {path}, which is larger than 16 MiB. Import it as a dataset.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"names the file {path}, which is not UTF-8 text.") from None
    except OSError as error:
        raise BadInput(f"names the file {path}, which cannot be read: {error.strerror}.") from None


def _absolute(given: str, base: Path) -> str:
    return str(Path(base, Path(given).expanduser()).absolute())


def _sentences(error: ValidationError, known: Mapping[str, Leaf]) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        while path not in known and "." in path and problem["type"] not in ("missing", "extra_forbidden"):
            path = path.rpartition(".")[0]
        sentences.setdefault(path, field_sentence(problem, path, known))
    return sentences


def _write_table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    nested = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    for name, value in table.items():
        if name not in nested and value is not None:
            lines.append(f"{_toml_key(name)} = {_toml_value(value)}")
    for name, value in nested.items():
        inner = (*path, _toml_key(name))
        lines.extend(["", f"[{'.'.join(inner)}]"])
        _write_table(value, inner, lines)


def _toml_key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _toml_text(name)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inner = (
            f"{_toml_key(name)} = {_toml_value(item)}" for name, item in value.items() if item is not None
        )
        return "{ " + ", ".join(inner) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value if item is not None) + "]"
    return _toml_text(str(value))


def _toml_text(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL and for characters beyond the basic plane.
    clean = text.encode("utf-8", "replace").decode()
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")
