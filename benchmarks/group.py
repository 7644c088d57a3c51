"""How far the consumer group of a deployment has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kafka import KafkaConsumer, TopicPartition

from streams import clock, topics
from streams.settings import Settings

_POLL_S: Final = 0.05


class Behind(RuntimeError):
    """The workers did not come to the end of the topics in time."""


class Group:
    """The offsets a group has committed, beside the ends of the topics it reads."""

    def __init__(self, settings: Settings, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._cells = [
            TopicPartition(topic, partition)
            for topic in (settings.posts_topic, settings.rows_topic)
            for partition in range(settings.partitions)
        ]

    def ends(self, topic: str) -> dict[int, int]:
        """The offset to come of every partition of a topic."""
        cells = [cell for cell in self._cells if cell.topic == topic]
        return {cell.partition: end for cell, end in self._consumer.end_offsets(cells).items()}

    def left(self) -> int:
        """Messages of `posts` and `rows` that are not acknowledged yet."""
        ends = self._consumer.end_offsets(self._cells)
        return sum(ends[cell] - (self._consumer.committed(cell) or 0) for cell in self._cells)

    def await_end(self, timeout_s: float, check: Callable[[], None] = lambda: None) -> float:
        """Wait until every message is acknowledged; gives the seconds that took.

        Raises
        ------
        Behind
            If it took longer than `timeout_s`.
        """
        begun_s = clock.monotonic_s()
        while left := self.left():
            check()
            if clock.monotonic_s() - begun_s > timeout_s:
                raise Behind(f"{left:,} messages were not acknowledged after {timeout_s:g} s")
            time.sleep(_POLL_S)
        return clock.monotonic_s() - begun_s


@contextmanager
def watching(settings: Settings) -> Iterator[Group]:
    """The group of the settings, looked at by a client that is no member of it."""
    with topics.quiet():
        consumer = KafkaConsumer(
            bootstrap_servers=list(settings.kafka_servers),
            client_id="floodmark-benchmark",
            group_id=settings.group,
            enable_auto_commit=False,
        )
    try:
        yield Group(settings, consumer)
    finally:
        consumer.close()
