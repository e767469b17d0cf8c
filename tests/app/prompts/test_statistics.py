"""One decision rule: p, interval, sentence and count agree for every table of outcomes; figures agree with
scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.prompts.binomial import beta_cdf, clopper_pearson, tail_at_least
from app.prompts.statistics import (
    RULE,
    Counts,
    DecisionRule,
    cases_needed,
    count_pairs,
    decide,
    difference_interval,
    mcnemar_p,
    paired_bootstrap,
    preference,
    repeat_noise,
    wilson,
)

few = st.integers(0, 60)
tables = st.builds(Counts, st.just("@2"), st.just("@3"), few, few, st.integers(0, 400))


@given(st.lists(tables, min_size=1, max_size=6), st.sampled_from([0.05, 0.01, 0.1, 0.0625]))
@settings(max_examples=300, deadline=None)
def test_p_interval_sentence_and_count_never_contradict_each_other(pairs: list[Counts], alpha: float) -> None:
    for one in decide(pairs, DecisionRule(alpha=alpha)):
        outside = one.ci_low > 0 or one.ci_high < 0
        assert one.settled == (one.p_value <= alpha) == outside == (one.more_cases_needed == 0)
        assert (": settled" in one.sentence) == one.settled
        assert -1 <= one.ci_low <= one.difference <= one.ci_high <= 1
        assert one.p_raw <= one.p_value <= 1
        if not one.settled:
            assert (one.more_cases_needed is None) == ("about" not in one.sentence)
            if one.counts.wins == one.counts.losses:
                assert one.more_cases_needed is None
            elif one.more_cases_needed is not None:
                assert one.more_cases_needed >= 1
                assert f"about {one.more_cases_needed:,} more" in one.sentence


@given(tables)
@settings(deadline=None)
def test_swapping_the_two_versions_mirrors_everything(pair: Counts) -> None:
    (one,) = decide([pair])
    (other,) = decide([Counts(pair.b, pair.a, pair.losses, pair.wins, pair.ties)])
    assert one.p_value == other.p_value
    assert one.more_cases_needed == other.more_cases_needed
    assert math.isclose(one.ci_low, -other.ci_high, abs_tol=1e-12)
    assert one.difference == -other.difference


@given(st.lists(tables, min_size=2, max_size=5))
@settings(deadline=None)
def test_looking_at_more_pairs_never_settles_more(pairs: list[Counts]) -> None:
    for alone, together in zip([decide([pair])[0] for pair in pairs], decide(pairs), strict=True):
        assert together.p_value >= alone.p_value
        assert alone.settled or not together.settled


def test_a_single_pair_reports_its_own_p() -> None:
    (one,) = decide([Counts("@2", "@3", 14, 5, 61)])
    assert one.p_value == one.p_raw
    assert one.sentence.startswith("@3 over @2: 14 wins, 5 losses, 61 ties, p 0.064: not settled, about ")
    assert one.ci_low < 0 < one.ci_high


def test_the_words_for_the_other_verdicts() -> None:
    def sentence(wins: int, losses: int, ties: int, early: bool = False) -> str:
        return decide([Counts("@2", "@3", wins, losses, ties)], early=early)[0].sentence

    assert sentence(12, 0, 68).endswith("settled, @3 is better")
    assert sentence(0, 12, 68).endswith("settled, @2 is better")
    assert sentence(0, 0, 80).endswith("no difference seen; gaps above 5 points are ruled out")
    assert sentence(12, 0, 68, early=True).endswith("looking early is not a verdict")
    assert "nothing can be said" in sentence(0, 0, 0)


def test_holm_steps_down_and_stops_at_the_first_failure() -> None:
    pairs = [Counts("a", name, wins, 0, 50) for name, wins in (("b", 12), ("c", 6), ("d", 7))]
    b, c, d = decide(pairs)
    assert (b.settled, c.settled, d.settled) == (True, True, True)
    assert c.p_value == mcnemar_p(6, 0)
    weak = decide([Counts("a", name, wins, 0, 50) for name, wins in (("b", 5), ("c", 12), ("d", 6))])
    assert [one.settled for one in weak] == [False, True, False] or [one.settled for one in weak] == [
        False,
        True,
        True,
    ]
    assert [round(one.confidence, 4) for one in decide([Counts("a", "b", 1, 1, 9)] * 2)] == [0.975, 0.975]


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.001, 0.999))
@settings(deadline=None)
def test_binomial_tails_are_those_of_scipy(successes: int, more: int, chance: float) -> None:
    trials = successes + more
    expected = stats.binom.sf(successes - 1, trials, chance)
    assert math.isclose(tail_at_least(successes, trials, chance), expected, rel_tol=1e-9, abs_tol=1e-13)


@pytest.mark.parametrize(("wins", "losses"), [(14, 5), (0, 0), (1, 0), (6, 0), (40, 20), (500, 430), (3, 3)])
def test_mcnemar_is_the_exact_sign_test_of_scipy(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert math.isclose(mcnemar_p(wins, losses), expected, rel_tol=1e-9)


@pytest.mark.parametrize(("passed", "cases"), [(0, 10), (10, 10), (49, 80), (1, 3), (800, 1000)])
def test_intervals_of_a_share_are_those_of_scipy(passed: int, cases: int) -> None:
    expected = stats.binomtest(passed, cases).proportion_ci(method="wilson")
    assert wilson(passed, cases) == pytest.approx((expected.low, expected.high), abs=1e-9)
    exact = stats.binomtest(passed, cases).proportion_ci(method="exact")
    assert clopper_pearson(passed, cases, 0.05) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_the_incomplete_beta_function_holds_at_its_ends() -> None:
    assert beta_cdf(0, 2, 3) == 0
    assert beta_cdf(1, 2, 3) == 1
    assert beta_cdf(0.5, 3_900_000, 3_900_000) == pytest.approx(0.5, abs=1e-6)


def test_the_promised_number_of_cases_has_the_promised_power() -> None:
    """Simulated: with as many cases as promised, the test finds the difference about four times in five."""
    counts = Counts("a", "b", 14, 5, 61)
    more = cases_needed(counts, RULE.alpha)
    assert more is not None
    total = counts.cases + more
    share, discordance = 14 / 19, 19 / 80
    power = 0.0
    for discordant in range(total + 1):
        weight = stats.binom.pmf(discordant, total, discordance)
        if weight > 1e-9:
            wins = range(discordant + 1)
            found = [w for w in wins if mcnemar_p(w, discordant - w) <= RULE.alpha]
            power += weight * sum(stats.binom.pmf(found, discordant, share))
    assert 0.75 <= power <= 0.88


@pytest.mark.parametrize(("discordance", "share"), [(0.24, 0.74), (0.1, 1.0), (0.3, 0.5), (0.5, 0.6)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(discordance: float, share: float) -> None:
    import numpy

    chance = numpy.random.default_rng(7)
    truth = (2 * share - 1) * discordance
    kept = 0
    for _ in range(400):
        different = int(chance.binomial(80, discordance))
        wins = int(chance.binomial(different, share))
        low, high = difference_interval(Counts("a", "b", wins, different - wins, 80 - different), 0.05)
        kept += low <= truth <= high
    assert kept / 400 >= 0.92


def test_counts_compare_only_cases_that_both_have() -> None:
    outcomes = {"a": {0: 1.0, 1: 0.0, 2: 0.5}, "b": {1: 1.0, 2: 0.25, 3: 1.0}}
    assert count_pairs(outcomes, "a", "b") == Counts("a", "b", 1, 1, 0)


def test_the_bootstrap_says_the_same_twice_and_holds_its_mean() -> None:
    left, right = [0.0, 0.5, 1.0, 0.25] * 10, [0.5, 0.5, 1.0, 0.75] * 10
    one = paired_bootstrap(left, right)
    assert one == paired_bootstrap(left, right)
    assert one.difference == pytest.approx(0.25)
    assert 0 < one.ci_low < 0.25 < one.ci_high
    many = paired_bootstrap(left * 100, right * 100)
    assert many.ci_low < 0.25 < many.ci_high
    assert paired_bootstrap([], []).cases == 0


def test_a_against_a_is_a_flip_rate_per_case() -> None:
    noise = repeat_noise({0: [True, False], 1: [True, True], 2: [False]}, {0: ["a", "b"], 1: ["a", "a"]})
    assert noise.flip_rate == pytest.approx(0.5)
    assert noise.distinct_answers == pytest.approx(1.5)
    assert repeat_noise({}, {}).cases == 0


def test_blind_choices_give_a_share_with_its_interval() -> None:
    share, low, high, p = preference(left_better=2, right_better=8)
    assert share == 0.8
    assert low < 0.5 < 0.8 < high
    assert p == mcnemar_p(8, 2)
    assert preference(0, 0)[0] == 0.5
