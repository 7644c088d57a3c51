"""Messages sent in portions by a thread of its own, which a broker that is away may hold up."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from benchmarks.chaos_case import Sent
from streams import topics
from streams.settings import Settings

PATIENCE_S: Final = 300.0
"""A connector goes on for so long before it gives a message up."""


class Feed:
    """Sends messages to the topic `posts` in their order, as a connector that tries again does.

    A context manager; at its end the thread has ended.

    Attributes
    ----------
    failure : str or None
        Why it stopped before the end.
    """

    def __init__(self, settings: Settings, messages: Sequence[Sent]) -> None:
        self._settings = settings
        self._messages = messages
        self._released = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._taken: list[tuple[int, int]] = []  # of every message: partition, offset
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.failure: str | None = None

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout=PATIENCE_S)

    def release(self, count: int) -> None:
        """Let the first `count` messages go."""
        with self._changed:
            self._released = max(self._released, count)
            self._changed.notify()

    @property
    def sent(self) -> int:
        """How many of the messages the broker has taken."""
        return len(self._taken)

    @property
    def done(self) -> bool:
        """Whether all messages are with the broker."""
        return self.sent == len(self._messages)

    def ends(self, count: int | None = None) -> Mapping[int, int]:
        """By partition: the offset after the last of the first `count` messages; of all if None."""
        ends = dict.fromkeys(range(self._settings.partitions), 0)
        for partition, offset in self._taken[:count]:
            ends[partition] = max(ends[partition], offset + 1)
        return ends

    def _run(self) -> None:
        with topics.quiet():
            # As `sending.producing` makes it: it may send a message again that the broker has taken.
            producer = KafkaProducer(
                bootstrap_servers=list(self._settings.kafka_servers),
                client_id="floodmark-chaos-feed",
                acks="all",
                linger_ms=10,
                max_request_size=topics.MAX_MESSAGE_BYTES,
                max_in_flight_requests_per_connection=1,
                enable_idempotence=False,
                delivery_timeout_ms=int(PATIENCE_S * 1_000),
                max_block_ms=int(PATIENCE_S * 1_000),
            )
            try:
                while (upto := self._next()) is not None:
                    self._send(producer, upto)
            except KafkaError as error:
                self.failure = f"message {self.sent + 1} was given up: {error}"
            finally:
                producer.close(timeout=0)

    def _next(self) -> int | None:
        """How many messages may go, once there are more than were sent; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._released > self.sent)
            return None if self._stopping else self._released

    def _send(self, producer: KafkaProducer, upto: int) -> None:
        queued = [
            (
                one.partition,
                producer.send(
                    self._settings.posts_topic, value=one.value, headers=one.headers, partition=one.partition
                ),
            )
            for one in self._messages[self.sent : upto]
        ]
        for partition, future in queued:
            self._taken.append((partition, future.get(PATIENCE_S).offset))
