"""Completed periods: what a partition says when it closes one, and what all partitions have said.

A period is some minutes of event time, and hours are made of whole ones; times are in milliseconds. Alerts
are told of with every period, what an hour was like with the one that ends it. docs/adr/0008-hours.md and
docs/adr/0011-periods.md say why hops know completed periods of other partitions and nothing else of them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from detectors.baseline import Baseline
from detectors.campaign import Campaigns, Trace, latest
from detectors.hour import Sums, Tally
from detectors.q_values import q_value
from detectors.table import HOUR_MS

PERIOD_MS: Final = 600_000
"""Ten minutes, unless hops do not meet them: see `streams.monitor.Rules.period_ms`."""

VERSION: Final = 2
_VERSION_OF_HOURS: Final = 1  # whose messages name the number of the hour instead of its end
_KEPT: Final = 4
"""Partitions of one worker are at most in so many different periods while none waits for the other."""


class UnreadablePeriod(RuntimeError):
    """A message that is no completed period of a known version; says why."""


@dataclass(frozen=True)
class Closing:
    """What a partition says at the hop that ends a period: this one and all before it are closed.

    Attributes
    ----------
    end_ms : int
        The end of the last of the closed periods.
    sums : Sums
        What the hour was like that ended with it; empty if none did, or if the partition held no rows of it.
    traces : tuple of Trace
        The firing alerts of which there was something new to remember.
    tests : Tally
        P-values of the hashtags judged at this hop if it ended an hour, see `detectors.q_values`.
    """

    partition: int
    end_ms: int
    sums: Sums = field(default_factory=Sums)
    traces: tuple[Trace, ...] = ()
    tests: Tally = field(default_factory=Tally)

    @property
    def empty(self) -> bool:
        """Whether it says only that periods are closed."""
        return self.sums.empty and not self.traces and not self.tests.total

    @property
    def key(self) -> bytes:
        """Under which it is told; what only says that periods are closed replaces the last that did.

        >>> Closing(3, 1479600000000).key
        b'3'
        """
        return f"{self.partition}".encode() if self.empty else f"{self.partition}/{self.end_ms}".encode()


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    version: int
    partition: int
    end_ms: int
    tallies: tuple[tuple[bytes, bytes], ...]
    copies: tuple[int, int, int]
    traces: tuple[Trace, ...]
    tests: tuple[bytes, bytes] = (b"", b"")


_DECODER: Final = msgspec.msgpack.Decoder(_Wire)


def encode(closing: Closing) -> bytes:
    """The value of the message; the same closing gives the same bytes."""
    sums = closing.sums
    wire = _Wire(
        VERSION,
        closing.partition,
        closing.end_ms,
        tuple(_packed(tally) for tally in sums.tallies),
        sums.copies,
        closing.traces,
        _packed(closing.tests),
    )
    return msgspec.msgpack.encode(wire)


def decode(value: bytes) -> Closing:
    """What `encode` was given.

    Raises
    ------
    UnreadablePeriod
    """
    try:
        wire = _DECODER.decode(value)
        days, clients, following, gaps, tests = (_tally(*packed) for packed in (*wire.tallies, wire.tests))
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadablePeriod(f"this is not a completed period ({error})") from error
    if wire.version not in (VERSION, _VERSION_OF_HOURS):
        raise UnreadablePeriod(f"completed period of version {wire.version}, this worker reads {VERSION}")
    end_ms = wire.end_ms if wire.version == VERSION else (wire.end_ms + 1) * HOUR_MS
    sums = Sums(days, clients, following, gaps, wire.copies)
    return Closing(wire.partition, end_ms, sums, wire.traces, tests)


def _packed(tally: Tally) -> tuple[bytes, bytes]:
    return tally.cells.astype("<u4").tobytes(), tally.counts.astype("<u8").tobytes()


def _tally(cells: bytes, counts: bytes) -> Tally:
    return Tally(np.frombuffer(cells, "<u4").astype(np.int64), np.frombuffer(counts, "<u8").astype(np.int64))


class Learnt:
    """What completed hours were like, as the hops know it that may use the same ones.

    Attributes
    ----------
    sums : Sums
    hours : int
        How many hours with posts these are.
    tests : Tally
        P-values of the hashtags judged at the end of the last of these hours; empty if there were none.
    """

    def __init__(self, sums: Sums, hours: int, tests: Tally) -> None:
        self.sums = sums
        self.hours = hours
        self.tests = tests
        self._baselines: dict[Baseline, Baseline] = {}

    def baseline(self, prior: Baseline) -> Baseline:
        """The baseline in which these hours are mixed with what was assumed before."""
        if prior not in self._baselines:
            self._baselines[prior] = prior.learn(self.sums, self.hours)
        return self._baselines[prior]

    def q_value(self, p_value: float) -> float | None:
        """What a p-value is worth among those of all hashtags; None if none was judged."""
        return q_value(p_value, self.tests) if self.tests.total else None


@dataclass(frozen=True)
class Past:
    """What the hops of one period know of what was before."""

    learnt: Learnt
    campaigns: Campaigns


class Periods:
    """What partitions have said of completed periods, in whatever order it was read.

    A hop knows alerts of the periods up to the one before the last, and what hours were like up to the hour
    before the last: each partition has the length of one to say what it counted.

    Parameters
    ----------
    partitions : collection of int
        All whose periods count.
    period_ms : int
        How long one is.
    baseline_hours, campaign_hours : int
        How many hours back sums and traces are used.
    """

    def __init__(
        self,
        partitions: Collection[int],
        period_ms: int = PERIOD_MS,
        baseline_hours: int = 168,
        campaign_hours: int = 720,
    ) -> None:
        self._period_ms = period_ms
        self._baseline_ms = baseline_hours * HOUR_MS
        self._campaign_ms = campaign_hours * HOUR_MS
        self._closed: dict[int, int | None] = dict.fromkeys(partitions)
        self._sums: dict[int, dict[int, Sums]] = {}  # by end and partition
        self._traces: dict[int, dict[int, tuple[Trace, ...]]] = {}
        self._tests: dict[int, dict[int, Tally]] = {}
        self._pasts: dict[int, Past] = {}
        self._learnt: dict[int, Learnt] = {}
        self._campaigns: dict[frozenset[int], Campaigns] = {}
        self._lock = Lock()  # hops are assessed in threads while more is read
        self._cleared = 0
        self.since_ms: int | None = None
        """The hops from here on find all they may know; None if nothing was forgotten."""

    def add(self, closing: Closing) -> None:
        """Take in what a partition said; once more changes nothing."""
        with self._lock:
            before = self._closed[closing.partition]
            if not closing.sums.empty:
                self._sums.setdefault(closing.end_ms, {})[closing.partition] = closing.sums
            if closing.traces:
                self._traces.setdefault(closing.end_ms, {})[closing.partition] = closing.traces
            if closing.tests.total:
                self._tests.setdefault(closing.end_ms, {})[closing.partition] = closing.tests
            last = closing.end_ms if before is None else max(before, closing.end_ms)
            self._closed[closing.partition] = last

    def closed(self, partition: int) -> int | None:
        """Up to when a partition is known to have closed everything."""
        return self._closed[partition]

    def all_closed(self) -> int | None:
        """Up to when all partitions have closed everything; None if one has said nothing yet."""
        told = [end_ms for end_ms in self._closed.values() if end_ms is not None]
        return min(told) if len(told) == len(self._closed) else None

    def _until(self, hop_ms: int) -> int:
        """The end of the last period that a hop knows."""
        return hop_ms // self._period_ms * self._period_ms - self._period_ms

    @staticmethod
    def _until_hour(hop_ms: int) -> int:
        """The end of the last hour of which a hop knows what it was like; never after that period."""
        return hop_ms // HOUR_MS * HOUR_MS - HOUR_MS

    def allow(self, hop_ms: int) -> bool:
        """Whether all that a hop uses has been said."""
        closed, until = self.all_closed(), self._until(hop_ms)
        return until <= 0 or (closed is not None and closed >= until)

    def before(self, hop_ms: int) -> Past:
        """What a hop knows; the same however much of later periods was read already."""
        until, hour = self._until(hop_ms), self._until_hour(hop_ms)
        with self._lock:
            past, cleared = self._pasts.get(until), self._cleared
            if past is not None:
                return past
            known = frozenset(end for end in self._traces if until - self._campaign_ms < end <= until)
            learnt, campaigns = self._learnt.get(hour), self._campaigns.get(known)
            hours = [end for end in sorted(self._sums) if hour - self._baseline_ms < end <= hour]
            sums = [sums for end in hours for _, sums in sorted(self._sums[end].items())]
            tests = list(self._tests.get(hour, {}).values())
            told = [(end, trace) for end in known for of in self._traces[end].values() for trace in of]
        # Joined without the lock: hundreds of alerts take a while, and who reads the topic is not to wait.
        if learnt is None:
            learnt = Learnt(Sums.joined(sums), len(hours), Tally.joined(tests))
        if campaigns is None:
            campaigns = Campaigns(latest(told).values())
        past = Past(learnt, campaigns)
        with self._lock:
            if cleared == self._cleared:
                _keep(self._pasts, until, past)
                _keep(self._learnt, hour, learnt)
                _keep(self._campaigns, known, campaigns)
        return past

    def forget(self, hop_ms: int) -> None:
        """Drop what neither the hops of its period nor later ones use."""
        last = self._until_hour(hop_ms)
        with self._lock:
            self.since_ms = max(self._until(hop_ms) + self._period_ms, self.since_ms or 0)
            everything: tuple[tuple[dict[int, Any], int], ...] = (
                (self._sums, self._baseline_ms),
                (self._traces, self._campaign_ms),
                (self._tests, 0),
            )
            for held, used_ms in everything:
                for old in [end for end in held if end < last and end <= last - used_ms]:
                    del held[old]

    def clear(self) -> None:
        """Forget everything, to be told anew from the beginning."""
        with self._lock:
            self._closed = dict.fromkeys(self._closed)
            self._sums, self._traces, self._tests, self.since_ms = {}, {}, {}, None
            self._pasts, self._learnt, self._campaigns = {}, {}, {}
            self._cleared += 1

    def every(self) -> Sums:
        """The sums of all hours held."""
        return Sums.joined([sums for by_partition in self._sums.values() for sums in by_partition.values()])


_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


def _keep(held: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Hold a value under a key; the oldest goes where too much is held."""
    if key not in held and len(held) >= _KEPT:
        del held[next(iter(held))]
    held[key] = value
