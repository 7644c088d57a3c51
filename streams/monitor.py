"""One destination partition: its windows, its clock, its alerts. Pure state, no I/O.

The caller keeps to one order, and so the state on disk never falls behind what was told to anybody::

    delta = monitor.plan(packet, at)  # what the packet changes, nothing changed yet
    await store.commit(delta)         # atomic, guarded by the expected mark
    monitor.apply(delta)
    while hop := monitor.next_hop():  # what the clock allows to be assessed
        outcome = monitor.assess(hop)
        ...tell and store it...
        monitor.close(outcome)
    ...if monitor.held, wait for what others say of completed periods, and no packet before that...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec
import numpy as np

from detectors import assess, forget
from detectors.alert import Alert, Policy, Reason, State, decide
from detectors.assessment import Assessment, AssessmentPolicy
from detectors.baseline import Baseline
from detectors.campaign import Memory, Trace
from detectors.hour import count
from detectors.keys import tallied
from detectors.q_values import counted
from detectors.sample import below, limit, mixed, share_below
from detectors.shares import LEAST_PAIRS
from detectors.table import HOUR_MS, ROW, Keys, Kind, Rows, Texts, Window, distinct, joined, taken
from detectors.text import fingerprint
from streams.packets import Packet
from streams.periods import PERIOD_MS, Closing, Periods
from streams.slices import Slices
from streams.tags import Away, Tags, TagState, keys_of, used
from streams.watermark import Clocks, SourceClock

SWEEP_MS: Final = 600_000
"""How often, in event time, rows that no later hop can see are dropped; at multiples of it, so that what is
held is a function of the hop and not of when a process began."""

LARGE_ROWS: Final = 50_000
"""Of a hashtag with so many rows the last window goes before the next is made, or both would be held. Not of
smaller ones: the allocator would give their memory back and ask for it again at every hop, and a scan of
12,000 posts cost 4 % more."""

_NOBODY: Final[Keys] = np.empty(0, np.uint64)
_NO_ROWS: Final[Rows] = np.empty(0, ROW)


class Gap(RuntimeError):
    """Offsets are missing between two packets: counts would be wrong from here on."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor goes by. Times in milliseconds of event time.

    Raises
    ------
    ValueError
        If hops do not meet the full hours: these are closed at hops, and rows between would be passed over.
    """

    window_ms: int = 7_200_000
    hop_ms: int = 60_000
    lateness_ms: int = 120_000
    max_ahead_ms: int = 120_000
    """How far after its arrival a post may be dated; no more than the lateness, or it closes windows."""
    min_posts: int = 30
    bucket_rows: int = 2_000
    """Rows of one hashtag and hop that are kept; of more those of the accounts of lowest hash. Ten times what
    the largest flood we know brought in a minute (177 posts), and a window of 240,000 rows at the most."""
    small_hashtags: int = 201_600
    """How many hashtags with fewer than `min_posts` posts are held, in all partitions together; of more those
    with the most posts, and of these the latest. About 800 bytes each, so 160 MB. By slice, see
    `streams.slices`: as hashtags fill slices unevenly, the first are passed over from half of it on."""
    baseline_hours: int = 168
    """How many completed hours the baseline is learnt from: a week holds every hour of every weekday once."""
    campaign_hours: int = 720
    """For how many hours alerts are remembered as part of a campaign: thirty days."""
    assessment: AssessmentPolicy = AssessmentPolicy()
    alert: Policy = Policy()

    def __post_init__(self) -> None:
        if HOUR_MS % self.hop_ms:
            raise ValueError(f"a hop of {self.hop_ms} ms does not divide an hour")

    @property
    def period_ms(self) -> int:
        """How often partitions say what they counted: every ten minutes, or the next that hops meet."""
        hops = HOUR_MS // self.hop_ms
        return HOUR_MS // max(n for n in range(1, HOUR_MS // PERIOD_MS + 1) if hops % n == 0)

    def periods(self, partitions: Collection[int]) -> Periods:
        """What partitions may know of each other, of which nothing was said yet."""
        return Periods(partitions, self.period_ms, self.baseline_hours, self.campaign_hours)

    def oldest_ms(self, assessed_ms: int) -> int:
        """The first bucket that is still needed: by a later hop, or to close the hour that is not over."""
        return min(assessed_ms + self.hop_ms - self.window_ms, assessed_ms // HOUR_MS * HOUR_MS)

    def leaves_ms(self, bucket: int) -> int:
        """The multiple of `SWEEP_MS` at which a bucket is no longer needed, see `oldest_ms`."""
        seen_ms = (bucket + self.window_ms - self.hop_ms) // SWEEP_MS * SWEEP_MS + SWEEP_MS
        return max(seen_ms, bucket // HOUR_MS * HOUR_MS + HOUR_MS)


@dataclass(frozen=True)
class Cut:
    """A bucket that holds more than it may and keeps the accounts of lowest hash, each whole.

    Attributes
    ----------
    limit : int
        Accounts whose hash is below it are kept. A function of all rows that ever came, whatever their order.
    rows : Rows
        All that is kept, new rows included.
    """

    limit: int
    rows: Rows


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
    next : int or None
        Offset of the first message of the topic `rows` that is not counted after this packet; None where
        packets do not come from a topic.
    clock : SourceClock
    rows : by (hashtag, start of the hop-long bucket in ms)
        New rows that are kept.
    cuts : by the same
        Buckets whose limit fell.
    strings : by hashtag, only those not stored before
    forgotten : by hashtag
        Fingerprints that no row stands for any more.
    late : by hashtag
        The hop, in ms, that has to look at it again because rows came after their own hop.
    repeated : int
        Rows dropped because they were counted before, or because the same post with the same values was.
    late_rows, expired_rows : int
        Rows that came after their own hop; those that came after every window that could hold them, which
        are dropped.
    left_out_rows, cut_rows : int
        Rows that their bucket does not keep, as they came; those it held before and keeps no more.
    """

    source: int
    expected: int | None
    mark: int
    next: int | None
    clock: SourceClock
    rows: Mapping[tuple[str, int], Rows]
    cuts: Mapping[tuple[str, int], Cut]
    strings: Mapping[str, Mapping[int, str]]
    forgotten: Mapping[str, Sequence[int]]
    late: Mapping[str, int]
    repeated: int
    late_rows: int
    expired_rows: int
    left_out_rows: int = 0
    cut_rows: int = 0

    @property
    def buckets(self) -> Collection[tuple[str, int]]:
        """Those that change."""
        return dict.fromkeys((*self.rows, *self.cuts)).keys()


