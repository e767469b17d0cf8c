"""Full-text search over prompts, generations and dataset rows: newest first, so that it may stop early."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from store.errors import BadInput
from store.workspace import NEWEST, Store

Kind = Literal["prompt", "generation", "row"]
KINDS: tuple[Kind, ...] = ("prompt", "generation", "row")
PREFIX_FROM = 4
"""The last word finds longer words, too, from this length on: a short beginning stands for too many."""
PAGE = 200
SNIPPET = 160
_INDEXES = {"prompt": "prompt_version", "generation": "generation", "row": "row"}
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Hit:
    """Something that was found. `id` is the version's, generation's or row's; `ref` is what a person would write.

    For a row, `position` is its place in the newest dataset version that holds it (`version_id`); for a generation,
    `version_id` is the newest comparison that shows it, and `position` the case. `snippet` is one line around the
    first word found.
    """

    kind: Kind
    id: int
    ref: str
    snippet: str
    created_at: str
    version_id: int | None
    position: int | None


def search(store: Store, query: str, kinds: Sequence[Kind] = KINDS, limit: int = 50) -> list[Hit]:
    """Everything that holds all words of `query`, newest first. Words in quotes are a phrase.

    Nothing that a person types is an operator. An empty query finds nothing.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise BadInput(f"Search does not know “{unknown[0]}”; it knows {', '.join(KINDS)}.")
    match = fts_query(query)
    if not match:
        return []
    words = _WORDS.findall(query.lower())
    found = [hit for kind in kinds for hit in _of_kind(store.read(), kind, match, words, limit)]
    return sorted(found, key=lambda hit: (hit.created_at, hit.id), reverse=True)[:limit]


def fts_query(query: str) -> str:
    """The query in FTS5's language, every word quoted: `"don""t" AND …` never fails to parse. Empty for no words."""
    terms: list[str] = []
    for index, part in enumerate(query.split('"')):
        parts = [part] if index % 2 else part.split()
        terms += [term for term in parts if _WORDS.search(term)]
    if not terms:
        return ""
    quoted = ['"' + term.replace("\0", " ").strip() + '"' for term in terms]
    last = terms[-1]
    if len(last) >= PREFIX_FROM and last[-1].isalnum() and not query.rstrip().endswith('"'):
        quoted[-1] += "*"
    return " ".join(quoted)


def rebuild(connection: sqlite3.Connection, kind: Kind) -> None:
    """Make the index of one kind anew from its texts, in the caller's transaction."""
    index = f"{_INDEXES[kind]}_search"
    connection.execute(f"INSERT INTO {index} ({index}) VALUES ('delete-all')")
    connection.execute(f"INSERT INTO {index} (rowid, text) SELECT id, text FROM {_INDEXES[kind]}_texts")


def check_index(connection: sqlite3.Connection, kind: Kind) -> None:
    """StoreBroken when the index of one kind is damaged, or holds another number of texts than there are."""
    index = f"{_INDEXES[kind]}_search"
    connection.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")


def _of_kind(
    connection: sqlite3.Connection, kind: Kind, match: str, words: list[str], limit: int
) -> list[Hit]:
    """A page of row ids at a time: what is in the trash is passed over, and more is fetched in its place."""
    index = f"{_INDEXES[kind]}_search"
    hits: list[Hit] = []
    below, page = NEWEST, max(limit, 1)
    while len(hits) < limit:
        found = connection.execute(
            f"SELECT rowid FROM {index} WHERE {index} MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?",
            (match, below, page),
        ).fetchall()
        ids = [row[0] for row in found]
        marks = ",".join("?" * len(ids))
        for row in connection.execute(_READS[kind].format(marks=marks), ids) if ids else ():
            hits.append(Hit(kind, row["id"], row["ref"], _snippet(row["text"], words), *tuple(row)[3:]))
        if len(ids) < page:
            break
        below, page = ids[-1], PAGE
    return hits[:limit]


_READS: dict[Kind, str] = {
    "prompt": """
        SELECT v.id, p.name || '@' || v.number AS ref, t.text, v.created_at, NULL, NULL
        FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id AND p.trashed_at IS NULL
        JOIN prompt_version_texts t ON t.id = v.id WHERE v.id IN ({marks}) ORDER BY v.id DESC
    """,
    "generation": """
        SELECT g.id, '#' || substr(g.key, 1, 12) AS ref, g.output AS text, g.created_at, c.evaluation_id, c.position
        FROM generations g LEFT JOIN cells c ON c.id = (
            SELECT cells.id FROM cells JOIN evaluations e ON e.id = cells.evaluation_id AND e.trashed_at IS NULL
            WHERE cells.generation_id = g.id ORDER BY cells.id DESC LIMIT 1)
        WHERE g.id IN ({marks}) ORDER BY g.id DESC
    """,
    "row": """
        SELECT r.id, d.name || '@' || v.number AS ref, t.text, v.created_at, v.id, h.position
        FROM rows r JOIN version_rows h ON h.row_id = r.id
        JOIN dataset_versions v ON v.id = h.version_id JOIN datasets d ON d.id = v.dataset_id
        JOIN row_texts t ON t.id = r.id
        WHERE r.id IN ({marks}) AND (h.version_id, h.position) = (
            SELECT i.version_id, i.position FROM version_rows i JOIN dataset_versions w ON w.id = i.version_id
            JOIN datasets e ON e.id = w.dataset_id
            WHERE i.row_id = r.id AND w.number IS NOT NULL AND e.trashed_at IS NULL
            ORDER BY i.version_id DESC, i.position LIMIT 1)
        ORDER BY r.id DESC
    """,
}


def _snippet(text: str, words: list[str]) -> str:
    """One line of at most SNIPPET characters around the first of `words` in `text`."""
    lowered = text.lower()
    places = [place for place in (lowered.find(word) for word in words) if place >= 0]
    start = max(0, min(places, default=0) - SNIPPET // 4)
    cut = " ".join(text[start : start + SNIPPET].split())
    return ("…" if start else "") + cut + ("…" if start + SNIPPET < len(text) else "")
