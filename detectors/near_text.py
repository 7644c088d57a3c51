"""Near-identical texts of one hashtag: compared once, when a text first appears, and grouped by hop.

A group is a function of the *set* of texts in the window and how often each was posted, never of the order
in which they came: see docs/adr/0002-groups-without-order.md and 0007-spun-texts.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from detectors.drift import cut
from detectors.keys import among, coded, distinct_keys, first_places, sorted_among
from detectors.minhash import BANDS, HASHES, Grams, bands, grams, signatures, similarity
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
_NO_KEYS: Final[Keys] = np.empty(0, np.uint64)
_HALF: Final = np.uint64(32)  # bits of a place in the key of a pair
_LOWER: Final = np.uint64(2**32 - 1)
_AT_ONCE: Final = 1 << 12  # pairs whose signatures are compared in one piece of memory


class TextIndex:
    """The texts seen under one hashtag, with their signatures and the pairs already compared.

    Texts wait until a window is grouped: most hashtags never get that far, and many at once cost a tenth of
    what they cost one by one.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, str] = {}  # by fingerprint, not looked at yet
        self._gone: set[int] = set()  # fingerprints that are to be dropped by then
        # Of a large hashtag there are hundreds of thousands, which cost a dictionary 80 bytes each.
        self._print = _NO_KEYS  # fingerprints of the reading texts, sorted
        self._node = _NO_KEYS  # of each the fingerprint of its canonical text, 0: too short
        self._canonical = np.empty(0, np.object_)  # and that text
        self._shelf = _Shelf()  # the canonical texts that are long enough
        self._grams: dict[int, Grams] = {}  # of those that had to be compared
        self._words: dict[int, Words] = {}  # of the same
        self._answers = _Answers()

    def __len__(self) -> int:
        self._drop()
        return len(self._print) + len(self._waiting.keys() - set(self._print.tolist()))

    def add(self, texts: Mapping[int, str]) -> None:
        """Take in reading texts by fingerprint; those known already cost next to nothing."""
        self._waiting.update(texts)
        self._gone.difference_update(texts)

    def forget(self, fingerprints: Iterable[int]) -> None:
        """Drop these texts and all comparisons with them; unknown ones are passed over."""
        for print_ in fingerprints:
            self._waiting.pop(print_, None)
            if len(self._print):
                self._gone.add(print_)

    def _look(self) -> None:
        """Drop what is to be forgotten, and take the texts that wait to pieces."""
        self._drop()
        new = _sorted(self._waiting)
        new = new[~sorted_among(new, self._print)]
        came = list(map(self._waiting.__getitem__, new.tolist()))
        self._waiting = {}
        if not came:
            return
        texts = [_shared(canonical(text), text) for text in came]
        long = [fingerprint(text) if letters(text) >= COMPARABLE_CHARS else 0 for text in texts]
        nodes = np.array(long, np.uint64)
        first = first_places(nodes)
        first = first[(nodes[first] != 0) & ~among(nodes[first], self._shelf.nodes)]
        if len(first):
            self._answers.move(self._shelf.put(nodes[first], [texts[at] for at in first.tolist()]))
        self._print, order = _merged(self._print, new)
        self._node = np.concatenate((self._node, nodes))[order]
        self._canonical = np.concatenate((self._canonical, _objects(texts)))[order]

    def _drop(self) -> None:
        if not self._gone:
            return
        gone = sorted_among(self._print, _sorted(self._gone))
        self._gone = set()
        if not gone.any():
            return
        nodes, kept = distinct_keys(self._node[gone]), ~gone
        self._print, self._node = self._print[kept], self._node[kept]
        self._canonical = self._canonical[kept]
        lost = nodes[(nodes != 0) & ~among(nodes, np.sort(self._node))]
        self._answers.move(self._shelf.drop(lost))
        for node in lost.tolist():
            self._grams.pop(node, None)
            self._words.pop(node, None)

    def texts(self, fingerprints: Keys, posts: NDArray[np.int64]) -> Texts:
        """Group the texts of a window.

        Parameters
        ----------
        fingerprints : uint64, shape (k,), sorted, all of them added before
        posts : int64, shape (k,)
            How many posts carry each text.

        Raises
        ------
        KeyError
            If some were not added, or were forgotten since.
        """
        self._look()
        place = np.searchsorted(self._print, fingerprints)
        if not np.array_equal(self._print[place[place < len(self._print)]], fingerprints):
            unknown = int((~among(fingerprints, self._print)).sum())
            raise KeyError(f"{unknown} of {len(fingerprints)} texts are not known")
        nodes, at = coded(self._node[place])
        weight = np.bincount(at, weights=posts, minlength=len(nodes)).astype(np.int64)
        label = np.full(len(nodes), -1, np.int64)
        comparable = np.flatnonzero(nodes != 0)
        if comparable.size:
            label[comparable] = self._label(nodes[comparable], weight[comparable])
        return Texts(fingerprints, tuple(self._canonical[place].tolist()), label[at].astype(np.int32))

    def _label(self, nodes: Keys, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        places = self._shelf.places(nodes)
        rows = self._shelf.rows(places)
        pairs = self._near_pairs(nodes, places, rows)
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

    def _near_pairs(
        self, nodes: Keys, places: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        pairs = _candidates(self._shelf.bands(rows), len(rows))
        keys = _keys(places[pairs])
        known, near = self._answers.of(keys)
        new = np.flatnonzero(~known)
        if len(new):
            near[new] = self._compared(nodes[pairs[new]], self._shelf.estimate(rows[pairs[new]]))
            self._answers.put(keys[new], near[new])
        return pairs[near]

    def _compared(self, pairs: Keys, estimate: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the two texts of each pair are near-identical."""
        near = estimate >= GLANCE
        near[near] = self._looked_at(pairs[near], estimate[near])
        return near

    def _looked_at(self, pairs: Keys, estimate: NDArray[np.float64]) -> NDArray[np.bool_]:
        named = list(map(tuple, pairs.tolist()))
        new = list({node for pair in named for node in pair} - self._grams.keys())
        texts = self._shelf.texts(np.array(new, np.uint64))
        hashes, bounds = grams(texts)
        for i, (node, text) in enumerate(zip(new, texts, strict=True)):
            self._grams[node] = distinct_keys(hashes[bounds[i] : bounds[i + 1]])
            self._words[node] = words(text)
        near = estimate >= NEAR - DOUBT
        for i in np.flatnonzero(near).tolist():
            one, other = named[i]
            near[i] = similarity(self._grams[one], self._grams[other]) >= NEAR
        unlike = np.flatnonzero(~near)
        worded = [(self._words[one], self._words[other]) for one, other in map(named.__getitem__, unlike)]
        near[unlike] = same_wording(worded, WORDING, LEAST_SHARED, LEAST_WORDS)
        return near


class _Answers:
    """Whether two texts are near-identical, for pairs that were compared, by their places among all texts.

    From window to window nearly all pairs stay, so they are looked up at once and not one by one.
    """

    def __init__(self) -> None:
        self._keys = _NO_KEYS  # see `_keys`, sorted
        self._near = np.empty(0, np.bool_)

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, keys: Keys) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of some sorted keys are known, and the answers of those; False for others."""
        at = np.searchsorted(self._keys, keys)
        known = at < len(self._keys)
        known[known] = self._keys[at[known]] == keys[known]
        near = known.copy()
        near[known] = self._near[at[known]]
        return known, near

    def put(self, keys: Keys, near: NDArray[np.bool_]) -> None:
        """Note answers of pairs that are not known."""
        self._keys, order = _merged(self._keys, keys)
        self._near = np.concatenate((self._near, near))[order]

    def move(self, places: NDArray[np.int64]) -> None:
        """Follow texts to their new places, by the old ones and in the same order; -1 for those that go."""
        pairs = places[np.stack((self._keys >> _HALF, self._keys & _LOWER), axis=1)]
        kept = (pairs >= 0).all(axis=1)
        self._keys, self._near = _keys(pairs[kept]), self._near[kept]


def _keys(pairs: NDArray[np.int64]) -> Keys:
    """A key for each pair of places, which sort as they do."""
    one, other = pairs.astype(np.uint64).T
    keys: Keys = one << _HALF | other
    return keys


class _Shelf:
    """Canonical texts by fingerprint, with signatures and their bands, in rows that are used again."""

    def __init__(self) -> None:
        self.nodes = _NO_KEYS  # sorted
        self._row = np.empty(0, np.int64)  # of each
        self._free = np.empty(0, np.int64)  # those to be used first are last
        self._text = np.empty(0, np.object_)
        self._values = np.empty((0, HASHES), np.uint32)
        self._bands = np.empty((BANDS, 0), np.uint64)  # they are asked for band by band

    def put(self, nodes: Keys, texts: Sequence[str]) -> NDArray[np.int64]:
        """Take in texts that are not there, sorted by fingerprint; gives the new places of those before."""
        lack = len(nodes) - len(self._free)
        if lack > 0:
            held = len(self._values)
            size = held + max(lack, held)
            self._text = _enlarged(self._text, (size,))
            self._values = _enlarged(self._values, (size, HASHES))
            self._bands = _enlarged(self._bands, (BANDS, size))
            self._free = np.concatenate((np.arange(size - 1, held - 1, -1), self._free))
        left = len(self._free) - len(nodes)
        self._free, rows = self._free[:left], self._free[left:]
        values = signatures(*grams(texts))
        self._text[rows] = _objects(texts)
        self._values[rows] = values
        self._bands[:, rows] = bands(values).T
        moved = np.arange(len(self.nodes)) + np.searchsorted(nodes, self.nodes)
        self.nodes, order = _merged(self.nodes, nodes)
        self._row = np.concatenate((self._row, rows))[order]
        return moved

    def drop(self, nodes: Keys) -> NDArray[np.int64]:
        """Forget texts, sorted; gives the new places of all before, -1 for these."""
        gone = sorted_among(self.nodes, nodes)
        rows = self._row[gone]
        self._text[rows] = None
        self._free = np.concatenate((self._free, rows))
        self.nodes, self._row = self.nodes[~gone], self._row[~gone]
        return np.where(gone, -1, np.cumsum(~gone) - 1)

    def places(self, nodes: Keys) -> NDArray[np.int64]:
        """The places of some texts among all; shape (n,)."""
        return np.searchsorted(self.nodes, nodes)

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of texts at some places; shape (n,)."""
        return self._row[places]

    def texts(self, nodes: Keys) -> list[str]:
        """Some texts."""
        out: list[str] = self._text[self.rows(self.places(nodes))].tolist()
        return out

    def bands(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint64]]:
        """The keys of their bands, one after the other and of few texts all at once; shape (bands, n)."""
        at_once = BANDS if len(rows) <= _FEW else 1
        for first in range(0, BANDS, at_once):
            yield self._bands[first : first + at_once].take(rows, axis=1)

    def estimate(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Estimated Jaccard similarity of each pair of rows."""
        out = np.empty(len(pairs))
        for first in range(0, len(pairs), _AT_ONCE):
            some = pairs[first : first + _AT_ONCE]
            out[first : first + _AT_ONCE] = (self._values[some[:, 0]] == self._values[some[:, 1]]).mean(
                axis=1
            )
        return out


_Cells = TypeVar("_Cells", np.uint32, np.uint64, np.object_)


def _enlarged(table: NDArray[_Cells], shape: tuple[int, ...]) -> NDArray[_Cells]:
    """A table of this shape that begins with another."""
    out = np.empty(shape, table.dtype)
    out[tuple(slice(size) for size in table.shape)] = table
    return out


def _sorted(keys: Collection[int]) -> Keys:
    return np.sort(np.fromiter(keys, np.uint64, len(keys)))


def _merged(keys: Keys, more: Keys) -> tuple[Keys, NDArray[np.int64]]:
    """Two sorted sets of keys as one, and where of both, one after the other, each one was."""
    both = np.concatenate((keys, more))
    order = np.argsort(both, kind="stable")  # of two sorted runs in one pass
    return both[order], order


def _objects(texts: Sequence[str]) -> NDArray[np.object_]:
    out = np.empty(len(texts), np.object_)
    out[:] = texts
    return out


def _shared(text: str, known: str) -> str:
    """The one that is known already if they are equal, so that it is held once."""
    return known if text == known else text


def _candidates(pieces: Iterable[NDArray[np.uint64]], count: int) -> NDArray[np.int64]:
    """Pairs (a, b), a < b, of texts that share a band with one of its anchors; shape (p, 2), distinct.

    Parameters
    ----------
    pieces : uint64, shape (bands, count) all together
    """
    one, other = np.concatenate([_paired(keys) for keys in pieces], axis=1)
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
