"""What all routes share: bounded bodies, errors as JSON, and streams that notice when the caller hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.engine.hub import Paused
from app.engine.request import fail, load_json
from store.errors import BadInput, LatheError, NotFound

MAX_BODY = 64 * 1024 * 1024

T = TypeVar("T")
Handler = Callable[[HttpRequest], Awaitable[Response]]


class TooLarge(LatheError):
    """A request body over the limit."""


async def body_of(request: HttpRequest) -> dict[str, Any]:
    """The request's JSON object; counted as it arrives, whatever its headers claim."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BODY:
            raise TooLarge(f"The request body is larger than {MAX_BODY // 1024 // 1024} MB.")
    value = load_json(bytes(received)) if received else {}
    if not isinstance(value, dict):
        fail("The request body must be a JSON object.")
    return value


def status_of(error: LatheError) -> int:
    """The HTTP status for a sentence."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, TooLarge):
        return 413
    if isinstance(error, BadInput):
        return 400
    return 503 if isinstance(error, Paused) else 500


def error_body(error: LatheError) -> dict[str, Any]:
    """An error in OpenAI's shape, which Lathe's own routes use as well."""
    status = status_of(error)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": str(error), "type": kind, "param": None, "code": type(error).__name__}}


def sentences(handler: Handler) -> Handler:
    """Turn a LatheError of a handler into its JSON answer; anything else is a bug and stays one."""

    async def answer(request: HttpRequest) -> Response:
        try:
            return await handler(request)
        except LatheError as error:
            return JSONResponse(error_body(error), status_of(error))

    return answer


def ndjson(events: list[dict[str, Any]]) -> bytes:
    """Events as lines of JSON."""
    return b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)


async def drain(queue: asyncio.Queue[dict[str, Any]]) -> list[dict[str, Any]]:
    """Wait for one event and take all that are there."""
    events = [await queue.get()]
    while not queue.empty():
        events.append(queue.get_nowait())
    return events


async def unless_left(receive: Receive, work: Awaitable[T]) -> T:
    """Await `work`, but cancel it when the caller disconnects (then raises ClientLeft)."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        for task in (working, leaving):
            if not task.done():
                task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class ClientLeft(Exception):
    """Nobody is there to take the answer."""


class LiveStream(Response):
    """A streamed answer that stops its source at once when the caller hangs up, also between two chunks."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], media_type: str) -> None:
        super().__init__(media_type=media_type, headers={"cache-control": "no-store"})
        self.raw_headers = [item for item in self.raw_headers if item[0] != b"content-length"]
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def pump() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for chunk in self._chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            await unless_left(receive, pump())
        except (ClientLeft, OSError):
            return
        finally:
            await self._chunks.aclose()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
