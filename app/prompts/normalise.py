"""What of an answer the checks look at: the visible `normalise` setting of a prompt version."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, field_validator

PATTERN_SECONDS = 0.5
"""A pattern that takes longer on one answer is refused: catastrophic backtracking would hang the run."""


class Normalisation(BaseModel):
    """How an answer is made comparable before its checks run, in this order: pattern, first line, trim,
    case, punctuation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trim: bool = True
    """White space around the answer does not count, and runs of it inside count as they are."""
    case: bool = False
    """Upper and lower case are the same."""
    punctuation: bool = False
    """Punctuation and symbols do not count."""
    first_line: bool = False
    """Only the first line that holds something counts."""
    pattern: str | None = None
    """A regular expression: its last match is the answer (its first group, when it has one)."""

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        if pattern is None or pattern == "":
            return None
        problem = pattern_problem(pattern)
        if problem:
            raise ValueError(problem)
        return pattern


@dataclass(frozen=True)
class Answer:
    """An answer as the checks see it.

    `text` is folded for comparing; `raw` is the same part of the answer unfolded, for what has a syntax
    (JSON, numbers);
    `missing` says in words why there is no answer (the pattern found nothing).
    """

    text: str
    raw: str = ""
    missing: str = ""


def pattern_problem(pattern: str) -> str:
    """Why `pattern` is not a usable regular expression, as a sentence; empty when it is one."""
    import regex

    try:
        regex.compile(pattern)
    except regex.error as error:
        return f"The pattern {pattern!r} is not a regular expression: {error}."
    except (RecursionError, OverflowError, MemoryError):
        return f"The pattern {pattern[:60]!r} is too large or nested too deeply."
    return ""


def normalise(text: str, how: Normalisation) -> Answer:
    """Return what counts of one answer. The only place that decides it; expected values go through
    `comparable`."""
    if how.pattern is not None:
        found = _last_match(text, how.pattern)
        if isinstance(found, Answer):
            return found
        text = found
    if how.first_line:
        text = next((line for line in text.splitlines() if line.strip()), "")
    return Answer(comparable(text, how), text)


def comparable(text: str, how: Normalisation) -> str:
    """Apply trim, case and punctuation only: what an answer and an expected value share, so that both are
    folded alike."""
    if how.punctuation:
        text = "".join(c for c in text if unicodedata.category(c)[0] not in "PS")
    if how.case:
        text = text.casefold()
    return text.strip() if how.trim else text


def _last_match(text: str, pattern: str) -> str | Answer:
    import regex

    last = None
    try:
        for match in regex.finditer(pattern, text, timeout=PATTERN_SECONDS):
            last = match
    except TimeoutError:
        return Answer("", missing=f"the answer pattern took longer than {PATTERN_SECONDS:g} s on this answer")
    if last is None:
        return Answer("", missing=f"the answer pattern {pattern!r} found nothing in this answer")
    return str(last.group(1) or "") if last.re.groups else str(last.group(0))
