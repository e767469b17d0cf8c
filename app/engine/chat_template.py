"""Chat templates come with the model, so they are foreign code: rendered in Jinja's immutable sandbox, within limits.

The sandbox keeps a template from Python's objects but not from eating time and memory, so a render also has 2 seconds
(an interval timer, which is why `render` must run in the main thread of the model process), half a gigabyte of new
address space, and 4 MB of text. Which template applies to a request is decided by `choose_template` and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from app.engine.request import Message
from store.errors import BadInput, LatheError

if TYPE_CHECKING:
    from jinja2 import Template

RENDER_SECONDS = 2.0
RENDER_MEMORY = 512 * 1024 * 1024
RENDER_CHARACTERS = 4 * 1024 * 1024
MAX_SOURCE = 512 * 1024

# For models without a template of their own. ChatML is the commonest; "plain" suits models that were never tuned to chat.
BUILT_IN = {
    "chatml": (
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "plain": (
        "{% for message in messages %}{{ message.content }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '\\n' }}{% endif %}"
    ),
}


class TemplateProblem(LatheError):
    """A chat template is missing, broken, hostile or over its limits."""


class _TimeIsUp(BaseException):
    """Not an Exception, so that nothing inside Jinja takes it for an error of the template and carries on."""


def choose_template(own: str | None, wanted: str | None, model: str) -> str:
    """The template source for a request: the one asked for by name, else the model's own.

    Raises BadInput for an unknown name and TemplateProblem when there is nothing to choose from.
    """
    if wanted is not None:
        if wanted not in BUILT_IN:
            raise BadInput(f"There is no built-in chat template {wanted!r}; there are {', '.join(BUILT_IN)}.")
        return BUILT_IN[wanted]
    if own is None:
        raise TemplateProblem(
            f"The model {model} brings no chat template, so nobody knows how it expects messages. "
            f"Choose one of {', '.join(BUILT_IN)} for it, or send a plain prompt."
        )
    return own


def template_hash(source: str | None) -> str:
    """SHA-256 of a template's source; the empty text for no template."""
    return hashlib.sha256(source.encode("utf-8", "replace")).hexdigest() if source else ""


def render(
    source: str,
    messages: Sequence[Message],
    *,
    bos: str = "",
    eos: str = "",
    thinking: bool | None = None,
    generation_prompt: bool = True,
) -> str:
    """Render `messages` as the model expects them; TemplateProblem says what a template did wrong.

    `thinking` is handed on as `enable_thinking` where the caller chose; a template that does not know it ignores it.
    Must run in the main thread.
    """
    from jinja2.exceptions import TemplateError

    known: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "add_generation_prompt": generation_prompt,
        "bos_token": bos,
        "eos_token": eos,
        "tools": None,
    }
    if thinking is not None:
        known["enable_thinking"] = thinking
    try:
        with _limits():
            pieces, length = [], 0
            for piece in _compiled(source).generate(known):
                length += len(piece)
                if length > RENDER_CHARACTERS:
                    raise TemplateProblem(
                        f"The chat template made more than {RENDER_CHARACTERS} characters and was stopped."
                    )
                pieces.append(piece)
            return "".join(pieces)
    except _TimeIsUp:
        raise TemplateProblem(
            f"The chat template ran longer than {RENDER_SECONDS:g} seconds and was stopped."
        ) from None
    except MemoryError:
        raise TemplateProblem("The chat template asked for too much memory and was stopped.") from None
    except TemplateError as error:
        raise TemplateProblem(f"The chat template refused these messages: {error}.") from error
    except LatheError:
        raise
    except Exception as error:
        # A template is a program that we did not write: whatever it raises is its own mistake, not ours.
        raise TemplateProblem(f"The chat template failed: {type(error).__name__}: {error}.") from error


def mentions_thinking(source: str | None) -> bool:
    """Whether a template lets the caller switch thinking on and off."""
    return bool(source) and "enable_thinking" in str(source)


@lru_cache(maxsize=16)
def _compiled(source: str) -> Template:
    if len(source) > MAX_SOURCE:
        raise TemplateProblem(
            f"The chat template is {len(source)} characters long; at most {MAX_SOURCE} are taken."
        )
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        # The memory limit catches what these let through; they only turn the usual bombs into a clear sentence.
        intercepted_binops = frozenset({"*", "**", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _refuse_bomb(operator, left, right)
            return super().call_binop(context, operator, left, right)

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _generation_tag()]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    # Some templates print today's date. A prompt that changes overnight could not be compared or reused, so they get
    # the day that Llama's own template falls back to.
    environment.globals["strftime_now"] = _fixed_day
    environment.globals.pop("lipsum", None)
    return environment.from_string(source)


def _generation_tag() -> Any:
    """`{% generation %}` marks the assistant's part for training masks; rendering passes its body through."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return Generation


def _refuse_bomb(operator: str, left: Any, right: Any) -> None:
    numbers = (int, float)
    if operator == "*":
        text, times = (left, right) if isinstance(left, str | list | tuple) else (right, left)
        if isinstance(text, str | list | tuple) and isinstance(times, int) and len(text) * times > 1_000_000:
            raise MemoryError
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4096:
            raise MemoryError
    elif operator == "**":
        if isinstance(left, numbers) and isinstance(right, numbers) and (abs(right) > 64 or abs(left) > 1e9):
            raise MemoryError
    elif isinstance(left, str) and (
        len(left) > 1000 or any(width.isdigit() for width in left.split("%")[1:2])
    ):
        raise MemoryError


def _raise_exception(message: str) -> NoReturn:
    from jinja2.exceptions import TemplateError

    raise TemplateError(str(message))


def _fixed_day(layout: str) -> str:
    from datetime import UTC, datetime

    return datetime(2024, 7, 26, tzinfo=UTC).strftime(layout)


def _to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False) -> str:
    """Unlike Jinja's own filter this one does not escape for HTML; chat templates are written for that."""
    if indent is not None and not 0 <= indent <= 16:
        raise MemoryError
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


@contextmanager
def _limits() -> Iterator[None]:
    """Two seconds of wall clock and half a gigabyte more address space than now, for what runs inside.

    The address space limit is the process's: the decoding thread shares it meanwhile, and needs none of it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = _address_space()

    def stop(_number: int, _frame: object) -> None:
        raise _TimeIsUp

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, RENDER_SECONDS)
    try:
        if used is not None and (hard == resource.RLIM_INFINITY or used + RENDER_MEMORY < hard):
            resource.setrlimit(resource.RLIMIT_AS, (used + RENDER_MEMORY, hard))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int | None:
    """Bytes of address space in use, or None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return None
