"""Reading the topic `posts.dead`: which letters there are now, and the payload of each, whole."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams import clock, dead, pipeline, topics
from streams.dead import Letter, NotALetter
from streams.settings import Settings, variable

PATIENCE_S: Final = 15.0
"""How long the broker may say nothing before the end of a topic is reached."""

_POLL_MS: Final = 200


class NoLetters(RuntimeError):
    """There is no topic of dead letters."""


class UnknownLetter(ValueError):
    """A key that no letter has."""


class NotKept(RuntimeError):
    """A letter holds only the beginning of its payload, and the rest cannot be had; with where it was."""


def letters(settings: Settings) -> dict[str, Letter]:
    """All letters by key, those written last at the end. A tombstone removes what came before it.

    Every letter is read for this; of each, some hundred bytes stay in memory.

    Raises
    ------
    NoLetters
        If there is no such topic.
    BrokerError
        If the broker is away, or falls silent before the end.
    """
    found: dict[str, Letter] = {}
    with _consumer(settings) as consumer:
        partition = TopicPartition(settings.dead_topic, 0)
        if settings.dead_topic not in consumer.topics():
            raise NoLetters(
                f"there is no topic {settings.dead_topic} at {', '.join(settings.kafka_servers)}: a worker"
                f" makes it when it starts; do {variable('kafka_url')} and {variable('topic_prefix')} have"
                " its values?"
            )
        for record in _records(consumer, partition):
            key = (record.key or b"").decode(errors="replace")
            found.pop(key, None)
            if record.value is not None:
                try:
                    found[key] = dead.read(
                        record.key, record.value, dict(record.headers), record.offset, record.timestamp
                    )
                except NotALetter:  # somebody else's message, or one from before letters had keys
                    continue
    return found


def named(settings: Settings, keys: Collection[str]) -> list[Letter]:
    """The letters with these keys, in the order of the topic.

    Raises
    ------
    UnknownLetter
        If there is none with one of them.
    NoLetters, BrokerError
        As `letters`.
    """
    found = letters(settings)
    for key in keys:
        if key not in found:
            raise UnknownLetter(
                f"there is no dead letter {key[:200]!r} on {settings.dead_topic}: it was retried, is older"
                " than the topic keeps, or never was; `floodmark dead list` shows those there are"
            )
    wanted = set(keys)
    return [letter for key, letter in found.items() if key in wanted]


def contents(settings: Settings, wanted: Iterable[Letter]) -> Iterator[tuple[Letter, bytes]]:
    """What letters hold, in the order of the topic. One that went since it was listed is left out.

    Raises
    ------
    BrokerError
    """
    by_offset = {letter.offset: letter for letter in wanted}
    if not by_offset:
        return
    with _consumer(settings) as consumer:
        partition = TopicPartition(settings.dead_topic, 0)
        for record in _records(consumer, partition, min(by_offset), max(by_offset) + 1):
            if record.offset in by_offset and record.value is not None:
                yield by_offset[record.offset], record.value


def whole(settings: Settings, letter: Letter, beginning: bytes) -> bytes:
    """The whole payload of a letter; fetched from where it came from if the letter was cut.

    Parameters
    ----------
    beginning : bytes
        What the letter holds.

    Raises
    ------
    NotKept
    BrokerError
    """
    if not letter.is_cut:
        return beginning
    place = letter.place
    only = f"only the first {letter.kept:,} of its {letter.size:,} bytes are kept"
    if place.archive is not None:
        raise NotKept(f"{only}; the whole is in {place.archive} from line {place.offset} on")
    with _consumer(settings) as consumer:
        partition = TopicPartition(place.topic, place.partition)
        if place.partition not in consumer.partitions_for_topic(place.topic):
            raise NotKept(
                f"{only}: there is no partition {place.partition} of a topic {place.topic} any more"
            )
        first = consumer.beginning_offsets([partition])[partition]
        if place.offset < first:
            raise NotKept(
                f"{only}: partition {place.partition} of {place.topic} begins at offset {first} now, it was"
                f" at {place.offset}"
            )
        for record in _records(consumer, partition, place.offset, place.offset + 1):
            format = pipeline.format_of(_headers(record))
            payload = dead.found_in(record.value or b"", format, letter, beginning)
            if payload is not None:
                return payload
    raise NotKept(f"{only}: what is at {place.key} now is something else; was the topic made anew?")


def _headers(record: Any) -> Mapping[str, bytes]:
    return {name: value or b"" for name, value in record.headers}


@contextmanager
def _consumer(settings: Settings) -> Iterator[KafkaConsumer]:
    servers = settings.kafka_servers
    topics.reach(servers)
    with topics.quiet():
        try:
            consumer = KafkaConsumer(
                bootstrap_servers=list(servers),
                client_id="floodmark-dead",
                group_id=None,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                fetch_max_wait_ms=_POLL_MS,
            )
        except KafkaError as error:
            raise topics.unreachable(servers, error) from error
        try:
            yield consumer
        except KafkaError as error:
            raise topics.refused(servers, error) from error
        finally:
            consumer.close()


def _records(
    consumer: KafkaConsumer, partition: TopicPartition, start: int = 0, stop: int = sys.maxsize
) -> Iterator[Any]:
    """The messages of a partition from `start` up to `stop`, or as far as there are any now."""
    consumer.assign([partition])
    consumer.seek(partition, max(start, consumer.beginning_offsets([partition])[partition]))
    end: int | None = None
    deadline_s = clock.monotonic_s() + PATIENCE_S
    while end is None or consumer.position(partition) < end:
        records = consumer.poll(timeout_ms=_POLL_MS).get(partition, ())
        yield from (record for record in records if start <= record.offset < stop)
        # As it came with the first messages: asked for end offsets, the embedded broker names too low ones.
        highwater = consumer.highwater(partition)
        if end is None and highwater is not None:
            end = min(stop, highwater)
        if records:
            deadline_s = clock.monotonic_s() + PATIENCE_S
        elif clock.monotonic_s() > deadline_s:
            raise topics.BrokerError(
                f"the broker said nothing for {PATIENCE_S:g} s at offset {consumer.position(partition)} of"
                f" {partition.topic}: see the broker's log, and try again"
            )
