"""What a sceptic wants to see of a window: its texts, accounts, rhythm, creation days and clients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.table import DAY_MS, Flag, Keys, Kind, Mask, Rows, Window, flagged

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


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """A near-identical group as its most frequent wording; counts are of posts and accounts in the window."""

    group: str
    text: str
    posts: int
    accounts: int
    coordinated: bool
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountEvidence:
    """A coordinated account; `score` is the share of the suspicious findings that point at it, in [0, 1]."""

    id: str
    handle: str | None
    posts: int
    created_day: int | None
    score: float


@dataclass(frozen=True, slots=True)
class Count:
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
    window: Window, coordinated_posts: Keys, coordinated_accounts: Keys, account_scores: NDArray[np.float64]
) -> Evidence:
    """Count what the window holds, apart for coordinated posts or accounts and for the others.

    Parameters
    ----------
    coordinated_posts, coordinated_accounts : sorted uint64
    account_scores : float64, aligned with `coordinated_accounts`
    """
    rows = window.rows
    post_is = np.isin(rows["post"], coordinated_posts)
    account_is = np.isin(rows["account"], coordinated_accounts)
    return Evidence(
        texts=_texts(window, post_is),
        accounts=_accounts(window, coordinated_accounts, account_scores, post_is),
        minutes=_counts(rows["time_ms"] // 60_000 * 60_000, post_is),
        gaps=_gaps(rows, account_is),
        created=_created(rows, account_is),
        clients=_clients(window, post_is),
    )


def account_gaps(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gaps between consecutive posts of each account.

    Returns
    -------
    gap_ms : int64, shape (m,)
    later : int64, shape (m,)
        Index into `rows` of the later post of each gap.
    """
    order = np.lexsort((rows["post"], rows["time_ms"], rows["account"]))
    account, time_ms = rows["account"][order], rows["time_ms"][order]
    same = np.flatnonzero(account[1:] == account[:-1])
    return time_ms[same + 1] - time_ms[same], order[same + 1]


def near_gaps(rows: Rows) -> tuple[NDArray[np.int64], Rows]:
    """Gaps of up to `LONGEST_GAP_S` between consecutive posts of each account, where times are that fine.

    Returns
    -------
    gap_s : int64, shape (m,)
        Whole seconds.
    later : ROW, shape (m,)
        The later post of each gap.
    """
    fine = rows[~flagged(rows, Flag.COARSE_TIME)]
    gap_ms, later = account_gaps(fine)
    gap_s = gap_ms // 1000
    near = gap_s <= LONGEST_GAP_S
    return gap_s[near], fine[later[near]]


def _counts(keys: NDArray[np.int64], coordinated: Mask) -> tuple[Count, ...]:
    values, at = np.unique(keys, return_inverse=True)
    yes = np.bincount(at[coordinated], minlength=len(values))
    every = np.bincount(at, minlength=len(values))
    return tuple(Count(int(v), int(y), int(e - y)) for v, y, e in zip(values, yes, every, strict=True))


def _texts(window: Window, post_is: Mask) -> tuple[TextEvidence, ...]:
    group, rows = window.group, window.rows
    use = (group >= 0) & (rows["kind"] != Kind.REPOST)
    out = []
    for number in range(min(MOST_TEXTS, int(group[use].max(initial=-1)) + 1)):
        mine = np.flatnonzero(use & (group == number))
        accounts = np.unique(rows["account"][mine]).size
        if accounts < 2:
            continue
        prints, times = np.unique(rows["text"][mine], return_counts=True)
        fingerprint = int(prints[np.argmax(times)])
        examples = tuple(window.show(key) for key in rows["post"][mine[:EXAMPLES]])
        out.append(
            TextEvidence(
                group=f"{fingerprint:016x}",
                text=window.strings.get(fingerprint, ""),
                posts=len(mine),
                accounts=accounts,
                coordinated=bool(post_is[mine].mean() >= 0.5),
                examples=examples,
            )
        )
    return tuple(out)


def _accounts(
    window: Window, accounts: Keys, scores: NDArray[np.float64], post_is: Mask
) -> tuple[AccountEvidence, ...]:
    mine = window.rows[post_is]
    found, first, posts = np.unique(mine["account"], return_index=True, return_counts=True)
    ranked = np.lexsort((found, -posts))[:MOST_ACCOUNTS]
    score_of = dict(zip(accounts.tolist(), scores.tolist(), strict=True))
    rows = mine[first[ranked]]
    known = flagged(rows, Flag.CREATED_KNOWN).tolist()
    days = rows["created_day"].tolist()
    handles = rows["handle"].tolist()
    return tuple(
        AccountEvidence(
            id=window.show(key),
            handle=window.strings.get(handles[i]),
            posts=count,
            created_day=days[i] if known[i] else None,
            score=round(score_of.get(key, 0.0), 3),
        )
        for i, (key, count) in enumerate(zip(found[ranked].tolist(), posts[ranked].tolist(), strict=True))
    )


def _gaps(rows: Rows, account_is: Mask) -> tuple[Count, ...]:
    fine = ~flagged(rows, Flag.COARSE_TIME)
    gap_ms, later = account_gaps(rows[fine])
    if not len(gap_ms):
        return ()
    bins = np.searchsorted(GAP_EDGES_S, gap_ms / 1000, side="right") - 1
    return _counts(GAP_EDGES_S[bins].astype(np.int64), account_is[fine][later])


def _created(rows: Rows, account_is: Mask) -> tuple[Count, ...]:
    known = flagged(rows, Flag.CREATED_KNOWN)
    _, first = np.unique(rows["account"][known], return_index=True)
    return _counts(rows["created_day"][known][first].astype(np.int64), account_is[known][first])


def _clients(window: Window, post_is: Mask) -> tuple[Count, ...]:
    known = window.rows["client"] != 0
    clients, at = np.unique(window.rows["client"][known], return_inverse=True)
    yes = np.bincount(at[post_is[known]], minlength=len(clients))
    every = np.bincount(at, minlength=len(clients))
    counts = [
        Count(window.show(c), int(y), int(e - y))
        for c, y, e in zip(clients.tolist(), yes, every, strict=True)
    ]
    return tuple(sorted(counts, key=lambda c: (-c.coordinated - c.other, str(c.key)))[:MOST_CLIENTS])


def creation_date_ms(day: int) -> int:
    """Midnight UTC of a creation day, in milliseconds."""
    return day * DAY_MS
