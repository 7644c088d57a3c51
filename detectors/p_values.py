"""Joining p-values: across findings that depend on each other, and across many accounts.

Sources: Y. Liu and J. Xie, "Cauchy combination test" (JASA 2020); Y. Fang, C. Chang, Y. Park and G. Tseng,
"Heavy-tailed distribution for combining dependent p-values with asymptotic robustness" (Statistica Sinica
2023); Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate" (JRSS B 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import betabinom

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
    terms = betabinom.logpmf(np.arange(count, total + 1), total, alpha, beta)
    return bounded(float(np.exp(logsumexp(terms))))


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
