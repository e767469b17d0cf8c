"""The engine against plain loops over llama-cpp-python, and against itself: batching, waiting, memory.

The model is a random-weight Llama of SmolLM2-135M's shape in Q8_0, made here: speed depends on shapes, not on what the
weights know. Its end tokens are three of 49,152, so nearly every answer runs to its 64 tokens. LATHE_BENCH_CASES,
LATHE_BENCH_ROUNDS and LATHE_BENCH_THREADS make it smaller.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.engine.client import EngineClient, connect
from app.engine.model_files import quick_hash
from app.engine.settings import physical_cores
from store import models
from store.workspace import open_store
from tests.conftest import kill_processes_of
from tests.tiny_models import tiny_gguf, tiny_tokenizer

VERSIONS, SHARED, OWN, GENERATED = 4, 300, 60, 64
CASES = int(os.environ.get("LATHE_BENCH_CASES", "16"))
ROUNDS = int(os.environ.get("LATHE_BENCH_ROUNDS", "2"))
THREADS = int(os.environ.get("LATHE_BENCH_THREADS", "0")) or physical_cores()
SETTINGS = {"threads": THREADS}
WORDS = [
    "parcel",
    "arrived",
    "late",
    "box",
    "open",
    "refund",
    "please",
    "order",
    "paid",
    "Monday",
    "answered",
    "ticket",
    "billing",
    "shipping",
]


def main() -> None:
    """Print ratios (a), (e) and (f) as far as they are the engine's own."""
    with bench_engine() as (client, path):
        batching(client, path)
        waiting(client)
        memory(client)


@contextmanager
def bench_engine() -> Iterator[tuple[EngineClient, Path]]:
    """A workspace with the 135M model and an engine on it; everything goes away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lathe-bench-"))
    root = folder / "workspace"
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    store = open_store(root, create=True)
    path = model_135m(root / "models")
    models.register_version(
        store,
        "bench",
        tag="q8_0",
        format="gguf",
        path=str(path),
        quick_hash=quick_hash(path),
        size_bytes=path.stat().st_size,
        facts={},
    )
    store.close()
    client = connect(root)
    try:
        yield client, path
    finally:
        client.exit()
        client.close()
        kill_processes_of(root)
        shutil.rmtree(folder, ignore_errors=True)


def model_135m(folder: Path) -> Path:
    """SmolLM2-135M's shape with random weights in Q8_0, 145 MB."""
    shape = {"layers": 30, "hidden": 576, "heads": 9, "kv_heads": 3, "ffn": 1536}
    return tiny_gguf(folder, name="bench", context=2048, vocab=49152, quantised=True, residual=0.13, **shape)


def batching(client: EngineClient, path: Path) -> None:
    """(a) The grid through the engine and through two plain loops, interleaved."""
    prompts = grid()
    walls: dict[str, list[float]] = {"plain": [], "plain, flash attention": [], "engine": []}
    texts: dict[str, list[str]] = {}
    client.load("bench", SETTINGS)
    for _ in range(ROUNDS):
        for name in walls:
            if name == "engine":
                wall, texts[name] = through_engine(client, prompts)
            else:
                wall, texts[name] = through_loop(path, prompts, flash="flash" in name)
            walls[name].append(wall)
    best = {name: min(found) for name, found in walls.items()}
    better = min(best["plain"], best["plain, flash attention"])
    for name, found in walls.items():
        print(f"  {name}: {', '.join(f'{wall:.1f}' for wall in found)} s")
    print(f"grid_speedup: {better / best['engine']:.2f} (better plain loop / engine, 16 slots; goal 1.7)")
    same = sum(a == b for a, b in zip(texts["engine"], texts["plain, flash attention"], strict=True))
    print(
        f"grid_identical: {same}/{len(prompts)} outputs equal to the plain loop under equal flash attention"
    )
    status = client.status()["models"][0]
    print(f"decode_share: {status['decode_seconds'] / status['busy_seconds']:.4f} of the engine's busy time")
    cached = status["cached_tokens"] / (status["cached_tokens"] + status["prompt_tokens"])
    print(f"  {cached:.0%} of all prompt tokens came from shared prefixes")


