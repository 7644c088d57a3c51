"""The live path with a real broker, a real Redis and real worker processes.

What it tells is compared, byte for byte, with the same posts folded in this process.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from detectors.baseline import Baseline
from streams import archive, clock, live, pipeline, replay
from streams.ending import STOPPED
from streams.live import Stack
from streams.monitor import Monitor, Rules, lockstep
from streams.output import alert_json
from streams.pipeline import Message
from streams.settings import Settings

from .one_a_message import send
from .running import DEADLINE_S, HOP_S, RULES, await_news

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@dataclass
class Topic:
    """The topic `posts` in memory."""

    partitions: list[list[Message]] = field(default_factory=list)

    def send(self, value: bytes, headers: list[tuple[str, bytes]], partition: int) -> None:
        held = self.partitions[partition]
        held.append(Message(len(held), value, dict(headers)))


def replayed(path: Path, partitions: int, posts_per_message: int) -> Topic:
    """The messages that a replay of the file makes."""
    topic = Topic([[] for _ in range(partitions)])
    replay.send(archive.read([str(path)]), topic, partitions, posts_per_message=posts_per_message)
    return topic


def in_process(topic: Topic, batch: int = 7, rules: Rules = RULES) -> list[bytes]:
    """The news of all partitions without broker, worker or store."""
    count = len(topic.partitions)
    periods = rules.periods(range(count))
    monitors = [Monitor(p, range(count), rules, Baseline.prior(), periods=periods) for p in range(count)]
    waiting = [deque(messages) for messages in topic.partitions]
    news: list[bytes] = []
    while any(waiting):
        for source, queue in enumerate(waiting):
            taken = [queue.popleft() for _ in range(min(batch, len(queue)))]
            if taken:
                news += fold(taken, source, monitors)
    return news


def fold(taken: Sequence[Message], source: int, monitors: Sequence[Monitor]) -> Iterator[bytes]:
    packets = pipeline.ingest(taken, source, taken[0].offset, len(monitors)).packets
    for packet, monitor in zip(packets, monitors, strict=True):
        monitor.apply(monitor.plan(packet))
    for _, outcome in lockstep(monitors):
        yield from (alert_json(t.alert) for t in outcome.tags if t.alert and t.reason.is_news)


def by_hashtag(news: Iterable[bytes]) -> dict[str, list[bytes]]:
    """What was told of each hashtag in order; what a restarted worker told again counts once."""
    told: dict[str, list[bytes]] = defaultdict(list)
    for value in news:
        mine = told[msgspec.json.decode(value)["hashtag"]]
        if value not in mine:
            mine.append(value)
    return dict(told)


def lines(path: Path) -> list[archive.Record]:
    return list(archive.read([str(path)]))


def first_message(settings: Settings, topic: str) -> Any:
    """The first message of a topic with one partition, waited for."""
    deadline_s = clock.monotonic_s() + DEADLINE_S
    consumer = KafkaConsumer(bootstrap_servers=list(settings.kafka_servers), auto_offset_reset="earliest")
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        while clock.monotonic_s() < deadline_s:
            for record in consumer.poll(timeout_ms=200).get(partition, ()):
                return record
    finally:
        consumer.close()
    raise AssertionError(f"nothing came on {topic}")


def test_live_tells_what_the_same_posts_give_in_one_process(flood: Path) -> None:
    partitions, posts_per_message = 4, 50
    expected = by_hashtag(in_process(replayed(flood, partitions, posts_per_message)))
    assert expected, "the posts hold a flood, so there must be news to compare"
    with Stack(partitions=partitions, metrics_port=0, hop_s=HOP_S) as stack:
        replay.replay([str(flood)], stack.settings, posts_per_message=posts_per_message)
        told = list(live.until_end(stack.settings, stack.check, DEADLINE_S))
    assert by_hashtag(told) == expected
    assert len(told) == sum(map(len, expected.values())), "without a restart nothing is told twice"


def test_partitions_batches_and_message_sizes_change_nothing(flood: Path) -> None:
    expected = by_hashtag(in_process(replayed(flood, 1, 50)))
    assert by_hashtag(in_process(replayed(flood, 4, 1), batch=3)) == expected
    assert by_hashtag(in_process(replayed(flood, 8, 50), batch=1)) == expected


def test_a_worker_stopped_midway_changes_no_alert(flood: Path) -> None:
    expected = by_hashtag(in_process(replayed(flood, 2, 1)))
    posts = lines(flood)
    half = len(posts) // 2
    with Stack(partitions=2, metrics_port=0, hop_s=HOP_S) as stack:
        send(stack.settings, posts[:half], 0, end=False)
        await_news(stack, 3)
        first = stack.workers.pop()
        first.process.terminate()
        # Posts keep coming while nobody reads.
        send(stack.settings, posts[half:], half, end=True)
        status = first.process.wait(DEADLINE_S)
        stack.await_ready(stack.start_worker())
        told = list(live.until_end(stack.settings, stack.check, DEADLINE_S))
    assert status == 0
    assert by_hashtag(told) == expected


def test_a_payload_that_is_no_post_arrives_among_the_dead_with_its_origin(flood: Path) -> None:
    good = lines(flood)[0]
    with Stack(partitions=2, metrics_port=0, hop_s=HOP_S) as stack:
        with replay.producing(stack.settings) as sink:
            sink.send(good.payload, [], 1)
            sink.send(good.payload + b"\n" + b'{"created_at": "yesterday"', [], 1)
        dead = first_message(stack.settings, stack.settings.dead_topic)
    headers = {name: value.decode() for name, value in dead.headers}
    assert dead.value == b'{"created_at": "yesterday"'
    assert (headers["topic"], headers["partition"], headers["offset"], headers["line"]) == (
        "posts",
        "1",
        "1",
        "1",
    )
    assert "not JSON" in headers["reason"]


def test_a_stream_that_is_mostly_no_posts_stops_the_worker_before_it_is_acknowledged() -> None:
    with Stack(partitions=1, metrics_port=0, dead_share_payloads=10) as stack:
        worker = stack.workers[0]
        with replay.producing(stack.settings) as sink:
            sink.send(b"\n".join([b"nonsense"] * 20), [], 0)
        assert worker.process.wait(DEADLINE_S) == STOPPED
        assert "20 of the last 20 payloads could not be read" in worker.log.read_text()
        # The batch was not acknowledged: the next worker meets it again.
        assert stack.start_worker().process.wait(DEADLINE_S) == STOPPED


def test_a_packet_nobody_can_read_stops_the_worker_with_one_line() -> None:
    with Stack(partitions=1, metrics_port=0, hop_s=HOP_S) as stack:
        worker = stack.workers[0]
        rows = stack.settings.model_copy(update={"topic_prefix": ""})
        with replay.producing(rows, rows.rows_topic) as sink:
            sink.send(b"no packet", [], 0)
        assert worker.process.wait(DEADLINE_S) == STOPPED
        log = worker.log.read_text()
    assert "this is not a packet of rows" in log
    assert "Traceback" not in log
