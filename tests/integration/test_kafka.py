"""The live path on Apache Kafka: the alerts of `scan`, byte for byte, whoever is killed meanwhile.

What is sent and what must come of it is the rebuilt reference case at a small scale.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams import archive, doctor, formats, live, pipeline, reference_case, replay, scan, topics
from streams.doctor import Status
from streams.ending import STOPPED
from streams.live import Stack
from streams.monitor import Rules
from streams.output import latest
from streams.posts import Post
from streams.settings import Settings

from . import apache_kafka
from .apache_kafka import Node
from .one_a_message import send

pytestmark = [pytest.mark.servers, pytest.mark.slow]

DEADLINE_S = 120.0
PARTITIONS = 4
DAY_MS = 24 * 3_600_000
DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Of Apache Kafka, for topics that do not say otherwise."""


@dataclass(frozen=True)
class Case:
    """Posts, and the alerts that `scan` finds in them."""

    path: Path
    alerts: tuple[bytes, ...]

    def records(self) -> list[archive.Record]:
        return list(archive.read([str(self.path)]))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    path, _ = reference_case.write(folder, seed=1, scale=0.15)
    alerts = scan.scan([str(path)], folder / "scan", Rules()).alerts
    assert alerts, "the posts hold a flood, so there must be alerts to compare"
    return Case(path, tuple(alerts))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that all tests share, each with topics and a group of its own."""
    with apache_kafka.node(tmp_path_factory.mktemp("kafka")) as node:
        yield node


def stack(kafka: Node, name: str, *, workers: int = 1) -> Stack:
    return Stack(
        workers=workers,
        kafka_url=kafka.url,
        partitions=PARTITIONS,
        metrics_port=0,
        topic_prefix=f"{name}.",
        group=name,
    )


def await_news(running: Stack, count: int) -> None:
    """Wait until the workers are in the middle of it."""
    for number, _ in enumerate(live.messages(running.settings, running.check, DEADLINE_S), 1):
        if number == count:
            return


def told(running: Stack, check: Callable[[], None] | None = None) -> tuple[bytes, ...]:
    """The last of what was told of each alert, once everything was."""
    return latest(live.until_end(running.settings, check or running.check, DEADLINE_S))


def restart_stopped(running: Stack) -> None:
    """Be the supervisor of the workers: start one for every one that stopped and said why."""
    for worker in list(running.workers):
        status = worker.process.poll()
        if status is not None:
            assert status == STOPPED, worker.log.read_text()[-2_000:]
            running.workers.remove(worker)
            running.start_worker()


def test_the_topics_are_made_as_documented_and_the_doctor_finds_nothing(kafka: Node) -> None:
    with stack(kafka, "made", workers=0) as running:
        made, checks = configs(running.settings), doctor.examine(running.settings)
        counts = {name: len(found["partitions"]) for name, found in described(running.settings).items()}
    assert counts == {
        "made.posts": PARTITIONS,
        "made.rows": PARTITIONS,
        "made.alerts": 1,
        "made.posts.dead": 1,
    }
    assert {config["message.timestamp.type"] for config in made.values()} == {"LogAppendTime"}
    assert {config["max.message.bytes"] for config in made.values()} == {str(topics.MAX_MESSAGE_BYTES)}
    assert {name: config["cleanup.policy"] for name, config in made.items()} == {
        "made.posts": "delete",
        "made.rows": "delete",
        "made.alerts": "compact",
        "made.posts.dead": "delete",
    }
    kept = {name: int(config["retention.ms"]) // DAY_MS for name, config in made.items()}
    assert (kept["made.posts"], kept["made.rows"], kept["made.posts.dead"]) == (7, 7, 30)
    assert made["made.posts"]["retention.bytes"] == str(running.settings.retention_bytes)
    about_topics = [check for check in checks if "made." in check.name]
    assert len(about_topics) == 6
    assert all(check.status is Status.OK for check in about_topics)
    assert not [check for check in checks if check.failed]


def configs(settings: Settings) -> dict[str, dict[str, str]]:
    with admin(settings) as client:
        names = list(described(settings))
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answer = client.describe_configs(resources, config_filter="all")["topic"]
    return {name: {key: config["value"] for key, config in answer[name].items()} for name in names}


def described(settings: Settings) -> dict[str, Any]:
    with admin(settings) as client:
        found = {topic["name"]: topic for topic in client.describe_topics()}
    return {name: topic for name, topic in found.items() if name.startswith(settings.topic_prefix)}


@contextmanager
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=list(settings.kafka_servers))
    try:
        yield client
    finally:
        client.close()


def test_a_node_is_neither_formatted_nor_started_twice(kafka: Node) -> None:
    for command, refusal in (("format", "is a node already"), ("start", "runs already, as process")):
        done = apache_kafka.script(command, "--data", str(kafka.folder))
        assert done.returncode == 1
        assert refusal in done.stderr


def test_a_topic_that_is_asked_for_by_name_is_not_made_by_that(kafka: Node) -> None:
    settings = Settings.load(kafka_url=kafka.url)
    with admin(settings) as client:
        client.describe_topics(["nobody.posts"])
        assert "nobody.posts" not in client.list_topics()


def test_a_replay_gives_the_alerts_of_a_scan(kafka: Node, case: Case) -> None:
    with stack(kafka, "replay") as running:
        replay.replay([str(case.path)], running.settings)
        assert told(running) == case.alerts


def test_a_packet_beyond_what_kafka_takes_by_default_is_carried(kafka: Node) -> None:
    crowd = [
        Post(
            id=f"{number}",
            account_id=f"{number}",
            time_ms=number,
            text="all of them",
            hashtags=tuple(f"tag{tag}" for tag in range(800)),
        )
        for number in range(50)
    ]
    with stack(kafka, "large") as running:
        with replay.producing(running.settings) as sink:
            sink.send(b"\n".join(map(formats.encode, crowd)), [], 0)
            for partition in range(PARTITIONS):
                sink.send(b"", [(pipeline.PUNCTUATION, pipeline.END)], partition)
        assert told(running) == ()
        assert largest_message(running.settings, running.settings.rows_topic) > DEFAULT_MAX_MESSAGE_BYTES


def largest_message(settings: Settings, topic: str) -> int:
    """The bytes of the largest value in a topic."""
    consumer = KafkaConsumer(bootstrap_servers=list(settings.kafka_servers), auto_offset_reset="earliest")
    try:
        partitions = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        consumer.assign(partitions)
        ends, sizes = consumer.end_offsets(partitions), [0]
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            sizes += [len(r.value) for records in consumer.poll(200).values() for r in records]
        return max(sizes)
    finally:
        consumer.close()


def test_a_killed_worker_changes_no_alert(kafka: Node, case: Case) -> None:
    posts = case.records()
    half = len(posts) // 2
    with stack(kafka, "workers", workers=2) as running:
        send(running.settings, posts[:half], 0, end=False)
        await_news(running, 3)
        victim = running.workers.pop(0)
        victim.process.kill()
        send(running.settings, posts[half:], half, end=True)
        assert victim.process.wait(DEADLINE_S) == -signal.SIGKILL
        running.start_worker()
        assert told(running, lambda: restart_stopped(running)) == case.alerts


def test_a_killed_broker_changes_no_alert(tmp_path: Path, case: Case) -> None:
    posts = case.records()
    half = len(posts) // 2
    with apache_kafka.node(tmp_path / "kafka") as node, stack(node, "broker", workers=2) as running:
        send(running.settings, posts[:half], 0, end=False)
        await_news(running, 3)
        node.kill()
        node.start()
        restart_stopped(running)
        send(running.settings, posts[half:], half, end=True)
        assert told(running, lambda: restart_stopped(running)) == case.alerts
