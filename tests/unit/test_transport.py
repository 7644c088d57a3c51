"""What was fetched goes through the installed Faust in bundles, and is committed to the end.

Nothing but the fetching is stood in for: Faust's own reading, bookkeeping and commit rule run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP, ConsumerMessage
from mode import Service

from streams import transport
from streams.transport import MOST, MOST_BYTES, bundles

POSTS, ROWS = TP("posts", 0), TP("rows", 0)


def record(tp: TP, offset: int, value: bytes = b"{}") -> Any:
    """As the Kafka client gives it."""
    return SimpleNamespace(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=1_000,
        timestamp_type=1,
        headers=(),
        key=None,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=len(value),
    )


def message(offset: int, value: bytes = b"") -> ConsumerMessage:
    return ConsumerMessage("posts", 0, offset, 0.0, 0, None, None, value, None)


class Fetching(transport.Consumer):
    """A consumer that fetches what it is told to, piece by piece, and then stops."""

    async def _wait_next_records(self, timeout: float) -> Any:
        if not self.fetches:
            self._stopped.set()
            return None, None
        return self.fetches.pop(0), {POSTS, ROWS}

    def highwater(self, tp: TP) -> int:
        return 0

    async def seek_to_committed(self) -> dict[TP, int]:
        return {POSTS: 1_000}

    def _new_consumer_thread(self) -> Any:
        return Service()  # Faust's has an event loop of its own, for the client


async def drained(
    *fetches: dict[TP, list[Any]], committed: int | None = None, kind: type[Fetching] = Fetching
) -> Any:
    """A consumer that handed over what it fetched; `handed` has it."""
    app = faust.App("test", broker="kafka://127.0.0.1:1", topic_disable_leader=True)
    app.topics.acks_enabled_for = lambda _: True
    transport.use(app, "posts")
    assert app.transport.Consumer is transport.Consumer
    handed: list[Any] = []

    async def callback(message: Any) -> None:
        handed.append(message)

    consumer: Any = kind(app.transport, callback, None, None)  # type: ignore[arg-type]  # no rebalance
    consumer.fetches, consumer.handed = list(fetches), handed
    consumer._read_offset |= {POSTS: committed, ROWS: None}
    consumer._committed_offset |= {POSTS: committed, ROWS: None}
    consumer._stopped.clear()
    await consumer._drain_messages(SimpleNamespace(_stopped=asyncio.Event()))
    return consumer


async def no_one(*_: Any, **__: Any) -> None:
    """Nobody has to be told."""


def committable(consumer: Any, tp: TP = POSTS) -> int | None:
    """What one commit would commit, which is then committed."""
    offset: int | None = consumer._new_offset(tp)
    if offset is not None:
        consumer._committed_offset[tp] = offset
    return offset


def offsets(messages: Sequence[Any]) -> list[int]:
    return [one.offset for one in messages]


async def test_one_fetch_of_a_partition_is_one_bundle_and_other_topics_are_left_alone() -> None:
    consumer = await drained(
        {POSTS: [record(POSTS, at, b"%d" % at) for at in range(7, 10)], ROWS: [record(ROWS, 3)]},
        {POSTS: [record(POSTS, 10)]},
        committed=7,
    )
    *made, rows = sorted(consumer.handed, key=lambda one: (one.tp.topic, one.offset))
    assert rows.tp == ROWS
    assert not isinstance(rows, transport.Bundle)
    assert [offsets(bundle.messages) for bundle in made] == [[7, 8, 9], [10]]
    assert [bundle.offset for bundle in made] == [9, 10]
    assert [one.value for one in made[0].messages] == [b"7", b"8", b"9"]
    assert made[0].timestamp == 1.0


@pytest.mark.parametrize("first", [0, 1, 2, 40])
@pytest.mark.parametrize("together", [[1, 1, 1], [1, 5, 5], [5, 5, 5], [5, 1, 600]])
async def test_what_is_acknowledged_is_committed_to_the_end_by_one_commit(
    first: int, together: list[int]
) -> None:
    fetches, at = [], first
    for size in together:
        fetches.append({POSTS: [record(POSTS, offset) for offset in range(at, at + size)]})
        at += size
    consumer = await drained(*fetches, committed=first or None)
    handed = [offset for bundle in consumer.handed for offset in offsets(bundle.messages)]
    assert handed == [*range(first, at)]
    assert committable(consumer) is None
    for bundle in consumer.handed:
        consumer.ack(bundle)
    assert committable(consumer) == at
    assert committable(consumer) in (None, at)


@pytest.mark.parametrize("first", [0, 1, 40])
async def test_nothing_is_committed_that_was_not_acknowledged(first: int) -> None:
    every = [
        {POSTS: [record(POSTS, at) for at in range(low, low + 5)]} for low in range(first, first + 50, 5)
    ]
    consumer = await drained(*every, committed=first or None)
    for bundle in consumer.handed:
        consumer.ack(bundle)
        assert committable(consumer) == bundle.offset + 1


@pytest.mark.parametrize("first", [0, 1, 20])
@pytest.mark.parametrize("holes", [{1}, {1, 3, 4, 6}, {2, 3}, {1, 2, 5, 6, 7}])
@pytest.mark.parametrize("at_once", [True, False])
async def test_offsets_that_hold_nothing_do_not_hold_up_the_commit(
    first: int, holes: set[int], at_once: bool
) -> None:
    places = [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]
    fetches = [
        {POSTS: [record(POSTS, first + at) for at in places_ if at not in holes]} for places_ in places
    ]
    consumer = await drained(*fetches, committed=first or None)
    for bundle in consumer.handed:
        consumer.ack(bundle)
        assert at_once or committable(consumer) == bundle.offset + 1
    assert committable(consumer) == (first + 10 if at_once else None)


async def test_what_is_acknowledged_late_does_not_commit_what_is_read_anew() -> None:
    small = [{POSTS: [record(POSTS, at) for at in range(low, low + 7)]} for low in (1_000, 1_007, 1_014)]
    consumer = await drained(*small, committed=1_000)
    revoked = set(consumer._committed_offset)
    consumer._on_partitions_revoked = no_one
    await consumer.on_partitions_revoked(revoked)
    for bundle in consumer.handed:
        consumer.ack(bundle)  # the batch that was being sent when partitions left
    consumer.app.consumer_generation_id += 1
    await consumer.perform_seek()
    consumer.handed.clear()
    consumer._stopped.clear()
    consumer.fetches = [{POSTS: [record(POSTS, at) for at in range(1_000, 1_500)]}]
    await consumer._drain_messages(SimpleNamespace(_stopped=asyncio.Event()))
    (bundle,) = consumer.handed
    assert [committable(consumer) for _ in range(3)] == [None] * 3
    consumer.ack(bundle)
    assert committable(consumer) == 1_500


async def test_once_partitions_are_dealt_out_anew_nothing_more_of_a_fetch_is_handed_over() -> None:
    consumer = await drained(committed=5)
    consumer._stopped.clear()
    consumer.fetches = [{POSTS: [record(POSTS, at) for at in range(5, 6 + 2 * MOST)]}]
    handed = []
    async for _, bundle in consumer.getmany(1.0):
        handed.append(bundle)
        assert consumer.fetched(POSTS) == 5 + 2 * MOST
        consumer.app.consumer_generation_id += 1
    assert len(handed) == 1
    assert consumer.fetched(POSTS) == -1, "what was fetched before is fetched again"


async def test_what_is_fetched_after_partitions_were_dealt_out_anew_is_handed_over() -> None:
    class Late(Fetching):
        async def _wait_next_records(self, timeout: float) -> Any:
            self.app.consumer_generation_id += len(self.fetches)
            return await super()._wait_next_records(timeout)

    consumer = await drained({POSTS: [record(POSTS, at) for at in range(5, 8)]}, committed=5, kind=Late)
    assert [offsets(bundle.messages) for bundle in consumer.handed] == [[5, 6, 7]]
    assert consumer.fetched(POSTS) == 7
    assert consumer.fetched(ROWS) == -1


def test_a_bundle_ends_with_so_many_messages_or_bytes() -> None:
    made = list(bundles([message(at) for at in range(2, 2 + 2 * MOST + 1)]))
    assert [len(bundle.messages) for bundle in made] == [MOST, MOST, 1]
    half = bytes(MOST_BYTES // 2)
    made = list(bundles([message(at, half) for at in range(2, 5)]))
    assert [offsets(bundle.messages) for bundle in made] == [[2, 3], [4]]
