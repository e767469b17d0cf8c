"""An engine over tiny models: started once a module, because starting is what takes the time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.engine.client import EngineClient, connect
from app.engine.model_files import quick_hash, size_bytes
from store import models
from store.workspace import Store, open_store
from tests.conftest import kill_processes_of
from tests.tiny_models import tiny_gguf, tiny_hf

ONE_THREAD = {"threads": 1}  # two threads on busy cores wait for each other more than they compute


def register(store: Store, name: str, path: Path, *, tag: str = "") -> models.ModelVersion:
    """Register a tiny model the way the models stage does."""
    return models.register_version(
        store,
        name,
        tag=tag,
        format="hf" if path.is_dir() else "gguf",
        path=str(path),
        quick_hash=quick_hash(path),
        size_bytes=size_bytes(path),
        facts={},
    )


def ask(name: str, text: str, model: str = "tiny", **fields: Any) -> dict[str, Any]:
    """A chat request with 12 greedy tokens unless `sampling` says otherwise."""
    sampling = {"temperature": 0, "max_tokens": 12, **fields.pop("sampling", {})}
    return {
        "id": name,
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "sampling": sampling,
        **fields,
    }


def done(events: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last event of every request, by id."""
    return {event["id"]: event for event in events if event["event"] in ("done", "error")}


def small_workspace(root: Path) -> Store:
    """A workspace with the tiny model as GGUF (`tiny`), one without a template (`bare`), and as a folder (`tiny@hf`)."""
    store = open_store(root, create=True)
    register(store, "tiny", tiny_gguf(root / "models"), tag="f32")
    register(store, "bare", tiny_gguf(root / "models", name="bare", template=False, seed=2), tag="f32")
    register(store, "tiny", tiny_hf(root / "models" / "hf"), tag="hf")
    return store


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("engine") / "workspace"
    small_workspace(root).close()
    yield root
    kill_processes_of(root)


@pytest.fixture(scope="module")
def engine(tiny_root: Path) -> Iterator[EngineClient]:
    """A running engine with `tiny` loaded."""
    runtime = Path(tempfile.mkdtemp(prefix="le", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        client = connect(tiny_root)
    client.load("tiny", ONE_THREAD)
    yield client
    client.exit()
    client.close()
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def own_engine(workspace_root: Path) -> Iterator[Callable[[], EngineClient]]:
    """Starts an engine of this test's own, which may be killed; call it again for another client."""
    small_workspace(workspace_root).close()
    clients: list[EngineClient] = []

    def start() -> EngineClient:
        clients.append(connect(workspace_root))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
