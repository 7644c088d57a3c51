"""Alerts that belong together: the same accounts or the same texts, under any hashtag and on any day.

All of it goes by traces of completed periods, so it does not depend on which hashtags share a partition: see
docs/adr/0008-hours.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from detectors.keys import among, coded, distinct_keys, tallied
from detectors.p_values import hypergeometric_tail
from detectors.sample import SAMPLE, lowest, mixed, packed, unpacked
from detectors.table import Keys, Mask, Window
from detectors.text import fingerprint

LEAST_ACCOUNTS: Final = 5
"""Accounts that two alerts must have in common: a handful of busy people are found under many hashtags."""

LEAST_OVERLAP: Final = 0.2
"""Of the smaller alert's accounts, so many must be the other's too. Two campaigns of one operator, three
weeks apart, have 0.46 in common (those of benchmarks/quality.md); people who join in twice are fewer."""

CHANCE: Final = 1e-6
"""Two alerts are joined if so much in common would be rarer than this by chance: a thousand alerts make
half a million pairs."""

POPULATION: Final = 10_000
"""The accounts of unrelated alerts are taken to be drawn from so many. The stream's own number would not
do: in an archive of one operator's accounts alone, his campaigns share no more than they must."""

LEAST_TEXTS: Final = 3
LEAST_TEXT_SHARE: Final = 0.3
"""Texts two alerts must have in common, and as a share of the smaller one's: a slogan or a headline alone is
passed on by many."""

MOST_ALERTS: Final = 1_000
"""Alerts that are compared; if there are more, those that came last. It bounds time and memory."""

MOST_HASHTAGS: Final = 50

_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """The earliest alert of a campaign; origins are in the order in which their alerts came.

    Attributes
    ----------
    opened_ms : int
        The hop at which its evidence was first there. By this an alert that comes later is never the earlier
        one, so what was told of a campaign stays true; by its first post it may be.
    alert : str
        Its id.
    first_ms : int
        Event time of its first coordinated post.
    """

    opened_ms: int
    alert: str
    first_ms: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """What an alert is part of, as far as completed periods show.

    Attributes
    ----------
    origin : Origin
    hashtags : tuple of str
        In the order in which their alerts came; at most `MOST_HASHTAGS`.
    alerts : int
        How many alerts it has, this one included.
    accounts_share, texts_share : float
        Of this alert's coordinated accounts and texts, the share seen in others of the campaign; estimated
        from samples, in [0, 1].
    joined_ms : int or None
        The hop at which it turned out that this alert belongs to an older one.
    """

    origin: Origin
    hashtags: tuple[str, ...]
    alerts: int = 1
    accounts_share: float = 0.0
    texts_share: float = 0.0
    joined_ms: int | None = None

    @property
    def id(self) -> str:
        """That of its earliest alert."""
        return self.origin.alert


@dataclass(frozen=True, slots=True)
class Trace:
    """What is remembered of an alert.

    Attributes
    ----------
    origin : Origin
        The alert itself.
    accounts, texts : int
        How many coordinated accounts and near-identical groups there were.
    accounts_sample, texts_sample : bytes
        Of the accounts, and of `text_prints`, those of lowest hash; as `detectors.sample.packed` gives them.
    campaign : Origin
        The campaign it was known to belong to.
    """

    origin: Origin
    hashtag: str
    kind: str
    accounts: int
    texts: int
    accounts_sample: bytes
    texts_sample: bytes
    campaign: Origin

    @property
    def alert(self) -> str:
        """Its id."""
        return self.origin.alert


@dataclass(frozen=True, slots=True)
class Seen:
    """A campaign in which some of a window's accounts or texts were seen before.

    Attributes
    ----------
    origin : Origin
        The earliest alert of the campaign, whose id is that of the campaign.
    hashtags : tuple of str
    accounts, texts : uint64, sorted
        Keys of the accounts, and canonical fingerprints of the texts, out of those that were asked for. Of
        alerts larger than a sample only a part is remembered, so this is the least.
    """

    origin: Origin
    hashtags: tuple[str, ...]
    accounts: Keys
    texts: Keys


@dataclass(frozen=True, slots=True)
class _Overlap:
    """What two samples have in common below the lower of their limits, where both are complete."""

    common: int
    one: int
    other: int
    share_of_all: float

    @property
    def coefficient(self) -> float:
        least = min(self.one, self.other)
        return self.common / least if least else 0.0


def sampled(keys: Keys) -> bytes:
    """The part of a set that a trace keeps."""
    return packed(lowest(keys))


def text_prints(window: Window, rows: Mask) -> Keys:
    """One fingerprint for each near-identical group among some rows: that of its commonest canonical text.

    Hashtags are not part of a canonical text, so it is the same under all of them. Texts below 16 letters are
    in no group.

    Parameters
    ----------
    rows : bool, shape (n,)
    """
    found, count = tallied(window.rows["text"][rows & (window.group >= 0)])
    at = np.searchsorted(window.texts.fingerprint, found)
    times: dict[tuple[int, int], int] = {}
    for index, posted in zip(at.tolist(), count.tolist(), strict=True):
        one = int(window.texts.group[index]), fingerprint(window.texts.canonical[index])
        times[one] = times.get(one, 0) + posted
    best: dict[int, tuple[int, int]] = {}
    for (group, print_), posted in times.items():
        best[group] = min(best.get(group, (0, 0)), (-posted, print_))
    return distinct_keys(np.array([print_ for _, print_ in best.values()], np.uint64))