@dataclass(frozen=True)
class TagOutcome:
    """One hashtag at one hop."""

    window: Window
    assessment: Assessment
    alert: Alert | None
    reason: Reason


@dataclass(frozen=True)
class Outcome:
    """All that one hop brought, hashtags in alphabetical order; `closing` if it ended a period."""

    hop_ms: int
    tags: tuple[TagOutcome, ...]
    closing: Closing | None = None


@dataclass(frozen=True)
class Evicted:
    """Rows of one hashtag that are held no more.

    Attributes
    ----------
    left_ms : int
        The multiple of `SWEEP_MS` at which they left the last window they can be part of; where they were
        passed over, the hop at which there were too many small hashtags.
    strings : mapping
        What the rows stand for; all that the hashtag held if it holds no more.
    forgotten : tuple of int
        Fingerprints that no row stands for any more.
    passed_over : bool
        Whether later windows would have held them.
    """

    left_ms: int
    hashtag: str
    rows: Rows
    strings: Mapping[int, str]
    buckets: tuple[int, ...]
    forgotten: tuple[int, ...] = ()
    passed_over: bool = False


_NO_TAG: Final = TagState()  # of a hashtag that nothing is known of; never changed


@dataclass
class PartitionState:
    """All a monitor knows; what a store gives back after a restart.

    Attributes
    ----------
    late, next : see `Delta`
    covered_ms : int or None
        Event time from which on posts are complete, if earlier ones were lost for good. Windows that reach
        further back are not assessed.
    """

    marks: dict[int, int] = field(default_factory=dict)
    clocks: dict[int, SourceClock] = field(default_factory=dict)
    assessed_ms: int | None = None
    tags: Tags = field(default_factory=Tags)
    late: dict[str, int] = field(default_factory=dict)
    next: int | None = None
    covered_ms: int | None = None


