"""Prompt templates: Jinja in its immutable sandbox, with limits on time, steps and size, and errors in words.

Templates are imported from strangers, and a sandbox alone stops no endless loop. So every pass through a
loop and every
call counts against a budget, and every text that is built is measured, before the operating system has to.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes, sandbox
from jinja2.exceptions import SecurityError
from jinja2.visitor import NodeTransformer

from store.errors import BadInput

MAX_CHARACTERS = 4_000_000
MAX_STEPS = 200_000
"""Passes through loops and calls that one rendering may take."""
MAX_SECONDS = 2.0
_MAX_GROWTH = 100_000_000
_MAX_WIDTH = 100_000
"""The largest whole number a template may pass to a function: padding and repetition beyond it are bombs."""


class TemplateProblem(BadInput):
    """A template cannot be read or rendered; the message is a sentence for the user."""


@dataclass
class _Budget:
    """What one rendering may still use; made new for each."""

    steps: int = MAX_STEPS
    deadline: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def spend(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise TemplateProblem(
                f"The template takes more than {MAX_STEPS:,} steps: a loop in it is too long. Shorten the "
                f"loop."
            )
        if self.steps % 256 == 0 and time.monotonic() > self.deadline:
            raise TemplateProblem(
                f"The template takes longer than {MAX_SECONDS:g} s to fill in. Shorten its loops."
            )


class _Undefined(jinja2.StrictUndefined):
    """Keeps the name, so that the sentence can say which variable is missing."""

    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> NoReturn:
        if issubclass(self._undefined_exception, SecurityError):
            raise SecurityError(str(self._undefined_hint or self._undefined_name))
        raise _MissingVariable(self._undefined_name or "", self._undefined_obj is not jinja2.utils.missing)

    __iter__ = __str__ = __len__ = __eq__ = __ne__ = __bool__ = __hash__ = _fail_with_undefined_error
    __contains__ = _fail_with_undefined_error
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _fail_with_undefined_error
    __lt__ = __le__ = __gt__ = __ge__ = __call__ = __getitem__ = _fail_with_undefined_error

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        self._fail_with_undefined_error()


class _MissingVariable(jinja2.UndefinedError):
    def __init__(self, name: str, inside: bool) -> None:
        super().__init__(name)
        self.name = name
        self.inside = inside
        """True when it is a field of a variable that does exist."""


class _Environment(sandbox.ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%", "+"])

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        _budget(__context).spend()
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            _bounded_growth(owner, (*args, *kwargs.values()))
        for value in (*args, *kwargs.values()):
            _small_number(value)
        return _measured(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            sizes = [len(side) for side in (left, right) if isinstance(side, str | bytes | list | tuple)]
            counts = [side for side in (left, right) if isinstance(side, int)]
            if sizes and counts and sizes[0] * counts[0] > MAX_CHARACTERS:
                raise _too_long()
        if operator == "**":
            _small_number(left)
            if isinstance(right, int) and abs(right) > 64:
                raise TemplateProblem("The template raises a number to a power above 64. Use a smaller one.")
        if operator == "%" and isinstance(left, str):
            _narrow_format(left)
        return _measured(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> None:
        """No special way for str.format: it is refused below."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # str.format takes its width from inside the text, where no budget can see it.
        if isinstance(obj, str) and attr in ("format", "format_map"):
            return False
        return super().is_safe_attribute(obj, attr, value)


class _Counted(NodeTransformer):
    """Wraps every loop and every joined text, so that both are counted while the template runs."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise TemplateProblem(
                "The template has a recursive loop, which is not supported. Use nested loops."
            )
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "_counted", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Filter(node, "_measured", [], [], None, None, lineno=node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        self.generic_visit(node)
        if node.node is None or node.name.startswith("_"):
            return node
        return nodes.Filter(node, "_measured", [], [], None, None, lineno=node.lineno)

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = nodes.Filter(node.filter, "_measured", [], [], None, None, lineno=node.lineno)
        return node


@jinja2.pass_context
def _counted_filter(context: Any, value: Any) -> Any:
    budget = _budget(context)
    if isinstance(value, jinja2.Undefined):
        iter(value)
    return _count(value, budget)


def _count(value: Iterable[Any], budget: _Budget) -> Iterator[Any]:
    for one in value:
        budget.spend()
        yield one


def _budget(context: Any) -> _Budget:
    budget = context.parent.get("_lathe_budget") or context.vars.get("_lathe_budget")
    if not isinstance(budget, _Budget):
        raise TemplateProblem("The template replaces a name that Lathe keeps for itself (_lathe_budget).")
    return budget


def _measured(value: Any) -> Any:
    if isinstance(value, str | bytes | list | tuple) and len(value) > MAX_CHARACTERS:
        raise _too_long()
    return value


def _small_number(value: Any) -> None:
    if isinstance(value, int) and abs(value) > _MAX_WIDTH:
        raise TemplateProblem(
            f"The template uses the number {value:,} in a call; at most {_MAX_WIDTH:,} is allowed."
        )


def _narrow_format(text: str) -> None:
    if any(len(digits) > 5 for digits in re.findall(r"%[^a-zA-Z%]*?(\d+)", text)) or "*" in text:
        raise TemplateProblem("The template pads a text to more than 99,999 characters. Use a smaller width.")


def _bounded_growth(value: Any, arguments: Iterable[Any]) -> None:
    """Refuse what could blow a text up by a factor (`replace`, `join`, `indent`) before it is built."""
    size = len(value) if isinstance(value, str | list | tuple | dict) else _MAX_WIDTH
    for one in arguments:
        factor = len(one) if isinstance(one, str | list | tuple) else one if isinstance(one, int) else 1
        if size * factor > _MAX_GROWTH:
            raise _too_long()


def _guard_filter(name: str, original: Any) -> Any:
    skipped = 1 if hasattr(original, "jinja_pass_arg") else 0

    def guarded(*args: Any, **kwargs: Any) -> Any:
        value, rest = args[skipped], (*args[skipped + 1 :], *kwargs.values())
        for one in rest:
            _small_number(one)
        _bounded_growth(value, rest)
        if name == "format":
            _narrow_format(str(value))
        return original(*args, **kwargs)

    if skipped:
        guarded.jinja_pass_arg = original.jinja_pass_arg  # type: ignore[attr-defined]
    return guarded


def _too_long() -> TemplateProblem:
    return TemplateProblem(
        f"The filled-in template would be longer than {MAX_CHARACTERS:,} characters. Shorten it or its "
        f"variables."
    )


@lru_cache(maxsize=1)
def _environment() -> _Environment:
    environment = _Environment(undefined=_Undefined, keep_trailing_newline=True, autoescape=False)
    for name in (
        "center",
        "indent",
        "wordwrap",
        "truncate",
        "batch",
        "slice",
        "round",
        "format",
        "join",
        "replace",
    ):
        environment.filters[name] = _guard_filter(name, environment.filters[name])
    # They invent text or read what a prompt has no business with.
    environment.globals.pop("lipsum", None)
    for name in ("xmlattr", "urlize", "random"):
        environment.filters.pop(name, None)
    environment.filters["_counted"] = _counted_filter
    environment.filters["_measured"] = _measured
    environment.filters["tojson"] = _to_json
    return environment


def _to_json(value: Any, indent: int | None = None) -> str:
    """JSON as people write it into prompts: no HTML escapes, as Jinja's own filter would make."""
    import json

    if isinstance(value, jinja2.Undefined):
        str(value)
    _small_number(indent)
    return json.dumps(value, ensure_ascii=False, indent=indent)


