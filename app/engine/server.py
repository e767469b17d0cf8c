"""The engine of one workspace: `python -P -m app.engine.server WORKSPACE`, HTTP on a Unix socket that only its user
can open.

This process routes and never computes: it imports neither llama_cpp nor torch. Each loaded model is a child.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.engine.address import LOCK, Pointer, code_version, socket_path, write_pointer
from app.engine.http import LiveStream, body_of, drain, ndjson, sentences
from app.engine.hub import Call, Hub
from app.engine.openai_api import openai_routes
from app.engine.request import Request, fail, parse_request
from app.engine.settings import parse_settings
from store.workspace import now, open_store

ALREADY_RUNNING = 3
TIDY_SECONDS = 5.0
PRIORITY = 5
MAX_REQUESTS = 20_000


class Routes:
    """Lathe's own verbs over a hub."""

    def __init__(self, hub: Hub, leave: asyncio.Event) -> None:
        self.hub, self.leave = hub, leave

    def routes(self) -> list[Route]:
        posts = {
            "generate": self.generate,
            "cancel": self.cancel,
            "load": self.load,
            "unload": self.unload,
            "inspect": self.inspect,
            "tokenize": self.tokenize,
            "pause": self.pause,
            "resume": self.resume,
            "exit": self.exit,
        }
        return [
            *(
                Route(f"/lathe/{name}", sentences(handler), methods=["POST"])
                for name, handler in posts.items()
            ),
            Route("/lathe/version", sentences(self.version)),
            Route("/lathe/status", sentences(self.status)),
            Route("/lathe/watch", sentences(self.watch)),
        ]

    async def generate(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        items = body.get("requests")
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_REQUESTS:
            fail(f"requests must be a list of 1 to {MAX_REQUESTS} requests.")
        stream = bool(body.get("stream", False))
        requests = [
            parse_request({**item, "stream": stream} if isinstance(item, dict) else item) for item in items
        ]
        if len({item.id for item in requests}) < len(requests):
            fail("Two requests of one call have the same id.")
        return LiveStream(self._events(requests, body.get("settings")), "application/x-ndjson")

    async def _events(self, requests: list[Request], settings: object) -> AsyncGenerator[bytes, None]:
        call: Call | None = None
        left = len(requests)
        try:
            call = await self.hub.submit(requests, settings)
            while left:
                events = await drain(call.events)
                left -= sum(event["event"] in ("done", "error") for event in events)
                yield ndjson(events)
        finally:
            if call is not None:
                self.hub.close(call)

    async def watch(self, request: HttpRequest) -> Response:
        tag = request.query_params.get("tag", "")
        if not tag:
            fail("watch needs a tag: /lathe/watch?tag=…")
        return LiveStream(self._watched(tag), "application/x-ndjson")

    async def _watched(self, tag: str) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self.hub.watch(tag)) as events:
            yield b"\n"  # the headers go out at once, so that the caller knows that it is watching
            async for event in events:
                yield ndjson([event])

    async def cancel(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        tag, ids = body.get("tag"), body.get("ids")
        if not isinstance(tag, str) and not (
            isinstance(ids, list) and all(isinstance(item, str) for item in ids)
        ):
            fail("cancel needs a tag or a list of ids.")
        return JSONResponse({"cancelled": self.hub.cancel(tag=tag, ids=ids)})

    async def load(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        self.hub.used()
        settings = body.get("settings")
        model = await self.hub.loaded(_model(body), None if settings is None else settings)
        return JSONResponse(
            {"ref": model.version.ref, "facts": dict(model.facts), "rss_bytes": model.rss_bytes}
        )

    async def unload(self, request: HttpRequest) -> Response:
        return JSONResponse({"unloaded": await self.hub.unload(_model(await body_of(request)))})

    async def inspect(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        model = await self.hub.loaded(_model(body))
        known = {key: body[key] for key in ("messages", "prompt", "thinking", "template") if key in body}
        return JSONResponse(await model.ask("inspect", **known))

    async def tokenize(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        text = body.get("text")
        if not isinstance(text, str):
            fail("tokenize needs a text.")
        model = await self.hub.loaded(_model(body))
        return JSONResponse(
            await model.ask("tokenize", text=text, add_special=bool(body.get("add_special", False)))
        )

    async def version(self, _request: HttpRequest) -> Response:
        """Answers at once whatever the models are doing: this is how clients knock."""
        return JSONResponse({"version": code_version(), "pid": os.getpid()})

    async def status(self, _request: HttpRequest) -> Response:
        return JSONResponse({**await self.hub.status(), "version": code_version()})

    async def pause(self, request: HttpRequest) -> Response:
        body = await body_of(request)
        reason, pid = body.get("reason", "a heavy job runs"), body.get("pid")
        if not isinstance(reason, str) or not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
            fail("pause needs the pid of the process it is for, and may give a reason.")
        await self.hub.pause(reason[:200], pid)
        return JSONResponse({"paused": True})

    async def resume(self, _request: HttpRequest) -> Response:
        self.hub.resume()
        return JSONResponse({"paused": False})

    async def exit(self, _request: HttpRequest) -> Response:
        self.leave.set()
        return JSONResponse({"leaving": True})


def main(arguments: list[str]) -> int:
    """Serve one workspace until told to leave, or until nobody has used the engine for long."""
    from app.jobs import offline

    root = Path(arguments[0])
    offline.install(False, root)
    # Below the screen, whoever started it; a worker that did has lowered the priority already.
    os.nice(max(0, PRIORITY - os.nice(0)))
    lock = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return ALREADY_RUNNING
    asyncio.run(serve(root))
    return 0


async def serve(root: Path) -> None:
    """Bind the socket, write the pointer, serve, and leave nothing behind."""
    from app.jobs.processes import start_time

    store = open_store(root)
    leave = asyncio.Event()
    hub = Hub(store, root)
    path = socket_path(root)
    listener = _bind(path)
    app = Starlette(routes=[*Routes(hub, leave).routes(), *openai_routes(hub)])
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    own_socket = path.stat().st_ino
    async with _tidied(hub, leave), _leaving(server, leave):
        started = start_time(os.getpid()) or now()
        write_pointer(root, Pointer(str(path), os.getpid(), started, code_version()))
        try:
            await server.serve(sockets=[listener])
        finally:
            await hub.unload_all()
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == own_socket:
                    path.unlink()
            store.close()


def _bind(path: Path) -> socket.socket:
    """A listening socket that only this user may open; whatever lies there is stale, for we hold the lock."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode is set by the umask at birth: between a bind and a chmod anybody could connect.
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    listener.listen(512)
    return listener


@contextlib.asynccontextmanager
async def _tidied(hub: Hub, leave: asyncio.Event) -> AsyncIterator[None]:
    """Unload idle models now and then, and leave when nobody needs the engine."""

    async def tidy() -> None:
        while await hub.tidy():
            await asyncio.sleep(TIDY_SECONDS)
        leave.set()

    task = asyncio.create_task(tidy())
    try:
        yield
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def _leaving(server: uvicorn.Server, leave: asyncio.Event) -> AsyncIterator[None]:
    async def wait() -> None:
        await leave.wait()
        server.should_exit = True

    task = asyncio.create_task(wait())
    try:
        yield
    finally:
        task.cancel()


def _model(body: dict[str, object]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        fail('Name a model: {"model": "name@tag"}.')
    parse_settings(body.get("settings"))
    return model


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
