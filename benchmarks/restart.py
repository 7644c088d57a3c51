"""How soon a worker has its windows back: after a stop, after a kill, and after Redis lost its data.

Run with ``python -m benchmarks.restart``. A worker on Apache Kafka counts the posts once, and then it is
stopped, killed and started again. Writes benchmarks/restart.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import redis

from benchmarks import crowd, figures, group, latency, restart_page, series, servers
from benchmarks.crowd import Crowd
from benchmarks.figures import Busy
from benchmarks.restart_page import PARTITIONS, Back, Held, Loaded, Measured
from detectors.baseline import Baseline
from streams import clock, embedded
from streams.app import READY
from streams.embedded import StartError
from streams.live import Stack, Worker
from streams.monitor import Monitor, PartitionState
from streams.redis_store import RedisStore
from streams.settings import Settings

ROWS: Final = 100_000
MIXES: Final = {"some dozens of hashtags": 1.0, "a few large, thousands of small ones": crowd.BUSY_SHARE}
"""What the rows are spread over, and the share of them that is under the large hashtags."""

SPAN_S: Final = 6_900
"""Event time of the posts: within the window of 2 h, so that all of them are held."""

PER_MESSAGE: Final = 50
REPEATS: Final = 5
COUNT_S: Final = 1_800.0
READY_S: Final = 1_800.0
_POLL_S: Final = 0.01
_BEGUN: Final = "metrics on"

RESULT: Final = Path(__file__).parent / "restart.md"


@dataclass(frozen=True)
class Deployment:
    """One worker at a time, and the Redis that holds its state."""

    stack: Stack
    redis_url: str

    def stop(self) -> None:
        """End the worker in order."""
        embedded.stop(self.stack.workers.pop().process)

    def kill(self) -> None:
        """End the worker at once."""
        worker = self.stack.workers.pop()
        worker.process.kill()
        worker.process.wait()

    def empty(self) -> None:
        """Let Redis forget everything, after the worker has ended."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def back(self, end: Callable[[], None]) -> Back:
        """Do what is to be recovered from, start another worker, and see how soon it has everything."""
        end()
        begun_s = clock.monotonic_s()
        worker = self.stack.start_worker()
        await_line(worker, _BEGUN)
        serving_s = clock.monotonic_s() - begun_s
        await_line(worker, READY)
        ready_s = clock.monotonic_s() - begun_s
        told = figures.told_by(worker)
        rows = round(told.get("floodmark_window_rows", 0))
        return Back(serving_s, ready_s, told["floodmark_load_seconds_sum"], rows)


def await_line(worker: Worker, line: str) -> None:
    """Wait until a worker logs a line.

    Raises
    ------
    StartError
        If it ended or took too long.
    """
    deadline_s = clock.monotonic_s() + READY_S
    while line not in worker.log.read_text():
        worker.check()
        if clock.monotonic_s() > deadline_s:
            raise StartError(f"{worker.name} was not ready after {READY_S:g} s; its log is {worker.log}")
        time.sleep(_POLL_S)


async def load(settings: Settings) -> Loaded:
    """Take all partitions over in this process, one after the other, and assess their next hop twice."""
    store = RedisStore(settings)
    sources, rules, baseline = range(settings.partitions), settings.rules(), Baseline.prior()
    begun_s = clock.monotonic_s()
    states = [await store.load(partition) for partition in sources]
    read_s = clock.monotonic_s() - begun_s
    begun_s = clock.monotonic_s()
    monitors = [Monitor(number, sources, rules, baseline, state) for number, state in enumerate(states)]
    resumed_s = clock.monotonic_s() - begun_s
    first_hop_s, again_s = _assess(monitors), _assess(monitors)
    await store.close()
    return Loaded(read_s, resumed_s, first_hop_s, again_s, _held(states))


def _assess(monitors: Sequence[Monitor]) -> float:
    begun_s = clock.monotonic_s()
    for monitor in monitors:
        assert monitor.state.assessed_ms is not None
        monitor.assess(monitor.state.assessed_ms + monitor.rules.hop_ms)
    return clock.monotonic_s() - begun_s


def _held(states: Sequence[PartitionState]) -> Held:
    tags = [tag for state in states for tag in state.tags.values()]
    buckets = [parts for tag in tags for parts in tag.buckets.values()]
    return Held(
        rows=sum(len(rows) for parts in buckets for rows in parts),
        hashtags=len(tags),
        buckets=len(buckets),
        texts=sum(len(tag.derive().index) for tag in tags),
    )


def measure(mix: str, kafka_url: str, folder: Path, number: int, *, rows: int, repeats: int) -> Measured:
    """Start a worker, let it count the posts of one mix, then end it in every way."""
    name = f"restart{number}"
    with servers.deployment(name, kafka_url, folder, PARTITIONS, workers=1) as stack:
        return _measure(mix, rows, repeats, Deployment(stack, stack.settings.redis_url))


def _measure(mix: str, rows: int, repeats: int, at: Deployment) -> Measured:
    before = figures.load()
    counted_s = count(at.stack, Crowd(rows, SPAN_S, busy_share=MIXES[mix]))
    stopped = [at.back(at.stop) for _ in range(repeats)]
    killed = [at.back(at.kill) for _ in range(repeats)]
    at.stop()
    loaded = [asyncio.run(load(at.stack.settings)) for _ in range(repeats)]
    lost = [at.back(at.empty)]
    at.stop()
    return Measured(mix, counted_s, loaded, stopped, killed, lost, Busy.since(before))


def count(stack: Stack, wanted: Crowd) -> float:
    """Send posts as fast as the broker takes them; gives the seconds until the worker has counted them."""
    due = latency.schedule(crowd.posts(wanted), PER_MESSAGE, speed=float("inf"))
    begun_s = clock.monotonic_s()
    latency.send(stack.settings, due)
    with group.watching(stack.settings) as watched:
        watched.await_end(COUNT_S, stack.check)
    return clock.monotonic_s() - begun_s


def main() -> int:
    """Measure every mix and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="rows to be held")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="how often each thing is done")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes")
    arguments = parser.parse_args()
    command = f"python -m benchmarks.restart --rows {arguments.rows} --repeats {arguments.repeats}"
    measure_mix = partial(measure, rows=arguments.rows, repeats=arguments.repeats)
    series.run("restart", list(MIXES), measure_mix, partial(restart_page.page, command), arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
