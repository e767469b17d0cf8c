"""Reading YAML that somebody else wrote: safe types only, few aliases, and errors with their line."""

from __future__ import annotations

from typing import Any

from store.errors import BadInput

MAX_YAML_CHARACTERS = 5_000_000
MAX_ALIASES = 1000
MAX_NODES = 500_000


def read_yaml(text: str, name: str) -> Any:
    """Parse one YAML document. Raises BadInput, as a sentence with the line, for anything that is not plain
    data."""
    import yaml

    if len(text) > MAX_YAML_CHARACTERS:
        raise BadInput(
            f"{name} has {len(text):,} characters; at most {MAX_YAML_CHARACTERS:,} of YAML are read."
        )
    try:
        aliases = 0
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            aliases += isinstance(token, yaml.AliasToken)
            if aliases > MAX_ALIASES:
                raise BadInput(f"{name} uses more than {MAX_ALIASES:,} YAML aliases. Write the values out.")
        value = yaml.safe_load(text)
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


def _refuse_bombs(value: Any, name: str) -> None:
    """Aliases make a small file stand for a huge tree: count the tree as it would be written out."""
    seen = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        one, depth = stack.pop()
        seen += 1
        if seen > MAX_NODES or depth > 200:
            raise BadInput(
                f"{name} unfolds to more than {MAX_NODES:,} values (or into itself). Write it out plainly."
            )
        if isinstance(one, dict):
            stack += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, list | tuple | set):
            stack += [(inner, depth + 1) for inner in one]
