"""The contract that carries everything: an operation is a name, a spec and one function.

From this one declaration come the form, `lathe run`, the recipe, the palette entry, the job, the lineage
and the resume; nothing else has to be written for a new capability.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as PydanticField
from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from app.jobs.context import Context
    from store.workspace import Store

Kind = Literal["inline", "worker", "heavy"]
Noun = Literal["prompt", "prompt_version", "cases", "model", "dataset", "evaluation", "job", "file", "folder"]
FACTS = "lathe"
"""Key in a field's JSON schema under which everything stands that a form needs and pydantic does not know."""


class Spec(BaseModel):
    """The typed input of an operation: unknown keys are errors, and a spec never changes once made."""

    # A recipe says `versions = [1, 2]` where the spec has texts, and a person should not have to care.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


def Field(
    default: Any = PydanticUndefined,
    *,
    description: str,
    default_factory: Callable[[], Any] | None = None,
    title: str | None = None,
    group: str = "main",
    advanced: bool = False,
    picks: Noun | None = None,
    many: bool = False,
    depends_on: str | None = None,
    unit: str | None = None,
    multiline: bool = False,
    placeholder: str | None = None,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """A field of a spec, with what a form, the command line and the help need to know about it.

    `picks` names the noun a reference is chosen from (`file` and `folder` are made absolute before a
    worker sees them); `many` lets the picker choose several; `depends_on` is `other` or
    `other=value|value`: the form shows the field only while that other field is set, or has one of the
    values.
    """
    facts: dict[str, Any] = {
        "group": group,
        "advanced": advanced,
        "picks": picks,
        "many": many,
        "depends_on": depends_on,
        "unit": unit,
        "multiline": multiline,
        "placeholder": placeholder,
    }
    bounds = {
        "ge": ge,
        "le": le,
        "gt": gt,
        "lt": lt,
        "min_length": min_length,
        "max_length": max_length,
        "pattern": pattern,
    }
    given: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not None}
    if default_factory is not None:
        given["default_factory"] = default_factory
    else:
        given["default"] = default
    return PydanticField(
        title=title,
        description=description,
        json_schema_extra={FACTS: {name: fact for name, fact in facts.items() if fact}},
        **given,
    )


@dataclass(frozen=True)
class Operation:
    """Something Lathe can do: declared once, usable from the screen, the command line and other
    operations.

    `run(spec, context)` returns the summary (a JSON object) or None; given as `module:function` it is
    imported on first use, so that declaring an operation costs nothing. `kind`: `inline` is one short
    transaction in the caller's process, `worker` a light process, `heavy` waits for its turn (one at a
    time). `estimate(spec, store)` answers a sentence that is shown before the start. `exit_code(summary)`
    lets a finished job end `lathe run` with another status than 0 (a gate that was not met: 100).
    """

    name: str
    title: str
    description: str
    spec: type[Spec]
    run: Callable[[Any, Context], dict[str, Any] | None] | str
    kind: Kind
    estimate: Callable[[Any, Store], str] | None = None
    resumable: bool = False
    exit_code: Callable[[dict[str, Any]], int] | None = None

    def function(self) -> Callable[[Any, Context], dict[str, Any] | None]:
        """The function behind the operation, imported now if it was declared as text."""
        if not isinstance(self.run, str):
            return self.run
        module, _, name = self.run.partition(":")
        function: Callable[[Any, Context], dict[str, Any] | None] = getattr(
            importlib.import_module(module), name
        )
        return function
