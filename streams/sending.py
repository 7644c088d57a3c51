"""A topic to write to, in order and with every message acknowledged. For `replay` and `dead retry`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from streams import topics
from streams.settings import Settings

MAX_VALUE_BYTES: Final = 2**19
"""Messages up to this size, half of what a broker takes by default, are sent many at a time."""

_FLUSH_S: Final = 60.0

Headers = list[tuple[str, bytes]]


class TooLarge(ValueError):
    """A message is larger than the topic takes; nothing of it was sent."""


class Sink(Protocol):
    """Where messages go: a topic, or a list in a test."""

    def send(self, value: bytes, headers: Headers, partition: int) -> None:
        """Queue a message for a partition."""
        ...


class Topic:
    """A topic; remembers the first message that the broker refused.

    Parameters
    ----------
    max_bytes : int
        What a message may have, with its key and headers.
    """

    def __init__(self, producer: KafkaProducer, name: str, max_bytes: int) -> None:
        self._producer = producer
        self._name = name
        self._max_bytes = max_bytes
        self.refused: BaseException | None = None

    def send(self, value: bytes | None, headers: Headers, partition: int, key: bytes | None = None) -> None:
        """Queue a message for a partition; without a value it removes what has its key.

        Raises
        ------
        TooLarge
            The next message may follow: none of those queued before is overtaken.
        KafkaError
            If the broker refused a message that was queued before.
        """
        if self.refused is not None:
            raise self.refused
        said = f"{len(value or b''):,} bytes, with its headers more than"
        try:
            sent = self._producer.send(self._name, value=value, key=key, headers=headers, partition=partition)
        except MessageSizeTooLargeError:
            raise TooLarge(f"{said} the {self._max_bytes:,} a message may have") from None
        if value is None or len(value) <= MAX_VALUE_BYTES:
            sent.add_errback(self._refuse)
            return
        try:
            # A broker may take less than it says, so nothing may follow this one until it is there.
            sent.get(_FLUSH_S)
        except MessageSizeTooLargeError:
            raise TooLarge(f"{said} the broker takes in a message") from None

    def flush(self) -> None:
        """Wait until everything that was queued is with the broker.

        Raises
        ------
        KafkaError
            If it is not.
        """
        self._producer.flush(timeout=_FLUSH_S)
        if self.refused is not None:
            raise self.refused

    def _refuse(self, error: BaseException) -> None:
        self.refused = self.refused or error


@contextmanager
def producing(
    settings: Settings,
    topic: str | None = None,
    reach_s: float = topics.REACH_S,
    max_bytes: int = topics.MAX_MESSAGE_BYTES,
) -> Iterator[Topic]:
    """The topic `posts`, or another, to write to; at the end of the block everything is with the broker.

    Parameters
    ----------
    reach_s : float
        Wall time to try to reach the broker.
    max_bytes : int
        What a message may have; see `topics.max_message_bytes`.

    Raises
    ------
    BrokerError
        If the broker is away or refuses a message.
    """
    servers = settings.kafka_servers
    topics.reach(servers, reach_s)
    with topics.quiet():
        try:
            producer = KafkaProducer(
                bootstrap_servers=list(servers),
                client_id="floodmark-replay",
                acks="all",
                linger_ms=10,
                batch_size=min(MAX_VALUE_BYTES, max_bytes),
                max_request_size=max_bytes,
                # Order within a partition is event-time order: a message tried again must not be overtaken.
                max_in_flight_requests_per_connection=1,
                enable_idempotence=False,
            )
        except KafkaError as error:
            raise topics.unreachable(servers, error) from error
        sink = Topic(producer, topic or settings.posts_topic, max_bytes)
        try:
            yield sink
            sink.flush()
        except KafkaError as error:
            raise topics.refused(servers, error) from error
        finally:
            producer.close(timeout=0 if sink.refused is not None else None)
