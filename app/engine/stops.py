"""From token bytes to text that may be shown: whole characters only, and never a part of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Collects one answer's bytes; `feed` gives back the text that is certain by now.

    Bytes of an unfinished UTF-8 character wait for the rest, and so does text that could still become a stop
    string. When a stop string arrives `stopped` is true, and neither it nor anything after it is ever given out.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.stops = tuple(stops)
        self.stopped = False
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""

    def feed(self, data: bytes) -> str:
        """Add the bytes of one token and return the text they made certain, often empty."""
        if self.stopped:
            return ""
        text = self._decode(data)
        return self._release(text) if self.stops else text

    def finish(self) -> str:
        """The answer has ended: what was held back is text after all; broken bytes become U+FFFD."""
        if self.stopped:
            return ""
        rest = self._release(self._decode(b"", True)) if self.stops else self._decode(b"", True)
        rest, self._held = rest + self._held, ""
        return rest

    def _release(self, text: str) -> str:
        pending = self._held + text
        first = min((at for at in (pending.find(stop) for stop in self.stops) if at >= 0), default=-1)
        if first >= 0:
            self.stopped, self._held = True, ""
            return pending[:first]
        keep = max(partial_length(pending, stop) for stop in self.stops)
        self._held = pending[len(pending) - keep :] if keep else ""
        return pending[: len(pending) - keep]


def partial_length(text: str, stop: str) -> int:
    """Length of the longest proper prefix of `stop` that `text` ends with."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
