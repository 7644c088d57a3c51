"""Tails of distributions, and joining p-values: across findings that depend on each other, across accounts.

Written with `scipy.special`: importing `scipy.stats` would take another second of every start.

Sources: Y. Liu and J. Xie, "Cauchy combination test" (JASA 2020); Y. Fang, C. Chang, Y. Park and G. Tseng,
"Heavy-tailed distribution for combining dependent p-values with asymptotic robustness" (Statistica Sinica
2023); Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate" (JRSS B 1995); H. Mann and
D. Whitney, "On a test of whether one of two random variables is stochastically larger than the other" (Annals
of Mathematical Statistics 1947).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, gammaln, ndtr

from detectors.keys import tallied

SMALLEST: Final = 1e-300
"""Smaller p-values are reported as this: no figure below it means anything, and logarithms stay finite."""

LARGEST: Final = 0.99
"""Larger p-values count as this in a combination: a test that sees nothing at all, whose p-value is 1, would
be an infinite vote against whatever the others see (Fang et al., the truncated Cauchy combination)."""


def combine(p_values: Sequence[float]) -> float:
    """Truncated Cauchy combination: valid in the tail whatever the dependence between the tests.

    >>> round(combine([0.5, 0.5]), 3)
    0.5
    >>> combine([1e-12, 1.0]) < 1e-11
    True
    >>> combine([])
    1.0
    """
    if not p_values:
        return 1.0
    p = np.clip(np.asarray(p_values, np.float64), SMALLEST, LARGEST)
    # tan((1/2 - p) * pi) is 1 / (p * pi) for small p; the direct form loses all digits there
    terms = np.where(p < 1e-8, 1 / (p * np.pi), np.tan((0.5 - p) * np.pi))
    mean = float(terms.mean())
    joint = 1 / (mean * np.pi) if mean > 1e8 else 0.5 - np.arctan(mean) / np.pi
    return bounded(joint)


def bounded(p_value: float) -> float:
    """The p-value within [`SMALLEST`, 1]; what could not be computed (NaN) is no evidence, so 1."""
    return 1.0 if isnan(p_value) else float(min(1.0, max(SMALLEST, p_value)))


def betabinomial_tail(count: int, total: int, alpha: float, beta: float) -> float:
    """Chance of `count` or more out of `total` when the share itself is Beta(alpha, beta).

    Summed in logarithms: one minus a distribution function has no digits left below 1e-16.

    >>> betabinomial_tail(0, 9, 1, 150)
    1.0
    >>> f"{betabinomial_tail(40, 160, 1, 150):.1e}"
    '2.2e-13'
    """
    if count <= 0:
        return 1.0
    of = np.arange(count, total + 1)
    choices = -np.log(total + 1) - betaln(total - of + 1, of + 1)
    terms = choices + betaln(of + alpha, total - of + beta) - betaln(alpha, beta)
    return bounded(_sum_of_exp(terms))


def _sum_of_exp(logarithms: NDArray[np.float64]) -> float:
    """The sum of what logarithms stand for; `scipy.special.logsumexp` takes ten times as long for few."""
    greatest = logarithms.max()
    return float(np.exp(greatest + np.log(np.exp(logarithms - greatest).sum())))


def binomial_tail(
    count: NDArray[np.int64], total: NDArray[np.int64] | int, share: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Chance of `count` or more out of `total`, each in with probability `share`; shape of the arguments.

    >>> binomial_tail(np.array([0, 1, 3, 4]), 3, 0.5).round(3).tolist()
    [1.0, 0.875, 0.125, 0.0]
    """
    some = np.clip(count, 1, total)
    out: NDArray[np.float64] = betainc(some, total - some + 1, share)
    return np.where(count <= 0, 1.0, np.where(count > total, 0.0, out))


def hypergeometric_tail(common: int, population: int, one: int, other: int) -> float:
    """Chance of so many in common or more if two sets of these sizes are drawn from a population.

    >>> round(hypergeometric_tail(1, 4, 2, 2), 4)
    0.8333
    >>> hypergeometric_tail(60, 10_000, 130, 151) < 1e-50
    True
    """
    if common <= max(0, one + other - population):
        return 1.0
    many = np.arange(common, min(one, other) + 1, dtype=np.float64)
    ways = _choices(one, many) + _choices(population - one, other - many) - _choices(population, other)
    return min(1.0, _sum_of_exp(ways))


def _choices(total: NDArray[np.float64] | int, taken: NDArray[np.float64] | int) -> NDArray[np.float64]:
    out: NDArray[np.float64] = (
        gammaln(np.asarray(total) + 1.0)
        - gammaln(np.asarray(taken) + 1.0)
        - gammaln(np.asarray(total - taken) + 1.0)
    )
    return out


def mann_whitney(larger: NDArray[np.float64], smaller: NDArray[np.float64]) -> tuple[float, float]:
    """Whether the values of one sample are larger than those of another.

    Parameters
    ----------
    larger : float64, shape (n,)
    smaller : float64, shape (m,)

    Returns
    -------
    effect : float
        Probability in [0, 1] that one of `larger` exceeds one of `smaller`, ties counting half.
    p_value : float
        One-sided, by the normal approximation with corrections for ties and continuity.

    Examples
    --------
    >>> mann_whitney(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0]))[0].__round__(3)
    0.944
    """
    pairs, total = len(larger) * len(smaller), len(larger) + len(smaller)
    ordered = np.sort(smaller)
    below = np.searchsorted(ordered, larger, "left") + np.searchsorted(ordered, larger, "right")
    exceeding = float(below.sum()) / 2
    ties = tallied(np.concatenate((larger, smaller)))[1].astype(np.float64)
    spread = np.sqrt(pairs / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1))))
    if spread == 0:
        return exceeding / pairs, 1.0
    return exceeding / pairs, bounded(float(ndtr((pairs / 2 + 0.5 - exceeding) / spread)))


def rejected(p_values: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Benjamini–Hochberg: which hypotheses to reject so that at most `rate` of these are true on average.

    >>> rejected(np.array([0.001, 0.02, 0.9]), 0.05).tolist()
    [True, True, False]
    """
    count = len(p_values)
    if not count:
        return np.zeros(0, np.bool_)
    ordered = np.sort(p_values)
    passing = np.flatnonzero(ordered <= rate * np.arange(1, count + 1) / count)
    out: NDArray[np.bool_] = p_values <= ordered[passing[-1]] if passing.size else np.zeros(count, np.bool_)
    return out
