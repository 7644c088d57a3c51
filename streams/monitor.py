"""One destination partition: its windows, its clock, its alerts. Pure state, no I/O.

The caller keeps to one order, and so the state on disk never falls behind what was told to anybody::

    delta = monitor.plan(packet)      # what the packet changes, nothing changed yet
    await store.commit(delta)         # atomic, guarded by the expected mark
    monitor.apply(delta)
    while hop := monitor.next_hop():  # what the clock allows to be assessed
        outcome = monitor.assess(hop)
        ...tell and store it...
        monitor.close(outcome)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from detectors import assess
from detectors.alert import Alert, Policy, Reason, State, decide
from detectors.assessment import Assessment, AssessmentPolicy
from detectors.baseline import Baseline
from detectors.near_text import TextIndex
from detectors.table import ROW, Kind, Rows, Texts, Window, distinct
from streams.packets import Packet
from streams.watermark import SourceClock, watermark

SWEEP_MS: Final = 600_000
"""How often, in event time, tags that nobody writes about are looked through for rows to drop."""

_STRING_FIELDS: Final = ("text", "handle", "client", "domain", "account", "post")


class Gap(RuntimeError):
    """Offsets are missing between two packets: counts would be wrong from here on."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor goes by. Times in milliseconds of event time."""

    window_ms: int = 7_200_000
    hop_ms: int = 60_000
    lateness_ms: int = 120_000
    min_posts: int = 30
    assessment: AssessmentPolicy = AssessmentPolicy()
    alert: Policy = Policy()


@dataclass(frozen=True)
class Delta:
    """What one packet changes: everything or nothing of it is stored.

    Attributes
    ----------
    source : int
        Source partition.
    expected, mark : int
        The high-water mark before and after, as the next offset to come; `expected` is None before the
        first packet of a source.
    clock : SourceClock
    rows : by (hashtag, start of the hop-long bucket in ms)
    strings : by hashtag, only those not stored before
    repeated : int
        Rows dropped because they were counted before.
    """

    source: int
    expected: int | None
    mark: int
    clock: SourceClock
    rows: Mapping[tuple[str, int], Rows]
    strings: Mapping[str, Mapping[int, str]]
    repeated: int


@dataclass(frozen=True)
class TagOutcome:
    """One hashtag at one hop."""

    window: Window
    assessment: Assessment
    alert: Alert | None
    reason: Reason


@dataclass(frozen=True)
class Outcome:
    """All that one hop brought, hashtags in alphabetical order."""

    hop_ms: int
    tags: tuple[TagOutcome, ...]


@dataclass(frozen=True)
class Evicted:
    """Rows of one hashtag that left the last window they can be part of."""

    hashtag: str
    rows: Rows
    strings: Mapping[int, str]
    buckets: tuple[int, ...]
    forgotten: tuple[int, ...]
    """Fingerprints that no row stands for any more."""


@dataclass
class TagState:
    """The rows of one hashtag by bucket, its strings, and its open alert."""

    buckets: dict[int, list[Rows]] = field(default_factory=dict)
    strings: dict[int, str] = field(default_factory=dict)
    index: TextIndex = field(default_factory=TextIndex)
    last_bucket: dict[int, int] = field(default_factory=dict)  # of every string, the newest row that uses it
    alert: Alert | None = None


@dataclass
class PartitionState:
    """All a monitor knows; what a store gives back after a restart."""

    marks: dict[int, int] = field(default_factory=dict)
    clocks: dict[int, SourceClock] = field(default_factory=dict)
    assessed_ms: int | None = None
    tags: dict[str, TagState] = field(default_factory=dict)


