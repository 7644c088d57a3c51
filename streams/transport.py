"""Faust's transport for Kafka, which hands over in bundles what was fetched of a topic.

Faust spends as much on handing a message over as a post costs in all: it is queued, taken to pieces, made an
event, tracked and acknowledged. So what one fetch brought of a partition goes through Faust as one message
that has the others in it. While little comes, that is one; the more there is to do, the more it is.

A bundle has the offset of its last message. Faust takes those in between for offsets that hold nothing, like
the ones that a compacted topic has lost, and commits past them once the bundle is acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, cast

import faust
from faust.transport.drivers import aiokafka
from faust.types import TP, ConsumerMessage, Message

MOST: Final = 500
MOST_BYTES: Final = 2**20
"""Messages, and bytes of their values, with which a bundle ends."""


class Bundle(ConsumerMessage):
    """Messages of one partition, by rising offset; in all else it is like the last of them."""

    __slots__ = ("messages",)

    messages: Sequence[Message]


def use(app: faust.App, topic: str) -> None:
    """Have an app that is not started yet get bundles of a topic, and messages of all others."""
    app.transport = Transport(topic, app)


class Consumer(aiokafka.Consumer):
    """A consumer that makes bundles of the topic which its transport names."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetched: dict[TP, Message] = {}

    def fetched(self, tp: TP) -> int:
        """The last offset that was fetched of a partition of ours since it was dealt out; -1 if none was."""
        last = self._fetched.get(tp)
        return -1 if last is None or not self._is_current(last) else last.offset

    def _is_current(self, message: Message) -> bool:
        """Whether partitions have not been dealt out anew since a message was fetched."""
        return message.generation_id == self.app.consumer_generation_id

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """What one fetch brought, by partition. What is left once they are dealt out anew is read again."""
        topic = cast(Transport, self.transport).bundled
        fetched: dict[TP, list[Message]] = {}
        async for tp, message in super().getmany(timeout):
            fetched.setdefault(tp, []).append(message)
            self._fetched[tp] = message
        for tp, messages in fetched.items():
            for message in bundles(messages) if tp.topic == topic else messages:
                if self._read_offset[tp] == 0:  # Faust takes it for none, and looks for no gap behind it
                    await self._add_gap(tp, 1, message.offset)
                if not self.flow_active or not self._is_current(message):
                    return
                yield tp, message

    async def perform_seek(self) -> None:
        """Go back to what is committed, where each partition is read from anew."""
        await super().perform_seek()
        # What was acknowledged before comes again, perhaps in a larger bundle. Then a gap spans it, and Faust
        # would commit the gap to its end.
        for held in (self._acked, self._acked_index, self._gap):
            held.clear()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # Faust counts the message behind the gap as part of it. That offset is then there twice, its commit
        # stops at it, and goes on only a second later. There is no public way to say so.
        await super()._add_gap(tp, offset_from, offset_to - 1)


class Transport(aiokafka.Transport):
    """A transport whose consumer makes bundles of one topic."""

    Consumer = Consumer

    def __init__(self, bundled: str, app: faust.App) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.bundled = bundled


def bundles(messages: Sequence[Message]) -> Iterator[Bundle]:
    """All messages of one partition, by rising offset, in bundles.

    >>> made = [ConsumerMessage("posts", 0, offset, 0.0, 0, None, None, b"", None) for offset in range(3)]
    >>> [[one.offset for one in bundle.messages] for bundle in bundles(made)]
    [[0, 1, 2]]
    """
    together: list[Message] = []
    size = 0
    for message in messages:
        together.append(message)
        size += len(message.value or b"")
        if len(together) >= MOST or size >= MOST_BYTES:
            yield _bundle(together)
            together, size = [], 0
    if together:
        yield _bundle(together)


def _bundle(messages: Sequence[Message]) -> Bundle:
    last = messages[-1]
    bundle = cast(Bundle, Bundle.from_message(last, last.tp))
    bundle.generation_id = last.generation_id
    bundle.messages = messages
    return bundle
