"""`floodmark replay`: an archive sent live, as fast as the broker takes it or N times as fast as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final, Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams import archive, clock, topics
from streams.archive import Record
from streams.pipeline import END, FORMAT, PUNCTUATION
from streams.posts import Post
from streams.settings import Settings

POSTS_PER_MESSAGE: Final = 50
MAX_VALUE_BYTES: Final = 2**19
"""A message is closed at this size, half of what a broker takes by default."""

PATIENCE_S: Final = 0.5
"""How long a paced post may wait for others to share its message."""

_FLUSH_S: Final = 60.0

Advance = Callable[[int, "int | None"], None]
"""Called after every message with the number of payloads in it and the event time reached, in ms."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was sent.

    Attributes
    ----------
    posts, other : int
        Payloads that are posts, and those that are none and so will be dead letters or notices.
    messages : int
        Messages, without the punctuation at the end.
    seconds : float
        Wall time.
    """

    posts: int
    other: int
    messages: int
    seconds: float


class Sink(Protocol):
    """Where messages go: a topic, or a list in a test."""

    def send(self, value: bytes, headers: list[tuple[str, bytes]], partition: int) -> None:
        """Queue a message for a partition."""
        ...


@dataclass
class _Message:
    """Payloads of one format that will travel together."""

    format: str | None
    payloads: list[bytes] = field(default_factory=list)
    size: int = 0
    posts: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, record: Record) -> None:
        self.payloads.append(record.payload.replace(b"\n", b" "))
        self.size += len(record.payload) + 1
        self.posts += any(isinstance(post, Post) for post in record.posts)
        if record.time_ms is not None:
            self.first_ms = record.time_ms if self.first_ms is None else self.first_ms
            self.last_ms = record.time_ms


def replay(
    paths: Sequence[str],
    settings: Settings,
    *,
    speed: float | None = None,
    format: str | None = None,
    posts_per_message: int = POSTS_PER_MESSAGE,
    in_order: bool = False,
    advance: Advance | None = None,
) -> Replayed:
    """Send an archive to the topic `posts`, in event-time order, and say at its end that no more will come.

    Parameters
    ----------
    paths : sequence of str
        Files as `archive.read` takes them; "-" is standard input.
    speed : float, optional
        How many seconds of event time pass in one of wall time; as fast as possible if not given.
    format : str, optional
        One of `formats.FORMATS`; found out if not given.
    posts_per_message : int
        1 for a message per post; 50 travels 8 times as fast.
    in_order : bool
        The files are in event-time order already: do not sort them on disk first. For endless input.
    advance : callable, optional

    Raises
    ------
    BrokerError
        If the broker is away or refuses a message.
    TopicMismatchError
        If the topics do not fit the settings.
    archive.Unreadable
        If a file is.
    """
    records = (
        archive.read(paths, format)
        if in_order
        else archive.ordered(paths, format, settings.lateness_s * 1_000, spool=True)
    )
    first = list(islice(records, 1))  # a file that cannot be used is found before the broker is asked
    records = chain(first, records)
    topics.ensure(settings)
    with producing(settings) as sink:
        return send(
            records,
            sink,
            settings.partitions,
            speed=speed,
            posts_per_message=posts_per_message,
            advance=advance,
        )


def send(
    records: Iterable[Record],
    sink: Sink,
    partitions: int,
    *,
    speed: float | None = None,
    posts_per_message: int = POSTS_PER_MESSAGE,
    advance: Advance | None = None,
) -> Replayed:
    """Send records that are in event-time order, round robin over the partitions, and the end to every one.

    Since messages follow each other in event time, whatever is still to come is no older than the newest post
    of any partition: no post can be late.
    """
    begun_s = clock.monotonic_s()
    pace = _Pace(speed)
    patience_ms = None if speed is None else PATIENCE_S * 1_000 * speed
    posts = other = number = 0
    for number, message in enumerate(_messages(records, posts_per_message, patience_ms), 1):
        pace.wait(message.last_ms)
        headers = [] if message.format is None else [(FORMAT, message.format.encode())]
        sink.send(b"\n".join(message.payloads), headers, (number - 1) % partitions)
        posts += message.posts
        other += len(message.payloads) - message.posts
        if advance is not None:
            advance(len(message.payloads), message.last_ms)
    for partition in range(partitions):
        sink.send(b"", [(PUNCTUATION, END)], partition)
    return Replayed(posts, other, number, clock.monotonic_s() - begun_s)


def _messages(records: Iterable[Record], most: int, patience_ms: float | None) -> Iterator[_Message]:
    message: _Message | None = None
    for record in records:
        if not record.payload.strip():
            continue
        if message is not None and _closed(message, record, most, patience_ms):
            yield message
            message = None
        if message is None:
            message = _Message(record.format)
        message.add(record)
    if message is not None:
        yield message


def _closed(message: _Message, record: Record, most: int, patience_ms: float | None) -> bool:
    if len(message.payloads) >= most or message.format != record.format:
        return True
    if message.size + len(record.payload) > MAX_VALUE_BYTES:
        return True
    if patience_ms is None or message.first_ms is None or record.time_ms is None:
        return False
    return record.time_ms - message.first_ms > patience_ms


class _Pace:
    """Keeps event time and wall time in step."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._begun: tuple[float, int] | None = None

    def wait(self, time_ms: int | None) -> None:
        if self._speed is None or time_ms is None:
            return
        now_s = clock.monotonic_s()
        if self._begun is None:
            self._begun = (now_s, time_ms)
        begun_s, begun_ms = self._begun
        due_s = begun_s + (time_ms - begun_ms) / 1_000 / self._speed
        if due_s > now_s:
            time.sleep(due_s - now_s)