def grid() -> list[str]:
    """Prompts of about 360 tokens, versions one after the other; each version shares its first 300."""
    tokenizer = tiny_tokenizer()

    def text(seed: int, length: int) -> str:
        words: list[str] = []
        while len(tokenizer.encode(" " + " ".join(words)).ids) < length:
            words.append(WORDS[(seed * 7 + len(words) * (seed % 11 + 1) + len(words) // 5) % len(WORDS)])
        return " ".join(words)

    return [
        f"{text(version + 1, SHARED)}\n{case} {text(100 + case, OWN - 4)}"
        for version in range(VERSIONS)
        for case in range(CASES)
    ]


def through_engine(client: EngineClient, prompts: list[str]) -> tuple[float, list[str]]:
    requests = [plain(str(at), prompt) for at, prompt in enumerate(prompts)]
    began = time.monotonic()
    found = {event["id"]: event for event in client.generate(requests) if event["event"] == "done"}
    wall = time.monotonic() - began
    return wall, [found[str(at)]["text"].replace("\ufffd", "") for at in range(len(prompts))]


def through_loop(path: Path, prompts: list[str], *, flash: bool) -> tuple[float, list[str]]:
    """What a user writes first: one prompt after the other, with llama-cpp-python's own prefix reuse."""
    import llama_cpp

    model = llama_cpp.Llama(
        str(path), n_ctx=1024, flash_attn=flash, n_threads=THREADS, n_threads_batch=THREADS, verbose=False
    )
    texts = []
    began = time.monotonic()
    for prompt in prompts:
        answer = model.create_completion(prompt, max_tokens=GENERATED, temperature=0, repeat_penalty=1.0)
        texts.append(answer["choices"][0]["text"].replace("\ufffd", ""))
    wall = time.monotonic() - began
    model.close()
    return wall, texts


def waiting(client: EngineClient) -> None:
    """(e) Time to the first token of a chat-sized request, idle and while 200 cells are in flight."""
    client.load("bench", SETTINGS)
    idle = [first_token(client, f"idle {at}") for at in range(7)]
    prompts = grid()
    cells = [plain(str(at), f"{prompts[at % len(prompts)]} {at}") for at in range(200)]
    other = EngineClient(client.socket)
    done = threading.Event()

    def load() -> None:
        for event in other.generate(cells):
            if event["event"] == "done":
                done.set()

    thread = threading.Thread(target=load)
    thread.start()
    done.wait()
    busy = [first_token(client, f"busy {at}") for at in range(7)]
    still = client.status()["in_flight"]
    client.cancel(ids=[request["id"] for request in cells])
    thread.join()
    ratio = statistics.median(busy) / statistics.median(idle)
    print(f"first_token_under_load: {ratio:.2f} (median with {still} cells in flight / idle; goal at most 3)")
    print(
        f"  idle {statistics.median(idle):.0f} ms, busy {statistics.median(busy):.0f} ms, worst {max(busy):.0f} ms"
    )


def first_token(client: EngineClient, name: str) -> float:
    """Milliseconds from the call to the first delta, as a person sees it."""
    request = plain(name, f"{name}: " + " ".join(WORDS) * 2, priority="interactive")
    began = time.monotonic()
    events = client.generate([{**request, "sampling": {"max_tokens": 8}}], stream=True)
    for event in events:
        if event["event"] in ("delta", "done"):
            break
    elapsed = time.monotonic() - began
    for _ in events:
        pass
    return elapsed * 1000


def memory(client: EngineClient) -> None:
    """(f) What the engine and its children hold before a model is loaded and after it was unloaded."""
    client.unload("bench")
    before = held(client)
    ratios = []
    for _ in range(3):
        client.load("bench", SETTINGS)
        list(client.generate([plain("m", "A late parcel")]))
        loaded = held(client)
        client.unload("bench")
        ratios.append(held(client) / before)
    print(
        f"memory_after_unload: {max(ratios):.3f} of before (loaded: {loaded / before:.1f}; goal at most 1.05)"
    )


def held(client: EngineClient) -> int:
    status = client.status()
    return int(status["rss_bytes"]) + sum(int(model["rss_bytes"]) for model in status["models"])


def plain(name: str, prompt: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "model": "bench", "prompt": prompt, "sampling": {"max_tokens": GENERATED}, **fields}


if __name__ == "__main__":
    main()
