"""The one thread that owns a loaded model: takes requests from a queue, decodes, samples, sends events.

It blocks on the queue when there is nothing to do and never polls: on two cores a spinning thread slows decoding
almost threefold.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.engine.backend import Aborted, OutOfCells
from app.engine.generation import Generation
from app.engine.scheduler import Clear, Copy, Scheduler, Step
from store.errors import LatheError

if TYPE_CHECKING:
    from app.engine.backend import Backend

DELTA_SECONDS = 0.05
RATE_SECONDS = 5.0
WAY_SECONDS = (
    0.25  # a step is cut short no oftener than this, so that bulk work goes on under a flood of people
)


@dataclass
class Counters:
    """What the loop has done since the model was loaded; read by other threads, written by the loop alone."""

    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    finished: int = 0
    decode_seconds: float = 0.0
    busy_seconds: float = 0.0
    recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=2000))

    def rate(self, now: float) -> float:
        """Generated tokens per second over the last five seconds."""
        return sum(count for at, count in list(self.recent) if now - at <= RATE_SECONDS) / RATE_SECONDS


class EngineLoop:
    """Runs generations on a backend; `emit` gets lists of events and is called from the loop's thread."""

    def __init__(self, backend: Backend, emit: Callable[[list[dict[str, Any]]], None]) -> None:
        self.backend, self.emit = backend, emit
        self.scheduler = Scheduler(
            slots=backend.slots,
            extra=backend.extra_slots,
            prefixes=backend.prefix_slots,
            cells=backend.cells,
            batch=backend.batch,
            share=backend.shares_prefixes,
            reserve=min(backend.context, backend.cells // 4),
            abortable=backend.abortable,
        )
        self.counters = Counters()
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._generations: dict[str, Generation] = {}
        self._watched: frozenset[str] = frozenset()
        self._events: list[dict[str, Any]] = []
        self._deltas_due = 0.0
        self._lock = threading.Lock()
        self._computing: frozenset[str] = frozenset()
        self._gives_way = False  # the running step has nobody in it who waits
        self._gave_way_at = 0.0
        self._thread = threading.Thread(target=self._run, name="engine-loop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Cut the running step short and end the thread."""
        with self._lock:
            if self._computing:
                self.backend.abort()
        self._commands.put(None)
        self._thread.join(timeout)

    def submit(self, generations: Iterable[Generation]) -> None:
        """Queue generations; their events come through `emit`."""
        batch = list(generations)
        self._commands.put(lambda: self._add(batch))
        if any(generation.request.priority == "interactive" for generation in batch):
            self._make_way()

    def cancel(self, keys: Collection[str]) -> None:
        """End generations by id; when nothing else is being computed the running step is cut short."""
        wanted = frozenset(keys)
        self._commands.put(lambda: self._cancel(wanted))
        with self._lock:
            if self._computing and self._computing <= wanted:
                self.backend.abort()

    def watch(self, tags: Iterable[str]) -> None:
        """From now on send deltas for everything with one of these tags, from the beginning of each answer."""
        wanted = frozenset(tags)
        self._commands.put(lambda: self._watch(wanted))

    def call(self, function: Callable[[], None]) -> None:
        """Run `function` in the loop's thread between two steps."""
        self._commands.put(function)

    def _make_way(self) -> None:
        """Cut a running bulk step short for somebody who waits; it is done again afterwards."""
        now = time.monotonic()
        with self._lock:
            if self._computing and self._gives_way and now - self._gave_way_at >= WAY_SECONDS:
                self._gave_way_at = now
                self.backend.abort()

    def in_flight(self) -> int:
        return len(self._generations)

    # -- the loop's own thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        idle = True
        while self._take_commands(wait=idle):
            began = time.monotonic()
            step = self.scheduler.next_step()
            idle = step is None
            if step is not None:
                self._compute(step)
            now = time.monotonic()
            self._flush(now)
            self.counters.busy_seconds += now - began

    def _take_commands(self, *, wait: bool) -> bool:
        """Handle what has been asked, waiting for it when there is nothing else to do; False is the end."""
        while True:
            try:
                command = self._commands.get(block=wait)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()
            wait = False

    def _add(self, generations: list[Generation]) -> None:
        for generation in generations:
            if generation.request.id in self._generations:
                self._events.append(
                    error_event(generation, f"A request {generation.request.id!r} is in flight.")
                )
                continue
            if generation.overflows:
                self._events.append(generation.done("context_overflow"))
                continue
            if generation.request.json_schema is not None:
                try:
                    generation.grammar = self.backend.grammar(generation.request.json_schema)
                except LatheError as error:
                    self._events.append(error_event(generation, str(error)))
                    continue
            self._generations[generation.request.id] = generation
            self.scheduler.add(generation.sequence)

    def _cancel(self, keys: frozenset[str]) -> None:
        for key in keys:
            generation = self._generations.get(key)
            if generation is not None:
                self._end(generation, "cancelled")

    def _watch(self, tags: frozenset[str]) -> None:
        for generation in self._generations.values():
            if generation.request.tag in tags - self._watched:
                generation.rewind()
        self._watched = tags

    def _compute(self, step: Step) -> None:
        for action in step.actions:
            if isinstance(action, Copy):
                self.backend.copy(action.source, action.target, action.length)
            elif isinstance(action, Clear):
                self.backend.clear()
            else:
                self.backend.drop(action.slot)
        if not step.chunks:
            return
        began = time.monotonic()
        for sequence in step.sequences:
            if self._generations[sequence.key].began(began):
                self.counters.cached_tokens += sequence.cached
                self._events.append({"id": sequence.key, "event": "started"})
        with self._lock:
            self._computing = frozenset(sequence.key for sequence in step.sequences)
            alone = self.scheduler.single  # there the person waits for the end of the answer in any case
            self._gives_way = not alone and not any(item.interactive for item in step.sequences)
        try:
            rows = self.backend.decode(step.chunks)
        except Aborted:
            self._after_decode(began)
            return
        except OutOfCells as error:
            self._after_decode(began)
            if not self.scheduler.make_room():
                self._fail(step, str(error))
            return
        except (LatheError, MemoryError, RuntimeError) as error:
            # RuntimeError is torch's: out of memory on the device, for one. The model stays, the batch is lost.
            self._after_decode(began)
            self._fail(step, str(error) or type(error).__name__)
            return
        ended = self._after_decode(began)
        self.scheduler.advance(step, ended - began)
        self._sample(step, rows, ended)

    def _after_decode(self, began: float) -> float:
        with self._lock:
            self._computing = frozenset()
            self.backend.unabort()
        ended = time.monotonic()
        self.counters.decode_seconds += ended - began
        self.counters.steps += 1
        return ended

    def _sample(self, step: Step, rows: Any, now: float) -> None:
        wanted = [
            (self._generations[sequence.key], chunk)
            for chunk, sequence in zip(step.chunks, step.sequences, strict=True)
        ]
        likeliest = (
            rows.argmax(axis=1) if any(generation.plain for generation, _ in wanted) and len(rows) else None
        )
        at = generated = 0
        for generation, chunk in wanted:
            self.counters.prompt_tokens += len(chunk.tokens)
            if not chunk.wants_logits:
                continue
            row = rows[at]
            if generation.plain and likeliest is not None:
                reason = generation.take(int(likeliest[at]), None, now)
            else:
                reason = generation.take(generation.choose(row), row, now)
            at += 1
            generated += 1
            if reason is not None:
                self._end(generation, reason)
        self.counters.completion_tokens += generated
        self.counters.prompt_tokens -= generated
        self.counters.recent.append((now, generated))

    def _end(self, generation: Generation, reason: str) -> None:
        del self._generations[generation.request.id]
        keep = reason != "cancelled" and generation.request.priority == "interactive"
        self.scheduler.finish(generation.sequence, keep=keep)
        self._events.append(generation.done(reason))
        self.counters.finished += 1

    def _fail(self, step: Step, sentence: str) -> None:
        for sequence in step.sequences:
            generation = self._generations.pop(sequence.key)
            self.scheduler.finish(sequence)
            self._events.append(error_event(generation, sentence))
        self.scheduler.rebuild()

    def _flush(self, now: float) -> None:
        """Send what has happened; deltas at most every 50 ms, the first one of an answer at once."""
        deltas = []
        due = now >= self._deltas_due
        for generation in self._generations.values():
            request = generation.request
            if not (request.stream or request.tag in self._watched) or not generation.completion_tokens:
                continue
            if (due or generation.untold) and (delta := generation.delta()) is not None:
                deltas.append(delta)
        if due:
            self._deltas_due = now + DELTA_SECONDS
        if self._events or deltas:
            # Deltas of answers that have ended are not sent: their done events hold the whole text.
            self.emit(self._events + deltas)
            self._events = []


def error_event(generation: Generation, sentence: str) -> dict[str, Any]:
    """The last event of a request that came to nothing."""
    generation.close()
    event: dict[str, Any] = {"id": generation.request.id, "event": "error", "error": sentence}
    if generation.request.tag:
        event["tag"] = generation.request.tag
    return event
