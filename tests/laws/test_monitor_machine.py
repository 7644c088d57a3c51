"""Whatever happens to workers, store and log: what is stored and told is what the posts say, each once.

A machine makes up a history: posts come in disorder, twice or with absurd dates, ingesters begin again
somewhere before, packets are skipped or come again, workers die or stall between any two awaits and others
take over, the store is emptied or goes back to an older copy. What comes of it is compared with two plain
folds: `Fold`, over every packet of the log once and in order, which defines what is right; and, where no post
is late, over the posts alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from builders import HASHTAG, Arrival, flood, jumbled, lines, packets, post, talk, without
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from memory_worker import PARTITION, Burn, Fuse, Killed, Shared, Worker
from redis.exceptions import ConnectionError as AwayError

from detectors.alert import Reason
from detectors.baseline import Baseline
from detectors.table import DAY_MS
from streams import monitoring, slices
from streams.memory_store import HeldPartition, MemoryStore
from streams.monitor import Monitor, Outcome, PartitionState, lockstep
from streams.output import alert_json
from streams.packets import Packet, encode, pack, stretches
from streams.periods import Periods
from streams.periods import decode as decode_period
from streams.periods import encode as encode_period
from streams.pipeline import BEGIN, END
from streams.posts import Post
from streams.settings import Settings
from streams.store import OwnershipLost
from streams.watermark import SourceClock

LONG: Final = "FLOODMARK_TEST_EXAMPLES"
"""Environment variable: so many histories of each machine, other ones each time, instead of the same few."""

FEW: Final = 20
LATENESS_MS: Final = 120_000
SEEDS: Final = 4
QUIET: Final = "toll"
COPIES: Final = 8
PLENTY: Final = 2_000
FULL: Final = 12
"""Rows that a bucket keeps in the histories in which hashtags are sampled."""

SMALL: Final = 4
"""Small hashtags that are held; so many in each slice in the histories in which there is one slice."""

Progress = tuple[int, Sequence[int], int]
PROGRESS: Final = st.tuples(
    st.integers(0, 15), st.lists(st.integers(0, 9), min_size=3, max_size=3), st.integers(0, 8)
)
"""So many posts, the size of batches of each source, so many packets."""

Place = tuple[str, int]
STORE: Final = ("load", "commit", "record", "evict")
PLACES: Final = st.tuples(st.just(""), st.integers(0, 20)) | st.tuples(
    st.sampled_from((*STORE, "tell")), st.integers(0, 3)
)
"""Between two awaits: so many points before and after any call, or before and after calls of that name."""

MACHINES: Final = settings(
    max_examples=int(os.environ.get(LONG, FEW)),
    stateful_step_count=40,
    derandomize=LONG not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitoring, "RETRY_S", 0)
        yield


# ---------------------------------------------------------------------------------------------- folds


@cache
def settings_of(sources: int, bucket_rows: int) -> Settings:
    return Settings.load(
        partitions=sources,
        hop_s=600,
        window_s=3_600,
        lateness_s=LATENESS_MS // 1_000,
        min_posts=10,
        bucket_rows=bucket_rows,
        small_hashtags=SMALL,
        hold_hops=2,
        calm_hops=2,
    )


@cache
def posts_of(day: int, seed: int) -> tuple[Post, ...]:
    """Two hours in which one hashtag is flooded and another soon falls silent, days after the first."""
    if day:
        return tuple(
            msgspec.structs.replace(one, id=f"{one.id}{day}", time_ms=one.time_ms + day * DAY_MS)
            for one in posts_of(0, seed)
        )
    return (
        *talk(seed, accounts=16),
        *without(talk(seed, accounts=16, first=50, span_s=1_500), hashtags=(QUIET,)),
        *without(talk(seed, accounts=6, first=80), hashtags=()),
        *flood(seed, accounts=12),
    )


@cache
def strays(day: int, seed: int) -> tuple[Post, ...]:
    """Posts of the same two hours under a dozen hashtags, of which none has many."""
    posts = talk(seed, accounts=20, first=200)
    return tuple(
        msgspec.structs.replace(
            one, id=f"{one.id}{day}", time_ms=one.time_ms + day * DAY_MS, hashtags=(f"stray{n % 12}",)
        )
        for n, one in enumerate(posts)
    )


def monitor_of(
    sources: int,
    state: PartitionState | None = None,
    periods: Periods | None = None,
    partition: int = PARTITION,
    bucket_rows: int = PLENTY,
) -> Monitor:
    rules = settings_of(sources, bucket_rows).rules()
    return Monitor(partition, range(sources), rules, Baseline.prior(), state, periods)


def hops(monitor: Monitor) -> Iterator[Outcome]:
    """Assess what the clock allows."""
    while (hop_ms := monitor.next_hop()) is not None:
        outcome = monitor.assess(hop_ms)
        monitor.close(outcome)
        yield outcome


News = tuple[int, bytes, bytes]
"""Hop, key and value."""


def news(outcome: Outcome) -> list[News]:
    return [
        (outcome.hop_ms, tag.alert.id.encode(), alert_json(tag.alert))
        for tag in outcome.tags
        if tag.alert is not None and tag.reason.is_news
    ]


def plain(state: PartitionState) -> dict[str, Any]:
    """A state as values to compare; rows as multisets, for their order within a bucket means nothing."""
    known = ("marks", "clocks", "assessed_ms", "late", "covered_ms")
    return {name: getattr(state, name) for name in known} | {
        "next": state.next or 0,
        "tags": plain_tags(state),
    }


def plain_tags(state: PartitionState) -> dict[str, Any]:
    return {
        name: (
            {b: sorted(row.tobytes() for rows in parts for row in rows) for b, parts in tag.buckets.items()},
            dict(tag.limits),
            dict(tag.strings),
            None if tag.alert is None else msgspec.json.encode(tag.alert),
        )
        for name, tag in state.tags.items()
    }


def of_neighbour(packet: Packet, partition: int) -> Packet:
    """What another partition gets: the next one the same rows under other hashtags, the others none."""
    if partition == PARTITION + 1:
        return msgspec.structs.replace(packet, hashtags=[f"{name}s" for name in packet.hashtags])
    source, start, end = packet.source, packet.start, packet.end
    said = {name: getattr(packet, name) for name in ("idle", "begun", "ended")}
    (empty,) = pack([], source, start, end, 1, **said)
    return msgspec.structs.replace(empty, clock=packet.clock)


class Fold:
    """What one monitor makes of the log, each packet once and in order, beside those of other partitions.

    Attributes
    ----------
    closings : list of bytes
        What it says of periods, in order.
    neighbours : list of pairs
        After how many packets the others said what of theirs.
    states : list
        After so many packets, as `plain` gives it.
    news : list
        All that is news, in order.
    told : list of int
        How much of the news there is after so many packets.
    hops : dict
        What each hop brought.
    late : int
        Rows that came after their own hop.
    """

    def __init__(self, sources: int, bucket_rows: int = PLENTY) -> None:
        self.periods = settings_of(sources, bucket_rows).rules().periods(range(sources))
        self.monitors = [
            monitor_of(sources, None, self.periods, partition, bucket_rows) for partition in range(sources)
        ]
        self.monitor = self.monitors[PARTITION]
        self.closings: list[bytes] = []
        self.neighbours: list[tuple[int, bytes]] = []
        self.states = [_copied(self.monitor.state)]
        self.news: list[News] = []
        self.told = [0]
        self.hops: dict[int, list[bytes]] = {}
        self.late = 0

    def add(self, packet: Packet) -> None:
        delta = self.monitor.plan(packet, self.end)
        self.monitor.apply(delta)
        for partition, monitor in enumerate(self.monitors):
            if monitor is not self.monitor:
                monitor.apply(monitor.plan(of_neighbour(packet, partition)))
        for monitor, outcome in lockstep(self.monitors):
            self._went_on(monitor, outcome)
        assert not any(monitor.held for monitor in self.monitors)
        self.late += delta.late_rows
        self.told.append(len(self.news))
        self.states.append(_copied(self.monitor.state))

    def _went_on(self, monitor: Monitor, outcome: Outcome) -> None:
        closing = [] if outcome.closing is None else [encode_period(outcome.closing)]
        if monitor is not self.monitor:
            self.neighbours += [(self.end + 1, value) for value in closing]
            return
        self.closings += closing
        self.hops[outcome.hop_ms] = lines([outcome])
        self.news += news(outcome)

    def brought(self) -> tuple[dict[int, list[bytes]], list[bytes]]:
        """What does not depend on how posts were cut into packets: hops and periods that held something."""
        hops = {hop_ms: told for hop_ms, told in self.hops.items() if told}
        return hops, [value for value in self.closings if not decode_period(value).empty]

    @property
    def end(self) -> int:
        """How many packets there are."""
        return len(self.states) - 1


def _copied(state: PartitionState) -> dict[str, Any]:
    shown = plain(state)
    return shown | {name: dict(shown[name]) for name in ("marks", "clocks", "late")}


# -------------------------------------------------------------------------------------------- machines


class Topic:
    """The topic `posts`, with its punctuation, and how far each of its partitions was made into packets."""

    def __init__(self, sources: int) -> None:
        self.messages: list[list[Post | bytes]] = [[] for _ in range(sources)]
        self.read = [0] * sources

    def unread(self, source: int) -> int:
        return len(self.messages[source]) - self.read[source]

    def packet(self, source: int, size: int) -> Packet:
        """The next so many messages at the most; punctuation closes its batch."""
        start = self.read[source]
        batch = self.messages[source][start : start + size]
        words = [i for i, one in enumerate(batch) if isinstance(one, bytes)][:1]
        batch = batch[: words[0] + 1] if words else batch
        self.read[source] = end = start + len(batch)
        begun, ended = batch[-1:] == [BEGIN], batch[-1:] == [END]
        return pack(numbered(batch, start), source, start, end, 1, begun=begun, ended=ended)[0]

    def silence(self, source: int, ended: bool) -> Packet:
        """Word that a source is idle, or silent for so long that it has ended."""
        at = self.read[source]
        return pack([], source, at, at, 1, idle=True, ended=ended)[0]


def numbered(messages: Sequence[Post | bytes], start: int) -> list[tuple[int, Post]]:
    """The posts with their offsets."""
    return [(offset, one) for offset, one in enumerate(messages, start) if isinstance(one, Post)]


class Exactness(RuleBasedStateMachine):
    """All posts are at most as late as allowed; everything else goes wrong."""

    bucket_rows = PLENTY
    again_is_late = False
    """Whether a post that comes again may be a late one, as what came first is not held any more."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.sound = False

    @initialize(sources=st.integers(2, 3), seed=st.integers(0, SEEDS - 1), deal=st.integers(0, 2**16))
    def begin(self, sources: int, seed: int, deal: int) -> None:
        self.sources = sources
        self.seed = seed
        self.rng = np.random.default_rng(deal)
        self.topic = Topic(sources)
        self.punctuate(BEGIN)
        self.day = 0
        self.coming = self.posts_today()
        self.sent: list[Post] = []
        self.fold = Fold(sources, self.bucket_rows)
        self.shared = Shared()
        self.copies: list[dict[int, HeldPartition]] = []
        self.zombies: list[Worker] = []
        self.acknowledged = 0
        self.assessed: set[int] = set()
        self.checked: dict[str, Any] = {}
        self.deaf = False
        self.lag = 0
        self.neighbours_told = 0
        self.owner = self.start_worker()

    def posts_today(self) -> list[Arrival]:
        return jumbled(posts_of(self.day, self.seed), self.rng, self.sources, LATENESS_MS)[::-1]

    def start_worker(self) -> Worker:
        return Worker(settings_of(self.sources, self.bucket_rows), self.shared, self.shared.log.group)

    # ------------------------------------------------------------------------------------------ posts

    @rule(some=PROGRESS)
    def go_on(self, some: Progress) -> None:
        """Posts come, some sources are read, some packets are counted."""
        count, sizes, delivered = some
        self.post(count)
        self.ingest(sizes)
        for _ in range(delivered):
            if self.owner.at < self.fold.end:
                self.hand(self.owner.at)

    def punctuate(self, word: bytes) -> None:
        for messages in self.topic.messages:
            messages.append(word)

    def post(self, count: int) -> None:
        for _ in range(min(count, len(self.coming))):
            source, one = self.coming.pop()
            self.topic.messages[source].append(one)
            self.sent.append(one)

    @precondition(lambda self: len(self.sent) > 50 * (self.day + 1))
    @rule(some=PROGRESS)
    def begin_day(self, some: Progress) -> None:
        """Nothing more is posted until the next day."""
        self.day += 1
        self.coming = self.posts_today()
        self.go_on(some)

    @precondition(lambda self: self.sent)
    @rule(source=st.integers(0, 2), back=st.integers(1, 30), times=st.integers(1, 3))
    def post_again(self, source: int, back: int, times: int) -> None:
        one = self.sent[-min(back, len(self.sent))]
        self.topic.messages[source % self.sources] += [one] * times

    # ---------------------------------------------------------------------------------------- packets

    def ingest(self, sizes: Sequence[int]) -> None:
        """Read the sources to their ends, in batches of such sizes; 0 leaves one behind."""
        while left := [s for s in range(self.sources) if sizes[s] and self.topic.unread(s)]:
            for source in left:
                self.log(self.topic.packet(source, sizes[source]))

    @rule(source=st.integers(0, 2), back=st.integers(1, 40), some=PROGRESS)
    def restart_ingester(self, source: int, back: int, some: Progress) -> None:
        """It begins again before what it sent last, and cuts other batches."""
        source %= self.sources
        self.topic.read[source] = max(0, self.topic.read[source] - back)
        self.go_on(some)

    def log(self, packet: Packet) -> None:
        self.shared.log.packets.append(encode(packet))
        self.fold.add(packet)

    # --------------------------------------------------------------------------------------- delivery

    @precondition(lambda self: self.owner.at > self.shared.log.first)
    @rule(back=st.integers(1, 12))
    def deliver_again(self, back: int) -> None:
        self.hand(max(self.shared.log.first, self.owner.at - back))

    @rule(skipped=st.integers(1, 6), some=PROGRESS)
    def deliver_after_skipping(self, skipped: int, some: Progress) -> None:
        at = self.owner.at + skipped
        self.go_on(some)
        if self.owner.at < at < self.fold.end:
            self.hand(at)

    @rule()
    def tick(self) -> None:
        self.attempt(self.owner, self.owner.tick())
        self.hear()

    @rule(deaf=st.booleans(), lag=st.sampled_from((0, 3, 10, 40)), some=PROGRESS)
    def hours_come_late(self, deaf: bool, lag: int, some: Progress) -> None:
        """From now on the owner reads no periods, or the other partitions are so many packets behind."""
        self.deaf, self.lag = deaf, lag
        self.go_on(some)

    def hear(self) -> None:
        """What the other partitions say of periods is told, and the owner reads it."""
        told = [value for at, value in self.fold.neighbours if at <= self.fold.end - self.lag]
        self.shared.periods += told[self.neighbours_told :]
        self.neighbours_told = max(self.neighbours_told, len(told))
        if not self.deaf:
            self.attempt(self.owner, self.owner.listen())

    @rule(back=st.integers(0, 8))
    def commit_offset(self, back: int) -> None:
        log = self.shared.log
        log.group = max(log.group, self.acknowledged - back)

    def hand(self, at: int) -> None:
        """Give the owner a packet: once it is done with it, all that this allowed was told."""
        self.copies = [*self.copies, self.shared.copied()][-COPIES:]
        owner = self.owner
        done = self.attempt(owner, owner.take(at))
        self.hear()
        self.acknowledged = max(self.acknowledged, owner.acknowledged)
        if done and self.owner is owner and not owner.held:
            assert owner.acknowledged >= at + 1
            assert len(self.shared.told) >= self.fold.told[at + 1]

    def attempt(self, worker: Worker, work: Any) -> bool:
        """Whether a worker came to an end with it; if not, there will be another owner."""
        try:
            done = bool(self.run(work))
        except (Killed, OwnershipLost):
            done = False
        if worker.stalled:
            self.zombies.append(worker)
        if not done and worker is self.owner:
            self.owner = self.start_worker()
        return done

    def run(self, work: Any) -> Any:
        self.sound = False  # until the invariants hold again
        return self.loop.run_until_complete(work)

    # ---------------------------------------------------------------------------------------- workers

    @rule(place=PLACES, some=PROGRESS)
    def kill(self, place: Place, some: Progress) -> None:
        """The owner dies, between any two awaits of what it does next."""

        async def die() -> None:
            raise Killed

        self.lay(place, die)
        self.go_on(some)

    def lay(self, place: Place, burn: Burn) -> None:
        """Let something happen in the midst of what the owner does next."""
        call, points = place
        self.owner.arm(Fuse(points, burn, call))

    @rule(place=PLACES, some=PROGRESS)
    def stall(self, place: Place, some: Progress) -> None:
        """The owner stands still there as after SIGSTOP, and another one takes over."""
        self.lay(place, self.owner.stall)
        self.go_on(some)

    @rule()
    def replace_worker(self) -> None:
        """The owner dies while it waits."""
        self.owner = self.start_worker()

    @rule()
    def hand_over(self) -> None:
        if self.attempt(self.owner, self.owner.leave()):
            self.owner = self.start_worker()

    @rule()
    def rebalance(self) -> None:
        """The owner loses the partition and gets it again."""
        self.attempt(self.owner, self.owner.rejoin(self.shared.log.group))

    @rule(some=PROGRESS)
    def take_over(self, some: Progress) -> None:
        """Another worker has the partition, and the owner does not notice."""
        self.owner.arm(None)
        self.zombies.append(self.owner)
        self.owner = self.start_worker()
        self.go_on(some)

    @precondition(lambda self: self.zombies)
    @rule(which=st.integers(0, 9))
    def wake_zombie(self, which: int) -> None:
        """It goes on; where another one has taken over, it changes nothing, unless it takes over again."""
        zombie = self.zombies.pop(which % len(self.zombies))
        loads, stored = zombie.loads, self.stored()
        told = len(self.shared.told), len(self.shared.periods)
        may_write, may_tell = self.shared.writer is zombie.store, self.shared.teller is zombie.news
        if zombie.stalled:
            self.attempt(zombie, zombie.wake())
        elif self.shared.log.first <= zombie.at < self.fold.end:
            before = zombie.acknowledged
            self.attempt(zombie, zombie.take(zombie.at))
            assert zombie.acknowledged == before or may_write or zombie.loads > loads
        if zombie.loads == loads:
            assert may_write or self.stored() == stored
            assert may_tell or (len(self.shared.told), len(self.shared.periods)) == told

    # ------------------------------------------------------------------------------------------ store

    @rule(call=st.sampled_from(STORE), points=st.integers(0, 3), some=PROGRESS)
    def lose_answer(self, call: str, points: int, some: Progress) -> None:
        """The store is away for one call: before it arrives, or before its answer does."""

        async def be_away() -> None:
            raise AwayError

        self.lay((call, points), be_away)
        self.go_on(some)

    @precondition(lambda self: self.copies)
    @rule(back=st.integers(1, COPIES), place=PLACES, some=PROGRESS)
    def put_store_back(self, back: int, place: Place, some: Progress) -> None:
        """The store has what it had some packets ago."""
        self.lose_store(self.copies[-min(back, len(self.copies))], place)
        self.go_on(some)

    @precondition(lambda self: self.shared.log.first == 0)
    @rule(place=PLACES, some=PROGRESS)
    def empty_store(self, place: Place, some: Progress) -> None:
        self.lose_store({}, place)
        self.go_on(some)

    def lose_store(self, older: dict[int, HeldPartition], place: Place) -> None:
        """What is stored is lost for something older, and the workers live."""
        self.copies = []  # what comes after it is another history

        async def lose() -> None:
            self.shared.put_back(older)

        self.lay(place, lose)

    @rule(back=st.integers(0, 12))
    def forget_packets(self, back: int) -> None:
        """Retention takes the beginning of the log, as far as the store and the group do not need it."""
        log, stored = self.shared.log, self.stored()["next"]
        first = min(stored, log.group, self.owner.at) - back
        if first <= log.first:
            return
        del log.packets[: first - log.first]
        log.first = first
        self.owner.arm(None)
        self.zombies.clear()
        self.copies.clear()

    # ------------------------------------------------------------------------------------- invariants

    @invariant()
    def nothing_is_missed_or_counted_twice(self) -> None:
        self.check_told()
        self.check_outcomes()
        self.check_stored()
        self.sound = True

    def check_told(self) -> None:
        told, wanted = self.periods_told(), [v for v in self.fold.closings if not decode_period(v).empty]
        assert told == wanted[: len(told)]
        told = [(hop_ms, item.key, item.value) for _, hop_ms, item in self.shared.told]
        assert told == self.fold.news[: len(told)]

    def periods_now(self) -> list[bytes]:
        """All that the partition said of periods."""
        return [value for value in self.shared.periods if decode_period(value).partition == PARTITION]

    def periods_told(self) -> list[bytes]:
        """What the partition said of periods that held something; the rest it may repeat."""
        told = [(decode_period(value), value) for value in self.shared.periods]
        return [value for hour, value in told if hour.partition == PARTITION and not hour.empty]

    def check_outcomes(self) -> None:
        """Whoever assesses a hop, and however often, gets the same."""
        while self.shared.outcomes:
            outcome = self.shared.outcomes.pop()
            assert lines([outcome]) == self.fold.hops[outcome.hop_ms]
            self.assessed.add(outcome.hop_ms)

    def check_stored(self) -> None:
        """What is stored, with the hops that it allows, is the fold of the log up to there."""
        stored = self.stored()
        if stored != self.checked:
            monitor = monitor_of(self.sources, self.loaded(), self.fold.periods, bucket_rows=self.bucket_rows)
            monitor.leave()
            for _ in hops(monitor):
                pass
            assert plain(monitor.state) == self.fold.states[stored["next"]]
            self.checked = stored

    def stored(self) -> dict[str, Any]:
        return plain(self.loaded())

    def loaded(self) -> PartitionState:
        state: PartitionState = self.run(MemoryStore(self.shared.copied()).load(PARTITION))
        return state

    # -------------------------------------------------------------------------------------------- end

    def teardown(self) -> None:
        try:
            if self.sound:
                self.end()
        finally:
            self.close()

    def close(self) -> None:
        """End what stands still for ever."""
        if standing := asyncio.all_tasks(self.loop):
            for task in standing:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(standing))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def end(self) -> None:
        """Everything is posted, ends, is packed and delivered."""
        self.owner.arm(None)
        self.deaf, self.lag = False, 0
        while self.zombies:
            self.wake_zombie(0)
        self.post(len(self.coming))
        self.punctuate(END)
        self.ingest([20, 20, 20])
        while self.owner.at < self.fold.end:
            self.hand(self.owner.at)
        self.nothing_is_missed_or_counted_twice()
        self.check_end()

    def check_end(self) -> None:
        assert self.stored() == self.fold.states[-1]
        assert len(self.shared.told) == len(self.fold.news)
        assert self.periods_told() == [v for v in self.fold.closings if not decode_period(v).empty]
        last = [max(decode_period(v).end_ms for v in of) for of in (self.periods_now(), self.fold.closings)]
        assert last[0] == last[1]
        assert self.assessed == set(self.fold.hops)
        assert self.shared.ends[-1] == len(self.shared.told)
        self.check_posts()

    def check_posts(self) -> None:
        """The posts alone, each once and in other packets: the same assessments, alerts and windows."""
        if self.again_is_late and self.fold.late:
            return
        assert not self.fold.late
        other = Fold(self.sources, self.bucket_rows)
        for packet in self.alone():
            other.add(packet)
        assert other.brought() == self.fold.brought()
        assert other.states[-1]["tags"] == self.fold.states[-1]["tags"]

    def alone(self) -> Iterator[Packet]:
        """All posts, with the rows of each only where it comes first; clocks go by the others too."""
        topic, seen = Topic(self.sources), set[str]()
        topic.messages = self.topic.messages
        while left := [source for source in range(self.sources) if topic.unread(source)]:
            for source in left:
                told = topic.packet(source, 20)
                new = []
                for offset, one in numbered(topic.messages[source][told.start : told.end], told.start):
                    if one.id not in seen:
                        seen.add(one.id)
                        new.append((offset, one))
                (rows,) = pack(new, source, told.start, told.end, 1, begun=told.begun, ended=told.ended)
                yield msgspec.structs.replace(rows, clock=told.clock)


