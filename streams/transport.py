"""Faust's transport for Kafka, without the tasks that it makes for every message.

Faust hands each message over with `Service.wait_first`, which makes a task of it, and three more to see
whether to stop meanwhile; the four cost more than the message. Nearly always the agent's queue has room, and
there is nothing to wait for. So it is begun where it is, and there are tasks only if it has to wait.

Nothing private of Faust is used: if a later version hands messages over in another way, this does nothing.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from inspect import iscoroutine
from typing import Any

import faust
from faust.transport.drivers import aiokafka
from mode.services import Service, WaitResults


def use(app: faust.App) -> None:
    """Have an app that is not started yet consume by it."""
    app.transport = _Transport(app.conf.broker_consumer, app)


class AtOnce(Service):
    """A service that begins what it waits for first before it makes tasks of anything."""

    async def wait_first(self, *coros: Any, timeout: Any = None) -> WaitResults:
        """As for any service, but the first coroutine is begun at once, and ends the waiting if it ends."""
        first, *others = coros
        if not iscoroutine(first):
            return await super().wait_first(*coros, timeout=timeout)
        try:
            waits_for = first.send(None)
        except BaseException as ended:
            for other in filter(iscoroutine, others):
                other.close()  # never begun
            if isinstance(ended, StopIteration):
                return WaitResults([first], [ended.value], False)
            raise
        return await super().wait_first(_Rest(first, waits_for), *others, timeout=timeout)


class _Consumer(AtOnce, aiokafka.Consumer):
    pass


class _Transport(aiokafka.Transport):
    Consumer = _Consumer


class _Rest:
    """What is left of a coroutine that was begun and waits; it goes on in the task that awaits this."""

    def __init__(self, begun: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._begun = begun
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        while True:
            try:
                try:
                    answer = yield waits_for
                except BaseException as error:  # noqa: BLE001 — not caught: it is the coroutine's, to clean up
                    waits_for = self._begun.throw(error)
                else:
                    waits_for = self._begun.send(answer)
            except StopIteration as done:
                return done.value