class Monitor:
    """The owner of one destination partition's windows.

    Parameters
    ----------
    partition : int
    sources : collection of int
        All partitions of the topic `posts`.
    """

    def __init__(
        self,
        partition: int,
        sources: Collection[int],
        rules: Rules,
        baseline: Baseline,
        state: PartitionState | None = None,
    ) -> None:
        self.partition = partition
        self.sources = frozenset(sources)
        self.rules = rules
        self.baseline = baseline
        self.state = state or PartitionState()
        self.late_rows = 0
        self._due: dict[int, set[str]] = {}
        self._holding: dict[int, set[str]] = {}  # bucket -> hashtags with rows in it
        self._open: set[str] = set()
        self._swept_ms = 0
        self._resume()

    def _resume(self) -> None:
        for hashtag, tag in self.state.tags.items():
            tag.index, tag.last_bucket = TextIndex(), {}
            for bucket, parts in tag.buckets.items():
                self._take_in(hashtag, tag, bucket, np.concatenate(parts))
                if self.state.assessed_ms is None or bucket + self.rules.hop_ms > self.state.assessed_ms:
                    self._due.setdefault(bucket + self.rules.hop_ms, set()).add(hashtag)
            if tag.alert is not None:
                self._open.add(hashtag)

    def _take_in(self, hashtag: str, tag: TagState, bucket: int, rows: Rows) -> None:
        self._holding.setdefault(bucket, set()).add(hashtag)
        tag.index.add({k: tag.strings[k] for k in np.unique(rows["text"]).tolist() if k in tag.strings})
        for key in _keys(rows):
            if key in tag.strings:
                tag.last_bucket[key] = max(bucket, tag.last_bucket.get(key, bucket))

    def plan(self, packet: Packet) -> Delta:
        """What a packet would change.

        Raises
        ------
        Gap
            If offsets between the last packet of this source and this one never came.
        """
        expected = self.state.marks.get(packet.source)
        if expected is not None and packet.start > expected:
            raise Gap(
                f"partition {self.partition} has counted source partition {packet.source} up to offset"
                f" {expected}, but the next packet starts at {packet.start}: {packet.start - expected}"
                " offsets are missing. Either the topic's retention is shorter than the time this worker was"
                " away, or two deployments share one key prefix"
            )
        table, offsets = packet.table()
        rows: dict[tuple[str, int], Rows] = {}
        strings: dict[str, dict[int, str]] = {}
        repeated = first = 0
        for hashtag, count in zip(packet.hashtags, packet.counts, strict=True):
            mine, at = table[first : first + count], offsets[first : first + count]
            first += count
            if expected is not None and packet.start < expected:
                new = at >= expected
                repeated += count - int(new.sum())
                mine = mine[new]
            if not len(mine):
                continue
            bucket = mine["time_ms"] // self.rules.hop_ms * self.rules.hop_ms
            for start in np.unique(bucket).tolist():
                rows[hashtag, start] = mine[bucket == start]
            known = self.state.tags[hashtag].strings if hashtag in self.state.tags else {}
            fresh = {k: packet.strings[k] for k in _keys(mine) if k in packet.strings and k not in known}
            if fresh:
                strings[hashtag] = fresh
        clock = self.state.clocks.get(packet.source, SourceClock())
        if expected is None or packet.end > expected or packet.ended:
            clock = clock.advance(packet.clock, ended=packet.ended)
        mark = packet.end if expected is None else max(expected, packet.end)
        return Delta(packet.source, expected, mark, clock, rows, strings, repeated)

    def apply(self, delta: Delta) -> None:
        """Take in what `plan` said, after it was stored."""
        self.state.marks[delta.source] = delta.mark
        self.state.clocks[delta.source] = delta.clock
        for hashtag, strings in delta.strings.items():
            self.state.tags.setdefault(hashtag, TagState()).strings.update(strings)
        for (hashtag, bucket), rows in delta.rows.items():
            tag = self.state.tags.setdefault(hashtag, TagState())
            tag.buckets.setdefault(bucket, []).append(rows)
            self._take_in(hashtag, tag, bucket, rows)
            self._mark_due(hashtag, bucket, len(rows))

    def _mark_due(self, hashtag: str, bucket: int, count: int) -> None:
        hop = bucket + self.rules.hop_ms
        if self.state.assessed_ms is not None and hop <= self.state.assessed_ms:
            self.late_rows += count
            hop = self.state.assessed_ms + self.rules.hop_ms
        self._due.setdefault(hop, set()).add(hashtag)

    def watermark(self, idle: Collection[int] = ()) -> int | None:
        """Event time in ms below which this partition expects nothing more."""
        return watermark(self.state.clocks, self.sources, idle, self.rules.lateness_ms)

    @property
    def ended(self) -> bool:
        """Whether every source said that nothing more will come."""
        return all(self.state.clocks.get(source, SourceClock()).ended for source in self.sources)

    def next_hop(self, idle: Collection[int] = ()) -> int | None:
        """The earliest hop, in ms of event time, that the clock allows and somebody needs; None if none."""
        mark = self.watermark(idle)
        if mark is None:
            return None
        last = -(-mark // self.rules.hop_ms) if self.ended else mark // self.rules.hop_ms
        last *= self.rules.hop_ms
        wanted = min(self._due, default=None)
        if self._open and self.state.assessed_ms is not None:
            following = self.state.assessed_ms + self.rules.hop_ms
            wanted = following if wanted is None else min(wanted, following)
        return wanted if wanted is not None and wanted <= last else None

    def assess(self, hop_ms: int) -> Outcome:
        """Judge every hashtag that changed or has an open alert, over the rows older than `hop_ms`."""
        names = sorted(self._due.get(hop_ms, set()) | self._open)
        outcomes = []
        for name in names:
            outcome = self._assess_tag(name, hop_ms)
            if outcome is not None:
                outcomes.append(outcome)
        return Outcome(hop_ms, tuple(outcomes))

    def _assess_tag(self, name: str, hop_ms: int) -> TagOutcome | None:
        tag = self.state.tags.get(name)
        if tag is None:
            return None
        start_ms = hop_ms - self.rules.window_ms
        parts = [rows for b, bucket in tag.buckets.items() if start_ms <= b < hop_ms for rows in bucket]
        if tag.alert is None and sum(map(len, parts)) < self.rules.min_posts:
            return None
        rows = distinct(np.concatenate(parts)) if parts else np.empty(0, ROW)
        if tag.alert is None and len(rows) < self.rules.min_posts:
            return None
        window = Window(name, start_ms, hop_ms, rows, _group(tag.index, rows), tag.strings)
        assessment = assess(window, self.baseline, self.rules.assessment)
        alert, reason = decide(
            tag.alert, assessment, hop_ms, baseline=self.baseline.digest, policy=self.rules.alert
        )
        return TagOutcome(window, assessment, alert, reason)

    def close(self, outcome: Outcome) -> tuple[Evicted, ...]:
        """Keep what a hop decided, after it was told and stored; gives the rows no later hop can see."""
        for tag in outcome.tags:
            name = tag.assessment.hashtag
            keep = tag.alert if tag.alert is not None and tag.alert.state is not State.RESOLVED else None
            state = self.state.tags[name]
            state.alert = keep
            (self._open.discard if keep is None else self._open.add)(name)
            if keep is None and not state.buckets:  # its rows left while the alert was still open
                del self.state.tags[name]
        self._due.pop(outcome.hop_ms, None)
        self.state.assessed_ms = outcome.hop_ms
        if outcome.hop_ms < self._swept_ms + SWEEP_MS:
            return ()
        self._swept_ms = outcome.hop_ms
        return self.evict(outcome.hop_ms)

    def evict(self, hop_ms: int | None = None) -> tuple[Evicted, ...]:
        """Drop the rows that the hops after `hop_ms` cannot see; all of them if None."""
        end = None if hop_ms is None else hop_ms + self.rules.hop_ms - self.rules.window_ms
        old: dict[str, list[int]] = {}
        for bucket in sorted(b for b in self._holding if end is None or b < end):
            for name in self._holding.pop(bucket):
                old.setdefault(name, []).append(bucket)
        return tuple(self._evict_tag(name, self.state.tags[name], old[name]) for name in sorted(old))

    def _evict_tag(self, name: str, tag: TagState, old: list[int]) -> Evicted:
        rows = distinct(np.concatenate([rows for bucket in old for rows in tag.buckets.pop(bucket)]))
        strings = {k: tag.strings[k] for k in _keys(rows) if k in tag.strings}
        forgotten = tuple(k for k in strings if tag.last_bucket[k] <= old[-1])
        for key in forgotten:
            del tag.strings[key], tag.last_bucket[key]
        tag.index.forget(forgotten)
        if not tag.buckets and tag.alert is None:
            del self.state.tags[name]
        return Evicted(name, rows, strings, tuple(old), forgotten)


def _keys(rows: Rows) -> list[int]:
    found: list[int] = np.unique(np.concatenate([rows[name] for name in _STRING_FIELDS])).tolist()
    return found


def _group(index: TextIndex, rows: Rows) -> Texts:
    written = rows[(rows["kind"] != Kind.REPOST) & (rows["text"] != 0)]
    prints, posts = np.unique(written["text"], return_counts=True)
    return index.texts(prints, posts) if len(prints) else Texts.none()
