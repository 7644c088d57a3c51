"""Sets of accounts that something ties together: whom the other detectors are asked about.

What ties a set together is one kind of evidence; whether its accounts are coordinated is for the others to
say, each of which compares the set with the rest of the window. See "How findings are joined" in
docs/detectors.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from detectors.account_age import born_together
from detectors.baseline import Baseline
from detectors.co_posting import repeating
from detectors.co_repost import reposting
from detectors.contrast import Sides, against_rest, copying
from detectors.finding import Finding, Verdict
from detectors.shares import COPIED, reposted, shares
from detectors.table import Keys, Mask, Window

MOST_COMMUNITIES: Final = 8
LEAST_ACCOUNTS: Final = 5


class Tie(StrEnum):
    """What ties a set of accounts together."""

    TEXTS = "texts"  # they repeat several texts together
    REPOSTS = "reposts"  # they repost several posts in the same company
    COPIES = "copies"  # each posts a text that others post
    REPOSTING = "reposting"  # each reposts a post that others repost
    TIMER = "timer"  # they have the same gaps
    BIRTH = "birth"  # they were created together


@dataclass(frozen=True)
class Suspects:
    """One set of accounts, and the rows that are coordinated if the accounts are.

    Attributes
    ----------
    rows : bool, shape (n,)
        What ties them: the shared texts, the reposts; all rows of the accounts where it is how they act.
    texts : float
        Median number of texts an account repeats with others; 0 where that is not what ties them.
    last_resort : bool
        The sets before are parts of this one: it is in question only if none of them is coordinated.
    """

    tie: Tie
    sides: Sides
    rows: Mask
    texts: float = 0.0
    last_resort: bool = False


def suspects(window: Window, baseline: Baseline, bursts: Finding) -> Iterator[Suspects]:
    """The sets of a window, those with the strongest tie first; sets of fewer than 5 accounts are left out.

    Parameters
    ----------
    bursts : Finding
        Of all accounts of the window.
    """
    yield from _communities(window, baseline)
    yield from _reposting_together(window)
    yield from _copying(window)
    if bursts.verdict is Verdict.SUSPICIOUS:
        yield from _acting(window, Tie.TIMER, "accounts with common gaps", bursts.accounts)
    yield from _acting(window, Tie.BIRTH, "accounts created together", born_together(window, baseline))


def _communities(window: Window, baseline: Baseline) -> Iterator[Suspects]:
    found = shares(window)
    if not len(found.accounts):
        return
    core = repeating(window, baseline)
    every = found.accounts[core.flagged]
    others = window.accounts[~window.chosen(every)]
    communities = int(core.community.max()) + 1
    sets = [(core.community == number, False) for number in range(min(MOST_COMMUNITIES, communities))]
    if communities > 1:  # where accounts have few texts each, one campaign falls into many communities
        sets.append((core.flagged, True))
    for members, last_resort in sets:
        if members.sum() < LEAST_ACCOUNTS:
            continue
        rows = _rows_together(window, members)
        mine = core.together & members[found.account]
        yield Suspects(
            Tie.TEXTS,
            Sides("accounts that repeat texts together", found.accounts[members], others),
            rows,
            float(np.median(np.bincount(found.account[mine])[members.nonzero()[0]])),
            last_resort,
        )


def _rows_together(window: Window, core: Mask) -> Mask:
    """Rows that carry a text the core accounts share; shape (n,).

    A copied text is theirs if at least half of its accounts are core accounts; whoever posts it is taken with
    them. The core accounts' other shared texts count too.
    """
    found = shares(window)
    sharing = np.bincount(found.group[core[found.account]], minlength=len(found.sharing))
    theirs = found.copied & (2 * sharing >= found.sharing)
    shared_by_core = core[found.account] & (found.sharing[found.group] >= 2)
    return found.rows_of(theirs[found.group] | shared_by_core)


def _reposting_together(window: Window) -> Iterator[Suspects]:
    found = reposting(window)
    sides = against_rest(window, "accounts that repost together", found.core)
    yield from _enough(Tie.REPOSTS, sides, found.rows_of(found.core))


def _copying(window: Window) -> Iterator[Suspects]:
    found = shares(window)
    yield from _enough(Tie.COPIES, copying(window), found.rows_of(found.copied[found.group]))
    rows = reposted(window.rows, COPIED)
    accounts = window.authors(rows)
    yield from _enough(Tie.REPOSTING, against_rest(window, "reposting accounts", accounts), rows)


def _acting(window: Window, tie: Tie, who: str, accounts: Keys) -> Iterator[Suspects]:
    rows = window.rows_by(accounts)
    yield from _enough(tie, against_rest(window, who, accounts), rows)


def _enough(tie: Tie, sides: Sides, rows: Mask) -> Iterator[Suspects]:
    if sides.suspects.size >= LEAST_ACCOUNTS:
        yield Suspects(tie, sides, rows)
