"""Micro-batches and partition ownership, with topics and offsets in memory and a real Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from detectors.baseline import Baseline
from streams import embedded, formats
from streams.ending import BUG, STOPPED
from streams.ingestion import DeadShare, Ingestion, TooManyDead, within_limit
from streams.memory_store import MemoryStore
from streams.metrics import Metrics
from streams.monitor import Gap
from streams.monitoring import Monitoring, StoreAway
from streams.packets import Packet, decode, encode, pack
from streams.pipeline import END, PUNCTUATION, Message
from streams.posts import Post
from streams.redis_store import RedisStore
from streams.settings import Settings
from streams.store import Store
from streams.topics import TopicMismatchError
from streams.worker import same_topic


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
    """Takes messages; `release` is when it has them."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[tuple[str, bytes, int | None, dict[str, bytes]]] = field(default_factory=list)

    async def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None, headers: Mapping[str, bytes]
    ) -> Awaitable[object]:
        self.sent.append((topic, value, partition, dict(headers)))
        return self.release.wait()

    def packets(self) -> list[Packet]:
        return [decode(value) for topic, value, _, _ in self.sent if topic == "rows"]


async def from_first(source: int, first: int) -> int:
    return first


def ingestion(broker: Broker, **overrides: object) -> Ingestion:
    settings = Settings.load(partitions=2, batch_ms=60_000, **overrides)
    made = Ingestion(settings, Metrics(CollectorRegistry()), broker.send, from_first)
    made.assign([0, 1])
    return made


async def test_nothing_is_acknowledged_before_the_broker_has_every_packet() -> None:
    broker, acknowledged = Broker(), []
    batches = ingestion(broker, batch_posts=2)
    await batches.take(0, message(5), lambda: acknowledged.append(5))
    sending = asyncio.create_task(batches.take(0, message(6), lambda: acknowledged.append(6)))
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
        await batches.take(0, message(offset), lambda: None)
    assert [(p.start, p.end, p.source) for p in broker.packets()] == [(5, 7, 0)] * 2 + [(7, 10, 0)] * 2
    assert [partition for _, _, partition, _ in broker.sent] == [0, 1, 0, 1]
    assert sorted(sum(p.counts) for p in broker.packets()) == [0, 0, 2, 2]


async def test_a_message_read_again_is_acknowledged_and_not_sent_again() -> None:
    broker, acknowledged = Broker(), []
    broker.release.set()
    batches = ingestion(broker, batch_posts=1)
    await batches.take(0, message(5), lambda: None)
    await batches.take(0, message(5), lambda: acknowledged.append("again"))
    assert acknowledged == ["again"]
    assert len(broker.packets()) == 2


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
    await batches.take(1, message(0), lambda: None)
    await batches.take(1, Message(1, b"", {PUNCTUATION: END}), lambda: None)
    assert [(p.start, p.end, p.ended) for p in broker.packets()] == [(0, 2, True)] * 2


async def test_what_was_not_sent_is_left_to_the_next_owner() -> None:
    broker, acknowledged = Broker(), []
    broker.release.set()
    batches = ingestion(broker, batch_posts=2)
    await batches.take(0, message(5), lambda: acknowledged.append(5))
    await batches.release()
    await batches.take(0, message(6), lambda: acknowledged.append(6))
    assert (broker.sent, acknowledged) == ([], [])


def test_some_dead_posts_are_tolerated_and_a_flood_of_them_is_not() -> None:
    share = DeadShare(limit=0.5, payloads=10)
    share.add({"posts": 5, "invalid": 5})
    with pytest.raises(TooManyDead, match="6 of the last 10 payloads"):
        share.add({"posts": 4, "invalid": 6})


def monitoring(
    broker: Broker,
    settings: Settings,
    store: Store | None = None,
    metrics: Metrics | None = None,
    away_s: float = 30.0,
) -> Monitoring:
    metrics = metrics or Metrics(CollectorRegistry())
    made = Monitoring(settings, metrics, store or MemoryStore(), broker.send, Baseline.prior(), away_s)
    made.assign([0])
    return made


