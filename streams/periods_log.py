"""The topic `baseline`: what every worker reads of completed periods, from the beginning and for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import clock, periods, topics
from streams.periods import Closing
from streams.settings import Settings
from streams.topics import MAX_MESSAGE_BYTES

POLL_MS: Final = 200
RETRY_S: Final = 0.5
_START_S: Final = 20.0

log = logging.getLogger(__name__)


async def follow(settings: Settings, again: Callable[[], bool]) -> AsyncIterator[Sequence[Closing]]:
    """All that is told of completed periods, and what is told from now on; endless.

    Without a group: nothing is acknowledged, and a worker that starts reads what there is.

    Parameters
    ----------
    again : callable
        Asked between two batches; true means to begin anew.

    Raises
    ------
    BrokerError
        If no broker answered for `away_s`.
    UnreadablePeriod
        If another version wrote to the topic.
    """
    while True:
        consumer = await _started(settings)
        try:
            while not again():
                found = await consumer.getmany(timeout_ms=POLL_MS)
                told = [record.value for _, records in sorted(found.items()) for record in records]
                if told:
                    yield [periods.decode(value) for value in told if value is not None]
        except KafkaError as error:
            log.warning("reading completed periods again (%s: %s)", type(error).__name__, error)
            await asyncio.sleep(RETRY_S)
        finally:
            await _stop(consumer)


async def _started(settings: Settings) -> AIOKafkaConsumer:
    since_s = clock.monotonic_s()
    here = [TopicPartition(settings.baseline_topic, number) for number in range(settings.partitions)]
    while True:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=list(settings.kafka_servers),
            client_id="floodmark-periods",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # What a worker that died was about to tell, its successor tells.
            isolation_level="read_committed" if settings.transactions else "read_uncommitted",
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
        )
        try:
            await asyncio.wait_for(consumer.start(), _START_S)
            consumer.assign(here)
            await consumer.seek_to_beginning(*here)
            return consumer
        except BaseException as error:
            await _stop(consumer)
            if not isinstance(error, (KafkaError, TimeoutError)):
                raise
            topics.bear_with(settings, since_s, "let completed periods be read", error)
            await asyncio.sleep(RETRY_S)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    with suppress(KafkaError, TimeoutError):
        await consumer.stop()