@lru_cache(maxsize=256)
def _compiled(source: str) -> jinja2.Template:
    environment = _environment()
    if len(source) > MAX_CHARACTERS:
        raise _too_long()
    try:
        tree = environment.parse(source)
        for forbidden in (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends):
            if tree.find(forbidden):
                raise TemplateProblem(
                    "The template includes another file, which is not supported. Write it in."
                )
        return environment.from_string(_Counted().visit(tree))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateProblem(
            f"The template cannot be read: {error.message} (line {error.lineno}). To write braces as they "
            f"are, "
            "put them between {% raw %} and {% endraw %}."
        ) from None
    except (RecursionError, MemoryError):
        raise TemplateProblem("The template is nested too deeply. Make it flatter.") from None
    except (SyntaxError, ValueError, OverflowError) as error:
        raise TemplateProblem(f"The template cannot be read: {error}.") from None


def check_template(source: str) -> None:
    """Raise TemplateProblem, as a sentence with the line, when `source` is not a usable template."""
    _compiled(source)


def variables(sources: Iterable[str]) -> tuple[str, ...]:
    """The variables that templates ask for, in the order in which they first appear. Raises
    TemplateProblem."""
    found: dict[str, None] = {}
    for source in sources:
        _compiled(source)
        names = meta.find_undeclared_variables(_environment().parse(source))
        for name in sorted(names, key=lambda one: (_first_place(source, one), one)):
            found.setdefault(name)
    return tuple(found)


def render(source: str, values: Mapping[str, Any]) -> str:
    """Fill in a template. The only place that does.

    Raises TemplateProblem with a sentence: which variable is missing and which exist, or which limit was
    passed.
    """
    if "{" not in source:
        return source
    template = _compiled(source)
    chunks: list[str] = []
    size = 0
    budget = _Budget()
    try:
        for chunk in template.generate({**values, "_lathe_budget": budget}):
            budget.spend()
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_CHARACTERS:
                raise _too_long()
    except TemplateProblem:
        raise
    except _MissingVariable as missing:
        raise TemplateProblem(_missing_sentence(missing, values)) from None
    except jinja2.UndefinedError as error:
        raise TemplateProblem(
            f"The template asks for something that is not there: {error.message}."
        ) from None
    except SecurityError as error:
        raise TemplateProblem(f"The template does something that prompts may not do: {error}") from None
    except (RecursionError, MemoryError):
        raise TemplateProblem("The template calls itself too deeply. Make it flatter.") from None
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
    ) as error:
        raise TemplateProblem(f"The template cannot be filled in: {error}.") from None
    return "".join(chunks)


def render_all(messages: Sequence[tuple[str, str]], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fill in a conversation of (role, template) pairs; the first problem names its message."""
    rendered = []
    for number, (role, source) in enumerate(messages, 1):
        try:
            rendered.append((role, render(source, values)))
        except TemplateProblem as problem:
            if len(messages) == 1:
                raise
            raise TemplateProblem(f"Message {number} ({role}): {problem}") from None
    return rendered


def _first_place(source: str, name: str) -> int:
    match = re.search(rf"\b{re.escape(name)}\b", source)
    return match.start() if match else len(source)


def _missing_sentence(missing: _MissingVariable, values: Mapping[str, Any]) -> str:
    if missing.inside:
        return f"The template asks for the field '{missing.name}' of a variable that has no such field."
    names = ", ".join(sorted(map(str, values))) or "none"
    return (
        f"The template asks for the variable '{missing.name}', which this case does not have. It has: "
        f"{names}. "
        "Add the variable to the case, or rename it in the prompt."
    )
