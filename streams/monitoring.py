"""The destination partitions a worker owns: packets in, state to the store, alerts out, in that order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec
import redis

from detectors.baseline import Baseline
from streams import clock
from streams.ingestion import Send
from streams.metrics import Metrics
from streams.monitor import Delta, Monitor, Outcome, PartitionState
from streams.output import alert_json
from streams.packets import Packet, decode
from streams.pipeline import END, PUNCTUATION
from streams.settings import Settings, variable
from streams.store import Store

REDIS_AWAY_S: Final = 30.0
"""How long a worker waits for a Redis that is away before it stops."""

RETRY_S: Final = 0.5
TICK_S: Final = 1.0
"""How often hops are looked for while no packets come."""

END_KEY: Final = "end/"
"""How the key of the message on `alerts` starts that says a partition has told everything."""

log = logging.getLogger(__name__)


class StoreAway(RuntimeError):
    """Redis did not come back in time; one line with its address."""


@dataclass
class _Owned:
    """One destination partition: its monitor, once loaded, and how long each source has been silent."""

    monitor: Monitor | None = None
    quiet_s: dict[int, float] = field(default_factory=dict)
    rows: int = 0
    end_told: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Monitoring:
    """Runs the monitors of the partitions this worker owns; one at a time does anything in a partition.

    Parameters
    ----------
    away_s : float
        Wall time to wait for a Redis that is away.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        store: Store,
        send: Send,
        baseline: Baseline,
        away_s: float = REDIS_AWAY_S,
    ) -> None:
        self._away_s = away_s
        self._settings = settings
        self._metrics = metrics
        self._store = store
        self._send = send
        self._baseline = baseline
        self._owned: dict[int, _Owned] = {}

    def assign(self, partitions: Collection[int]) -> None:
        """Begin anew with these partitions: what another worker did meanwhile is in the store."""
        self._owned = {partition: _Owned() for partition in partitions}

    async def release(self) -> None:
        """Let what is being done finish, then own nothing: the next owner loads what was stored."""
        released, self._owned = self._owned, {}
        for partition, owned in released.items():
            async with owned.lock:
                owned.monitor = None
                self._metrics.forget(partition)

    async def take(self, partition: int, payload: bytes) -> bool:
        """Count a packet and assess the hops it allows; false if the partition is not owned any more."""
        packet = decode(payload)
        return await self._with(partition, lambda owned: self._take(owned, packet))

    async def tick(self, elapsed_s: float) -> None:
        """Assess what silence allows; loads partitions that were just assigned."""
        for partition in sorted(self._owned):
            await self._with(partition, lambda owned: self._tick(owned, elapsed_s))

    async def _with(self, partition: int, work: Callable[[_Owned], Awaitable[None]]) -> bool:
        """Do `work` with the partition's monitor; again from what is stored while Redis is away."""
        owned = self._owned.get(partition)
        if owned is None:
            return False
        async with owned.lock:
            away_since_s: float | None = None
            while self._owned.get(partition) is owned:
                try:
                    await self._load(partition, owned)
                    await work(owned)
                    return True
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    # It is not known whether a write arrived; the stored marks know.
                    owned.monitor = None
                    away_since_s = self._away(away_since_s, error)
                    await asyncio.sleep(RETRY_S)
            return False

    def _away(self, since_s: float | None, error: Exception) -> float:
        now_s = clock.monotonic_s()
        if since_s is None:
            log.warning("Redis at %s is away (%s), waiting", self._settings.redis_address, error)
            return now_s
        if now_s - since_s > self._away_s:
            raise StoreAway(
                f"Redis at {self._settings.redis_address} has been away for {now_s - since_s:.0f} s"
                f" ({error}): start it or correct {variable('redis_url')}; nothing is lost"
            ) from error
        return since_s

    async def _load(self, partition: int, owned: _Owned) -> None:
        if owned.monitor is not None:
            return
        begun_s = clock.monotonic_s()
        state = await self._store.load(partition)
        sources = range(self._settings.partitions)
        owned.monitor = Monitor(partition, sources, self._settings.rules(), self._baseline, state)
        owned.quiet_s = dict.fromkeys(sources, 0.0)
        owned.rows = _rows_held(state)
        self._metrics.load_seconds.observe(clock.monotonic_s() - begun_s)
        await self._hops(owned, owned.monitor)

    async def _take(self, owned: _Owned, packet: Packet) -> None:
        monitor = _loaded(owned)
        delta = monitor.plan(packet)
        begun_s = clock.monotonic_s()
        await self._store.commit(monitor.partition, delta)
        self._metrics.commit_seconds.observe(clock.monotonic_s() - begun_s)
        late_before = monitor.late_rows
        monitor.apply(delta)
        owned.rows += self._count(delta, monitor.late_rows - late_before)
        owned.quiet_s[packet.source] = 0.0
        await self._hops(owned, monitor)

    async def _tick(self, owned: _Owned, elapsed_s: float) -> None:
        # A tick that had to wait for a long assessment must not make silence of its own waiting.
        silent_s = min(elapsed_s, 2 * TICK_S)
        for source in owned.quiet_s:
            owned.quiet_s[source] += silent_s
        monitor = _loaded(owned)
        await self._hops(owned, monitor)
        self._show(owned, monitor)

    async def _hops(self, owned: _Owned, monitor: Monitor) -> None:
        idle = self._idle(owned)
        while (hop_ms := monitor.next_hop(idle)) is not None:
            begun_s = clock.monotonic_s()
            outcome = await asyncio.to_thread(monitor.assess, hop_ms)
            self._metrics.assess_seconds.observe(clock.monotonic_s() - begun_s)
            await self._tell(outcome)
            owned.rows -= await self._record(monitor, outcome)
        await self._tell_end(owned, monitor)

    def _idle(self, owned: _Owned) -> frozenset[int]:
        return frozenset(s for s, quiet_s in owned.quiet_s.items() if quiet_s >= self._settings.idle_s)

    async def _tell(self, outcome: Outcome) -> None:
        queued = [
            await self._send(
                self._settings.alerts_topic, tag.alert.id.encode(), alert_json(tag.alert), None, {}
            )
            for tag in outcome.tags
            if tag.alert is not None and tag.reason.is_news
        ]
        await asyncio.gather(*queued)

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

    def _count(self, delta: Delta, late: int) -> int:
        new = sum(map(len, delta.rows.values()))
        self._metrics.packets.inc()
        self._metrics.rows.labels("new").inc(new)
        self._metrics.rows.labels("repeated").inc(delta.repeated)
        self._metrics.rows.labels("late").inc(late)
        return new

    def _count_hop(self, outcome: Outcome, evicted_rows: int) -> None:
        self._metrics.hops.inc()
        self._metrics.assessments.inc(len(outcome.tags))
        self._metrics.evicted_rows.inc(evicted_rows)
        for tag in outcome.tags:
            self._metrics.alerts.labels(tag.reason.value).inc()

    def _show(self, owned: _Owned, monitor: Monitor) -> None:
        metrics, label, tags = self._metrics, str(monitor.partition), monitor.state.tags.values()
        idle = self._idle(owned)
        watermark_ms = monitor.watermark(idle)
        if watermark_ms is not None:
            metrics.watermark_seconds.labels(label).set(watermark_ms / 1_000)
        if monitor.state.assessed_ms is not None:
            metrics.hop_seconds.labels(label).set(monitor.state.assessed_ms / 1_000)
        metrics.idle_sources.labels(label).set(len(idle))
        metrics.tags.labels(label).set(len(tags))
        metrics.window_rows.labels(label).set(owned.rows)
        metrics.open_alerts.labels(label).set(sum(tag.alert is not None for tag in tags))


def _loaded(owned: _Owned) -> Monitor:
    assert owned.monitor is not None
    return owned.monitor


def _rows_held(state: PartitionState) -> int:
    return sum(len(rows) for tag in state.tags.values() for parts in tag.buckets.values() for rows in parts)
