"""Workers in memory over one store, one log and one topic of alerts; each may stop between any two awaits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from memory_topics import MemoryLog, MemoryNews
from prometheus_client import CollectorRegistry

from detectors.baseline import Baseline
from streams.memory_store import HeldPartition, MemoryStore
from streams.metrics import Metrics
from streams.monitor import Outcome
from streams.monitoring import Monitoring
from streams.news import Item
from streams.periods import decode
from streams.pipeline import PUNCTUATION
from streams.rows_log import PacketLog
from streams.settings import Settings

PARTITION: Final = 0

Burn = Callable[[], Awaitable[None]]
Point = Callable[[str], Awaitable[None]]


class Killed(Exception):
    """The process of a worker ended here."""


@dataclass
class Fuse:
    """Something that happens once, between two awaits of a worker.

    Attributes
    ----------
    points : int
        How many places are passed before; there is one before every call and one after.
    burn : coroutine function
    call : str
        The only calls that count, by their name; all do if empty.
    """

    points: int
    burn: Burn
    call: str = ""

    async def pass_by(self, call: str) -> None:
        """Burn, if this is the place."""
        if self.call not in ("", call):
            return
        self.points -= 1
        if self.points == -1:
            await self.burn()


@dataclass
class Shared:
    """What outlives workers: one destination partition, stored, logged and told.

    Attributes
    ----------
    outcomes : list of Outcome
        Every hop that a worker wanted to store, refused or not.
    ends : list of int
        How much had been told each time a worker said that all was.
    """

    partitions: dict[int, HeldPartition] = field(default_factory=dict)
    log: MemoryLog = field(default_factory=MemoryLog)
    told: list[tuple[int, int, Item]] = field(default_factory=list)
    periods: list[bytes] = field(default_factory=list)
    hops_told: dict[int, int] = field(default_factory=dict)
    tellers: dict[int, MemoryNews] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    @property
    def writer(self) -> object:
        """The store that may write; None if nothing is stored."""
        held = self.partitions.get(PARTITION)
        return None if held is None else held.writer

    @property
    def teller(self) -> object:
        """Whose news are taken; None if nobody's were."""
        return self.tellers.get(PARTITION)

    def copied(self) -> dict[int, HeldPartition]:
        """What is stored now; who may write it is part of it."""
        return {partition: _copied(held) for partition, held in self.partitions.items()}

    def put_back(self, stored: Mapping[int, HeldPartition]) -> None:
        """Lose what is stored for something else."""
        self.partitions.clear()
        self.partitions.update(stored)


def _copied(held: HeldPartition) -> HeldPartition:
    # Rows and alerts are never changed, only replaced.
    return replace(
        held,
        marks=dict(held.marks),
        clocks=dict(held.clocks),
        rows={name: {bucket: list(parts) for bucket, parts in of.items()} for name, of in held.rows.items()},
        limits={name: dict(of) for name, of in held.limits.items()},
        strings={name: dict(of) for name, of in held.strings.items()},
        late=dict(held.late),
        open=dict(held.open),
    )


