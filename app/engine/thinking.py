"""Keeps a model's `<think>` part apart from its answer, also while both are still streaming."""

from __future__ import annotations

from app.engine.stops import partial_length

OPEN, CLOSE = "<think>", "</think>"


class ThinkingSplitter:
    """Splits streamed text into (answer, thinking); only a block at the very start of the answer counts.

    `inside` says that the prompt itself already opened the block, as some chat templates do.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._state = "inside" if inside else "start"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next text and return what of it is certain, as (answer, thinking)."""
        if self._state == "outside":
            return text, ""
        self._held += text
        thought = ""
        if self._state == "start":
            start = self._held.lstrip()
            if start.startswith(OPEN):
                self._state, self._held = "inside", start[len(OPEN) :]
            elif OPEN.startswith(start):
                return "", ""
            else:
                self._state = "outside"
                answer, self._held = self._held, ""
                return answer, ""
        if self._state == "inside":
            before, close, after = self._held.partition(CLOSE)
            if not close:
                keep = partial_length(self._held, CLOSE)
                thought = self._held[: len(self._held) - keep]
                self._held = self._held[len(self._held) - keep :]
                return "", thought
            thought, self._held, self._state = before, after, "after"
        # Templates put blank lines between the block and the answer; they belong to neither.
        answer = self._held.lstrip("\n")
        self._held = ""
        if answer:
            self._state = "outside"
        return answer, thought

    def finish(self) -> tuple[str, str]:
        """The text has ended: what was held back belongs to the part that was open."""
        rest, self._held = self._held, ""
        return ("", rest) if self._state == "inside" else (rest, "")


def opens_thinking(rendered: str) -> bool:
    """Whether a rendered prompt ends inside a `<think>` block, so that the answer starts as thinking."""
    return rendered.rfind(OPEN) > rendered.rfind(CLOSE) and rendered.rstrip().endswith(OPEN)
