"""The destination partitions a worker owns: packets in, state to the store, alerts out, in that order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from detectors.baseline import Baseline
from streams import clock
from streams.ingestion import Send
from streams.metrics import Metrics
from streams.monitor import Delta, Monitor, Outcome, PartitionState
from streams.news import Item, News
from streams.output import alert_json
from streams.packets import Packet, decode
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


@dataclass
class _Owned:
    """One destination partition: its monitor, once loaded."""

    monitor: Monitor | None = None
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
        self._owned: dict[int, _Owned] = {}

    def assign(self, partitions: Collection[int]) -> None:
        """Begin anew with these partitions: what another worker did meanwhile is in the store."""
        self._owned = {partition: _Owned() for partition in partitions}

    async def release(self) -> None:
        """Let the packet or the hop that is being stored finish, then own nothing: the next owner goes on."""
        released, self._owned = self._owned, {}
        for partition, owned in released.items():
            async with owned.lock:
                owned.monitor = None
                await self._news.close(partition)
                self._metrics.forget(partition)

    async def take(self, partition: int, at: int, payload: bytes) -> bool:
        """Count a packet and assess the hops it allows; false if it was not counted: no longer owned here.

        Hops that are not assessed by the time the partition leaves are the next owner's, who finds in the
        store that they are due. The packet is counted all the same.

        Parameters
        ----------
        at : int
            Offset of the packet on the topic `rows`.
        """
        packet = decode(payload)
        counted = False

        async def count(owned: _Owned) -> None:
            nonlocal counted
            counted = False  # where this is done again, the store has lost it
            await self._take(owned, at, packet)
            counted = True
            await self._hops(owned, _loaded(owned))

        await self._with(partition, count)
        return counted

    async def tick(self) -> None:
        """Load partitions that were just assigned, and show how far each is."""
        for partition in sorted(self._owned):
            await self._with(partition, self._show)

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
        owned.monitor = None
        await self._news.open(partition)
        async with self._log_of(partition) as rows_log:
            state = await self._state(partition, rows_log)
            monitor = self._monitor(partition, state)
            swept = monitor.sweep()
            if swept:
                await self._store.evict(partition, swept)
            owned.rows = _rows_held(state)
            await self._hops(owned, monitor)
            await self._catch_up(owned, monitor, rows_log, await rows_log.counted())
        owned.monitor = monitor
        self._metrics.load_seconds.observe(clock.monotonic_s() - begun_s)

    def _monitor(self, partition: int, state: PartitionState | None = None) -> Monitor:
        sources = range(self._settings.partitions)
        return Monitor(partition, sources, self._settings.rules(), self._baseline, state)

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

    async def _catch_up(self, owned: _Owned, monitor: Monitor, rows_log: PacketLog, end: int) -> None:
        """Count the packets before `end` that the state does not know of."""
        start = monitor.state.next or 0
        if start >= end:
            return
        log.info("partition %d counts offsets %d to %d of rows again", monitor.partition, start, end)
        async for at, payload in rows_log.read(start, end):
            self._check(owned, monitor.partition)
            await self._count_packet(owned, monitor, at, decode(payload))
            await self._hops(owned, monitor)

    async def _take(self, owned: _Owned, at: int, packet: Packet) -> None:
        monitor = _loaded(owned)
        if at > (monitor.state.next or 0):
            async with self._log_of(monitor.partition) as rows_log:
                await self._catch_up(owned, monitor, rows_log, at)
        await self._count_packet(owned, monitor, at, packet)

    async def _count_packet(self, owned: _Owned, monitor: Monitor, at: int, packet: Packet) -> None:
        delta = monitor.plan(packet, at)
        begun_s = clock.monotonic_s()
        await self._store.commit(monitor.partition, delta)
        self._metrics.commit_seconds.observe(clock.monotonic_s() - begun_s)
        monitor.apply(delta)
        owned.rows += self._count(delta)

    async def _hops(self, owned: _Owned, monitor: Monitor) -> None:
        while (hop_ms := monitor.next_hop()) is not None:
            self._check(owned, monitor.partition)
            owned.end_told = False  # where it was said already, there was more after all
            begun_s = clock.monotonic_s()
            outcome = await asyncio.to_thread(monitor.assess, hop_ms)
            self._metrics.assess_seconds.observe(clock.monotonic_s() - begun_s)
            await self._news.tell(monitor.partition, hop_ms, _items(outcome))
            owned.rows -= await self._record(monitor, outcome)
        await self._tell_end(owned, monitor)

    async def _record(self, monitor: Monitor, outcome: Outcome) -> int:
        """Store and close a hop; gives the number of rows that left with it."""
        begun_s = clock.monotonic_s()
        await self._store.record(monitor.partition, outcome)
        self._metrics.record_seconds.observe(clock.monotonic_s() - begun_s)
        evicted = monitor.close(outcome)
        if evicted:
            await self._store.evict(monitor.partition, evicted)
        gone = sum(len(tag.rows) for tag in evicted)
        self._count_hop(outcome, gone)
        return gone

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
        }
        self._metrics.packets.inc()
        for result, number in counts.items():
            self._metrics.rows.labels(result).inc(number)
        return new

    def _count_hop(self, outcome: Outcome, evicted_rows: int) -> None:
        self._metrics.hops.inc()
        self._metrics.assessments.inc(len(outcome.tags))
        self._metrics.evicted_rows.inc(evicted_rows)
        for tag in outcome.tags:
            self._metrics.alerts.labels(tag.reason.value).inc()

    async def _show(self, owned: _Owned) -> None:
        monitor = _loaded(owned)
        metrics, label, tags = self._metrics, str(monitor.partition), monitor.state.tags.values()
        watermark_ms = monitor.watermark()
        if watermark_ms is not None:
            metrics.watermark_seconds.labels(label).set(watermark_ms / 1_000)
        if monitor.state.assessed_ms is not None:
            metrics.hop_seconds.labels(label).set(monitor.state.assessed_ms / 1_000)
        metrics.idle_sources.labels(label).set(monitor.silent)
        metrics.tags.labels(label).set(len(tags))
        metrics.window_rows.labels(label).set(owned.rows)
        metrics.open_alerts.labels(label).set(sum(tag.alert is not None for tag in tags))


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
    return sum(len(rows) for tag in state.tags.values() for parts in tag.buckets.values() for rows in parts)