class ExactnessOfTheLog(Exactness):
    """Posts are late, have absurd dates, sources fall silent, end, begin: the order of the log decides."""

    strange = 0

    @precondition(lambda self: self.sent)
    @rule(source=st.integers(0, 2), late_s=st.integers(200, 3_600), some=PROGRESS)
    def post_late(self, source: int, late_s: int, some: Progress) -> None:
        self.post_away(source, -1_000 * late_s, QUIET)
        self.go_on(some)

    @precondition(lambda self: self.sent)
    @rule(
        source=st.integers(0, 2),
        away_ms=st.sampled_from((-47 * 365 * DAY_MS, 3_600_000, 5 * 365 * DAY_MS)),
        times=st.integers(1, 4),
        some=PROGRESS,
    )
    def post_misdated(self, source: int, away_ms: int, times: int, some: Progress) -> None:
        for _ in range(times):
            self.post_away(source, away_ms, HASHTAG)
        self.go_on(some)

    def post_away(self, source: int, away_ms: int, hashtag: str) -> None:
        """A post so far from the last one in event time."""
        self.strange += 1
        one = post(10**7 + self.strange, 10**6 + self.strange % 7, 0, "the bridge that never was")
        time_ms = self.sent[-1].time_ms + away_ms
        one = msgspec.structs.replace(one, time_ms=time_ms, hashtags=(hashtag,))
        self.topic.messages[source % self.sources].append(one)

    @rule(source=st.integers(0, 2), ended=st.booleans(), some=PROGRESS)
    def fall_silent(self, source: int, ended: bool, some: Progress) -> None:
        if not self.topic.unread(source % self.sources):
            self.log(self.topic.silence(source % self.sources, ended))
        self.go_on(some)

    @rule(source=st.integers(0, 2), word=st.sampled_from((BEGIN, END)))
    def begin_or_end(self, source: int, word: bytes) -> None:
        """Posts may come after an end all the same."""
        self.topic.messages[source % self.sources].append(word)

    def check_posts(self) -> None:
        """The clocks are a function of the posts in their order; and no post is held twice."""
        clocks: dict[int, SourceClock] = self.fold.states[-1]["clocks"]
        for source, messages in enumerate(self.topic.messages):
            alone, told = SourceClock().advance(stretches(numbered(messages, 0))), clocks[source]
            assert (told.newest_ms, told.leap_ms, told.leap_posts) == (
                alone.newest_ms,
                alone.leap_ms,
                alone.leap_posts,
            )
        for buckets, *_ in self.fold.states[-1]["tags"].values():
            assert all(len(rows) == len(set(rows)) for rows in buckets.values())


