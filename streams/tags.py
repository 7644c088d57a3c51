"""What a partition holds of each hashtag: its rows, what they stand for, and what follows from them.

Most hashtags are small: a few posts in two hours, never assessed. These are put away as bytes, in a sixth of
the memory, until somebody asks for them. What comes under one that is put away is written behind the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from struct import Struct
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np

from detectors.alert import Alert
from detectors.near_text import TextIndex
from detectors.table import ROW, Rows, fields, joined
from streams.packets import STRING_FIELDS

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

    def parts(self, bucket: int) -> Sequence[Rows]:
        """The rows of one bucket."""
        return self.buckets.get(bucket, ())

    def unknown(self, keys: set[int]) -> set[int]:
        """Those of some keys whose strings it does not hold."""
        return keys.difference(self.strings)

    def within(self, start_ms: int, end_ms: int) -> list[Rows]:
        """The rows of the buckets that start in a span, of each in one piece: they are asked for often."""
        found = [parts for start, parts in self.buckets.items() if start_ms <= start < end_ms]
        for parts in found:
            if len(parts) > 1:
                parts[:] = [joined(parts)]
        return [rows for parts in found for rows in parts]

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

    def __getitem__(self, name: str) -> TagState:
        held = self._held[name]
        if isinstance(held, bytes):
            held = self._held[name] = Away(held).whole()
        return held

    def __setitem__(self, name: str, tag: TagState) -> None:
        self._held[name] = tag

    def __delitem__(self, name: str) -> None:
        del self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def glance(self, name: str) -> TagState:
        """A hashtag to be looked at and not changed; one that is put away stays so."""
        held = self._held[name]
        return Away(held).whole() if isinstance(held, bytes) else held

    def find(self, name: str) -> TagState | Away | None:
        """What can be seen of a hashtag without making it whole, None if nothing is known of it."""
        held = self._held.get(name)
        return Away(held) if isinstance(held, bytes) else held

    def whole(self) -> Iterator[tuple[str, TagState]]:
        """Those that are not put away: all that have an alert or a limit are among them."""
        return ((name, held) for name, held in self._held.items() if isinstance(held, TagState))

    def count(self, name: str) -> int:
        """How many rows a hashtag holds; one that is put away stays so."""
        held = self._held[name]
        return int(_HEAD.unpack_from(held)[0]) if isinstance(held, bytes) else held.count

    def is_small(self, name: str, rows: int) -> bool:
        """Whether a hashtag is put away and holds fewer rows than so many."""
        held = self._held[name]
        return isinstance(held, bytes) and int(_HEAD.unpack_from(held)[0]) < rows

    def sizes(self, name: str) -> Mapping[int, int]:
        """By bucket the rows of a hashtag; one that is put away stays so."""
        held = self._held[name]
        return _sizes(held) if isinstance(held, bytes) else held.sizes

    def limits(self, name: str) -> Mapping[int, int]:
        """The limits of a hashtag's buckets."""
        held = self._held[name]
        return _NOTHING if isinstance(held, bytes) else held.limits

    def take_in(
        self, name: str, parts: Sequence[tuple[int, Rows]], strings: Mapping[int, str], small: int
    ) -> None:
        """Take in rows by bucket, and the strings they stand for that were not known before.

        A hashtag that is put away, or new, stays so while it has fewer rows than `small`.
        """
        held = self._held.get(name, _EMPTY)
        if isinstance(held, bytes):
            more = sum([len(rows) for _, rows in parts])
            if _HEAD.unpack_from(held)[0] + more < small:
                self._held[name] = _behind(held, more, parts, strings)
                return
            held = self[name] = Away(held).whole()
        held.strings.update(strings)
        for bucket, rows in parts:
            held.put(bucket, rows)
            if held.derived is not None:
                held.derived.take_in(held.strings, rows)
        if held.count < small:
            self.put_away(name)

    def put_away(self, name: str) -> None:
        """Keep a hashtag as bytes, unless it has more than rows and strings."""
        held = self._held[name]
        if isinstance(held, TagState) and held.alert is None and not held.limits:
            buckets = ((bucket, joined(parts)) for bucket, parts in held.buckets.items())
            self._held[name] = _behind(_EMPTY, held.count, buckets, held.strings)


