"""State kept in this process: for archives, and as the plain statement of what a store does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from detectors.alert import Alert, State
from detectors.table import Rows
from streams.full import Limits
from streams.monitor import Delta, Evicted, Outcome, PartitionState
from streams.store import lost_hop, lost_mark, lost_state, lost_to_writer, lost_write
from streams.tags import Tags, TagState
from streams.watermark import SourceClock

V = TypeVar("V")


@dataclass
class HeldPartition:
    """What is stored of one partition."""

    writer: object
    version: int = 0
    covered_ms: int | None = None
    next: int | None = None
    marks: dict[int, int] = field(default_factory=dict)
    clocks: dict[int, SourceClock] = field(default_factory=dict)
    assessed_ms: int | None = None
    rows: dict[str, dict[int, list[Rows]]] = field(default_factory=dict)
    limits: dict[str, dict[int, int]] = field(default_factory=dict)
    strings: dict[str, dict[int, str]] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    open: dict[str, Alert] = field(default_factory=dict)
    full: Limits = field(default_factory=dict)


class MemoryStore:
    """A `Store` without servers.

    Parameters
    ----------
    partitions : dict, optional
        What several stores of one process share; its own if not given.
    """

    def __init__(self, partitions: dict[int, HeldPartition] | None = None) -> None:
        self._partitions = {} if partitions is None else partitions
        self._writes = count(1)
        self._versions: dict[int, int] = {}

    async def load(self, partition: int) -> PartitionState:
        """Take a partition over; see `Store.load`."""
        held = self._partitions.setdefault(partition, HeldPartition(self))
        held.writer = self
        self._wrote(partition, held)
        tags = {
            name: TagState(
                buckets={bucket: list(parts) for bucket, parts in held.rows.get(name, {}).items()},
                limits=dict(held.limits.get(name, {})),
                strings=dict(held.strings.get(name, {})),
                alert=held.open.get(name),
            )
            for name in (*held.rows, *(name for name in held.open if name not in held.rows))
        }
        return PartitionState(
            dict(held.marks),
            dict(held.clocks),
            held.assessed_ms,
            Tags(tags),
            late=dict(held.late),
            next=held.next,
            covered_ms=held.covered_ms,
        )

    async def reset(self, partition: int, covered_ms: int | None) -> PartitionState:
        """Forget a partition; see `Store.reset`."""
        self._partitions[partition] = HeldPartition(self, covered_ms=covered_ms)
        return await self.load(partition)

    async def commit(self, partition: int, delta: Delta) -> None:
        """Store one packet; see `Store.commit`."""
        held = self._held(partition)
        found = held.marks.get(delta.source)
        if found != delta.expected:
            raise lost_mark(partition, delta.source, delta.expected, found)
        held.marks[delta.source] = delta.mark
        held.clocks[delta.source] = delta.clock
        held.next = delta.next
        for (name, bucket), rows in delta.rows.items():
            held.rows.setdefault(name, {}).setdefault(bucket, []).append(rows)
        for (name, bucket), cut in delta.cuts.items():
            held.rows.setdefault(name, {})[bucket] = [cut.rows]
            held.limits.setdefault(name, {})[bucket] = cut.limit
        for name, strings in delta.strings.items():
            held.strings.setdefault(name, {}).update(strings)
        for name, keys in delta.forgotten.items():
            _drop(held.strings, name, keys)
        held.late.update(delta.late)
        self._wrote(partition, held)

    async def record(self, partition: int, outcome: Outcome) -> None:
        """Store what a hop decided; see `Store.record`."""
        held = self._held(partition)
        if held.assessed_ms is not None and held.assessed_ms > outcome.hop_ms:
            raise lost_hop(partition, outcome.hop_ms, held.assessed_ms)
        held.assessed_ms = outcome.hop_ms
        held.late = {name: hop_ms for name, hop_ms in held.late.items() if hop_ms > outcome.hop_ms}
        for tag in outcome.tags:
            name = tag.assessment.hashtag
            held.open.pop(name, None)
            if tag.alert is not None and tag.alert.state is not State.RESOLVED:
                held.open[name] = tag.alert
        self._wrote(partition, held)

    async def evict(self, partition: int, evicted: Sequence[Evicted]) -> None:
        """Drop what is held no more; see `Store.evict`."""
        held = self._held(partition)
        for one in evicted:
            _drop(held.rows, one.hashtag, one.buckets)
            _drop(held.limits, one.hashtag, one.buckets)
            _drop(held.strings, one.hashtag, one.forgotten)
        self._wrote(partition, held)

    async def publish(self, partition: int, limits: Limits) -> None:
        """Let everybody know of full buckets; see `Store.publish`. Kept until the next time."""
        held = self._partitions.get(partition)
        if held is not None:
            held.full = limits

    async def published(self, partitions: Iterable[int]) -> Limits:
        """What was published; see `Store.published`."""
        held = [self._partitions[one].full for one in partitions if one in self._partitions]
        return {hashtag: limits for full in held for hashtag, limits in full.items()}

    def _held(self, partition: int) -> HeldPartition:
        held = self._partitions.get(partition)
        if held is None:
            raise lost_state(partition)
        if held.writer is not self:
            raise lost_to_writer(partition)
        if held.version != self._versions[partition]:
            raise lost_write(partition)
        return held

    def _wrote(self, partition: int, held: HeldPartition) -> None:
        held.version = self._versions[partition] = next(self._writes)


def _drop(of: dict[str, dict[int, V]], name: str, keys: Sequence[int]) -> None:
    kept = of.get(name, {})
    for key in keys:
        kept.pop(key, None)
    if not kept:
        of.pop(name, None)
