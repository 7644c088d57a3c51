"""The Faust app: its settings, its two agents, and what happens when partitions come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import faust
from aiokafka.errors import KafkaError
from faust.types import TP

from detectors.baseline import Baseline
from streams import agents, clock, periods_log, rows_log, topics, transport
from streams.ending import fatal
from streams.ingestion import Ingestion
from streams.lanes import Lanes
from streams.metrics import Metrics
from streams.monitoring import TICK_S, Monitoring
from streams.news import TopicNews
from streams.redis_client import AWAY
from streams.settings import Settings
from streams.store import Store
from streams.topics import MAX_MESSAGE_BYTES

READY: Final = "worker ready:"
"""How the line starts that a worker logs once it has its partitions and their state."""

# A join waits for half the session timeout with the embedded broker, so it must be short; a worker that died
# is noticed after it. The consumer's thread sends heartbeats, so a long assessment does not delay them.
SESSION_S: Final = 6.0
HEARTBEAT_S: Final = 1.5

BUFFERED: Final = 64
"""So many bundles of messages, and packets, wait in Faust for each agent; more stay with the broker."""

WATCH_S: Final = 3.0

ready_log = logging.getLogger("streams.ready")
ready_log.setLevel(logging.INFO)


def build(settings: Settings, metrics: Metrics, store: Store, baseline: Baseline, folder: Path) -> faust.App:
    """The app of one worker; it starts when `streams.worker` runs it.

    Faust insists on making a few empty folders; they go into `folder`.
    """
    app = faust.App(
        settings.group,
        broker=settings.kafka_url,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_max_request_size=MAX_MESSAGE_BYTES,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFERED,
        # Without standby tables Faust needs no assignor of its own: partitions are dealt out in turn.
        table_standby_replicas=0,
        topic_allow_declare=False,
        # Left on, Faust makes topics of its own and elects a leader nobody needs.
        topic_disable_leader=True,
        store="memory://",
        datadir=folder,
        web_enabled=False,
        worker_redirect_stdouts=False,
        key_serializer="raw",
        value_serializer="raw",
    )
    transport.use(app, settings.posts_topic)
    work = _Work(app, settings, metrics, store, baseline)
    work.lanes = agents.add(app, settings, work.ingestion, work.monitoring)
    app.on_partitions_revoked.connect(work.revoked)
    app.on_partitions_assigned.connect(work.assigned)
    app.on_before_shutdown.connect(work.stopping)
    app.task(work.flush)
    app.task(work.tick)
    app.task(work.watch)
    app.task(work.hear)
    return app


class _Work:
    """What the agents of one app share: the two owners, told when partitions come and go."""

    def __init__(
        self, app: faust.App, settings: Settings, metrics: Metrics, store: Store, baseline: Baseline
    ) -> None:
        self._app = app
        self._settings = settings
        self._store = store
        self._rebalanced = 0
        self._lines: list[str] = []
        self._ends: dict[int, tuple[int, int]] = {}
        self.lanes: Sequence[Lanes[Any]] = ()
        self.ingestion = Ingestion(settings, metrics, self._send, self._start_of, self._exhausted)
        log_of = partial(rows_log.opened, settings)
        self.monitoring = Monitoring(
            settings, metrics, store, TopicNews(settings), log_of, self._send, baseline
        )

    async def revoked(self, *_about: Any, **_: Any) -> None:
        """Finish what is under way before the group goes on without us."""
        await self._release()

    async def stopping(self, *_about: Any, **_: Any) -> None:
        """Finish what is under way before Faust cancels the agents: what is counted is then committed too."""
        await self._release()

    async def _release(self) -> None:
        with fatal():
            for lanes in self.lanes:
                lanes.forget()
            await self.ingestion.release()
            await self.monitoring.release()

    async def assigned(self, *about: Any, **_: Any) -> None:
        """Begin anew with the partitions we have now."""
        partitions: set[TP] = about[1]
        self._rebalanced += 1
        sources = sorted(tp.partition for tp in partitions if tp.topic == self._settings.posts_topic)
        owned = sorted(tp.partition for tp in partitions if tp.topic == self._settings.rows_topic)
        self.ingestion.assign(sources)
        self.monitoring.assign(owned)
        self._lines.append(f"{_named(sources)} of posts, {_named(owned)} of rows")

    async def flush(self) -> None:
        """Send micro-batches that have waited for long enough, and say which sources are idle."""
        while not self._app.should_stop:
            await asyncio.sleep(self._settings.batch_ms / 2_000)
            with fatal():
                await self.ingestion.flush_due()

    async def tick(self) -> None:
        """Load partitions that were just assigned, and say when that is done."""
        while not self._app.should_stop:
            await asyncio.sleep(TICK_S if not self._lines else 0.05)
            lines, self._lines = self._lines, []
            with fatal():
                await self.monitoring.tick()
                await self._spare()
            for line in lines:
                ready_log.info("%s %s", READY, line)

    async def _spare(self) -> None:
        with suppress(*AWAY):  # what was said before stays true
            self.ingestion.spare(await self._store.published(range(self._settings.partitions)))

    async def hear(self) -> None:
        """Read what partitions say of completed periods, and go on with the hops that waited for it."""
        with fatal():
            async for closings in periods_log.follow(self._settings, self.monitoring.hears_again):
                await self.monitoring.hear(closings)

    async def watch(self) -> None:
        """Stop when no broker takes connections any more: Faust would try for ever."""
        away_since_s: float | None = None
        while not self._app.should_stop:
            await asyncio.sleep(WATCH_S)
            try:
                await asyncio.to_thread(topics.reach, self._settings.kafka_servers, 1.0)
                away_since_s = None
            except topics.BrokerError:
                away_since_s = away_since_s or clock.monotonic_s()
                if clock.monotonic_s() - away_since_s > self._settings.away_s:
                    with fatal():
                        raise

    async def _send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None, headers: Mapping[str, bytes]
    ) -> Awaitable[object]:
        sent: Awaitable[object] = await self._app.producer.send(
            topic, key, value, partition, None, dict(headers)
        )
        return sent

    async def _start_of(self, source: int, first: int) -> int:
        """Where the first batch after an assignment begins.

        Offsets that hold no message (a transaction's marker) belong to the batch that follows. A process
        that just started reads from the committed offset, so whatever lies between is such a hole, if the
        log still reaches back that far. After later rebalances Faust is known to skip messages (its issues
        216 and 604), so there the first message counts: what was skipped is then missing, and the monitor
        stops on it.
        """
        if self._rebalanced > 1:
            return first
        earliest, begins = await self._begins(TP(self._settings.posts_topic, source))
        return begins if earliest <= begins < first else first

    async def _begins(self, tp: TP) -> tuple[int, int]:
        """The first offset that the log of a partition holds, and where a reader of it begins."""
        # Faust has no public way to ask for what was committed.
        consumer: Any = self._app.consumer
        earliest = (await consumer.earliest_offsets(tp))[tp]
        committed = consumer._committed_offset.get(tp)
        return earliest, earliest if committed is None else committed

    async def _exhausted(self, source: int, since: int) -> int | None:
        """Where a source begins that the broker says to hold nothing unread; None if it does not say so.

        That is where a reader begins that has read nothing: never behind a message that has been fetched and
        not been taken up, or that message would be missing.
        """
        consumer: Any = self._app.consumer
        tp = TP(self._settings.posts_topic, source)
        try:
            position, ends = await consumer.position(tp), await consumer.highwaters(tp)
            _, begins = await self._begins(tp)
        except (KafkaError, TimeoutError):
            return None  # a broker that is away says nothing of its topics
        # The embedded broker's answer may fall short by a batch; what came with its last messages does not.
        if position is None or position < max(ends[tp], consumer.highwater(tp) or 0):
            return None
        fetched = consumer.fetched(tp)
        if fetched >= since:
            return None
        # Behind the last one there may be a message that the client has and Faust has not yet, or the marker
        # of a transaction. Which of them it is shows by the next time we ask.
        before, self._ends[source] = self._ends.get(source), (position, fetched)
        if max(begins, fetched + 1) < position and before != (position, fetched):
            return None
        return begins


def _named(partitions: list[int]) -> str:
    return f"partitions {', '.join(map(str, partitions))}" if partitions else "no partition"
