"""What a partition holds of each hashtag: its rows, what they stand for, and what follows from them.

Most hashtags are small: a few posts in two hours, never assessed. These are put away as bytes, in a sixth of
the memory, until somebody asks for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np

from detectors.alert import Alert
from detectors.near_text import TextIndex
from detectors.table import ROW, Rows, joined
from streams.packets import STRING_FIELDS

MOST_IDLE: Final = 5_000
"""So many small hashtags stay whole in each partition: somebody wrote under them last, so the next post is
likely to be under one of them. About 3 kB each."""

_NOTHING: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(slots=True)
class Derived:
    """Of one hashtag its texts, compared, and by fingerprint how many rows stand for each string."""

    index: TextIndex = field(default_factory=TextIndex)
    uses: Counter[int] = field(default_factory=Counter)

    def take_in(self, strings: Mapping[int, str], rows: Rows) -> None:
        """Note what some rows stand for."""
        self.index.add({k: strings[k] for k in set(rows["text"].tolist()) if k in strings})
        self.uses.update(used(strings, rows))

    def forget(self, keys: Sequence[int]) -> None:
        """Drop strings that no row stands for."""
        for key in keys:
            del self.uses[key]
        self.index.forget(keys)


@dataclass(slots=True)
class TagState:
    """The rows of one hashtag by bucket, its strings, and its open alert.

    Attributes
    ----------
    limits : by bucket
        See `streams.monitor.Cut`; none of a bucket that keeps all its rows.
    derived : Derived or None
        What follows from rows and strings; None until it is needed.
    """

    buckets: dict[int, list[Rows]] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    strings: dict[int, str] = field(default_factory=dict)
    alert: Alert | None = None
    derived: Derived | None = None
    _count: int | None = field(default=None, compare=False, repr=False)

    @property
    def count(self) -> int:
        """How many rows it holds."""
        if self._count is None:
            self._count = sum(map(len, chain.from_iterable(self.buckets.values())))
        return self._count

    def put(self, bucket: int, rows: Rows) -> None:
        """Take in rows of a bucket."""
        self.buckets.setdefault(bucket, []).append(rows)
        if self._count is not None:
            self._count += len(rows)

    def keep(self, bucket: int, rows: Rows, limit: int) -> None:
        """Hold of a bucket these rows alone, and no more of accounts whose hash is not below the limit."""
        self.buckets[bucket], self.limits[bucket] = [rows], limit
        self._count = None

    def pop(self, buckets: Collection[int]) -> Rows:
        """Hold buckets no more; gives their rows."""
        parts = [rows for bucket in buckets for rows in self.buckets.pop(bucket)]
        for bucket in buckets:
            self.limits.pop(bucket, None)
        self._count = None
        return joined(parts)

    @property
    def sizes(self) -> dict[int, int]:
        """How many rows each bucket holds."""
        return {
            bucket: len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
            for bucket, parts in self.buckets.items()
        }

    def within(self, start_ms: int, end_ms: int) -> list[Rows]:
        """The rows of the buckets that start in a span."""
        return [rows for start, parts in self.buckets.items() if start_ms <= start < end_ms for rows in parts]

    def rows(self) -> Rows:
        """All rows, one after the other."""
        return joined([rows for parts in self.buckets.values() for rows in parts])

    def derive(self) -> Derived:
        """What follows from the rows, which from now on is kept up to date."""
        if self.derived is None:
            self.derived = Derived()
            self.derived.take_in(self.strings, self.rows())
        return self.derived

    def uses(self) -> Counter[int]:
        """How many rows stand for each string; not to be changed."""
        return Counter(used(self.strings, self.rows())) if self.derived is None else self.derived.uses

    def unused(self, gone: Rows, more: Mapping[int, int] = _NOTHING) -> list[int]:
        """The strings that no row stands for once some of its rows are gone and `more` came; sorted."""
        uses, lost = self.uses(), Counter(used(self.strings, gone))
        return sorted(key for key, times in lost.items() if uses[key] + more.get(key, 0) == times)

    def leave(self, gone: Rows) -> list[int]:
        """Drop the strings that rows stood for which are in no bucket any more, and no other does; sorted."""
        if not self.buckets:
            keys = sorted(self.strings)
            self.strings, self.derived = {}, None
            return keys
        if self.derived is None:
            lost = self.strings.keys() - keys_of([self.rows()])
        else:
            less = Counter(used(self.strings, gone))
            self.derived.uses.subtract(less)
            lost = {key for key in less if not self.derived.uses[key]}
        keys = sorted(lost)
        self.forget(keys)
        return keys

    def forget(self, keys: Sequence[int]) -> None:
        """Drop strings that no row stands for."""
        for key in keys:
            del self.strings[key]
        if self.derived is not None:
            self.derived.forget(keys)


class Tags(MutableMapping[str, TagState]):
    """The hashtags of a partition by name, in the order in which they came.

    Whoever asks for one gets it whole, and it stays whole until it is put away.

    >>> tags = Tags({"loan": TagState(strings={1: "a text"})})
    >>> tags.put_away("loan")
    >>> tags["loan"].strings
    {1: 'a text'}
    """

    def __init__(self, tags: Mapping[str, TagState] = MappingProxyType({})) -> None:
        self._held: dict[str, TagState | bytes] = dict(tags)
        self._idle: dict[str, None] = {}  # that are to be put away, those that wait longest first

    def idle(self, name: str) -> None:
        """Put a hashtag away once so many others were idle after it that it is not likely to be asked for.

        What follows from its rows is dropped at once: it is too small to be assessed.
        """
        held = self._held[name]
        if isinstance(held, TagState):
            held.derived = None
        self._idle.pop(name, None)
        self._idle[name] = None
        if len(self._idle) > MOST_IDLE:
            self.put_away(next(iter(self._idle)))

    def busy(self, name: str) -> None:
        """Keep a hashtag whole although it was idle."""
        self._idle.pop(name, None)

    def __getitem__(self, name: str) -> TagState:
        held = self._held[name]
        if isinstance(held, bytes):
            held = self._held[name] = _unpacked(held)
        return held

    def find(self, name: str) -> TagState | None:
        """A hashtag, None if nothing is known of it."""
        return self[name] if name in self._held else None

    def __setitem__(self, name: str, tag: TagState) -> None:
        self._held[name] = tag

    def __delitem__(self, name: str) -> None:
        del self._held[name]
        self._idle.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def glance(self, name: str) -> TagState:
        """A hashtag to be looked at and not changed; one that is put away stays so."""
        held = self._held[name]
        return _unpacked(held) if isinstance(held, bytes) else held

    def whole(self) -> Iterator[tuple[str, TagState]]:
        """Those that are not put away: all that have an alert or a limit are among them."""
        return ((name, held) for name, held in self._held.items() if isinstance(held, TagState))

    def count(self, name: str) -> int:
        """How many rows a hashtag holds; one that is put away stays so."""
        held = self._held[name]
        return _COUNT.decode(held)[0] if isinstance(held, bytes) else held.count

    def sizes(self, name: str) -> Mapping[int, int]:
        """By bucket the rows of a hashtag; one that is put away stays so."""
        held = self._held[name]
        return _SIZES.decode(held)[1] if isinstance(held, bytes) else held.sizes

    def limits(self, name: str) -> Mapping[int, int]:
        """The limits of a hashtag's buckets."""
        held = self._held[name]
        return _NOTHING if isinstance(held, bytes) else held.limits

    def put_away(self, name: str) -> None:
        """Keep a hashtag as bytes, unless it has more than rows and strings."""
        self._idle.pop(name, None)
        held = self._held[name]
        if isinstance(held, TagState) and held.alert is None and not held.limits:
            self._held[name] = _packed(held)


