"""Micro-batches: messages of the topic `posts` become packets on `rows`, and only then are acknowledged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from streams import clock, dead, pipeline
from streams.dead import Place
from streams.full import Full, Limits
from streams.metrics import Metrics, category
from streams.packets import encode, pack
from streams.pipeline import DeadLetter, Ingested, Message
from streams.posts import InvalidPost
from streams.settings import Settings, variable

MAX_BATCH_BYTES: Final = 2**20
"""Payload bytes after which a micro-batch goes, so that its packets stay far below what a broker takes."""


ABANDONED_S: Final = 3_600.0
"""Wall time of silence after which a source counts as ended: a replay that was killed says no more."""

MAX_PACKET_BYTES: Final = 12 * 2**20
"""Three quarters of `topics.MAX_MESSAGE_BYTES`, which brokers and clients are told to take."""


MAX_KINDS: Final = 100
"""Kinds of reasons that are counted for the message of `TooManyDead`; the formats make about 30."""

MAX_EXAMPLE_CHARS: Final = 300


class TooManyDead(RuntimeError):
    """So large a share of the posts could not be read that the deployment must be wrong, not the posts."""


class Send(Protocol):
    """Puts a message on a topic; awaited twice: once until it is queued, then until the broker has it."""

    def __call__(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None, headers: Mapping[str, bytes]
    ) -> Awaitable[Awaitable[object]]: ...


Acknowledge = Callable[[], object]
StartOf = Callable[[int, int], Awaitable[int]]
"""From a source partition and the first offset read from it to the offset its first batch covers from."""

Exhausted = Callable[[int, int], Awaitable[int | None]]
"""From a source partition that holds nothing unread from an offset on, to where a reader begins who has read
nothing of it; to None if it does hold something, or nobody knows."""


@dataclass
class _Batch:
    """What was read from one source partition and not sent yet; `start` is None before the first message.

    `quiet_s` is the moment since which nothing came, `patience_s` the silence at which to speak of it.
    """

    patience_s: float

    start: int | None = None
    messages: list[Message] = field(default_factory=list)
    acknowledge: list[Acknowledge] = field(default_factory=list)
    payloads: int = 0
    size: int = 0
    since_s: float = 0.0
    quiet_s: float = field(default_factory=clock.monotonic_s)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, message: Message) -> None:
        if not self.messages:
            self.since_s = clock.monotonic_s()
        self.messages.append(message)
        self.payloads += message.value.count(b"\n") + 1  # every line may be a post
        self.size += len(message.value)


class Ingestion:
    """Collects messages per source partition and sends them on as packets.

    The owner of all that is read and not yet sent. Nothing is acknowledged before every packet and dead
    letter of its batch is with the broker.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, send: Send, start_of: StartOf, exhausted: Exhausted
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._send = send
        self._start_of = start_of
        self._exhausted = exhausted
        self._assigned: frozenset[int] = frozenset()
        self._batches: dict[int, _Batch] = {}
        self._dead_share = DeadShare(settings.max_dead_share, settings.dead_share_payloads)
        self._spared = Full(settings.hop_s * 1_000)

    def assign(self, sources: Collection[int]) -> None:
        """Begin anew with these source partitions."""
        self._assigned = frozenset(sources)
        self._batches = {source: _Batch(self._settings.idle_s) for source in sources}

    def spare(self, limits: Limits) -> None:
        """From now on rows that full buckets would leave out are not sent; see `streams.full`."""
        self._spared = replace(self._spared, limits=limits)

    async def release(self) -> None:
        """Let the batch that is being sent finish and forget the others: the next owner reads them again."""
        self._assigned = frozenset()
        for batch in list(self._batches.values()):
            async with batch.lock:
                batch.messages.clear()

    async def take(self, source: int, messages: Sequence[Message], acknowledge: Acknowledge) -> None:
        """Add messages to their batch, by rising offset, and send it whenever it is large enough.

        They are acknowledged together, once the last of them is with the broker.
        """
        batch = self._batches.get(source)
        if batch is None:
            return
        async with batch.lock:
            for message in messages:
                if source not in self._assigned:
                    return
                if batch.start is None:
                    batch.start = await self._start_of(source, message.offset)
                if message.offset >= self._next(batch):
                    batch.add(message)
                    if self._full(batch):
                        await self._flush(source, batch)
            batch.quiet_s, batch.patience_s = clock.monotonic_s(), self._settings.idle_s
            if batch.messages:
                batch.acknowledge.append(acknowledge)
            else:
                acknowledge()

    async def flush_due(self) -> None:
        """Send the batches that have waited for long enough, and say of silent sources that they are idle."""
        now_s = clock.monotonic_s()
        oldest_s = now_s - self._settings.batch_ms / 1_000
        for source, batch in list(self._batches.items()):
            if batch.lock.locked():
                continue  # somebody adds to it or sends it, and others need not wait for that
            async with batch.lock:
                if batch.messages and batch.since_s <= oldest_s:
                    await self._flush(source, batch)
                elif self._silent(source, batch, now_s):
                    await self._say_idle(source, batch)

    def _silent(self, source: int, batch: _Batch, now_s: float) -> bool:
        return source in self._assigned and not batch.messages and now_s - batch.quiet_s >= batch.patience_s

    async def _say_idle(self, source: int, batch: _Batch) -> None:
        """Tell all monitors not to wait for a source, if the broker says that nothing is unread there.

        Silence alone proves nothing: the worker that reads the source may be the one that is away. After a
        long silence the source has ended, even if the replay that began on it never said so. It is said over
        and over: once posts come after a silence of all sources, only what is said from then on counts.
        """
        at = await self._exhausted(source, batch.start or 0)
        silent_s = clock.monotonic_s() - batch.quiet_s
        batch.patience_s = silent_s + self._settings.idle_s
        if at is None:
            return
        ended = silent_s >= ABANDONED_S
        start = at if batch.start is None else batch.start
        packets = pack([], source, start, start, self._settings.partitions, idle=True, ended=ended)
        await self._send_all(source, [], [encode(packet) for packet in packets])

    def _next(self, batch: _Batch) -> int:
        return batch.messages[-1].offset + 1 if batch.messages else batch.start or 0

    def _full(self, batch: _Batch) -> bool:
        return (
            batch.payloads >= self._settings.batch_posts
            or batch.size >= MAX_BATCH_BYTES
            or pipeline.PUNCTUATION in batch.messages[-1].headers
        )

    async def _flush(self, source: int, batch: _Batch) -> None:
        begun_s = clock.monotonic_s()
        assert batch.start is not None
        settings = self._settings
        max_ahead_ms = settings.max_ahead_s * 1_000
        parts = within_limit(
            batch.messages, source, batch.start, settings.partitions, max_ahead_ms, full=self._spared
        )
        self._metrics.ingest_seconds.observe(clock.monotonic_s() - begun_s)
        for ingested, packets in parts:
            self._dead_share.add(ingested.counts, ingested.dead)
            await self._send_all(source, ingested.dead, packets)
            self._count(ingested)
        for acknowledge in batch.acknowledge:
            acknowledge()
        batch.start = self._next(batch)
        batch.messages, batch.acknowledge, batch.payloads, batch.size = [], [], 0, 0

    async def _send_all(self, source: int, letters: Sequence[DeadLetter], packets: Sequence[bytes]) -> None:
        settings = self._settings
        queued = [
            await self._send(settings.rows_topic, None, packet, partition, {})
            for partition, packet in enumerate(packets)
        ]
        for letter in letters:
            place = Place(settings.posts_topic, source, letter.offset, letter.line, letter.part)
            out = dead.written(place, letter.invalid, letter.format)
            queued.append(await self._send(settings.dead_topic, out.key, out.value, None, out.headers))
        await asyncio.gather(*queued)

    def _count(self, ingested: Ingested) -> None:
        counts = ingested.counts
        read = {
            "read": counts["posts"],
            **{name: counts[name] for name in ("untagged", "control", "invalid")},
        }
        for result, number in read.items():
            self._metrics.posts.labels(result).inc(number)
        self._metrics.spared_rows.inc(ingested.spared)
        for letter in ingested.dead:
            self._metrics.dead_letters.labels(category(letter.invalid.reason)).inc()


