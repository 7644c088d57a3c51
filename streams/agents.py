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


MOST_MESSAGES: Final = 500
MOST_PACKETS: Final = 8
"""So many messages of a partition of `posts`, and packets of one of `rows`, wait behind the one that is under
way; Faust holds some thousands besides."""


def add(
    app: faust.App, settings: Settings, ingestion: Ingestion, monitoring: Monitoring
) -> Sequence[Lanes[Any]]:
    """Add the agents `ingest` and `monitor` to the app; gives what waits for them, by partition.

    Faust acknowledges an event even if its agent raised. So acknowledging is ours (`noack`), and an exception
    ends the process before Faust can see it (`fatal`).
    """

    async def take_message(source: int, event: Any) -> None:
        with fatal():
            await ingestion.take(source, _message(event), event.ack)

    async def take_packet(partition: int, event: Any) -> None:
        with fatal():
            await monitoring.take(partition, event.message.offset, event.message.value, event.ack)

    messages, packets = Lanes(take_message, MOST_MESSAGES), Lanes(take_packet, MOST_PACKETS)

    async def ingest(stream: Any) -> None:
        async for event in stream.noack().events():
            source = event.message.partition
            with fatal():  # most messages take no time, and a task for each would take more than they
                added = messages.empty(source) and ingestion.add(source, _message(event), event.ack)
            if not added:
                await messages.put(source, event)

    async def monitor(stream: Any) -> None:
        async for event in stream.noack().events():
            await packets.put(event.message.partition, event)

    app.agent(_raw(app, settings.posts_topic), name="ingest")(ingest)
    app.agent(_raw(app, settings.rows_topic), name="monitor")(monitor)
    return messages, packets


def _raw(app: faust.App, name: str) -> Any:
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _message(event: Any) -> Message:
    message = event.message
    headers = {name: value or b"" for name, value in event.headers.items()}
    # A time the sender gave says nothing of the arrival; the broker's own stays the same when read again.
    arrived_ms = int(message.timestamp * 1_000) if message.timestamp_type == BROKER_TIME else clock.now_ms()
    return Message(message.offset, message.value or b"", headers, arrived_ms)
