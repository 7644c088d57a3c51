"""Who shares which near-identical text: the bipartite picture that several detectors start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detectors.keys import coded
from detectors.table import Keys, Kind, Mask, Rows, Window

COPIED: int = 3
"""A text counts as copied when this many accounts posted it: two may be one person's second account."""

LEAST_PAIRS: int = 20
"""Pairs of account and text from which on a window has a copy rate."""


@dataclass(frozen=True)
class Shares:
    """Distinct (account, near-identical group) pairs of a window, reposts and short texts left out.

    Attributes
    ----------
    accounts : uint64, shape (a,)
        Accounts that posted a comparable text, sorted.
    account, group : int64, shape (p,)
        One pair each, by rising account and of each by rising group; `account` is an index into `accounts`.
    sharing : int64, shape (g,)
        How many accounts posted each group's texts.
    row_pair : int64, shape (n,)
        Pair of every row of the window, -1 where it has none.
    """

    accounts: Keys
    account: NDArray[np.int64]
    group: NDArray[np.int64]
    sharing: NDArray[np.int64]
    row_pair: NDArray[np.int64]

    @property
    def copied(self) -> Mask:
        """Which groups were posted by at least `COPIED` accounts; shape (g,)."""
        return self.sharing >= COPIED

    @property
    def copiers(self) -> Mask:
        """Which of `accounts` posted a copied text; shape (a,)."""
        out = np.zeros(len(self.accounts), np.bool_)
        out[self.account[self.copied[self.group]]] = True
        return out

    def rows_of(self, pairs: Mask) -> Mask:
        """Which rows of the window belong to the pairs given; shape (n,)."""
        if not len(pairs):
            return np.zeros(len(self.row_pair), np.bool_)
        out: Mask = (self.row_pair >= 0) & pairs[self.row_pair]
        return out


@lru_cache(maxsize=1)  # every detector asks for the window it is given
def shares(window: Window) -> Shares:
    """Find the pairs of a window."""
    group = window.group
    use = np.flatnonzero((group >= 0) & (window.rows["kind"] != Kind.REPOST))
    posting = np.zeros(len(window.accounts), np.bool_)
    posting[window.account[use]] = True
    groups = int(group.max(initial=-1)) + 1
    account = (np.cumsum(posting) - 1)[window.account[use]]
    pairs, pair = coded(account * max(groups, 1) + group[use])
    row_pair = np.full(len(window.rows), -1, np.int64)
    row_pair[use] = pair
    pair_group = pairs % max(groups, 1)
    return Shares(
        accounts=window.accounts[posting],
        account=pairs // max(groups, 1),
        group=pair_group,
        sharing=np.bincount(pair_group, minlength=groups),
        row_pair=row_pair,
    )


def copies(sharing: NDArray[np.int64]) -> int:
    """Pairs that copy: of each copied group one account is the author.

    Parameters
    ----------
    sharing : int64, shape (g,)
        How many accounts posted each group's texts.
    """
    copied = sharing[sharing >= COPIED]
    return int(copied.sum()) - len(copied)


def reposted(rows: Rows, least: int) -> Mask:
    """Reposts of posts that are reposted at least so often here; shape (n,)."""
    use: Mask = (rows["kind"] == Kind.REPOST) & (rows["target"] != 0)
    _, at = coded(rows["target"][use])
    use[use] = np.bincount(at)[at] >= least
    return use
