"""Small hashtags in slices, so that which of them are kept does not depend on the number of partitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from streams.packets import partition_of

SLICES: Final = 20_160
"""Hashtags are dealt into so many slices. Where the number of partitions divides it, as 1 to 10, 12, 14, 16,
20, 24, 28, 32, 48, 56, 60, 64 and 96 do, each partition has whole slices."""


class Slices:
    """The hashtags of a partition by slice.

    Parameters
    ----------
    hashtags : iterable of str
    together : int
        So many hashtags may be in all slices together, each having its share of it.

    Attributes
    ----------
    at_most : int
        How many may be in a slice, at least one. A slice with more is crowded.

    >>> slices = Slices(["loan", "cup"], together=100_000)
    >>> slices.at_most, slices.crowded()
    (5, [])
    """

    def __init__(self, hashtags: Iterable[str], together: int) -> None:
        self.at_most: Final = -(-together // SLICES)
        self._names: dict[int, list[str]] = {}
        self._crowded: set[int] = set()
        for hashtag in hashtags:
            self.add(hashtag)

    def add(self, hashtag: str) -> None:
        """Take in a hashtag that is not in it."""
        at = partition_of(hashtag, SLICES)
        names = self._names.setdefault(at, [])
        names.append(hashtag)
        if len(names) > self.at_most:
            self._crowded.add(at)

    def remove(self, hashtag: str) -> None:
        """Drop a hashtag that is in it."""
        at = partition_of(hashtag, SLICES)
        names = self._names[at]
        names.remove(hashtag)
        if len(names) <= self.at_most:
            self._crowded.discard(at)
        if not names:
            del self._names[at]

    def crowded(self) -> list[Collection[str]]:
        """The hashtags of each slice that has more than it may."""
        return [self._names[at] for at in sorted(self._crowded)]
