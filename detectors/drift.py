"""Cutting chains: a is near b and b near c, but a and c are two messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from detectors.table import Keys

_ALWAYS_WHOLE: Final = 2  # two near texts are no chain

Like = Callable[[int, NDArray[np.int64]], NDArray[np.bool_]]
"""Which of some texts are like a centre; texts are named by their place in the graph."""


def cut(near: csr_array, nodes: Keys, weight: NDArray[np.int64], like: Like) -> NDArray[np.int64]:
    """Part of every text: connected through near pairs, and like one centre.

    The centre of a component is the text with most posts on it and the texts near it, then the one with most
    posts of its own, then the lowest fingerprint. What is like it and reached through such texts is its part;
    the rest is cut by the same rule. A text is asked only beside one that belongs, so that a chain costs its
    near pairs and not the square of its length.

    Parameters
    ----------
    near : symmetric, shape (n, n)
    nodes, weight : shape (n,)
        Fingerprint of every text and how many posts carry it.
    like : callable
        Asked about texts that are not near the centre themselves.
    """
    _, component = connected_components(near, directed=False)
    part: NDArray[np.int64] = component.astype(np.int64)
    sizes = np.bincount(part)
    around = weight + near.astype(np.int64) @ weight
    members = np.lexsort((nodes, -weight, -around, part))
    ends = np.cumsum(sizes)
    left = np.ones(len(nodes), np.bool_)
    fresh = len(sizes)
    for number in np.flatnonzero(sizes > _ALWAYS_WHOLE).tolist():
        for centre in members[ends[number] - sizes[number] : ends[number]].tolist():
            if left[centre]:
                part[_around(centre, near, left, like)] = fresh
                fresh += 1
    return part


def _around(centre: int, near: csr_array, left: NDArray[np.bool_], like: Like) -> list[int]:
    """The part of a centre; takes it from `left`."""
    found = [centre]
    left[centre] = False
    asked: set[int] = set()
    edge = joined = _beside(found, near, left, asked)  # what is near is like
    while edge.size:
        asked.update(edge.tolist())
        left[joined] = False
        found += joined.tolist()
        edge = _beside(joined.tolist(), near, left, asked)
        joined = edge[like(centre, edge)] if edge.size else edge
    return found


def _beside(
    texts: Iterable[int], near: csr_array, left: NDArray[np.bool_], asked: set[int]
) -> NDArray[np.int64]:
    ends, others = near.indptr, near.indices
    beside = {int(other) for text in texts for other in others[ends[text] : ends[text + 1]]}
    return np.array(sorted(other for other in beside - asked if left[other]), np.int64)
