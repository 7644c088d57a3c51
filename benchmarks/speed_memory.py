"""What a partition holds, whatever comes: of invented hashtags, and of one that everybody is under."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from benchmarks import crowd
from benchmarks.apart import held_mib, peak_mib
from detectors.baseline import Baseline
from streams.monitor import Monitor, Rules
from streams.packets import pack
from streams.posts import Post

INVENTED_MS: Final = 1_800_000
BATCH: Final = 1_000
MINUTE_S: Final = 60
HOT: Final = "hot"
HOT_A_MINUTE: Final = 41_667
"""Posts under the one hashtag: ten million in four hours, so that half of them leave the window again."""

FLOODERS: Final = 20_000
FLOOD_TEXTS: Final = 30
"""A tenth of the posts is by so many accounts with so many texts."""


class Hashtags(msgspec.Struct, frozen=True):
    """So many invented hashtags within one window, how many are held, and by how much memory grew.

    Attributes
    ----------
    mib, peak_mib : float
        In the end, and at the most.
    """

    count: int
    held: int
    mib: float
    peak_mib: float

    @property
    def bytes_each(self) -> float:
        """Bytes a hashtag that is held."""
        return self.mib * 2**20 / self.held


class Stream(msgspec.Struct, frozen=True):
    """So many posts of one hashtag that went through a window.

    Attributes
    ----------
    windows : int
        Assessed.
    rows : int
        In the largest of them.
    peak_mib : float
        The most that the whole process held.
    """

    posts: int
    windows: int
    rows: int
    processor_s: float
    peak_mib: float


def hashtags(count: int) -> Hashtags:
    """Give a partition posts of half an hour of event time, each under a hashtag of its own."""
    monitor = Monitor(0, (0,), Rules(), Baseline.prior())
    gc.collect()
    before = held_mib()
    for _ in _counted(monitor, (_invented(number, count) for number in range(count))):
        pass
    gc.collect()
    return Hashtags(count, len(monitor.state.tags), held_mib() - before, peak_mib() - before)


def stream(count: int) -> Stream:
    """Give a partition posts of one hashtag, minute by minute, every hop assessed."""
    monitor = Monitor(0, (0,), Rules(), Baseline.prior())
    begun_s = time.process_time()
    windows = rows = 0
    for assessed in _counted(monitor, _hot(count)):
        windows += 1
        rows = max(rows, assessed)
    return Stream(count, windows, rows, time.process_time() - begun_s, peak_mib())


def _counted(monitor: Monitor, posts: Iterable[Post]) -> Iterator[int]:
    """Count posts and assess what the clock allows; gives the rows of each window."""
    offset, coming = 0, iter(posts)
    while batch := list(islice(coming, BATCH)):
        (packet,) = pack(list(enumerate(batch, offset)), 0, offset, offset + len(batch), 1)
        offset += len(batch)
        monitor.apply(monitor.plan(packet))
        while (hop_ms := monitor.next_hop()) is not None:
            yield from _hop(monitor, hop_ms)


def _hop(monitor: Monitor, hop_ms: int) -> list[int]:
    outcome = monitor.assess(hop_ms)
    monitor.close(outcome)
    return [len(tag.window) for tag in outcome.tags]


def _invented(number: int, count: int) -> Post:
    return Post(
        id=str(758_000_000_000_000_000 + number),
        account_id=str(1_000_000_000 + number),
        time_ms=crowd.T0_MS + number * INVENTED_MS // count,
        text=f"what somebody wrote about this today, and it is like nothing else: {number}",
        hashtags=(f"invented{number}",),
        client="Web App",
    )


def _hot(count: int) -> Iterator[Post]:
    for minute, first in enumerate(range(0, count, HOT_A_MINUTE)):
        size = min(HOT_A_MINUTE, count - first)
        talk = crowd.posts(crowd.Crowd(size, MINUTE_S, busy_share=1.0, seed=minute, floods=0))
        for number, post in enumerate(talk, first):
            turn, talks = divmod(number, 10)
            flood = f"what they all repeat, number {turn % FLOOD_TEXTS} of it"
            yield msgspec.structs.replace(
                post,
                id=str(10**17 + number),
                account_id=post.account_id if talks else str(10**9 + turn % FLOODERS),
                time_ms=post.time_ms + 1_000 * MINUTE_S * minute,
                text=post.text if talks else flood,
                hashtags=(HOT,),
            )
