"""What a sceptic wants to see of a window: its texts, accounts, rhythm, creation days and clients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.keys import Whole, by_code, coded, distinct_keys, tallied, valued
from detectors.table import DAY_MS, Flag, Keys, Kind, Mask, Window, flagged, taken

LONGEST_GAP_S = 7_200
"""Posts of one account that lie further apart are not one sitting, and windows are no longer."""

MOST_TEXTS = 100
MOST_ACCOUNTS = 500
MOST_CLIENTS = 20
EXAMPLES = 3
GAP_EDGES_S = np.array(
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 160, 200, 240, 300, 400,
     500, 600, 750, 900, 1050, 1200, 1260, 1320, 1500, 1800, 2400, 3000, 3600, 4800, 6000, 7200]
)  # fmt: skip
"""Edges in seconds of the gap histogram: single seconds where machines show, then a tenth of a decade."""


class TextEvidence(Struct, frozen=True):
    """A near-identical group as its most frequent wording; counts are of posts and accounts in the window."""

    group: str
    text: str
    posts: int
    accounts: int
    coordinated: bool
    examples: tuple[str, ...]


class AccountEvidence(Struct, frozen=True):
    """A coordinated account; `score` is the share of the suspicious findings that point at it, in [0, 1]."""

    id: str
    handle: str | None
    posts: int
    created_day: int | None
    score: float


class Count(Struct, frozen=True):
    """How often something was seen, among the coordinated posts or accounts and among the others."""

    key: int | str
    coordinated: int
    other: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Counts that the charts of an alert are drawn from.

    Attributes
    ----------
    texts : largest groups first, at most `MOST_TEXTS`
    accounts : coordinated accounts, most posts first, at most `MOST_ACCOUNTS`
    minutes : posts per minute; key is the minute's start in milliseconds
    gaps : gaps between an account's consecutive posts; key is the lower edge of the bin in seconds
    created : accounts per creation day; key is the day since 1970-01-01
    clients : posts per client; key is its name, at most `MOST_CLIENTS`
    """

    texts: tuple[TextEvidence, ...] = ()
    accounts: tuple[AccountEvidence, ...] = ()
    minutes: tuple[Count, ...] = ()
    gaps: tuple[Count, ...] = ()
    created: tuple[Count, ...] = ()
    clients: tuple[Count, ...] = ()


