"""The topic `rows` read on the side, by a partition's owner that has to catch up with what it should know.

The consumer group says which packets have been counted. Where the store holds less, because it was emptied or
went back to an older state, the packets are still in the topic, and counting them again gives the same state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.settings import Settings
from streams.topics import MAX_MESSAGE_BYTES

_POLL_MS: Final = 1_000


class PacketLog(Protocol):
    """The packets of one destination partition, as far back as they were kept."""

    async def counted(self) -> int:
        """The offset up to which the group has counted, 0 if it never did."""
        ...

    async def earliest(self) -> int:
        """The first offset that is still there."""
        ...

    def read(self, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        """Messages from `start`, or the first that is still there, up to before `end`."""
        ...


class RowsLog:
    """A `PacketLog` on the topic `rows`."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition

    async def counted(self) -> int:
        """See `PacketLog.counted`."""
        return await self._consumer.committed(self._partition) or 0

    async def earliest(self) -> int:
        """See `PacketLog.earliest`."""
        found = await self._consumer.beginning_offsets([self._partition])
        return int(found[self._partition])

    async def read(self, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        """See `PacketLog.read`."""
        self._consumer.seek(self._partition, max(start, await self.earliest()))
        while await self._consumer.position(self._partition) < end:
            found = await self._consumer.getmany(self._partition, timeout_ms=_POLL_MS)
            for record in found.get(self._partition, ()):
                if record.offset < end:
                    yield record.offset, record.value or b""


@asynccontextmanager
async def opened(settings: Settings, partition: int) -> AsyncIterator[PacketLog]:
    """The log of a partition, read without being a member of the group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(settings.kafka_servers),
        client_id="floodmark-rows",
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
    )
    try:
        await consumer.start()
        here = TopicPartition(settings.rows_topic, partition)
        consumer.assign([here])
        yield RowsLog(consumer, here)
    finally:
        await consumer.stop()
