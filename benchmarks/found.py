"""What a deployment holds in Redis and has told: read from the side, changing nothing.

`RedisStore.load` would take the partitions over, so the keys that docs/redis.md describes are read here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import numpy as np
import redis
from kafka import KafkaConsumer, TopicPartition

from benchmarks import truth
from benchmarks.truth import READ, Fact, Told, Truth, held, in_stream, on_topic
from detectors.alert import Alert
from detectors.table import ROW
from streams import clock, periods, topics
from streams.agents import BROKER_TIME
from streams.monitor import PartitionState
from streams.news import HOP, REASON
from streams.pipeline import PUNCTUATION, Message
from streams.redis_keys import PartitionKeys, ReaderKeys
from streams.settings import Settings
from streams.tags import TagState
from streams.watermark import SourceClock

READ_S: Final = 60.0
POLL_MS: Final = 200
QUIET_S: Final = 2.0
"""The end of a topic, where the broker cannot be asked for it, is when nothing came for so long."""

_CLOCK: Final = msgspec.msgpack.Decoder(SourceClock)


class Incomplete(RuntimeError):
    """A topic could not be read to its end; says which and how far."""


def found(settings: Settings, *, asks_ends: bool = True) -> Truth:
    """What is held and what was told, once everything that could change it has stopped.

    Parameters
    ----------
    asks_ends : bool
        Whether the broker says rightly where a topic ends; the embedded one does not.

    Raises
    ------
    Incomplete
        If a transaction that nobody ended is in the way.
    """
    stored = in_redis(settings)
    closed, of_periods = periods_told(settings, asks_ends)
    facts = {**stored.facts, **closed, **_letters(settings, asks_ends)}
    return Truth(facts, {**stored.news, **of_periods, **_topic(settings, asks_ends)})


def in_redis(settings: Settings) -> Truth:
    """The part of it that is in Redis."""
    facts: dict[Fact, Any] = {}
    with redis.Redis.from_url(settings.redis_url) as client:
        for partition in range(settings.partitions):
            state = _state(client, PartitionKeys(settings.key_prefix, partition))
            facts |= held(partition, state, settings.rules())
        facts |= _readers(client, settings.key_prefix)
        return Truth(facts, _stream(client, ReaderKeys(settings.key_prefix)))


def marks(client: redis.Redis, settings: Settings) -> Mapping[int, int]:
    """By source partition: the offset up to which every destination partition has counted it."""
    pipe = client.pipeline(transaction=False)
    for partition in range(settings.partitions):
        pipe.hgetall(PartitionKeys(settings.key_prefix, partition).mark)
    held = [_marks(answer) for answer in pipe.execute()]
    return {source: min(one.get(source, 0) for one in held) for source in range(settings.partitions)}


def messages(settings: Settings, ends: Mapping[int, int]) -> list[list[Message]]:
    """What is on the topic `posts`, by source partition, up to these offsets."""
    out = []
    for source in range(settings.partitions):
        records = read(settings, settings.posts_topic, source, ends[source])
        out.append([_message(record) for record in records if record.offset < ends[source]])
    return out


def _message(record: Any) -> Message:
    arrived_ms = record.timestamp if record.timestamp_type == BROKER_TIME else None
    return Message(record.offset, record.value or b"", dict(record.headers), arrived_ms)


# --------------------------------------------------------------------------------------------------- Redis


def _state(client: redis.Redis, keys: PartitionKeys) -> PartitionState:
    hop: Any = client.get(keys.hop)
    late: Any = client.zrange(keys.late, 0, -1, withscores=True)
    state = PartitionState(
        _marks(client.hgetall(keys.mark)),
        {int(source): _CLOCK.decode(told) for source, told in _hash(client, keys.clock).items()},
        int(hop) if hop else None,
        late={hashtag.decode(): int(hop_ms) for hashtag, hop_ms in late},
    )
    for hashtag, alert in _hash(client, keys.open).items():
        tag = state.tags.setdefault(hashtag.decode(), TagState())
        tag.alert = msgspec.json.decode(alert, type=Alert)
    _rows(client, keys, state)
    for name, tag in state.tags.items():
        texts = _hash(client, keys.texts(name))
        tag.strings = {int(key, 16): text.decode() for key, text in texts.items()}
    return state


def _rows(client: redis.Redis, keys: PartitionKeys, state: PartitionState) -> None:
    members: Any = client.zrange(keys.tags, 0, -1)
    for member in members:
        bucket, _, hashtag = member.decode().partition(":")
        value: Any = client.get(keys.rows(hashtag, int(bucket)))
        tag = state.tags.setdefault(hashtag, TagState())
        tag.buckets[int(bucket)] = [np.frombuffer(value or b"", ROW)]


def _marks(answer: Any) -> dict[int, int]:
    return {int(source): int(mark) for source, mark in answer.items() if source.isdigit()}


def _hash(client: redis.Redis, key: str) -> dict[bytes, bytes]:
    answer: Any = client.hgetall(key)
    return dict(answer)


def _readers(client: redis.Redis, prefix: str) -> Iterator[tuple[Fact, Any]]:
    keys = ReaderKeys(prefix)
    scores: Any = client.zrange(keys.tags, 0, -1, withscores=True)
    for hashtag, score in scores:
        yield Fact("score", hashtag.decode()), score
    for key in client.scan_iter(keys.alert("*"), count=1_000):
        yield Fact("alert", _here(key, prefix)), client.get(key)
    for key in client.scan_iter(keys.tag("*"), count=1_000):
        yield Fact("summary", _here(key, prefix)), _contents(client, key)


def _here(key: bytes, prefix: str) -> str:
    """What a key of readers is called in a `Truth`."""
    return READ.prefix + key.decode().removeprefix(prefix)


def _contents(client: redis.Redis, key: Any) -> dict[str, Any]:
    if client.type(key) == b"hash":
        return {name.decode(): value.decode() for name, value in _hash(client, key).items()}
    ranking: Any = client.zrange(key, 0, -1, withscores=True)
    return {member.decode(): score for member, score in ranking}


def _stream(client: redis.Redis, keys: ReaderKeys) -> dict[str, tuple[Told, ...]]:
    told: dict[str, list[Told]] = defaultdict(list)
    entries: Any = client.xrange(keys.alerts)
    for _, entry in entries:
        place = in_stream(entry[b"hashtag"].decode())
        told[place].append(Told(None, entry[b"reason"].decode(), entry[b"json"]))
    return {place: tuple(news) for place, news in told.items()}


# -------------------------------------------------------------------------------------------------- topics


def _topic(settings: Settings, asks_ends: bool) -> dict[str, tuple[Told, ...]]:
    told: dict[str, list[Told]] = defaultdict(list)
    end = _end(settings, settings.alerts_topic) if asks_ends else None
    for record in read(settings, settings.alerts_topic, 0, end):
        headers = dict(record.headers)
        if PUNCTUATION not in headers:
            partition, _, hop_ms = headers[HOP].decode().partition("/")
            news = Told(int(hop_ms), headers[REASON].decode(), record.value)
            told[on_topic(int(partition))].append(news)
    return {place: tuple(news) for place, news in told.items()}


def periods_told(settings: Settings, asks_ends: bool) -> tuple[dict[Fact, Any], dict[str, tuple[Told, ...]]]:
    """Completed periods as facts, and each time one was told."""
    facts: dict[Fact, Any] = {}
    told: dict[str, list[Told]] = defaultdict(list)
    for partition in range(settings.partitions):
        end = _end(settings, settings.baseline_topic, partition) if asks_ends else None
        for record in read(settings, settings.baseline_topic, partition, end):
            closing = periods.decode(record.value)
            facts |= (said := truth.closed(closing))
            hop_ms = dict(record.headers)[HOP].decode().partition("/")[2]
            for value in said.values():
                told[truth.of_periods(partition)].append(Told(int(hop_ms), truth.CLOSED, value))
    return facts, {place: tuple(news) for place, news in told.items()}


def _letters(settings: Settings, asks_ends: bool) -> dict[Fact, bytes]:
    """Dead letters by key: one that is written again takes the place of the first."""
    end = _end(settings, settings.dead_topic) if asks_ends else None
    records = read(settings, settings.dead_topic, 0, end)
    return {Fact("dead letter", record.key.decode()): record.value for record in records}


def _end(settings: Settings, topic: str, partition: int = 0) -> int:
    """The end of a partition of a topic, whatever transactions are open."""
    with _consumer(settings, "read_uncommitted") as consumer:
        here = TopicPartition(topic, partition)
        return int(consumer.end_offsets([here])[here])


def read(settings: Settings, topic: str, partition: int, end: int | None) -> Sequence[Any]:
    """All messages of a partition that readers see, up to `end`; until nothing comes any more if None."""
    here, out = TopicPartition(topic, partition), list[Any]()
    with _consumer(settings, "read_committed" if settings.transactions else "read_uncommitted") as consumer:
        consumer.assign([here])
        consumer.seek_to_beginning(here)
        begun_s = quiet_since_s = clock.monotonic_s()
        while end is None or consumer.position(here) < end:
            out += (new := consumer.poll(timeout_ms=POLL_MS).get(here, []))
            now_s = clock.monotonic_s()
            quiet_since_s = now_s if new else quiet_since_s
            if end is None and now_s - quiet_since_s > QUIET_S:
                break
            if now_s - begun_s > READ_S:
                at = consumer.position(here)
                raise Incomplete(f"{topic} could be read up to offset {at} of {end} within {READ_S:g} s")
    return out


@contextmanager
def _consumer(settings: Settings, isolation_level: str) -> Iterator[KafkaConsumer]:
    with topics.quiet():
        consumer = KafkaConsumer(
            bootstrap_servers=list(settings.kafka_servers),
            client_id="floodmark-chaos",
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level=isolation_level,
        )
        try:
            yield consumer
        finally:
            consumer.close()