_COUNT: Final = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw, msgspec.Raw, msgspec.Raw])
_SIZES: Final = msgspec.msgpack.Decoder(tuple[int, dict[int, int], msgspec.Raw, msgspec.Raw])
_PACKED: Final = msgspec.msgpack.Decoder(tuple[int, dict[int, int], bytes, dict[int, str]])


def _packed(tag: TagState) -> bytes:
    rows = b"".join([part.tobytes() for parts in tag.buckets.values() for part in parts])
    return msgspec.msgpack.encode((tag.count, tag.sizes, rows, tag.strings))


def _unpacked(packed: bytes) -> TagState:
    _, sizes, raw, strings = _PACKED.decode(packed)
    rows, ends = np.frombuffer(raw, ROW), accumulate(sizes.values())
    buckets = {
        bucket: [rows[end - size : end]] for (bucket, size), end in zip(sizes.items(), ends, strict=True)
    }
    return TagState(buckets, strings=strings)


def used(strings: Mapping[int, str], rows: Rows) -> Iterator[int]:
    """The strings that rows stand for, each as often as it is."""
    return chain.from_iterable(filter(strings.__contains__, rows[name].tolist()) for name in STRING_FIELDS)


def keys_of(parts: Sequence[Rows]) -> set[int]:
    """What rows may stand for."""
    return set(chain.from_iterable(rows[name].tolist() for rows in parts for name in STRING_FIELDS))
