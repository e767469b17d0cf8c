"""The conversation that one case becomes under one prompt: the only place that puts messages together."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.prompts.content import Example, PromptContent
from app.prompts.template import TemplateProblem, render, render_all, variables
from store.hashing import content_hash

Messages = list[dict[str, str]]
MAX_POOL = 5000
"""Cases that examples are picked from; more would take longer to search than to answer."""
_WORD = re.compile(r"\w+")
_BEFORE_TEMPLATE = re.compile(r"(?s)(?:(?!\{[{%#]).)*")


def prompt_variables(content: PromptContent) -> tuple[str, ...]:
    """The variables that a prompt's messages ask for, in order of appearance."""
    return variables(message.content for message in content.messages)


def asked_hash(case: Mapping[str, Any]) -> str:
    """The hash of what a case asks, blind to case and white space: equal for a case and its duplicates."""
    return content_hash([_folded(case.get("variables") or {}), _folded(case.get("messages") or [])])


def expected_text(expected: Any) -> str:
    """An expected answer as the model would write it."""
    import json

    return expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)


def compose(content: PromptContent, case: Mapping[str, Any], pool: ExamplePool | None = None) -> Messages:
    """The messages for one case: system messages, examples, the case's own conversation, then the rest of
    the prompt.

    Few-shot examples that came from this case or a duplicate of it are left out: nobody learns the answer by
    heart.
    Raises TemplateProblem with a sentence when a variable is missing.
    """
    rendered = render_all(
        [(message.role, message.content) for message in content.messages], case.get("variables") or {}
    )
    leading = _leading(content)
    asked = asked_hash(case) if content.few_shot or content.nearest else ""
    examples = [example for example in content.few_shot if example.source is None or example.source != asked]
    if content.nearest is not None and pool is not None:
        examples += pool.nearest(content, case, asked, content.nearest.count)
    messages = [{"role": role, "content": text} for role, text in rendered[:leading]]
    messages += _as_messages(examples)
    rest = [{"role": role, "content": text} for role, text in rendered[leading:]]
    history = [
        {"role": str(message["role"]), "content": str(message["content"])}
        for message in case.get("messages") or ()
    ]
    last = max((index for index, message in enumerate(rest) if message["role"] == "user"), default=len(rest))
    messages += rest[:last] + history + rest[last:]
    if not messages or messages[-1]["role"] != "user":
        raise TemplateProblem(
            "The conversation does not end with a user message, so there is nothing to answer. "
            "Give the prompt a user message, or let the case's conversation end with one."
        )
    return messages


def shared_prefix(content: PromptContent) -> Messages:
    """What all cases of a prompt begin with: a hint for the engine, which reads it once. The last message
    may be cut."""
    leading: Messages = []
    for place, message in enumerate(content.messages):
        if place == _leading(content):
            leading += _as_messages(content.few_shot)
            if content.nearest is not None:
                return leading
        fixed = _BEFORE_TEMPLATE.match(message.content)
        text = fixed.group() if fixed else ""
        if text:
            leading.append({"role": message.role, "content": text})
        if text != message.content:
            return leading
    return leading


def _leading(content: PromptContent) -> int:
    """How many system messages stand at the beginning: the examples come after them."""
    roles = [message.role for message in content.messages]
    return next((place for place, role in enumerate(roles) if role != "system"), len(roles))


def _as_messages(examples: Iterable[Example]) -> Messages:
    return [
        {"role": role, "content": text}
        for example in examples
        for role, text in (("user", example.user), ("assistant", example.assistant))
    ]


def example_of(content: PromptContent, case: Mapping[str, Any]) -> Example:
    """A few-shot example from an answered case: the prompt's last user message filled in, and the expected
    answer."""
    users = [message.content for message in content.messages if message.role == "user"]
    turns = [message for message in case.get("messages") or () if message.get("role") == "user"]
    asked = (
        render(users[-1], case.get("variables") or {})
        if users
        else str(turns[-1]["content"])
        if turns
        else ""
    )
    return Example(user=asked, assistant=expected_text(case.get("expected")), source=asked_hash(case))


@dataclass(frozen=True)
class _Candidate:
    asked: str
    case: Mapping[str, Any]
    words: Counter[str]
    length: float


class ExamplePool:
    """Answered cases to pick similar ones from, by the words they share (cosine of tf-idf; Salton 1975)."""

    def __init__(self, cases: Iterable[Mapping[str, Any]]) -> None:
        counted: list[tuple[str, Mapping[str, Any], Counter[str]]] = []
        seen: set[str] = set()
        for case in cases:
            asked = asked_hash(case)
            if case.get("expected") is None or asked in seen:
                continue
            seen.add(asked)
            counted.append((asked, case, _words(case)))
            if len(counted) >= MAX_POOL:
                break
        holders = Counter(word for _, _, words in counted for word in words)
        self._rarity = {word: math.log(1.0 + len(counted) / count) for word, count in holders.items()}
        self._candidates = [
            _Candidate(asked, case, words, self._length(words)) for asked, case, words in counted
        ]

    def nearest(
        self, content: PromptContent, case: Mapping[str, Any], asked: str, count: int
    ) -> list[Example]:
        """The `count` most similar answered cases as examples, the most similar last, next to the
        question."""
        return [example_of(content, found) for found in reversed(self.similar(case, count, asked))]

    def similar(self, case: Mapping[str, Any], count: int, asked: str = "") -> list[Mapping[str, Any]]:
        """The `count` cases most like `case`, best first; never the case itself nor a duplicate of it."""
        asked = asked or asked_hash(case)
        words = _words(case)
        length = self._length(words) or 1.0
        scored = []
        for place, candidate in enumerate(self._candidates):
            if candidate.asked == asked:
                continue
            shared = words.keys() & candidate.words.keys()
            product = sum(words[word] * candidate.words[word] * self._rarity[word] ** 2 for word in shared)
            scored.append((-product / (length * (candidate.length or 1.0)), place, candidate.case))
        scored.sort(key=lambda one: one[:2])
        return [found for _, _, found in scored[:count]]

    def _length(self, words: Counter[str]) -> float:
        return math.sqrt(sum((count * self._rarity.get(word, 0.0)) ** 2 for word, count in words.items()))


def _words(case: Mapping[str, Any]) -> Counter[str]:
    texts: Sequence[Any] = [
        *(case.get("variables") or {}).values(),
        *(message.get("content") for message in case.get("messages") or ()),
    ]
    text = " ".join(value if isinstance(value, str) else expected_text(value) for value in texts)
    return Counter(_WORD.findall(text[:20_000].casefold()))


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    if isinstance(value, dict):
        return {str(key): _folded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_folded(one) for one in value]
    return value
