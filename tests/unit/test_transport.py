"""Handing over makes no tasks where there is nothing to wait for, and waits as Faust does where there is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mode.services import WaitResults

from streams.transport import AtOnce


def waited(*coros: Any, timeout: float | None = None) -> WaitResults:
    """What it says of coroutines; no task of them is left."""

    async def run() -> WaitResults:
        one, before = AtOnce(), asyncio.all_tasks()
        try:
            found: WaitResults = await one.wait_first(*coros, timeout=timeout)
            return found
        finally:
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == before

    return asyncio.run(run())


async def at_once(log: list[str]) -> str:
    log.append("done")
    return "handed over"


async def after(turns: int, log: list[str]) -> str:
    for turn in range(turns):
        await asyncio.sleep(0.001 if turn % 2 else 0)
    log.append("done")
    return "handed over"


def test_what_need_not_wait_makes_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a task was made")

    log: list[str] = []

    async def run() -> WaitResults:
        one = AtOnce()
        monkeypatch.setattr(asyncio, "ensure_future", refused)
        found: WaitResults = await one.wait_first(at_once(log), asyncio.Event().wait())
        return found

    results = asyncio.run(run())
    assert (results.results, results.stopped, log) == (["handed over"], False, ["done"])


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_what_has_to_wait_is_waited_for(turns: int) -> None:
    log: list[str] = []
    results = waited(after(turns, log), asyncio.Event().wait())
    assert (results.results, results.stopped, log) == (["handed over"], False, ["done"])


def test_waiting_ends_when_the_other_ends() -> None:
    cleaned = []

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("up")

    results = waited(for_ever(), asyncio.sleep(0.001, "suspended"))
    assert results.results == ["suspended"]
    assert cleaned == ["up"], "it is cancelled and cleans up"


def test_an_error_reaches_whoever_hands_over() -> None:
    async def at_first() -> None:
        raise ValueError("no queue")

    async def later() -> None:
        await asyncio.sleep(0)
        raise ValueError("no queue")

    for failing in (at_first, later):
        with pytest.raises(ValueError, match="no queue"):
            waited(failing(), asyncio.Event().wait())


def test_what_catches_an_error_goes_on() -> None:
    async def patient() -> str:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except TimeoutError:
            await asyncio.sleep(0)
        return "handed over"

    async def begun() -> str:
        await asyncio.sleep(0)
        return await patient()

    assert waited(begun()).results == ["handed over"]


def test_it_times_out_as_before() -> None:
    results = waited(asyncio.Event().wait(), timeout=0.001)
    assert results.stopped
