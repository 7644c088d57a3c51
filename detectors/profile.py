"""Do the accounts in question follow about as many people each, or leave their profiles empty alike?"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.contrast import Comparing, Sides, contrast
from detectors.finding import Finding
from detectors.p_values import betabinomial_tail, bounded
from detectors.table import Flag, Rows, Window
from detectors.words import percent

LEAST_ACCOUNTS: Final = 20
LEAST_LIFT: Final = 2.0
CELLS_PER_OCTAVE: Final = 4
CELLS: Final = 4 * 24 + 1
WIDTHS: Final = (4, 6, 8)
"""In cells: bands of one octave to two ("25 to 79 followees" is 1.7)."""

PRIOR_ACCOUNTS: Final = 20
BAND_SHARE: Final = 0.25
"""By the prior an octave or two of followees hold a quarter of all accounts: counts are spread over ten."""

CONCENTRATION: Final = 8.0
"""How alike two communities are in what they follow: as for clients, but people differ more than phones."""


class Profile(Comparing):
    """A band of one octave to two that holds the number of followees of too many accounts.

    The band with the largest excess over its share among the window's other accounts, mixed with a prior
    worth 20 accounts; beta-binomial tail, because communities differ, corrected for the bands looked at.

    Effect: share of the accounts in question inside the band, in [0, 1]. Abstains below 20 of them with a
    known number of followees. Blind to accounts dressed up one by one; and accounts of one age are alike in
    this too, so beside `account_age` it says less than it seems to.
    """

    name: ClassVar[str] = "profile"

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        both = contrast(window, sides, Flag.FOLLOWING_KNOWN)
        count = len(both.suspects)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name,
                f"How many accounts {count:,} {sides.who} follow is known; at least {LEAST_ACCOUNTS} are"
                " needed.",
            )
        mine, rest = octave_cells(both.suspects), octave_cells(both.others)
        first, width, inside, expected, tests = _widest_excess(mine, rest)
        tail = betabinomial_tail(inside, count, CONCENTRATION * expected, CONCENTRATION * (1 - expected))
        p_value = bounded(tests * tail)
        effect = inside / count
        chosen = (mine >= first) & (mine < first + width)
        following = both.suspects["following"][chosen]
        sentence = (
            f"{inside:,} of {count:,} {sides.who} ({percent(effect)}) follow {following.min():,} to"
            f" {following.max():,} accounts each; {percent(expected)} would be expected."
        )
        return Finding.judged(
            self.name,
            sentence,
            p_value,
            effect,
            large=effect >= LEAST_LIFT * expected,
            accounts=np.sort(both.suspects["account"][chosen]),
            evidence={"following": [int(following.min()), int(following.max())]},
        )


def octave_cells(rows: Rows) -> NDArray[np.int64]:
    """Number of followees in quarter octaves: `floor(4 log2(1 + n))`, in [0, `CELLS`)."""
    cells = np.floor(CELLS_PER_OCTAVE * np.log2(1.0 + rows["following"]))
    out: NDArray[np.int64] = np.minimum(cells, CELLS - 1).astype(np.int64)
    return out


def _widest_excess(mine: NDArray[np.int64], rest: NDArray[np.int64]) -> tuple[int, int, int, float, int]:
    """The band with the largest excess: first cell, width, accounts inside, expected share, bands seen."""
    ours = np.concatenate(([0], np.cumsum(np.bincount(mine, minlength=CELLS))))
    theirs = np.concatenate(([0], np.cumsum(np.bincount(rest, minlength=CELLS))))
    found = []
    tests = 0
    for width in WIDTHS:
        starts = np.arange(CELLS - width + 1)
        inside = ours[starts + width] - ours[starts]
        seen = theirs[starts + width] - theirs[starts]
        expected = (seen + PRIOR_ACCOUNTS * BAND_SHARE) / (len(rest) + PRIOR_ACCOUNTS)
        excess = inside / len(mine) - expected
        best = int(np.argmax(excess))
        found.append((float(excess[best]), best, width, int(inside[best]), float(expected[best])))
        tests += CELLS // width
    _, first, width, count, share = max(found, key=lambda band: (band[0], -band[2]))
    return first, width, count, share, tests
