"""The demo workspace: made once, by a user's operations, and not made twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.starter.demo import CASE_FILES, make_demo
from app.starter.demo_cases import CASES, order_cases, ticket_cases
from app.starter.demo_prompts import DEMO_PROMPTS
from store.datasets import dataset_version, rows
from store.models import model_version, model_versions
from store.prompts import prompt_version, prompt_versions
from store.workspace import open_store


@pytest.mark.parametrize(("name", "draw"), [("tickets", ticket_cases), ("orders", order_cases)])
def test_the_shipped_case_files_are_what_the_seed_draws(name: str, draw: object) -> None:
    lines = (CASE_FILES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert callable(draw)
    assert [json.loads(line) for line in lines] == list(draw())
    assert len(lines) == CASES


def test_demo_cases_have_both_splits_and_hard_ones() -> None:
    tickets = list(ticket_cases())
    assert sum(case["split"] == "held_out" for case in tickets) == CASES // 3
    tags = {tag for case in tickets for tag in case["tags"]}
    assert {"two-topics", "settled-first", "order-number", "typo", "plain"} <= tags
    assert {case["expected"] for case in tickets} == {
        "billing",
        "delivery",
        "returns",
        "technical",
        "account",
    }


def test_no_demo_case_is_an_example_in_a_prompt() -> None:
    shown = {
        shot["user"].removeprefix("Ticket: ") for p in DEMO_PROMPTS for shot in p.content.get("few_shot", [])
    }
    assert not shown & {case["variables"]["ticket"] for case in ticket_cases()}


def test_the_demo_holds_what_the_first_comparison_needs_and_is_made_once(
    workspace_root: Path, starter_gguf: Path
) -> None:
    first = make_demo(workspace_root)
    assert first == {"models": 2, "cases": 2, "prompts": 5}
    assert make_demo(workspace_root) == {"models": 0, "cases": 0, "prompts": 0}
    store = open_store(workspace_root)
    assert model_version(store, "starter").path == str(starter_gguf)
    assert {version.tag for version in model_versions(store, "starter")} == {"bf16", "q8_0"}
    assert len(prompt_versions(store, "route-ticket")) == 3
    assert len(prompt_versions(store, "extract-order")) == 2
    assert prompt_version(store, "route-ticket@production").number == 2
    for name in ("tickets", "orders"):
        version = dataset_version(store, name)
        assert version.role == "cases"
        assert version.rows == CASES
    case = rows(store, dataset_version(store, "orders").id, limit=1)[0].content
    assert isinstance(case["expected"], dict)
    store.close()


def test_a_demo_cut_short_is_completed(workspace_root: Path, starter_gguf: Path) -> None:
    make_demo(workspace_root)
    store = open_store(workspace_root)
    with store.write() as connection:
        connection.execute("DELETE FROM labels")
        connection.execute("DELETE FROM prompt_versions WHERE number = 3")
    store.close()
    assert make_demo(workspace_root) == {"models": 0, "cases": 0, "prompts": 1}
