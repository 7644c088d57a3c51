"""Near-identical texts of one hashtag: compared once, when a text first appears, and grouped by hop.

A group is a function of the *set* of texts in the window and how often each was posted, never of the order
in which they came: see docs/adr/0002-groups-without-order.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from detectors.minhash import BANDS, Grams, Signatures, bands, grams, signatures, similarity
from detectors.table import Keys, Texts
from detectors.text import COMPARABLE_CHARS, canonical, fingerprint, letters

NEAR: Final = 0.7
"""Jaccard similarity of character 4-grams from which two texts are near-identical."""

DRIFT: Final = 0.5
"""A chain of near-identical pairs is cut where a text is less similar than this to the group's commonest."""

ANCHORS: Final = 3
"""Texts that share a band are compared with this many of them, those of lowest fingerprint: the set decides
which, so order does not, and a flood of variants costs a multiple of their number, not its square."""


class TextIndex:
    """The texts seen under one hashtag, with their signatures and the pairs already compared.

    Texts wait until a window is grouped: most hashtags never get that far, and many at once cost a tenth of
    what they cost one by one.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, str] = {}  # by fingerprint, not looked at yet
        self._canonical: dict[int, str] = {}  # by fingerprint of the reading text
        self._node: dict[int, int] = {}  # fingerprint of the reading text -> of the canonical, 0: too short
        self._wordings: Counter[int] = Counter()  # reading texts of each canonical text
        self._text: dict[int, str] = {}  # canonical text by its fingerprint
        self._signature: dict[int, Signatures] = {}  # by fingerprint of the canonical text
        self._grams: dict[int, Grams] = {}  # of those that had to be compared
        self._near: dict[int, dict[int, bool]] = {}  # answers of comparisons, under both texts

    def __len__(self) -> int:
        return len(self._canonical) + len(self._waiting)

    def add(self, texts: Mapping[int, str]) -> None:
        """Take in reading texts by fingerprint; those known already cost nothing."""
        self._waiting.update((f, text) for f, text in texts.items() if f not in self._canonical)

    def _look(self) -> None:
        """Take the texts that wait to pieces."""
        new = {f: canonical(text) for f, text in self._waiting.items()}
        self._waiting = {}
        self._canonical.update(new)
        fresh: dict[int, str] = {}
        for print_, text in new.items():
            node = fingerprint(text) if letters(text) >= COMPARABLE_CHARS else 0
            self._node[print_] = node
            if node:
                self._wordings[node] += 1
            if node and node not in self._signature:
                fresh[node] = text
        self._text.update(fresh)
        self._signature.update(zip(fresh, signatures(*grams(list(fresh.values()))), strict=True))

    def forget(self, fingerprints: Iterable[int]) -> None:
        """Drop these texts and all comparisons with them; unknown ones are passed over."""
        for print_ in fingerprints:
            if self._waiting.pop(print_, None) is not None or self._canonical.pop(print_, None) is None:
                continue
            node = self._node.pop(print_)
            if not node:
                continue
            self._wordings[node] -= 1
            if self._wordings[node]:
                continue
            del self._wordings[node], self._text[node], self._signature[node]
            self._grams.pop(node, None)
            for other in self._near.pop(node, {}):
                self._near[other].pop(node, None)

    def texts(self, fingerprints: Keys, posts: NDArray[np.int64]) -> Texts:
        """Group the texts of a window.

        Parameters
        ----------
        fingerprints : uint64, shape (k,), sorted, all of them added before
        posts : int64, shape (k,)
            How many posts carry each text.
        """
        self._look()
        node_of = np.array([self._node[f] for f in fingerprints.tolist()], np.uint64)
        nodes, at = np.unique(node_of, return_inverse=True)
        weight = np.bincount(at, weights=posts, minlength=len(nodes)).astype(np.int64)
        label = np.full(len(nodes), -1, np.int64)
        comparable = np.flatnonzero(nodes != 0)
        if comparable.size:
            label[comparable] = self._label(nodes[comparable], weight[comparable])
        return Texts(
            fingerprints, tuple(self._canonical[f] for f in fingerprints.tolist()), label[at].astype(np.int32)
        )

    def _label(self, nodes: Keys, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        signature = np.stack([self._signature[node] for node in nodes.tolist()])
        left, right = self._near_pairs(nodes, signature)
        graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(nodes), len(nodes)))
        _, part = connected_components(graph, directed=False)
        part = self._cut_drift(part.astype(np.int64), nodes, weight, signature)
        return _by_size(part, nodes, weight)

    def _near_pairs(self, nodes: Keys, signature: Signatures) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = _candidates(bands(signature))
        named = nodes[pairs].tolist()
        self._compare([(one, other) for one, other in named if other not in self._near.get(one, {})])
        near = np.array([self._near[one][other] for one, other in named], np.bool_)
        return pairs[near, 0], pairs[near, 1]

    def _compare(self, pairs: Sequence[tuple[int, int]]) -> None:
        new = list({node for pair in pairs for node in pair} - self._grams.keys())
        hashes, bounds = grams([self._text[node] for node in new])
        for i, node in enumerate(new):
            self._grams[node] = np.unique(hashes[bounds[i] : bounds[i + 1]])
        for one, other in pairs:
            near = similarity(self._grams[one], self._grams[other]) >= NEAR
            self._near.setdefault(one, {})[other] = self._near.setdefault(other, {})[one] = near

    @staticmethod
    def _cut_drift(
        part: NDArray[np.int64], nodes: Keys, weight: NDArray[np.int64], signature: Signatures
    ) -> NDArray[np.int64]:
        sizes = np.bincount(part)
        fresh = len(sizes)
        for number in np.flatnonzero(sizes > 2).tolist():
            members = np.flatnonzero(part == number)
            members = members[np.lexsort((nodes[members], -weight[members]))]
            while members.size:
                like = (signature[members] == signature[members[0]]).mean(axis=1) >= DRIFT
                part[members[like]] = fresh
                fresh += 1
                members = members[~like]
        return part


def _candidates(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs (a, b), a < b, of texts that share a band with one of its anchors; shape (p, 2), distinct."""
    found = []
    count = len(keys)
    for band in range(BANDS):
        order = np.argsort(keys[:, band], kind="stable")  # stable: within a bucket by rising fingerprint
        sorted_keys = keys[order, band]
        first = np.searchsorted(sorted_keys, sorted_keys, "left")
        here = np.arange(count)
        for anchor in range(ANCHORS):
            at = first + anchor
            use = at < here
            found.append(np.stack((order[at[use]], order[here[use]]), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _by_size(part: NDArray[np.int64], nodes: Keys, weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the parts from 0 by falling number of posts, then by their lowest fingerprint."""
    _, part = np.unique(part, return_inverse=True)
    posts = np.bincount(part, weights=weight)
    lowest = np.full(len(posts), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest, part, nodes)
    rank = np.empty(len(posts), np.int64)
    rank[np.lexsort((lowest, -posts))] = np.arange(len(posts))
    out: NDArray[np.int64] = rank[part]
    return out
