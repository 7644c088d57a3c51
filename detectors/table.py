"""The window table: one fixed-width row per (post, hashtag), and the strings its fingerprints stand for.

Everything Floodmark knows about a hashtag is an array of `ROW` and a mapping from 64-bit fingerprint to
string. A fingerprint is a pure function of its string, so neither arrival order nor the number of
partitions can change what a row or a string is. See docs/adr/0001-window-table.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from functools import cached_property
from struct import Struct
from typing import cast

import numpy as np
from numpy.typing import NDArray

from detectors.keys import Keys as Keys
from detectors.keys import Mask as Mask
from detectors.keys import among, by_code, coded, distinct_keys, first_places, sorted_among, valued

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Rows = NDArray[np.void]

ROW = np.dtype(
    [
        ("post", "<u8"),  # key of the post's id
        ("account", "<u8"),  # key of the author's id
        ("time_ms", "<i8"),  # event time, milliseconds since 1970-01-01 UTC
        ("text", "<u8"),  # fingerprint of the reading text, 0: no text
        ("handle", "<u8"),  # fingerprint of the author's handle, 0: unknown
        ("client", "<u8"),  # fingerprint of the posting client's name, 0: unknown
        ("target", "<u8"),  # key of the post that is reposted, quoted or replied to, 0: none or unknown
        ("link", "<u8"),  # fingerprint of the first link's URL, 0: none
        ("domain", "<u8"),  # fingerprint of the first link's host name, 0: none
        ("created_day", "<i4"),  # day the account was created, days since 1970-01-01 UTC
        ("followers", "<u4"),
        ("following", "<u4"),
        ("statuses", "<u4"),  # posts the account had sent so far
        ("likes", "<u4"),
        ("reposts", "<u4"),
        ("replies", "<u4"),
        ("flags", "<u4"),  # `Flag`
        ("language", "<u2"),  # two ASCII letters, 0: unknown
        ("kind", "u1"),  # `Kind`
    ]
)
"""Packed, little-endian, 107 bytes. A value counts only if its `Flag` says it is known."""

_BYTES = np.dtype((np.void, ROW.itemsize))

_CODES = {"u1": "B", "u2": "H", "u4": "I", "i4": "i", "u8": "Q", "i8": "q"}


def fields(*names: str) -> Struct:
    """What reads some fields from the bytes of rows, in the order of `ROW` whatever that of the names.

    Of a few rows in a third of the time that numpy takes to do it field by field.

    >>> fields("post", "kind").size == ROW.itemsize
    True
    """
    codes = ((name, ROW[name]) for name in ROW.names or ())
    return Struct(
        "<" + "".join(_CODES[kind.str[1:]] if name in names else f"{kind.itemsize}x" for name, kind in codes)
    )


class Kind(IntEnum):
    """What a post does."""

    ORIGINAL = 0
    REPLY = 1
    QUOTE = 2
    REPOST = 3


class Flag(IntFlag):
    """Which fields a payload carried, and the yes-or-no facts among them."""

    CREATED_KNOWN = 1 << 0
    FOLLOWERS_KNOWN = 1 << 1
    FOLLOWING_KNOWN = 1 << 2
    STATUSES_KNOWN = 1 << 3
    LIKES_KNOWN = 1 << 4
    REPOSTS_KNOWN = 1 << 5
    REPLIES_KNOWN = 1 << 6
    BIO_KNOWN = 1 << 7
    BIO = 1 << 8
    BANNER_KNOWN = 1 << 9
    BANNER = 1 << 10
    DEFAULT_PROFILE_KNOWN = 1 << 11
    DEFAULT_PROFILE = 1 << 12
    VERIFIED_KNOWN = 1 << 13
    VERIFIED = 1 << 14
    COARSE_TIME = 1 << 15
    """The event time is no finer than a minute: gaps of seconds cannot be read from it."""


def flagged(rows: Rows, flag: Flag) -> Mask:
    """Which rows carry all bits of `flag`; shape (n,)."""
    bits = np.uint32(flag)
    out: Mask = (rows["flags"] & bits) == bits
    return out


def taken(rows: Rows, which: NDArray[np.int64] | Mask) -> Rows:
    """Some of the rows, as `rows[which]`, in a third of the time: numpy copies them field by field."""
    out: Rows = rows.view(_BYTES)[which].view(ROW)
    return out


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other.

    By their bytes: `np.concatenate` goes through the fields anew for every part, and there may be one for
    every packet or hashtag.
    """
    pieces = [rows if rows.flags.c_contiguous else rows.copy() for rows in parts]
    return np.frombuffer(b"".join(cast(Sequence[memoryview], pieces)), ROW)


