"""Were the accounts created on the same days?"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import FIRST_DAY, Baseline
from detectors.contrast import Comparing, Sides, contrast
from detectors.finding import NO_KEYS, SUSPICIOUS, Finding, Verdict
from detectors.p_values import bounded
from detectors.scan_statistic import Cluster, densest, smoothed
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
        both = contrast(window, sides, flagged(window.rows, Flag.CREATED_KNOWN))
        count = len(both.suspects)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name,
                f"The creation day of {count:,} {sides.who} is known; at least {LEAST_ACCOUNTS} are needed.",
            )
        cells, mass = _cells(both.suspects, both.others, window.end_ms // DAY_MS, baseline)
        accounts = both.suspects["account"]
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


@lru_cache(maxsize=2)  # asked for by whoever looks for sets of accounts and by whoever names a quiet window
def born_together(window: Window, baseline: Baseline) -> Keys:
    """Accounts of up to four spans of days in which more accounts of a window were created than expected.

    All accounts are asked, whatever they write; expected is the prior, or their own days smoothed over half a
    year where that is more. A wave of sign-ups is found too: what it means, the other detectors must say.
    """
    rows = taken(window.rows, flagged(window.rows, Flag.CREATED_KNOWN))
    accounts, first = np.unique(rows["account"], return_index=True)
    if accounts.size < LEAST_ACCOUNTS:
        return NO_KEYS
    cells, mass = _cells(taken(rows, first), rows[:0], window.end_ms // DAY_MS, baseline)
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


def _cells(
    suspects: Rows, others: Rows, last_day: int, baseline: Baseline
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Creation days of the accounts in question as cells, and the most that is expected of each cell."""
    prior = baseline.day_mass(last_day)
    size = len(prior)

    def cells(rows: Rows) -> NDArray[np.int64]:
        return np.clip(rows["created_day"].astype(np.int64) - FIRST_DAY, 0, size - 1)

    mine = cells(suspects)
    own = smoothed(mine, np.arange(size + 1, dtype=np.float64), SMOOTHING_DAYS)
    rest = np.bincount(cells(others), minlength=size)
    elsewhere = (PRIOR_ACCOUNTS * prior + rest) / (PRIOR_ACCOUNTS + len(others))
    community = (PRIOR_ACCOUNTS * prior + len(mine) * own) / (PRIOR_ACCOUNTS + len(mine))
    return mine, np.maximum(elsewhere, community)
