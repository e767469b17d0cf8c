"""One answer in the making: from logits to text, stop strings, thinking, log-probabilities and exact timings."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from app.engine.request import Request
from app.engine.sampling import TokenSampler, log_probabilities
from app.engine.scheduler import Sequence
from app.engine.stops import TextStream
from app.engine.thinking import ThinkingSplitter, opens_thinking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from app.engine.backend import Backend, Grammar

    Logits = NDArray[np.float32]


class Generation:
    """The state of one request in the model process, from the moment it arrived to its last event."""

    def __init__(
        self, request: Request, rendered: str, tokens: list[int], hint: int, backend: Backend, arrived: float
    ) -> None:
        self.request, self.rendered, self.backend = request, rendered, backend
        self.arrived = arrived
        room = min(request.sampling.max_tokens, backend.context - len(tokens))
        self.overflows = room <= 0
        self.ends_by_context = room < request.sampling.max_tokens
        self.sequence = Sequence(request.id, tokens, request.priority == "interactive", max(room, 0), hint)
        self.prompt_tokens = len(tokens)
        self.seed = _seed(request)
        self.sampler = TokenSampler(request.sampling, self.seed)
        self.grammar: Grammar | None = None
        self.plain = self.sampler.plain_greedy and not request.logprobs and request.json_schema is None
        self._stream = TextStream(request.sampling.stop)
        chat = request.messages is not None
        self._splitter = ThinkingSplitter(inside=opens_thinking(rendered)) if chat else None
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._sent = self._sent_thinking = 0
        self.untold = True  # no delta has been sent yet
        self._logprobs: list[dict[str, Any]] = []
        self._cached = 0
        self._began: float | None = None
        self._first: float | None = None
        self._last = arrived

    @property
    def completion_tokens(self) -> int:
        return len(self.sequence.tokens) - self.prompt_tokens

    def began(self, now: float) -> bool:
        """Note that the first of its tokens are being computed; true the first time."""
        if self._began is not None:
            return False
        self._began, self._cached = now, self.sequence.cached
        return True

    def choose(self, logits: Logits) -> int:
        """The next token for a row of logits, under the grammar if there is one."""
        history = self.sequence.tokens
        if self.grammar is None:
            return self.sampler.choose(logits, history)
        token = self.sampler.choose(logits, history)
        # Asking about one token costs next to nothing, masking a vocabulary milliseconds: mostly the first one stands.
        if not self.grammar.allows(token):
            token = self.sampler.choose(self.grammar.mask(logits), history)
        self.grammar.accept(token)
        return token

    def take(self, token: int, logits: Logits | None, now: float) -> str | None:
        """Add a chosen token; the finish reason when it was the last one. End tokens are not part of the answer."""
        if self._first is None:
            self._first = now
        self._last = now
        if self.backend.is_end(token):
            return "stop"
        self.sequence.tokens.append(token)
        if self.request.logprobs and logits is not None:
            self._note_logprobs(token, logits)
        text = self._stream.feed(self.backend.piece(token))
        if text:
            self._add(text)
        if self._stream.stopped:
            return "stop"
        if self.completion_tokens >= self.sequence.room:
            return "context_overflow" if self.ends_by_context else "length"
        return None

    def delta(self) -> dict[str, Any] | None:
        """What is new since the last delta, with the offset at which its text belongs; None when nothing is."""
        text, thinking = "".join(self._text), "".join(self._thinking)
        self._text, self._thinking = [text], [thinking]
        if len(text) == self._sent and len(thinking) == self._sent_thinking:
            return None
        event = {
            "id": self.request.id,
            "event": "delta",
            "text": text[self._sent :],
            "thinking": thinking[self._sent_thinking :],
            "offset": self._sent,
            "tokens": self.completion_tokens,
        }
        self._sent, self._sent_thinking = len(text), len(thinking)
        self.untold = False
        if self.request.tag:
            event["tag"] = self.request.tag
        return event

    def rewind(self) -> None:
        """Somebody new is watching: the next delta starts at the beginning."""
        self._sent = self._sent_thinking = 0

    def done(self, reason: str) -> dict[str, Any]:
        """The last event of this request."""
        self._add(self._stream.finish())
        if self._splitter is not None:
            answer, thinking = self._splitter.finish()
            self._text.append(answer)
            self._thinking.append(thinking)
        event: dict[str, Any] = {
            "id": self.request.id,
            "event": "done",
            "text": "".join(self._text),
            "thinking": "".join(self._thinking),
            "finish_reason": reason,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self._cached,
            "logprobs": self._logprobs if self.request.logprobs else None,
            "seed": None if self.sampler.greedy else self.seed,
            "timings": self._timings(time.monotonic()),
        }
        if self.request.want_rendered:
            event["rendered"] = self.rendered
        if self.request.tag:
            event["tag"] = self.request.tag
        self.close()
        return event

    def close(self) -> None:
        """Free the grammar."""
        if self.grammar is not None:
            self.grammar.close()
            self.grammar = None

    def _add(self, text: str) -> None:
        if self._splitter is None:
            self._text.append(text)
            return
        answer, thinking = self._splitter.feed(text)
        if answer:
            self._text.append(answer)
        if thinking:
            self._thinking.append(thinking)

    def _note_logprobs(self, token: int, logits: Logits) -> None:
        chosen, top = log_probabilities(logits, token, self.request.logprobs)
        piece = self.backend.piece
        self._logprobs.append(
            {
                "token": piece(token).decode("utf-8", "replace"),
                "logprob": round(chosen, 6),
                "top": [[piece(at).decode("utf-8", "replace"), round(value, 6)] for at, value in top],
            }
        )

    def _timings(self, now: float) -> dict[str, float | None]:
        """Milliseconds since arrival, and tokens per second over the generating part alone."""
        began, first = self._began, self._first
        seconds = self._last - first if first is not None else 0.0
        rate = (self.completion_tokens - 1) / seconds if seconds > 0 and self.completion_tokens > 1 else None
        return {
            "queue_ms": _ms((began if began is not None else now) - self.arrived),
            "prefill_ms": None if first is None or began is None else _ms(first - began),
            "first_token_ms": None if first is None else _ms(first - self.arrived),
            "total_ms": _ms(now - self.arrived),
            "tokens_per_second": None if rate is None else round(rate, 3),
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _seed(request: Request) -> int:
    """The request's seed, or a random one that the done event reports so that it can be asked for again."""
    seed = request.sampling.seed
    return int.from_bytes(os.urandom(6), "little") if seed is None else seed
