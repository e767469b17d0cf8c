"""Dataset versions share their rows, appear all at once, and are swept when their import was killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from store import datasets
from store.errors import BadInput, NotFound
from store.hashing import content_hash
from store.workspace import Store


def cases(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"variables": {"text": f"case {index}"}, "expected": index} for index in range(start, start + count)
    ]


def test_rows_come_back_in_order_and_in_pages(workspace: Store) -> None:
    version = datasets.save_version(workspace, "tickets", "cases", cases(1234))
    assert version.rows == 1234
    positions: list[int] = []
    after = -1
    while page := datasets.rows(workspace, version.id, after=after, limit=500):
        positions += [row.position for row in page]
        assert [row.content["expected"] for row in page] == [row.position for row in page]
        after = page[-1].position
    assert positions == list(range(1234))
    assert datasets.row(workspace, version.id, 700).content == cases(1, 700)[0]
    with pytest.raises(NotFound, match="1235"):
        datasets.row(workspace, version.id, 1234)


def test_versions_share_the_rows_they_have_in_common(workspace: Store) -> None:
    first = datasets.save_version(workspace, "tickets", "cases", cases(100))
    second = datasets.save_version(workspace, "tickets", "cases", [*cases(99), *cases(1, 500)])
    assert workspace.read().execute("SELECT COUNT(*) FROM rows").fetchone()[0] == 101
    difference = datasets.row_diff(workspace, first.id, second.id)
    assert [row.content for row in difference.added] == cases(1, 500)
    assert [row.content for row in difference.removed] == cases(1, 99)
    assert difference.shared == 99
    assert second.parent_id == first.id
    assert second.ref == "tickets@2"


def test_a_version_may_hold_the_same_row_twice(workspace: Store) -> None:
    version = datasets.save_version(workspace, "tickets", "cases", [*cases(1), *cases(1)])
    assert [row.row_id for row in datasets.rows(workspace, version.id)] == [1, 1]


def test_the_hash_is_over_rows_in_order_and_meta(workspace: Store) -> None:
    save = datasets.save_version
    first = save(workspace, "a", "cases", cases(3), meta={"variables": ["text"]})
    again = save(workspace, "b", "cases", cases(3), meta={"variables": ["text"]})
    turned = save(workspace, "c", "cases", cases(3)[::-1], meta={"variables": ["text"]})
    other = save(workspace, "d", "cases", cases(3))
    assert first.hash == again.hash
    assert len({first.hash, turned.hash, other.hash}) == 3
    assert datasets.dataset_version(workspace, f"#{other.hash[:10]}").name == "d"


def test_the_order_of_keys_makes_no_difference_to_a_hash() -> None:
    assert content_hash({"a": 1, "b": [1, "ü"]}) == content_hash({"b": [1, "ü"], "a": 1})
    assert content_hash({"a": float("nan")}) == content_hash({"a": float("nan")})
    assert content_hash({"a": "\ud800"}) == content_hash({"a": "\ufffd"})


def test_an_import_is_invisible_until_it_is_whole(workspace: Store) -> None:
    seen: list[int] = []

    def look(_: int) -> None:
        thread = threading.Thread(target=lambda: seen.append(len(datasets.list_datasets(workspace))))
        thread.start()
        thread.join()

    datasets.save_version(workspace, "tickets", "cases", cases(1200), progress=look)
    assert set(seen) == {0}
    assert [dataset.rows for dataset in datasets.list_datasets(workspace)] == [1200]


def test_an_import_that_fails_leaves_nothing_to_see(workspace: Store) -> None:
    def torn() -> Iterator[dict[str, Any]]:
        yield from cases(700)
        raise ValueError("line 701 is broken")

    with pytest.raises(ValueError, match="701"):
        datasets.save_version(workspace, "tickets", "cases", torn())
    assert datasets.list_datasets(workspace) == []
    assert workspace.read().execute("SELECT COUNT(*) FROM version_rows").fetchone()[0] == 0
    assert datasets.save_version(workspace, "tickets", "cases", cases(2)).number == 1


KILLED_IMPORT = """
import os, sys
from store import datasets
from store.workspace import open_store
def stop(count):
    if count >= 1000:
        os.kill(os.getpid(), 9)
store = open_store(sys.argv[1])
datasets.save_version(store, "tickets", "cases", ({"n": n} for n in range(5000)), progress=stop)
"""


def test_a_killed_import_is_invisible_and_swept(workspace: Store) -> None:
    kept = datasets.save_version(workspace, "tickets", "cases", cases(5))
    done = subprocess.run([sys.executable, "-P", "-c", KILLED_IMPORT, str(workspace.root)], check=False)
    assert done.returncode == -9
    assert datasets.dataset_version(workspace, "tickets") == kept
    assert datasets.ended_imports(workspace) == 1
    datasets.sweep_staged(workspace)
    assert datasets.ended_imports(workspace) == 0
    assert workspace.read().execute("SELECT COUNT(*) FROM version_rows").fetchone()[0] == 5


def test_an_import_at_work_is_not_swept_by_another(workspace: Store) -> None:
    def other(count: int) -> None:
        if count == 500:
            datasets.save_version(workspace, "other", "cases", cases(3))
            datasets.sweep_staged(workspace)

    version = datasets.save_version(workspace, "tickets", "cases", cases(1500), progress=other)
    assert len(datasets.rows(workspace, version.id, limit=2000)) == 1500


def test_a_role_keeps_case_sets_and_other_data_apart(workspace: Store) -> None:
    version = datasets.save_version(workspace, "tickets", "train", cases(3))
    with pytest.raises(BadInput, match="train"):
        datasets.save_version(workspace, "tickets", "cases", cases(3))
    with pytest.raises(BadInput, match="cases"):
        datasets.dataset_version(workspace, "tickets", role="cases")
    with pytest.raises(BadInput, match="cases"):
        datasets.dataset_version(workspace, f"#{version.hash[:8]}", role="cases")
    assert datasets.list_datasets(workspace, "cases") == []


def test_cells_that_json_cannot_say_are_cleaned(workspace: Store) -> None:
    row = {"a": float("nan"), "b": "\ud800x", 3: (1, 2), "c": 10**20}
    version = datasets.save_version(workspace, "odd", "cases", [row])
    assert datasets.row(workspace, version.id, 0).content == {
        "a": "nan",
        "b": "\ufffdx",
        "3": [1, 2],
        "c": 10**20,
    }


def test_a_value_nested_without_end_is_a_sentence(workspace: Store) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadInput, match="nested"):
        datasets.save_version(workspace, "deep", "cases", [{"x": deep}])
    assert datasets.list_datasets(workspace) == []
