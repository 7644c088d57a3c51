"""Micro-batches and partition ownership, with topics and offsets in memory and a real Redis."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from memory_topics import MemoryLog, MemoryNews
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from detectors.baseline import Baseline
from detectors.sample import mixed
from streams import clock, embedded, formats, periods
from streams.ending import BUG, STOPPED
from streams.ingestion import DeadShare, Ingestion, TooManyDead, within_limit
from streams.memory_store import HeldPartition, MemoryStore
from streams.metrics import Metrics
from streams.monitor import Gap, PartitionState
from streams.monitoring import Monitoring, StoreAway
from streams.news import Item
from streams.packets import Packet, decode, encode, pack
from streams.periods import Closing
from streams.pipeline import END, PUNCTUATION, Message
from streams.posts import Post
from streams.redis_store import RedisStore
from streams.settings import Settings
from streams.store import Store
from streams.topics import TopicMismatchError
from streams.worker import same_topics


def post(number: int, hashtag: str = "tag") -> Post:
    return Post(
        id=str(number),
        account_id=str(number),
        time_ms=number * 1_000,
        text=f"text {number}",
        hashtags=(hashtag,),
    )


def message(offset: int, value: bytes | None = None) -> Message:
    return Message(offset, formats.encode(post(offset)) if value is None else value)


@dataclass
class Broker:
    """Takes messages; `release` is when it has them, `end` what it says of a source with nothing unread."""

    end: int | None = None
    asked: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[tuple[str, bytes, int | None, dict[str, bytes]]] = field(default_factory=list)

    async def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None, headers: Mapping[str, bytes]
    ) -> Awaitable[object]:
        self.sent.append((topic, value, partition, dict(headers)))
        return self.release.wait()

    async def exhausted(self, source: int, since: int) -> int | None:
        self.asked += 1
        return self.end

    def packets(self) -> list[Packet]:
        return [decode(value) for topic, value, _, _ in self.sent if topic == "rows"]


async def from_first(source: int, first: int) -> int:
    return first


def ingestion(broker: Broker, **overrides: object) -> Ingestion:
    settings = Settings.load(partitions=2, batch_ms=60_000, **overrides)
    made = Ingestion(settings, Metrics(CollectorRegistry()), broker.send, from_first, broker.exhausted)
    made.assign([0, 1])
    return made


async def test_rows_that_a_full_bucket_would_leave_out_are_not_sent_and_counted() -> None:
    broker = Broker()
    broker.release.set()
    metrics = Metrics(CollectorRegistry())
    settings = Settings.load(partitions=2, batch_posts=10)
    made = Ingestion(settings, metrics, broker.send, from_first, broker.exhausted)
    made.assign([0])
    acknowledged: list[int] = []
    for first in (0, 10):
        for number in range(10):
            one = msgspec.structs.replace(post(number), id=str(first + number))
            at = first + number
            await made.take(0, [message(at, formats.encode(one))], partial(acknowledged.append, at))
        made.spare({"tag": {0: 2**62}})
    sent = [packet for packet in broker.packets() if packet.counts]
    every, some = (packet.table()[0]["account"] for packet in sent)
    assert [(packet.start, packet.end) for packet in sent] == [(0, 10), (10, 20)]
    assert some.tolist() == every[mixed(every) < 2**62].tolist()
    assert 0 < len(some) < len(every) == 10
    assert acknowledged == list(range(20))
    assert metrics.registry.get_sample_value("floodmark_spared_rows_total") == 10 - len(some)
    assert metrics.registry.get_sample_value("floodmark_posts_total", {"result": "read"}) == 20


async def test_nothing_is_acknowledged_before_the_broker_has_every_packet() -> None:
    broker, acknowledged = Broker(), []
    batches = ingestion(broker, batch_posts=2)
    await batches.take(0, [message(5)], lambda: acknowledged.append(5))
    sending = asyncio.create_task(batches.take(0, [message(6)], lambda: acknowledged.append(6)))
    while len(broker.sent) < 2:
        await asyncio.sleep(0)
    assert acknowledged == []
    broker.release.set()
    await sending
    assert acknowledged == [5, 6]


async def test_ranges_are_contiguous_and_reach_every_destination_even_when_empty() -> None:
    broker = Broker()
    broker.release.set()
    batches = ingestion(broker, batch_posts=2)
    for offset in (5, 6, 7, 9):  # 8 is the marker of a transaction
        await batches.take(0, [message(offset)], lambda: None)
    assert [(p.start, p.end, p.source) for p in broker.packets()] == [(5, 7, 0)] * 2 + [(7, 10, 0)] * 2
    assert [partition for _, _, partition, _ in broker.sent] == [0, 1, 0, 1]
    assert sorted(sum(p.counts) for p in broker.packets()) == [0, 0, 2, 2]


async def test_a_message_read_again_is_acknowledged_and_not_sent_again() -> None:
    broker, acknowledged = Broker(), []
    broker.release.set()
    batches = ingestion(broker, batch_posts=1)
    await batches.take(0, [message(5)], lambda: None)
    await batches.take(0, [message(5)], lambda: acknowledged.append("again"))
    assert acknowledged == ["again"]
    assert len(broker.packets()) == 2


async def test_messages_that_come_together_are_acknowledged_together_with_the_last_of_them() -> None:
    broker, acknowledged = Broker(), []
    broker.release.set()
    batches = ingestion(broker, batch_posts=2)
    await batches.take(0, list(map(message, (5, 6, 7))), lambda: acknowledged.append("to 7"))
    assert [(packet.start, packet.end) for packet in broker.packets()] == [(5, 7)] * 2
    assert acknowledged == [], "the last waits for more"
    await batches.take(0, list(map(message, (6, 7))), lambda: acknowledged.append("to 7, again"))
    assert acknowledged == [], "nor is it with the broker if it comes again"
    await batches.take(0, list(map(message, (7, 8))), lambda: acknowledged.append("to 8"))
    assert [(packet.start, packet.end) for packet in broker.packets()] == [(5, 7)] * 2 + [(7, 9)] * 2
    assert acknowledged == ["to 7", "to 7, again", "to 8"]


async def test_of_messages_that_come_together_none_is_taken_once_their_partition_has_gone() -> None:
    broker, acknowledged = Broker(), []
    batches = ingestion(broker, batch_posts=2)
    taking = asyncio.create_task(
        batches.take(0, list(map(message, (5, 6, 7, 8))), lambda: acknowledged.append("to 8"))
    )
    while len(broker.sent) < 2:
        await asyncio.sleep(0)
    leaving = asyncio.create_task(batches.release())
    await asyncio.sleep(0)
    broker.release.set()
    await asyncio.gather(taking, leaving)
    batches.assign([0])
    assert [(packet.start, packet.end) for packet in broker.packets()] == [(5, 7)] * 2
    assert acknowledged == [], "whoever owns it next reads them again"


async def test_a_batch_that_is_being_sent_does_not_hold_up_those_that_are_due() -> None:
    broker, acknowledged = Broker(), []
    settings = Settings.load(partitions=2, batch_posts=2, batch_ms=1)
    batches = Ingestion(settings, Metrics(CollectorRegistry()), broker.send, from_first, broker.exhausted)
    batches.assign([0, 1])
    sending = asyncio.create_task(batches.take(0, [message(5), message(6)], lambda: acknowledged.append(6)))
    await batches.take(1, [message(0)], lambda: acknowledged.append(0))
    await asyncio.sleep(0.01)
    flushing = asyncio.create_task(batches.flush_due())
    while len(broker.sent) < 4:
        await asyncio.sleep(0)
    assert [packet.source for packet in broker.packets()] == [0, 0, 1, 1]
    broker.release.set()
    await asyncio.gather(sending, flushing)
    assert sorted(acknowledged) == [0, 6]


def test_a_batch_whose_rows_outgrow_a_packet_goes_in_parts_without_a_gap() -> None:
    crowded = Message(
        2, formats.encode(msgspec.structs.replace(post(2), hashtags=tuple(map(str, range(40)))))
    )
    parts = within_limit([message(1), crowded, message(3)], 0, 1, 1, limit=2_000)
    packets = [decode(packet) for _, (packet,) in parts]
    assert [(p.start, p.end) for p in packets] == [(1, 2), (2, 3), (3, 4)]
    assert [sum(p.counts) for p in packets] == [1, 0, 1]
    (dead,) = [letter for ingested, _ in parts for letter in ingested.dead]
    assert dead.offset == 2
    assert "more than the 2000 of a packet" in dead.invalid.reason


async def test_the_end_of_a_source_goes_at_once() -> None:
    broker = Broker()
    broker.release.set()
    batches = ingestion(broker, batch_posts=100)
    await batches.take(1, [message(0)], lambda: None)
    await batches.take(1, [Message(1, b"", {PUNCTUATION: END})], lambda: None)
    assert [(p.start, p.end, p.ended) for p in broker.packets()] == [(0, 2, True)] * 2


async def test_what_was_not_sent_is_left_to_the_next_owner() -> None:
    broker, acknowledged = Broker(), []
    broker.release.set()
    batches = ingestion(broker, batch_posts=2)
    await batches.take(0, [message(5)], lambda: acknowledged.append(5))
    await batches.release()
    await batches.take(0, [message(6)], lambda: acknowledged.append(6))
    assert (broker.sent, acknowledged) == ([], [])


def test_some_dead_posts_are_tolerated_and_a_flood_of_them_is_not() -> None:
    share = DeadShare(limit=0.5, payloads=10)
    share.add({"posts": 5, "invalid": 5})
    with pytest.raises(TooManyDead, match="6 of the last 10 payloads"):
        share.add({"posts": 4, "invalid": 6})


def monitoring(
    settings: Settings,
    store: Store | None = None,
    *,
    broker: Broker | None = None,
    rows: MemoryLog | None = None,
    news: MemoryNews | None = None,
    metrics: Metrics | None = None,
) -> Monitoring:
    made = Monitoring(
        settings,
        metrics or Metrics(CollectorRegistry()),
        store or MemoryStore(),
        news or MemoryNews(),
        (rows or MemoryLog()).opened,
        (broker or Broker()).send,
        Baseline.prior(),
    )
    made.assign([0])
    return made


@asynccontextmanager
async def redis_store(settings: Settings) -> AsyncIterator[RedisStore]:
    store = RedisStore(settings, Redis.from_url(settings.redis_url))
    try:
        yield store
    finally:
        await store.close()


def packet(start: int, end: int, *, ended: bool = False) -> bytes:
    posts = [(offset, post(offset)) for offset in range(start, end)]
    return encode(pack(posts, 0, start, end, 1, ended=ended)[0])


async def counts(owned: Monitoring, at: int, payload: bytes) -> bool:
    """Hand a packet over, and all that is told of completed periods; whether it is acknowledged."""
    acknowledged: list[int] = []
    await owned.take(0, at, payload, lambda: acknowledged.append(at))
    await hear(owned)
    return acknowledged == [at]


async def hear(owned: Monitoring) -> None:
    told: Any = owned._news
    heard = -1
    while heard < len(told.periods):
        heard = len(told.periods)
        await owned.hear([periods.decode(value) for value in told.periods])


async def test_missing_offsets_stop_the_monitor() -> None:
    owned = monitoring(Settings.load(partitions=1))
    assert await counts(owned, 0, packet(0, 5))
    with pytest.raises(Gap, match="2 offsets are missing"):
        await owned.take(0, 1, packet(7, 9))


async def test_a_partition_that_went_to_another_worker_is_left_alone() -> None:
    owned = monitoring(Settings.load(partitions=1))
    await owned.release()
    assert not await counts(owned, 0, packet(0, 5))


async def test_the_end_is_told_once_after_the_last_hop() -> None:
    broker = Broker()
    broker.release.set()
    owned = monitoring(Settings.load(partitions=1), broker=broker)
    assert await counts(owned, 0, packet(0, 5, ended=True))
    await owned.tick()
    assert [(topic, headers) for topic, _, _, headers in broker.sent] == [("alerts", {PUNCTUATION: END})]


async def test_a_silent_source_is_idle_only_when_the_broker_says_that_nothing_is_unread() -> None:
    broker = Broker()
    broker.release.set()
    batches = ingestion(broker, idle_s=1, batch_posts=1)
    await batches.take(0, [message(5)], lambda: None)
    told = len(broker.sent)
    deadline_s = clock.monotonic_s() + 30
    while not broker.asked and clock.monotonic_s() < deadline_s:
        await batches.flush_due()
        await asyncio.sleep(0.01)
    assert broker.asked
    assert len(broker.sent) == told, "something is unread, so nobody is idle"
    broker.end = 6
    while len(broker.sent) < told + 4 and clock.monotonic_s() < deadline_s:
        await batches.flush_due()
        await asyncio.sleep(0.01)
    said = broker.packets()[told:]
    assert (
        sorted((p.source, p.start, p.end, p.idle) for p in said)
        == [(0, 6, 6, True)] * 2 + [(1, 6, 6, True)] * 2
    )
    await batches.flush_due()
    assert len(broker.sent) == told + 4, "it is not said all the time"
    while len(broker.sent) < told + 8 and clock.monotonic_s() < deadline_s:
        await batches.flush_due()
        await asyncio.sleep(0.01)
    assert [packet.idle for packet in broker.packets()[told + 4 :]] == [True] * 4, "but again and again"


def posts_of(numbers: Iterable[int], hashtag: str = "tag") -> list[tuple[int, Post]]:
    return [(number, post(number * 60, hashtag)) for number in numbers]


async def test_packets_that_never_came_are_read_from_the_topic() -> None:
    sent = [encode(pack(posts_of(range(n, n + 5)), 0, n, n + 5, 1)[0]) for n in range(0, 40, 5)]
    settings, store, rows = Settings.load(partitions=1), MemoryStore(), MemoryLog(sent)
    owned = monitoring(settings, store, rows=rows)
    for at in (0, 1, 6, 7):
        assert await counts(owned, at, sent[at])
    state = await store.load(0)
    assert (state.marks, state.next) == ({0: 40}, 8)


@pytest.mark.parametrize("lost", ["all", "some"])
async def test_state_that_the_store_lost_is_counted_again_from_the_topic(lost: str) -> None:
    settings = Settings.load(partitions=1, min_posts=1, hold_hops=1)
    batches = [posts_of(range(n, n + 5)) for n in range(0, 400, 5)]
    sent = [encode(pack(posts, 0, posts[0][0], posts[-1][0] + 1, 1)[0]) for posts in batches]
    whole, held, rows, news = MemoryStore(), dict[int, HeldPartition](), MemoryLog(sent), MemoryNews()
    first = monitoring(settings, whole, rows=rows)
    second = monitoring(settings, MemoryStore(held), rows=rows, news=news)
    older = copy.deepcopy(held)
    for at, payload in enumerate(sent):
        if at == 20 and lost == "some":
            older = copy.deepcopy(held)
        if at == 50:
            held.clear()
            held.update(older)
            rows.group = at
            second = monitoring(settings, MemoryStore(held), rows=rows, news=news)
        assert await counts(first, at, payload)
        assert await counts(second, at, payload)
    assert_same(await whole.load(0), await MemoryStore(held).load(0))
    assert len(news.told) == len({(hop_ms, item.key) for _, hop_ms, item in news.told})


async def test_a_topic_of_periods_that_was_lost_holds_nobody_up() -> None:
    settings = Settings.load(partitions=1, min_posts=1, hold_hops=1)
    batches = [posts_of(range(n, n + 5)) for n in range(0, 400, 5)]
    sent = [encode(pack(posts, 0, posts[0][0], posts[-1][0] + 1, 1)[0]) for posts in batches]
    held, news, rows = dict[int, HeldPartition](), MemoryNews(), MemoryLog(sent)
    for at, payload in enumerate(sent):
        if at % 40 == 0:
            news.periods.clear()
            owned = monitoring(settings, MemoryStore(held), rows=rows, news=news)
        assert await counts(owned, at, payload)


class Leaving(MemoryNews):
    """Lets the partition go while the third of many hops is told."""

    hops = 0
    owner: Monitoring
    leaving: asyncio.Task[None] | None = None

    async def tell(
        self, partition: int, hop_ms: int, items: Sequence[Item], closing: Closing | None = None
    ) -> None:
        await super().tell(partition, hop_ms, items, closing)
        self.hops += 1
        if self.hops == 3:
            self.leaving = asyncio.create_task(self.owner.release())
            await asyncio.sleep(0)


async def test_a_partition_is_handed_over_between_two_hops() -> None:
    """However many of them a packet allows: its next owner does not wait until the last was assessed.

    Nor is the packet read again: it is counted, and the hops that are left are known from what is stored.
    """
    settings = Settings.load(partitions=1, min_posts=1, hold_hops=1)
    whole, handed, news = MemoryStore(), dict[int, HeldPartition](), Leaving()
    payload = encode(pack(posts_of(range(100)), 0, 0, 100, 1)[0])
    assert await counts(monitoring(settings, whole), 0, payload)
    news.owner, acknowledged = monitoring(settings, MemoryStore(handed), news=news), list[int]()
    await news.owner.take(0, 0, payload, lambda: acknowledged.append(0))
    await hear(news.owner)
    assert news.hops == 3
    assert news.leaving is not None
    await news.leaving
    assert acknowledged == [0]
    following = monitoring(settings, MemoryStore(handed), news=news)
    await following.tick()
    await hear(following)
    assert_same(await whole.load(0), await MemoryStore(handed).load(0))


def assert_same(one: PartitionState, other: PartitionState) -> None:
    assert (one.marks, one.clocks, one.assessed_ms, one.late, one.next) == (
        other.marks,
        other.clocks,
        other.assessed_ms,
        other.late,
        other.next,
    )
    assert one.tags.keys() == other.tags.keys()
    for name, tag in one.tags.items():
        for bucket, parts in tag.buckets.items():
            mine, theirs = np.concatenate(parts), np.concatenate(other.tags[name].buckets[bucket])
            assert sorted(row.tobytes() for row in mine) == sorted(row.tobytes() for row in theirs)


async def test_windows_that_reach_into_what_is_lost_for_good_are_not_assessed() -> None:
    settings = Settings.load(partitions=1, min_posts=1, hold_hops=1, window_s=1_800)
    batches = [posts_of(range(n, n + 5)) for n in range(0, 200, 5)]
    sent = [encode(pack(posts, 0, posts[0][0], posts[-1][0] + 1, 1)[0]) for posts in batches]
    registry, store = CollectorRegistry(), MemoryStore()
    rows = MemoryLog(sent[20:], first=20, group=30)
    owned = monitoring(settings, store, rows=rows, metrics=Metrics(registry))
    for at in range(30, 40):
        assert await counts(owned, at, sent[at])
    state = await store.load(0)
    first_kept_ms = batches[20][0][1].time_ms
    assert state.covered_ms is not None
    assert first_kept_ms <= state.covered_ms <= first_kept_ms + 400_000
    judged = registry.get_sample_value("floodmark_assessments_total")
    hops = registry.get_sample_value("floodmark_hops_total")
    assert judged is not None
    assert hops is not None
    # Minutes 100 to 197 passed; windows of half an hour are whole from about minute 133 on.
    assert 60 < judged < 68
    assert hops > 90
    assert registry.get_sample_value("floodmark_rebuilds_total") == 1


@pytest.mark.servers
async def test_a_redis_that_comes_back_in_time_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port(tmp_path)
    settings = Settings.load(partitions=1, redis_url=f"redis://127.0.0.1:{port}/0")
    async with redis_store(settings) as store:
        taking = asyncio.create_task(counts(monitoring(settings, store), 0, packet(0, 5)))
        while "is away" not in caplog.text:
            await asyncio.sleep(0)
        with embedded.redis_server(tmp_path, port):
            assert await taking
            assert (await store.load(0)).marks == {0: 5}


@pytest.mark.servers
async def test_a_redis_that_stays_away_stops_the_worker_with_its_address(tmp_path: Path) -> None:
    address = f"redis://127.0.0.1:{free_port(tmp_path)}/0"
    settings = Settings.load(partitions=1, redis_url=address, away_s=0.1)
    async with redis_store(settings) as store:
        with pytest.raises(StoreAway, match=f"Redis at {address} has been away"):
            await monitoring(settings, store).take(0, 0, packet(0, 5))


@pytest.mark.servers
def test_state_about_a_topic_that_was_deleted_is_not_mistaken_for_this_one(tmp_path: Path) -> None:
    with embedded.redis_server(tmp_path) as url:
        settings = Settings.load(redis_url=url)
        same_topics(settings, "first")
        same_topics(settings, "first")
        with pytest.raises(TopicMismatchError, match="topic posts, rows or baseline was made anew"):
            same_topics(settings, "second")


def free_port(folder: Path) -> int:
    with embedded.redis_server(folder) as url:
        return int(url.split(":")[2].removesuffix("/0"))


@pytest.mark.parametrize(
    ("error", "status", "traceback"),
    [("ZeroDivisionError()", BUG, True), ("Gap('offsets 3 to 5 are missing')", STOPPED, False)],
)
def test_an_error_in_an_agent_ends_the_process_before_anything_else_runs(
    error: str, status: int, traceback: bool
) -> None:
    code = f"""
import logging
from streams.ending import fatal
from streams.monitor import Gap, PartitionState
logging.basicConfig()
try:
    with fatal():
        raise {error}
finally:
    print("acknowledged")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == status
    assert ended.stdout == ""
    assert ("Traceback" in ended.stderr) is traceback