class Monitor:
    """The owner of one destination partition's windows.

    Parameters
    ----------
    partition : int
    sources : collection of int
        All partitions of the topic `posts`.
    baseline : Baseline
        What is assumed before anything was learnt.
    periods : Periods, optional
        What all partitions said of completed periods, which somebody else adds to. Without it this is the
        only partition there is, and it remembers its own.
    """

    def __init__(
        self,
        partition: int,
        sources: Collection[int],
        rules: Rules,
        baseline: Baseline,
        state: PartitionState | None = None,
        periods: Periods | None = None,
    ) -> None:
        self.partition = partition
        self.sources = frozenset(sources)
        self.rules = rules
        self.baseline = baseline
        self.state = state or PartitionState()
        self.periods = rules.periods((partition,)) if periods is None else periods
        self._alone = periods is None
        self._due: dict[int, set[str]] = {}
        self._holding: dict[int, set[str]] = {}  # bucket -> hashtags with rows in it
        self._open: set[str] = set()
        self._slices = Slices(self.state.tags, self.rules.small_hashtags)
        self._resume()

    def _resume(self) -> None:
        for hashtag, tag in self.state.tags.items():
            tag.derived = None
            for bucket in sorted(tag.buckets):
                self._holding.setdefault(bucket, set()).add(hashtag)
                self._end_hour(bucket)
                if self.state.assessed_ms is None or bucket + self.rules.hop_ms > self.state.assessed_ms:
                    self._due.setdefault(bucket + self.rules.hop_ms, set()).add(hashtag)
            if tag.alert is not None:
                self._open.add(hashtag)
            self._put_away(hashtag)
        for hashtag, hop in self.state.late.items():
            self._due.setdefault(hop, set()).add(hashtag)

    def plan(self, packet: Packet, at: int | None = None) -> Delta:
        """What a packet would change.

        Parameters
        ----------
        packet : Packet
        at : int, optional
            Its offset on the topic `rows`.

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
        rows: dict[tuple[str, int], Rows] = {}
        cuts: dict[tuple[str, int], Cut] = {}
        strings: dict[str, dict[int, str]] = {}
        forgotten: dict[str, list[int]] = {}
        expired = left_out = cut_rows = 0
        came = packet.strings
        for hashtag, pieces in _pieces(packet, expected, self.rules.hop_ms):
            tag = self.state.tags.find(hashtag) or _NO_TAG
            parts, gone = list[Rows](), list[Rows]()
            for bucket, part in pieces:
                if not self._visible(bucket):
                    expired += len(part)
                    continue
                offered = self._offer(tag, bucket, part)
                left_out += offered.left_out
                if len(offered.rows):
                    rows[hashtag, bucket] = offered.rows
                    parts.append(offered.rows)
                if offered.cut is not None:
                    cuts[hashtag, bucket] = offered.cut
                    gone.append(offered.gone)
            if new := {key: came[key] for key in tag.unknown(keys_of(parts)) if key in came}:
                strings[hashtag] = new
            if gone:
                held = self.state.tags.glance(hashtag) if hashtag in self.state.tags else _NO_TAG
                more = Counter(used(held.strings, joined(parts)))
                forgotten[hashtag] = held.unused(joined(gone), more)
            cut_rows += sum(map(len, gone))
        late = [key for key in dict.fromkeys((*rows, *cuts)) if self._is_late(key[1])]
        stored = sum(map(len, rows.values()))
        return Delta(
            source=packet.source,
            expected=expected,
            mark=packet.end if expected is None else max(expected, packet.end),
            next=self.state.next if at is None else max(at + 1, self.state.next or 0),
            clock=self._clock_after(packet, expected),
            rows=rows,
            cuts=cuts,
            strings=strings,
            forgotten=forgotten,
            late={hashtag: self._following_ms() for hashtag, _ in late},
            repeated=sum(packet.counts) - expired - left_out - stored,
            late_rows=sum(len(rows[key]) for key in late if key in rows),
            expired_rows=expired,
            left_out_rows=left_out,
            cut_rows=cut_rows,
        )

    def _clock_after(self, packet: Packet, expected: int | None) -> SourceClock:
        news = expected is None or packet.end > expected or (packet.idle and packet.start == expected)
        if not news:
            return self.state.clocks.get(packet.source, SourceClock())
        return self._clocks.after(
            packet.source,
            packet.clock,
            expected or 0,
            idle=packet.idle,
            begun=packet.begun,
            ended=packet.ended,
        )

    def _visible(self, bucket: int) -> bool:
        """Whether a later hop can see the rows of a bucket."""
        assessed_ms = self.state.assessed_ms
        return assessed_ms is None or bucket >= assessed_ms + self.rules.hop_ms - self.rules.window_ms

    def _is_late(self, bucket: int) -> bool:
        return self.state.assessed_ms is not None and bucket + self.rules.hop_ms <= self.state.assessed_ms

    def _following_ms(self) -> int:
        return (self.state.assessed_ms or 0) + self.rules.hop_ms

    def _offer(self, tag: TagState | Away, bucket: int, rows: Rows) -> _Offered:
        """What a bucket makes of rows that come; nothing is changed yet."""
        came, held, at_most = len(rows), tag.parts(bucket), tag.limits.get(bucket)
        if came == 1 and not held and at_most is None:
            return _Offered(rows, 0)
        if at_most is not None:
            rows = taken(rows, below(rows["account"], at_most))
        fresh = _fresh(held, rows) if len(rows) else rows
        holds = sum(map(len, held))
        if not len(fresh) or holds + len(fresh) <= self.rules.bucket_rows:
            return _Offered(fresh, came - len(rows))
        every = joined([*held, fresh])
        hashes = mixed(every["account"])
        fallen = limit(hashes, self.rules.bucket_rows)
        if fallen is None:
            return _Offered(fresh, came - len(rows))
        kept = hashes < np.uint64(fallen)
        left_out = came - len(rows) + int(np.count_nonzero(~kept[holds:]))
        cut = Cut(fallen, taken(every, kept))
        came_in, gone = taken(every[holds:], kept[holds:]), taken(every[:holds], ~kept[:holds])
        return _Offered(came_in, left_out, cut, gone)

    def full(self) -> dict[str, dict[int, int]]:
        """By hashtag the limits of the full buckets that no hop has looked at yet; see `Cut`."""
        out = {}
        for name, tag in self.state.tags.whole():
            if tag.limits and (found := {b: at for b, at in tag.limits.items() if not self._is_late(b)}):
                out[name] = found
        return out

    def apply(self, delta: Delta) -> None:
        """Take in what `plan` said, after it was stored."""
        self.state.marks[delta.source] = delta.mark
        self.state.clocks[delta.source] = delta.clock
        self.state.next = delta.next
        self.state.late.update(delta.late)
        tags, small = self.state.tags, self.rules.min_posts
        for hashtag, parts in groupby(delta.rows.items(), key=_hashtag):
            if hashtag not in tags:
                self._slices.add(hashtag)
            buckets = [(bucket, rows) for (_, bucket), rows in parts]
            tags.take_in(hashtag, buckets, delta.strings.get(hashtag, {}), small)
        for (hashtag, bucket), cut in delta.cuts.items():
            tag = tags[hashtag]
            if tag.derived is not None:
                held = joined(tag.buckets[bucket])
                gone = taken(held, ~below(held["account"], cut.limit))
                tag.derived.uses.subtract(used(tag.strings, gone))
            tag.keep(bucket, cut.rows, cut.limit)
        for hashtag, keys in delta.forgotten.items():
            tags[hashtag].forget(keys)
        for bucket, names in _by_bucket(delta.rows).items():
            self._holding.setdefault(bucket, set()).update(names)
            self._end_hour(bucket)
        for bucket, names in _by_bucket(delta.buckets).items():
            hop = self._following_ms() if self._is_late(bucket) else bucket + self.rules.hop_ms
            self._due.setdefault(hop, set()).update(names)

    def _drop(self, hashtag: str) -> None:
        del self.state.tags[hashtag]
        self._slices.remove(hashtag)

    def _end_hour(self, bucket: int) -> None:
        """See to it that a hop ends the hour of some rows, whether or not anything is assessed at it."""
        end_ms = (bucket // HOUR_MS + 1) * HOUR_MS
        if self.state.assessed_ms is None or end_ms > self.state.assessed_ms:
            self._due.setdefault(end_ms, set())

    def watermark(self) -> int | None:
        """Event time in ms below which this partition expects nothing more."""
        return self._clocks.watermark(self.rules.lateness_ms)

    @property
    def ended(self) -> bool:
        """Whether every source said that nothing more will come."""
        return self._clocks.ended

    @property
    def silent(self) -> int:
        """How many sources it does not wait for."""
        return self._clocks.silent

    @property
    def _clocks(self) -> Clocks:
        return Clocks(self.state.clocks, self.sources)

    def next_hop(self) -> int | None:
        """The earliest hop, in ms of event time, that is needed and allowed; None if there is none.

        It is needed if rows came, if an alert is open, or if it ends a period. It is allowed if the clock has
        passed it and all partitions have closed the periods it uses.
        """
        hop_ms = self._next()
        return None if hop_ms is None or not self._allowed(hop_ms) else hop_ms

    @property
    def held(self) -> bool:
        """Whether the clock allows a hop that has to wait for the periods of other partitions.

        No packet may be counted meanwhile: what is late, and what a hop sees, must not depend on others.
        """
        hop_ms = self._next()
        return hop_ms is not None and not self._allowed(hop_ms)

    def _allowed(self, hop_ms: int) -> bool:
        # A hop at which nothing is assessed uses nothing. Were it held, partitions that all have to close a
        # gap of days would wait for one another.
        uses = self._due.get(hop_ms) or self._open
        return self._alone or not uses or self.periods.allow(hop_ms)

    def _next(self) -> int | None:
        """The earliest hop that the clock allows and somebody needs, held or not."""
        clocks = self._clocks
        mark = clocks.watermark(self.rules.lateness_ms)
        if mark is None:
            return None
        last = -(-mark // self.rules.hop_ms) if clocks.ended else mark // self.rules.hop_ms
        last *= self.rules.hop_ms
        wanted = min(self._due, default=None)
        if self._open and self.state.assessed_ms is not None:
            wanted = self._following_ms() if wanted is None else min(wanted, self._following_ms())
        # The periods before a hop are closed first: in one step where they are empty, however many they are.
        found = wanted if wanted is not None and wanted <= last else None
        closing = (last if found is None else found - 1) // self.rules.period_ms * self.rules.period_ms
        if self.state.assessed_ms is None or closing > self.state.assessed_ms:
            return closing
        return found

    def assess(self, hop_ms: int) -> Outcome:
        """Judge every hashtag that changed or has an open alert, over the rows older than `hop_ms`.

        Who lets go of the outcome before needs memory for large windows of one hop only, see `LARGE_ROWS`.
        """
        covered_ms = self.state.covered_ms
        if covered_ms is not None and hop_ms - self.rules.window_ms < covered_ms:
            return Outcome(hop_ms, (), self._closing(hop_ms, ()))
        tags, least = self.state.tags, self.rules.min_posts
        due = (name for name in self._due.get(hop_ms, ()) if name in tags and not tags.is_small(name, least))
        outcomes = []
        for name in sorted(self._open.union(due)):
            outcome = self._assess_tag(name, hop_ms)
            if outcome is not None:
                outcomes.append(outcome)
        return Outcome(hop_ms, tuple(outcomes), self._closing(hop_ms, outcomes))

    def _closing(self, hop_ms: int, outcomes: Sequence[TagOutcome]) -> Closing | None:
        """What there is to say of the period that a hop ends; None if it ends none."""
        if hop_ms % self.rules.period_ms:
            return None
        if hop_ms % HOUR_MS == 0:
            return self.hour(hop_ms, outcomes)
        # Alerts are told of often in their first hour, afterwards every hour.
        traces = _traces(outcomes, hop_ms - self.rules.period_ms, opened_ms=hop_ms - HOUR_MS)
        return Closing(self.partition, hop_ms, traces=traces)

    def hour(self, end_ms: int, outcomes: Sequence[TagOutcome] = ()) -> Closing:
        """What an hour was like, by the rows that are held of it.

        Parameters
        ----------
        end_ms : int
            A full hour.
        outcomes : sequence of TagOutcome
            What the hop brought that ends it.
        """
        start_ms, covered_ms = end_ms - HOUR_MS, self.state.covered_ms
        if covered_ms is not None and start_ms < covered_ms:
            return Closing(self.partition, end_ms)  # a part of it was lost for good
        coordinated = {tag.assessment.hashtag: tag.assessment.coordinated_accounts for tag in outcomes}
        windows = self._of_hour(start_ms, end_ms)
        return Closing(
            self.partition,
            end_ms,
            count((window, coordinated.get(window.hashtag, _NOBODY)) for window in windows),
            _traces(outcomes, start_ms),
            counted(tag.assessment.p_value for tag in outcomes),
        )

    def _of_hour(self, start_ms: int, end_ms: int) -> Iterator[Window]:
        buckets = range(start_ms, end_ms, self.rules.hop_ms)
        for name in sorted(set().union(*(self._holding.get(bucket, ()) for bucket in buckets))):
            tag = self.state.tags.find(name) or _NO_TAG
            rows, share = _sampled(tag, joined(tag.within(start_ms, end_ms)), start_ms, end_ms)
            texts = _group(self.state.tags.glance(name), rows) if len(rows) >= LEAST_PAIRS else Texts.none()
            yield Window(name, start_ms, end_ms, rows, texts, sampled=share)

    def _assess_tag(self, name: str, hop_ms: int) -> TagOutcome | None:
        start_ms, tags = hop_ms - self.rules.window_ms, self.state.tags
        found = tags.find(name)
        if found is None:
            return None
        if tags.count(name) >= LARGE_ROWS:
            forget()
        parts = found.within(start_ms, hop_ms)
        if name not in self._open and not found.limits and sum(map(len, parts)) < self.rules.min_posts:
            return None
        tag = tags[name]
        rows, share = _sampled(tag, joined(parts), start_ms, hop_ms)
        if tag.alert is None and len(rows) < share * self.rules.min_posts:
            return None
        window = Window(name, start_ms, hop_ms, rows, _group(tag, rows), tag.strings, share)
        past = self.periods.before(hop_ms)
        baseline = past.learnt.baseline(self.baseline)
        if len(past.campaigns):
            own = "" if tag.alert is None else tag.alert.id
            baseline = replace(baseline, memory=Memory(past.campaigns, own))
        assessment = assess(window, baseline, self.rules.assessment)
        assessment = replace(assessment, q_value=past.learnt.q_value(assessment.p_value))
        alert, reason = decide(
            tag.alert,
            assessment,
            hop_ms,
            baseline=baseline.digest,
            policy=self.rules.alert,
            campaigns=past.campaigns,
        )
        return TagOutcome(window, assessment, alert, reason)

    def close(self, outcome: Outcome) -> tuple[Evicted, ...]:
        """Keep what a hop decided, after it was told and stored; gives the rows that are held no more."""
        for tag in outcome.tags:
            name = tag.assessment.hashtag
            keep = tag.alert if tag.alert is not None and tag.alert.state is not State.RESOLVED else None
            state = self.state.tags[name]
            state.alert = keep
            (self._open.discard if keep is None else self._open.add)(name)
            if keep is None and not state.buckets:  # its rows left while the alert was still open
                self._drop(name)
        self._due.pop(outcome.hop_ms, None)
        if self._alone and outcome.closing is not None:
            self.periods.add(outcome.closing)
            self.periods.forget(outcome.closing.end_ms)
        before_ms, self.state.assessed_ms = self.state.assessed_ms, outcome.hop_ms
        self.state.late = {name: hop for name, hop in self.state.late.items() if hop > outcome.hop_ms}
        swept = before_ms is not None and before_ms // SWEEP_MS == outcome.hop_ms // SWEEP_MS
        return self.pass_over() if swept else self.leave()

    def leave(self) -> tuple[Evicted, ...]:
        """Drop all that is held no more after the last hop; if its writer died meanwhile, the rest of it."""
        return (*self.sweep(), *self.pass_over())

    def _put_away(self, name: str) -> None:
        """Keep a hashtag in less memory, if it is too small to be assessed."""
        if self.state.tags.count(name) < self.rules.min_posts:
            self.state.tags.put_away(name)

    def _put_quiet_away(self, before_ms: int) -> None:
        """Keep the hashtags in less memory of which nothing is younger."""
        quiet = [name for name, tag in self.state.tags.whole() if max(tag.buckets, default=0) < before_ms]
        for name in quiet:
            self.state.tags.put_away(name)

    def sweep(self) -> tuple[Evicted, ...]:
        """Drop the rows that no hop after the last multiple of `SWEEP_MS` can see."""
        if self.state.assessed_ms is None:
            return ()
        swept_ms = self.state.assessed_ms // SWEEP_MS * SWEEP_MS
        evicted = self.evict(self.rules.oldest_ms(swept_ms))
        self._put_quiet_away(swept_ms - SWEEP_MS)
        return evicted

    def evict(self, before_ms: int | None = None) -> tuple[Evicted, ...]:
        """Drop the rows of the buckets that start before a time; all of them if None.

        In the order in which they leave, and of what leaves at once by hashtag, however many hops passed
        since the last time.
        """
        return tuple(self._evict_tag(*leaving) for leaving in self._leaving(before_ms))

    def end(self, name: str) -> tuple[Evicted, ...]:
        """Drop all rows of a hashtag, of which nothing may be held; what leaves first is first.

        As `evict` does of all hashtags, but each need be made whole only once; which strings are forgotten
        with which rows is not said.
        """
        if name not in self.state.tags:
            return ()
        tag = self.state.tags[name]
        leaving: dict[int, list[int]] = {}
        for bucket in sorted(tag.buckets):
            self._holding[bucket].discard(name)
            leaving.setdefault(self.rules.leaves_ms(bucket), []).append(bucket)
        strings = tag.strings
        left = [
            Evicted(left_ms, name, distinct(tag.pop(old)), strings, tuple(old))
            for left_ms, old in leaving.items()
        ]
        if tag.alert is None:
            self._drop(name)
        else:
            tag.leave(_NO_ROWS)
        return tuple(left)

    def _leaving(self, before_ms: int | None) -> list[tuple[int, str, list[int]]]:
        """When which buckets of which hashtags leave, in this order; they count as held no more."""
        old: dict[int, dict[str, list[int]]] = {}
        for bucket in sorted(b for b in self._holding if before_ms is None or b < before_ms):
            leaving = old.setdefault(self.rules.leaves_ms(bucket), {})
            for name in self._holding.pop(bucket):
                leaving.setdefault(name, []).append(bucket)
        return [(at, name, buckets) for at, of in old.items() for name, buckets in sorted(of.items())]

    def pass_over(self) -> tuple[Evicted, ...]:
        """Drop the small hashtags that are too many at the last hop, as far as they came before it.

        In each slice in which something came since the hop before: what is dropped does not depend on other
        slices. It may be repeated after a crash: rows that came late since the last hop do not count, and
        hashtags by which it is known that something came are given last.
        """
        hop_ms, late = self.state.assessed_ms, self.state.late
        if hop_ms is None or not (crowded := self._slices.crowded()):
            return ()
        came = {name for name in self._holding.get(hop_ms - self.rules.hop_ms, ()) if name not in late}
        found = list[tuple[bool, str, list[int]]]()
        for names in crowded:
            if came.isdisjoint(names):
                continue
            small = [one for name in names if name not in late and (one := self._small(name, hop_ms))]
            small.sort(reverse=True)
            found += ((name in came, name, old) for *_, name, old in small[self._slices.at_most :])
        passed = [self._pass_over(hop_ms, name, old) for _, name, old in sorted(found)]
        return tuple(passed)

    def _small(self, name: str, hop_ms: int) -> tuple[int, int, int, str, list[int]] | None:
        """Of a small hashtag what its place among others goes by, its name, and its buckets before a hop."""
        sizes = self.state.tags.sizes(name)
        since_ms = self.rules.oldest_ms(hop_ms)
        needed = {bucket: size for bucket, size in sizes.items() if since_ms <= bucket < hop_ms}
        posts = sum(needed.values())
        sampled = not self.state.tags.limits(name).keys().isdisjoint(needed)
        if not needed or posts >= self.rules.min_posts or sampled or name in self._open:
            return None
        old = sorted(bucket for bucket in sizes if bucket < hop_ms)
        return posts, max(needed), fingerprint(name), name, old

    def _pass_over(self, hop_ms: int, name: str, old: list[int]) -> Evicted:
        for bucket in old:
            self._holding[bucket].discard(name)
        return replace(self._evict_tag(hop_ms, name, old), passed_over=True)

    def _evict_tag(self, left_ms: int, name: str, old: list[int]) -> Evicted:
        tag = self.state.tags[name]
        held = tag.pop(old)
        rows = distinct(held)
        strings: Mapping[int, str] = tag.strings
        if tag.buckets:
            strings = {k: strings[k] for k in keys_of([rows]) if k in strings}
        forgotten = tuple(tag.leave(held))
        if not tag.buckets and tag.alert is None:
            self._drop(name)
        else:
            self._put_away(name)
        return Evicted(left_ms, name, rows, strings, tuple(old), forgotten)


def lockstep(monitors: Sequence[Monitor]) -> Iterator[tuple[Monitor, Outcome]]:
    """All hops that the clocks of monitors which share their `periods` allow, each closed before the next.

    For those who have all partitions in one process: give every monitor its packet, then call this. Once each
    has its packet none is held for good, as all have the same clocks.
    """
    went_on = True
    while went_on:
        went_on = False
        for monitor in monitors:
            while (hop_ms := monitor.next_hop()) is not None:
                outcome = monitor.assess(hop_ms)
                yield monitor, outcome
                monitor.close(outcome)
                if outcome.closing is not None:
                    monitor.periods.add(outcome.closing)
                went_on = True


def _traces(outcomes: Sequence[TagOutcome], changed_ms: int, opened_ms: int = 0) -> tuple[Trace, ...]:
    """What is to be remembered of the firing alerts that changed since one hop and opened since another."""
    alerts = [tag.alert for tag in outcomes if tag.alert is not None and tag.alert.state is State.FIRING]
    return tuple(
        alert.trace for alert in alerts if alert.opened_ms >= opened_ms and alert.changed_since(changed_ms)
    )


def _pieces(
    packet: Packet, expected: int | None, hop_ms: int
) -> Iterator[tuple[str, Iterator[tuple[int, Rows]]]]:
    """Per hashtag, by rising start of the bucket, the rows whose offsets are not counted yet.

    Worked out for the whole packet at once: most hashtags have a row or two in it. Each piece is a copy, or
    one row that stays would keep the whole packet; of bytes, as numpy copies rows field by field.
    """
    table, offsets = packet.table()
    tag = np.repeat(np.arange(len(packet.counts)), packet.counts)
    bucket = table["time_ms"] // hop_ms * hop_ms
    order = np.lexsort((bucket, tag))
    if expected is not None and packet.start < expected:
        order = order[offsets[order] >= expected]
    if not len(order):
        return
    tag, bucket = tag[order], bucket[order]
    size = ROW.itemsize
    raw = table.view(f"V{size}")[order].tobytes()
    new = np.ones(len(order), np.bool_)
    new[1:] = (tag[1:] != tag[:-1]) | (bucket[1:] != bucket[:-1])
    first = np.flatnonzero(new)
    ends = np.append(first[1:], len(order))
    every = zip(tag[first].tolist(), bucket[first].tolist(), first.tolist(), ends.tolist(), strict=True)
    for at, pieces in groupby(every, key=itemgetter(0)):
        yield (
            packet.hashtags[at],
            ((start, np.frombuffer(raw[a * size : b * size], ROW)) for _, start, a, b in pieces),
        )


def _hashtag(entry: tuple[tuple[str, int], object]) -> str:
    return entry[0][0]


def _by_bucket(buckets: Iterable[tuple[str, int]]) -> dict[int, list[str]]:
    """The hashtags by bucket."""
    out: dict[int, list[str]] = {}
    for hashtag, bucket in buckets:
        out.setdefault(bucket, []).append(hashtag)
    return out


def _fresh(held: Sequence[Rows], rows: Rows) -> Rows:
    """The rows, each once, that are not held already with the same values.

    The same post with other values stays: which of them counts is for `distinct` to say, by their bytes and
    not by who came first.
    """
    came = rows["post"].tolist()
    posts = set(came)
    if len(posts) == len(came) and all(posts.isdisjoint(part["post"].tolist()) for part in held):
        return rows
    seen = {row.tobytes() for part in held for row in part[np.isin(part["post"], rows["post"])]}
    new = np.zeros(len(rows), bool)
    for i, row in enumerate(rows):
        new[i] = (value := row.tobytes()) not in seen
        seen.add(value)
    return rows[new]


class _Offered(NamedTuple):
    """What becomes of rows that come: those that are kept, how many are not, which held ones go for them."""

    rows: Rows
    left_out: int
    cut: Cut | None = None
    gone: Rows = _NO_ROWS


def _sampled(tag: TagState | Away, rows: Rows, start_ms: int, end_ms: int) -> tuple[Rows, float]:
    """The rows of a span, distinct, of the accounts that all its buckets keep; and these accounts' share.

    One limit for all buckets, or accounts would be torn apart.
    """
    limits = [at_most for bucket, at_most in tag.limits.items() if start_ms <= bucket < end_ms]
    if not limits:
        return distinct(rows), 1.0
    lowest = min(limits)
    rows = taken(rows, below(rows["account"], lowest))  # no name for the others: of such windows these are MB
    return distinct(rows), share_below(lowest)


def _group(tag: TagState, rows: Rows) -> Texts:
    texts = rows["text"]
    prints, posts = tallied(texts[(rows["kind"] != Kind.REPOST) & (texts != 0)])
    return tag.derive().index.texts(prints, posts) if len(prints) else Texts.none()