def related(one: Trace, other: Trace) -> bool:
    """Whether two alerts have so much in common that chance does not explain it."""
    accounts = _overlap(_keys(one.accounts_sample), _keys(other.accounts_sample))
    if _accounts_tell(accounts):
        return True
    texts = _overlap(_keys(one.texts_sample), _keys(other.texts_sample))
    return texts.common >= LEAST_TEXTS and texts.coefficient >= LEAST_TEXT_SHARE


class Campaigns:
    """The campaigns of some alerts: connected components of `related`.

    Parameters
    ----------
    traces : iterable of Trace
        One for each alert, in any order; of more than `MOST_ALERTS` the newest count.
    """

    def __init__(self, traces: Iterable[Trace] = ()) -> None:
        self._traces = sorted(traces, key=lambda trace: trace.origin)[-MOST_ALERTS:]
        self._index = {trace.alert: at for at, trace in enumerate(self._traces)}
        self._accounts = _Holders([_keys(trace.accounts_sample) for trace in self._traces])
        self._texts = _Holders([_keys(trace.texts_sample) for trace in self._traces])
        self._label = self._components()
        self._members: dict[int, list[int]] = {}
        for at, label in enumerate(self._label):
            self._members.setdefault(label, []).append(at)
        self._known: dict[tuple[Trace, Campaign | None], Campaign] = {}

    def __len__(self) -> int:
        return len(self._traces)

    def __contains__(self, alert: str) -> bool:
        return alert in self._index

    def of(self, trace: Trace, known: Campaign | None = None) -> Campaign:
        """The campaign of an alert, which may be among the traces in an earlier state.

        Parameters
        ----------
        known : Campaign, optional
            What it was said to belong to before: it never moves to a younger one.
        """
        asked = trace, known
        if asked not in self._known:
            self._known[asked] = self._of(trace, known)
        return self._known[asked]

    def _of(self, trace: Trace, known: Campaign | None) -> Campaign:
        own = self._index.get(trace.alert)
        labels = self._near(trace) if own is None else self._near(trace) | {self._label[own]}
        members = sorted(at for label in labels for at in self._members[label] if at != own)
        others = [self._traces[at] for at in members]
        origins = [trace.origin, *(one.campaign for one in others)]
        if known is not None:
            origins.append(known.origin)
        by_time = sorted((*others, trace), key=lambda one: one.origin)
        return Campaign(
            origin=min(origins),
            hashtags=tuple(dict.fromkeys(one.hashtag for one in by_time))[:MOST_HASHTAGS],
            alerts=len(others) + 1,
            accounts_share=_seen_share(trace.accounts_sample, [one.accounts_sample for one in others]),
            texts_share=_seen_share(trace.texts_sample, [one.texts_sample for one in others]),
        )

    def seen(self, accounts: Keys, texts: Keys, alert: str = "") -> tuple[Seen, ...]:
        """The campaigns in which accounts or texts of a window were seen before, oldest first.

        Parameters
        ----------
        accounts : uint64
            Account keys.
        texts : uint64
            Canonical fingerprints, as `text_prints` gives them.
        alert : str
            Id of the window's own open alert, which is not before itself.
        """
        own = self._index.get(alert, -1)
        label_of = np.array(self._label, np.int64)
        met = []
        for asked, holders in ((accounts, self._accounts), (texts, self._texts)):
            keys, owners = holders.found(mixed(asked), asked)
            others = owners != own
            met.append((keys[others], label_of[owners[others]]))
        out = []
        for label in distinct_keys(np.concatenate([labels for _, labels in met])).tolist():
            members = [self._traces[at] for at in self._members[label] if at != own]
            origin = min(one.campaign for one in members)
            hashtags = tuple(dict.fromkeys(one.hashtag for one in members))[:MOST_HASHTAGS]
            found = (distinct_keys(keys[labels == label]) for keys, labels in met)
            out.append(Seen(origin, hashtags, *found))
        return tuple(sorted(out, key=lambda one: one.origin))

    def _near(self, trace: Trace) -> set[int]:
        """The components in which a trace is related to one."""
        accounts = self._accounts.counts(_keys(trace.accounts_sample)) >= LEAST_ACCOUNTS
        texts = self._texts.counts(_keys(trace.texts_sample)) >= LEAST_TEXTS
        found: set[int] = set()
        for at in np.flatnonzero(accounts | texts).tolist():
            if self._label[at] not in found and related(trace, self._traces[at]):
                found.add(self._label[at])
        return found

    def _components(self) -> list[int]:
        parent = list(range(len(self._traces)))

        def root(at: int) -> int:
            while parent[at] != at:
                parent[at] = at = parent[parent[at]]
            return at

        pairs = self._accounts.pairs(LEAST_ACCOUNTS) | self._texts.pairs(LEAST_TEXTS)
        for one, other in sorted(pairs):
            left, right = root(one), root(other)
            if left != right and related(self._traces[one], self._traces[other]):
                parent[max(left, right)] = min(left, right)
        return [root(at) for at in range(len(self._traces))]