class ExactnessOfSamples(Exactness):
    """Hashtags are sampled: what is kept is a function of all rows, whoever counts them in which order."""

    bucket_rows = FULL


class ExactnessOfSamplesOfTheLog(ExactnessOfTheLog):
    """The same where posts are late."""

    bucket_rows = FULL


class ExactnessOfFewHashtags(Exactness):
    """There are more small hashtags than are held: which are passed over is a function of the posts."""

    again_is_late = True

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(slices, "SLICES", 1)

    def posts_today(self) -> list[Arrival]:
        posts = (*posts_of(self.day, self.seed), *strays(self.day, self.seed))
        return jumbled(posts, self.rng, self.sources, LATENESS_MS)[::-1]

    def close(self) -> None:
        super().close()
        self.patch.undo()


class ExactnessOfFewHashtagsOfTheLog(ExactnessOfFewHashtags, ExactnessOfTheLog):
    """The same where posts are late."""


TestExactness = Exactness.TestCase
TestExactness.settings = MACHINES
TestExactnessOfTheLog = ExactnessOfTheLog.TestCase
TestExactnessOfTheLog.settings = MACHINES
TestExactnessOfSamples = ExactnessOfSamples.TestCase
TestExactnessOfSamples.settings = settings(MACHINES, max_examples=MACHINES.max_examples // 2)
TestExactnessOfSamplesOfTheLog = ExactnessOfSamplesOfTheLog.TestCase
TestExactnessOfSamplesOfTheLog.settings = TestExactnessOfSamples.settings
TestExactnessOfFewHashtags = ExactnessOfFewHashtags.TestCase
TestExactnessOfFewHashtags.settings = TestExactnessOfSamples.settings
TestExactnessOfFewHashtagsOfTheLog = ExactnessOfFewHashtagsOfTheLog.TestCase
TestExactnessOfFewHashtagsOfTheLog.settings = TestExactnessOfSamples.settings


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_day_of_the_machines_has_alerts_that_fire_grow_and_end(seed: int) -> None:
    monitor = monitor_of(1)
    told = [
        tag.reason
        for packet in packets(
            [(0, one) for day in (0, 1) for one in sorted(posts_of(day, seed), key=lambda p: p.time_ms)]
        )
        for outcome in step_of(monitor, packet)
        for tag in outcome.tags
        if tag.reason.is_news
    ]
    assert set(told) == {Reason.FIRED, Reason.GREW, Reason.RESOLVED}


def test_the_days_of_the_machines_are_sampled_where_buckets_are_small_and_alerts_fire_all_the_same() -> None:
    tags = []
    for seed in range(SEEDS):
        monitor = monitor_of(1, bucket_rows=FULL)
        for packet in packets([(0, one) for one in sorted(posts_of(0, seed), key=lambda p: p.time_ms)]):
            tags += [tag for outcome in step_of(monitor, packet) for tag in outcome.tags]
    assert len({tag.window.sampled for tag in tags}) > SEEDS
    assert {Reason.FIRED, Reason.GREW} <= {tag.reason for tag in tags if tag.window.sampled < 1}


def test_in_the_days_of_the_machines_small_hashtags_are_passed_over_where_few_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "SLICES", 1)
    monitor, passed, told = monitor_of(1), list[str](), list[Reason]()
    for packet in packets(
        [(0, one) for one in sorted((*posts_of(0, 0), *strays(0, 0)), key=lambda p: p.time_ms)]
    ):
        monitor.apply(monitor.plan(packet))
        while (hop_ms := monitor.next_hop()) is not None:
            outcome = monitor.assess(hop_ms)
            told += [tag.reason for tag in outcome.tags]
            passed += [one.hashtag for one in monitor.close(outcome) if one.passed_over]
    assert len(passed) > 20
    assert Reason.FIRED in told


