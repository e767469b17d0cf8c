"""Reading YAML that somebody else wrote: JSON's types only, few aliases, and errors with their line."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

from store.errors import BadInput

MAX_YAML_CHARACTERS = 5_000_000
MAX_ALIASES = 1000
MAX_NODES = 500_000
MAX_DEPTH = 200


def read_yaml(text: str, name: str) -> Any:
    """Parse one YAML document by the rules of YAML 1.2 (`yes` and `12:30` are text, and so are dates).

    Raises BadInput, as a sentence with the line, for anything that is not plain data, and for keys given twice.
    """
    import yaml

    if len(text) > MAX_YAML_CHARACTERS:
        raise BadInput(
            f"{name} has {len(text):,} characters; at most {MAX_YAML_CHARACTERS:,} of YAML are read."
        )
    opening = (
        yaml.BlockMappingStartToken,
        yaml.BlockSequenceStartToken,
        yaml.FlowMappingStartToken,
        yaml.FlowSequenceStartToken,
    )
    closing = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
    try:
        aliases = depth = 0
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            # PyYAML's time grows with the square of the depth.
            depth += isinstance(token, opening) - isinstance(token, closing)
            if depth > MAX_DEPTH:
                line = token.start_mark.line + 1
                raise BadInput(f"{name} is nested too deeply (line {line}, more than {MAX_DEPTH}).")
            aliases += isinstance(token, yaml.AliasToken)
            if aliases > MAX_ALIASES:
                raise BadInput(f"{name} uses more than {MAX_ALIASES:,} YAML aliases. Write the values out.")
        value = yaml.load(text, Loader=_loader())  # noqa: S506 - a SafeLoader with fewer types
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise BadInput(
            f"{name} is not YAML that can be read ({place}: {error.problem or error.context})."
        ) from None
    except yaml.YAMLError as error:
        raise BadInput(f"{name} is not YAML that can be read: {str(error).splitlines()[0]}.") from None
    except RecursionError:
        raise BadInput(f"{name} is nested too deeply.") from None
    except (ValueError, OverflowError, TypeError) as error:
        raise BadInput(f"{name} holds a value that cannot be read: {error}.") from None
    _refuse_bombs(value, name)
    return value


_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
)
"""YAML 1.2's core schema (§10.3.2) and the merge key: tag, pattern, first characters."""


@functools.cache
def _loader() -> Any:
    """A loader for what promptfoo's own reader (js-yaml, YAML 1.2) takes; PyYAML reads 1.1, where the label
    `no` is false."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[Any, Any] = {}
        yaml_constructors = {
            tag: build
            for tag, build in yaml.SafeLoader.yaml_constructors.items()
            if tag is None or tag.rpartition(":")[2] not in ("binary", "timestamp", "set", "omap", "pairs")
        }

    def mapping(loader: Any, node: Any) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag.endswith(":merge") or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value[:60]!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return loader.construct_yaml_map(node)

    def integer(loader: Any, node: Any) -> int:
        text = str(loader.construct_scalar(node))
        try:
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        except ValueError:
            raise yaml.constructor.ConstructorError(
                None, None, f"{text[:30]!r} is not a whole number that can be read", node.start_mark
            ) from None

    for name, pattern, first in _CORE:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$"), first)
    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_constructor("tag:yaml.org,2002:int", integer)
    return Loader


def _refuse_bombs(value: Any, name: str) -> None:
    """Aliases make a small file stand for a huge tree: count the tree as it would be written out."""
    seen = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        one, depth = stack.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise BadInput(
                f"{name} unfolds to more than {MAX_NODES:,} values (or into itself). Write it out plainly."
            )
        if isinstance(one, float) and not math.isfinite(one):
            raise BadInput(f"{name} holds a number that is no number or too large ({one}). Write it as text.")
        if isinstance(one, dict):
            stack += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, list | tuple | set):
            stack += [(inner, depth + 1) for inner in one]
