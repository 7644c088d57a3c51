"""How much of the wording of two texts is the same: words in common, in the same order.

Source of the method: R. Wagner and M. Fischer, "The string-to-string correction problem" (1974), here for the
longest common subsequence, with words for symbols and their letters for weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.text import fingerprint

MOST_WORDS: Final = 64  # of a text are compared: more than most posts have, and a bound to what one costs
_CHUNK_CELLS: Final = 1 << 15  # keeps a row of all pairs of a chunk within a core's cache


class Words(NamedTuple):
    """The words of a text in order: fingerprint of each, uint64, its letters, int32, and all letters."""

    word: NDArray[np.uint64]
    letters: NDArray[np.int32]
    total: int


def words(canonical_text: str) -> Words:
    """The words of a canonical text, at most `MOST_WORDS`.

    >>> words("to be or not").letters.tolist()
    [2, 2, 2, 3]
    """
    found = canonical_text.split()[:MOST_WORDS]
    prints, letters = [fingerprint(word) for word in found], [len(word) for word in found]
    return Words(np.array(prints, np.uint64), np.array(letters, np.int32), sum(letters))


def same_wording(
    pairs: Sequence[tuple[Words, Words]], share: float, least: int = 0, least_words: int = 0
) -> NDArray[np.bool_]:
    """Which pairs have a share of the longer text's letters in the same words and order; shape (p,).

    Parameters
    ----------
    share : float
        Of the longer text's letters, in [0, 1].
    least, least_words : int
        Letters that both must have in common, and words that each must have.
    """
    sizes = np.array([(a.total, b.total) for a, b in pairs], np.int64).reshape(-1, 2)
    fewest = np.array([min(len(a.word), len(b.word)) for a, b in pairs], np.int64)
    needed = np.maximum(share * sizes.max(axis=1), least)
    out: NDArray[np.bool_] = (fewest >= least_words) & (sizes.min(axis=1) >= needed)
    asked = np.flatnonzero(out)
    out[asked] = shared_letters([pairs[i] for i in asked.tolist()]) >= needed[asked]
    return out


def shared_letters(pairs: Sequence[tuple[Words, Words]]) -> NDArray[np.int32]:
    """Letters of the longest sequence of words that both texts of a pair have in the same order; shape (p,).

    >>> shared_letters([(words("we open the bridge today"), words("today we open your bridge"))]).tolist()
    [12]
    """
    out = np.zeros(len(pairs), np.int32)
    sizes = np.array([(len(a.word), len(b.word)) for a, b in pairs], np.int32).reshape(-1, 2)
    order = np.lexsort((sizes[:, 0], sizes[:, 1]))[::-1]  # all are padded to the longest of their chunk
    first = 0
    while first < len(order):
        chunk = order[first : first + max(1, _CHUNK_CELLS // (int(sizes[order[first], 1]) + 1))]
        first += len(chunk)
        out[chunk] = _shared([pairs[i] for i in chunk.tolist()])
    return out


def _shared(pairs: Sequence[tuple[Words, Words]]) -> NDArray[np.int32]:
    left = _padded([a.word for a, _ in pairs], 0)
    weight = _padded([a.letters for a, _ in pairs], 0)
    right = _padded([b.word for _, b in pairs], 1)  # another filler than on the left: no word is equal to it
    best = np.zeros((len(pairs), right.shape[1] + 1), np.int32)
    for i in range(left.shape[1]):
        same = np.where(right == left[:, i : i + 1], best[:, :-1] + weight[:, i : i + 1], 0)
        np.maximum(best[:, 1:], same, out=best[:, 1:])
        np.maximum.accumulate(best, axis=1, out=best)
    return best[:, -1]


def _padded(rows: Sequence[NDArray[Any]], filler: int) -> NDArray[Any]:
    out = np.full((len(rows), max(map(len, rows))), filler, rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
