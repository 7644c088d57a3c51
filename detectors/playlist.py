"""Do accounts post the same texts in the same order?"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from detectors.baseline import Baseline
from detectors.finding import Finding
from detectors.keys import among, by_code, coded, distinct_keys, first_places
from detectors.p_values import bounded
from detectors.shares import shares
from detectors.table import Flag, Keys, Window, flagged
from detectors.words import percent

LEAST_ACCOUNTS: Final = 10
LEAST_STEPS: Final = 20
LEAST_EXCESS: Final = 0.15
SPREAD: Final = 2.0
"""Steps come in twice as large lots as they seem to: accounts copy from each other."""


class Playlist:
    """Steps from one copied text to the next that are the step most other accounts take from there.

    Each account's copied texts in the order of their first posts; a step is *usual* if, of the other accounts
    that go on from the first text, most go on to the same second. Null: each account's texts in any order, in
    which one of its k texts follows another with probability 1/k; Poisson tail, in lots of two because
    accounts copy from each other.

    Effect: share of the steps that are usual, in [0, 1]. Abstains where times are known to the minute only,
    below 10 accounts with two copied texts, and below 20 steps. Blind where every account draws its texts by
    lot; and a list of slogans to copy is worked through from the top by people too: it never accuses alone.
    """

    name: ClassVar[str] = "playlist"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window; see the class."""
        account, group, keys = _sequences(window)
        same = account[1:] == account[:-1]
        steps = int(same.sum())
        players = distinct_keys(account[1:][same])
        if players.size < LEAST_ACCOUNTS or steps < LEAST_STEPS:
            return Finding.abstained(
                self.name,
                f"{players.size:,} accounts posted several copied texts at known seconds; at least"
                f" {LEAST_ACCOUNTS} are needed.",
            )
        usual, chance = _usual(account, group)
        observed, mean = int(usual.sum()), float(chance)
        p_value = bounded(float(gammainc(max(observed / SPREAD, 1e-9), max(mean / SPREAD, 1e-9))))
        effect = observed / steps
        sentence = (
            f"{observed:,} of {steps:,} steps from one copied text to the next ({percent(effect)}) are"
            f" the one most others take; {percent(mean / steps)} would be in any order."
        )
        return Finding.judged(
            self.name,
            sentence,
            p_value,
            effect,
            large=effect >= mean / steps + LEAST_EXCESS,
            accounts=distinct_keys(keys[account[1:][same][usual]]),
        )


def _sequences(window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64], Keys]:
    """Accounts and copied texts in the order of each account's first post of each; and the accounts' keys."""
    found = shares(window)
    at = np.flatnonzero(found.rows_of(found.copied[found.group]) & ~flagged(window.rows, Flag.COARSE_TIME))
    first = first_places(found.row_pair[at])  # rows are sorted by time
    at = np.sort(at[first])
    pair = found.row_pair[at]
    account, group = found.account[pair], found.group[pair]
    order = by_code(account, len(found.accounts))
    return account[order], group[order], found.accounts


def _usual(account: NDArray[np.int64], group: NDArray[np.int64]) -> tuple[NDArray[np.bool_], float]:
    """Which steps are the one that most other accounts take, and how many would be in any order.

    Returns
    -------
    usual : bool, shape (steps,)
    chance : float
    """
    same = account[1:] == account[:-1]
    one, other = group[:-1][same], group[1:][same]
    size = int(group.max()) + 1
    steps, at = coded(one * size + other)
    times = np.bincount(at)
    leaving = np.bincount(one, minlength=size)
    # Without the account's own step: more than half of the others that go on from here go on to there.
    usual: NDArray[np.bool_] = 2 * (times[at] - 1) > leaving[one] - 1
    following = np.full(size, -1, np.int64)
    most = 2 * times > leaving[steps // size]
    following[steps[most] // size] = steps[most] % size
    has = distinct_keys(account * size + group)
    then = following[group]
    possible = (then >= 0) & among(account * size + then, has)
    texts = np.bincount(account)
    return usual, float((possible / np.maximum(texts[account], 1)).sum())
