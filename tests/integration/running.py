"""A case on a running deployment: what is sent, whom to wait for, who restarts what stops, what is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import redis
from kafka import KafkaConsumer, TopicPartition

from streams import archive, clock, live
from streams.ending import STOPPED
from streams.live import Stack, Worker
from streams.monitor import Rules
from streams.output import latest
from streams.redis_keys import PartitionKeys
from streams.settings import Settings
from streams.watermark import SourceClock

DEADLINE_S: Final = 120.0
"""For anything a test waits for: ten times what it takes on a busy machine with two cores."""

PARTITIONS: Final = 4
HOP_S: Final = 180
"""Assessed every three minutes: thirty times in the case there is news, and the posts are soon through."""

RULES: Final = Rules(hop_ms=HOP_S * 1_000)
_POLL_S: Final = 0.05


@dataclass(frozen=True)
class Case:
    """Posts, and the alerts that `scan` finds in them."""

    path: Path
    alerts: tuple[bytes, ...]

    def records(self) -> list[archive.Record]:
        """The posts in their order."""
        return list(archive.read([str(self.path)]))


def stack(kafka_url: str, name: str, *, workers: int = 1, redis_url: str | None = None, **more: Any) -> Stack:
    """Workers with topics and a group of their own."""
    return Stack(
        workers=workers,
        kafka_url=kafka_url,
        redis_url=redis_url,
        partitions=PARTITIONS,
        metrics_port=0,
        topic_prefix=f"{name}.",
        key_prefix=name,
        group=name,
        hop_s=HOP_S,
        **more,
    )


def wait_until(so: Callable[[], bool], what: str, timeout_s: float = DEADLINE_S) -> None:
    """Wait until something is so."""
    deadline_s = clock.monotonic_s() + timeout_s
    while not so():
        assert clock.monotonic_s() < deadline_s, f"waited {timeout_s:g} s in vain until {what}"
        time.sleep(_POLL_S)


def await_news(running: Stack, count: int) -> None:
    """Wait until the workers are in the middle of it."""
    for number, _ in enumerate(live.messages(running.settings, running.check, DEADLINE_S), 1):
        if number == count:
            return


def says(worker: Worker, words: str) -> bool:
    """Whether a worker's log holds these words."""
    return words in worker.log.read_text(errors="replace")


def counted(settings: Settings) -> dict[int, list[int]]:
    """The stored marks: by destination partition, one for each source."""
    with redis.Redis.from_url(settings.redis_url) as client:
        marks: list[dict[bytes, bytes]] = [
            client.hgetall(PartitionKeys(settings.key_prefix, partition).mark)  # type: ignore[misc]
            for partition in range(settings.partitions)
        ]
    return {
        partition: [int(held.get(str(source).encode(), 0)) for source in range(settings.partitions)]
        for partition, held in enumerate(marks)
    }


def await_counted(settings: Settings) -> None:
    """Wait until all that is on the topic `posts` is counted in every partition."""
    ends = end_offsets(settings, settings.posts_topic)
    wait_until(
        lambda: all(marks == ends for marks in counted(settings).values()), f"all of {ends} are counted"
    )


def end_offsets(settings: Settings, topic: str) -> list[int]:
    """The offset to come of every partition of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=list(settings.kafka_servers))
    try:
        here = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        found = consumer.end_offsets(here)
        return [int(found[one]) for one in here]
    finally:
        consumer.close()


def committed(settings: Settings, topic: str) -> list[int]:
    """What the workers' group has committed of every partition of a topic."""
    consumer = KafkaConsumer(
        bootstrap_servers=list(settings.kafka_servers), group_id=settings.group, enable_auto_commit=False
    )
    try:
        return [
            int(consumer.committed(TopicPartition(topic, partition)) or 0)
            for partition in range(settings.partitions)
        ]
    finally:
        consumer.close()


def restart_stopped(running: Stack) -> None:
    """Be the supervisor of the workers: start one for every one that stopped and said why."""
    for worker in list(running.workers):
        status = worker.process.poll()
        if status is not None:
            assert status == STOPPED, worker.log.read_text()[-2_000:]
            running.workers.remove(worker)
            running.start_worker()


def all_told(running: Stack) -> list[bytes]:
    """All that was told, in its order, once everything was; workers that stop are restarted."""
    try:
        return list(live.until_end(running.settings, lambda: restart_stopped(running), DEADLINE_S))
    except TimeoutError as error:
        logs = "\n".join(f"{log.name}: {log.read_text()[-2_000:]}" for log in running.folder.glob("*.log"))
        raise AssertionError(f"{error}\n{logs}\n{clocks(running.settings)}") from error


def clocks(settings: Settings) -> dict[int, dict[int, Any]]:
    """How far the stored clocks are: by destination partition, one for each source."""
    with redis.Redis.from_url(settings.redis_url) as client:
        held = {
            partition: client.hgetall(PartitionKeys(settings.key_prefix, partition).clock)
            for partition in range(settings.partitions)
        }
    return {
        partition: {
            int(source): msgspec.msgpack.decode(clock, type=SourceClock) for source, clock in of.items()
        }
        for partition, of in held.items()
    }


def assert_each_once(running: Stack, case: Case) -> None:
    """The alerts of a scan, byte for byte, and nothing told twice, on the topic and in Redis."""
    news = all_told(running)
    assert latest(news) == case.alerts
    assert len(news) == len(set(news)), "told twice on the topic"
    stream = entries(running.settings)
    assert sorted(stream) == sorted(news), "the stream in Redis is not what the topic holds"


def entries(settings: Settings) -> list[bytes]:
    """The alerts in the stream in Redis."""
    with redis.Redis.from_url(settings.redis_url) as client:
        found: Any = client.xrange(f"{settings.key_prefix}:alerts")
    return [fields[b"json"] for _, fields in found]