def within_limit(
    messages: Sequence[Message],
    source: int,
    start: int,
    partitions: int,
    max_ahead_ms: int | None = None,
    limit: int = MAX_PACKET_BYTES,
    full: Full | None = None,
) -> list[tuple[Ingested, list[bytes]]]:
    """A micro-batch in as many parts as it takes for every packet to be one the broker takes.

    A row is 107 bytes for a hashtag that may cost its writer two, so anybody can make rows out of proportion.
    A single message that is still too large becomes a dead letter: it would stop every worker that reads it.
    """
    ingested = pipeline.ingest(messages, source, start, partitions, max_ahead_ms)
    ingested = ingested if full is None else full.spare(ingested)
    packets = [encode(packet) for packet in ingested.packets]
    largest = max(map(len, packets))
    if largest <= limit:
        return [(ingested, packets)]
    if len(messages) > 1:
        first, second = messages[: len(messages) // 2], messages[len(messages) // 2 :]
        return [
            *within_limit(first, source, start, partitions, max_ahead_ms, limit, full),
            *within_limit(second, source, first[-1].offset + 1, partitions, max_ahead_ms, limit, full),
        ]
    (message,) = messages
    reason = f"its hashtags make {largest} bytes of rows, more than the {limit} of a packet"
    invalid = InvalidPost(reason=reason, payload=message.value)
    empty = pack([], source, start, message.offset + 1, partitions)
    counts = {"posts": 0, "untagged": 0, "control": 0, "invalid": 1}
    letter = DeadLetter(message.offset, 0, invalid, format=pipeline.format_of(message.headers))
    return [(Ingested(empty, [letter], counts), [encode(packet) for packet in empty])]


class DeadShare:
    """The share of dead posts over spans of so many payloads, and why most of them are dead."""

    def __init__(self, limit: float, payloads: int) -> None:
        self._limit = limit
        self._payloads = payloads
        self._begin()

    def add(self, counts: Mapping[str, int], letters: Sequence[DeadLetter] = ()) -> None:
        """Count a micro-batch before it is acknowledged.

        Raises
        ------
        TooManyDead
            If more than the limit of the last span was dead.
        """
        self._seen += sum(counts.values())
        self._dead += counts["invalid"]
        for letter in letters:
            self._count(letter.invalid.reason)
        if self._seen < self._payloads:
            return
        said = self._said()
        is_too_many = self._dead > self._limit * self._seen
        self._begin()
        if is_too_many:
            raise TooManyDead(said)

    def _begin(self) -> None:
        self._seen = self._dead = 0
        self._kinds: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def _count(self, reason: str) -> None:
        kind = dead.kind(reason)
        if kind in self._kinds or len(self._kinds) < MAX_KINDS:
            self._kinds[kind] += 1
            self._examples.setdefault(kind, reason[:MAX_EXAMPLE_CHARS])

    def _said(self) -> str:
        why = ""
        for kind, count in self._kinds.most_common(1):
            why = f", most often ({count} times) like this: {self._examples[kind]}"
        return (
            f"{self._dead} of the last {self._seen} payloads could not be read, more than"
            f" {self._limit:.0%}{why}; correct the connector or its header `format`, or raise"
            f" {variable('max_dead_share')}; `floodmark dead list` shows what was dead before"
        )
