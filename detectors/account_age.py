"""Were the accounts created on the same days?"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import FIRST_DAY, Baseline
from detectors.contrast import Comparing, Sides, contrast
from detectors.finding import NO_KEYS, SUSPICIOUS, Finding, Verdict
from detectors.keys import first_places
from detectors.p_values import bounded
from detectors.scan_statistic import Cluster, Scale, densest, smoothed
from detectors.table import DAY_MS, Flag, Keys, Rows, Window, flagged, taken
from detectors.words import day, percent

LEAST_ACCOUNTS: Final = 20
LEAST_SHARING: Final = 5
LEAST_RATIO: Final = 3.0
WIDTHS_DAYS: Final = (1, 2, 4, 8, 16, 24, 32)
PRIOR_ACCOUNTS: Final = 50
SMOOTHING_DAYS: Final = 180.0
MOST_SPANS: Final = 4


class AccountAge(Comparing):
    """A span of up to 32 days in which more of the accounts in question were created than expected.

    Expected on each day is the greater of two shares, each joined by the stated prior worth 50 accounts: that
    of the window's other accounts (a wave of sign-ups on the whole platform shows in them too, and so
    cancels), and that of their own days smoothed over half a year (a community that joined in one year is not
    evidence).

    Effect: share of the accounts in question created in the span, in [0, 1]. Abstains below 20 of them with a
    known creation day. Blind to aged and bought accounts.
    """

    name: ClassVar[str] = "account_age"

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        both = contrast(window, sides, Flag.CREATED_KNOWN)
        count = len(both.suspects)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name,
                f"The creation day of {count:,} {sides.who} is known; at least {LEAST_ACCOUNTS} are needed.",
            )
        prior = baseline.day_mass(window.end_ms // DAY_MS)
        cells, accounts = _cells(both.suspects, len(prior)), both.suspects["account"]
        span = None
        if _close(cells, LEAST_SHARING):
            mass = _expected(cells, both.others, prior)
            span = densest(cells, accounts, mass, WIDTHS_DAYS, min_units=LEAST_SHARING)
        if span is None:
            return Finding(
                self.name,
                Verdict.NORMAL,
                f"{count:,} {sides.who} were created on scattered days.",
                1.0,
                0.0,
            )
        effect = span.count / span.total
        sentence = (
            f"{span.count:,} of {count:,} {sides.who} were created between"
            f" {day(FIRST_DAY + span.first)} and {day(FIRST_DAY + span.last)};"
            f" {percent(span.share)} would be expected there."
        )
        inside = (cells >= span.first) & (cells <= span.last)
        return Finding.judged(
            self.name,
            sentence,
            bounded(span.p_value),
            effect,
            large=span.ratio >= LEAST_RATIO,
            accounts=np.sort(accounts[inside]),
            evidence={
                "first_day": FIRST_DAY + span.first,
                "last_day": FIRST_DAY + span.last,
                "expected": span.share,
            },
        )


@lru_cache(maxsize=1)  # asked for by whoever looks for sets of accounts and by whoever names a quiet window
def born_together(window: Window, baseline: Baseline) -> Keys:
    """Accounts of up to four spans of days in which more accounts of a window were created than expected.

    All accounts are asked, whatever they write; expected is the prior, or their own days smoothed over half a
    year where that is more. A wave of sign-ups is found too: what it means, the other detectors must say.
    """
    rows = taken(window.rows, flagged(window.rows, Flag.CREATED_KNOWN))
    first = first_places(rows["account"])
    if first.size < LEAST_ACCOUNTS:
        return NO_KEYS
    accounts = rows["account"][first]
    prior = baseline.day_mass(window.end_ms // DAY_MS)
    cells = _cells(taken(rows, first), len(prior))
    if not _close(cells, LEAST_ACCOUNTS):
        return NO_KEYS
    mass = _expected(cells, rows[:0], prior)
    born = np.zeros(accounts.size, np.bool_)
    for _ in range(MOST_SPANS):
        rest = ~born
        span = densest(cells[rest], accounts[rest], mass, WIDTHS_DAYS, min_units=LEAST_ACCOUNTS)
        if span is None or not _stands_out(span):
            break
        born |= (cells >= span.first) & (cells <= span.last)
    return accounts[born]


def _stands_out(span: Cluster) -> bool:
    return bounded(span.p_value) <= SUSPICIOUS and span.ratio >= LEAST_RATIO


def _cells(rows: Rows, size: int) -> NDArray[np.int64]:
    """Creation days as cells, in [0, size)."""
    return np.clip(rows["created_day"].astype(np.int64) - FIRST_DAY, 0, size - 1)


def _close(cells: NDArray[np.int64], least: int) -> bool:
    """Whether so many lie within the widest span. If not, what is expected need not be known."""
    ordered = np.sort(cells)
    return bool((ordered[least - 1 :] - ordered[: len(ordered) - least + 1] < WIDTHS_DAYS[-1]).any())


@lru_cache(maxsize=4)  # of a stream it is one more every day
def _day_scale(size: int) -> Scale:
    return Scale(np.arange(size + 1, dtype=np.float64))


def _expected(mine: NDArray[np.int64], others: Rows, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most that is expected of each cell, given those in question, the others and the prior."""
    size = len(prior)
    own = smoothed(mine, _day_scale(size), SMOOTHING_DAYS)
    rest = np.bincount(_cells(others, size), minlength=size)
    elsewhere = (PRIOR_ACCOUNTS * prior + rest) / (PRIOR_ACCOUNTS + len(others))
    community = (PRIOR_ACCOUNTS * prior + len(mine) * own) / (PRIOR_ACCOUNTS + len(mine))
    return np.maximum(elsewhere, community)
