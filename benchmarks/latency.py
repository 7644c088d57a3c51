"""How long after the arrival of the post that made it possible an alert is on the topic `alerts`.

Run with ``python -m benchmarks.latency``. Posts made for this (benchmarks/crowd.py) are sent at a steady rate
to workers on Apache Kafka and a Redis that waits for the disk. Writes benchmarks/latency.md.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from benchmarks import crowd, figures, found, group, latency_page, series, servers
from benchmarks.crowd import Crowd
from benchmarks.figures import Busy
from benchmarks.latency_page import PARTITIONS, Measured, News, Run
from streams import clock, formats, sending, topics
from streams.formats import native
from streams.live import Stack
from streams.news import HOP
from streams.packets import stretches
from streams.pipeline import FORMAT, Message, format_of
from streams.posts import Post
from streams.settings import Settings
from streams.watermark import SourceClock

POSTS_PER_S: Final = 1_000
COMPARED_POSTS_PER_S: Final = 100
SECONDS: Final = 120
ROUNDS: Final = 3
SPEED: Final = 20
"""Seconds of event time in one of wall time: a hop comes every 3 s. The work of a hop that does not depend on
the number of posts is done `SPEED` times as often as in reality, so a greater number measures that."""

WORKERS: Final = (1, 2)
PER_MESSAGE: Final = (1, 50)
CATCH_UP_S: Final = 600.0
POLL_MS: Final = 100

RESULT: Final = Path(__file__).parent / "latency.md"

Arrival = tuple[int, int]
"""How far a source's clock had come, in ms of event time, and when the broker took the post that moved it."""


@dataclass(frozen=True)
class Due:
    """A message and when it is to be sent, in seconds since the first."""

    at_s: float
    partition: int
    value: bytes


def schedule(posts: Sequence[Post], per_message: int, speed: float) -> list[Due]:
    """The posts as messages, each due when its last post is, dealt out to the partitions in turn."""
    out = []
    for number, first in enumerate(range(0, len(posts), per_message)):
        some = posts[first : first + per_message]
        at_s = (some[-1].time_ms - crowd.T0_MS) / 1_000 / speed
        out.append(Due(at_s, number % PARTITIONS, b"\n".join(map(formats.encode, some))))
    return out


def send(settings: Settings, messages: Sequence[Due]) -> float:
    """Send every message when it is due; gives the seconds that took."""
    headers = [(FORMAT, native.NAME.encode())]
    with sending.producing(settings) as sink:
        begun_s = clock.monotonic_s()
        for message in messages:
            wait_s = begun_s + message.at_s - clock.monotonic_s()
            if wait_s > 0:
                time.sleep(wait_s)
            sink.send(message.value, headers, message.partition)
    return clock.monotonic_s() - begun_s


class Reader:
    """Reads the topic `alerts` while it is written, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self.read: list[tuple[int, int, int]] = []  # hop, append time and time of reading, all in ms

    def start(self) -> None:
        """Begin at the beginning of the topic."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with topics.quiet():
            consumer = KafkaConsumer(
                bootstrap_servers=list(self._settings.kafka_servers),
                client_id="floodmark-benchmark-reader",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                isolation_level="read_committed",
            )
        consumer.assign([TopicPartition(self._settings.alerts_topic, 0)])
        while not self._stopping.is_set():
            for records in consumer.poll(POLL_MS).values():
                now_ms = clock.now_ms()
                self.read += [(hop, record.timestamp, now_ms) for record in records for hop in _hops(record)]
        consumer.close()


def _hops(record: Any) -> Iterator[int]:
    """The hop of an alert, in ms of event time; none of a message that is no alert."""
    for name, value in record.headers:
        if name == HOP:
            yield int(value.decode().partition("/")[2])


@contextmanager
def reading(settings: Settings) -> Iterator[Reader]:
    """A reader that has ended when the block has."""
    reader = Reader(settings)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()


def arrivals(messages: Sequence[Message]) -> list[Arrival]:
    """Every step of a source's clock, with the append time of the message that made it."""
    out: list[Arrival] = []
    known = SourceClock()
    for message in messages:
        known = known.advance(stretches([(message.offset, post) for post in _posts(message)]))
        if known.newest_ms is not None and (not out or known.newest_ms > out[-1][0]):
            assert message.arrived_ms is not None, "the topic must carry append times"
            out.append((known.newest_ms, message.arrived_ms))
    return out


def _posts(message: Message) -> Iterator[Post]:
    for line in message.value.split(b"\n"):
        for decoded in formats.decode(line, format_of(message.headers)):
            if isinstance(decoded, Post):
                yield decoded


def possible_ms(hop_ms: int, sources: Sequence[Sequence[Arrival]], lateness_ms: int) -> int:
    """When the last of the posts arrived that let the watermark of a partition pass a hop.

    >>> possible_ms(60_000, [[(60_000, 1), (180_000, 2)], [(200_000, 3)]], 120_000)
    3
    """
    first = [steps[bisect_left(steps, (hop_ms + lateness_ms, 0))] for steps in sources]
    return max(arrived_ms for _, arrived_ms in first)


def measure(run: Run, kafka_url: str, folder: Path, number: int) -> Measured:
    """Start everything, send everything, and see when it was told."""
    before = figures.load()
    posts = crowd.posts(Crowd(run.posts_per_s * run.seconds, round(run.seconds * run.speed), seed=number))
    messages = schedule(posts, run.per_message, run.speed)
    name = f"latency{number}"
    with servers.deployment(name, kafka_url, folder, PARTITIONS, run.workers) as stack:
        return _measure(run, stack, messages, len(posts), before)


def _measure(run: Run, stack: Stack, messages: Sequence[Due], posts: int, before: float) -> Measured:
    settings = stack.settings
    with reading(settings) as reader, group.watching(settings) as watched:
        seconds = send(settings, messages)
        behind_s = watched.await_end(CATCH_UP_S, stack.check)
        ends = watched.ends(settings.posts_topic)
        time.sleep(1.0)  # what was told last is read
    told = [figures.told_by(worker) for worker in stack.workers]
    sources = [arrivals(source) for source in found.messages(settings, ends)]
    begun_ms = min(steps[0][1] for steps in sources)
    news = []
    for hop_ms, appended_ms, read_ms in reader.read:
        since_ms = possible_ms(hop_ms, sources, settings.lateness_s * 1_000)
        news.append(News((since_ms - begun_ms) / 1_000, appended_ms - since_ms, read_ms - since_ms))
    return Measured(run, posts / seconds, behind_s, tuple(news), tuple(told), Busy.since(before))


def runs(arguments: argparse.Namespace) -> list[Run]:
    """All runs of one round."""
    return [
        Run(posts_per_s, per_message, workers, arguments.seconds, arguments.speed)
        for posts_per_s in dict.fromkeys((arguments.posts_per_s, COMPARED_POSTS_PER_S))
        for per_message in PER_MESSAGE
        for workers in WORKERS
    ]


def main() -> int:
    """Measure every run in every round and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts-per-s", type=int, default=POSTS_PER_S, help="posts sent in a second")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long each run sends")
    parser.add_argument("--speed", type=float, default=SPEED, help="event time in a second of wall time, s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each run is made")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes")
    arguments = parser.parse_args()
    command = (
        f"python -m benchmarks.latency --posts-per-s {arguments.posts_per_s} --seconds {arguments.seconds}"
        f" --speed {arguments.speed:g} --rounds {arguments.rounds}"
    )
    wanted = runs(arguments) * arguments.rounds
    page = partial(latency_page.page, command)
    series.run("latency", wanted, measure, page, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