def gather(
    window: Window, post_is: Mask, coordinated_accounts: Keys, account_scores: NDArray[np.float64]
) -> Evidence:
    """Count what the window holds, apart for coordinated posts or accounts and for the others.

    Parameters
    ----------
    post_is : bool, shape (n,)
        Which rows are of coordinated posts.
    coordinated_accounts : sorted uint64
    account_scores : float64, aligned with `coordinated_accounts`
    """
    return replace(
        outline(window, post_is, coordinated_accounts),
        accounts=_accounts(window, coordinated_accounts, account_scores, post_is),
        minutes=_counts(window.rows["time_ms"] // 60_000 * 60_000, post_is),
    )


def outline(window: Window, post_is: Mask, coordinated_accounts: Keys) -> Evidence:
    """What `gather` counts, without accounts and minutes."""
    account_is = window.chosen(coordinated_accounts)
    return Evidence(
        texts=_texts(window, post_is),
        gaps=_gaps(window, account_is),
        created=_created(window, account_is),
        clients=_clients(window, post_is),
    )


@lru_cache(maxsize=1)  # asked for by several detectors, and by whoever gathers the evidence
def account_gaps(window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gaps between consecutive posts of each account, where times are finer than a minute.

    Returns
    -------
    gap_ms : int64, shape (m,)
        By rising account.
    later : int64, shape (m,)
        Row of the later post of each gap.
    """
    order = window.by_account
    order = order[~flagged(window.rows, Flag.COARSE_TIME)[order]]
    account, time_ms = window.account[order], window.rows["time_ms"][order]
    same = np.flatnonzero(account[1:] == account[:-1])
    return time_ms[same + 1] - time_ms[same], order[same + 1]


def near_gaps(window: Window, accounts: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gaps of up to `LONGEST_GAP_S` between consecutive posts of some accounts, where times are that fine.

    Parameters
    ----------
    accounts : bool, shape (a,)
        Which of the window's accounts.

    Returns
    -------
    gap_s : int64, shape (m,)
        Whole seconds, by rising account.
    later : int64, shape (m,)
        Row of the later post of each gap.
    """
    gap_ms, later = account_gaps(window)
    gap_s = gap_ms // 1000
    near = (gap_s <= LONGEST_GAP_S) & accounts[window.account[later]]
    return gap_s[near], later[near]


def once_an_account(
    account: NDArray[np.int64], gap_s: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each distinct gap of an account once; the arguments so thinned out, sorted by account and gap.

    Parameters
    ----------
    account : int64, shape (m,), not negative
    gap_s : int64, shape (m,), in [0, `LONGEST_GAP_S`]
    """
    code = distinct_keys(account * (LONGEST_GAP_S + 1) + gap_s)
    return code // (LONGEST_GAP_S + 1), code % (LONGEST_GAP_S + 1)


def _counts(keys: NDArray[np.int64], coordinated: Mask) -> tuple[Count, ...]:
    values, yes, no = _parted(keys, coordinated)
    return tuple(map(Count, values.tolist(), yes.tolist(), no.tolist()))


def _parted(
    keys: NDArray[Whole], coordinated: Mask
) -> tuple[NDArray[Whole], NDArray[np.int64], NDArray[np.int64]]:
    """Every key once, sorted, and how often it is coordinated and how often not."""
    values, every = tallied(keys)
    theirs, times = tallied(keys[coordinated])
    yes = np.zeros(len(values), np.int64)
    yes[np.searchsorted(values, theirs)] = times
    return values, yes, every - yes


def _texts(window: Window, post_is: Mask) -> tuple[TextEvidence, ...]:
    rows, every = window.rows, window.group.astype(np.int64)
    at = np.flatnonzero((every >= 0) & (every < MOST_TEXTS) & (rows["kind"] != Kind.REPOST))
    width = len(window.accounts)
    sharing = np.bincount(distinct_keys(every[at] * width + window.account[at]) // width)
    shared = np.flatnonzero(sharing >= 2)
    at = at[(sharing >= 2)[every[at]]]
    if not len(at):
        return ()
    at = at[by_code(every[at], MOST_TEXTS)]
    group = every[at]
    posts = np.bincount(group)
    coordinated = np.bincount(group, post_is[at]) >= 0.5 * posts
    wording = _commonest(group, rows["text"][at])
    keys, starts = rows["post"][at].tolist(), np.cumsum(posts) - posts
    return tuple(
        TextEvidence(
            group=f"{wording[one]:016x}",
            text=window.strings.get(wording[one], ""),
            posts=many,
            accounts=accounts,
            coordinated=theirs,
            examples=tuple(map(window.show, keys[start : start + min(many, EXAMPLES)])),
        )
        for one, many, accounts, theirs, start in zip(
            shared.tolist(),
            posts[shared].tolist(),
            sharing[shared].tolist(),
            coordinated[shared].tolist(),
            starts[shared].tolist(),
            strict=True,
        )
    )


def _commonest(group: NDArray[np.int64], prints: Keys) -> list[int]:
    """Of each group, from 0 on, the print that is there most often; of equals the lowest.

    Groups come rising; what is said of a group that does not come has no meaning.
    """
    values, at = coded(prints)
    pairs, times = tallied(group * len(values) + at)
    of, which = np.divmod(pairs, len(values))
    best = np.lexsort((which, -times, of))
    first = np.searchsorted(of[best], np.arange(of[-1] + 1))
    out: list[int] = values[which[best[first]]].tolist()
    return out


def _accounts(
    window: Window, accounts: Keys, scores: NDArray[np.float64], post_is: Mask
) -> tuple[AccountEvidence, ...]:
    first = window.firsts(post_is)
    posts = np.bincount(window.account[post_is], minlength=len(first))
    named = np.flatnonzero(first >= 0)
    ranked = named[np.argsort(-posts[named], kind="stable")[:MOST_ACCOUNTS]]  # of equals the lowest key first
    rows = taken(window.rows, first[ranked])
    scored = valued(rows["account"], accounts, scores, 0.0)
    known = flagged(rows, Flag.CREATED_KNOWN).tolist()
    return tuple(
        AccountEvidence(
            id=window.show(key),
            handle=window.strings.get(handle),
            posts=count,
            created_day=day if is_known else None,
            score=round(score, 3),
        )
        for key, handle, count, day, is_known, score in zip(
            rows["account"].tolist(),
            rows["handle"].tolist(),
            posts[ranked].tolist(),
            rows["created_day"].tolist(),
            known,
            scored.tolist(),
            strict=True,
        )
    )


def _gaps(window: Window, account_is: Mask) -> tuple[Count, ...]:
    gap_ms, later = account_gaps(window)
    if not len(gap_ms):
        return ()
    bins = np.searchsorted(GAP_EDGES_S, gap_ms / 1000, side="right") - 1
    return _counts(GAP_EDGES_S[bins].astype(np.int64), account_is[window.account[later]])


def _created(window: Window, account_is: Mask) -> tuple[Count, ...]:
    first = window.firsts(flagged(window.rows, Flag.CREATED_KNOWN))
    known = first >= 0
    return _counts(window.rows["created_day"][first[known]].astype(np.int64), account_is[known])


def _clients(window: Window, post_is: Mask) -> tuple[Count, ...]:
    known = window.rows["client"] != 0
    clients, yes, no = _parted(window.rows["client"][known], post_is[known])
    counts = list(map(Count, map(window.show, clients.tolist()), yes.tolist(), no.tolist()))
    return tuple(sorted(counts, key=lambda c: (-c.coordinated - c.other, str(c.key)))[:MOST_CLIENTS])


def creation_date_ms(day: int) -> int:
    """Midnight UTC of a creation day, in milliseconds."""
    return day * DAY_MS
