"""How everything else talks to the engine: `connect` finds or starts it, then one method per verb.

Importing this costs nothing heavy; httpx is loaded by the first connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.engine.address import LOCK, LOG, code_version, read_pointer
from app.engine.settings import effective_settings
from store.errors import BadInput, LatheError, NotFound

if TYPE_CHECKING:
    import httpx

    from store.models import ModelVersion

START_SECONDS = 30.0
POLL_SECONDS = 0.05
MAX_LOG = 1024 * 1024
BASE = "http://engine"


class EngineGone(LatheError):
    """The engine could not be reached, or went away in the middle of an answer."""


def connect(root: Path | str, *, start: bool = True) -> EngineClient:
    """The engine of a workspace, started when there is none (EngineGone with `start` False).

    An engine that an older version of these files started is asked to leave and replaced.
    """
    root = Path(root).resolve()
    deadline = time.monotonic() + START_SECONDS
    child: subprocess.Popen[bytes] | None = None
    while True:
        found = _answering(root)
        if found is not None:
            client, running = found
            # One that we have just started is the newest there is, also when the files changed under our feet.
            if running == code_version() or (child is not None and child.poll() is None):
                return client
            with contextlib.suppress(EngineGone):
                client.exit()
            client.close()
        elif not start:
            raise EngineGone("No engine runs for this workspace.")
        if child is None or child.poll() is not None:
            if child is not None and child.returncode not in (0, 3):
                raise EngineGone(f"The engine did not start (status {child.returncode}): {_last_line(root)}")
            if not _locked(root):
                child = _spawn(root)
        if time.monotonic() > deadline:
            raise EngineGone(
                f"The engine did not start within {START_SECONDS:.0f} seconds: {_last_line(root)}"
            )
        time.sleep(POLL_SECONDS)


class EngineClient:
    """The engine's verbs for workers; one client may be used from one thread at a time."""

    def __init__(self, socket: str) -> None:
        import httpx

        self.socket = socket
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=socket), base_url=BASE, timeout=httpx.Timeout(None, connect=5.0)
        )

    def generate(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        stream: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Run requests; events as they come, until every request has had its done or error event.

        Closing the iterator cancels what is still running. EngineGone when the engine goes away meanwhile.
        """
        items = [dict(item) for item in requests]
        body = {"requests": items, "stream": stream, "settings": settings}
        waiting = {str(item["id"]) for item in items}
        for event in self._lines("POST", "/lathe/generate", body):
            if event["event"] in ("done", "error"):
                waiting.discard(event["id"])
            yield event
        if waiting:
            raise EngineGone(f"The engine went away with {len(waiting)} answers unfinished.")

    def watch(self, tag: str) -> Iterator[dict[str, Any]]:
        """Deltas and ends of everything with this tag, until the iterator is closed."""
        return self._lines("GET", "/lathe/watch", params={"tag": tag})

    def version(self) -> str:
        return str(self._ask("GET", "/lathe/version")["version"])

    def status(self) -> dict[str, Any]:
        """Loaded models with their measured memory, the budget, what is in flight and how fast it goes."""
        return self._ask("GET", "/lathe/status")

    def load(self, model: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Load a model, or load it anew with other settings; its facts as measured."""
        return self._ask("POST", "/lathe/load", {"model": model, "settings": settings})

    def unload(self, model: str) -> bool:
        return bool(self._ask("POST", "/lathe/unload", {"model": model})["unloaded"])

    def cancel(self, *, tag: str | None = None, ids: Iterable[str] | None = None) -> int:
        """Cancel by tag or ids; how many requests were in flight."""
        body = {"tag": tag, "ids": None if ids is None else list(ids)}
        return int(self._ask("POST", "/lathe/cancel", body)["cancelled"])

    def inspect(self, model: str, **what: Any) -> dict[str, Any]:
        """The rendered prompt of `messages` (or `prompt`), its token count, and the chat template behind it."""
        return self._ask("POST", "/lathe/inspect", {"model": model, **what})

    def tokenize(self, model: str, text: str) -> dict[str, Any]:
        return self._ask("POST", "/lathe/tokenize", {"model": model, "text": text})

    def pause(self, reason: str, pid: int) -> None:
        """Unload everything and answer nobody until `resume`, or until the process `pid` is gone."""
        self._ask("POST", "/lathe/pause", {"reason": reason, "pid": pid})

    def resume(self) -> None:
        self._ask("POST", "/lathe/resume", {})

    def exit(self) -> None:
        """Ask the engine to end."""
        self._ask("POST", "/lathe/exit", {})

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        import httpx

        try:
            response = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise EngineGone(f"The engine could not be reached: {error}.") from error
        return _checked(response.status_code, response.content)

    def _lines(
        self, method: str, path: str, body: object = None, params: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        import httpx

        try:
            with self._http.stream(method, path, json=body, params=params) as response:
                if response.status_code != 200:
                    _checked(response.status_code, response.read())
                for line in response.iter_lines():
                    if line:
                        yield json.loads(line)
        except httpx.HTTPError as error:
            raise EngineGone(f"The engine went away in the middle of an answer: {error}.") from error


class AsyncEngineClient:
    """The same verbs for the screen's event loop; finding or starting the engine happens in a thread."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._http: httpx.AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def generate(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        stream: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """As `EngineClient.generate`."""
        items = [dict(item) for item in requests]
        body = {"requests": items, "stream": stream, "settings": settings}
        waiting = {str(item["id"]) for item in items}
        async for event in self._lines("POST", "/lathe/generate", body):
            if event["event"] in ("done", "error"):
                waiting.discard(event["id"])
            yield event
        if waiting:
            raise EngineGone(f"The engine went away with {len(waiting)} answers unfinished.")

    async def watch(self, tag: str) -> AsyncIterator[dict[str, Any]]:
        """As `EngineClient.watch`."""
        async for event in self._lines("GET", "/lathe/watch", params={"tag": tag}):
            yield event

    async def status(self, *, start: bool = True) -> dict[str, Any]:
        """The engine's status; with `start` False EngineGone when none runs."""
        return await self._ask("GET", "/lathe/status", start=start)

    async def load(self, model: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return await self._ask("POST", "/lathe/load", {"model": model, "settings": settings})

    async def unload(self, model: str) -> bool:
        return bool((await self._ask("POST", "/lathe/unload", {"model": model}))["unloaded"])

    async def cancel(self, *, tag: str | None = None, ids: Iterable[str] | None = None) -> int:
        body = {"tag": tag, "ids": None if ids is None else list(ids)}
        return int((await self._ask("POST", "/lathe/cancel", body))["cancelled"])

    async def inspect(self, model: str, **what: Any) -> dict[str, Any]:
        return await self._ask("POST", "/lathe/inspect", {"model": model, **what})

    async def tokenize(self, model: str, text: str) -> dict[str, Any]:
        return await self._ask("POST", "/lathe/tokenize", {"model": model, "text": text})

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _client(self, *, start: bool = True) -> httpx.AsyncClient:
        import httpx

        async with self._connecting:
            if self._http is None:
                found = await asyncio.to_thread(connect, self.root, start=start)
                found.close()
                self._http = httpx.AsyncClient(
                    transport=httpx.AsyncHTTPTransport(uds=found.socket),
                    base_url=BASE,
                    timeout=httpx.Timeout(None, connect=5.0),
                )
            return self._http

    async def _ask(
        self, method: str, path: str, body: object = None, *, start: bool = True
    ) -> dict[str, Any]:
        import httpx

        for attempt in (1, 2):
            http = await self._client(start=start)
            try:
                response = await http.request(method, path, json=body)
            except httpx.HTTPError as error:
                await self.close()
                # An engine that left since the last request is started again, once.
                if attempt == 2 or not isinstance(error, httpx.ConnectError):
                    raise EngineGone(f"The engine could not be reached: {error}.") from error
                continue
            return _checked(response.status_code, response.content)
        raise EngineGone("The engine could not be reached.")

    async def _lines(
        self, method: str, path: str, body: object = None, params: Mapping[str, str] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        import httpx

        await self._ask("GET", "/lathe/version")
        http = await self._client()
        try:
            async with http.stream(method, path, json=body, params=params) as response:
                if response.status_code != 200:
                    _checked(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if line:
                        yield json.loads(line)
        except httpx.HTTPError as error:
            await self.close()
            raise EngineGone(f"The engine went away in the middle of an answer: {error}.") from error


def engine_fingerprint(
    root: Path | str, model_ref: str, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What besides prompt, weights and sampling changes a model's output: the `fingerprint` of a generation key.

    Found without loading the model. Batching is part of it as "single" (reproducible) or "batched".
    """
    from store.models import model_version
    from store.workspace import open_store

    store = open_store(root)
    try:
        found = model_version(store, model_ref)
    finally:
        store.close()
    return fingerprint_of(found, settings)


def fingerprint_of(model: ModelVersion, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`engine_fingerprint` for a model version that is already at hand."""
    parsed = effective_settings(model.facts.get("settings"), None if settings is None else dict(settings))
    gguf = model.format == "gguf"
    package = "llama-cpp-python" if gguf else "transformers"
    try:
        build = version(package)
    except PackageNotFoundError:
        build = ""
    return {
        "backend": "llama_cpp" if gguf else "transformers",
        "build": build,
        "flash_attention": parsed.flash_attention,
        "kv_type": parsed.kv_type if gguf else "model",
        "gpu_layers": parsed.gpu_layers,
        "context": parsed.context,
        "batching": "single" if parsed.slots == 1 else "batched",
        "template": parsed.template,
        "template_hash": own_template_hash(model),
    }


def own_template_hash(model: ModelVersion) -> str:
    """The hash of the chat template that a model brings, from its facts or else from its files."""
    known = model.facts.get("chat_template_hash")
    if known is not None:
        return str(known)
    try:
        return _template_hash(model.path, model.format, model.quick_hash)
    except OSError as error:
        raise LatheError(
            f"{model.ref} cannot be read at {model.path} ({error.strerror or error}). Put it back or register it again."
        ) from error


@lru_cache(maxsize=64)
def _template_hash(path: str, kind: str, _quick_hash: str) -> str:
    from app.engine.chat_template import template_hash
    from app.engine.gguf_header import read_header
    from app.engine.hf_files import chat_template_of

    source = read_header(Path(path)).chat_template if kind == "gguf" else chat_template_of(Path(path))
    return template_hash(source)


def _answering(root: Path) -> tuple[EngineClient, str] | None:
    pointer = read_pointer(root)
    if pointer is None or not os.path.exists(pointer.socket):
        return None
    client = EngineClient(pointer.socket)
    try:
        return client, client.version()
    except LatheError:
        client.close()
        return None


def _locked(root: Path) -> bool:
    """Whether an engine holds the workspace's lock, be it starting, serving or leaving."""
    handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _spawn(root: Path) -> subprocess.Popen[bytes]:
    from app.jobs import offline

    log = root / LOG
    fresh = not log.exists() or log.stat().st_size > MAX_LOG
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if fresh else os.O_APPEND), 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "app.engine.server", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env=offline.environment(os.environ, False),
            start_new_session=True,
        )
    finally:
        os.close(handle)


def _last_line(root: Path) -> str:
    try:
        lines = (root / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "it left no log."
    return lines[-1][:300] if lines else "it left no log."


def _checked(status: int, content: bytes) -> dict[str, Any]:
    """The answer's object; an error answer becomes the LatheError it was in the engine."""
    try:
        value = json.loads(content)
    except ValueError:
        value = {}
    if status == 200 and isinstance(value, dict):
        return value
    error = value.get("error", {}) if isinstance(value, dict) else {}
    sentence = str(error.get("message") or f"The engine answered with status {status}.")
    kinds: dict[str, type[LatheError]] = {"NotFound": NotFound, "BadInput": BadInput}
    raise kinds.get(str(error.get("code")), LatheError)(sentence)
