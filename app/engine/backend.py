"""What the engine's loop needs of a model, whoever computes it: llama.cpp and transformers are the two backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from store.errors import LatheError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens to feed to the sequence in `slot`, the first of them at position `start`."""

    slot: int
    start: int
    tokens: Sequence[int]
    wants_logits: bool  # of the last token


class Aborted(Exception):
    """The step was cut short by `abort`; the cache is as it was before the step."""


class OutOfCells(LatheError):
    """The key-value cache has no room for the step; nothing was computed."""


class Grammar(Protocol):
    """Which tokens may come next under a JSON schema; one object per answer."""

    def allows(self, token: int) -> bool: ...
    def mask(self, logits: Logits) -> Logits:
        """A copy of `logits` with every token that may not come next at -inf."""

    def accept(self, token: int) -> None: ...
    def close(self) -> None: ...


class Backend(Protocol):
    """A loaded model with room for several sequences; everything but `abort` is called from one thread."""

    context: int  # tokens one sequence may hold
    cells: int  # tokens all sequences may hold together
    slots: int
    extra_slots: int  # kept for interactive requests
    prefix_slots: int
    batch: int  # tokens of one step
    shares_prefixes: bool
    abortable: bool  # whether `abort` ends a step at once, and not only when it would have ended anyway
    chat_template: str | None
    bos_text: str
    eos_text: str
    facts: Mapping[str, Any]

    def tokenize(self, text: str, *, add_special: bool) -> list[int]: ...
    def piece(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...
    def decode(self, chunks: Sequence[Chunk]) -> Logits:
        """Feed all chunks; one row of logits per chunk that wants them, in order, valid until the next call."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Let the empty `target` share the first `length` tokens of `source`."""

    def drop(self, slot: int) -> None: ...
    def clear(self) -> None: ...
    def abort(self) -> None:
        """Cut the running `decode` short; it raises Aborted. Called from another thread."""

    def unabort(self) -> None:
        """Take an abort back that came too late to cut anything short."""

    def grammar(self, schema: Mapping[str, Any]) -> Grammar: ...
    def embed(self, tokens: Sequence[int]) -> list[float]: ...
    def close(self) -> None: ...
