"""The first schema: every noun of the workbench."""

import sqlite3

_TABLES = """
CREATE TABLE settings (
    key TEXT PRIMARY KEY, value TEXT NOT NULL CHECK (json_valid(value)), changed_at TEXT NOT NULL
) STRICT;

CREATE TABLE drafts (
    key TEXT PRIMARY KEY, content TEXT NOT NULL CHECK (json_valid(content)), saved_at TEXT NOT NULL
) STRICT;

CREATE TABLE blobs (
    hash TEXT PRIMARY KEY CHECK (length(hash) = 64), size INTEGER NOT NULL, created_at TEXT NOT NULL
) STRICT;
CREATE TABLE blob_uses (
    hash TEXT NOT NULL REFERENCES blobs (hash), noun TEXT NOT NULL, noun_id INTEGER NOT NULL,
    PRIMARY KEY (hash, noun, noun_id)
) STRICT;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, operation TEXT NOT NULL, stage TEXT NOT NULL, kind TEXT NOT NULL,
    spec TEXT NOT NULL CHECK (json_valid(spec)), title TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL, started_at TEXT, ended_at TEXT,
    pid INTEGER, pid_start TEXT, nonce TEXT, attempt INTEGER NOT NULL DEFAULT 0,
    event_offset INTEGER NOT NULL DEFAULT 0,
    progress_done REAL, progress_total REAL, progress_note TEXT NOT NULL DEFAULT '',
    progress_unit TEXT NOT NULL DEFAULT '', rate REAL,
    outputs TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(outputs)),
    summary TEXT CHECK (summary IS NULL OR json_valid(summary)),
    stop_requested INTEGER NOT NULL DEFAULT 0, parent_job_id INTEGER REFERENCES jobs (id)
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, id);

CREATE TABLE job_events (
    id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at TEXT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX job_events_by_job ON job_events (job_id, id);

CREATE TABLE metrics (
    id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name TEXT NOT NULL, step REAL, value REAL, at TEXT NOT NULL
) STRICT;
CREATE INDEX metrics_by_job ON metrics (job_id, name, id);
CREATE INDEX metrics_in_order ON metrics (job_id, id);

CREATE TABLE lineage (
    id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    noun TEXT NOT NULL, noun_id INTEGER NOT NULL, ref TEXT NOT NULL, hash TEXT NOT NULL DEFAULT '',
    UNIQUE (job_id, direction, noun, noun_id)
) STRICT;
CREATE INDEX lineage_by_noun ON lineage (noun, noun_id);

CREATE TABLE prompts (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, created_at TEXT NOT NULL, trashed_at TEXT
) STRICT;
CREATE UNIQUE INDEX prompts_by_name ON prompts (name) WHERE trashed_at IS NULL;
CREATE TABLE prompt_versions (
    id INTEGER PRIMARY KEY, prompt_id INTEGER NOT NULL REFERENCES prompts (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, parent_id INTEGER REFERENCES prompt_versions (id),
    hash TEXT NOT NULL, content TEXT NOT NULL CHECK (json_valid(content)), note TEXT NOT NULL DEFAULT '',
    job_id INTEGER REFERENCES jobs (id), created_at TEXT NOT NULL, UNIQUE (prompt_id, number)
) STRICT;
CREATE INDEX prompt_versions_by_hash ON prompt_versions (hash);
CREATE TABLE labels (
    prompt_id INTEGER NOT NULL REFERENCES prompts (id) ON DELETE CASCADE, label TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES prompt_versions (id), moved_at TEXT NOT NULL,
    PRIMARY KEY (prompt_id, label)
) STRICT;

CREATE TABLE datasets (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, created_at TEXT NOT NULL, trashed_at TEXT
) STRICT;
CREATE UNIQUE INDEX datasets_by_name ON datasets (name) WHERE trashed_at IS NULL;
CREATE TABLE dataset_versions (
    id INTEGER PRIMARY KEY, dataset_id INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    number INTEGER, parent_id INTEGER REFERENCES dataset_versions (id), hash TEXT NOT NULL DEFAULT '',
    rows INTEGER NOT NULL DEFAULT 0, meta TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(meta)),
    note TEXT NOT NULL DEFAULT '', job_id INTEGER REFERENCES jobs (id), created_at TEXT NOT NULL,
    staged_by TEXT, UNIQUE (dataset_id, number)
) STRICT;
CREATE INDEX dataset_versions_by_hash ON dataset_versions (hash);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, content TEXT NOT NULL CHECK (json_valid(content))
) STRICT;
CREATE TABLE version_rows (
    version_id INTEGER NOT NULL REFERENCES dataset_versions (id) ON DELETE CASCADE, position INTEGER NOT NULL,
    row_id INTEGER NOT NULL REFERENCES rows (id), PRIMARY KEY (version_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX version_rows_by_row ON version_rows (row_id);

CREATE TABLE models (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, created_at TEXT NOT NULL, default_version_id INTEGER,
    trashed_at TEXT
) STRICT;
CREATE UNIQUE INDEX models_by_name ON models (name) WHERE trashed_at IS NULL;
CREATE TABLE model_versions (
    id INTEGER PRIMARY KEY, model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, tag TEXT NOT NULL, format TEXT NOT NULL CHECK (format IN ('gguf', 'hf', 'adapter')),
    path TEXT NOT NULL, hash TEXT NOT NULL DEFAULT '', quick_hash TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    parent_id INTEGER REFERENCES model_versions (id), facts TEXT NOT NULL CHECK (json_valid(facts)),
    job_id INTEGER REFERENCES jobs (id), created_at TEXT NOT NULL, UNIQUE (model_id, number)
) STRICT;
CREATE INDEX model_versions_by_path ON model_versions (path);

-- Long texts that many rows share (a prompt version's messages over repeats, a rendered prompt) are kept once.
CREATE TABLE texts (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, text TEXT NOT NULL) STRICT;

CREATE TABLE generations (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
    model_version_id INTEGER REFERENCES model_versions (id),
    messages_id INTEGER REFERENCES texts (id), rendered_id INTEGER REFERENCES texts (id),
    output TEXT NOT NULL, thinking TEXT NOT NULL DEFAULT '', finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL DEFAULT 0, completion_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0, latency_ms REAL, first_token_ms REAL, tokens_per_second REAL,
    timings TEXT CHECK (timings IS NULL OR json_valid(timings)),
    logprobs TEXT CHECK (logprobs IS NULL OR json_valid(logprobs)),
    params TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(params)), created_at TEXT NOT NULL
) STRICT;
CREATE INDEX generations_by_model ON generations (model_version_id);

CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, spec TEXT NOT NULL CHECK (json_valid(spec)),
    subjects TEXT NOT NULL CHECK (json_valid(subjects)),
    cases_version_id INTEGER NOT NULL REFERENCES dataset_versions (id), planned INTEGER NOT NULL,
    state TEXT NOT NULL, summary TEXT CHECK (summary IS NULL OR json_valid(summary)),
    job_id INTEGER REFERENCES jobs (id), created_at TEXT NOT NULL, ended_at TEXT, trashed_at TEXT
) STRICT;
CREATE TABLE cells (
    id INTEGER PRIMARY KEY, evaluation_id INTEGER NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    subject INTEGER NOT NULL, position INTEGER NOT NULL, repeat INTEGER NOT NULL,
    generation_id INTEGER REFERENCES generations (id), state TEXT NOT NULL,
    passed INTEGER, score REAL, checks TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(checks)),
    error TEXT NOT NULL DEFAULT '', reused INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL,
    UNIQUE (evaluation_id, position, subject, repeat)
) STRICT;
CREATE INDEX cells_in_order ON cells (evaluation_id, id);
CREATE INDEX cells_by_generation ON cells (generation_id);

CREATE TABLE ratings (
    id INTEGER PRIMARY KEY, evaluation_id INTEGER NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
    position INTEGER NOT NULL, left_subject INTEGER NOT NULL, right_subject INTEGER NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('left', 'right', 'equal')), created_at TEXT NOT NULL
) STRICT;
CREATE INDEX ratings_by_evaluation ON ratings (evaluation_id, id);
"""

