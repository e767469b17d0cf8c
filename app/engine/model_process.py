"""The process of one loaded model: unloading is its exit, and a crash takes one model down.

Started by the engine with one end of a socket pair. The main thread reads commands, renders chat templates (their time
limit needs the main thread's signals) and splits prompts into tokens; the engine loop's thread owns the context.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.engine import chat_template
from app.engine.generation import Generation
from app.engine.loop import EngineLoop
from app.engine.request import Message, Request, parse_messages, parse_request
from app.engine.settings import parse_settings
from app.engine.wire import Line
from store.errors import LatheError

if TYPE_CHECKING:
    from app.engine.backend import Backend

KNOWN_PREFIXES = 64
BUG = 70  # exit status, EX_SOFTWARE


def main(arguments: list[str]) -> int:
    """`model_process WORKSPACE FD`: serve commands from the socket until it closes."""
    be_quiet_and_mortal()
    from app.jobs import offline

    offline.install(False, Path(arguments[0]))
    line = Line(socket.socket(fileno=int(arguments[1])))
    commands = line.receive()
    order = next(commands, None)
    if order is None:
        return 0
    try:
        backend = load(order)
    except (LatheError, OSError, ValueError, MemoryError, RuntimeError, KeyError, TypeError) as error:
        # A foreign file may be wrong in ways that only its library finds; the engine tells the user, nobody else can.
        text = str(error) if isinstance(error, LatheError) else f"{type(error).__name__}: {error}"
        line.send({"type": "failed", "error": text})
        return 1
    served = ServedModel(backend, order, line)
    line.send({"type": "ready", "facts": served.facts})
    served.loop.start()
    try:
        for command in commands:
            served.handle(command)
    finally:
        served.loop.stop(2.0)
    return 0


def load(order: Mapping[str, Any]) -> Backend:
    """Load the model an order names: a GGUF file into llama.cpp, a folder into transformers."""
    path = Path(order["path"])
    settings = parse_settings(order["settings"])
    if order["format"] == "gguf":
        from app.engine.gguf_header import read_header
        from app.engine.llama_backend import LlamaBackend

        header = read_header(path)
        return LlamaBackend(
            path,
            settings,
            free_bytes=int(order["free_bytes"]),
            cache_bytes_per_token=header.cache_bytes_per_token,
        )
    from app.engine.hf_backend import TransformersBackend

    return TransformersBackend(path, settings, free_bytes=int(order["free_bytes"]))


class ServedModel:
    """A loaded backend, its loop, and what the engine may ask of them."""

    def __init__(self, backend: Backend, order: Mapping[str, Any], line: Line) -> None:
        self.backend, self.line = backend, line
        self.name = str(order["name"])
        self.template = order["settings"].get("template")
        self.loop = EngineLoop(backend, lambda events: line.send({"type": "events", "events": events}))
        self._prefixes: OrderedDict[object, list[int]] = OrderedDict()
        source = backend.chat_template
        self.facts = {
            **backend.facts,
            "has_template": source is not None,
            "template_hash": chat_template.template_hash(source),
            "can_switch_thinking": chat_template.mentions_thinking(source),
            "embedding_pooling": "mean",
        }

    def handle(self, command: Mapping[str, Any]) -> None:
        """Carry out one command of the engine; what goes wrong with one goes back as its own error."""
        op = command["op"]
        if op == "generate":
            self._generate(command["requests"])
        elif op == "cancel":
            self.loop.cancel(command["ids"])
        elif op == "watch":
            self.loop.watch(command["tags"])
        elif op == "embed":
            self.loop.call(lambda: self._answer(command, self._embed))
        else:
            self._answer(
                command, {"inspect": self._inspect, "tokenize": self._tokenize, "status": self._status}[op]
            )

    def _generate(self, requests: list[dict[str, Any]]) -> None:
        for item in requests:
            arrived = time.monotonic()
            try:
                request = parse_request(item)
                generation = self._prepare(request, arrived)
            except LatheError as error:
                event = {
                    "id": item.get("id"),
                    "event": "error",
                    "error": str(error),
                    "tag": item.get("tag", ""),
                }
                self.line.send({"type": "events", "events": [event]})
                continue
            self.loop.submit([generation])

    def _prepare(self, request: Request, arrived: float) -> Generation:
        rendered, tokens = self._tokens_of(
            request.messages, request.prompt, request.thinking, request.template
        )
        hint = 0
        if request.shared_prefix and request.messages is not None:
            hint = self._shared(request, tokens)
        if not tokens:
            raise LatheError("The prompt is empty: there is nothing for the model to go on from.")
        return Generation(request, rendered, tokens, hint, self.backend, arrived)

    def _tokens_of(
        self,
        messages: tuple[Message, ...] | None,
        prompt: str | None,
        thinking: bool | None,
        template: str | None,
        *,
        generation_prompt: bool = True,
    ) -> tuple[str, list[int]]:
        """The rendered prompt and its tokens; a template that writes the BOS token itself gets no second one."""
        if messages is None:
            text = prompt or ""
            return text, self.backend.tokenize(text, add_special=True)
        source = chat_template.choose_template(
            self.backend.chat_template, template or self.template, self.name
        )
        text = chat_template.render(
            source,
            messages,
            bos=self.backend.bos_text,
            eos=self.backend.eos_text,
            thinking=thinking,
            generation_prompt=generation_prompt,
        )
        doubled = bool(self.backend.bos_text) and text.startswith(self.backend.bos_text)
        return text, self.backend.tokenize(text, add_special=not doubled)

    def _shared(self, request: Request, tokens: list[int]) -> int:
        """How many of `tokens` the request's group shares, by rendering what its messages have in common."""
        key = (request.shared_prefix, request.thinking, request.template)
        known = self._prefixes.get(key)
        if known is None:
            try:
                _, known = self._tokens_of(
                    request.shared_prefix, None, request.thinking, request.template, generation_prompt=False
                )
            except chat_template.TemplateProblem:
                # Some templates refuse a conversation without a user's turn. The hint is only about speed.
                known = []
            self._prefixes[key] = known
            if len(self._prefixes) > KNOWN_PREFIXES:
                self._prefixes.popitem(last=False)
        length = 0
        for left, right in zip(known, tokens, strict=False):
            if left != right:
                break
            length += 1
        return length

    def _answer(self, command: Mapping[str, Any], function: Any) -> None:
        try:
            reply = {"type": "reply", "id": command["id"], "value": function(command)}
        except LatheError as error:
            reply = {"type": "reply", "id": command["id"], "error": str(error)}
        self.line.send(reply)

    def _inspect(self, command: Mapping[str, Any]) -> dict[str, Any]:
        messages = command.get("messages")
        parsed = None if messages is None else parse_messages(messages, "messages")
        thinking, template = command.get("thinking"), command.get("template")
        rendered, tokens = self._tokens_of(parsed, command.get("prompt"), thinking, template)
        source = None
        if parsed is not None:
            source = chat_template.choose_template(
                self.backend.chat_template, template or self.template, self.name
            )
        return {
            "rendered": rendered,
            "tokens": len(tokens),
            "context": self.backend.context,
            "template": source,
            "template_hash": chat_template.template_hash(source),
        }

    def _tokenize(self, command: Mapping[str, Any]) -> dict[str, Any]:
        tokens = self.backend.tokenize(command["text"], add_special=bool(command.get("add_special", False)))
        return {
            "tokens": tokens,
            "pieces": [self.backend.piece(token).decode("utf-8", "replace") for token in tokens],
        }

    def _embed(self, command: Mapping[str, Any]) -> dict[str, Any]:
        vectors, count = [], 0
        for text in command["texts"]:
            tokens = self.backend.tokenize(text, add_special=True)
            vectors.append(self.backend.embed(tokens))
            count += len(tokens)
        return {"vectors": vectors, "tokens": count}

    def _status(self, _command: Mapping[str, Any]) -> dict[str, Any]:
        counters = self.loop.counters
        return {
            "in_flight": self.loop.in_flight(),
            "live": len(self.loop.scheduler.live),
            "tokens_per_second": round(counters.rate(time.monotonic()), 2),
            "steps": counters.steps,
            "prompt_tokens": counters.prompt_tokens,
            "cached_tokens": counters.cached_tokens,
            "completion_tokens": counters.completion_tokens,
            "finished": counters.finished,
            "decode_seconds": round(counters.decode_seconds, 4),
            "busy_seconds": round(counters.busy_seconds, 4),
        }


def be_quiet_and_mortal() -> None:
    """No core files of user data, no life without the loop, and the first to go when memory runs out."""
    threading.excepthook = _fall
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    except OSError:
        return  # not Linux, or not allowed: the kernel then chooses on its own


def _fall(arguments: threading.ExceptHookArgs) -> None:
    """A thread died of a bug: so does the process, or every request would wait for ever for a loop that is gone."""
    if arguments.exc_value is not None:
        traceback.print_exception(arguments.exc_value)
    sys.stderr.flush()
    os._exit(BUG)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # Not sys.exit: destructors of native libraries at interpreter exit have crashed before, and the memory goes anyway.
    os._exit(code)
