"""Samples of sets that depend on the set alone: its members of lowest hash."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.table import Keys

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
    return np.unique(mixed(keys))[:size]


def packed(sample: Keys) -> bytes:
    """A sample as bytes, little-endian, for whoever stores it."""
    return sample.astype("<u8").tobytes()


def unpacked(stored: bytes) -> Keys:
    """What `packed` was given."""
    return np.frombuffer(stored, "<u8").astype(np.uint64)
