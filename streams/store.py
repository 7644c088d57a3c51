"""Where a partition's state outlives its process: one protocol, kept in memory or in Redis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from streams.full import Limits
from streams.monitor import Delta, Evicted, Outcome, PartitionState


class OwnershipLost(RuntimeError):
    """Another worker has taken this partition over: stop, and count nothing twice."""


class StateLost(RuntimeError):
    """The store does not hold what was stored: it was emptied, or went back to an older state."""


class Store(Protocol):
    """State of destination partitions. All writes of one packet or one hop happen or none does.

    A store is the writer of the partitions it loaded, until another store loads them. A store that is not
    the writer is refused, whatever it wants to write: two workers that both believe to own a partition
    cannot both go on.

    Every write raises `OwnershipLost` if another store took the partition over, and `StateLost` if the
    partition was not loaded, or what it held then is not there any more.
    """

    async def load(self, partition: int) -> PartitionState:
        """Take a partition over: everything stored of it; an empty state if nothing is.

        Raises
        ------
        StateLost
            If rows that a later hop can see are not there any more.
        """
        ...

    async def reset(self, partition: int, covered_ms: int | None) -> PartitionState:
        """Take a partition over and forget all that is stored of it; gives what is left.

        Parameters
        ----------
        covered_ms : int or None
            See `PartitionState`.
        """
        ...

    async def commit(self, partition: int, delta: Delta) -> None:
        """Store rows, strings, mark and clock of one packet.

        Raises
        ------
        OwnershipLost, StateLost
            `StateLost` also if the stored mark of the source is not `delta.expected`.
        """
        ...

    async def record(self, partition: int, outcome: Outcome) -> None:
        """Store what a hop decided: the hop, each tag's open alert, summaries for readers, alerts.

        May be repeated with the same outcome after a crash: nobody is told twice.

        Raises
        ------
        OwnershipLost, StateLost
            `StateLost` also if a later hop is stored already.
        """
        ...

    async def evict(self, partition: int, evicted: Sequence[Evicted]) -> None:
        """Drop buckets and strings that are held no more, in their order; each hashtag's at once.

        Raises
        ------
        OwnershipLost, StateLost
        """
        ...

    async def publish(self, partition: int, limits: Limits) -> None:
        """Let everybody know of the full buckets of a partition, for a minute; anybody may."""
        ...

    async def published(self, partitions: Iterable[int]) -> Limits:
        """What was published last of these partitions, unless it is older than that."""
        ...


def lost_to_writer(partition: int) -> OwnershipLost:
    """The refusal of a store that is no longer the writer."""
    return OwnershipLost(
        f"partition {partition} was taken over by another worker: this one stops; restart it to join in again"
    )


def lost_state(partition: int) -> StateLost:
    """The refusal of a store that holds nothing of the partition any more."""
    return StateLost(f"nothing is stored of partition {partition} any more")


def lost_write(partition: int) -> StateLost:
    """The refusal of a store that went back to before the last write."""
    return StateLost(f"what was written last of partition {partition} is not stored any more")


def lost_mark(partition: int, source: int, expected: int | None, found: int | None) -> StateLost:
    """The refusal of a packet that does not continue what is stored."""
    shown = ["none" if mark is None else str(mark) for mark in (expected, found)]
    return StateLost(
        f"partition {partition} expected mark {shown[0]} of source partition {source},"
        f" but {shown[1]} is stored"
    )


def lost_hop(partition: int, hop_ms: int, found_ms: int) -> StateLost:
    """The refusal of a hop that was passed already."""
    return StateLost(f"partition {partition} brings hop {hop_ms}, but hop {found_ms} is stored")


def lost_news(partition: int, expected_ms: int | None, found_ms: int | None) -> StateLost:
    """The refusal of alerts before which others are missing."""
    shown = ["none" if hop_ms is None else str(hop_ms) for hop_ms in (expected_ms, found_ms)]
    return StateLost(
        f"partition {partition} told alerts of hop {shown[0]} last, but in the stream the last are of"
        f" {shown[1]}"
    )


def lost_rows(partition: int, buckets: int) -> StateLost:
    """What to say of rows that expired or were deleted while they were needed."""
    return StateLost(f"rows of {buckets} buckets of partition {partition} are not stored any more")
