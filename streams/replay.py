"""`floodmark replay`: an archive sent live, as fast as the broker takes it or N times as fast as it was."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams import archive, clock, dead, topics
from streams.archive import Record
from streams.dead import Place
from streams.pipeline import BEGIN, END, FORMAT, PUNCTUATION
from streams.posts import InvalidPost, Post
from streams.sending import MAX_VALUE_BYTES, Sink, TooLarge, Topic, producing
from streams.settings import Settings

POSTS_PER_MESSAGE: Final = 50

PATIENCE_S: Final = 0.5
"""How long a paced post may wait for others to share its message."""

Advance = Callable[[int, "int | None"], None]
"""Called after every message with the number of payloads in it and the event time reached, in ms."""

Bury = Callable[[Record, str], None]
"""Called with a record that no message can hold and why."""


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
    too_large : int
        Records that no message can hold, which are dead letters now.
    """

    posts: int
    other: int
    messages: int
    seconds: float
    too_large: int = 0


@dataclass
class _Message:
    """Records of one format that will travel together."""

    format: str | None
    records: list[Record] = field(default_factory=list)
    size: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    @property
    def value(self) -> bytes:
        return b"\n".join(record.payload.replace(b"\n", b" ") for record in self.records)

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        return [] if self.format is None else [(FORMAT, self.format.encode())]

    @property
    def posts(self) -> int:
        return sum(any(isinstance(post, Post) for post in record.posts) for record in self.records)

    def add(self, record: Record) -> None:
        self.records.append(record)
        self.size += len(record.payload) + 1
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
    told: Callable[[str], None] = lambda said: None,
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
    told : callable, optional
        Called with a line about every record that no message can hold. It becomes a dead letter.

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
    max_bytes = topics.max_message_bytes(settings, settings.posts_topic)
    with ExitStack() as exits:
        sink = exits.enter_context(producing(settings, max_bytes=max_bytes))
        return send(
            records,
            sink,
            settings.partitions,
            speed=speed,
            posts_per_message=posts_per_message,
            advance=advance,
            bury=_Burial(settings, exits, told).bury,
        )


def send(
    records: Iterable[Record],
    sink: Sink,
    partitions: int,
    *,
    speed: float | None = None,
    posts_per_message: int = POSTS_PER_MESSAGE,
    advance: Advance | None = None,
    bury: Bury | None = None,
) -> Replayed:
    """Send records that are in event-time order, round robin over the partitions; begin and end every one.

    Since messages follow each other in event time, whatever is still to come is no older than the newest post
    of any partition: no post can be late.

    Raises
    ------
    TooLarge
        If a record is and there is no `bury`.
    """
    begun_s = clock.monotonic_s()
    pace = _Pace(speed)
    patience_ms = None if speed is None else PATIENCE_S * 1_000 * speed
    posts = payloads = sent = seen = 0
    for partition in range(partitions):
        sink.send(b"", [(PUNCTUATION, BEGIN)], partition)
    for number, message in enumerate(_messages(records, posts_per_message, patience_ms)):
        pace.wait(message.last_ms)
        for part in _sent(message, sink, number % partitions, bury):
            sent += 1
            posts += part.posts
            payloads += len(part.records)
        seen += len(message.records)
        if advance is not None:
            advance(len(message.records), message.last_ms)
    for partition in range(partitions):
        sink.send(b"", [(PUNCTUATION, END)], partition)
    return Replayed(posts, payloads - posts, sent, clock.monotonic_s() - begun_s, seen - payloads)


def _sent(message: _Message, sink: Sink, partition: int, bury: Bury | None) -> Iterator[_Message]:
    """Send a message, or in as many parts as it takes; gives what was sent."""
    try:
        sink.send(message.value, message.headers, partition)
    except TooLarge as refusal:
        if len(message.records) > 1:
            for record in message.records:
                yield from _sent(_Message(message.format, [record]), sink, partition, bury)
        elif bury is None:
            raise
        else:
            bury(message.records[0], str(refusal))
    else:
        yield message


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
    if len(message.records) >= most or message.format != record.format:
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


class _Burial:
    """Makes dead letters of records that no message can hold."""

    def __init__(self, settings: Settings, exits: ExitStack, told: Callable[[str], None]) -> None:
        self._settings = settings
        self._exits = exits
        self._told = told
        self._topic: Topic | None = None
        self._seen: Counter[tuple[str, int]] = Counter()

    def bury(self, record: Record, reason: str) -> None:
        if self._topic is None:  # most archives need none
            self._topic = self._exits.enter_context(producing(self._settings, self._settings.dead_topic))
        at = record.path, record.line
        place = Place(f"{dead.ARCHIVE}{record.path}", 0, record.line, 0, self._seen[at])
        self._seen[at] += 1
        letter = dead.written(place, InvalidPost(reason=reason, payload=record.payload), record.format)
        self._topic.send(letter.value, list(letter.headers.items()), 0, letter.key)
        self._told(f"{record.path} line {record.line}: {reason}; kept as the dead letter {place.key}")


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
