"""Is it real? One decision rule for every pair of versions, and what follows from it.

The rule: the exact McNemar test on the cases where two versions differ, two-sided, alpha 0.05, with Holm's
correction
over the pairs that are looked at together. From it come the p-value, the interval, the sentence and the
number of
cases still needed. They cannot contradict each other, because the interval is the inversion of the same test
at the
same level: p <= alpha, "the interval leaves out 0", "settled" and "0 more cases" are one fact.

Convention everywhere: "b over a". A win is a case that b passes and a does not.

Repeats: a case counts once. Its outcome for a version is the share of its repeats that pass; b wins a case
when its
share is the higher one. With one repeat that is plain McNemar; with more it is the sign test on cases, which
the same
formulas cover. Repeats of one case are not independent, so they are never counted as more cases.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.prompts.binomial import clopper_pearson, normal_quantile, tail_at_least

MOST_CASES = 10_000_000
"""Beyond this many cases the two versions are alike for any purpose."""


@dataclass(frozen=True)
class DecisionRule:
    """When a difference is called real; `cases_needed` promises `power` to find the difference seen so
    far."""

    alpha: float = 0.05
    power: float = 0.8

    @property
    def sentence(self) -> str:
        """The rule in words, for help and exports."""
        return (
            f"A difference is settled when the exact McNemar test, two-sided, gives p <= {self.alpha:g} "
            f"after Holm's "
            "correction for the number of pairs compared. The interval is the same test turned round, so it "
            "leaves "
            f"out 0 exactly then. More cases: how many give the test {self.power:.0%} power for the "
            f"difference seen."
        )


RULE = DecisionRule()


@dataclass(frozen=True)
class Counts:
    """How `b` fared against `a` over the same cases: b better, b worse, no difference."""

    a: str
    b: str
    wins: int
    losses: int
    ties: int

    @property
    def cases(self) -> int:
        """All cases that both have an outcome for."""
        return self.wins + self.losses + self.ties


@dataclass(frozen=True)
class Decision:
    """What the rule says about one pair; every field follows from the counts and the pairs looked at
    together."""

    counts: Counts
    difference: float
    """(wins - losses) / cases: with one repeat, the difference of the pass rates."""
    ci_low: float
    ci_high: float
    confidence: float
    """1 - the level that Holm's correction gave this pair; 0.95 for a single pair."""
    p_raw: float
    p_value: float
    """After Holm's correction; equal to `p_raw` for a single pair."""
    settled: bool
    more_cases_needed: int | None
    """0 when settled; None when nothing points to a difference, so no number of cases would be honest."""
    sentence: str
    early: bool = False


def mcnemar_p(wins: int, losses: int) -> float:
    """Exact McNemar test for paired pass/fail results.

    `wins` and `losses` count the discordant pairs. Returns the two-sided p-value; 1.0 when there are none.
    (McNemar 1947; exact form: the sign test on the discordant pairs.)
    """
    discordant = wins + losses
    if discordant == 0:
        return 1.0
    return min(1.0, 2.0 * tail_at_least(max(wins, losses), discordant, 0.5))


def wilson(passed: float, cases: int, level: float = 0.05) -> tuple[float, float]:
    """The Wilson score interval for a pass rate at confidence 1 - `level`; (0, 1) without cases.

    `passed` may be a fraction: the sum of pass shares over repeats. (Wilson 1927; Brown, Cai and DasGupta
    2001.)
    """
    if cases <= 0:
        return 0.0, 1.0
    z = normal_quantile(1.0 - level / 2.0)
    rate = passed / cases
    centre = rate + z * z / (2 * cases)
    spread = z * math.sqrt(rate * (1.0 - rate) / cases + z * z / (4 * cases * cases))
    scale = 1.0 + z * z / cases
    low = max(0.0, (centre - spread) / scale) if passed > 0 else 0.0
    return low, min(1.0, (centre + spread) / scale) if passed < cases else 1.0


def difference_interval(counts: Counts, level: float) -> tuple[float, float]:
    """The interval for (wins - losses) / cases at confidence 1 - `level`; it leaves out 0 exactly when p <=
    `level`.

    The difference is r * q: q, the share of cases that differ, and r = 2 * share of wins among those - 1.
    Both have
    exact limits (Clopper and Pearson), joined by the method of variance recovery (Zou and Donner 2008). The
    end that
    lies next to 0 never crosses it unless r's own limit does, and r's limit crosses it exactly when the test
    rejects.
    """
    cases, discordant = counts.cases, counts.wins + counts.losses
    if cases == 0:
        return -1.0, 1.0
    q = discordant / cases
    q_low, q_high = clopper_pearson(discordant, cases, level)
    if discordant == 0:
        return -q_high, q_high
    share_low, share_high = clopper_pearson(counts.wins, discordant, level)
    r = 2.0 * counts.wins / discordant - 1.0
    high = _upper(r, 2.0 * share_high - 1.0, q, q_low, q_high)
    low = -_upper(-r, 1.0 - 2.0 * share_low, q, q_low, q_high)
    if mcnemar_p(counts.wins, counts.losses) <= level:
        # Rounding in the last bit must not undo the equivalence that the formulas have.
        nearest = math.ulp(0.5)
        return (max(low, nearest), high) if r > 0 else (low, min(high, -nearest))
    return min(low, 0.0), max(high, 0.0)


