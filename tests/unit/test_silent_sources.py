"""When a source partition is said to hold nothing unread: never past a message that is on its way."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from detectors.baseline import Baseline
from streams.app import _Work
from streams.memory_store import MemoryStore
from streams.metrics import Metrics
from streams.settings import Settings

POSTS = TP("posts", 0)


class Consumer:
    """What Faust's consumer says of one partition."""

    def __init__(self, position: int, end: int, committed: int | None = None, fetched: int = -1):
        self._position, self._end = position, end
        self._committed_offset = {} if committed is None else {POSTS: committed}
        self.last = fetched

    async def position(self, tp: TP) -> int:
        return self._position

    async def highwaters(self, tp: TP) -> Mapping[TP, int]:
        return {tp: self._end}

    async def earliest_offsets(self, tp: TP) -> Mapping[TP, int]:
        return {tp: 0}

    def highwater(self, tp: TP) -> int:
        return self._end

    def fetched(self, tp: TP) -> int:
        return self.last


def work(consumer: Consumer) -> _Work:
    app: Any = SimpleNamespace(consumer=consumer)
    return _Work(app, Settings.load(), Metrics(CollectorRegistry()), MemoryStore(), Baseline.prior())


async def test_a_partition_without_posts_is_silent_from_its_beginning() -> None:
    assert await work(Consumer(position=0, end=0))._exhausted(0, 0) == 0


async def test_what_the_broker_holds_beyond_what_was_fetched_is_unread() -> None:
    assert await work(Consumer(position=4, end=5, committed=4, fetched=3))._exhausted(0, 4) is None


@pytest.mark.parametrize("committed", [None, 4])
async def test_a_message_that_was_fetched_and_not_handed_over_stays_before_where_the_silence_begins(
    committed: int | None,
) -> None:
    """It may as well be the marker of a transaction; if it was a post, its packet begins where it should."""
    begins = committed or 0
    asked = work(Consumer(position=begins + 1, end=begins + 1, committed=committed))
    assert await asked._exhausted(0, 0) is None
    assert await asked._exhausted(0, 0) == begins
    assert await asked._start_of(0, begins) == begins


async def test_a_partition_that_was_read_to_its_end_before_is_silent_at_once() -> None:
    assert await work(Consumer(position=6, end=6, committed=6))._exhausted(0, 0) == 6


async def test_a_message_that_was_fetched_and_is_not_taken_up_is_unread_for_as_long_as_that_lasts() -> None:
    consumer = Consumer(position=6, end=6, committed=5, fetched=5)
    asked = work(consumer)
    for since in (0, 5, 5):
        assert await asked._exhausted(0, since) is None
    assert await asked._exhausted(0, 6) == 5
