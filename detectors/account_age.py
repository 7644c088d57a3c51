"""Were the accounts created on the same days?"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import FIRST_DAY, Baseline
from detectors.contrast import contrast
from detectors.finding import Finding, Verdict
from detectors.p_values import bounded
from detectors.scan_statistic import densest, smoothed
from detectors.table import DAY_MS, Flag, Rows, Window, flagged
from detectors.words import day, percent

LEAST_ACCOUNTS: Final = 20
LEAST_SHARING: Final = 5
SUSPICIOUS: Final = 1e-3
LEAST_RATIO: Final = 3.0
WIDTHS_DAYS: Final = (1, 2, 4, 8, 16, 24, 32)
PRIOR_ACCOUNTS: Final = 50
SMOOTHING_DAYS: Final = 180.0


class AccountAge:
    """A span of up to 32 days in which more of the copying accounts were created than expected.

    Expected on each day is the greater of two shares, each joined by the stated prior worth 50 accounts: that
    of the window's other accounts (a wave of sign-ups on the whole platform shows in them too, and so
    cancels), and that of the copying accounts' own days smoothed over half a year (a community that joined in
    one year is not evidence).

    Effect: share of the copying accounts created in the span, in [0, 1]. Abstains below 20 copying accounts
    with a known creation day. Blind to aged and bought accounts.
    """

    name: ClassVar[str] = "account_age"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window; see the class."""
        both = contrast(window, flagged(window.rows, Flag.CREATED_KNOWN))
        count = len(both.copiers)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name,
                f"The creation day of {count:,} copying accounts is known;"
                f" at least {LEAST_ACCOUNTS} are needed.",
            )
        cells, mass = _cells(both.copiers, both.others, window.end_ms // DAY_MS, baseline)
        accounts = both.copiers["account"]
        span = densest(cells, accounts, mass, WIDTHS_DAYS, min_units=LEAST_SHARING)
        if span is None:
            return Finding(
                self.name,
                Verdict.NORMAL,
                f"{count:,} copying accounts were created on scattered days.",
                1.0,
                0.0,
            )
        effect = span.count / span.total
        sentence = (
            f"{span.count:,} of {count:,} copying accounts were created between"
            f" {day(FIRST_DAY + span.first)} and {day(FIRST_DAY + span.last)};"
            f" {percent(span.share)} would be expected there."
        )
        p_value = bounded(span.p_value)
        if p_value > SUSPICIOUS or span.ratio < LEAST_RATIO:
            return Finding(self.name, Verdict.NORMAL, sentence, max(p_value, SUSPICIOUS), effect)
        inside = (cells >= span.first) & (cells <= span.last)
        return Finding(
            self.name,
            Verdict.SUSPICIOUS,
            sentence,
            p_value,
            effect,
            np.sort(accounts[inside]),
            evidence={"first_day": FIRST_DAY + span.first, "last_day": FIRST_DAY + span.last},
        )


def _cells(
    copiers: Rows, others: Rows, last_day: int, baseline: Baseline
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Creation days of the copying accounts as cells, and the most that is expected of each cell."""
    prior = baseline.day_mass(last_day)
    size = len(prior)

    def cells(rows: Rows) -> NDArray[np.int64]:
        return np.clip(rows["created_day"].astype(np.int64) - FIRST_DAY, 0, size - 1)

    mine = cells(copiers)
    own = smoothed(mine, np.arange(size + 1, dtype=np.float64), SMOOTHING_DAYS)
    rest = np.bincount(cells(others), minlength=size)
    elsewhere = (PRIOR_ACCOUNTS * prior + rest) / (PRIOR_ACCOUNTS + len(others))
    community = (PRIOR_ACCOUNTS * prior + len(mine) * own) / (PRIOR_ACCOUNTS + len(mine))
    return mine, np.maximum(elsewhere, community)