def _upper(r: float, r_high: float, q: float, q_low: float, q_high: float) -> float:
    joined = r * q + math.hypot(q * (r_high - r), r * ((q_high if r > 0 else q_low) - q))
    return min(1.0, joined if r_high >= 0 else min(joined, r_high * q_low))


def decide(pairs: Sequence[Counts], rule: DecisionRule = RULE, *, early: bool = False) -> list[Decision]:
    """Apply the rule to the pairs that are looked at together, in their order. The only place that gives
    verdicts.

    `early` says that cells are still missing: the sentence then says that looking early is not a verdict.
    """
    count = len(pairs)
    raw = [mcnemar_p(pair.wins, pair.losses) for pair in pairs]
    order = sorted(range(count), key=lambda index: raw[index])
    levels = [rule.alpha] * count
    adjusted = [1.0] * count
    settled = [False] * count
    worst, failed_level = 0.0, 0.0
    for rank, index in enumerate(order):
        level = rule.alpha / (count - rank)
        # Holm 1979: step down until the first pair that does not pass; its level holds for all behind it.
        if not failed_level and raw[index] <= level:
            settled[index] = True
        elif not failed_level:
            failed_level = level
        levels[index] = failed_level or level
        worst = max(worst, min(1.0, raw[index] * (count - rank)))
        adjusted[index] = worst
    decisions = []
    for index, pair in enumerate(pairs):
        low, high = difference_interval(pair, levels[index])
        if settled[index] != (adjusted[index] <= rule.alpha):
            # (alpha / m) * m may differ from alpha in the last bit.
            adjusted[index] = rule.alpha if settled[index] else math.nextafter(rule.alpha, 1.0)
        if settled[index]:
            more: int | None = 0
        else:
            # While cells are missing there is no verdict to plan for, and the screen asks several times a
            # second.
            more = None if early else cases_needed(pair, levels[index], rule.power)
        decisions.append(
            Decision(
                counts=pair,
                difference=(pair.wins - pair.losses) / pair.cases if pair.cases else 0.0,
                ci_low=low,
                ci_high=high,
                confidence=1.0 - levels[index],
                p_raw=raw[index],
                p_value=adjusted[index],
                settled=settled[index],
                more_cases_needed=more,
                sentence=_sentence(pair, adjusted[index], settled[index], more, (low, high), early),
                early=early,
            )
        )
    return decisions


def cases_needed(counts: Counts, level: float, power: float = 0.8) -> int | None:
    """How many more cases of the same kind give the exact test `power` for the win share and discordance
    seen.

    Counts are at least 1; None when wins equal losses (no difference to find) or when it would take over
    `MOST_CASES`. The power is that of the exact sign test with as many discordant pairs as the seen share of
    them
    gives (Miettinen 1968, conditional form).
    """
    discordant = counts.wins + counts.losses
    if counts.wins == counts.losses or counts.cases == 0:
        return None
    share = max(counts.wins, counts.losses) / discordant
    needed = _discordant_needed(share, level, power)
    total = math.ceil(needed * counts.cases / discordant)
    if total > MOST_CASES:
        return None
    return max(1, total - counts.cases)


@lru_cache(maxsize=4096)
def _discordant_needed(share: float, level: float, power: float) -> int:
    """About the fewest discordant pairs with which the exact test has `power`.

    Power rises in a saw-tooth; the walk starts at the normal approximation and ends where two sizes in a row
    have it.
    """
    z = normal_quantile(1.0 - level / 2.0) * 0.5 + normal_quantile(power) * math.sqrt(share * (1.0 - share))
    size = max(1, math.ceil((z / (share - 0.5)) ** 2))
    if size > 2000:
        # The exact figure is within a fraction of a percent here, and nobody needs it closer.
        return size
    while size > 1 and _power(size - 1, share, level) >= power:
        size -= 1
    while _power(size, share, level) < power or _power(size + 1, share, level) < power:
        size += 1
    return size


@lru_cache(maxsize=65536)
def _power(discordant: int, share: float, level: float) -> float:
    wins = _fewest_wins(discordant, level)
    return tail_at_least(wins, discordant, share) + tail_at_least(wins, discordant, 1.0 - share)


@lru_cache(maxsize=65536)
def _fewest_wins(discordant: int, level: float) -> int:
    """The fewest wins with which the test rejects; one more than there are pairs when no number of wins
    does."""
    spread = normal_quantile(1.0 - level / 2.0) * math.sqrt(discordant) / 2.0
    wins = min(discordant + 1, math.ceil(discordant / 2.0 + spread))
    while wins * 2 > discordant + 1 and mcnemar_p(wins - 1, discordant - wins + 1) <= level:
        wins -= 1
    while wins <= discordant and mcnemar_p(wins, discordant - wins) > level:
        wins += 1
    return wins


