"""Which tokens of which sequence go into the next batch. Pure: no model, no clock, no threads.

Three ideas. Sequences that generate get one token each in every step, and what room is left is filled with prompts.
A prompt's beginning that others share (a prompt version over many cases) is computed once and copied. And a person
never waits for bulk work: slots are kept back, a step with an interactive prompt in it holds nothing of the bulk, and
beside a person bulk prompts are fed in pieces so small that a step takes about `STEP_SECONDS`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from app.engine.backend import Chunk
from app.engine.pace import Pace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tokens = NDArray[np.int32]

MIN_SHARED = 32  # tokens; copying less is not worth a cache entry
WINDOW = 64  # how far from the head of the bulk queue a sequence of the same group may be preferred
PEERS = 128  # how many waiting sequences are compared to find what is shared
GROWTH = 64  # cells kept for an answer at admission; longer ones take what becomes free, or the newest starts again


@dataclass(eq=False)
class Sequence:
    """One generation as the scheduler sees it: `tokens` grows, `fed` of them are in the cache."""

    key: str
    tokens: list[int]
    interactive: bool
    room: int  # tokens it may generate at most
    hint: int = 0  # how many of its first tokens its whole group shares, 0 when nobody said
    fed: int = 0
    slot: int = -1
    cached: int = 0  # prompt tokens that came from a shared prefix
    prefix: Prefix | None = None
    waits: bool = False  # for `prefix` to be computed by its donor
    passed: int = 0  # how often a later sequence was preferred
    prompt: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = np.asarray(self.tokens, dtype=np.int32)

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.fed

    @property
    def group(self) -> bytes:
        return self.prompt[: self.hint or MIN_SHARED].tobytes()


@dataclass(eq=False)
class Prefix:
    """A shared beginning in a slot of its own; it is `ready` once its donor's tokens were copied there."""

    slot: int
    tokens: Tokens
    donor: Sequence | None
    users: set[Sequence] = field(default_factory=set)
    used_at: int = 0

    @property
    def ready(self) -> bool:
        return self.donor is None


@dataclass(frozen=True, slots=True)
class Copy:
    """Let `target` share the first `length` tokens of `source`."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Empty a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Empty the whole cache."""


@dataclass(frozen=True)
class Step:
    """First the actions, in order, then one batch; `sequences` runs parallel to `chunks`."""

    actions: tuple[Copy | Drop | Clear, ...]
    chunks: tuple[Chunk, ...]
    sequences: tuple[Sequence, ...]


