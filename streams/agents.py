"""The two agents. Each hands what it gets to the owner of that work, and nothing else."""

from __future__ import annotations

from typing import Any, Final

import faust

from streams import clock
from streams.ending import fatal
from streams.ingestion import Ingestion
from streams.monitoring import Monitoring
from streams.pipeline import Message
from streams.settings import Settings

BROKER_TIME: Final = 1
"""Kafka's mark of a message whose time is that of the broker (`message.timestamp.type=LogAppendTime`)."""


def add(app: faust.App, settings: Settings, ingestion: Ingestion, monitoring: Monitoring) -> None:
    """Add the agents `ingest` and `monitor` to the app.

    Faust acknowledges an event even if its agent raised. So acknowledging is ours (`noack`), and an exception
    ends the process before Faust can see it (`fatal`).
    """

    async def ingest(stream: Any) -> None:
        async for event in stream.noack().events():
            with fatal():
                await ingestion.take(event.message.partition, _message(event), event.ack)

    async def monitor(stream: Any) -> None:
        async for event in stream.noack().events():
            with fatal():
                message = event.message
                await monitoring.take(message.partition, message.offset, message.value, event.ack)

    app.agent(_raw(app, settings.posts_topic), name="ingest")(ingest)
    app.agent(_raw(app, settings.rows_topic), name="monitor")(monitor)


def _raw(app: faust.App, name: str) -> Any:
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _message(event: Any) -> Message:
    message = event.message
    headers = {name: value or b"" for name, value in event.headers.items()}
    # A time the sender gave says nothing of the arrival; the broker's own stays the same when read again.
    arrived_ms = int(message.timestamp * 1_000) if message.timestamp_type == BROKER_TIME else clock.now_ms()
    return Message(message.offset, message.value or b"", headers, arrived_ms)
