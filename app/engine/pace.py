"""How long steps take here, measured as they happen, and how many prompt tokens fit into the next one."""

from __future__ import annotations

STEP_SECONDS = 0.08  # what a step may take, so that a person's request is never further away than this
FEWEST = 16
FIRST = 64  # before anything was measured
SMOOTHING = 0.25


class Pace:
    """Running estimates of a step's cost: seconds per prompt token, and seconds per sequence that generates."""

    def __init__(self) -> None:
        self.prefill_seconds = 0.0
        self.decode_seconds = 0.0

    def record(self, decoded: int, prefilled: int, seconds: float) -> None:
        """A step fed `decoded` sequences one token each and `prefilled` prompt tokens, and took `seconds`."""
        if not prefilled and decoded:
            self.decode_seconds = _towards(self.decode_seconds, seconds / decoded)
        elif prefilled >= FEWEST:
            rest = max(seconds - self.decode_seconds * decoded, seconds / 4)
            self.prefill_seconds = _towards(self.prefill_seconds, rest / prefilled)

    def prefill_tokens(self, decoding: int) -> int:
        """How many bulk prompt tokens the next step may hold beside `decoding` sequences."""
        if not self.prefill_seconds:
            return FIRST
        rest = STEP_SECONDS - self.decode_seconds * decoding
        return max(FEWEST, int(rest / self.prefill_seconds))


def _towards(estimate: float, value: float) -> float:
    return value if not estimate else estimate + SMOOTHING * (value - estimate)