@dataclass(frozen=True, eq=False)
class Memory:
    """The campaigns that a window may be compared with, as the one who judges it is given them.

    Attributes
    ----------
    campaigns : Campaigns
        Of the periods that the hop may know.
    alert : str
        Id of the window's own open alert; empty if there is none.
    """

    campaigns: Campaigns = field(default_factory=Campaigns)
    alert: str = ""

    def __len__(self) -> int:
        """How many alerts it holds, the window's own not counted."""
        return len(self.campaigns) - (self.alert in self.campaigns)

    def seen(self, accounts: Keys, texts: Keys) -> tuple[Seen, ...]:
        """The campaigns in which accounts or texts were seen before; see `Campaigns.seen`."""
        return self.campaigns.seen(accounts, texts, self.alert)


class _Holders:
    """Which of several samples hold a key."""

    def __init__(self, samples: list[Keys]) -> None:
        self._size = len(samples)
        keys = np.concatenate([np.empty(0, np.uint64), *samples])
        owners = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
        order = np.argsort(keys, kind="stable")
        self._keys, self._owners = keys[order], owners[order]

    def counts(self, sample: Keys) -> NDArray[np.int64]:
        """How many keys each of the samples has in common with one, which is sorted; shape (samples,)."""
        held = among(self._keys, sample)
        return np.bincount(self._owners[held], minlength=self._size)

    def found(self, hashes: Keys, keys: Keys) -> tuple[Keys, NDArray[np.int64]]:
        """Each of the keys, given with their hashes, as often as samples hold it; and these samples."""
        start, end = (np.searchsorted(self._keys, hashes, side) for side in ("left", "right"))
        times = end - start
        which = np.repeat(np.arange(len(keys)), times)
        nth = np.arange(len(which)) - (np.cumsum(times) - times)[which]
        return keys[which], self._owners[start[which] + nth]

    def pairs(self, least: int) -> set[tuple[int, int]]:
        """Pairs of samples with at least so many keys in common, the lower first."""
        if not len(self._keys):
            return set()
        _, cells = coded(self._keys)
        ones = np.ones(len(cells), np.int32)
        held = coo_array((ones, (self._owners, cells)), shape=(self._size, int(cells.max()) + 1)).tocsr()
        common = (held @ held.T).tocoo()
        use = (common.row < common.col) & (common.data >= least)
        return set(zip(common.row[use].tolist(), common.col[use].tolist(), strict=True))


@lru_cache(maxsize=4 * MOST_ALERTS)
def _keys(sample: bytes) -> Keys:
    keys = unpacked(sample)
    keys.flags.writeable = False
    return keys


def _limit(sample: Keys) -> np.uint64:
    """Up to where a sample is complete."""
    return np.uint64(sample[-1]) if len(sample) >= SAMPLE else _ALL


def _overlap(one: Keys, other: Keys) -> _Overlap:
    limit = min(_limit(one), _limit(other))
    sizes = [int(np.searchsorted(sample, limit, "right")) for sample in (one, other)]
    common = np.intersect1d(one, other, assume_unique=True).size
    return _Overlap(int(common), sizes[0], sizes[1], (float(limit) + 1) / 2**64)


def _accounts_tell(overlap: _Overlap) -> bool:
    if overlap.common < LEAST_ACCOUNTS or overlap.coefficient < LEAST_OVERLAP:
        return False
    union = overlap.one + overlap.other - overlap.common
    population = max(union, round(POPULATION * overlap.share_of_all))
    return hypergeometric_tail(overlap.common, population, overlap.one, overlap.other) <= CHANCE


def _seen_share(mine: bytes, others: list[bytes]) -> float:
    """Of a sample, the share that is in any of the others; where one is incomplete, below its limit."""
    own, samples = _keys(mine), [_keys(other) for other in others]
    if not samples or not len(own):
        return 0.0
    limit = min(_limit(sample) for sample in samples)
    asked = own[own <= limit]
    if not len(asked):
        return 0.0
    return round(float(np.isin(asked, np.concatenate(samples)).mean()), 6)


def latest(traces: Iterable[tuple[int, Trace]]) -> Mapping[str, Trace]:
    """Of each alert the trace of its last hour; by its id.

    Parameters
    ----------
    traces : pairs of hour and Trace, in any order
    """
    newest: dict[str, tuple[int, Trace]] = {}
    for hour, trace in traces:
        if trace.alert not in newest or newest[trace.alert][0] < hour:
            newest[trace.alert] = hour, trace
    return {alert: trace for alert, (_, trace) in newest.items()}
