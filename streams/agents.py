"""The two agents. Each hands what it gets to the owner of that work, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import faust

from streams import clock
from streams.ending import fatal
from streams.ingestion import Ingestion
from streams.lanes import Lanes
from streams.monitoring import Monitoring
from streams.pipeline import Message
from streams.settings import Settings

BROKER_TIME: Final = 1
"""Kafka's mark of a message whose time is that of the broker (`message.timestamp.type=LogAppendTime`)."""


MOST_BUNDLES: Final = 8
MOST_PACKETS: Final = 8
"""So many bundles of messages of a partition of `posts`, and packets of one of `rows`, wait behind the one
that is under way."""


def add(
    app: faust.App, settings: Settings, ingestion: Ingestion, monitoring: Monitoring
) -> Sequence[Lanes[Any]]:
    """Add the agents `ingest` and `monitor` to the app; gives what waits for them, by partition.

    Faust acknowledges an event even if its agent raised. So acknowledging is ours (`noack`), and an exception
    ends the process before Faust can see it (`fatal`).
    """

    async def take_bundle(source: int, event: Any) -> None:
        with fatal():
            await ingestion.take(source, list(map(_message, event.message.messages)), event.ack)

    async def take_packet(partition: int, event: Any) -> None:
        with fatal():
            await monitoring.take(partition, event.message.offset, event.message.value, event.ack)

    bundles, packets = Lanes(take_bundle, MOST_BUNDLES), Lanes(take_packet, MOST_PACKETS)

    async def ingest(stream: Any) -> None:
        async for event in stream.noack().events():
            await bundles.put(event.message.partition, event)

    async def monitor(stream: Any) -> None:
        async for event in stream.noack().events():
            await packets.put(event.message.partition, event)

    app.agent(_raw(app, settings.posts_topic), name="ingest")(ingest)
    app.agent(_raw(app, settings.rows_topic), name="monitor")(monitor)
    return bundles, packets


def _raw(app: faust.App, name: str) -> Any:
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _message(message: Any) -> Message:
    headers = {name: value or b"" for name, value in message.headers} if message.headers else {}
    # A time the sender gave says nothing of the arrival; the broker's own stays the same when read again.
    arrived_ms = int(message.timestamp * 1_000) if message.timestamp_type == BROKER_TIME else clock.now_ms()
    return Message(message.offset, message.value or b"", headers, arrived_ms)
