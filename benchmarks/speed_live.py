"""A worker that has more to do than it can: what it takes in a second, and what that costs.

The topic is filled before the worker starts, so that it is the worker that is measured and not the sender.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from benchmarks import crowd, figures, found, group, latency, servers, speed_posts
from benchmarks.apart import peak_mib
from benchmarks.latency_page import PARTITIONS, Measured, Run
from streams import clock
from streams.live import Stack, Worker
from streams.settings import Settings

PATIENCE_S: Final = 600.0
_TICKS_S: Final = os.sysconf("SC_CLK_TCK")


class Live(msgspec.Struct, frozen=True):
    """One worker that counted and assessed what was on its topic.

    Attributes
    ----------
    seconds : float
        From the moment it had its partitions until everything was acknowledged.
    processor_s : float
        Processor time of the worker meanwhile; broker and Redis have their own.
    redis_held_bytes : int
        By how much the memory in use grew.
    redis_sent_bytes : int
        What went to Redis over the network.
    packet_bytes : int
        Values of the topic `rows`.
    """

    per_message: int
    posts: int
    seconds: float
    processor_s: float
    peak_mib: float
    redis_held_bytes: int
    redis_sent_bytes: int
    packet_bytes: int
    packets: int
    windows: int

    @property
    def posts_s(self) -> float:
        """Posts per second of the wall."""
        return self.posts / self.seconds

    @property
    def us(self) -> float:
        """Microseconds of the worker's processor time a post costs."""
        return 1e6 * self.processor_s / self.posts


class Lag(msgspec.Struct, frozen=True):
    """From the arrival of what made an alert possible to the alert, in milliseconds."""

    per_message: int
    posts_s: float
    news: int
    p50_ms: float
    p99_ms: float
    behind_s: float


def saturate(per_message: int, posts: int, kafka_url: str, folder: Path, name: str) -> Live:
    """Fill the topic, start one worker, and see how long it takes."""
    made = crowd.posts(speed_posts.live(posts))
    due = latency.schedule(made, per_message, speed=float("inf"))
    with servers.deployment(name, kafka_url, folder, PARTITIONS, workers=0) as stack:
        latency.send(stack.settings, due)
        return _worked(per_message, len(made), stack)


def _worked(per_message: int, posts: int, stack: Stack) -> Live:
    with redis.Redis.from_url(stack.settings.redis_url) as client, group.watching(stack.settings) as watched:
        before: Any = client.info()
        worker = stack.start_worker()
        stack.await_ready(worker)
        begun_s, begun_cpu_s = clock.monotonic_s(), _processor_s(worker)
        watched.await_end(PATIENCE_S, stack.check)
        seconds, processor_s = clock.monotonic_s() - begun_s, _processor_s(worker) - begun_cpu_s
        after: Any = client.info()
        sizes = _packets(stack.settings, watched.ends(stack.settings.rows_topic))
    return Live(
        per_message,
        posts,
        seconds,
        processor_s,
        peak_mib(worker.process.pid),
        after["used_memory"] - before["used_memory"],
        after["total_net_input_bytes"] - before["total_net_input_bytes"],
        sum(sizes),
        len(sizes),
        round(figures.told_by(worker).get("floodmark_assessments_total", 0)),
    )


def _processor_s(worker: Worker) -> float:
    """Processor time of a process so far, its own and that of the system for it."""
    fields = Path(f"/proc/{worker.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


def _packets(settings: Settings, ends: dict[int, int]) -> list[int]:
    """Bytes of every packet on the topic `rows`."""
    return [
        len(record.value or b"")
        for partition, end in ends.items()
        for record in found.read(settings, settings.rows_topic, partition, end)
    ]


def lag(per_message: int, posts: int, posts_s: float, kafka_url: str, folder: Path, number: int) -> Lag:
    """Send as many posts of the same event time steadily, and see how soon its alerts are on the topic."""
    seconds = max(1, round(posts / posts_s))
    run = Run(round(posts / seconds), per_message, 1, seconds, speed_posts.LIVE_SPAN_S / seconds)
    told: Measured = latency.measure(run, kafka_url, folder, number)
    said = told.appended
    return Lag(per_message, told.posts_per_s, said.count, said.p50, said.p99, told.behind_s)
