"""The engine's side of a comparison: batches of requests in threads of their own, their answers in one
queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.engine.client import EngineClient, connect
from app.engine.settings import parse_settings
from store.errors import BadInput, LatheError

WAIT_SECONDS = 0.5
Request = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """One thing the engine's side has to say.

    `answer`: the done or error event of one request. `again`: the request was lost for no fault of its own
    (the engine
    was paused) and is to be asked once more. `note`: why nothing comes at the moment; empty when it goes on.
    `ended`: a batch is through.
    """

    kind: Literal["answer", "again", "note", "ended"]
    key: str = ""
    event: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


Replies = queue.SimpleQueue[Reply]


def ask(
    root: Path,
    requests: Sequence[Request],
    keys: Mapping[str, str],
    settings: Mapping[str, Any],
    replies: Replies,
    over: threading.Event,
    after: threading.Event | None = None,
) -> threading.Event:
    """Send requests of one model in a thread; each ends as one `answer` or `again` under its key.

    `keys` maps request ids to keys; `over` tells waiting threads that nobody listens any more. The batch is
    sent once
    `after` is set, and the event that is returned is set when the engine works on it: chained so, batches
    reach the
    engine in their order, whichever thread the system runs first.
    """
    begun = threading.Event()
    arguments = (root, requests, keys, settings, replies, over, after, begun)
    threading.Thread(target=_run_batch, args=arguments, daemon=True).start()
    return begun


def error_of(event: Mapping[str, Any]) -> str:
    """Why a request has no answer, as a sentence; empty when it has one."""
    if event["event"] == "error":
        return str(event.get("error") or "The engine could not answer.")
    if event.get("finish_reason") in ("error", "cancelled"):
        return str(event.get("error") or f"The request was {event['finish_reason']}.")
    return ""


def call_off(root: Path, tag: str) -> None:
    """Cancel everything that is on its way under `tag`; an engine that is gone has nothing to cancel."""
    with suppress(LatheError):
        client = connect(root, start=False)
        client.cancel(tag=tag)
        client.close()


def fit_together(root: Path, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> bool:
    """Load several models and say whether all of them stay loaded: then they can answer block by block
    together."""
    try:
        client = connect(root)
        for model, settings in wanted:
            client.load(model, settings)
        loaded = {str(one["ref"]) for one in client.status()["models"]}
        client.close()
    except LatheError:
        # Whatever is wrong with one of them is said where its cells are asked.
        return False
    return {model for model, _ in wanted} <= loaded


def _run_batch(
    root: Path,
    requests: Sequence[Request],
    keys: Mapping[str, str],
    settings: Mapping[str, Any],
    replies: Replies,
    over: threading.Event,
    after: threading.Event | None,
    begun: threading.Event,
) -> None:
    left = set(keys.values())
    problem = "The engine ended without an answer."
    client: EngineClient | None = None
    paused = False
    try:
        while after is not None and not after.wait(WAIT_SECONDS):
            if over.is_set():
                raise LatheError("The comparison was called off.")
        client = connect(root)
        _await_model(client, str(requests[0]["model"]), settings, replies, over)
        for event in _events(client, requests, settings):
            begun.set()
            if event["event"] not in ("done", "error"):
                continue
            key = keys[str(event["id"])]
            left.discard(key)
            lost = bool(error_of(event)) and _paused(client) is not None
            replies.put(Reply("again", key) if lost else Reply("answer", key, event))
    except LatheError as error:
        problem = str(error)
        paused = client is not None and _paused(client) is not None
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise
    finally:
        begun.set()
        for key in left:
            failed = {"event": "error", "error": problem}
            replies.put(Reply("again", key) if paused else Reply("answer", key, failed))
        replies.put(Reply("ended"))
        if client is not None:
            client.close()


def _await_model(
    client: EngineClient, model: str, settings: Mapping[str, Any], replies: Replies, over: threading.Event
) -> None:
    """Have the model loaded as wanted, waiting while training has the machine or somebody uses it
    otherwise."""
    waited = False
    while True:
        reason = _paused(client)
        if reason is None:
            try:
                client.load(model, settings)
                break
            except LatheError:
                if not _busy_otherwise(client, model, settings):
                    raise
                reason = f"{model} is answering somebody under other settings"
        replies.put(Reply("note", text=f"waits: {reason}"))
        waited = True
        if over.wait(WAIT_SECONDS):
            raise LatheError("The comparison was called off.")
    if waited:
        replies.put(Reply("note"))


def _events(
    client: EngineClient, requests: Sequence[Request], settings: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    try:
        yield from client.generate(requests, settings=settings)
    except BadInput as refused:
        # The engine refuses a batch as a whole; only the request that it means must fail.
        if len(requests) == 1:
            yield {"event": "error", "id": requests[0]["id"], "error": str(refused)}
            return
        for request in requests:
            yield from _events(client, [request], settings)


def _paused(client: EngineClient) -> str | None:
    """Why the engine is paused, None when it is not (or cannot say)."""
    try:
        reason = client.status()["paused"]
    except LatheError:
        return None
    return None if reason is None else str(reason)


def _busy_otherwise(client: EngineClient, model: str, settings: Mapping[str, Any]) -> bool:
    """Whether the model is in use, loaded with other settings than these."""
    wanted = parse_settings(dict(settings)).wire()
    return any(
        one["ref"] == model and one["settings"] != wanted and not one["idle_seconds"]
        for one in client.status()["models"]
    )
