"""What comes for several partitions, worked off in order in each and side by side among them.

One stream carries the messages of all partitions. While one partition waits for its broker or store, the
others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Lane(Generic[T]):
    """What waits for one partition, with the generation it came in; the task is None while nothing does."""

    waiting: asyncio.Queue[tuple[int, T]]
    task: asyncio.Task[None] | None = None


@dataclass
class Lanes(Generic[T]):
    """The owner of what waits to be worked off.

    Parameters
    ----------
    work : callable
        From a partition and what came for it; called for one thing of a partition at a time, never raising.
    most : int
        So much may wait for a partition.
    """

    work: Callable[[int, T], Awaitable[None]]
    most: int
    _lanes: dict[int, _Lane[T]] = field(default_factory=dict, init=False)
    _generation: int = field(default=0, init=False)

    async def put(self, partition: int, one: T) -> None:
        """Have it worked off behind what waits for its partition; waits where too much does."""
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane(asyncio.Queue(self.most))
        await lane.waiting.put((self._generation, one))
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(partition, lane))

    def forget(self) -> None:
        """Drop what waits, and what is about to; what is under way goes on."""
        self._generation += 1

    async def _run(self, partition: int, lane: _Lane[T]) -> None:
        while not lane.waiting.empty():
            generation, one = lane.waiting.get_nowait()
            if generation == self._generation:
                await self.work(partition, one)
        lane.task = None
