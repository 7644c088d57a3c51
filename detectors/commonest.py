"""The commonest value of a field among the accounts in question, against its share among the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.contrast import Contrast, Sides, contrast
from detectors.finding import Finding
from detectors.keys import tallied
from detectors.p_values import betabinomial_tail, bounded
from detectors.table import Keys, Window

LEAST_ACCOUNTS: Final = 20
PRIOR_ACCOUNTS: Final = 20
CONCENTRATION: Final = 5.0
"""How alike two communities under one hashtag are: the share in one, given that in the other, is Beta with
this sum of parameters. A country or a fandom may well use one kind of phone."""


@dataclass(frozen=True)
class Commonest:
    """A value, how many accounts in question have it, and what that would be worth by chance.

    Attributes
    ----------
    key : int
        The fingerprint.
    count, total : int
        Accounts in question with the value, and with any.
    others, of_others : int
        The same of the others.
    expected : float
        Its expected share, in (0, 1).
    p_value : float
        Corrected for the number of values seen.
    accounts : uint64, sorted
        Accounts in question with the value.
    """

    key: int
    count: int
    total: int
    others: int
    of_others: int
    expected: float
    p_value: float
    accounts: Keys

    @property
    def share(self) -> float:
        """Of the accounts in question, in (0, 1]."""
        return self.count / self.total


def concentrated(
    detector: str,
    window: Window,
    sides: Sides,
    field: str,
    *,
    prior_share: float,
    by_text: bool = False,
    least_lift: float,
    few: Callable[[int], str],
    told: Callable[[Commonest, str], str],
) -> Finding:
    """A finding about the commonest value of a field among the accounts in question.

    Parameters
    ----------
    field : str
        Of `ROW`; a fingerprint, 0 where it is unknown. Its name is that of the evidence.
    prior_share, by_text
        See `commonest`.
    least_lift : float
        Times the expected share that is large.
    few : callable
        What is said if only so many accounts in question have a value.
    told : callable
        What is said of the commonest value, given with the string behind it.
    """
    both = contrast(window, sides, field)
    if len(both.suspects) < LEAST_ACCOUNTS:
        return Finding.abstained(detector, few(len(both.suspects)))
    top = commonest(both, field, prior_share, by_text=by_text)
    shown = window.show(top.key)
    return Finding.judged(
        detector,
        told(top, shown),
        top.p_value,
        top.share,
        large=top.share >= least_lift * top.expected,
        accounts=top.accounts,
        evidence={field: shown},
    )


def of_one_text(group: NDArray[np.int32]) -> float:
    """How many accounts have an account's text, on average over the accounts; at least 1.

    Parameters
    ----------
    group : int32, shape (a,)
        Near-identical group of one text of each account, -1 for a text like no other.

    Examples
    --------
    >>> of_one_text(np.array([-1, -1, 0, 0, 0], np.int32))
    2.2
    """
    sizes = np.bincount(group[group >= 0])
    alone = int((group < 0).sum())
    return float((alone + np.square(sizes).sum()) / max(1, len(group)))


def commonest(both: Contrast, field: str, prior_share: float, *, by_text: bool = False) -> Commonest:
    """Find it and judge its share.

    Beta-binomial tail over accounts, not posts, for the posts of one account depend on each other. The others
    are joined by a prior worth 20 accounts in which the value has `prior_share`. Theirs is only where the
    share of the accounts in question is expected to lie, for communities differ.

    Parameters
    ----------
    both : Contrast
        With one account in question at least; rows in which the field is known.
    by_text : bool
        Whether the value is part of the text, so that accounts with one text have it together: they count as
        so many fewer (Kish's design effect).
    """
    values, counts = tallied(both.suspects[field])
    top = int(np.argmax(counts))  # ties: the lowest fingerprint, whatever the order of rows
    count, total = int(counts[top]), len(both.suspects)
    others = int((both.others[field] == values[top]).sum())
    expected = (others + PRIOR_ACCOUNTS * prior_share) / (len(both.others) + PRIOR_ACCOUNTS)
    alike = of_one_text(both.group) if by_text else 1.0
    tail = betabinomial_tail(
        round(count / alike), round(total / alike), CONCENTRATION * expected, CONCENTRATION * (1 - expected)
    )
    having = both.suspects["account"][both.suspects[field] == values[top]]
    return Commonest(
        key=int(values[top]),
        count=count,
        total=total,
        others=others,
        of_others=len(both.others),
        expected=expected,
        p_value=bounded(values.size * tail),
        accounts=np.sort(having),
    )
