"""Full buckets: what their owners say of them, so that rows they would leave out do not travel.

A limit only falls, so one that was true once is true for ever: rows at or above it are dropped by the owner,
now and later, and a row that never came changes nothing. It is true of everything behind it on the topic
`rows`, too, since it follows from rows before: counted again from there, a bucket gets the same limits. See
docs/adr/0010-samples-of-accounts.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from msgspec import structs

from detectors.sample import below
from detectors.table import taken
from streams.packets import STRING_FIELDS, Packet
from streams.pipeline import Ingested

Limits = Mapping[str, Mapping[int, int]]
"""By hashtag and bucket the hash below which accounts are kept; see `streams.monitor.Cut`."""


@dataclass(frozen=True)
class Full:
    """The full buckets there are, as far as one knows; late news of them does no harm.

    Attributes
    ----------
    hop_ms : int
        How long a bucket is.
    """

    hop_ms: int
    limits: Limits = field(default_factory=dict)

    def spare(self, ingested: Ingested) -> Ingested:
        """A micro-batch without the rows that would be left out; how many they are is noted."""
        packets = [self._without(packet) for packet in ingested.packets]
        spared = sum(
            sum(before.counts) - sum(after.counts)
            for before, after in zip(ingested.packets, packets, strict=True)
        )
        return replace(ingested, packets=packets, spared=spared) if spared else ingested

    def _without(self, packet: Packet) -> Packet:
        if self.limits.keys().isdisjoint(packet.hashtags):
            return packet
        rows, offsets = packet.table()
        kept = np.ones(len(rows), np.bool_)
        ends = np.cumsum(packet.counts).tolist()
        for hashtag, end, count in zip(packet.hashtags, ends, packet.counts, strict=True):
            mine = slice(end - count, end)
            for bucket, limit in self.limits.get(hashtag, {}).items():
                inside = rows["time_ms"][mine] // self.hop_ms * self.hop_ms == bucket
                kept[mine] &= ~inside | below(rows["account"][mine], limit)
        left = [int(part.sum()) for part in np.split(kept, ends[:-1])]
        rows = taken(rows, kept)
        used = set[int]().union(*(rows[name].tolist() for name in STRING_FIELDS))
        return structs.replace(
            packet,
            hashtags=[hashtag for hashtag, count in zip(packet.hashtags, left, strict=True) if count],
            counts=[count for count in left if count],
            rows=rows.tobytes(),
            offsets=offsets[kept].tobytes(),
            strings={key: text for key, text in packet.strings.items() if key in used},
        )
