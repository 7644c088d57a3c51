"""MinHash signatures of many texts at once, and exact Jaccard similarity of two.

Source of the method: A. Broder, "On the resemblance and containment of documents" (1997); banding after
Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

GRAM: Final = 4  # characters
HASHES: Final = 63
BANDS: Final = 21
"""21 bands of 3: a pair of similarity 0.7 shares a band with probability 0.9998, one of 0.5 with 0.94, one of
0.35 with 0.6, one of 0.1 with 0.02."""

_CHUNK_GRAMS: Final = 1 << 12  # keeps the hash lanes of a chunk within 2 MiB, about a core's cache
_GENERATOR = np.random.default_rng(0x4D696E48)
_FACTORS = _GENERATOR.integers(1, 1 << 63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _GENERATOR.integers(0, 1 << 63, HASHES, dtype=np.uint64)
_POWERS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64
)

Signatures = NDArray[np.uint32]
Grams = NDArray[np.uint64]


def grams(texts: Sequence[str]) -> tuple[Grams, NDArray[np.int64]]:
    """Hashes of the character 4-grams of each text, in order and with repeats.

    Returns
    -------
    hashes : uint64, shape (m,)
    bounds : int64, shape (len(texts) + 1,)
        Text i owns `hashes[bounds[i]:bounds[i + 1]]`; a text shorter than 4 characters is padded with
        blanks, so every text owns at least one.
    """
    padded = [text if len(text) >= GRAM else text.ljust(GRAM) for text in texts]
    lengths = np.array([len(text) for text in padded], np.int64)
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if not len(codes):
        return np.empty(0, np.uint64), np.zeros(1, np.int64)
    usable = len(codes) - GRAM + 1
    hashes = np.zeros(usable, np.uint64)
    for i in range(GRAM):
        hashes += codes[i : i + usable] * _POWERS[i]
    hashes ^= hashes >> np.uint64(29)
    hashes *= _POWERS[0]
    ends = np.cumsum(lengths)
    inside = np.ones(usable, np.bool_)  # positions whose gram does not cross into the next text
    for i in range(1, GRAM):
        inside[ends[:-1] - i] = False
    bounds = np.concatenate(([0], np.cumsum(lengths - GRAM + 1)))
    return hashes[inside], bounds


def signatures(hashes: Grams, bounds: NDArray[np.int64]) -> Signatures:
    """MinHash of each text's grams; uint32, shape (texts, 63).

    The share of equal values of two signatures estimates the Jaccard similarity of the gram sets with a
    standard error of at most 0.063.
    """
    count = len(bounds) - 1
    out = np.empty((count, HASHES), np.uint32)
    first = 0
    while first < count:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + _CHUNK_GRAMS, "right")) - 1)
        part = hashes[bounds[first] : bounds[last]]
        lanes = part[None, :] * _FACTORS[:, None]
        lanes += _OFFSETS[:, None]
        least = np.minimum.reduceat(lanes, bounds[first:last] - bounds[first], axis=1)
        out[first:last] = (least >> np.uint64(32)).T
        first = last
    return out


def bands(of: Signatures) -> NDArray[np.uint64]:
    """One key per band; texts that share a key are candidates for a near-identical pair; shape (n, 21)."""
    parts = of.reshape(len(of), BANDS, HASHES // BANDS).astype(np.uint64)
    out: NDArray[np.uint64] = (parts * _POWERS[: HASHES // BANDS]).sum(axis=2, dtype=np.uint64)
    return out


def similarity(a: Grams, b: Grams) -> float:
    """Jaccard similarity of two sorted sets of gram hashes, in [0, 1].

    >>> similarity(np.array([1, 2, 3], np.uint64), np.array([2, 3, 4], np.uint64))
    0.5
    """
    shared = np.intersect1d(a, b, assume_unique=True).size
    return float(shared / (a.size + b.size - shared))