_HEAD: Final = Struct(">IBI")
"""What a hashtag that is put away begins with: how many rows it has, and how many records follow, which is
how an array of so many begins in MessagePack. So records can be written behind others."""

_ROWS_BYTES: Final = 4
_ARRAY: Final = 0xDD
_EMPTY: Final = _HEAD.pack(0, _ARRAY, 0)

_RECORDS: Final = msgspec.msgpack.Decoder(list[tuple[int, bytes, tuple[int, ...], msgspec.Raw]])
"""Of each the bucket, its rows, and keys and strings that came with them."""

_SIZES: Final = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw, msgspec.Raw, msgspec.Raw]])
_STRINGS: Final = msgspec.msgpack.Decoder(list[str])
_ENCODE: Final = msgspec.msgpack.Encoder().encode


def _behind(packed: bytes, more: int, parts: Iterable[tuple[int, Rows]], strings: Mapping[int, str]) -> bytes:
    """A hashtag that is put away, with so many rows more; strings go with the first of the parts."""
    rows, _, records = _HEAD.unpack_from(packed)
    pieces, keys, texts = list[bytes](), tuple(strings), list(strings.values())
    for bucket, part in parts:
        pieces.append(_ENCODE((bucket, part.tobytes(), keys, texts)))
        keys, texts = (), []
    if texts:
        pieces.append(_ENCODE((0, b"", keys, texts)))
    head = _HEAD.pack(rows + more, _ARRAY, records + len(pieces))
    return b"".join((head, packed[_HEAD.size :], *pieces))


def _sizes(packed: bytes) -> dict[int, int]:
    """How many rows each bucket holds of a hashtag that is put away."""
    sizes: dict[int, int] = {}
    for bucket, rows, *_ in _SIZES.decode(memoryview(packed)[_ROWS_BYTES:]):
        if size := len(rows) // ROW.itemsize:  # the few bytes that MessagePack adds are less than a row
            sizes[bucket] = sizes.get(bucket, 0) + size
    return sizes


class Away:
    """A look at a hashtag that is put away: it has rows and strings alone."""

    __slots__ = ("_records",)
    limits: Final = _NOTHING

    def __init__(self, packed: bytes) -> None:
        self._records = _RECORDS.decode(memoryview(packed)[_ROWS_BYTES:])

    def parts(self, bucket: int) -> Sequence[Rows]:
        """The rows of one bucket."""
        return self.within(bucket, bucket + 1)

    def within(self, start_ms: int, end_ms: int) -> list[Rows]:
        """The rows of the buckets that start in a span."""
        return [
            np.frombuffer(rows, ROW)
            for bucket, rows, *_ in self._records
            if start_ms <= bucket < end_ms and rows
        ]

    def unknown(self, keys: set[int]) -> set[int]:
        """Those of some keys whose strings it does not hold."""
        return keys.difference(*[known for *_, known, _ in self._records])

    def whole(self) -> TagState:
        """All it holds."""
        tag = TagState()
        for bucket, rows, keys, texts in self._records:
            if rows:
                tag.put(bucket, np.frombuffer(rows, ROW))
            tag.strings.update(zip(keys, _STRINGS.decode(texts), strict=True))
        return tag


_KEYS: Final = fields(*STRING_FIELDS)


def _keys(rows: Rows) -> Iterator[int]:
    return chain.from_iterable(_KEYS.iter_unpack(rows.tobytes()))


def used(strings: Mapping[int, str], rows: Rows) -> Iterator[int]:
    """The strings that rows stand for, each as often as it is."""
    return filter(strings.__contains__, _keys(rows))


def keys_of(parts: Iterable[Rows]) -> set[int]:
    """What rows may stand for."""
    return set(chain.from_iterable(map(_keys, parts)))