class Scheduler:
    """Holds the waiting and the live sequences; `next_step` and `advance` alternate.

    `slots` 1 is the reproducible mode: one sequence at a time, cut into batches in a way that depends on nothing but
    itself, so that a run that was broken off and taken up again gives the same bytes.
    """

    def __init__(
        self,
        *,
        slots: int,
        extra: int,
        prefixes: int,
        cells: int,
        batch: int,
        share: bool,
        reserve: int = 0,
        abortable: bool = False,
    ) -> None:
        self.single = slots == 1
        self.slots, self.extra = slots, 0 if self.single else extra
        self.cells, self.batch, self.share, self.reserve = cells, batch, share, reserve
        self.abortable = abortable
        count = self.slots + self.extra
        self._free = list(range(count))[::-1]
        self._free_prefixes = list(range(count, count + prefixes))[::-1] if share else []
        self._interactive: deque[Sequence] = deque()
        self._bulk: deque[Sequence] = deque()
        self.live: list[Sequence] = []
        self.prefixes: list[Prefix] = []
        self.pace = Pace()
        self._actions: list[Copy | Drop | Clear] = []
        self._group = b""
        self._tick = 0

    # -- what comes in ------------------------------------------------------------------------------------------

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence."""
        (self._interactive if sequence.interactive else self._bulk).append(sequence)

    def finish(self, sequence: Sequence, *, keep: bool = False) -> None:
        """A sequence ends, wherever it is; with `keep` its tokens stay as a prefix for the conversation's next turn."""
        for queue in (self._interactive, self._bulk):
            if sequence in queue:
                queue.remove(sequence)
        if sequence not in self.live:
            return
        if keep and self.share and not self.single and sequence.fed >= MIN_SHARED:
            self._remember(sequence)
        self._release(sequence)

    def waiting(self) -> int:
        return len(self._interactive) + len(self._bulk)

    def rebuild(self) -> None:
        """The cache was lost: every live sequence is fed again from its first token."""
        self._actions = [Clear()]
        self._forget_prefixes()
        for sequence in self.live:
            sequence.fed, sequence.cached, sequence.prefix, sequence.waits = 0, 0, None, False

    def make_room(self) -> bool:
        """Free cells by sending one bulk sequence back to the queue; False when there is none to send."""
        return self._make_room()

    # -- one step -----------------------------------------------------------------------------------------------

    def next_step(self) -> Step | None:
        """The next actions and batch, or None when there is nothing to do."""
        self._tick += 1
        self._admit()
        self._wake_waiting()
        while True:
            chunks, sequences = self._batch()
            # Too little room for this step: the newest bulk sequence starts again later, nothing is cut off.
            if (
                self._used() + sum(len(chunk.tokens) for chunk in chunks) <= self.cells
                or not self._make_room()
            ):
                break
        actions, self._actions = tuple(self._actions), []
        if not chunks and not actions:
            return None
        return Step(actions, tuple(chunks), tuple(sequences))

    def advance(self, step: Step, seconds: float) -> None:
        """The step was computed in `seconds`: count its tokens in, and share prefixes that are complete now."""
        decoded = prefilled = 0
        for chunk, sequence in zip(step.chunks, step.sequences, strict=True):
            sequence.fed += len(chunk.tokens)
            if len(chunk.tokens) == 1:
                decoded += 1
            else:
                prefilled += len(chunk.tokens)
        self.pace.record(decoded, prefilled, seconds)
        for prefix in self.prefixes:
            donor = prefix.donor
            if donor is not None and donor.fed >= len(prefix.tokens):
                self._promote(prefix, donor)

    def _batch(self) -> tuple[list[Chunk], list[Sequence]]:
        ready = [sequence for sequence in self.live if not sequence.waits]
        if any(sequence.interactive and sequence.pending > 1 for sequence in ready):
            ready = [sequence for sequence in ready if sequence.interactive]
        generating = [sequence for sequence in ready if sequence.pending == 1]
        reading = sorted((s for s in ready if s.pending > 1), key=lambda sequence: not sequence.interactive)
        chunks = [Chunk(s.slot, s.fed, s.tokens[s.fed :], True) for s in generating]
        sequences = list(generating)
        room = self.batch - len(chunks)
        # Where a step can be cut short for a person who comes, short steps matter only while one is being answered.
        free = self.single or (self.abortable and not any(sequence.interactive for sequence in self.live))
        bulk = room if free else min(room, self.pace.prefill_tokens(len(chunks)))
        for sequence in reading:
            length = min(sequence.pending, room if sequence.interactive else bulk)
            if self.single and sequence.prefix is not None and sequence.prefix.donor is sequence:
                length = min(length, len(sequence.prefix.tokens) - sequence.fed)
            if length <= 0:
                break
            end = sequence.fed + length
            chunks.append(
                Chunk(
                    sequence.slot,
                    sequence.fed,
                    sequence.tokens[sequence.fed : end],
                    length == sequence.pending,
                )
            )
            sequences.append(sequence)
            room -= length
            bulk -= length
        return chunks, sequences

    # -- admission ----------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self._interactive and self._free and not (self.single and self.live):
            sequence = self._interactive[0]
            if not self._fits(sequence, 0):
                break
            self._interactive.popleft()
            self._enter(sequence)
        while self._bulk and self._free and not (self.single and self.live):
            if sum(not sequence.interactive for sequence in self.live) >= self.slots:
                break
            sequence = self._preferred()
            if not self._fits(sequence, self.reserve if self.live else 0):
                break
            self._bulk.remove(sequence)
            self._enter(sequence)

    def _preferred(self) -> Sequence:
        """The head of the bulk queue, or one close behind it that shares its prefix with the last one taken."""
        head = self._bulk[0]
        if head.passed < WINDOW:
            for position, sequence in enumerate(self._bulk):
                if position >= WINDOW:
                    break
                if sequence.group == self._group:
                    if sequence is not head:
                        head.passed += 1
                    return sequence
        self._group = head.group
        return head

    def _fits(self, sequence: Sequence, reserve: int) -> bool:
        shared = max((self._common(prefix, sequence) for prefix in self.prefixes), default=0)
        wanted = len(sequence.tokens) - shared + min(sequence.room, GROWTH) + reserve
        while self._promised() + wanted > self.cells:
            if self._evict() or (sequence.interactive and self._preempt()):
                continue
            return not self.live
        return True

    def _enter(self, sequence: Sequence) -> None:
        sequence.slot = self._free.pop()
        self.live.append(sequence)
        if not self.share or len(sequence.tokens) < 2:
            if self.single:
                self._start_over()
            return
        if self.single:
            self._enter_single(sequence)
            return
        best = max(self.prefixes, key=lambda prefix: self._common(prefix, sequence), default=None)
        found = 0 if best is None else self._common(best, sequence)
        whole = best is not None and found == len(best.tokens)
        wanted, donor = (
            (sequence.hint, None) if sequence.hint or whole else self._shared_with_others(sequence)
        )
        wanted = min(wanted, len(sequence.tokens) - 1)
        if best is not None and found >= MIN_SHARED // 2 and found >= wanted - MIN_SHARED // 2:
            self._attach(sequence, best)
        elif wanted >= MIN_SHARED and (slot := self._prefix_slot()) is not None:
            donor = donor or sequence
            prefix = Prefix(slot, sequence.prompt[:wanted], donor, used_at=self._tick)
            self.prefixes.append(prefix)
            if donor.fed >= wanted:
                self._promote(prefix, donor)
            if donor is sequence:
                sequence.prefix = prefix
                prefix.users.add(sequence)
            else:
                self._attach(sequence, prefix)

    def _enter_single(self, sequence: Sequence) -> None:
        wanted = min(sequence.hint, len(sequence.tokens) - 1) if sequence.hint >= MIN_SHARED else 0
        known = self.prefixes[0] if self.prefixes else None
        if known is not None and wanted and np.array_equal(known.tokens, sequence.prompt[:wanted]):
            self._attach(sequence, known)
            return
        self._start_over()
        if wanted and (slot := self._prefix_slot()) is not None:
            prefix = Prefix(slot, sequence.prompt[:wanted], sequence, {sequence}, self._tick)
            self.prefixes.append(prefix)
            sequence.prefix = prefix

    def _start_over(self) -> None:
        """Where a sequence lies in the cache can change its last bits, so the reproducible mode starts from empty."""
        self._forget_prefixes()
        self._actions.append(Clear())

    def _shared_with_others(self, sequence: Sequence) -> tuple[int, Sequence | None]:
        """The length of prefix that saves most over the sequences known now, and a live one that has it, if any."""
        others = [*self.live[:-1], *self._bulk]
        lengths = np.array(
            [common_length(sequence.prompt, other.prompt) for other in others[:PEERS]], dtype=np.int64
        )
        lengths = lengths[lengths >= MIN_SHARED]
        if not len(lengths):
            return 0, None
        lengths = np.sort(lengths)[::-1]
        best = int(lengths[(lengths * np.arange(1, len(lengths) + 1)).argmax()])
        for other in self.live[:-1]:
            if common_length(sequence.prompt, other.prompt) >= best and not other.waits:
                return best, other
        return best, None

    def _common(self, prefix: Prefix, sequence: Sequence) -> int:
        return min(common_length(prefix.tokens, sequence.prompt), len(sequence.tokens) - 1)

    def _attach(self, sequence: Sequence, prefix: Prefix) -> None:
        sequence.prefix, prefix.used_at = prefix, self._tick
        prefix.users.add(sequence)
        sequence.waits = True

    def _wake_waiting(self) -> None:
        for sequence in self.live:
            if not sequence.waits:
                continue
            prefix = sequence.prefix
            if prefix is None or prefix not in self.prefixes:
                sequence.waits, sequence.prefix = False, None
            elif prefix.ready:
                length = self._common(prefix, sequence)
                self._actions.append(Copy(prefix.slot, sequence.slot, length))
                sequence.fed, sequence.cached, sequence.waits = length, length, False

    # -- room ---------------------------------------------------------------------------------------------------

    def _used(self) -> int:
        """Cells that hold a token now; shared ones count once."""
        prefixes = sum(len(prefix.tokens) for prefix in self.prefixes if prefix.ready)
        own = sum(s.fed - (self._shared_cells(s) if s.prefix and s.prefix.ready else 0) for s in self.live)
        return prefixes + own

    def _shared_cells(self, sequence: Sequence) -> int:
        prefix = sequence.prefix
        return (
            0
            if prefix is None
            else min(sequence.fed, len(prefix.tokens), sequence.cached or len(prefix.tokens))
        )

    def _promised(self) -> int:
        """Cells in use, and those that the live sequences are still to fill at once."""
        return self._used() + sum((0 if s.waits else s.pending) + min(s.room, GROWTH) for s in self.live)

    def _make_room(self) -> bool:
        return self._evict() or self._preempt()

    def _evict(self) -> bool:
        """Forget the prefix that nobody has used for longest."""
        unused = [prefix for prefix in self.prefixes if prefix.ready and not prefix.users]
        if not unused:
            return False
        self._forget(min(unused, key=lambda prefix: prefix.used_at))
        return True

    def _preempt(self) -> bool:
        """Send the newest bulk sequence back to the head of the queue, unless it is the only one left."""
        bulk = [sequence for sequence in self.live if not sequence.interactive]
        if len(self.live) < 2 or not bulk:
            return False
        self._release(bulk[-1])
        bulk[-1].fed, bulk[-1].cached, bulk[-1].waits = 0, 0, False
        self._bulk.appendleft(bulk[-1])
        return True

    def _release(self, sequence: Sequence) -> None:
        self.live.remove(sequence)
        self._free.append(sequence.slot)
        self._actions.append(Drop(sequence.slot))
        prefix, sequence.prefix, sequence.slot = sequence.prefix, None, -1
        if prefix is not None:
            prefix.users.discard(sequence)
        for other in list(self.prefixes):
            if other.donor is sequence:
                self._inherit(other)

    def _inherit(self, prefix: Prefix) -> None:
        """A donor left before it was done: the next one that waits computes the prefix, or nobody does."""
        heir = next((user for user in self.live if user in prefix.users), None)
        if heir is None or self._common(prefix, heir) < len(prefix.tokens):
            self._forget(prefix)
        else:
            prefix.donor, heir.waits = heir, False

    def _promote(self, prefix: Prefix, donor: Sequence) -> None:
        self._actions.append(Copy(donor.slot, prefix.slot, len(prefix.tokens)))
        prefix.donor = None

    def _remember(self, sequence: Sequence) -> None:
        tokens = np.asarray(sequence.tokens[: sequence.fed], dtype=np.int32)
        for prefix in self.prefixes:
            # The turn before this one is part of this one.
            shorter = prefix.ready and not (prefix.users - {sequence})
            if shorter and common_length(prefix.tokens, tokens) == len(prefix.tokens):
                prefix.users.discard(sequence)
                self._forget(prefix)
                break
        if (slot := self._prefix_slot()) is not None:
            self._actions.append(Copy(sequence.slot, slot, len(tokens)))
            self.prefixes.append(Prefix(slot, tokens, None, used_at=self._tick))

    def _prefix_slot(self) -> int | None:
        if not self._free_prefixes and not self._evict():
            return None
        return self._free_prefixes.pop() if self._free_prefixes else None

    def _forget(self, prefix: Prefix) -> None:
        self.prefixes.remove(prefix)
        self._free_prefixes.append(prefix.slot)
        self._actions.append(Drop(prefix.slot))

    def _forget_prefixes(self) -> None:
        self._free_prefixes += [prefix.slot for prefix in self.prefixes]
        self.prefixes.clear()


def common_length(left: Tokens, right: Tokens) -> int:
    """How many tokens two sequences have in common at their beginning."""
    length = min(len(left), len(right))
    different = left[:length] != right[:length]
    first = int(different.argmax()) if length else 0
    return first if length and different[first] else length
