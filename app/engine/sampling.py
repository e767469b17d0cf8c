"""Choosing the next token from one row of logits; the same numpy code for both backends.

The order of the filters is llama.cpp's: repeat penalty, top-k, top-p, min-p, temperature, then one random draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from app.engine.request import Sampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

PENALTY_WINDOW = 64  # tokens of prompt and answer together, as llama.cpp's default
NUCLEUS_START = 1024  # top-p looks at this many tokens first: sorting a vocabulary of 150,000 costs 10 ms


class TokenSampler:
    """Chooses tokens for one sequence; a seeded sampler makes one draw per token, so it can be repeated exactly."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        self.sampling = sampling
        self.greedy = sampling.temperature <= 0 or sampling.top_k == 1
        self.plain_greedy = self.greedy and sampling.repeat_penalty == 1.0
        self._random = None if self.greedy else np.random.Generator(np.random.PCG64(seed))

    def choose(self, logits: Logits, history: Sequence[int]) -> int:
        """The next token id from `logits` (vocabulary,), which is left unchanged; -inf entries are never chosen."""
        if self.sampling.repeat_penalty != 1.0:
            logits = penalised(logits, history, self.sampling.repeat_penalty)
        if self._random is None:
            return int(logits.argmax())
        tokens, weights = self._candidates(logits)
        cumulated = weights.cumsum()
        drawn = int(np.searchsorted(cumulated, self._random.random() * cumulated[-1], side="right"))
        drawn = min(drawn, len(weights) - 1)
        return int(drawn if tokens is None else tokens[drawn])

    def _candidates(self, logits: Logits) -> tuple[NDArray[np.intp] | None, NDArray[np.float64]]:
        """Token ids, likeliest first (None: all, in vocabulary order), and their unnormalised weights."""
        settings = self.sampling
        tokens: NDArray[np.intp] | None = None
        if 0 < settings.top_k < len(logits):
            tokens = _largest(logits, settings.top_k)
        elif settings.top_p < 1.0:
            tokens = self._nucleus_start(logits)
        values = logits.astype(np.float64) if tokens is None else logits[tokens].astype(np.float64)
        if settings.top_p < 1.0 and tokens is not None:
            shares = np.exp(values - values[0])
            whole = shares.sum() if settings.top_k else np.exp(logits.astype(np.float64) - values[0]).sum()
            keep = int(np.searchsorted(shares.cumsum() / whole, settings.top_p)) + 1
            tokens, values = tokens[:keep], values[:keep]
        highest = values.max()
        if settings.min_p > 0.0:
            kept = values >= highest + np.log(settings.min_p)
            tokens = np.flatnonzero(kept) if tokens is None else tokens[kept]
            values = values[kept]
        return tokens, np.exp((values - highest) / settings.temperature)

    def _nucleus_start(self, logits: Logits) -> NDArray[np.intp]:
        tokens = _largest(logits, min(NUCLEUS_START, len(logits)))
        highest = float(logits[tokens[0]])
        whole = np.exp(logits.astype(np.float64) - highest).sum()
        if np.exp(logits[tokens].astype(np.float64) - highest).sum() / whole < self.sampling.top_p:
            return _largest(logits, len(logits))
        return tokens


def penalised(logits: Logits, history: Sequence[int], penalty: float) -> Logits:
    """A copy of `logits` in which the tokens of the last 64 are less likely (`penalty` > 1) or likelier (< 1)."""
    recent = np.unique(np.asarray(history[-PENALTY_WINDOW:], dtype=np.intp))
    changed = logits.copy()
    values = changed[recent]
    changed[recent] = np.where(values > 0, values / penalty, values * penalty)
    return changed


def log_probabilities(logits: Logits, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """The natural log-probability of `token` and the `count` likeliest tokens with theirs, likeliest first."""
    highest = float(logits.max())
    whole = highest + float(np.log(np.exp(logits - highest, dtype=np.float32).sum(dtype=np.float64)))
    likeliest = _largest(logits, min(count, len(logits)))
    return float(logits[token]) - whole, [(int(at), float(logits[at]) - whole) for at in likeliest]


def _largest(logits: Logits, count: int) -> NDArray[np.intp]:
    """Ids of the `count` largest logits, largest first, equal ones by id."""
    if count < len(logits):
        found = np.sort(np.argpartition(logits, -count)[-count:])
    else:
        found = np.arange(len(logits))
    return found[np.argsort(-logits[found], kind="stable")]