# What a search finds of each noun, without the JSON around it.
_TEXTS = """
CREATE VIEW prompt_version_texts AS
SELECT id, note || char(10) || (
    SELECT COALESCE(group_concat(part.atom, char(10)), '') FROM json_tree(content) part
    WHERE part.type = 'text' AND part.key IN ('content', 'user', 'assistant', 'notes')
) AS text FROM prompt_versions;
CREATE VIEW generation_texts AS SELECT id, output AS text FROM generations;
CREATE VIEW row_texts AS
SELECT id, (
    SELECT COALESCE(group_concat(part.atom, char(10)), '') FROM json_tree(content) part
    WHERE part.type IN ('text', 'integer', 'real')
) AS text FROM rows
"""


def initial(connection: sqlite3.Connection) -> None:
    """Create every table, and the full-text indexes with the triggers that keep them true."""
    for statement in (_TABLES + ";" + _TEXTS).split(";"):
        if statement.strip():
            connection.execute(statement)
    for noun, table in (
        ("prompt_version", "prompt_versions"),
        ("generation", "generations"),
        ("row", "rows"),
    ):
        index, texts = f"{noun}_search", f"{noun}_texts"
        # No text is kept twice: the index alone is stored, and the views say the text again when a row goes. (FTS5
        # itself may not read a view over json_tree, so the views cannot be its content table.) The newest hits are
        # wanted, never the best ones: the sizes that ranking needs are not kept.
        connection.execute(f"CREATE VIRTUAL TABLE {index} USING fts5(text, content='', columnsize=0)")
        # Fewer, larger merges: an import writes many small segments, and merging is most of its cost.
        connection.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('automerge', 16)")
        connection.execute(
            f"CREATE TRIGGER {table}_found AFTER INSERT ON {table} BEGIN "
            f"INSERT INTO {index} (rowid, text) SELECT id, text FROM {texts} WHERE id = new.id; END"
        )
        connection.execute(
            f"CREATE TRIGGER {table}_lost BEFORE DELETE ON {table} BEGIN "
            f"INSERT INTO {index} ({index}, rowid, text) SELECT 'delete', id, text FROM {texts} WHERE id = old.id; END"
        )
    for table, columns in (
        ("prompt_versions", "content, hash, number, note"),
        ("rows", "content, hash"),
        ("generations", "key, output, thinking"),
    ):
        connection.execute(
            f"CREATE TRIGGER {table}_stay BEFORE UPDATE OF {columns} ON {table} BEGIN "
            "SELECT RAISE(ABORT, 'what is saved never changes'); END"
        )
