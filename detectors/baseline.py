"""What posts and accounts look like when nobody coordinates them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from detectors.campaign import Memory
from detectors.evidence import LONGEST_GAP_S
from detectors.hour import (
    FOLLOWING_CELLS,
    FOLLOWING_EDGES,
    RATE_UNIT,
    Sums,
    client_cell,
    gap_cell,
)
from detectors.scan_statistic import Scale

GAP_CELLS: Final = LONGEST_GAP_S + 1
"""Gaps of 0 to 7,200 s in cells of one second."""

FIRST_DAY: Final = 13_228
"""20 March 2006: the day before the first public post of the oldest platform read here."""

_MEDIAN_GAP_S: Final = 600.0
_GAP_SPREAD: Final = 0.8  # decades
_EVEN_GAPS: Final = 0.15
_RECENT: Final = 0.2
_RECENT_DAYS: Final = 200.0
_MEDIAN_FOLLOWING: Final = 250.0
_FOLLOWING_SPREAD: Final = 1.0  # decades
_NO_FOLLOWING: Final = 0.03
_EVEN_FOLLOWING: Final = 0.15
_MOST_FOLLOWING: Final = 20  # octaves over which the even part is spread: a million

PRIOR_ACCOUNTS: Final = 5_000
"""So many accounts the prior is worth where accounts, or their gaps, were counted: a few hundred people seen
hour after hour do not say what is ordinary, a day of a large stream does. With 1,000, a tag of ira_islamkills
(benchmarks/quality.md), where nobody but one operator posts, hides among his own accounts' creation days."""

PRIOR_HASHTAGS: Final = 50
"""So many hashtags and hours with a copy rate it is worth."""

MOST_CONCENTRATED: Final = 30.0
"""Learnt copy rates are spread at least as widely as Beta(a, b) with a + b of this: quiet talk does not show
how much the next conversation may copy."""


@dataclass(frozen=True)
class Baseline:
    """Background distributions that a window is compared with.

    What was counted in completed hours (`learn`) is mixed with a prior, which is worth `PRIOR_ACCOUNTS`. That
    prior is the stated one, or what an archive gave (`founded_on`), itself mixed with the stated one in the
    same way. A stream that is young has counted nothing, and its baseline is the prior, to the last bit.

    The stated prior, held against the organic cases in benchmarks/quality.md:

    - *copies*: the share of posts that copy another account's text is Beta(0.5, 8): mostly a few per cent,
      now and then a third;
    - *shared text*: an account's text is one that others share too with probability 0.05;
    - *co-posting accounts*: the share that repeats several texts with the same others is Beta(1, 150);
    - *gaps*: 85 % log-normal around ten minutes, 15 % log-uniform (threads, schedulers, bursts of mood);
    - *creation days*: 80 % even since the first platform, 20 % exponentially recent with mean 200 days;
    - *clients*: the commonest client has up to 35 % of the accounts;
    - *followees*: 82 % log-normal around 250 with a spread of a decade, 15 % even in octaves up to a million,
      3 % follow nobody.

    Shared texts, co-posting accounts and `client_share` are stated only.

    Attributes
    ----------
    memory : Memory
        What was seen before in campaigns: of other hashtags, and of earlier alerts of this one.
    digest : str
        Names the distributions; written into every alert. "prior-2" is the stated prior, "learnt-…" that of
        an archive, and "+3h-…" says that three hours with posts were mixed in, and names their counts.
    """

    digest: str = "prior-2"
    copies_alpha: float = 0.5
    copies_beta: float = 8.0
    shared_text: float = 0.05
    co_posting_alpha: float = 1.0
    co_posting_beta: float = 150.0
    client_share: float = 0.35
    archive: Sums = field(default_factory=Sums, repr=False, compare=False)
    hours: Sums = field(default_factory=Sums, repr=False, compare=False)
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)

    @classmethod
    def prior(cls) -> Baseline:
        """What is assumed before anything was seen."""
        return cls()

    def founded_on(self, archive: Sums) -> Baseline:
        """With what an archive gave in the place of the stated prior."""
        if archive.empty:
            return self
        return _with_copies(replace(self, digest=f"learnt-{archive.digest}", archive=archive), archive)

    def learn(self, hours: Sums, count: int) -> Baseline:
        """With what was counted in completed hours mixed in.

        Parameters
        ----------
        hours : Sums
        count : int
            How many hours of posts these are, for the digest.
        """
        if hours.empty:
            return self
        digest = f"{self.digest}+{count}h-{hours.digest}"
        return _with_copies(replace(self, digest=digest, hours=hours), hours)

    def gap_mass(self) -> NDArray[np.float64]:
        """Probability of each whole second between an account's posts; shape (`GAP_CELLS`,)."""
        return self._gaps

    def day_mass(self, last_day: int) -> NDArray[np.float64]:
        """Probability of each creation day from `FIRST_DAY` to `last_day`; shape (days,)."""
        last_day = max(last_day, FIRST_DAY + 1)
        mass = self._days.get(last_day)
        if mass is None:
            mass = _day_mass(last_day)
            for sums in (self.archive, self.hours):
                shifted = replace(sums.days, cells=sums.days.cells - FIRST_DAY)
                mass = _mixed(mass, shifted.dense(mass.size), PRIOR_ACCOUNTS)
            self._days[last_day] = mass
        return mass

    def following_mass(self) -> NDArray[np.float64]:
        """Probability of each `detectors.hour.following_cell`; shape (`FOLLOWING_CELLS`,)."""
        return self._following

    def client_share_of(self, fingerprint: int) -> float:
        """The share of the accounts that post through a client, in [0, 1].

        Parameters
        ----------
        fingerprint : int
            Of the client's name, as in a row. One that nobody has shown yet has the share of the commonest in
            the prior, which is the safe side: it fades as accounts are counted that use others.
        """
        share = self.client_share
        cell = int(client_cell(np.array([fingerprint], np.uint64))[0])
        for clients in (self.archive.clients, self.hours.clients):
            using = int(clients.counts[clients.cells == cell].sum())
            share = (PRIOR_ACCOUNTS * share + using) / (PRIOR_ACCOUNTS + clients.total)
        return share

    @cached_property
    def _gaps(self) -> NDArray[np.float64]:
        mass = _gap_mass()
        cells = gap_cell(np.arange(GAP_CELLS))
        for sums in (self.archive, self.hours):
            if sums.gaps.total:
                # Within a cell the seconds keep the shares that they have among themselves.
                inside = np.bincount(cells, weights=mass)
                spread = mass / inside[cells] * sums.gaps.dense(inside.size)[cells]
                mass = _mixed(mass, spread, PRIOR_ACCOUNTS)
        return mass

    @cached_property
    def _following(self) -> NDArray[np.float64]:
        mass = _following_mass()
        for sums in (self.archive, self.hours):
            mass = _mixed(mass, sums.following.dense(FOLLOWING_CELLS), PRIOR_ACCOUNTS)
        return mass

    @cached_property
    def _days(self) -> dict[int, NDArray[np.float64]]:
        return {}