@pytest.mark.parametrize("seed", range(SEEDS))
def test_alerts_of_the_machines_are_found_to_belong_to_those_of_another_partition(seed: int) -> None:
    fold = Fold(2)
    ranked = sorted([one for day in (0, 1) for one in posts_of(day, seed)], key=lambda p: p.time_ms)
    for packet in packets([(i % 2, one) for i, one in enumerate(ranked)], sources=2):
        fold.add(packet)
    campaigns = [msgspec.json.decode(value)["campaign"] for _, _, value in fold.news]
    assert campaigns[0]["hashtags"] == [HASHTAG]
    assert {HASHTAG, f"{HASHTAG}s"} <= set(campaigns[-1]["hashtags"])
    assert any(tally.cells.size for tally in fold.periods.every().tallies)


def step_of(monitor: Monitor, packet: Packet) -> Iterator[Outcome]:
    monitor.apply(monitor.plan(packet))
    return hops(monitor)


@contextmanager
def history() -> Iterator[Exactness]:
    """A machine to be told what happens, with two sources."""
    made = Exactness()
    try:
        made.begin(sources=2, seed=0, deal=0)
        yield made
    finally:
        made.close()


def test_posts_that_come_after_an_end_are_told_before_the_end_is_told_again() -> None:
    with history() as made:
        for posts in (40, 200):
            made.go_on((posts, (0, 0), 0))
            made.punctuate(END)
            made.go_on((0, (999, 999), 99))
            assert made.shared.ends[-1] == len(made.shared.told)
        assert made.shared.told


@pytest.mark.parametrize("call", ["commit", "record", "evict"])
def test_a_store_that_goes_back_under_a_running_worker_is_found_out(call: str) -> None:
    with history() as made:
        made.go_on((60, (99, 99), 99))
        older = made.shared.copied()
        made.go_on((30, (99, 0), 99))
        made.lose_store(older, (call, 0))
        made.go_on((20, (0, 99), 99))
        made.nothing_is_missed_or_counted_twice()
        made.end()
