"""Of too many small hashtags those with the most posts are held, whoever counts them in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from builders import (
    HASHTAG,
    T0,
    Arrival,
    counted,
    flooded,
    in_order,
    jumbled,
    lines,
    monitors_of,
    packets,
    post,
    run_on,
)

from detectors.baseline import Baseline
from streams import slices
from streams.memory_store import MemoryStore
from streams.monitor import Evicted, Monitor, Outcome, Rules
from streams.packets import partition_of
from streams.posts import Post
from streams.slices import SLICES, Slices

HOP_MS = 300_000
RULES = Rules(hop_ms=HOP_MS, min_posts=20, small_hashtags=12)


@pytest.fixture
def few_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve slices of one small hashtag each; they are whole in 2, 3 and 4 partitions."""
    monkeypatch.setattr(slices, "SLICES", 12)


def strays(count: int = 300, hashtags: int = 90) -> list[Post]:
    """Posts in two hours under many hashtags, of which some have several."""
    rng = np.random.default_rng(7)
    picked = (hashtags * rng.random(count) ** 2).astype(int).tolist()
    times = rng.uniform(0, 7_000, count).tolist()
    return [
        post(50_000 + n, 60_000 + n, at, f"the ferry number {n} is late again", hashtags=(f"stray{tag}",))
        for n, (tag, at) in enumerate(zip(picked, times, strict=True))
    ]


class Recording(Monitor):
    """A monitor that keeps what left it."""

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self.left: list[Evicted] = []

    def close(self, outcome: Outcome) -> tuple[Evicted, ...]:
        gone = super().close(outcome)
        self.left += gone
        return gone


class Counted:
    """Several partitions that have counted all posts: what they found, passed over and hold."""

    def __init__(
        self, arrivals: Sequence[Arrival], rules: Rules = RULES, partitions: int = 1, sources: int = 1
    ) -> None:
        self.monitors = monitors_of(partitions, sources, rules, Recording)
        outcomes = run_on(self.monitors, arrivals, sources)
        tags = [replace(o, tags=(tag,)) for o in outcomes for tag in o.tags]
        self.found = lines(sorted(tags, key=lambda o: (o.hop_ms, o.tags[0].assessment.hashtag)))
        self.held = {
            name: monitor.state.tags.sizes(name) for monitor in self.monitors for name in monitor.state.tags
        }

    @property
    def passed(self) -> list[tuple[int, str, bytes]]:
        every = [one for monitor in self.monitors for one in monitor.left if one.passed_over]
        return sorted((one.left_ms, one.hashtag, np.sort(one.rows).tobytes()) for one in every)


def test_a_slice_is_crowded_above_its_share_and_knows_its_hashtags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICES", 1)
    found = Slices(["loan"], 2)
    found.add("cup")
    assert found.crowded() == []
    found.add("toll")
    assert [sorted(names) for names in found.crowded()] == [["cup", "loan", "toll"]]
    found.remove("loan")
    assert found.crowded() == []
    assert (Slices((), 1).at_most, Slices((), 3).at_most) == (1, 3)


def test_slices_are_whole_in_each_number_of_partitions_that_is_named() -> None:
    for partitions in (*range(1, 11), 12, 14, 16, 20, 24, 28, 32, 48, 56, 60, 64, 96):
        for name in ("loan", "cup", "toll"):
            assert partition_of(name, SLICES) % partitions == partition_of(name, partitions)


def test_those_with_the_most_posts_are_held_and_of_these_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICES", 1)
    told = [("twice", 0), ("early", 5), ("twice", 10), ("late", 320), ("last", 620), ("end", 920)]
    posts = [post(n, n, at, "the ferry is late again", hashtags=(tag,)) for n, (tag, at) in enumerate(told)]
    found = Counted(in_order(posts), msgspec.structs.replace(RULES, small_hashtags=2))
    passed = [((left_ms - T0) // HOP_MS, name) for left_ms, name, _ in found.passed]
    assert passed == [(2, "early"), (3, "late"), (4, "last")]
    assert set(found.held) == {"twice", "end"}


@pytest.mark.usefixtures("few_slices")
def test_every_post_is_held_or_passed_over_and_few_hashtags_are_held() -> None:
    posts = strays()
    found = Counted(in_order(posts))
    (monitor,) = found.monitors
    left = sum(len(one.rows) for one in monitor.left)
    assert left + sum(sum(sizes.values()) for sizes in found.held.values()) == len(posts)
    assert len({name for _, name, _ in found.passed}) > 50
    hop_ms = monitor.state.assessed_ms or 0
    assessed = [sum(n for bucket, n in of.items() if bucket < hop_ms) for of in found.held.values()]
    assert 0 < sum(0 < posts < RULES.min_posts for posts in assessed) <= 12
    assert set().union(*monitor._holding.values()) == set(found.held)


@pytest.mark.usefixtures("few_slices")
@pytest.mark.parametrize("partitions", [2, 3, 4])
def test_how_many_partitions_there_are_makes_no_difference(partitions: int) -> None:
    arrivals = in_order([*flooded(), *strays()])
    alone, dealt = Counted(arrivals), Counted(arrivals, partitions=partitions)
    assert len(alone.passed) > 100
    assert dealt.passed == alone.passed
    assert dealt.found == alone.found
    assert dealt.held == alone.held


@pytest.mark.usefixtures("few_slices")
@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_within_the_lateness_makes_no_difference(seed: int) -> None:
    posts = [*flooded(), *strays()]
    ordered = Counted(in_order(posts, 2), sources=2)
    mixed = Counted(jumbled(posts, np.random.default_rng(seed), 2, RULES.lateness_ms), sources=2)
    assert mixed.passed == ordered.passed
    assert mixed.found == ordered.found


@pytest.mark.usefixtures("few_slices")
def test_invented_hashtags_do_not_change_what_is_said_of_a_flood() -> None:
    alone, amid = Counted(in_order(flooded())), Counted(in_order([*flooded(), *strays()]))
    assert any(b'"firing"' in line for line in alone.found)

    def figures(of: Counted) -> list[Any]:
        read = [msgspec.json.decode(line) for line in of.found if line.startswith(b"{")]
        names = ("posts", "accounts", "coordinated_posts", "coordinated_accounts")
        return [[one[name] for name in names] for one in read if one["hashtag"] == HASHTAG]

    assert figures(amid) == figures(alone)


@pytest.mark.usefixtures("few_slices")
@pytest.mark.parametrize("written", [0, 1, 2])
async def test_what_was_passed_over_when_a_worker_died_is_passed_over_by_the_next(written: int) -> None:
    """The first of what leaves was dropped from the store, the rest was not."""
    rules = msgspec.structs.replace(RULES, small_hashtags=1)
    store, monitor = MemoryStore(), Monitor(0, [0], rules, Baseline.prior(), await MemoryStore().load(0))
    await store.load(0)
    for packet in packets(in_order(strays()), ended=False):
        async for gone in counted(store, monitor, packet):
            await store.evict(0, gone[:written])
            again = Monitor(0, [0], rules, Baseline.prior(), await store.load(0))
            assert [one.hashtag for one in again.leave()] == [one.hashtag for one in gone[written:]]
            await store.evict(0, gone[written:])
            assert set(again.state.tags) == set(monitor.state.tags)