@asynccontextmanager
async def redis_store(settings: Settings) -> AsyncIterator[RedisStore]:
    store = RedisStore(settings)
    try:
        yield store
    finally:
        await store.close()


def packet(start: int, end: int, *, ended: bool = False) -> bytes:
    posts = [(offset, post(offset)) for offset in range(start, end)]
    return encode(pack(posts, 0, start, end, 1, ended=ended)[0])


async def test_missing_offsets_stop_the_monitor() -> None:
    owned = monitoring(Broker(), Settings.load(partitions=1))
    assert await owned.take(0, packet(0, 5))
    with pytest.raises(Gap, match="2 offsets are missing"):
        await owned.take(0, packet(7, 9))


async def test_a_partition_that_went_to_another_worker_is_left_alone() -> None:
    owned = monitoring(Broker(), Settings.load(partitions=1))
    await owned.release()
    assert not await owned.take(0, packet(0, 5))


async def test_the_end_is_told_once_after_the_last_hop() -> None:
    broker = Broker()
    broker.release.set()
    owned = monitoring(broker, Settings.load(partitions=1))
    await owned.take(0, packet(0, 5, ended=True))
    await owned.tick(1.0)
    assert [(topic, headers) for topic, _, _, headers in broker.sent] == [("alerts", {PUNCTUATION: END})]


async def test_silence_moves_the_clock_only_after_the_idle_time() -> None:
    settings = Settings.load(partitions=2, idle_s=3, min_posts=1, hold_hops=1)
    registry = CollectorRegistry()
    owned = monitoring(Broker(), settings, metrics=Metrics(registry))
    posts = [(offset, post(offset * 60)) for offset in range(12)]
    await owned.take(0, encode(pack(posts[:10], 0, 0, 10, 1)[0]))
    await owned.tick(2.0)
    await owned.take(0, encode(pack(posts[10:], 0, 10, 12, 1)[0]))
    # Source 1 has been silent for less than the idle time.
    assert registry.get_sample_value("floodmark_hops_total") == 0
    await owned.tick(2.0)
    # The newest post is of minute 11, the lateness two minutes: hops 1 to 9.
    assert registry.get_sample_value("floodmark_hops_total") == 9


@pytest.mark.servers
async def test_a_redis_that_comes_back_in_time_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port(tmp_path)
    settings = Settings.load(partitions=1, redis_url=f"redis://127.0.0.1:{port}/0")
    async with redis_store(settings) as store:
        taking = asyncio.create_task(monitoring(Broker(), settings, store).take(0, packet(0, 5)))
        while "is away" not in caplog.text:
            await asyncio.sleep(0)
        with embedded.redis_server(tmp_path, port):
            assert await taking
            assert (await store.load(0)).marks == {0: 5}


@pytest.mark.servers
async def test_a_redis_that_stays_away_stops_the_worker_with_its_address(tmp_path: Path) -> None:
    address = f"redis://127.0.0.1:{free_port(tmp_path)}/0"
    settings = Settings.load(partitions=1, redis_url=address)
    async with redis_store(settings) as store:
        with pytest.raises(StoreAway, match=f"Redis at {address} has been away"):
            await monitoring(Broker(), settings, store, away_s=0.1).take(0, packet(0, 5))


@pytest.mark.servers
def test_state_about_a_topic_that_was_deleted_is_not_mistaken_for_this_one(tmp_path: Path) -> None:
    with embedded.redis_server(tmp_path) as url:
        settings = Settings.load(redis_url=url)
        same_topic(settings, "first")
        same_topic(settings, "first")
        with pytest.raises(TopicMismatchError, match="topic posts was made anew"):
            same_topic(settings, "second")


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
from streams.monitor import Gap
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
