"""What Apache Kafka is asked for, and what it takes; test_failure.py and test_chaos.py kill things on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams import doctor, formats, pipeline, replay, topics
from streams.doctor import Status
from streams.posts import Post
from streams.settings import Settings

from . import apache_kafka
from .apache_kafka import Node
from .running import (
    PARTITIONS,
    all_told,
    stack,
)

pytestmark = [pytest.mark.servers, pytest.mark.slow]

DAY_MS = 24 * 3_600_000
DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Of Apache Kafka, for topics that do not say otherwise."""


def test_the_topics_are_made_as_documented_and_the_doctor_finds_nothing(kafka: Node) -> None:
    with stack(kafka.url, "made", workers=0) as running:
        made, checks = configs(running.settings), doctor.examine(running.settings)
        counts = {name: len(found["partitions"]) for name, found in described(running.settings).items()}
    assert counts == {
        "made.posts": PARTITIONS,
        "made.rows": PARTITIONS,
        "made.baseline": PARTITIONS,
        "made.alerts": 1,
        "made.posts.dead": 1,
    }
    assert {config["message.timestamp.type"] for config in made.values()} == {"LogAppendTime"}
    assert {config["max.message.bytes"] for config in made.values()} == {str(topics.MAX_MESSAGE_BYTES)}
    assert {name: config["cleanup.policy"] for name, config in made.items()} == {
        "made.posts": "delete",
        "made.rows": "delete",
        "made.baseline": "compact,delete",
        "made.alerts": "compact",
        "made.posts.dead": "compact,delete",
    }
    kept = {name: int(config["retention.ms"]) // DAY_MS for name, config in made.items()}
    assert (kept["made.posts"], kept["made.rows"], kept["made.posts.dead"]) == (7, 7, 30)
    assert kept["made.baseline"] == 38
    assert made["made.posts"]["retention.bytes"] == str(running.settings.retention_bytes)
    about_topics = [check for check in checks if "made." in check.name]
    assert len(about_topics) == 7
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
    with stack(kafka.url, "large") as running:
        with replay.producing(running.settings) as sink:
            sink.send(b"\n".join(map(formats.encode, crowd)), [], 0)
            for partition in range(PARTITIONS):
                sink.send(b"", [(pipeline.PUNCTUATION, pipeline.END)], partition)
        assert all_told(running) == []
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
