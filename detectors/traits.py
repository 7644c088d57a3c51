"""Which accounts of a window look and act like the ones in question: naive Bayes over what is known of each.

An account is described by four traits: the days it was created around, its client, how many accounts it
follows, and whether its gaps are those of the common timer. Each trait gives the logarithm of how much more
often it is found among the members than among all others; unknown traits give 0. Their sum, with the share of
members as the prior, is the log odds of being one.

Source of the method: D. Hand and K. Yu, "Idiot's Bayes: not so stupid after all?" (2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from detectors.baseline import FIRST_DAY
from detectors.bursts import keeping_time
from detectors.keys import coded
from detectors.profile import CELLS as BANDS
from detectors.profile import octave_cells
from detectors.table import DAY_MS, Flag, Keys, Mask, Window, flagged, taken

PSEUDO: Final = 4.0
"""Accounts that the overall shares are worth in each side: keeps ratios of small numbers modest."""

LEAST_LOG, MOST_LOG = -3.0, 5.0
DAYS_NARROW: Final = 2.0
DAYS_WIDE: Final = 30.0
BAND_CELLS: Final = 1.0
STRONG: Final = 1.5
"""From this on a trait speaks for an account by itself: four and a half times as common among members."""

KEEP: Final = float(np.log(9))
JOIN: Final = float(np.log(99))
ROUNDS: Final = 3
MOST_KEPT: Final = 3
"""Gaps in step with the timer are counted up to this: one may be chance."""


@dataclass(frozen=True)
class Timer:
    """Gaps that are common among the accounts in question.

    Attributes
    ----------
    modes_s : tuple of (first, last)
        Whole seconds, both inside; empty if there is no common timer.
    chance : float
        Expected share of anybody's gaps in them, in [0, 1].
    """

    modes_s: tuple[tuple[int, int], ...] = ()
    chance: float = 0.0


def like(window: Window, seeds: Keys, timer: Timer, *, trusted: bool, strays: float = 1.0) -> Keys:
    """The accounts that are like the seeds, sorted.

    Parameters
    ----------
    seeds : uint64, sorted
        Accounts known or supposed to be members.
    timer : Timer
        The common timer of the seeds.
    trusted : bool
        Whether the seeds stay members whatever their traits are; else those that are not like the others
        leave. Accounts that are no seeds join from odds of 99 on, and only if their creation day or their
        timer speaks for them: client and followees are shared with too many.
    strays : float
        Share of the seeds' posts that are not of what ties them, in (0, 1]. Where there are next to none, an
        account that has nothing of it is hardly one of them.
    """
    known = _Known.of(window, timer)
    seed = window.chosen(seeds)
    members = seed
    for _ in range(ROUNDS):
        if not members.any() or members.all():
            break
        odds, strong = known.log_odds(members)
        joined = ~seed & strong & (odds + max(np.log(strays), -MOST_LOG) >= JOIN)
        fresh = (seed if trusted else seed & (odds >= KEEP)) | joined
        if (fresh == members).all():
            break
        members = fresh
    return window.accounts[members]


@dataclass(frozen=True)
class _Known:
    """The traits of every account as numbers of cells, -1 where unknown."""

    day: NDArray[np.int64]
    client: NDArray[np.int64]
    band: NDArray[np.int64]
    timer: NDArray[np.int64]
    chance: float
    days: int

    @classmethod
    def of(cls, window: Window, timer: Timer) -> _Known:
        rows = taken(window.rows, window.firsts(np.ones(len(window), np.bool_)))
        days = max(int(window.end_ms // DAY_MS) - FIRST_DAY + 1, 1)
        day = np.clip(rows["created_day"].astype(np.int64) - FIRST_DAY, 0, days - 1)
        _, client = coded(rows["client"])
        timed = keeping_time(window, timer.modes_s)
        kept = np.minimum(timed, MOST_KEPT)
        return cls(
            np.where(flagged(rows, Flag.CREATED_KNOWN), day, -1),
            np.where(rows["client"] != 0, client, -1),
            np.where(flagged(rows, Flag.FOLLOWING_KNOWN), octave_cells(rows), -1),
            kept,
            timer.chance,
            days,
        )

    def log_odds(self, members: Mask) -> tuple[NDArray[np.float64], Mask]:
        """The log odds of every account, and whether its day or its timer speaks for it."""
        # Days: the members' own are looked at closely, those of the others broadly, for they are what a
        # member's would be by chance.
        day = _ratio(self.day, members, self.days, DAYS_NARROW, DAYS_WIDE)
        timer = self._timer_ratio(members)
        client = _ratio(self.client, members, int(self.client.max(initial=0)) + 1)
        band = _ratio(self.band, members, BANDS, BAND_CELLS, BAND_CELLS)
        prior = np.log(members.sum() / (~members).sum())
        return prior + day + timer + client + band, (day >= STRONG) | (timer >= STRONG)

    def _timer_ratio(self, members: Mask) -> NDArray[np.float64]:
        """As `_ratio`, but a gap of any other account falls into the modes with a known chance.

        What the others here show is not asked: there may be members among them that are not known yet. Only
        for accounts none of whose gaps are the timer's it is.
        """
        chance = np.maximum(self.chance, 1e-6) ** np.maximum(self.timer, 1)
        among = np.bincount(self.timer[members & (self.timer >= 0)], minlength=MOST_KEPT + 1)
        among = (among + 1) / (among.sum() + MOST_KEPT + 1)
        kept = np.clip(np.log(among[np.maximum(self.timer, 0)] / chance), LEAST_LOG, MOST_LOG)
        return np.where(self.timer >= 1, kept, _ratio(self.timer, members, MOST_KEPT + 1))


def _ratio(
    cells: NDArray[np.int64],
    members: Mask,
    size: int,
    narrow: float = 0.0,
    wide: float = 0.0,
) -> NDArray[np.float64]:
    """Logarithm of how much more often an account's cell is found among members; 0 where it is unknown.

    `narrow` and `wide` smooth the members and the others, in cells.
    """
    known = cells >= 0
    every = np.bincount(cells[known], minlength=size).astype(np.float64)
    mine = np.bincount(cells[known & members], minlength=size).astype(np.float64)
    rest = every - mine
    overall = gaussian_filter1d(every, wide, mode="reflect") if wide else every
    overall = (overall + 1e-6) / (overall.sum() + 1e-6 * size)
    if narrow:
        mine = gaussian_filter1d(mine, narrow, mode="reflect")
        rest = gaussian_filter1d(rest, wide, mode="reflect")
    among = (mine + PSEUDO * overall) / (mine.sum() + PSEUDO)
    elsewhere = (rest + PSEUDO * overall) / (rest.sum() + PSEUDO)
    ratio = np.clip(np.log(among / elsewhere), LEAST_LOG, MOST_LOG)
    return np.where(known, ratio[np.maximum(cells, 0)], 0.0)
