"""One loaded model as the engine sees it: a child process, a socket to it, and who waits for what."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.engine.memory import resident_bytes
from app.engine.settings import LoadSettings
from app.engine.wire import MAX_LINE, encode
from app.jobs import offline
from store.errors import LatheError
from store.models import ModelVersion

EXIT_SECONDS = 3.0
PIECE = 16  # requests in one message, so that an interactive one never waits for a long message to be read


class LoadedModel:
    """A model's process; `deliver` gets every event, `gone` is called once when the process has ended."""

    def __init__(
        self,
        version: ModelVersion,
        settings: LoadSettings,
        *,
        deliver: Callable[[dict[str, Any]], None],
        gone: Callable[[LoadedModel], None],
    ) -> None:
        self.version, self.settings = version, settings
        self.facts: Mapping[str, Any] = {}
        self.loaded_at = self.used_at = time.monotonic()
        self.keys: set[str] = set()
        self.problem = ""
        self._deliver, self._gone = deliver, gone
        self._leaving = False
        self._ended = False
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def rss_bytes(self) -> int:
        return resident_bytes(self.pid) if self._process else 0

    @property
    def busy(self) -> bool:
        return bool(self.keys or self._replies)

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._ended and not self._leaving

    async def start(self, root: Path, free_bytes: int) -> None:
        """Start the process and wait until the model is loaded; a LatheError says why it was not."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "app.engine.model_process", str(root), str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # a ctrl+c in the terminal that started the engine is not for its models
            )
        finally:
            theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE)
        order = {
            "path": self.version.path,
            "format": self.version.format,
            "name": self.version.ref,
            "settings": self.settings.wire(),
            "free_bytes": free_bytes,
        }
        self._writer.write(encode(order))
        try:
            answer = await _message(reader)
        except asyncio.CancelledError:
            await self.unload()
            raise
        if answer is None or answer["type"] != "ready":
            self._leaving = True
            reason = answer["error"] if answer else await self._death()
            await self.unload()
            raise LatheError(f"{self.version.ref} could not be loaded: {reason}")
        self.facts = answer["facts"]
        self._reading = asyncio.create_task(self._read(reader))

    def generate(self, requests: list[dict[str, Any]]) -> None:
        """Hand validated requests to the model; their ids are the keys of later events."""
        self.keys.update(request["id"] for request in requests)
        for start in range(0, len(requests), PIECE):
            self._send({"op": "generate", "requests": requests[start : start + PIECE]})

    def cancel(self, keys: list[str]) -> None:
        self._send({"op": "cancel", "ids": keys})

    def watch(self, tags: list[str]) -> None:
        self._send({"op": "watch", "tags": tags})

    async def ask(self, op: str, **fields: Any) -> Any:
        """One question, one answer; a LatheError when the model refuses or its process dies."""
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies[number] = future
        self._send({"op": op, "id": number, **fields})
        try:
            return await future
        finally:
            self._replies.pop(number, None)

    async def unload(self) -> None:
        """End the process; its memory is the system's again when this returns."""
        self._leaving = True
        if self._writer is not None:
            self._writer.close()
        process = self._process
        if process is None:
            return
        try:
            await asyncio.wait_for(_ended(process), EXIT_SECONDS)
        except TimeoutError:
            process.kill()
            await _ended(process)
        self._end(f"{self.version.ref} was unloaded while it answered.")

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None or not self.alive:
            raise LatheError(f"{self.version.ref} is not loaded any more.")
        self._writer.write(encode(message))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while (message := await _message(reader)) is not None:
                if message["type"] == "events":
                    self.used_at = time.monotonic()
                    for event in message["events"]:
                        if event["event"] in ("done", "error"):
                            self.keys.discard(event["id"])
                        self._deliver(event)
                else:
                    self._reply(message)
        if not self._leaving:
            reason = await self._death()
            self.problem = f"{self.version.ref} crashed: {reason} It is loaded again with the next request."
            self._end(self.problem)

    def _reply(self, message: Mapping[str, Any]) -> None:
        future = self._replies.get(message["id"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(LatheError(message["error"]))
        else:
            future.set_result(message["value"])

    def _end(self, sentence: str) -> None:
        """Whatever was still waiting gets an error, never a clean end."""
        if self._ended:
            return
        self._ended = True
        for key in sorted(self.keys):
            self._deliver({"id": key, "event": "error", "error": sentence})
        self.keys.clear()
        for future in self._replies.values():
            if not future.done():
                future.set_exception(LatheError(sentence))
        self._gone(self)

    async def _death(self) -> str:
        process = self._process
        if process is None:
            return "it was never started."
        code = await _ended(process)
        if code == -signal.SIGKILL:
            return "its process was killed (SIGKILL), by hand or because the machine ran out of memory."
        if code < 0:
            return f"its process ended with {signal.Signals(-code).name}."
        return f"its process ended with status {code}; see engine.log in the workspace."


def _environment() -> dict[str, str]:
    """What a model's process may know, and how long its threads spin while they wait for each other.

    OpenMP's 300,000 turns are milliseconds at each of hundreds of barriers in a token; as soon as anything else wants
    a core, two threads then mostly wait: 474 ms a token instead of 14 beside other work. 1,000 is what OpenMP itself
    takes when it knows that it has to share.
    """
    return {
        **offline.environment(os.environ, False),
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000"),
    }


async def _message(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    line = await reader.readline()
    found: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
    return found


async def _ended(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait)
