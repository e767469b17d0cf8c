"""Processes: starting, crashing, unloading, two clients, old engines, pauses, and what is left behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.engine import address
from app.engine.address import read_pointer, socket_path, write_pointer
from app.engine.client import (
    AsyncEngineClient,
    EngineClient,
    EngineGone,
    connect,
    engine_fingerprint,
    fingerprint_of,
)
from app.engine.hub import Hub
from store import models
from store.errors import LatheError
from store.workspace import open_store
from tests.app.engine.conftest import ONE_THREAD, ask, done, small_workspace

Start = Callable[[], EngineClient]
LONG = {"max_tokens": 480}


def test_a_model_killed_in_mid_answer_is_an_error_never_a_clean_end_and_comes_back(own_engine: Start) -> None:
    client = own_engine()
    client.load("tiny", {**ONE_THREAD, "context": 4096})
    pid = client.status()["models"][0]["pid"]
    events = client.generate([ask("k", "Where is my order?", sampling={"max_tokens": 4000})], stream=True)
    kinds = []
    for event in events:
        kinds.append(event["event"])
        if kinds == ["started", "delta"]:
            os.kill(pid, signal.SIGKILL)
        last = event
    assert kinds[-1] == "error"
    assert "crashed" in last["error"]
    assert "SIGKILL" in last["error"]
    assert done(client.generate([ask("again", "Where is it?")]))["again"]["event"] == "done"
    status = client.status()
    assert status["models"][0]["pid"] != pid
    assert "SIGKILL" in status["problems"][0]["problem"]


def test_two_clients_share_one_engine_and_both_get_everything(own_engine: Start) -> None:
    first, second = own_engine(), own_engine()
    assert first.status()["pid"] == second.status()["pid"]
    first.load("tiny", ONE_THREAD)
    results: dict[int, dict[str, Any]] = {}

    def run(number: int, client: EngineClient) -> None:
        results[number] = done(client.generate([ask(str(at), f"{number} {at}") for at in range(30)]))

    threads = [threading.Thread(target=run, args=item) for item in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all({event["event"] for event in found.values()} == {"done"} for found in results.values())
    assert [len(found) for found in results.values()] == [30, 30]


def test_clients_that_start_an_engine_at_the_same_moment_find_the_same_one(workspace_root: Path) -> None:
    open_store(workspace_root, create=True).close()
    pids: list[int] = []

    def find() -> None:
        client = connect(workspace_root)
        pids.append(client.status()["pid"])
        client.close()

    threads = [threading.Thread(target=find) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(pids) == 4
    assert len(set(pids)) == 1


def test_unloading_ends_the_process_and_its_memory_is_free(own_engine: Start) -> None:
    client = own_engine()
    before = client.status()["rss_bytes"]
    client.load("tiny", ONE_THREAD)
    held = client.status()["models"][0]
    assert held["rss_bytes"] > 20e6
    assert client.unload("tiny") is True
    assert not psutil.pid_exists(held["pid"]) or psutil.Process(held["pid"]).status() == psutil.STATUS_ZOMBIE
    status = client.status()
    assert status["models"] == []
    assert status["memory"]["held_bytes"] == 0
    assert status["rss_bytes"] <= before * 1.05 + 2e6
    assert client.unload("tiny") is False


def test_a_model_holds_no_more_than_what_it_was_measured_at(own_engine: Start, workspace_root: Path) -> None:
    client = own_engine()
    loaded = client.load("tiny", ONE_THREAD)
    store = open_store(workspace_root)
    measured = models.model_version(store, "tiny").facts["measured"]
    store.close()
    assert measured["rss_bytes"] == pytest.approx(loaded["rss_bytes"], rel=0.1)
    assert measured["context"] == 512


def test_the_socket_is_the_users_alone_and_nothing_is_left_behind(
    own_engine: Start, workspace_root: Path
) -> None:
    client = own_engine()
    path = Path(client.socket)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((workspace_root / "engine.json").stat().st_mode) == 0o600
    engine = psutil.Process(client.status()["pid"])
    client.load("tiny", ONE_THREAD)
    children = engine.children()
    assert len(children) == 1
    client.exit()
    engine.wait(10)
    psutil.wait_procs(children, timeout=5)
    assert not path.exists()
    assert not any(child.is_running() for child in children)


def test_models_die_with_their_engine(own_engine: Start) -> None:
    client = own_engine()
    client.load("tiny", ONE_THREAD)
    engine = psutil.Process(client.status()["pid"])
    children = engine.children()
    engine.kill()
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert len(gone) == 1
    assert not alive


def test_a_killed_engines_socket_is_no_obstacle(own_engine: Start) -> None:
    client = own_engine()
    engine = psutil.Process(client.status()["pid"])
    engine.kill()
    engine.wait(10)
    assert Path(client.socket).exists()
    with pytest.raises(EngineGone):
        client.status()
    assert own_engine().status()["pid"] != engine.pid


def test_an_engine_of_an_older_version_is_replaced(
    own_engine: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = own_engine()
    pid = old.status()["pid"]

    def pretend() -> str:
        # The engine that replaces it runs the same files, so once the old one is gone they are the newest.
        return "newer" if psutil.pid_exists(pid) else address.code_version()

    monkeypatch.setattr("app.engine.client.code_version", pretend)
    fresh = own_engine()
    assert fresh.status()["pid"] != pid


def test_an_engine_that_nobody_started_is_not_started_by_asking(workspace_root: Path) -> None:
    open_store(workspace_root, create=True).close()
    with pytest.raises(EngineGone, match="No engine"):
        connect(workspace_root, start=False)
    assert read_pointer(workspace_root) is None


def test_a_broken_pointer_or_a_stranger_behind_it_is_no_obstacle(
    own_engine: Start, workspace_root: Path
) -> None:
    (workspace_root / "engine.json").write_text("{", encoding="utf-8")
    stale = socket_path(workspace_root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stale))  # bound, never listening: what a crashed process leaves
        write_pointer(workspace_root, address.Pointer(str(stale), 1, "x", "y"))
        assert own_engine().status()["models"] == []


def test_a_loaded_file_that_changed_on_disk_answers_nobody_any_more(
    own_engine: Start, workspace_root: Path
) -> None:
    client = own_engine()
    client.load("tiny", ONE_THREAD)
    with (workspace_root / "models" / "tiny.gguf").open("ab") as file:
        file.write(b"more")
    events = list(client.generate([ask("late", "hello")]))
    assert events[-1]["event"] == "error" and "changed on disk" in events[-1]["error"]


def test_a_file_that_changed_on_disk_is_noticed_before_it_is_loaded(
    own_engine: Start, workspace_root: Path
) -> None:
    client = own_engine()
    path = workspace_root / "models" / "tiny.gguf"
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(LatheError, match="changed on disk"):
        client.load("tiny")
    path.unlink()
    with pytest.raises(LatheError, match="gone from disk"):
        client.load("tiny")


def test_a_damaged_file_is_refused_before_llama_cpp_sees_it(own_engine: Start, workspace_root: Path) -> None:
    from tests.app.engine.conftest import register

    bad = workspace_root / "models" / "bad.gguf"
    bad.write_bytes((workspace_root / "models" / "tiny.gguf").read_bytes()[:-4000])
    store = open_store(workspace_root)
    register(store, "bad", bad)
    store.close()
    with pytest.raises(LatheError, match=r"bad\.gguf was not opened.*ends behind the end"):
        own_engine().load("bad")


def test_two_models_answer_at_once_and_each_in_its_own_process(own_engine: Start) -> None:
    client = own_engine()
    client.load("tiny", ONE_THREAD)
    client.load("bare", {**ONE_THREAD, "template": "chatml"})
    events = done(
        client.generate(
            [ask(f"{model}{at}", f"{at}", model) for model in ("tiny", "bare") for at in range(5)]
        )
    )
    assert {event["event"] for event in events.values()} == {"done"}
    assert len({model["pid"] for model in client.status()["models"]}) == 2


def test_the_one_used_least_recently_makes_room_within_the_budget(
    own_engine: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.engine.memory import Holder, Memory, budget, to_unload

    assert budget(100, Memory(1000, 900)) == 700
    holders = [Holder(1, 300, False, 5.0), Holder(2, 200, True, 1.0), Holder(3, 100, False, 2.0)]
    assert to_unload(100, holders, 700, "m") == []
    assert to_unload(200, holders, 700, "m") == [3]
    assert to_unload(400, holders, 700, "m") == [3, 1]
    with pytest.raises(LatheError, match="needs about"):
        to_unload(600, holders, 700, "m")


def test_a_context_that_cannot_fit_is_a_sentence(own_engine: Start, workspace_root: Path) -> None:
    from app.engine.settings import LoadSettings, plan_context

    with pytest.raises(LatheError, match=r"needs .* GB"):
        plan_context(
            LoadSettings(context=4_000_000), trained=512, bytes_per_token=100_000, free_bytes=1 << 30
        )
    small = plan_context(LoadSettings(), trained=8192, bytes_per_token=100_000, free_bytes=1 << 30)
    assert small.cells * 100_000 <= 0.35 * (1 << 30)
    assert small.slots < 16


def test_a_paused_engine_refuses_with_the_reason_and_answers_again_afterwards(own_engine: Start) -> None:
    client = own_engine()
    client.load("tiny", ONE_THREAD)
    holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    client.pause("training 3 runs", holder.pid)
    assert client.status()["models"] == []
    assert "training 3 runs" in done(client.generate([ask("p", "Hi")]))["p"]["error"]
    client.resume()
    assert done(client.generate([ask("r", "Hi")]))["r"]["event"] == "done"
    client.pause("training 4 runs", holder.pid)
    holder.kill()
    holder.wait()
    assert done(client.generate([ask("d", "Hi")]))["d"]["event"] == "done", "the one who paused is gone"


async def test_the_screens_client_has_the_same_verbs(own_engine: Start, workspace_root: Path) -> None:
    client = AsyncEngineClient(workspace_root)
    with pytest.raises(EngineGone):
        await client.status(start=False)
    assert (await client.load("tiny", ONE_THREAD))["ref"] == "tiny@f32"
    events = [event async for event in client.generate([ask("a", "Hi")], stream=True)]
    assert events[-1]["event"] == "done"
    assert (await client.status())["models"][0]["finished"] == 1
    assert (await client.inspect("tiny", prompt="Hi"))["tokens"] > 0
    assert await client.cancel(tag="nothing") == 0
    assert await client.unload("tiny") is True
    await client.close()


def test_the_engine_computes_nothing_itself_and_its_client_is_light(own_engine: Start) -> None:
    client = own_engine()
    client.load("tiny", ONE_THREAD)
    maps = Path(f"/proc/{client.status()['pid']}/maps").read_text(encoding="utf-8")
    assert "libllama" not in maps
    assert "libtorch" not in maps
    heavy = ("torch", "llama_cpp", "transformers", "numpy", "httpx")
    code = f"import app.engine.client, sys; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_fingerprint_is_known_without_loading_and_changes_with_what_changes_output(
    own_engine: Start, workspace_root: Path
) -> None:
    own_engine()
    plain = engine_fingerprint(workspace_root, "tiny")
    assert plain["backend"] == "llama_cpp"
    assert len(plain["template_hash"]) == 64
    assert plain == engine_fingerprint(workspace_root, "tiny@f32", {"threads": 1})
    for settings in ({"flash_attention": False}, {"slots": 1}, {"kv_type": "q8_0"}, {"context": 256}):
        assert engine_fingerprint(workspace_root, "tiny", settings) != plain
    assert engine_fingerprint(workspace_root, "tiny@hf")["backend"] == "transformers"
    assert engine_fingerprint(workspace_root, "tiny@hf")["template_hash"] == plain["template_hash"]
    assert engine_fingerprint(workspace_root, "bare")["template_hash"] == ""


async def test_idle_models_are_unloaded_and_an_idle_engine_leaves(
    workspace_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small_workspace(workspace_root)
    hub = Hub(store, workspace_root)
    await hub.loaded("tiny", ONE_THREAD)
    assert await hub.tidy() is True
    monkeypatch.setattr("app.engine.hub.MODEL_IDLE_SECONDS", 0.0)
    assert await hub.tidy() is True
    assert hub.models == {}
    monkeypatch.setattr("app.engine.hub.ENGINE_IDLE_SECONDS", 0.0)
    assert await hub.tidy() is False
    store.close()


async def test_loading_what_does_not_fit_unloads_what_is_idle(
    workspace_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small_workspace(workspace_root)
    hub = Hub(store, workspace_root)
    await hub.loaded("tiny", ONE_THREAD)
    tight = 200 << 20  # holds either of them as estimated, not both
    monkeypatch.setattr("app.engine.memory.budget", lambda held, memory=None: tight)
    await hub.loaded("bare", ONE_THREAD)
    assert [model.version.name for model in hub.models.values()] == ["bare"]
    await hub.unload_all()
    store.close()


def test_a_model_process_does_not_outlive_its_loop() -> None:
    code = (
        "import threading, time; from app.engine import model_process as m; m.be_quiet_and_mortal();"
        "threading.Thread(target=lambda: 1 / 0).start(); time.sleep(20)"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=19
    )
    assert found.returncode == 70
    assert "ZeroDivisionError" in found.stderr


def test_settings_kept_with_a_model_apply_unless_others_are_asked_for(workspace_root: Path) -> None:
    store = small_workspace(workspace_root)
    version = models.model_version(store, "tiny")
    models.update_facts(store, version.id, {"settings": {"context": 256, "threads": 1}})
    kept = fingerprint_of(models.model_version(store, "tiny"))
    single = fingerprint_of(models.model_version(store, "tiny"), {"slots": 1, "context": None})
    store.close()
    assert kept["context"] == single["context"] == 256
    assert (kept["batching"], single["batching"]) == ("batched", "single")
