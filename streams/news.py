"""Alerts to the topic `alerts`, each once: whoever dies meanwhile, whoever else believes to be the owner.

A partition's owner writes its news in Kafka transactions under an id of the partition. Within the same
transaction it commits, as an offset of a consumer group of its own, the hop that was told. So the two happen
together or not at all, the next owner's first call ends whatever the last one left open and shuts it out,
and the hop that it then finds says what has been told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
    UnknownError,
    UnsupportedVersionError,
)

from detectors.alert import Reason
from streams import clock, periods, topics
from streams.periods import Closing
from streams.settings import Settings, variable
from streams.store import lost_to_writer
from streams.topics import MAX_MESSAGE_BYTES, BrokerError

HOP: Final = "floodmark-hop"
"""Header of an alert, and of a completed period: ``partition/hop in ms``. Hops of a partition only rise."""

REASON: Final = "reason"
"""Header of an alert: why it was told."""

TRANSACTION_MS: Final = 15_000
"""After so long the broker gives up a transaction whose worker is gone; until then readers wait behind it."""

RETRY_S: Final = 0.5
_START_S: Final = 20.0
_STOP_S: Final = 5.0

_FENCED: Final = (ProducerFenced, InvalidProducerEpoch)
_NO_TRANSACTIONS: Final = (UnknownError, UnsupportedVersionError, TransactionalIdAuthorizationFailed)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """One message about an alert."""

    key: bytes
    value: bytes
    reason: Reason


class News(Protocol):
    """Where the news of destination partitions go."""

    async def open(self, partition: int) -> None:
        """Take a partition over; whoever had it can tell nothing from here on."""
        ...

    async def tell(
        self, partition: int, hop_ms: int, items: Sequence[Item], closing: Closing | None = None
    ) -> None:
        """Tell what a hop brought, unless it was told before: all of it or nothing.

        Parameters
        ----------
        items : sequence of Item
            About alerts.
        closing : Closing, optional
            The period that the hop ended.

        Raises
        ------
        OwnershipLost
            If another worker took the partition over.
        BrokerError
            If the broker stayed away, or has no transactions.
        """
        ...

    async def passed(self, partition: int, assessed_ms: int) -> int:
        """Up to when a partition has closed its periods, as far as is known to whoever takes it over.

        Parameters
        ----------
        assessed_ms : int
            The hop that is stored. More may have been told, if the store went back.
        """
        ...

    async def repeat(self, closing: Closing) -> None:
        """Say again how far periods are closed, where the topic lost it. It changes nothing else."""
        ...

    async def close(self, partition: int) -> None:
        """Let go of a partition."""
        ...


class TopicNews:
    """`News` on the topic `alerts`.

    Parameters
    ----------
    settings : Settings
        Without `transactions` a crash between a message and its register tells it again: for brokers that
        have none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producers: dict[int, AIOKafkaProducer] = {}
        self._told_ms: dict[int, int] = {}
        self._register: AIOKafkaConsumer | None = None
        self._registering = asyncio.Lock()

    @property
    def group(self) -> str:
        """The consumer group whose offsets are the hops that were told."""
        return f"{self._settings.group}.told"

    async def open(self, partition: int) -> None:
        """Take a partition over; see `News.open`."""
        await self._persist(partition, lambda: self._open(partition))

    async def tell(
        self, partition: int, hop_ms: int, items: Sequence[Item], closing: Closing | None = None
    ) -> None:
        """Tell what a hop brought; see `News.tell`."""
        if items or closing is not None:
            await self._persist(partition, lambda: self._tell(partition, hop_ms, items, closing))

    async def passed(self, partition: int, assessed_ms: int) -> int:
        """See `News.passed`."""
        period_ms = self._settings.rules().period_ms
        return max(assessed_ms, self._told_ms.get(partition, 0)) // period_ms * period_ms

    async def repeat(self, closing: Closing) -> None:
        """See `News.repeat`."""
        await self._persist(closing.partition, lambda: self._repeat(closing))

    async def _repeat(self, closing: Closing) -> None:
        if closing.partition not in self._told_ms:
            await self._open(closing.partition)
        producer = self._producers[closing.partition]
        if self._settings.transactions:
            await producer.begin_transaction()
        await self._put(producer, closing.partition, closing.end_ms, (), closing)
        if self._settings.transactions:
            await producer.commit_transaction()

    async def _persist(self, partition: int, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, again with a new producer while the broker is away.

        What became of a transaction whose answer was lost, the new producer finds in the register.
        """
        since_s = clock.monotonic_s()
        while True:
            try:
                await work()
                return
            except _FENCED as error:
                raise lost_to_writer(partition) from error
            except (KafkaError, TimeoutError) as error:
                await self.close(partition)
                log.warning("news wait for the broker (%s: %s)", type(error).__name__, error)
                topics.bear_with(self._settings, since_s, "taken an alert", error)
                await asyncio.sleep(RETRY_S)

    async def _open(self, partition: int) -> None:
        await self.close(partition)
        producer = AIOKafkaProducer(
            bootstrap_servers=list(self._settings.kafka_servers),
            client_id=f"floodmark-news-{partition}",
            acks="all",
            max_request_size=MAX_MESSAGE_BYTES,
            transactional_id=self._transactional_id(partition),
            transaction_timeout_ms=TRANSACTION_MS,
        )
        self._producers[partition] = producer
        try:
            await asyncio.wait_for(producer.start(), _START_S)
        except _NO_TRANSACTIONS as error:
            await self.close(partition)
            raise BrokerError(
                f"the broker at {', '.join(self._settings.kafka_servers)} refused a transaction"
                f" ({type(error).__name__}): allow this client the transactional ids that start with"
                f" {self._settings.group}., or, for a broker that has no transactions, set"
                f" {variable('transactions')}=false; an alert may then be told twice after a crash"
            ) from error
        self._told_ms[partition] = await self._read(partition)

    def _transactional_id(self, partition: int) -> str | None:
        if not self._settings.transactions:
            return None
        return f"{self._settings.group}.{self._settings.alerts_topic}.{partition}"

    async def _tell(
        self, partition: int, hop_ms: int, items: Sequence[Item], closing: Closing | None
    ) -> None:
        if partition not in self._told_ms:
            await self._open(partition)
        if self._told_ms[partition] < hop_ms:
            await self._send(partition, hop_ms, items, closing)
            self._told_ms[partition] = hop_ms

    async def _send(
        self, partition: int, hop_ms: int, items: Sequence[Item], closing: Closing | None
    ) -> None:
        producer = self._producers[partition]
        if not self._settings.transactions:
            await self._put(producer, partition, hop_ms, items, closing)
            register = await self._registered()
            await register.commit({self._cell(partition): hop_ms})
            return
        await producer.begin_transaction()
        await self._put(producer, partition, hop_ms, items, closing)
        await producer.send_offsets_to_transaction({self._cell(partition): hop_ms}, self.group)
        await producer.commit_transaction()

    async def _put(
        self,
        producer: AIOKafkaProducer,
        partition: int,
        hop_ms: int,
        items: Sequence[Item],
        closing: Closing | None,
    ) -> None:
        hop = f"{partition}/{hop_ms}".encode()
        queued = [
            await producer.send(
                self._settings.alerts_topic,
                item.value,
                key=item.key,
                partition=0,
                headers=[(HOP, hop), (REASON, item.reason.value.encode())],
            )
            for item in items
        ]
        if closing is not None:
            # A period goes where all of its partition are: whoever reads one has read those before.
            queued.append(
                await producer.send(
                    self._settings.baseline_topic,
                    periods.encode(closing),
                    key=closing.key,
                    partition=partition,
                    headers=[(HOP, hop)],
                )
            )
        await asyncio.gather(*queued)

    async def close(self, partition: int) -> None:
        """Let go of a partition; see `News.close`."""
        self._told_ms.pop(partition, None)
        producer = self._producers.pop(partition, None)
        if producer is not None:
            await _stop(producer)

    def _cell(self, partition: int) -> TopicPartition:
        return TopicPartition(self._settings.rows_topic, partition)

    async def _read(self, partition: int) -> int:
        register = await self._registered()
        return await register.committed(self._cell(partition)) or 0

    async def _registered(self) -> AIOKafkaConsumer:
        """A client of the register's group that is no member of it; one for all partitions."""
        async with self._registering:  # partitions are taken over at the same time
            if self._register is None:
                register = AIOKafkaConsumer(
                    bootstrap_servers=list(self._settings.kafka_servers),
                    client_id="floodmark-told",
                    group_id=self.group,
                    enable_auto_commit=False,
                    isolation_level="read_committed",
                )
                try:
                    await register.start()
                except BaseException:
                    await register.stop()
                    raise
                cells = [self._cell(partition) for partition in range(self._settings.partitions)]
                register.assign(cells)
                self._register = register
            return self._register


async def _stop(producer: AIOKafkaProducer) -> None:
    # A client without a broker waits for what it can no longer send.
    with suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(producer.stop(), _STOP_S)
