"""Sets of 64-bit keys as sorted arrays.

`np.unique` and `np.isin` hash or sort both sides, at three to eight times the cost of what is here; and every
detector asks again and again, every minute.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Whole = TypeVar("Whole", bound=np.integer[Any])
Number = TypeVar("Number", bound=np.number[Any])
Value = TypeVar("Value", bound=np.number[Any])


def distinct_keys(keys: NDArray[Whole]) -> NDArray[Whole]:
    """Every key once, sorted; any whole numbers.

    >>> distinct_keys(np.array([3, 1, 3], np.uint64)).tolist()
    [1, 3]
    """
    ordered = np.sort(keys)
    return ordered[_new(ordered)]


def coded(keys: NDArray[Whole]) -> tuple[NDArray[Whole], NDArray[np.int64]]:
    """Every key once, sorted, and where among these each one is.

    >>> [found.tolist() for found in coded(np.array([3, 1, 3], np.uint64))]
    [[1, 3], [1, 0, 1]]
    """
    order = np.argsort(keys)
    ordered = keys[order]
    new = _new(ordered)
    at = np.empty(len(keys), np.int64)
    at[order] = np.cumsum(new) - 1
    return ordered[new], at


def tallied(keys: NDArray[Number]) -> tuple[NDArray[Number], NDArray[np.int64]]:
    """Every key once, sorted, and how often it is there; any numbers.

    >>> [found.tolist() for found in tallied(np.array([3, 1, 3], np.uint64))]
    [[1, 3], [1, 2]]
    """
    ordered = np.sort(keys)
    starts = np.flatnonzero(_new(ordered))
    return ordered[starts], np.diff(starts, append=len(keys))


def first_places(keys: NDArray[Whole]) -> NDArray[np.int64]:
    """Where every key is for the first time, by rising key.

    >>> first_places(np.array([3, 1, 3], np.uint64)).tolist()
    [1, 0]
    """
    found, at = coded(keys)
    first = np.empty(len(found), np.int64)
    first[at[::-1]] = np.arange(len(keys) - 1, -1, -1)  # of what is written several times the last stays
    return first


def by_code(codes: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Where numbers in [0, size) are by rising number, equal ones in their order; shape of `codes`.

    >>> by_code(np.array([2, 0, 2, 1]), 3).tolist()
    [1, 3, 0, 2]
    """
    small = size <= 1 << 16  # numpy sorts these by their digits, several times as fast
    return np.argsort(codes.astype(np.uint16) if small else codes, kind="stable")


def among(keys: NDArray[Whole], some: NDArray[Whole]) -> Mask:
    """Which keys are among others, which are sorted; shape of `keys`.

    >>> among(np.array([3, 1, 7], np.uint64), np.array([1, 3], np.uint64)).tolist()
    [True, True, False]
    """
    if not len(some):
        return np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(some, keys), len(some) - 1)
    out: Mask = some[at] == keys
    return out


def sorted_among(keys: NDArray[Whole], some: NDArray[Whole]) -> Mask:
    """As `among`, of distinct keys that are sorted too: the fewer are looked up among the more.

    >>> sorted_among(np.array([1, 3, 7], np.uint64), np.array([3, 8], np.uint64)).tolist()
    [False, True, False]
    """
    if len(keys) <= len(some):
        return among(keys, some)
    out = np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(keys, some), len(keys) - 1)
    out[at[keys[at] == some]] = True
    return out


def valued(
    keys: NDArray[Whole], some: NDArray[Whole], values: NDArray[Value], otherwise: float
) -> NDArray[Value]:
    """What belongs to each key, by sorted keys and what belongs to these; shape of `keys`.

    Parameters
    ----------
    values : aligned with `some`
    otherwise : number
        For keys that are not among these.

    >>> valued(np.array([7, 1], np.uint64), np.array([1, 3], np.uint64), np.array([0.5, 0.2]), 0).tolist()
    [0.0, 0.5]
    """
    out = np.full(len(keys), otherwise, values.dtype)
    if len(some):
        at = np.minimum(np.searchsorted(some, keys), len(some) - 1)
        known = some[at] == keys
        out[known] = values[at[known]]
    return out


def _new(ordered: NDArray[Number]) -> Mask:
    """Which of sorted keys differ from the one before; shape of `ordered`."""
    out = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=out[1:])
    return out