class Worker:
    """A process with a `Monitoring` that owns the partition.

    Parameters
    ----------
    at : int
        Offset of the packet that it gets first.

    Attributes
    ----------
    loads : int
        How often it took the partition over.
    acknowledged : int
        The offset after the last packet that it says it counted.
    heard : int
        How much of the topic `baseline` it has read.
    """

    def __init__(self, settings: Settings, shared: Shared, at: int) -> None:
        self.at = at
        self.loads = 0
        self.acknowledged = 0
        self.heard = 0
        self.store = MemoryStore(shared.partitions)
        self.news = MemoryNews(shared.told, shared.hops_told, shared.tellers, shared.periods)
        self._shared = shared
        self._fuse: Fuse | None = None
        self._stalled = asyncio.Event()
        self._woken = asyncio.Event()
        self._task: asyncio.Future[None] | None = None
        store: Any = _Burning(self.store, self._point, self._seen)
        news: Any = _Burning(self.news, self._point)
        metrics = Metrics(CollectorRegistry())
        self._monitoring = Monitoring(
            settings, metrics, store, news, self._opened, self._send, Baseline.prior()
        )
        self._monitoring.assign([PARTITION])

    def arm(self, fuse: Fuse | None) -> None:
        """Lay a fuse in place of one that did not burn yet."""
        self._fuse = fuse

    async def take(self, at: int) -> bool:
        """Count the packet at an offset; false if the worker stalls meanwhile."""
        log = self._shared.log
        return await self._until_stalled(self._take(at, log.packets[at - log.first]))

    async def listen(self) -> bool:
        """Read what was told of completed periods, to the end; false as above."""
        return await self._until_stalled(self._listen())

    @property
    def held(self) -> bool:
        """Whether its partition is not loaded, or a hop of it is held."""
        owned = self._monitoring._owned.get(PARTITION)
        return owned is None or owned.monitor is None or owned.monitor.held

    async def tick(self) -> bool:
        """Load the partition, if it is not; false as above."""
        return await self._until_stalled(self._monitoring.tick())

    async def leave(self) -> bool:
        """Let go of the partition; false as above."""
        return await self._until_stalled(self._monitoring.release())

    async def rejoin(self, at: int) -> bool:
        """Let go of the partition and get it again, from an offset on; false as above."""
        left = await self.leave()
        if left:
            self._monitoring.assign([PARTITION])
            self.at = at
        return left

    async def stall(self) -> None:
        """For a fuse: stand still until `wake`."""
        self._stalled.set()
        await self._woken.wait()

    @property
    def stalled(self) -> bool:
        """Whether it stands between two awaits."""
        return self._task is not None

    async def wake(self) -> bool:
        """Go on to the end of the call in which it stalled."""
        self._woken.set()
        task, self._task = self._task, None
        if task is not None:
            await task
        return True

    async def _take(self, at: int, payload: bytes) -> None:
        self.at = max(self.at, at + 1)

        def done() -> None:
            self.acknowledged = max(self.acknowledged, at + 1)

        await self._monitoring.take(PARTITION, at, payload, done)

    async def _listen(self) -> None:
        while True:
            if self._monitoring.hears_again():
                self.heard = 0
            new = self._shared.periods[self.heard :]
            if not new:
                return
            self.heard += len(new)
            await self._monitoring.hear([decode(value) for value in new])

    async def _until_stalled(self, work: Awaitable[None]) -> bool:
        task, stalled = asyncio.ensure_future(work), asyncio.create_task(self._stalled.wait())
        await asyncio.wait({task, stalled}, return_when=asyncio.FIRST_COMPLETED)
        stalled.cancel()
        if not task.done():
            self._task = task
            return False
        await task
        return True

    async def _point(self, call: str) -> None:
        if self._fuse is not None:
            await self._fuse.pass_by(call)

    def _seen(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.loads += name in ("load", "reset")  # both take the partition over
        if name == "record":
            self._shared.outcomes.append(arguments[1])

    @asynccontextmanager
    async def _opened(self, partition: int) -> AsyncIterator[PacketLog]:
        await self._point("opened")
        yield _BurningLog(self._shared.log, self._point)

    async def _send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None, headers: Mapping[str, bytes]
    ) -> Awaitable[object]:
        assert PUNCTUATION in headers
        await self._point("send")
        self._shared.ends.append(len(self._shared.told))
        return self._point("send")


class _Burning:
    """A store or a teller with a point before and after each of its calls; a hop without news is no call."""

    def __init__(
        self, inner: object, point: Point, seen: Callable[[str, tuple[Any, ...]], None] | None = None
    ) -> None:
        self._inner = inner
        self._point = point
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        async def burning(*arguments: Any) -> Any:
            if name == "passed" or (name == "tell" and not arguments[-2] and arguments[-1] is None):
                return await call(*arguments)
            await self._point(name)
            if self._seen is not None:
                self._seen(name, arguments)
            given = await call(*arguments)
            await self._point(name)
            return given

        return burning


class _BurningLog:
    """A log with a point before each of its answers."""

    def __init__(self, log: PacketLog, point: Point) -> None:
        self._log = log
        self._point = point

    async def counted(self) -> int:
        await self._point("counted")
        return await self._log.counted()

    async def earliest(self) -> int:
        await self._point("earliest")
        return await self._log.earliest()

    async def read(self, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        async for message in self._log.read(start, end):
            await self._point("read")
            yield message