def _mixed(mass: NDArray[np.float64], counts: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """A distribution, worth so much, with counts mixed in."""
    total = float(counts.sum())
    if not total:
        return mass
    out: NDArray[np.float64] = (weight * mass + counts) / (weight + total)
    out.flags.writeable = False
    return out


def _with_copies(of: Baseline, sums: Sums) -> Baseline:
    """With the copy rates that were counted: the Beta distribution with the mean and spread of both."""
    tags, rates, squares = sums.copies
    if not tags:
        return of
    size = of.copies_alpha + of.copies_beta
    before = of.copies_alpha / size
    spread = before * (1 - before) / (size + 1)
    total = PRIOR_HASHTAGS + tags
    mean = (PRIOR_HASHTAGS * before + rates / RATE_UNIT) / total
    square = (PRIOR_HASHTAGS * (spread + before**2) + squares / RATE_UNIT) / total
    size = min(MOST_CONCENTRATED, mean * (1 - mean) / (square - mean**2) - 1)
    return replace(of, copies_alpha=mean * size, copies_beta=(1 - mean) * size)


@lru_cache(maxsize=1)
def gap_scale() -> Scale:
    """Where gaps lie: by the decimal logarithm of the edges; a gap of 0 s is below one second."""
    edges = np.arange(GAP_CELLS + 1) - 0.5
    edges[0] = 0.25
    return Scale(np.log10(edges))


@lru_cache(maxsize=1)
def _gap_mass() -> NDArray[np.float64]:
    edges = gap_scale().positions
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


@lru_cache(maxsize=1)
def _following_mass() -> NDArray[np.float64]:
    edges = np.log10(FOLLOWING_EDGES)
    bell = np.diff(ndtr((edges - np.log10(_MEDIAN_FOLLOWING)) / _FOLLOWING_SPREAD), append=1.0)
    even = (np.arange(len(edges)) < 2 * _MOST_FOLLOWING).astype(np.float64)
    some = 1 - _NO_FOLLOWING - _EVEN_FOLLOWING
    mass = np.concatenate(([_NO_FOLLOWING], some * bell / bell.sum() + _EVEN_FOLLOWING * even / even.sum()))
    mass.flags.writeable = False
    return mass