def distinct(rows: Rows) -> Rows:
    """One row per post, sorted by event time and then post key, whatever order the rows came in.

    Where one post came with different values (its likes grew between two deliveries), the row with the
    smallest bytes stays: any choice that does not depend on arrival would do.
    """
    if len(rows) < 2 or (len(rows) <= _FEW and _in_order(rows)):
        return rows
    ordered = taken(rows, np.lexsort((rows["post"], rows["time_ms"])))
    if distinct_keys(ordered["post"]).size == len(ordered):
        return ordered
    raw = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), ROW.itemsize)
    by_bytes = rows[np.lexsort(raw.T[::-1])]
    kept = by_bytes[first_places(by_bytes["post"])]
    return kept[np.lexsort((kept["post"], kept["time_ms"]))]


_FEW = 32
"""Of so many rows it is quicker to look whether they are in order than to sort them."""

_PLACE = fields("post", "time_ms")


def _in_order(rows: Rows) -> bool:
    """Whether rows are distinct by post and in the order of their time and then their post."""
    places = [(time_ms, post) for post, time_ms in _PLACE.iter_unpack(rows.tobytes())]
    return places == sorted(places) and len({post for _, post in places}) == len(places)


@dataclass(frozen=True, slots=True)
class Texts:
    """The distinct texts of a window; every array is aligned and sorted by `fingerprint`.

    Attributes
    ----------
    fingerprint : uint64, shape (k,)
    canonical : tuple of k strings, what is left of each text for comparison
    group : int32, shape (k,)
        Near-identical group of each text, numbered from 0 by falling number of posts; -1 for texts too
        short to compare.
    """

    fingerprint: Keys
    canonical: tuple[str, ...]
    group: NDArray[np.int32]

    @classmethod
    def none(cls) -> Texts:
        """No texts."""
        return cls(np.empty(0, np.uint64), (), np.empty(0, np.int32))


@dataclass(frozen=True, eq=False)
class Window:
    """What one hashtag looked like in the half-open span `[start_ms, end_ms)`.

    Attributes
    ----------
    hashtag : str
        Without the leading ``#``, case folded.
    rows : ROW, shape (n,)
        Distinct by post, sorted by time and then post.
    texts : Texts
        The distinct texts of the rows.
    strings : mapping
        What the rows' fingerprints and keys stand for. An account or post key that is missing here is the
        platform's own number: see `show`.
    sampled : float
        The share of all accounts whose rows these are, in (0, 1]; those of lowest hash, each whole.
    """

    hashtag: str
    start_ms: int
    end_ms: int
    rows: Rows
    texts: Texts = field(default_factory=Texts.none)
    strings: Mapping[int, str] = field(default_factory=dict)
    sampled: float = 1.0

    def __len__(self) -> int:
        return len(self.rows)

    def estimated(self, count: int) -> int:
        """How many posts or accounts there are, by the number among these; the same if all are here."""
        return round(count / self.sampled)

    def show(self, key: int) -> str:
        """The string behind a fingerprint or key; a key without one is a platform's own number."""
        return self.strings.get(int(key), str(int(key)))

    @cached_property
    def group(self) -> NDArray[np.int32]:
        """Near-identical group of every row's text, -1 where it has none; shape (n,)."""
        return valued(self.rows["text"], self.texts.fingerprint, self.texts.group, -1)

    @cached_property
    def _coded(self) -> tuple[Keys, NDArray[np.int64]]:
        return coded(self.rows["account"])

    @property
    def accounts(self) -> Keys:
        """Who posted, sorted; shape (a,)."""
        return self._coded[0]

    @property
    def account(self) -> NDArray[np.int64]:
        """Index into `accounts` of every row; shape (n,)."""
        return self._coded[1]

    @cached_property
    def by_account(self) -> NDArray[np.int64]:
        """The rows by account, those of one account in the order of the window; shape (n,)."""
        return by_code(self.account, len(self.accounts))

    def chosen(self, accounts: Keys) -> Mask:
        """Which of `accounts` are among those given, which are sorted; shape (a,)."""
        return sorted_among(self.accounts, accounts)

    def rows_by(self, accounts: Keys) -> Mask:
        """The rows of the accounts given, which are sorted; shape (n,)."""
        return self.chosen(accounts)[self.account]

    def rows_of(self, posts: Keys) -> Mask:
        """The rows of the posts given, which are sorted; shape (n,)."""
        return among(self.rows["post"], posts)

    def posting(self, rows: Mask) -> Mask:
        """Which of `accounts` have some of these rows; shape (a,)."""
        out = np.zeros(len(self.accounts), np.bool_)
        out[self.account[rows]] = True
        return out

    def authors(self, rows: Mask) -> Keys:
        """Accounts of these rows, sorted."""
        return self.accounts[self.posting(rows)]

    def posts(self, rows: Mask) -> Keys:
        """Keys of these rows' posts, sorted."""
        return np.sort(self.rows["post"][rows])

    def firsts(self, rows: Mask) -> NDArray[np.int64]:
        """The first of these rows of each of `accounts`, -1 for those that have none; shape (a,)."""
        out = np.full(len(self.accounts), -1, np.int64)
        backwards = np.flatnonzero(rows)[::-1]
        out[self.account[backwards]] = backwards  # of what is written several times the last stays
        return out
