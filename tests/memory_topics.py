"""The topics `rows` and `alerts` in memory: what a monitor reads again, and what it has told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from streams.news import Item
from streams.periods import PERIOD_MS, Closing, encode
from streams.rows_log import PacketLog
from streams.store import lost_to_writer


@dataclass
class MemoryLog:
    """One partition of `rows`, as far as its packets were retained.

    Attributes
    ----------
    first : int
        Offset of the first of `packets`.
    group : int
        The offset up to which the consumer group has counted.
    """

    packets: list[bytes] = field(default_factory=list)
    first: int = 0
    group: int = 0

    async def counted(self) -> int:
        return self.group

    async def earliest(self) -> int:
        return self.first

    async def read(self, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        for at in range(max(start, self.first), end):
            yield at, self.packets[at - self.first]

    @asynccontextmanager
    async def opened(self, partition: int) -> AsyncIterator[PacketLog]:
        yield self


@dataclass
class MemoryNews:
    """What was told, and the last hop of each partition: outlives the monitors that tell.

    Attributes
    ----------
    tellers : dict
        By partition, who took it over last; several tellers of one topic share all four.
    periods : list of bytes
        The topic `baseline`, in the order in which it was written.
    """

    told: list[tuple[int, int, Item]] = field(default_factory=list)
    register: dict[int, int] = field(default_factory=dict)
    tellers: dict[int, MemoryNews] = field(default_factory=dict)
    periods: list[bytes] = field(default_factory=list)

    async def open(self, partition: int) -> None:
        self.register.setdefault(partition, 0)
        self.tellers[partition] = self

    async def tell(
        self, partition: int, hop_ms: int, items: Sequence[Item], closing: Closing | None = None
    ) -> None:
        if not items and closing is None:
            return
        if self.tellers[partition] is not self:
            raise lost_to_writer(partition)
        if self.register[partition] < hop_ms:
            self.told += [(partition, hop_ms, item) for item in items]
            self.periods += [] if closing is None else [encode(closing)]
            self.register[partition] = hop_ms

    async def passed(self, partition: int, assessed_ms: int) -> int:
        return max(assessed_ms, self.register.get(partition, 0)) // PERIOD_MS * PERIOD_MS

    async def repeat(self, closing: Closing) -> None:
        if self.tellers[closing.partition] is not self:
            raise lost_to_writer(closing.partition)
        self.periods.append(encode(closing))

    async def close(self, partition: int) -> None:
        pass
