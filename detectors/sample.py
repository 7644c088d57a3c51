"""Samples of sets that depend on the set alone: its members of lowest hash."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.keys import distinct_keys
from detectors.table import Keys, Mask

SAMPLE: Final = 256
"""Members a sample holds. Of a set that is no larger it holds all; a share that is measured on it has a
standard error of 3 per cent at the most."""

_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def mixed(keys: Keys) -> Keys:
    """The keys with their bits mixed, one to one; shape of `keys`.

    Platforms number accounts in order of creation: the lowest keys themselves would be the oldest accounts.
    The finaliser of SplitMix64 (G. Steele and others, "Fast splittable pseudorandom number generators",
    2014).

    >>> mixed(np.array([0, 1], np.uint64)).tolist()
    [0, 6238072747940578789]
    """
    out = keys.astype(np.uint64)
    out = (out ^ (out >> _SHIFTS[0])) * _FACTORS[0]
    out = (out ^ (out >> _SHIFTS[1])) * _FACTORS[1]
    return out ^ (out >> _SHIFTS[2])


def lowest(keys: Keys, size: int = SAMPLE) -> Keys:
    """The `size` members of lowest hash of a set, as hashes in rising order; all of a set that is no larger.

    >>> lowest(np.array([1, 0, 1], np.uint64), 1).tolist()
    [0]
    """
    return distinct_keys(mixed(keys))[:size]


def limit(hashes: Keys, most: int) -> int | None:
    """Below which hash the rows of whole accounts are at most so many; None if all of them are.

    It is the hash of the first account, by rising hash, with which there are more. So it is a function of the
    set of rows, no row above it has a say, and further rows only lower it. The account of lowest hash is kept
    whatever it brings. Bottom-k sampling over accounts (E. Cohen and H. Kaplan, "Summarizing data using
    bottom-k sketches", 2007) with a limit that a set of rows adapts (D. Ting, "Adaptive threshold sampling",
    2022): a count below it, divided by `share_below` it, is an unbiased estimate of the whole.

    Parameters
    ----------
    hashes : uint64, shape (n,)
        Of the account of every row, as `mixed` gives them.
    most : int

    >>> limit(np.array([3, 1, 7, 3], np.uint64), 3), limit(np.array([1, 1, 3], np.uint64), 1)
    (7, 3)
    """
    if len(hashes) <= most:
        return None
    ordered = np.sort(hashes)
    if ordered[most] > ordered[0]:
        return int(ordered[most])
    above = ordered[ordered > ordered[0]]
    return int(above[0]) if len(above) else None


def below(accounts: Keys, limit: int) -> Mask:
    """Which accounts have a hash below a limit; shape of `accounts`."""
    out: Mask = mixed(accounts) < np.uint64(limit)
    return out


def share_below(limit: int | None) -> float:
    """The share of all hashes that is below a limit, in (0, 1]; 1 without one.

    >>> share_below(2**62), share_below(None)
    (0.25, 1.0)
    """
    return 1.0 if limit is None else limit / 2**64


def packed(sample: Keys) -> bytes:
    """A sample as bytes, little-endian, for whoever stores it."""
    return sample.astype("<u8").tobytes()


def unpacked(stored: bytes) -> Keys:
    """What `packed` was given."""
    return np.frombuffer(stored, "<u8").astype(np.uint64)
