from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.request import Sampling
from app.engine.sampling import TokenSampler, log_probabilities, penalised


def row(seed: int, size: int = 500) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(size) * 3).astype(np.float32)


def draws(sampling: Sampling, logits: np.ndarray, count: int = 4000, seed: int = 1) -> np.ndarray:
    sampler = TokenSampler(sampling, seed)
    return np.array([sampler.choose(logits, []) for _ in range(count)])


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = row(1)
    assert TokenSampler(Sampling(), 5).choose(logits, []) == int(logits.argmax())


def test_equal_seeds_give_equal_tokens_and_different_seeds_do_not() -> None:
    logits = row(2)
    first, again = draws(Sampling(temperature=1.0), logits), draws(Sampling(temperature=1.0), logits)
    assert (first == again).all()
    assert (first != draws(Sampling(temperature=1.0), logits, seed=2)).any()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax(temperature: float) -> None:
    logits = row(3, 8)
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    found = np.bincount(draws(Sampling(temperature=temperature), logits, 20_000), minlength=8) / 20_000
    assert np.abs(found - expected).max() < 0.02


def test_top_k_draws_only_from_the_k_likeliest() -> None:
    logits = row(4)
    allowed = set(np.argsort(-logits)[:5].tolist())
    assert set(draws(Sampling(temperature=5.0, top_k=5), logits).tolist()) == allowed


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), top_p=st.floats(0.05, 0.99), size=st.sampled_from([50, 3000]))
def test_top_p_draws_only_from_the_smallest_set_that_reaches_p(seed: int, top_p: float, size: int) -> None:
    logits = row(seed, size)
    shares = np.exp(logits.astype(np.float64) - logits.max())
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")
    nucleus = order[: int(np.searchsorted(shares[order].cumsum(), top_p)) + 1]
    found = draws(Sampling(temperature=3.0, top_p=top_p), logits, 200)
    assert set(found.tolist()) <= set(nucleus.tolist())


def test_min_p_drops_what_is_far_less_likely_than_the_best() -> None:
    logits = np.array([0.0, -1.0, -5.0], np.float32)
    assert set(draws(Sampling(temperature=10.0, min_p=0.3), logits).tolist()) == {0, 1}


def test_a_repeat_penalty_lowers_recent_tokens_and_leaves_the_row_alone() -> None:
    logits = np.array([2.0, -2.0, 1.0], np.float32)
    assert penalised(logits, [0, 1], 2.0).tolist() == [1.0, -4.0, 1.0]
    assert logits.tolist() == [2.0, -2.0, 1.0]
    assert TokenSampler(Sampling(repeat_penalty=4.0), 0).choose(logits, [0]) == 2


def test_masked_tokens_are_never_drawn() -> None:
    logits = np.full(100, -np.inf, np.float32)
    logits[7] = logits[9] = 1.0
    for sampling in (
        Sampling(temperature=1.0),
        Sampling(temperature=1.0, top_p=0.9),
        Sampling(temperature=1, top_k=50),
    ):
        assert set(draws(sampling, logits, 200).tolist()) == {7, 9}


def test_log_probabilities_are_those_of_the_softmax_likeliest_first() -> None:
    logits = row(6)
    expected = logits - np.log(np.exp(logits.astype(np.float64)).sum())
    chosen, top = log_probabilities(logits, 3, 4)
    assert chosen == pytest.approx(expected[3], abs=1e-4)
    assert [token for token, _ in top] == np.argsort(-logits)[:4].tolist()
    assert [value for _, value in top] == pytest.approx(sorted(expected, reverse=True)[:4], abs=1e-4)
