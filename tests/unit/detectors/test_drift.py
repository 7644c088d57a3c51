"""A chain is cut around its centres, at a cost that grows with its length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from detectors.drift import cut


def graph(edges: list[tuple[int, int]], texts: int) -> csr_array:
    pairs = np.array([*edges, *((b, a) for a, b in edges)], np.int64).reshape(-1, 2).T
    return coo_array((np.ones(pairs.shape[1], np.int8), pairs), (texts, texts)).tocsr()


def within(reach: int, asked: list[int]):  # type: ignore[no-untyped-def] # a callable made for the test
    """Texts are like a centre whose number is at most `reach` from theirs."""

    def like(centre: int, others: NDArray[np.int64]) -> NDArray[np.bool_]:
        asked.append(len(others))
        return abs(others - centre) <= reach

    return like


def parts(near: csr_array, weight: list[int], reach: int, asked: list[int]) -> list[int]:
    nodes = np.arange(1, len(weight) + 1, dtype=np.uint64)
    return cut(near, nodes, np.array(weight), within(reach, asked)).tolist()


def test_chain_is_cut_around_the_text_with_most_posts_near_it() -> None:
    found = parts(graph([(i, i + 1) for i in range(8)], 9), [1, 1, 1, 1, 9, 1, 1, 1, 1], 2, [])
    assert found[2:7] == [found[4]] * 5
    assert found[0] == found[1]
    assert found[7] == found[8]
    assert len(set(found)) == 3


def test_what_is_like_the_centre_but_not_reached_through_likes_is_left_out() -> None:
    found = parts(graph([(0, 9), (9, 10), (10, 1)], 11), [9, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1], 1, [])
    assert found[0] == found[9] != found[1]


def test_pairs_and_single_texts_are_left_alone() -> None:
    asked: list[int] = []
    found = parts(graph([(0, 1)], 4), [1, 1, 1, 1], 0, asked)
    assert found[0] == found[1]
    assert len(set(found)) == 3
    assert not asked


def test_long_chain_costs_its_length() -> None:
    asked: list[int] = []
    length = 2_000
    found = parts(graph([(i, i + 1) for i in range(length - 1)], length), [1] * length, 1, asked)
    assert len(set(found)) >= length / 3
    assert sum(asked) <= 2 * length
