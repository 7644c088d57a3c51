"""What a completed hour of the stream was like, in counts that add up whoever counted which hashtags.

Everything is an integer, and what is cut is cut within one hashtag: so the sum over all hashtags is the same
for any number of partitions, to the last bit. See docs/adr/0008-hours.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from detectors.evidence import near_gaps, once_an_account
from detectors.keys import among, tallied
from detectors.sample import mixed
from detectors.shares import LEAST_PAIRS, copies, shares
from detectors.table import Flag, Keys, Mask, Rows, Window, flagged, joined, taken
from detectors.text import SEED

MOST_ACCOUNTS: Final = 200
"""Accounts of one hashtag that count in one hour: a flood that nobody has recognised yet must not make the
ordinary of an hour in which thousands of others post under other hashtags."""

CLIENT_CELLS: Final = 4_096
"""Clients are counted by cell of their fingerprint. A list of the commonest, cut in every partition, would
depend on the partitions; two clients that share a cell make one another look more common, which is the safe
side."""

FOLLOWING_EDGES: Final = 2.0 ** (np.arange(65) / 2)
"""Lower edges of the cells of followees from the second on: half an octave each. The first cell is none."""

FOLLOWING_CELLS: Final = len(FOLLOWING_EDGES) + 1

GAP_STEPS: Final = 16
"""Cells in a decade of the gap between two posts of an account."""

LAST_DAY: Final = 99_999
"""In the year 2243: a wrong date must not make a table of millions of days."""

MOST_COPIES: Final = 0.3
"""A copy rate counts as this at the most, which the stated prior exceeds in one conversation of 50: more may
be a flood that nobody has recognised yet."""

RATE_UNIT: Final = 1_000_000
"""Copy rates are counted in millionths: integers add up to the same in any order."""

Cells = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tally:
    """How often each of many cells was seen.

    Attributes
    ----------
    cells : int64, shape (k,), rising
    counts : int64, shape (k,), above 0
    """

    cells: Cells = field(default_factory=lambda: np.empty(0, np.int64))
    counts: Cells = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, seen: NDArray[np.integer[Any]]) -> Tally:
        """Count cells, one entry for each time."""
        return cls(*tallied(seen.astype(np.int64)))

    @classmethod
    def joined(cls, parts: Sequence[Tally]) -> Tally:
        """The sum of several."""
        held = [part for part in parts if part.cells.size]
        if len(held) < 2:
            return held[0] if held else cls()
        # Weights are floats, exact far beyond the number of accounts there are.
        cells, counts = (
            np.concatenate([getattr(part, name) for part in held]) for name in ("cells", "counts")
        )
        dense = np.bincount(cells, weights=counts)
        found = np.flatnonzero(dense)
        return cls(found, dense[found].astype(np.int64))

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return int(self.counts.sum())

    def dense(self, size: int) -> NDArray[np.float64]:
        """Counts of the cells from 0 on; cells outside count for the nearest of them; shape (size,)."""
        out = np.zeros(size)
        np.add.at(out, np.clip(self.cells, 0, size - 1), self.counts.astype(np.float64))
        return out


@dataclass(frozen=True, eq=False)
class Sums:
    """Counts over the accounts of all hashtags of one hour or more.

    An account counts once for each hashtag and hour in which it posted. Coordinated accounts are left out; of
    a hashtag with more than `MOST_ACCOUNTS` others those of lowest hash count.

    Attributes
    ----------
    days : Tally
        Accounts by creation day since 1970-01-01.
    clients : Tally
        Accounts by `client_cell` of their client.
    following : Tally
        Accounts by `following_cell`.
    gaps : Tally
        Gaps between consecutive posts of an account under one hashtag, each distinct whole second once for an
        account, by `gap_cell`.
    copies : tuple of int
        Hashtags with a copy rate; the sum of their rates, and of the squares of these, in millionths.
    """

    days: Tally = field(default_factory=Tally)
    clients: Tally = field(default_factory=Tally)
    following: Tally = field(default_factory=Tally)
    gaps: Tally = field(default_factory=Tally)
    copies: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def joined(cls, parts: Iterable[Sums]) -> Sums:
        """The sum of several; the order does not matter."""
        every = list(parts)
        tags, rates, squares = (sum(part.copies[i] for part in every) for i in range(3))
        return cls(
            Tally.joined([part.days for part in every]),
            Tally.joined([part.clients for part in every]),
            Tally.joined([part.following for part in every]),
            Tally.joined([part.gaps for part in every]),
            (tags, rates, squares),
        )

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """All that is counted by cell, in one order."""
        return self.days, self.clients, self.following, self.gaps

    @property
    def empty(self) -> bool:
        """Whether nothing was counted."""
        return not self.copies[0] and not any(tally.cells.size for tally in self.tallies)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name these counts."""
        parts = [
            part.astype("<i8").tobytes() for tally in self.tallies for part in (tally.cells, tally.counts)
        ]
        lengths = np.array([len(part) for part in parts] + list(self.copies), "<i8").tobytes()
        return xxhash.xxh3_64_hexdigest(b"".join((lengths, *parts)), SEED)


