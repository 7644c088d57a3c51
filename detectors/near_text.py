"""Near-identical texts of one hashtag: compared once, when a text first appears, and grouped by hop.

A group is a function of the *set* of texts in the window and how often each was posted, never of the order
in which they came: see docs/adr/0002-groups-without-order.md and 0007-spun-texts.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from detectors.drift import cut
from detectors.keys import coded, distinct_keys
from detectors.minhash import BANDS, HASHES, Grams, Signatures, bands, grams, signatures, similarity
from detectors.table import Keys, Texts
from detectors.text import COMPARABLE_CHARS, canonical, fingerprint, letters
from detectors.wording import Words, same_wording, words

NEAR: Final = 0.7
"""Jaccard similarity of character 4-grams from which two texts are near-identical, however short."""

WORDING: Final = 0.6
"""Share of the longer text's letters which two texts must have in the same words and order to be
near-identical although some words differ. This holds for texts of `LEAST_WORDS` words and more."""

LEAST_WORDS: Final = 9
LEAST_SHARED: Final = 40
"""Letters that such texts must share: less is a turn of phrase ("I got my first dose of the vaccine")."""

DRIFT: Final = 0.5
DRIFT_WORDING: Final = 0.4
"""A chain of near-identical pairs is cut where a text is less similar to the group's centre than this, both
by 4-grams and by wording. Of two copies that each changed three words in ten, half the words are shared."""

GLANCE: Final = 0.2
"""Estimated similarity below which a candidate pair is passed over: two texts that have `WORDING` in common
are above 0.3, and others come together by a few common sequences."""

DOUBT: Final = 0.25
"""How far an estimate may lie below `NEAR` for the pair to be compared exactly: four standard errors."""

ANCHORS: Final = 3
"""Texts that share a band are compared with this many of them, those of lowest fingerprint: the set decides
which, so order does not, and a flood of variants costs a multiple of their number, not its square."""

_FEW: Final = 1_000  # texts whose bands are looked at at once: faster, but of more it takes memory
_AT_ONCE: Final = 1 << 12  # pairs whose signatures are compared in one piece of memory


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
        self._shelf = _Shelf()  # signatures of the canonical texts
        self._grams: dict[int, Grams] = {}  # of those that had to be compared
        self._words: dict[int, Words] = {}  # of the same
        self._near: dict[int, dict[int, bool]] = {}  # answers of comparisons, under both texts

    def __len__(self) -> int:
        return len(self._canonical) + len(self._waiting)

    def add(self, texts: Mapping[int, str]) -> None:
        """Take in reading texts by fingerprint; those known already cost nothing."""
        self._waiting.update((f, text) for f, text in texts.items() if f not in self._canonical)

    def _look(self) -> None:
        """Take the texts that wait to pieces."""
        if not self._waiting:
            return
        new = {f: canonical(text) for f, text in self._waiting.items()}
        self._waiting = {}
        self._canonical.update(new)
        fresh: dict[int, str] = {}
        for print_, text in new.items():
            node = fingerprint(text) if letters(text) >= COMPARABLE_CHARS else 0
            self._node[print_] = node
            if node:
                self._wordings[node] += 1
            if node and node not in self._text:
                fresh[node] = text
        self._text.update(fresh)
        self._shelf.put(list(fresh), signatures(*grams(list(fresh.values()))))

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
            del self._wordings[node], self._text[node]
            self._shelf.drop(node)
            self._grams.pop(node, None)
            self._words.pop(node, None)
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
        asked = fingerprints.tolist()
        node_of = np.fromiter(map(self._node.__getitem__, asked), np.uint64, len(asked))
        nodes, at = coded(node_of)
        weight = np.bincount(at, weights=posts, minlength=len(nodes)).astype(np.int64)
        label = np.full(len(nodes), -1, np.int64)
        comparable = np.flatnonzero(nodes != 0)
        if comparable.size:
            label[comparable] = self._label(nodes[comparable], weight[comparable])
        canonicals = tuple(map(self._canonical.__getitem__, asked))
        return Texts(fingerprints, canonicals, label[at].astype(np.int32))

    def _label(self, nodes: Keys, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = self._shelf.rows(nodes)
        pairs = self._near_pairs(nodes, rows)
        part = np.arange(len(nodes))  # most texts are near no other
        if len(pairs):
            some, at = coded(pairs.ravel())
            part[some] = len(nodes) + self._parts(nodes[some], rows[some], weight[some], at.reshape(-1, 2))
        return _by_size(part, nodes, weight)

    def _parts(
        self, nodes: Keys, rows: NDArray[np.int64], weight: NDArray[np.int64], pairs: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The part of each text: `cut`."""
        both_ways = np.concatenate((pairs, pairs[:, ::-1])).T
        near = coo_array((np.ones(both_ways.shape[1], np.int8), both_ways), (len(nodes), len(nodes))).tocsr()

        def like(centre: int, others: NDArray[np.int64]) -> NDArray[np.bool_]:
            of = np.stack((np.full(len(others), centre), others), axis=1)
            out = self._shelf.estimate(rows[of]) >= DRIFT
            unsure = np.flatnonzero(~out)
            own, theirs = self._words.get(int(nodes[centre])), nodes[others[unsure]].tolist()
            words = [(own, self._words.get(other)) for other in theirs]  # None: near no other
            out[unsure] = same_wording([(a, b) for a, b in words if a and b], DRIFT_WORDING)
            return out

        return cut(near, nodes, weight, like)

    def _near_pairs(self, nodes: Keys, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        pairs = _candidates(self._shelf.bands(rows))
        if not len(pairs):
            return pairs
        estimate = self._shelf.estimate(rows[pairs])
        pairs, estimate = pairs[estimate >= GLANCE], estimate[estimate >= GLANCE]
        named = nodes[pairs].tolist()
        new = [i for i, (one, other) in enumerate(named) if other not in self._near.get(one, {})]
        if new:
            self._compare([named[i] for i in new], estimate[new])
        near = np.array([self._near[one][other] for one, other in named], np.bool_)
        return pairs[near]

    def _compare(self, pairs: Sequence[tuple[int, int]], estimate: NDArray[np.float64]) -> None:
        new = list({node for pair in pairs for node in pair} - self._grams.keys())
        hashes, bounds = grams([self._text[node] for node in new])
        for i, node in enumerate(new):
            self._grams[node] = distinct_keys(hashes[bounds[i] : bounds[i + 1]])
            self._words[node] = words(self._text[node])
        near = estimate >= NEAR - DOUBT
        for i in np.flatnonzero(near).tolist():
            near[i] = similarity(*(self._grams[node] for node in pairs[i])) >= NEAR
        unlike = np.flatnonzero(~near)
        worded = [(self._words[a], self._words[b]) for a, b in (pairs[i] for i in unlike.tolist())]
        near[unlike] = same_wording(worded, WORDING, LEAST_SHARED, LEAST_WORDS)
        for (a, b), answer in zip(pairs, near.tolist(), strict=True):
            self._near.setdefault(a, {})[b] = self._near.setdefault(b, {})[a] = answer


class _Shelf:
    """Signatures and their bands by the fingerprint of the text, in rows that are used again."""

    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._free: list[int] = []
        self._values = np.empty((0, HASHES), np.uint32)
        self._bands = np.empty((0, BANDS), np.uint64)

    def put(self, nodes: Sequence[int], values: Signatures) -> None:
        """Take in signatures of texts that are not there."""
        lack = len(nodes) - len(self._free)
        if lack > 0:
            held = len(self._values)
            size = held + max(lack, held)
            self._values = _enlarged(self._values, size)
            self._bands = _enlarged(self._bands, size)
            self._free += range(size - 1, held - 1, -1)
        rows = [self._free.pop() for _ in nodes]
        self._row.update(zip(nodes, rows, strict=True))
        self._values[rows] = values
        self._bands[rows] = bands(values)

    def drop(self, node: int) -> None:
        """Forget a text."""
        self._free.append(self._row.pop(node))

    def rows(self, nodes: Keys) -> NDArray[np.int64]:
        """Where some texts are; shape (n,)."""
        return np.fromiter(map(self._row.__getitem__, nodes.tolist()), np.int64, len(nodes))

    def bands(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The keys of their bands; shape (21, n)."""
        return np.ascontiguousarray(self._bands[rows].T)

    def estimate(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Estimated Jaccard similarity of each pair of rows."""
        out = np.empty(len(pairs))
        for first in range(0, len(pairs), _AT_ONCE):
            some = pairs[first : first + _AT_ONCE]
            out[first : first + _AT_ONCE] = (self._values[some[:, 0]] == self._values[some[:, 1]]).mean(
                axis=1
            )
        return out


_Cells = TypeVar("_Cells", np.uint32, np.uint64)


def _enlarged(table: NDArray[_Cells], size: int) -> NDArray[_Cells]:
    """A table of so many rows that begins with these."""
    out = np.empty((size, table.shape[1]), table.dtype)
    out[: len(table)] = table
    return out


def _candidates(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs (a, b), a < b, of texts that share a band with one of its anchors; shape (p, 2), distinct.

    Parameters
    ----------
    keys : uint64, shape (bands, n)
    """
    count = keys.shape[1]
    at_once = len(keys) if count <= _FEW else 1
    found = [_paired(keys[first : first + at_once]) for first in range(0, len(keys), at_once)]
    one, other = np.concatenate(found, axis=1)
    return np.stack(np.divmod(distinct_keys(one * count + other), max(count, 1)), axis=1)


def _paired(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The anchor and the other text of each pair, once for every band they share; `keys` (bands, n)."""
    count = keys.shape[1]
    # A key's last bits are given up for where it was: numpy sorts numbers ten times as fast as it says where
    # they were, and of a bucket the texts come by rising fingerprint.
    bits = np.uint64(count.bit_length())
    here = np.arange(count)
    ordered = np.sort((keys >> bits << bits) | here.astype(np.uint64), axis=1)
    bucket = ordered >> bits
    order = (ordered ^ (bucket << bits)).astype(np.int64)
    begins = np.ones(keys.shape, np.bool_)
    np.not_equal(bucket[:, 1:], bucket[:, :-1], out=begins[:, 1:])
    first = np.maximum.accumulate(np.where(begins, here, 0), axis=1)
    shared = np.flatnonzero(first < here)
    first, order, later = first.ravel()[shared], order.ravel(), shared % max(count, 1)
    ones, others = [], []
    for anchor in range(ANCHORS):
        use = first + anchor < later
        ones.append(order[(shared - later + first + anchor)[use]])
        others.append(order[shared[use]])
    return np.concatenate(ones), np.concatenate(others)


def _by_size(part: NDArray[np.int64], nodes: Keys, weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the parts from 0 by falling number of posts, then by their lowest fingerprint."""
    _, part = coded(part)
    posts = np.bincount(part, weights=weight)
    lowest = np.full(len(posts), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest, part, nodes)
    rank = np.empty(len(posts), np.int64)
    rank[np.lexsort((lowest, -posts))] = np.arange(len(posts))
    out: NDArray[np.int64] = rank[part]
    return out
