"""A spec as the fields of a form: plain data that any front end can draw.

What is wrong with the values that come back says `app.jobs.values.validated`, a sentence a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.jobs.fields import Leaf, Shape, leaves
from app.jobs.operation import Spec


@dataclass(frozen=True)
class FormField:
    """One field of a form. `name` is the dotted path that `validated` and the command line take.

    `type` is what is typed there (`list`: several, by commas, each of the shape `item`; `json`: an
    object); `picks` the noun to choose from, `depends_on` the (field, values) that must hold for the
    field to be shown: any value at all when `values` is empty. `value` is the present value.
    """

    name: str
    type: Shape
    item: Shape
    title: str
    description: str
    required: bool
    default: Any
    value: Any
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    picks: str | None = None
    many: bool = False
    group: str = "main"
    advanced: bool = False
    depends_on: tuple[str, tuple[str, ...]] | None = None
    unit: str = ""
    multiline: bool = False
    placeholder: str = ""


def form_fields(spec: type[Spec], values: Mapping[str, Any] | None = None) -> list[FormField]:
    """The fields of a form over `spec`, filled from `values` (dotted or nested), defaults elsewhere; no
    errors yet.
    """
    return [_field(leaf, values or {}) for leaf in leaves(spec)]


def _field(leaf: Leaf, values: Mapping[str, Any]) -> FormField:
    bounds = _bounds(leaf)
    return FormField(
        name=leaf.path,
        type=leaf.shape,
        item=leaf.item,
        title=leaf.info.title or _title(leaf.path),
        description=leaf.info.description or "",
        required=leaf.required,
        default=leaf.default(),
        value=_present(leaf.path, values, leaf.default()),
        optional=leaf.optional,
        minimum=bounds.get("minimum"),
        maximum=bounds.get("maximum"),
        choices=leaf.choices,
        picks=leaf.fact("picks"),
        many=bool(leaf.fact("many")),
        group=leaf.fact("group") or "main",
        advanced=bool(leaf.fact("advanced")),
        depends_on=_dependency(leaf.fact("depends_on")),
        unit=leaf.fact("unit") or "",
        multiline=bool(leaf.fact("multiline")),
        placeholder=leaf.fact("placeholder") or "",
    )


def _title(path: str) -> str:
    words = path.replace("_", " ").replace(".", " · ")
    return words[:1].upper() + words[1:]


def _bounds(leaf: Leaf) -> dict[str, float]:
    found: dict[str, float] = {}
    for constraint in leaf.info.metadata:
        for name, key in (("ge", "minimum"), ("gt", "minimum"), ("le", "maximum"), ("lt", "maximum")):
            bound = getattr(constraint, name, None)
            if isinstance(bound, int | float):
                found[key] = bound
    return found


def _dependency(text: str | None) -> tuple[str, tuple[str, ...]] | None:
    if not text:
        return None
    name, _, wanted = text.partition("=")
    return name, tuple(wanted.split("|")) if wanted else ()


def _present(path: str, values: Mapping[str, Any], default: Any) -> Any:
    if path in values:
        return values[path]
    here: Any = values
    for part in path.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return default
        here = here[part]
    return here