def client_cell(fingerprints: Keys) -> Cells:
    """The cell in which a client is counted; shape of `fingerprints`."""
    return (mixed(fingerprints) % np.uint64(CLIENT_CELLS)).astype(np.int64)


def following_cell(following: NDArray[np.uint32]) -> Cells:
    """The cell of a number of followees: 0 for none, then half an octave each; shape of `following`.

    >>> following_cell(np.array([0, 1, 2, 3, 64], np.uint32)).tolist()
    [0, 1, 3, 4, 13]
    """
    return np.searchsorted(FOLLOWING_EDGES, following.astype(np.float64), "right").astype(np.int64)


def gap_cell(gap_s: Cells) -> Cells:
    """The cell of a gap in whole seconds, `GAP_STEPS` to a decade; below half a second is a quarter of one.

    >>> gap_cell(np.array([0, 1, 10])).tolist()
    [0, 9, 25]
    """
    logs = np.log10(np.maximum(gap_s, 0.25) / 0.25)
    return (logs * GAP_STEPS).astype(np.int64)


def count(windows: Iterable[tuple[Window, Keys]]) -> Sums:
    """What one hour of several hashtags was like.

    Parameters
    ----------
    windows : pairs of Window and uint64
        The hour of a hashtag, its rows distinct and in order; and its coordinated accounts, who are left out.
        Texts need to be given only where a copy rate is wanted.
    """
    profiles: list[Rows] = []
    gaps: list[Cells] = []
    rates: list[int] = []
    for window, coordinated in windows:
        if not coordinated.size and len(window) <= MOST_ACCOUNTS and _each_once(window):
            profiles.append(window.rows)  # most hashtags, where there are many
            if len(window.texts.fingerprint):
                rates += _rate(window, coordinated)
            continue
        ordinary = ~window.chosen(coordinated)
        if not ordinary.any():
            continue
        count = int(ordinary.sum())
        if count > MOST_ACCOUNTS:
            kept = np.flatnonzero(ordinary)[np.argsort(mixed(window.accounts[ordinary]))[:MOST_ACCOUNTS]]
            ordinary = np.zeros(len(ordinary), np.bool_)
            ordinary[kept] = True
        profiles.append(taken(window.rows, window.firsts(ordinary[window.account])[ordinary]))
        if len(window) > count:
            gaps.append(_gaps(window, ordinary))
        if len(window.texts.fingerprint):
            rates += _rate(window, coordinated)
    if not profiles:
        return Sums()
    every = joined(profiles)
    return Sums(
        days=Tally.of(np.clip(every["created_day"][flagged(every, Flag.CREATED_KNOWN)], 0, LAST_DAY)),
        clients=Tally.of(client_cell(every["client"][every["client"] != 0])),
        following=Tally.of(following_cell(every["following"][flagged(every, Flag.FOLLOWING_KNOWN)])),
        gaps=Tally.of(gap_cell(np.concatenate(gaps))) if gaps else Tally(),
        copies=(len(rates), sum(rates), sum(rate * rate // RATE_UNIT for rate in rates)),
    )


def _each_once(window: Window) -> bool:
    """Whether no account has two rows."""
    return len(set(window.rows["account"].tolist())) == len(window)


def _gaps(window: Window, accounts: Mask) -> Cells:
    gap_s, later = near_gaps(window, accounts)
    return once_an_account(window.account[later], gap_s)[1]


def _rate(window: Window, coordinated: Keys) -> list[int]:
    """The share of the pairs of account and text that copy another account, if there are enough of them."""
    found = shares(window)
    use = ~among(found.accounts, coordinated)[found.account]
    pairs = int(use.sum())
    if pairs < LEAST_PAIRS:
        return []
    sharing = np.bincount(found.group[use], minlength=len(found.sharing))
    return [min(copies(sharing) * RATE_UNIT // pairs, round(MOST_COPIES * RATE_UNIT))]
