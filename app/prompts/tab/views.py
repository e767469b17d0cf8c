"""One case with all its answers, as plain data: what side by side, blind choice and the strip below show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.prompts.statistics import distinct_with_counts
from widgets.matrix_data import MARKS, State
from widgets.text import safe_text
from widgets.units import duration


@dataclass(frozen=True)
class CheckView:
    """One check of one answer. `passed` is None where it could not be carried out."""

    label: str
    passed: bool | None
    why: str


@dataclass(frozen=True)
class AnswerView:
    """One answer of one subject to one case, with everything that is known of it. Times in milliseconds."""

    state: State
    text: str = ""
    thinking: str = ""
    why: str = ""
    checks: tuple[CheckView, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    tokens_per_second: float | None = None
    reused: bool = False
    generation_id: int | None = None
    repeats: tuple[str, ...] = ()
    """The answers of all repeats, this one among them."""

    @property
    def edge(self) -> str:
        """The sign and the time for the title of its column."""
        time = f" {duration(self.total_ms / 1000)}" if self.total_ms is not None else ""
        return f"{MARKS[self.state]}{time}{' ↺' if self.reused else ''}".strip()

    @property
    def mark(self) -> str:
        """Which colour its sign has: `passed`, `failed`, `warned`, or none."""
        if self.state in ("passed", "failed"):
            return self.state
        return "warned" if self.state in ("mixed", "cut_off", "overflow", "error") else ""

    def figures(self) -> str:
        """Tokens, speed and first token in one line."""
        parts = []
        if self.prompt_tokens is not None and self.completion_tokens is not None:
            parts.append(f"{self.prompt_tokens} + {self.completion_tokens} tokens")
        if self.tokens_per_second:
            parts.append(f"{self.tokens_per_second:.0f} tok/s")
        if self.first_token_ms is not None:
            parts.append(f"first in {duration(self.first_token_ms / 1000)}")
        if self.reused:
            parts.append("reused")
        return " · ".join(parts)

    def distinct(self) -> list[tuple[str, int]]:
        """The different answers over all repeats with how often each came; empty for a single one."""
        return distinct_with_counts(self.repeats) if len(self.repeats) > 1 else []


@dataclass(frozen=True)
class CaseView:
    """A case and its answers, one for each column (None where the cell is not there yet)."""

    position: int
    title: str
    content: Mapping[str, Any]
    answers: tuple[AnswerView | None, ...] = ()
    ratings: Mapping[tuple[int, int], str] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """What is expected, on one line; empty when nothing is."""
        value = self.content.get("expected")
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        import json

        return json.dumps(value, ensure_ascii=False)

    @property
    def asked(self) -> str:
        """The case's conversation and variables as text, made safe."""
        lines = [
            f"{message.get('role', '?')}: {message.get('content', '')}"
            for message in self.content.get("messages") or ()
        ]
        variables = self.content.get("variables") or {}
        if len(variables) == 1 and not lines:
            lines.append(str(next(iter(variables.values()))))
        else:
            lines += [f"{name}: {value}" for name, value in variables.items()]
        return safe_text("\n".join(lines))
