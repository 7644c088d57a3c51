"""What posts and accounts look like when nobody coordinates them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

GAP_CELLS: Final = 7_201
"""Gaps of 0 to 7,200 s in cells of one second."""

FIRST_DAY: Final = 13_228
"""20 March 2006: the day before the first public post of the oldest platform read here."""

_MEDIAN_GAP_S: Final = 600.0
_GAP_SPREAD: Final = 0.8  # decades
_EVEN_GAPS: Final = 0.15
_RECENT: Final = 0.2
_RECENT_DAYS: Final = 200.0


@dataclass(frozen=True)
class Baseline:
    """Background distributions that a window is compared with.

    The stated prior, held against the organic cases in benchmarks/quality.md:

    - *copies*: the share of posts that copy another account's text is Beta(0.5, 8): mostly a few per cent,
      now and then a third;
    - *shared text*: an account's text is one that others share too with probability 0.05;
    - *co-posting accounts*: the share that repeats several texts with the same others is Beta(1, 150);
    - *gaps*: 85 % log-normal around ten minutes, 15 % log-uniform (threads, schedulers, bursts of mood);
    - *creation days*: 80 % even since the first platform, 20 % exponentially recent with mean 200 days;
    - *clients*: the commonest client has up to 35 % of the accounts.

    Attributes
    ----------
    digest : str
        Names the distributions; written into every alert.
    """

    digest: str = "prior-2"
    copies_alpha: float = 0.5
    copies_beta: float = 8.0
    shared_text: float = 0.05
    co_posting_alpha: float = 1.0
    co_posting_beta: float = 150.0
    client_share: float = 0.35

    @classmethod
    def prior(cls) -> Baseline:
        """What is assumed before anything was seen."""
        return cls()

    def gap_mass(self) -> NDArray[np.float64]:
        """Probability of each whole second between an account's posts; shape (`GAP_CELLS`,)."""
        return _gap_mass()

    def day_mass(self, last_day: int) -> NDArray[np.float64]:
        """Probability of each creation day from `FIRST_DAY` to `last_day`; shape (days,)."""
        return _day_mass(max(last_day, FIRST_DAY + 1))


def gap_positions() -> NDArray[np.float64]:
    """Decimal logarithm of the edges of the gap cells; a gap of 0 s is below one second."""
    edges = np.arange(GAP_CELLS + 1) - 0.5
    edges[0] = 0.25
    out: NDArray[np.float64] = np.log10(edges)
    return out


@lru_cache(maxsize=1)
def _gap_mass() -> NDArray[np.float64]:
    edges = gap_positions()
    bell = np.diff(ndtr((edges - np.log10(_MEDIAN_GAP_S)) / _GAP_SPREAD))
    even = np.diff(edges)
    mass: NDArray[np.float64] = (1 - _EVEN_GAPS) * bell / bell.sum() + _EVEN_GAPS * even / even.sum()
    mass.flags.writeable = False
    return mass


@lru_cache(maxsize=64)
def _day_mass(last_day: int) -> NDArray[np.float64]:
    age = last_day - np.arange(FIRST_DAY, last_day + 1)
    recent = np.exp(-age / _RECENT_DAYS)
    mass: NDArray[np.float64] = (1 - _RECENT) / age.size + _RECENT * recent / recent.sum()
    mass.flags.writeable = False
    return mass
