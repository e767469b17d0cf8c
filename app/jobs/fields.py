"""A spec laid flat: one leaf a value, nested specs by dots. What the command line, the forms and the help
share.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.jobs.operation import FACTS

Shape = Literal["text", "integer", "number", "boolean", "choice", "list", "json"]


@dataclass(frozen=True)
class Leaf:
    """One value of a spec. `path` is its dotted name; `item` the shape of an element when `shape` is
    `list`.
    """

    path: str
    info: FieldInfo
    shape: Shape
    item: Shape
    choices: tuple[str, ...]
    optional: bool
    """True where None (`none`, or nothing at all) is a value of its own."""
    required: bool
    takes_text: bool
    """True where text that is not JSON is a value too."""

    def fact(self, name: str) -> Any:
        """What the declaration says beside the type: group, advanced, picks, many, depends_on, unit, …"""
        extra = self.info.json_schema_extra
        facts = extra.get(FACTS) if isinstance(extra, dict) else None
        return facts.get(name) if isinstance(facts, dict) else None

    def default(self) -> Any:
        """The default as plain data; None for a required leaf."""
        return None if self.info.is_required() else plain(self.info.get_default(call_default_factory=True))


def leaves(spec: type[BaseModel], prefix: str = "", within_optional: bool = False) -> Iterator[Leaf]:
    """Every leaf of `spec` in the order of declaration."""
    for name, info in spec.model_fields.items():
        inner, optional = _without_none(info.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            skippable = within_optional or (optional and not info.is_required())
            yield from leaves(inner, f"{prefix}{name}.", skippable)
            continue
        shape, item, choices = _shape(inner)
        required = info.is_required() and not within_optional
        union = get_origin(inner) in (typing.Union, types.UnionType)
        takes_text = inner is Any or inner is str or (union and str in get_args(inner))
        yield Leaf(f"{prefix}{name}", info, shape, item, choices, optional, required, takes_text)


def plain(value: Any) -> Any:
    """`value` as JSON and TOML can say it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (typing.Union, types.UnionType):
        rest = tuple(arm for arm in get_args(annotation) if arm is not types.NoneType)
        if len(rest) < len(get_args(annotation)):
            return (rest[0] if len(rest) == 1 else typing.Union[rest]), True  # noqa: UP007 - built at run time
    return annotation, False


def _shape(annotation: Any) -> tuple[Shape, Shape, tuple[str, ...]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "choice", "text", tuple(str(choice) for choice in arguments)
    if origin in (list, tuple, set, frozenset):
        item, _ = _without_none(arguments[0] if arguments else str)
        shape, _, choices = _shape(item)
        return ("json", "json", ()) if shape in ("json", "list") else ("list", shape, choices)
    if origin in (typing.Union, types.UnionType):
        shapes = {_shape(arm)[0] for arm in arguments}
        scalar = shapes <= {"text", "integer", "number", "boolean", "choice"}
        return ("text" if scalar else "json"), "text", ()
    scalars: dict[Any, Shape] = {str: "text", int: "integer", float: "number", bool: "boolean"}
    return scalars.get(annotation, "json"), "text", ()
