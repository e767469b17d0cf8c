"""The few fixed choices that the tab offers, and what a choice is."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """One line to choose. `text` and `note` may come from anywhere."""

    key: Any
    text: str
    note: str = ""


BUILDERS = (
    Choice("few_shot", "Few-shot examples", "from cases you choose; never the case being tested"),
    Choice("nearest", "Nearest examples", "the most similar answered cases, picked for every case"),
    Choice("chain_of_thought", "Reasoning first", "then the answer on its own line, which the checks read"),
    Choice("json", "JSON output", "a schema from the expected answers, or your own"),
    Choice("system", "System message", "a preset to start from"),
)
IMPORTS = (
    Choice("cases.import", "Cases", "CSV, JSON or JSON Lines: variables, expected answer, tags"),
    Choice("prompt.import", "Prompts", "a promptfoo configuration, or a folder of text files"),
)
EXPORTS = (
    Choice("html", "HTML", "one file that anybody can open"),
    Choice("jsonl", "JSON Lines", "every cell, for other programs"),
    Choice("md", "Markdown", "the figures and verdicts, for a report"),
)
LABELS = ("production", "staging")
