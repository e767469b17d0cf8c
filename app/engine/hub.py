"""The engine's heart: which models are loaded, which request goes to which, and which event goes to whom."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.engine import memory
from app.engine.loaded_model import LoadedModel
from app.engine.model_files import quick_hash
from app.engine.request import Request
from app.engine.settings import LoadSettings, effective_settings
from store import jobs
from store import models as stored_models
from store.errors import LatheError, StoreBroken
from store.models import ModelVersion
from store.workspace import Store, now

MODEL_IDLE_SECONDS = 600.0
ENGINE_IDLE_SECONDS = 1200.0
KEPT_PROBLEMS = 20
MOST_UNREAD = 2000


class Paused(LatheError):
    """The engine gave its place to a heavy job."""


@dataclass(eq=False)
class Call:
    """One caller's requests: events come through `events`, `waiting` maps inner keys to the caller's own ids."""

    number: int
    events: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    waiting: dict[str, Request] = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """Who paused the engine and why; it ends by itself when `pid` is gone."""

    reason: str
    pid: int


class Hub:
    """Loads models on demand within the memory budget and routes requests and events."""

    def __init__(self, store: Store, root: Path) -> None:
        self.store, self.root = store, root
        self.models: dict[int, LoadedModel] = {}
        self.problems: list[dict[str, str]] = []
        self.pause_state = _pause_for_heavy_job(store)
        self.started_at = self.used_at = time.monotonic()
        self._loading: dict[int, asyncio.Lock] = {}
        self._admitting = asyncio.Lock()
        self._calls = itertools.count(1)
        self._owners: dict[str, Call] = {}
        self._watchers: dict[str, list[asyncio.Queue[dict[str, Any]]]] = {}

    def used(self) -> None:
        """Somebody asked for something: the engine stays."""
        self.used_at = time.monotonic()

    # -- models -------------------------------------------------------------------------------------------------

    async def loaded(self, ref: str, settings: object = None) -> LoadedModel:
        """The loaded model that `ref` means, loading it if need be.

        `settings` None takes it as it is loaded now, or else with the settings kept in its facts; other settings load
        it anew, unless it is answering somebody.
        """
        self._refuse_while_paused()
        version = stored_models.model_version(self.store, ref)
        lock = self._loading.setdefault(version.id, asyncio.Lock())
        async with lock:
            model = self.models.get(version.id)
            if model is not None and settings is None:
                wanted = model.settings
            else:
                wanted = effective_settings(version.facts.get("settings"), settings)
            if model is not None and model.alive:
                if wanted == model.settings:
                    # Asked every time: weights are mapped, so a file overwritten in place changes the answers at once.
                    _check_files(version)
                    model.used_at = time.monotonic()
                    return model
                if model.busy:
                    raise LatheError(
                        f"{version.ref} is answering somebody; its settings can change when it is done."
                    )
                await self._leave(model)
            return await self._load(version, wanted)

    async def unload(self, ref: str) -> bool:
        """Unload the model that `ref` means; false when it was not loaded."""
        version = stored_models.model_version(self.store, ref)
        model = self.models.get(version.id)
        if model is None:
            return False
        await self._leave(model)
        return True

    async def unload_all(self) -> None:
        await asyncio.gather(*(self._leave(model) for model in list(self.models.values())))

    async def _leave(self, model: LoadedModel) -> None:
        """Unload a model and keep what it held at last: weights are only read in while it answers."""
        self._keep_measured(model)
        await model.unload()

    def _keep_measured(self, model: LoadedModel) -> None:
        held = model.rss_bytes
        if not held or not model.facts:
            return
        measured = {
            "rss_bytes": held,
            "settings": model.settings.wire(),
            "context": model.facts.get("context"),
        }
        try:
            stored_models.update_facts(self.store, model.version.id, {"measured": measured})
        except StoreBroken as error:
            # A better estimate for next time is no reason to keep a model, and its memory, that is to go.
            self.problems.append({"model": model.version.ref, "problem": str(error), "at": now()})

    async def _load(self, version: ModelVersion, settings: LoadSettings) -> LoadedModel:
        _check_files(version)
        async with self._admitting:
            held = sum(model.rss_bytes for model in self.models.values())
            allowed = memory.budget(held)
            free = max(0, allowed - held)
            needed = memory.needed_bytes(
                size_bytes=version.size_bytes,
                format=version.format,
                facts=version.facts,
                settings=settings,
                free_bytes=free,
            )
            holders = [
                memory.Holder(key, model.rss_bytes, model.busy, model.used_at)
                for key, model in self.models.items()
            ]
            for key in memory.to_unload(needed, holders, allowed, version.ref):
                await self._leave(self.models[key])
            held = sum(model.rss_bytes for model in self.models.values())
            model = LoadedModel(version, settings, deliver=self._deliver, gone=self._gone)
            self.models[version.id] = model
            try:
                await model.start(self.root, max(0, allowed - held - version.size_bytes))
            except BaseException:
                self.models.pop(version.id, None)
                raise
        if self._watchers:
            model.watch(list(self._watchers))
        self._keep_measured(model)
        facts = {
            "chat_template_hash": model.facts.get("template_hash", ""),
            "device": model.facts.get("device"),
        }
        stored_models.update_facts(self.store, version.id, facts)
        return model

    def _gone(self, model: LoadedModel) -> None:
        if self.models.get(model.version.id) is model:
            del self.models[model.version.id]
        if model.problem:
            self.problems.append({"model": model.version.ref, "problem": model.problem, "at": now()})
            del self.problems[:-KEPT_PROBLEMS]

    # -- requests -----------------------------------------------------------------------------------------------

    async def submit(self, requests: Iterable[Request], settings: object = None) -> Call:
        """Hand requests to their models; every one of them ends with a done or an error event in the call."""
        self.used()
        call = Call(next(self._calls))
        by_model: dict[str, list[Request]] = {}
        for request in requests:
            by_model.setdefault(request.model, []).append(request)
        for ref, group in by_model.items():
            try:
                model = await self.loaded(ref, settings)
                wire = []
                for request in group:
                    key = f"{call.number}:{request.id}"
                    self._owners[key] = call
                    call.waiting[key] = request
                    wire.append({**_wire(request), "id": key})
                model.generate(wire)
            except LatheError as error:
                for request in group:
                    self._owners.pop(f"{call.number}:{request.id}", None)
                    call.waiting.pop(f"{call.number}:{request.id}", None)
                    event = {
                        "id": request.id,
                        "event": "error",
                        "error": str(error),
                        "kind": type(error).__name__,
                    }
                    call.events.put_nowait(event)
        return call

    def close(self, call: Call) -> None:
        """The caller left: whatever it still waits for is cancelled."""
        keys = list(call.waiting)
        for key in keys:
            self._owners.pop(key, None)
        call.waiting.clear()
        self._cancel(keys)

    def cancel(self, *, tag: str | None = None, ids: Iterable[str] | None = None) -> int:
        """Cancel by tag or by the callers' own ids; how many were in flight."""
        wanted = frozenset(ids or ())
        keys = [
            key
            for key, call in self._owners.items()
            if (request := call.waiting.get(key)) and ((tag and request.tag == tag) or request.id in wanted)
        ]
        self._cancel(keys)
        return len(keys)

    async def watch(self, tag: str) -> AsyncGenerator[dict[str, Any]]:
        """Events of everything with this tag, from now until the caller stops reading."""
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._watchers.setdefault(tag, []).append(events)
        self._tell_watched()
        try:
            while True:
                yield await events.get()
        finally:
            self._watchers[tag].remove(events)
            if not self._watchers[tag]:
                del self._watchers[tag]
            self._tell_watched()

    def _cancel(self, keys: list[str]) -> None:
        for model in self.models.values():
            mine = [key for key in keys if key in model.keys]
            if mine and model.alive:
                model.cancel(mine)

    def _tell_watched(self) -> None:
        for model in self.models.values():
            if model.alive:
                model.watch(list(self._watchers))

    def _deliver(self, event: dict[str, Any]) -> None:
        """Send an event of a model to the caller that waits for it, and to who watches its tag."""
        key = event["id"]
        call = self._owners.get(key)
        request = call.waiting.get(key) if call else None
        if call is None or request is None:
            return
        event = {**event, "id": request.id}
        if event["event"] in ("done", "error"):
            del call.waiting[key], self._owners[key]
            self.used()
        if event["event"] != "delta" or request.stream:
            call.events.put_nowait(event)
        for watcher in self._watchers.get(request.tag, ()):
            # A screen that stopped reading misses deltas, not ends: those hold the whole text anyway.
            if event["event"] != "delta" or watcher.qsize() < MOST_UNREAD:
                watcher.put_nowait(event)

    # -- the engine as a whole ----------------------------------------------------------------------------------

    async def pause(self, reason: str, pid: int) -> None:
        """Unload everything and take no requests until `resume`, or until the process `pid` is gone."""
        self.pause_state = Pause(reason, pid)
        await self.unload_all()

    def resume(self) -> None:
        self.pause_state = None

    async def status(self) -> dict[str, Any]:
        """Loaded models with their measured memory, the budget, and what is in flight."""
        self._end_stale_pause()
        machine = memory.machine_memory()
        loaded = []
        for model in list(self.models.values()):
            inner = await self._inner_status(model)
            loaded.append(
                {
                    "ref": model.version.ref,
                    "name": model.version.name,
                    "version_id": model.version.id,
                    "pid": model.pid,
                    "rss_bytes": model.rss_bytes,
                    "settings": model.settings.wire(),
                    "facts": dict(model.facts),
                    "idle_seconds": 0.0 if model.busy else round(time.monotonic() - model.used_at, 1),
                    **inner,
                }
            )
        held = sum(item["rss_bytes"] for item in loaded)
        return {
            "pid": os.getpid(),
            "rss_bytes": memory.resident_bytes(os.getpid()),
            "models": loaded,
            "memory": {
                **asdict(machine),
                "held_bytes": held,
                "budget_bytes": memory.budget(held, machine),
            },
            "in_flight": len(self._owners),
            "paused": self.pause_state.reason if self.pause_state else None,
            "problems": self.problems,
            "uptime_seconds": round(time.monotonic() - self.started_at, 1),
        }

    async def tidy(self) -> bool:
        """Unload what nobody used for long; false when the engine itself may leave. Called now and then."""
        self._end_stale_pause()
        at = time.monotonic()
        for model in list(self.models.values()):
            if not model.busy and at - max(model.used_at, model.loaded_at) > MODEL_IDLE_SECONDS:
                await self._leave(model)
        return bool(self.models or self._owners or self._watchers) or at - self.used_at < ENGINE_IDLE_SECONDS

    async def _inner_status(self, model: LoadedModel) -> Mapping[str, Any]:
        if not model.facts or not model.alive:
            return {"state": "loading"}
        try:
            return {"state": "ready", **await asyncio.wait_for(model.ask("status"), 2.0)}
        except (LatheError, TimeoutError):
            return {"state": "not answering"}

    def _refuse_while_paused(self) -> None:
        self._end_stale_pause()
        if self.pause_state is not None:
            raise Paused(
                f"The engine is paused: {self.pause_state.reason}. It answers again when that is over."
            )

    def _end_stale_pause(self) -> None:
        if self.pause_state is not None and not _exists(self.pause_state.pid):
            self.pause_state = None


def _pause_for_heavy_job(store: Store) -> Pause | None:
    """An engine that starts while a heavy job computes waits for its end, as one that ran already would."""
    for job in jobs.list_jobs(store, states=("running", "stopping")):
        if job.kind == "heavy" and job.pid is not None:
            return Pause(job.title, job.pid)
    return None


def _check_files(version: ModelVersion) -> None:
    path = Path(version.path)
    if version.format == "adapter":
        raise LatheError(
            f"{version.ref} is an adapter: it changes another model and cannot answer by itself. Merge it into its "
            "base model and register the result."
        )
    if not path.exists():
        raise LatheError(
            f"{version.ref} is gone from disk: there is no {path}. Put it back or register it again."
        )
    if version.quick_hash and quick_hash(path) != version.quick_hash:
        raise LatheError(
            f"{version.ref} changed on disk since it was registered ({path}), so results would no longer be "
            "comparable. Register it again as a new version."
        )


def _wire(request: Request) -> dict[str, Any]:
    return {key: value for key, value in asdict(request).items() if value is not None}


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
