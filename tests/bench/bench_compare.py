"""(a) `prompt.compare` end to end, store and worker included, against the better of two plain loops.

Four prompt versions of 300 shared tokens, 16 cases of 60 tokens of their own, 64 generated tokens, greedy, on a
random-weight Llama of SmolLM2-135M's shape in Q8_0. The plain loops get the very prompts that the comparison rendered,
one version after the other, with llama-cpp-python's own prefix reuse, both cores, flash attention off and on.
"""

from __future__ import annotations

import time
from typing import Any

from app.jobs import runner
from store import datasets, evaluations, generations, prompts
from store.workspace import Store, open_store
from tests.bench.bench_engine import (
    CASES,
    GENERATED,
    ROUNDS,
    THREADS,
    VERSIONS,
    bench_engine,
    grid,
    through_loop,
)


def main() -> None:
    """Print the speed-up, how many outputs agree, and the share of the wall inside llama_decode."""
    with bench_engine() as (client, path):
        store = open_store(path.parent.parent)
        save_versions(store)
        client.load("bench", {"threads": THREADS})
        walls: dict[str, list[float]] = {"prompt.compare": [], "plain": [], "plain, flash attention": []}
        same = total = 0
        for number in range(ROUNDS):
            before = client.status()["models"][0]["decode_seconds"]
            wall, rendered, outputs = compare(store, number)
            share = (client.status()["models"][0]["decode_seconds"] - before) / wall
            walls["prompt.compare"].append(wall)
            for name in ("plain", "plain, flash attention"):
                seconds, texts = through_loop(path, rendered, flash="flash" in name)
                walls[name].append(seconds)
            same += sum(a == b for a, b in zip(outputs, texts, strict=True))
            total += len(outputs)
        store.close()
    best = {name: min(found) for name, found in walls.items()}
    for name, found in walls.items():
        print(f"  {name}: {', '.join(f'{wall:.1f}' for wall in found)} s")
    better = min(best["plain"], best["plain, flash attention"])
    print(
        f"compare_speedup: {better / best['prompt.compare']:.2f} (better plain loop / prompt.compare; goal 1.7, aim 2.2)"
    )
    print(f"decode_share: {share:.3f} of the comparison's wall was inside llama_decode")
    print(f"compare_identical: {same}/{total} outputs equal to the plain loop under equal flash attention")


def save_versions(store: Store) -> None:
    """Four versions, each with a text of its own that all its cases share."""
    texts = grid()
    for version in range(VERSIONS):
        shared = texts[version * CASES].split("\n")[0]
        content: dict[str, Any] = {
            "messages": [{"role": "user", "content": shared + "\n{{ case }}"}],
            "sampling": {"temperature": 0, "max_tokens": GENERATED},
        }
        prompts.save_version(store, "grid", content)


def compare(store: Store, number: int) -> tuple[float, list[str], list[str]]:
    """One comparison over fresh cases: seconds from the call to its end, rendered prompts and outputs by version."""
    owns = [text.split("\n")[1] for text in grid()[:CASES]]
    name = f"round-{number}"
    rows = ({"variables": {"case": f"{number} {own}"}, "expected": "delivery"} for own in owns)
    datasets.save_version(store, name, "cases", rows)
    versions = [str(version + 1) for version in range(VERSIONS)]
    began = time.monotonic()
    started = runner.start(
        store, "prompt.compare", {"prompt": "grid", "versions": versions, "cases": name, "model": "bench"}
    )
    result = runner.wait(store, started.id)
    wall = time.monotonic() - began
    if result.job.state != "done":
        raise SystemExit(f"the comparison did not end well: {result.job.error}")
    evaluation = evaluations.list_evaluations(store, limit=1)[0]
    cells = evaluations.cells(store, evaluation.id, range(CASES))
    cells.sort(key=lambda cell: (cell.subject, cell.position))
    details = [generations.generation_detail(store, cell.generation_id or 0) for cell in cells]
    return wall, [detail.rendered or "" for detail in details], [cell.output or "" for cell in cells]


if __name__ == "__main__":
    main()
