"""Completed hours: what a partition says when it closes one, and what all partitions have said.

An hour is named by the number of full hours from 1970-01-01 UTC to its start. docs/adr/0008-hours.md says why
hops know completed hours of other partitions and nothing else of them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import msgspec
import numpy as np

from detectors.baseline import Baseline
from detectors.campaign import Campaigns, Trace, latest
from detectors.hour import Sums, Tally
from detectors.q_values import q_value
from detectors.table import HOUR_MS

LAG: Final = 2
"""A hop within hour h uses the hours up to h − `LAG`: each partition has an hour to say what it counted."""

VERSION: Final = 1
_KEPT_PASTS: Final = 4
"""Partitions of one worker are at most at so many different hours while none waits for the other."""


class UnreadableHour(RuntimeError):
    """A message that is no completed hour of this version; says why."""


@dataclass(frozen=True)
class Closing:
    """What a partition says at the hop that ends an hour: this hour and all before it are closed.

    Attributes
    ----------
    through : int
        The last of the closed hours.
    sums : Sums
        What that hour was like; empty if the partition held no rows of it.
    traces : tuple of Trace
        The firing alerts whose figures were taken in that hour.
    tests : Tally
        P-values of the hashtags judged at this hop, see `detectors.q_values`.
    """

    partition: int
    through: int
    sums: Sums = field(default_factory=Sums)
    traces: tuple[Trace, ...] = ()
    tests: Tally = field(default_factory=Tally)

    @property
    def empty(self) -> bool:
        """Whether it says only that hours are closed."""
        return self.sums.empty and not self.traces and not self.tests.total

    @property
    def key(self) -> bytes:
        """Under which it is told; what only says that hours are closed replaces the last that did.

        >>> Closing(3, 411000).key
        b'3'
        """
        return f"{self.partition}".encode() if self.empty else f"{self.partition}/{self.through}".encode()


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    version: int
    partition: int
    through: int
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
        closing.through,
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
    UnreadableHour
    """
    try:
        wire = _DECODER.decode(value)
        days, clients, following, gaps, tests = (_tally(*packed) for packed in (*wire.tallies, wire.tests))
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableHour(f"this is not a completed hour ({error})") from error
    if wire.version != VERSION:
        raise UnreadableHour(f"completed hour of version {wire.version}, this worker reads {VERSION}")
    sums = Sums(days, clients, following, gaps, wire.copies)
    return Closing(wire.partition, wire.through, sums, wire.traces, tests)


def _packed(tally: Tally) -> tuple[bytes, bytes]:
    return tally.cells.astype("<u4").tobytes(), tally.counts.astype("<u8").tobytes()


def _tally(cells: bytes, counts: bytes) -> Tally:
    return Tally(np.frombuffer(cells, "<u4").astype(np.int64), np.frombuffer(counts, "<u8").astype(np.int64))


class Past:
    """What the hops of one hour know of the hours before.

    Attributes
    ----------
    sums : Sums
    hours : int
        How many hours with posts these are.
    campaigns : Campaigns
    tests : Tally
        P-values of the hashtags judged at the end of the last of these hours; empty if there were none.
    """

    def __init__(self, sums: Sums, hours: int, campaigns: Campaigns, tests: Tally) -> None:
        self.sums = sums
        self.hours = hours
        self.campaigns = campaigns
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


class Hours:
    """What partitions have said of completed hours, in whatever order it was read.

    Parameters
    ----------
    partitions : collection of int
        All whose hours count.
    baseline_hours, campaign_hours : int
        How many hours back sums and traces are used.
    """

    def __init__(
        self, partitions: Collection[int], baseline_hours: int = 168, campaign_hours: int = 720
    ) -> None:
        self._baseline_hours = baseline_hours
        self._campaign_hours = campaign_hours
        self._closed: dict[int, int | None] = dict.fromkeys(partitions)
        self._sums: dict[int, dict[int, Sums]] = {}  # by hour and partition
        self._traces: dict[int, dict[int, tuple[Trace, ...]]] = {}
        self._tests: dict[int, dict[int, Tally]] = {}
        self._pasts: dict[int, Past] = {}
        self._lock = Lock()  # hops are assessed in threads while more is read
        self.since: int | None = None
        """The least hour whose hops find all they may know; None if nothing was forgotten."""

    def add(self, closing: Closing) -> None:
        """Take in what a partition said; once more changes nothing."""
        with self._lock:
            before = self._closed[closing.partition]
            if not closing.sums.empty:
                self._sums.setdefault(closing.through, {})[closing.partition] = closing.sums
            if closing.traces:
                self._traces.setdefault(closing.through, {})[closing.partition] = closing.traces
            if closing.tests.total:
                self._tests.setdefault(closing.through, {})[closing.partition] = closing.tests
            last = closing.through if before is None else max(before, closing.through)
            self._closed[closing.partition] = last

    def closed(self, partition: int) -> int | None:
        """The last hour that a partition is known to have closed."""
        return self._closed[partition]

    def closed_through(self) -> int | None:
        """The last hour that all partitions have closed; None if one has said nothing yet."""
        told = [through for through in self._closed.values() if through is not None]
        return min(told) if len(told) == len(self._closed) else None

    def allow(self, hop_ms: int) -> bool:
        """Whether all that a hop uses has been said."""
        closed, last = self.closed_through(), hop_ms // HOUR_MS - LAG
        return last < 0 or (closed is not None and closed >= last)

    def before(self, hop_ms: int) -> Past:
        """What a hop knows; the same however much of later hours was read already."""
        last = hop_ms // HOUR_MS - LAG
        with self._lock:
            if last not in self._pasts:
                if len(self._pasts) >= _KEPT_PASTS:
                    del self._pasts[next(iter(self._pasts))]
                self._pasts[last] = self._past(last)
            return self._pasts[last]

    def _past(self, last: int) -> Past:
        counted = [hour for hour in sorted(self._sums) if last - self._baseline_hours < hour <= last]
        sums = Sums.joined([sums for hour in counted for _, sums in sorted(self._sums[hour].items())])
        known = [hour for hour in sorted(self._traces) if last - self._campaign_hours < hour <= last]
        traces = latest((hour, trace) for hour in known for of in self._traces[hour].values() for trace in of)
        tests = Tally.joined(list(self._tests.get(last, {}).values()))
        return Past(sums, len(counted), Campaigns(traces.values()), tests)

    def forget(self, hour: int) -> None:
        """Drop what no hop within this hour or a later one uses."""
        with self._lock:
            self.since = hour if self.since is None else max(self.since, hour)
            everything: tuple[tuple[dict[int, Any], int], ...] = (
                (self._sums, self._baseline_hours),
                (self._traces, self._campaign_hours),
                (self._tests, 1),
            )
            for held, used in everything:
                for old in [one for one in held if one <= hour - LAG - used]:
                    del held[old]

    def clear(self) -> None:
        """Forget everything, to be told anew from the beginning."""
        with self._lock:
            self._closed = dict.fromkeys(self._closed)
            self._sums, self._traces, self._tests, self._pasts, self.since = {}, {}, {}, {}, None

    def every(self) -> Sums:
        """The sums of all hours held."""
        return Sums.joined([sums for by_partition in self._sums.values() for sums in by_partition.values()])
