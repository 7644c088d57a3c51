"""What a partition holds of many hashtags: invented ones, of one post each, as somebody would who attacks."""

from __future__ import annotations

import gc
from typing import Final

import msgspec

from benchmarks.apart import held_mib
from benchmarks.crowd import T0_MS
from detectors.baseline import Baseline
from streams.monitor import Monitor, Rules
from streams.packets import pack
from streams.posts import Post

SPAN_MS: Final = 1_800_000
BATCH: Final = 1_000


class Hashtags(msgspec.Struct, frozen=True):
    """So many hashtags within one window, and by how much the memory of their process grew."""

    count: int
    mib: float

    @property
    def bytes_each(self) -> float:
        """Bytes a hashtag."""
        return self.mib * 2**20 / self.count


def hashtags(count: int) -> Hashtags:
    """Give a partition posts of half an hour of event time, each under a hashtag of its own."""
    monitor = Monitor(0, (0,), Rules(), Baseline.prior())
    gc.collect()
    before = held_mib()
    for first in range(0, count, BATCH):
        posts = [(n, _post(n, count)) for n in range(first, min(first + BATCH, count))]
        (packet,) = pack(posts, 0, first, first + len(posts), 1)
        monitor.apply(monitor.plan(packet))
        while (hop_ms := monitor.next_hop()) is not None:
            monitor.close(monitor.assess(hop_ms))
    assert len(monitor.state.tags) == count
    gc.collect()
    return Hashtags(count, held_mib() - before)


def _post(number: int, count: int) -> Post:
    return Post(
        id=str(758_000_000_000_000_000 + number),
        account_id=str(1_000_000_000 + number),
        time_ms=T0_MS + number * SPAN_MS // count,
        text=f"what somebody wrote about this today, and it is like nothing else: {number}",
        hashtags=(f"invented{number}",),
        client="Web App",
    )
