"""The destination partitions a worker owns: packets in, state to the store, alerts out, in that order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from detectors.baseline import Baseline
from streams import clock
from streams.ingestion import Send
from streams.metrics import Metrics
from streams.monitor import Delta, Evicted, Monitor, Outcome, PartitionState
from streams.news import Item, News
from streams.output import alert_json
from streams.packets import Packet, decode
from streams.periods import Closing
from streams.pipeline import END, PUNCTUATION
from streams.redis_client import AWAY
from streams.rows_log import PacketLog
from streams.settings import Settings, variable
from streams.store import StateLost, Store
from streams.watermark import TICK_MS, SourceClock

RETRY_S: Final = 0.5
TICK_S: Final = 1.0
"""How often partitions that were just assigned are loaded, and figures are shown."""

MAX_RELOADS: Final = 3
"""So often in a row the store may turn out to hold something else than it should before that is a bug."""

END_KEY: Final = "end/"
"""How the key of the message on `alerts` starts that says a partition has told everything."""

LogOf = Callable[[int], AbstractAsyncContextManager[PacketLog]]
"""Opens the log of a destination partition."""

log = logging.getLogger(__name__)


class StoreAway(RuntimeError):
    """Redis did not come back in time; one line with its address."""


class _Released(Exception):
    """The partition is not owned any more."""


@dataclass(frozen=True)
class _Waiting:
    """A packet that was delivered and is not counted yet; `done` acknowledges it."""

    at: int
    payload: bytes
    done: Callable[[], object]


@dataclass
class _Owned:
    """One destination partition: its monitor, once loaded.

    Attributes
    ----------
    waiting : deque of _Waiting
        What is behind a hop that is held, in order.
    counted : deque of _Waiting
        What is to be acknowledged once the hops that it allowed are stored, or held.
    behind : int
        The offset up to which packets must be read from the topic, as the state does not know of them.
    read : int
        The offset up to which that was done.
    seen : int
        The offset after the last packet that was counted here: should the store lose it, it is read again.
    """

    monitor: Monitor | None = None
    waiting: deque[_Waiting] = field(default_factory=deque)
    counted: deque[_Waiting] = field(default_factory=deque)
    behind: int = 0
    read: int = 0
    seen: int = 0
    rows: int = 0
    end_told: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Monitoring:
    """Runs the monitors of the partitions this worker owns; one at a time does anything in a partition."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        store: Store,
        news: News,
        log_of: LogOf,
        send: Send,
        baseline: Baseline,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._store = store
        self._news = news
        self._log_of = log_of
        self._send = send
        self._baseline = baseline
        self._periods = settings.rules().periods(range(settings.partitions))
        self._hears_again = False
        self._owned: dict[int, _Owned] = {}
        self._assessing = asyncio.Lock()  # one hop at a time: several would take turns, and more memory

    def assign(self, partitions: Collection[int]) -> None:
        """Begin anew with these partitions: what another worker did meanwhile is in the store."""
        self._owned = {partition: _Owned() for partition in partitions}

    async def release(self) -> None:
        """Let the packet or the hop that is being stored finish, then own nothing: the next owner goes on."""
        released, self._owned = self._owned, {}
        for partition, owned in released.items():
            async with owned.lock:
                _acknowledge(owned)
                owned.monitor = None
                owned.waiting.clear()
                owned.counted.clear()
                await self._news.close(partition)
                self._metrics.forget(partition)

    async def take(
        self, partition: int, at: int, payload: bytes, done: Callable[[], object] = lambda: None
    ) -> None:
        """Count a packet and assess the hops it allows, unless one before is held: then it waits behind that.

        Hops that are not assessed by the time the partition leaves are the next owner's, who finds in the
        store that they are due. The packet is counted all the same.

        Parameters
        ----------
        at : int
            Offset of the packet on the topic `rows`.
        done : callable
            Called once it is counted; never if the partition leaves before.
        """
        owned = self._owned.get(partition)
        if owned is not None:
            owned.waiting.append(_Waiting(at, payload, done))
            await self._with(partition, self._advance)

    async def hear(self, closings: Sequence[Closing]) -> None:
        """Take in completed periods that partitions have told, and go on with what waited for them."""
        if self._hears_again:
            return  # what was on its way when all was forgotten: periods before it are missing
        for closing in closings:
            self._periods.add(closing)
        for partition in sorted(self._owned):
            await self._with(partition, self._advance)
        self._forget()

    def hears_again(self) -> bool:
        """Whether completed periods have to be told from the beginning, to be asked once between two `hear`.

        That is so where state is counted again from a time whose periods were forgotten.
        """
        again, self._hears_again = self._hears_again, False
        if again:
            self._periods.clear()
        return again

    def _forget(self) -> None:
        """Drop the periods that no hop to come uses; none while a partition is not loaded."""
        monitors = [owned.monitor for owned in self._owned.values()]
        hops_ms = [None if monitor is None else monitor.state.assessed_ms for monitor in monitors]
        known_ms = [hop_ms for hop_ms in hops_ms if hop_ms is not None]
        if len(known_ms) < len(hops_ms):
            return
        closed_ms = self._periods.all_closed()
        if closed_ms is not None:
            self._periods.forget(min([closed_ms, *known_ms]))
            self._metrics.closed_seconds.set(closed_ms / 1_000)

    async def tick(self) -> None:
        """Load partitions that were just assigned, show how far each is and say which buckets are full."""
        for partition in sorted(self._owned):
            await self._with(partition, self._say)

    async def _with(self, partition: int, work: Callable[[_Owned], Awaitable[None]]) -> None:
        """Do `work` with the partition's monitor; again from what is stored after the store failed."""
        owned = self._owned.get(partition)
        if owned is None:
            return
        async with owned.lock:
            away_since_s: float | None = None
            reloads = 0
            while self._owned.get(partition) is owned:
                try:
                    await self._load(partition, owned)
                    await work(owned)
                    return
                except _Released:
                    return
                except AWAY as error:
                    # It is not known whether a write arrived; the stored marks know.
                    owned.monitor = None
                    away_since_s = self._away(away_since_s, error)
                    await asyncio.sleep(RETRY_S)
                except StateLost as error:
                    owned.monitor = None
                    reloads += 1
                    if reloads > MAX_RELOADS:
                        raise
                    log.warning("Redis lost state (%s), loading what it has", error)

    def _check(self, owned: _Owned, partition: int) -> None:
        """Raise `_Released` if the partition is not owned any more: its next owner is waiting."""
        if self._owned.get(partition) is not owned:
            raise _Released

    def _away(self, since_s: float | None, error: Exception) -> float:
        now_s = clock.monotonic_s()
        if since_s is None:
            log.warning("Redis at %s is away (%s), waiting", self._settings.redis_address, error)
            return now_s
        if now_s - since_s > self._settings.away_s:
            raise StoreAway(
                f"Redis at {self._settings.redis_address} has been away for {now_s - since_s:.0f} s"
                f" ({error}): start it or correct {variable('redis_url')}; nothing is lost"
            ) from error
        return since_s

    async def _load(self, partition: int, owned: _Owned) -> None:
        """Take a partition over: shut the last owner out, load its state, count what that lacks."""
        if owned.monitor is not None:
            return
        begun_s = clock.monotonic_s()
        await self._news.open(partition)
        async with self._log_of(partition) as rows_log:
            state = await self._state(partition, rows_log)
            owned.behind, owned.read = max(await rows_log.counted(), owned.seen), 0
        monitor = self._monitor(partition, state)
        if left := monitor.leave():
            await self._store.evict(partition, left)
        owned.rows = _rows_held(state)
        await self._say_closed(monitor)
        owned.monitor = monitor
        await self._advance(owned)
        self._metrics.load_seconds.observe(clock.monotonic_s() - begun_s)

    async def _say_closed(self, monitor: Monitor) -> None:
        """Repeat how far the partition's periods are closed, unless it was heard.

        Otherwise, were the topic lost, partitions would wait for what each of them has said long ago.
        """
        assessed_ms, known = monitor.state.assessed_ms, self._periods.closed(monitor.partition)
        end_ms = await self._news.passed(monitor.partition, assessed_ms or 0)
        if end_ms and (known is None or known < end_ms):
            await self._news.repeat(Closing(monitor.partition, end_ms))

    def _monitor(self, partition: int, state: PartitionState) -> Monitor:
        since_ms, assessed_ms = self._periods.since_ms, state.assessed_ms
        if since_ms is not None and (assessed_ms is None or assessed_ms < since_ms):
            # Until they are told again, which periods are closed is not known either, and the hops are held.
            self._hears_again = True
            self._periods.clear()
        sources = range(self._settings.partitions)
        return Monitor(partition, sources, self._settings.rules(), self._baseline, state, self._periods)

    async def _state(self, partition: int, rows_log: PacketLog) -> PartitionState:
        """What is stored; emptied, to be counted again, where the group has counted and nothing is stored."""
        try:
            state = await self._store.load(partition)
        except StateLost as error:
            return await self._emptied(partition, rows_log, str(error))
        counted = await rows_log.counted()
        if state.next is None and counted > await rows_log.earliest():
            why = f"Redis holds nothing of partition {partition}, of which {counted} packets were counted"
            return await self._emptied(partition, rows_log, why)
        return state

    async def _emptied(self, partition: int, rows_log: PacketLog, why: str) -> PartitionState:
        earliest, counted = await rows_log.earliest(), await rows_log.counted()
        covered_ms = None if earliest == 0 else await self._covered(rows_log, earliest, counted)
        since = "" if covered_ms is None else f"; windows that begin before {clock.iso(covered_ms)} are lost"
        log.warning(
            "%s: counting offsets %d to %d of the topic %s again%s",
            why,
            earliest,
            counted,
            self._settings.rows_topic,
            since,
        )
        self._metrics.rebuilds.inc()
        return await self._store.reset(partition, covered_ms)

    async def _covered(self, rows_log: PacketLog, start: int, end: int) -> int:
        """The event time from which on a log that has lost its beginning is complete for every source."""
        clocks: dict[int, SourceClock] = {}
        async for _, payload in rows_log.read(start, end):
            packet = decode(payload)
            known = clocks.get(packet.source, SourceClock())
            if known.newest_ms is None:
                clocks[packet.source] = known.advance(packet.clock)
            told = [one.newest_ms for one in clocks.values() if one.newest_ms is not None]
            if len(told) == self._settings.partitions:
                break
        told = [one.newest_ms for one in clocks.values() if one.newest_ms is not None]
        return max(told, default=0) + TICK_MS + self._settings.lateness_s * 1_000

    async def _advance(self, owned: _Owned) -> None:
        """Assess what is allowed and count what was delivered, in order, until a hop is held."""
        monitor = _loaded(owned)
        await self._hops(owned, monitor)
        while not monitor.held:
            following = monitor.state.next or 0
            first = owned.waiting[0] if owned.waiting else None
            end = owned.behind if first is None else max(owned.behind, first.at)
            if end > max(following, owned.read):
                await self._catch_up(owned, monitor, following, end)
            elif first is None:
                return
            else:
                await self._count_packet(owned, monitor, first.at, decode(first.payload))
                owned.counted.append(owned.waiting.popleft())
                await self._hops(owned, monitor)

    async def _catch_up(self, owned: _Owned, monitor: Monitor, start: int, end: int) -> None:
        """Count the packets before `end` that the state does not know of, until a hop is held."""
        log.info("partition %d counts offsets %d to %d of rows again", monitor.partition, start, end)
        async with self._log_of(monitor.partition) as rows_log:
            async for at, payload in rows_log.read(start, end):
                self._check(owned, monitor.partition)
                await self._count_packet(owned, monitor, at, decode(payload))
                await self._hops(owned, monitor)
                if monitor.held:
                    return
        owned.read, owned.behind = end, 0

    async def _count_packet(self, owned: _Owned, monitor: Monitor, at: int, packet: Packet) -> None:
        delta = monitor.plan(packet, at)
        begun_s = clock.monotonic_s()
        await self._store.commit(monitor.partition, delta)
        self._metrics.commit_seconds.observe(clock.monotonic_s() - begun_s)
        monitor.apply(delta)
        owned.seen = max(owned.seen, at + 1)
        owned.rows += self._count(delta)

    async def _hops(self, owned: _Owned, monitor: Monitor) -> None:
        while (hop_ms := monitor.next_hop()) is not None:
            owned.end_told = False  # where it was said already, there was more after all
            await self._hop(owned, monitor, hop_ms)
        _acknowledge(owned)
        if not monitor.held:
            await self._tell_end(owned, monitor)

    async def _hop(self, owned: _Owned, monitor: Monitor, hop_ms: int) -> None:
        """Assess a hop, tell and store it; its windows are gone when the partition's next hop is assessed."""
        async with self._assessing:
            self._check(owned, monitor.partition)  # it may have left while others were assessed
            begun_s = clock.monotonic_s()
            outcome = await asyncio.to_thread(monitor.assess, hop_ms)
            self._metrics.assess_seconds.observe(clock.monotonic_s() - begun_s)
        await self._news.tell(monitor.partition, hop_ms, _items(outcome), outcome.closing)
        owned.rows -= await self._record(monitor, outcome)

    async def _record(self, monitor: Monitor, outcome: Outcome) -> int:
        """Store and close a hop; gives the number of rows that left with it."""
        begun_s = clock.monotonic_s()
        await self._store.record(monitor.partition, outcome)
        self._metrics.record_seconds.observe(clock.monotonic_s() - begun_s)
        evicted = monitor.close(outcome)
        if evicted:
            await self._store.evict(monitor.partition, evicted)
        self._count_hop(outcome, evicted)
        return sum(len(tag.rows) for tag in evicted)

    async def _tell_end(self, owned: _Owned, monitor: Monitor) -> None:
        if not monitor.ended:
            owned.end_told = False
        elif not owned.end_told:
            value = msgspec.json.encode({"partition": monitor.partition, "punctuation": END.decode()})
            key = f"{END_KEY}{monitor.partition}".encode()
            await (await self._send(self._settings.alerts_topic, key, value, None, {PUNCTUATION: END}))
            owned.end_told = True

    def _count(self, delta: Delta) -> int:
        new = sum(map(len, delta.rows.values()))
        counts = {
            "new": new,
            "repeated": delta.repeated,
            "late": delta.late_rows,
            "expired": delta.expired_rows,
            "left_out": delta.left_out_rows,
        }
        self._metrics.packets.inc()
        for result, number in counts.items():
            self._metrics.rows.labels(result).inc(number)
        self._metrics.cut_rows.inc(delta.cut_rows)
        return new - delta.cut_rows

    def _count_hop(self, outcome: Outcome, evicted: Sequence[Evicted]) -> None:
        self._metrics.hops.inc()
        self._metrics.assessments.inc(len(outcome.tags))
        for left in evicted:
            if left.passed_over:
                self._metrics.passed_over_tags.inc()
                self._metrics.passed_over_rows.inc(len(left.rows))
            else:
                self._metrics.evicted_rows.inc(len(left.rows))
        for tag in outcome.tags:
            self._metrics.alerts.labels(tag.reason.value).inc()

    async def _say(self, owned: _Owned) -> None:
        monitor = _loaded(owned)
        self._show(monitor, owned)
        if limits := monitor.full():
            await self._store.publish(monitor.partition, limits)

    def _show(self, monitor: Monitor, owned: _Owned) -> None:
        metrics, label, tags = self._metrics, str(monitor.partition), monitor.state.tags
        whole = [tag for _, tag in tags.whole()]
        watermark_ms = monitor.watermark()
        if watermark_ms is not None:
            metrics.watermark_seconds.labels(label).set(watermark_ms / 1_000)
        if monitor.state.assessed_ms is not None:
            metrics.hop_seconds.labels(label).set(monitor.state.assessed_ms / 1_000)
        metrics.waiting_packets.labels(label).set(len(owned.waiting))
        metrics.idle_sources.labels(label).set(monitor.silent)
        metrics.tags.labels(label).set(len(tags))
        metrics.sampled_tags.labels(label).set(sum(bool(tag.limits) for tag in whole))
        metrics.window_rows.labels(label).set(owned.rows)
        metrics.open_alerts.labels(label).set(sum(tag.alert is not None for tag in whole))


def _acknowledge(owned: _Owned) -> None:
    """Say of the packets that are stored that they are counted."""
    following = 0 if owned.monitor is None else owned.monitor.state.next or 0
    while owned.counted and owned.counted[0].at < following:
        owned.counted.popleft().done()


def _loaded(owned: _Owned) -> Monitor:
    assert owned.monitor is not None
    return owned.monitor


def _items(outcome: Outcome) -> list[Item]:
    return [
        Item(tag.alert.id.encode(), alert_json(tag.alert), tag.reason)
        for tag in outcome.tags
        if tag.alert is not None and tag.reason.is_news
    ]


def _rows_held(state: PartitionState) -> int:
    return sum(map(state.tags.count, state.tags))