class _Topic:
    """The topic `posts`; remembers the first message that the broker refused."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.refused: BaseException | None = None

    def send(self, value: bytes, headers: list[tuple[str, bytes]], partition: int) -> None:
        if self.refused is not None:
            raise self.refused
        sent = self._producer.send(self._topic, value=value, headers=headers, partition=partition)
        sent.add_errback(self._refuse)

    def _refuse(self, error: BaseException) -> None:
        self.refused = self.refused or error


@contextmanager
def producing(
    settings: Settings, topic: str | None = None, reach_s: float = topics.REACH_S
) -> Iterator[Sink]:
    """The topic `posts`, or another, to write to; at the end of the block everything is with the broker.

    Parameters
    ----------
    reach_s : float
        Wall time to try to reach the broker.

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
                batch_size=MAX_VALUE_BYTES,
                max_request_size=topics.MAX_MESSAGE_BYTES,
                # Order within a partition is event-time order: a message tried again must not be overtaken.
                max_in_flight_requests_per_connection=1,
                enable_idempotence=False,
            )
        except KafkaError as error:
            raise topics.unreachable(servers, error) from error
        sink = _Topic(producer, topic or settings.posts_topic)
        try:
            yield sink
            producer.flush(timeout=_FLUSH_S)
            if sink.refused is not None:
                raise sink.refused
        except KafkaError as error:
            raise topics.refused(servers, error) from error
        finally:
            producer.close(timeout=0 if sink.refused is not None else None)


@contextmanager
def bar(console: Console) -> Iterator[Advance]:
    """A line that shows posts, posts per second and the event time reached."""
    columns = (
        TextColumn("{task.completed:,.0f} posts"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[rate]}"),
        TextColumn("[cyan]{task.fields[reached]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("replay", total=None, rate="", reached="")
        begun_s = clock.monotonic_s()

        def advance(payloads: int, time_ms: int | None) -> None:
            fields = progress.tasks[0].fields
            reached = fields["reached"] if time_ms is None else clock.iso(time_ms)
            done = progress.tasks[0].completed + payloads
            rate = f"{done / max(clock.monotonic_s() - begun_s, 1e-3):,.0f}/s"
            progress.update(task, completed=done, rate=rate, reached=reached)

        yield advance
