"""What comes for a partition is worked off in order, and partitions do not wait for one another."""

from __future__ import annotations

import asyncio

from streams.lanes import Lanes


class Slow:
    """Work that goes on when it is let go, and what it did in which order."""

    def __init__(self, most: int = 3) -> None:
        self.done: list[tuple[int, str]] = []
        self.busy: set[int] = set()
        self.gates: dict[int, asyncio.Semaphore] = {}
        self.lanes = Lanes(self.work, most)

    def gate(self, partition: int) -> asyncio.Semaphore:
        return self.gates.setdefault(partition, asyncio.Semaphore(0))

    async def work(self, partition: int, one: str) -> None:
        assert partition not in self.busy, "one thing of a partition at a time"
        self.busy.add(partition)
        await self.gate(partition).acquire()
        self.done.append((partition, one))
        self.busy.remove(partition)

    async def let(self, partition: int, count: int = 1) -> None:
        for _ in range(count):
            self.gate(partition).release()
        await settled()


async def settled() -> None:
    """Everybody went as far as he can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_partition_is_worked_off_in_order_and_does_not_hold_up_others() -> None:
    async def run() -> None:
        slow = Slow()
        for partition, one in ((0, "a"), (1, "b"), (0, "c"), (1, "d")):
            await slow.lanes.put(partition, one)
        await settled()
        assert slow.busy == {0, 1}
        await slow.let(1, 2)
        assert slow.done == [(1, "b"), (1, "d")]
        await slow.let(0, 2)
        assert slow.done[2:] == [(0, "a"), (0, "c")]
        await slow.lanes.put(1, "e")
        await slow.let(1)
        assert slow.done[-1] == (1, "e")

    asyncio.run(run())


def test_whoever_brings_too_much_has_to_wait() -> None:
    async def run() -> None:
        slow = Slow(most=2)
        bringing = asyncio.create_task(bring(slow, "abcde"))
        await settled()
        assert not bringing.done()
        await slow.let(0)
        assert not bringing.done()
        await slow.let(0)
        assert bringing.done(), "one is under way and two wait"
        await slow.let(0, 3)
        assert "".join(one for _, one in slow.done) == "abcde"

    asyncio.run(run())


def test_what_is_forgotten_is_not_worked_off_even_if_it_was_about_to_wait() -> None:
    async def run() -> None:
        slow = Slow(most=2)
        bringing = asyncio.create_task(bring(slow, "abcd"))
        await settled()
        slow.lanes.forget()
        await slow.let(0)
        assert bringing.done()
        assert slow.done == [(0, "a")], "what was under way goes on"
        await slow.lanes.put(0, "e")
        await slow.let(0)
        assert slow.done == [(0, "a"), (0, "e")]

    asyncio.run(run())


async def bring(slow: Slow, what: str) -> None:
    for one in what:
        await slow.lanes.put(0, one)
