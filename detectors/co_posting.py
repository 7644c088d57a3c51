"""Do the same accounts share several texts with each other?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from detectors.baseline import Baseline
from detectors.finding import Finding
from detectors.keys import coded
from detectors.p_values import betabinomial_tail, binomial_tail, rejected
from detectors.shares import Shares, shares
from detectors.table import Mask, Window

LEAST_ACCOUNTS: Final = 10
FALSE_DISCOVERIES: Final = 0.01
LINKING: Final = 0.1
"""Two texts belong to one community if two accounts repeat both, and this share of those who repeat the rarer
one: a few people in between do not join fans to a campaign."""

MOST_VOTES: Final = 20_000_000


class CoPosting:
    """Accounts whose texts come back, two and more together, at other accounts.

    A text of an account is *co-posted* if the same other account also posted another text of it. By chance,
    one text in twenty is one that somebody else posts too, and two in a row at the same other account is
    rarer still; so the number of co-posted texts of an account is at most binomial with that share. The
    accounts where this is rejected (Benjamini–Hochberg, 1 %) are the finding. Their share is compared with
    the share of such accounts in organic conversations (beta-binomial).

    A configuration model that keeps every text's volume would see nothing here: in a flood the volumes are
    the anomaly. See docs/adr/0003-co-posting-null.md.

    Effect: flagged over all accounts with a comparable text, in [0, 1]. Abstains below 10 such accounts.
    Blind to campaigns in which every account posts one text.
    """

    name: ClassVar[str] = "co_posting"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window; see the class."""
        found = shares(window)
        count = len(found.accounts)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name,
                f"Only {count:,} accounts posted a comparable text; at least {LEAST_ACCOUNTS} are needed.",
            )
        core = repeating(window, baseline)
        together, shared, flagged = core.together, core.shared, core.flagged
        many = int(flagged.sum())
        p_value = betabinomial_tail(many, count, baseline.co_posting_alpha, baseline.co_posting_beta)
        effect = many / count
        if not many:
            none = f"None of {count:,} accounts repeats several texts together with others."
            return Finding.judged(self.name, none, p_value, effect, large=False)
        sentence = (
            f"{many:,} of {count:,} accounts share texts with the same others, two or more each"
            f" (half of them {int(np.median(shared[flagged])):,} or more)."
        )
        rows = found.rows_of(together & flagged[found.account])
        return Finding.judged(
            self.name,
            sentence,
            p_value,
            effect,
            large=True,
            accounts=found.accounts[flagged],
            posts=window.posts(rows),
            evidence={"median_shared_texts": float(np.median(shared[flagged]))},
        )


@dataclass(frozen=True)
class Repeating:
    """Which accounts repeat texts together; aligned with `Shares`.

    Attributes
    ----------
    together : bool, shape (p,)
        Pairs of account and text that `co_posted` finds.
    shared : int64, shape (a,)
        How many co-posted texts each account has.
    flagged : bool, shape (a,)
        Accounts with more of them than people have.
    community : int64, shape (a,)
        Accounts that repeat the same texts have the same number, from 0 by falling number of accounts; -1
        for those that are not flagged. See `LINKING` for which texts belong together.
    """

    together: Mask
    shared: NDArray[np.int64]
    flagged: Mask
    community: NDArray[np.int64]


@lru_cache(maxsize=1)  # asked for by the detector and by whoever joins the findings
def repeating(window: Window, baseline: Baseline) -> Repeating:
    """Find the accounts whose texts come back, two and more together, at other accounts."""
    found = shares(window)
    count = len(found.accounts)
    together = co_posted(found)
    texts = np.bincount(found.account, minlength=count)
    shared = np.bincount(found.account[together], minlength=count)
    tail = binomial_tail(shared, texts, baseline.shared_text)
    flagged = rejected(np.where(shared >= 2, tail, 1.0), FALSE_DISCOVERIES) & (shared >= 2)
    return Repeating(together, shared, flagged, _communities(found, together & flagged[found.account]))


def _communities(found: Shares, pairs: Mask) -> NDArray[np.int64]:
    """Number of each account's community; the commonest among its texts where these differ."""
    out = np.full(len(found.accounts), -1, np.int64)
    if not pairs.any():
        return out
    accounts, account = coded(found.account[pairs])
    groups, group = coded(found.group[pairs])
    both = _texts_of(account, group, (accounts.size, groups.size))[1].tocoo()
    repeated = np.bincount(group)
    rarer = np.minimum(repeated[both.row], repeated[both.col])
    linked = both.data >= np.maximum(2, LINKING * rarer)
    graph = csr_array(
        (np.ones(int(linked.sum()), np.int8), (both.row[linked], both.col[linked])), shape=both.shape
    )
    parts, part = connected_components(graph, directed=False)
    if accounts.size * parts >= MOST_VOTES:  # nothing is gained from telling so many small ones apart
        out[accounts] = 0
        return out
    votes = np.bincount(account * parts + part[group], minlength=accounts.size * parts)
    chosen = votes.reshape(accounts.size, parts).argmax(axis=1)
    sizes = np.bincount(chosen, minlength=parts)
    rank = np.empty(parts, np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(parts)
    out[accounts] = rank[chosen]
    return out


def co_posted(found: Shares) -> Mask:
    """Which (account, group) pairs have another text that some other account posted with this one; (p,)."""
    popular = found.sharing >= 2
    use = np.flatnonzero(popular[found.group])
    out = np.zeros(len(found.group), np.bool_)
    if not use.size:
        return out
    groups, group = coded(found.group[use])
    account = found.account[use]
    posted, both = _texts_of(account, group, (len(found.accounts), groups.size))
    one = np.repeat(np.arange(groups.size), np.diff(both.indptr))
    both.data = ((both.data >= 2) & (both.indices != one)).astype(np.int32)
    both.eliminate_zeros()
    out[use] = np.asarray((posted @ both)[account, group]) > 0
    return out


def _texts_of(
    account: NDArray[np.int64], group: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[csr_array, csr_array]:
    """Who posted what, by account and group; and how many accounts posted both of two groups.

    Parameters
    ----------
    account, group : int64, shape (p,)
        One pair each, by rising account.
    """
    bounds = np.searchsorted(account, np.arange(shape[0] + 1))
    posted = csr_array((np.ones(account.size, np.int32), group, bounds), shape=shape)
    return posted, posted.T.tocsr() @ posted
