"""Binomial tails and beta quantiles in plain Python.

The screen calls these, and importing scipy there would cost a second and 60 MB. Checked against scipy in the
tests.
"""

from __future__ import annotations

import math

_TINY = 1e-300


def tail_at_least(successes: int, trials: int, chance: float) -> float:
    """P(X >= successes) for X ~ Binomial(trials, chance)."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    return beta_cdf(chance, successes, trials - successes + 1)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction.

    Lentz's method (Press et al., Numerical Recipes, 3rd edition, section 6.4); relative error about 1e-12.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front) if log_front > -745.0 else 0.0
    if x < (a + 1.0) / (a + b + 2.0):
        return min(1.0, front * _continued_fraction(x, a, b) / a)
    return max(0.0, 1.0 - front * _continued_fraction(1.0 - x, b, a) / b)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = probability, by bisection to the last bit that matters (about 1e-15)."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def clopper_pearson(successes: int, trials: int, level: float) -> tuple[float, float]:
    """The exact interval for a share at confidence 1 - `level`; (0, 1) without trials.

    It leaves out 1/2 exactly when the two-sided sign test rejects at `level`. (Clopper and Pearson 1934.)
    """
    if trials == 0:
        return 0.0, 1.0
    low = 0.0 if successes == 0 else beta_quantile(level / 2.0, successes, trials - successes + 1)
    high = 1.0 if successes == trials else beta_quantile(1.0 - level / 2.0, successes + 1, trials - successes)
    return low, high


def normal_quantile(probability: float) -> float:
    """The z with P(Z <= z) = probability for a standard normal Z."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def _continued_fraction(x: float, a: float, b: float) -> float:
    above, below = a + b, a + 1.0
    less = a - 1.0
    c = 1.0
    d = 1.0 - above * x / below
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    fraction = d
    for step in range(1, 100_000):
        even = 2 * step
        term = step * (b - step) * x / ((less + even) * (a + even))
        d = 1.0 + term * d
        c = 1.0 + term / c
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = c if abs(c) > _TINY else _TINY
        fraction *= d * c
        term = -(a + step) * (above + step) * x / ((a + even) * (below + even))
        d = 1.0 + term * d
        c = 1.0 + term / c
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = c if abs(c) > _TINY else _TINY
        change = d * c
        fraction *= change
        if abs(change - 1.0) < 1e-15:
            break
    return fraction
