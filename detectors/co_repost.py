"""Do the same accounts repost the same posts within seconds of each other?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.finding import Finding
from detectors.keys import among, coded, first_places
from detectors.p_values import betabinomial_tail, binomial_tail, rejected
from detectors.table import Flag, Keys, Kind, Mask, Window, flagged

LEAST_ACCOUNTS: Final = 10
FALSE_DISCOVERIES: Final = 0.01
WITHIN_S: Final = 60
"""Reposts of one post within this long are "together"; the usual choice for sharing (CooRTweet's default)."""

NEIGHBOURS: Final = 12
"""A repost is compared with this many that follow it: of thousands in one second a sample, and a bound."""

IN_COMPANY: Final = 0.2
"""By the stated prior so many of a person's reposts come within a minute of the same other person again: fans
are told of a new post at the same moment, and some are always quick."""


class CoRepost:
    """Accounts that repost the same posts, two and more of them, within a minute of the same other accounts.

    Of each repost the twelve that follow it within a minute are its company; it is made *in company again* if
    one of them keeps this account's company at another post too. By the stated prior that is so of one repost
    in five. The accounts where this is rejected (binomial, Benjamini–Hochberg, 1 %) are the finding; their
    number is compared with that of organic conversations by the beta-binomial of `co_posting`, and for the
    same reason no null keeps the volumes (docs/adr/0003-co-posting-null.md).

    Effect: flagged over all reposting accounts, in [0, 1]. Abstains below 10 accounts that repost known
    posts. Fans of one person are flagged too: it never accuses alone.
    """

    name: ClassVar[str] = "co_repost"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window; see the class."""
        found = reposting(window)
        count = len(found.accounts)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name,
                f"{count:,} accounts repost a post that is named; at least {LEAST_ACCOUNTS} are needed.",
            )
        many = int(found.flagged.sum())
        p_value = betabinomial_tail(many, count, baseline.co_posting_alpha, baseline.co_posting_beta)
        effect = many / count
        sentence = (
            f"{many:,} of {count:,} reposting accounts repost two or more of the same posts within"
            f" {WITHIN_S} s of the same others."
            if many
            else f"None of {count:,} reposting accounts keeps the same company again and again."
        )
        return Finding.judged(
            self.name,
            sentence,
            p_value,
            effect,
            large=many > 0,
            accounts=found.core,
            posts=window.posts(found.rows_of(found.core)),
        )


@dataclass(frozen=True)
class Reposting:
    """Who reposts in whose company.

    Attributes
    ----------
    accounts : uint64, shape (a,)
        Accounts that repost a post that is named, sorted.
    flagged : bool, shape (a,)
        Those that keep the same company more often than people do.
    row_account : int64, shape (n,)
        Index into `accounts` for every row of the window that is such a repost, else -1.
    """

    accounts: Keys
    flagged: Mask
    row_account: NDArray[np.int64]

    @property
    def core(self) -> Keys:
        """The flagged accounts, sorted."""
        return self.accounts[self.flagged]

    def rows_of(self, accounts: Keys) -> Mask:
        """The reposts of these accounts; shape (n,)."""
        mine = among(self.accounts, accounts)
        if not len(mine):
            return np.zeros(len(self.row_account), np.bool_)
        out: Mask = (self.row_account >= 0) & mine[self.row_account]
        return out


@lru_cache(maxsize=1)  # asked for by the detector and by whoever joins the findings
def reposting(window: Window) -> Reposting:
    """Find the accounts that repost together; none where times are known to the minute only."""
    rows = window.rows
    use = np.flatnonzero((rows["kind"] == Kind.REPOST) & (rows["target"] != 0))
    accounts, account = coded(rows["account"][use])
    row_account = np.full(len(rows), -1, np.int64)
    row_account[use] = account
    flags = np.zeros(len(accounts), np.bool_)
    fine = ~flagged(rows, Flag.COARSE_TIME)[use]
    if len(accounts) >= LEAST_ACCOUNTS and fine.all():
        flags = _keeping_company(account, rows["target"][use], rows["time_ms"][use])
    return Reposting(accounts, flags, row_account)


def _keeping_company(account: NDArray[np.int64], target: Keys, time_ms: NDArray[np.int64]) -> Mask:
    """Accounts more of whose reposts are made in company again than people's are; shape (a,)."""
    size = int(account.max()) + 1
    _, place = coded(target)
    first = first_places(place * size + account)  # an account once a post
    first = first[np.lexsort((account[first], time_ms[first], place[first]))]
    account, place, time_ms = account[first], place[first], time_ms[first]
    met, early, late = [], [], []
    for step in range(1, min(NEIGHBOURS, len(account) - 1) + 1):
        near = np.flatnonzero(
            (place[step:] == place[:-step]) & (time_ms[step:] - time_ms[:-step] <= 1_000 * WITHIN_S)
        )
        one, other = account[near], account[near + step]
        low, high = np.minimum(one, other), np.maximum(one, other)
        met.append(low * size + high)
        early.append(near)
        late.append(near + step)
    if not met:
        return np.zeros(size, np.bool_)
    _, pair = coded(np.concatenate(met))
    again = np.bincount(pair)[pair] >= 2
    company = np.zeros(len(account), np.bool_)
    company[np.concatenate(early)[again]] = True
    company[np.concatenate(late)[again]] = True
    reposts = np.bincount(account, minlength=size)
    kept = np.bincount(account[company], minlength=size)
    tail = binomial_tail(kept, reposts, IN_COMPANY)
    return rejected(np.where(kept >= 2, tail, 1.0), FALSE_DISCOVERIES) & (kept >= 2)