def _sentence(
    pair: Counts, p: float, settled: bool, more: int | None, interval: tuple[float, float], early: bool
) -> str:
    head = f"{pair.b} over {pair.a}: {_count(pair.wins, 'win')}, {_count(pair.losses, 'loss', 'losses')}, "
    head += f"{_count(pair.ties, 'tie')}, p {p_text(p)}: "
    if pair.cases == 0:
        return f"{pair.b} over {pair.a}: no case has an outcome for both, so nothing can be said"
    if early:
        return head + "cells are still missing; looking early is not a verdict"
    if settled:
        return head + f"settled, {pair.b if pair.wins > pair.losses else pair.a} is better"
    if more is None:
        widest = max(abs(interval[0]), abs(interval[1])) * 100
        return head + f"no difference seen; gaps above {widest:.0f} points are ruled out"
    return head + f"not settled, about {more:,} more {'case' if more == 1 else 'cases'}"


def p_text(p: float) -> str:
    """A p-value as people print it, never rounded across 0.05."""
    if p < 0.001:
        return "< 0.001"
    text = f"{p:.3f}"
    if float(text) <= 0.05 < p:
        return f"{p:.6f}"
    return text


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def count_pairs(outcomes: Mapping[str, Mapping[int, float]], a: str, b: str) -> Counts:
    """Wins, losses and ties of `b` over `a` from `{subject: {case: share passed}}`, over the cases that both
    have."""
    left, right = outcomes.get(a, {}), outcomes.get(b, {})
    shared = left.keys() & right.keys()
    wins = sum(right[case] > left[case] for case in shared)
    losses = sum(right[case] < left[case] for case in shared)
    return Counts(a, b, wins, losses, len(shared) - wins - losses)


@dataclass(frozen=True)
class MeanDifference:
    """A difference of mean scores with its bootstrap interval; a description, never a verdict."""

    difference: float
    ci_low: float
    ci_high: float
    cases: int


def paired_bootstrap(
    left: Sequence[float], right: Sequence[float], *, level: float = 0.05, draws: int = 2000, seed: int = 0
) -> MeanDifference:
    """The mean of `right - left` over the same cases, with a percentile bootstrap interval (Efron 1979).

    Seeded, so a report says the same twice. Above 2,000 cases the normal approximation is used: it is the
    same to
    two digits and does not take a minute.
    """
    differences = [after - before for before, after in zip(left, right, strict=True)]
    count = len(differences)
    if count == 0:
        return MeanDifference(0.0, 0.0, 0.0, 0)
    mean = math.fsum(differences) / count
    if count > 2000:
        variance = math.fsum((one - mean) ** 2 for one in differences) / (count - 1)
        spread = normal_quantile(1.0 - level / 2.0) * math.sqrt(variance / count)
        return MeanDifference(mean, mean - spread, mean + spread, count)
    chance = random.Random(seed)
    means = sorted(math.fsum(chance.choices(differences, k=count)) / count for _ in range(draws))
    low = means[min(draws - 1, int(level / 2.0 * draws))]
    high = means[max(0, math.ceil((1.0 - level / 2.0) * draws) - 1)]
    return MeanDifference(mean, min(low, mean), max(high, mean), count)


@dataclass(frozen=True)
class RepeatNoise:
    """How much a version differs from itself: A against A."""

    cases: int
    flip_rate: float
    """The chance that two runs of the same case disagree on pass or fail."""
    distinct_answers: float
    """Different answers per case, on average."""


def repeat_noise(passed: Mapping[int, Sequence[bool]], answers: Mapping[int, Sequence[str]]) -> RepeatNoise:
    """A against A from the repeats of every case: `{case: [passed, …]}` and `{case: [answer, …]}`.

    For k passes in r repeats two of them disagree with chance 2k(r-k) / r(r-1); averaged over cases with r
    >= 2.
    """
    flips = []
    for results in passed.values():
        count, passes = len(results), sum(results)
        if count >= 2:
            flips.append(2.0 * passes * (count - passes) / (count * (count - 1)))
    distinct = [len(set(texts)) for texts in answers.values() if len(texts) >= 2]
    return RepeatNoise(
        cases=max(len(flips), len(distinct)),
        flip_rate=math.fsum(flips) / len(flips) if flips else 0.0,
        distinct_answers=sum(distinct) / len(distinct) if distinct else 0.0,
    )


def distinct_with_counts(answers: Iterable[str]) -> list[tuple[str, int]]:
    """The different answers of one cell's repeats, most frequent first, each with how often it came."""
    return Counter(answers).most_common()


def preference(
    left_better: int, right_better: int, rule: DecisionRule = RULE
) -> tuple[float, float, float, float]:
    """Blind choices: the share that prefers the right one, its exact interval, and the sign test's p. Equals
    are out."""
    decided = left_better + right_better
    low, high = clopper_pearson(right_better, decided, rule.alpha)
    return (right_better / decided if decided else 0.5, low, high, mcnemar_p(right_better, left_better))
