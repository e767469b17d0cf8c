"""Generations: answers of models, kept once and shared for ever by every comparison that asks the same.

A generation is known by its key (`app/engine/identity.py` owns what goes into it), so resuming a killed comparison
and reusing an old answer are the same look-up.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from store.errors import NotFound
from store.hashing import clean_text, dumps
from store.workspace import NEWEST, Store, now

KEYS_AT_ONCE = 500
"""Well under SQLite's limit on bound values of one statement."""


@dataclass(frozen=True)
class NewGeneration:
    """What a model answered, as it goes into the store. `timings` are milliseconds."""

    key: str
    model_version_id: int | None
    messages: list[dict[str, Any]]
    rendered: str | None
    output: str
    thinking: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    latency_ms: float | None = None
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    timings: Mapping[str, Any] | None = None
    logprobs: list[dict[str, Any]] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Generation:
    """A stored answer."""

    id: int
    key: str
    model_version_id: int | None
    output: str
    thinking: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    latency_ms: float | None
    first_token_ms: float | None
    tokens_per_second: float | None
    created_at: str

    @property
    def name(self) -> str:
        return self.key[:12]

    @property
    def ref(self) -> str:
        return f"#{self.key[:12]}"


@dataclass(frozen=True)
class GenerationDetail:
    """The heavy parts of an answer, fetched when somebody looks at it."""

    messages: list[dict[str, Any]]
    rendered: str | None
    timings: dict[str, Any] | None
    logprobs: list[dict[str, Any]] | None
    params: dict[str, Any]


_GENERATION = """
SELECT id, key, model_version_id, output, thinking, finish_reason, prompt_tokens, completion_tokens, cached_tokens,
    latency_ms, first_token_ms, tokens_per_second, created_at FROM generations
"""


def find_generations(store: Store, keys: Iterable[str]) -> dict[str, Generation]:
    """The stored answers under `keys`; a key without one is left out."""
    wanted = list(dict.fromkeys(keys))
    connection = store.read()
    found: dict[str, Generation] = {}
    for start in range(0, len(wanted), KEYS_AT_ONCE):
        part = wanted[start : start + KEYS_AT_ONCE]
        marks = ",".join("?" * len(part))
        for row in connection.execute(f"{_GENERATION} WHERE key IN ({marks})", part):
            found[row["key"]] = Generation(**dict(row))
    return found


def generation(store: Store, generation_id: int) -> Generation:
    """The answer with this id, NotFound when it is gone."""
    row = store.read().execute(f"{_GENERATION} WHERE id = ?", (generation_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no generation {generation_id} in this workspace.")
    return Generation(**dict(row))


def generation_detail(store: Store, generation_id: int) -> GenerationDetail:
    """The prompt, timings, token probabilities and parameters of an answer."""
    row = (
        store.read()
        .execute(
            "SELECT m.text AS messages, r.text AS rendered, g.timings, g.logprobs, g.params FROM generations g "
            "LEFT JOIN texts m ON m.id = g.messages_id LEFT JOIN texts r ON r.id = g.rendered_id WHERE g.id = ?",
            (generation_id,),
        )
        .fetchone()
    )
    if row is None:
        raise NotFound(f"There is no generation {generation_id} in this workspace.")

    def loaded(column: str) -> Any:
        return None if row[column] is None else json.loads(row[column])

    return GenerationDetail(
        messages=loaded("messages") or [],
        rendered=row["rendered"],
        timings=loaded("timings"),
        logprobs=loaded("logprobs"),
        params=loaded("params"),
    )


def keep_logprobs(store: Store, generation_id: int, logprobs: list[dict[str, Any]]) -> None:
    """Add token probabilities to an answer that was made without."""
    with store.write() as connection:
        connection.execute(
            "UPDATE generations SET logprobs = ? WHERE id = ?", (dumps(logprobs), generation_id)
        )


def list_generations(store: Store, *, limit: int = 50, before: int | None = None) -> list[Generation]:
    """Answers, newest first, with an id below `before`."""
    rows = store.read().execute(
        f"{_GENERATION} WHERE id < ? ORDER BY id DESC LIMIT ?",
        (NEWEST if before is None else before, limit),
    )
    return [Generation(**dict(row)) for row in rows]


def insert_generation(connection: sqlite3.Connection, new: NewGeneration) -> None:
    """Keep one answer in the caller's transaction; one whose key is there already stays as it is."""
    known = connection.execute("SELECT 1 FROM generations WHERE key = ?", (new.key,)).fetchone()
    if known is not None:
        return
    connection.execute(
        "INSERT INTO generations (key, model_version_id, messages_id, rendered_id, output, thinking, finish_reason, "
        "prompt_tokens, completion_tokens, cached_tokens, latency_ms, first_token_ms, tokens_per_second, timings, "
        "logprobs, params, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.key,
            new.model_version_id,
            _text_id(connection, dumps(new.messages)),
            None if new.rendered is None else _text_id(connection, clean_text(new.rendered)),
            clean_text(new.output),
            clean_text(new.thinking),
            new.finish_reason,
            new.prompt_tokens,
            new.completion_tokens,
            new.cached_tokens,
            new.latency_ms,
            new.first_token_ms,
            new.tokens_per_second,
            None if new.timings is None else dumps(dict(new.timings)),
            None if new.logprobs is None else dumps(new.logprobs),
            dumps(dict(new.params)),
            now(),
        ),
    )


def _text_id(connection: sqlite3.Connection, text: str) -> int:
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    connection.execute("INSERT INTO texts (hash, text) VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, text))
    return int(connection.execute("SELECT id FROM texts WHERE hash = ?", (digest,)).fetchone()[0])
