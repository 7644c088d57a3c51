"""What a deployment must hold and have told once all posts are counted, and in what it differs.

The truth is the fold of the messages in this process, without broker, store or worker: one `Monitor` for each
destination partition, fed by `pipeline.ingest`. `benchmarks.found` reads what a deployment has.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from detectors.alert import Alert
from streams import baseline_file, dead, periods, pipeline
from streams.clock import iso
from streams.dead import Place
from streams.monitor import Monitor, Outcome, PartitionState, Rules, TagOutcome, lockstep
from streams.output import alert_json, latest
from streams.periods import Closing
from streams.pipeline import DeadLetter, Message
from streams.redis_keys import ReaderKeys
from streams.redis_readers import readable
from streams.settings import Settings

BATCH_MESSAGES: Final = 7
SHOWN_CHARS: Final = 160

READ: Final = ReaderKeys("fm")
"""What the keys that readers see are called here, whatever the prefix of a deployment is."""

OFFSETS: Final = ("mark", "clock", "dead letter")
"""Kinds of facts that name offsets, or follow from how the posts were dealt out over messages."""

_STRINGS: Final = ("text", "handle", "client", "domain", "account", "post")


class Fact(NamedTuple):
    """What a value is about."""

    kind: str
    where: str


class Told(NamedTuple):
    """One message about an alert; `hop_ms` is None where the reader is not told it."""

    hop_ms: int | None
    reason: str
    value: bytes


@dataclass(frozen=True)
class Truth:
    """What is held and what was told at one moment.

    Attributes
    ----------
    facts : by what they are about
        Marks, source clocks, last hops, late hashtags, rows that a later hop can see, their strings, open
        alerts; what readers are shown; completed periods; dead letters.
    news : by where and about whom they were told
        In order.
    """

    facts: Mapping[Fact, Any]
    news: Mapping[str, tuple[Told, ...]]

    def size(self) -> int:
        """How many facts, each row counted for itself."""
        return sum(len(value) if fact.kind == "rows" else 1 for fact, value in self.facts.items())

    def alerts(self) -> tuple[bytes, ...]:
        """The last of what was told of each alert on the topic, in the order of `scan`."""
        topic = [told.value for place, news in self.news.items() if place.startswith(TOPIC) for told in news]
        return latest(topic)


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it must be, for a person.

    Attributes
    ----------
    kind : str
        The kind of a fact, or "doubled news", "lost news", "invented news", "order of news", "final alert".
    """

    kind: str
    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind}, {self.where}: expected {self.expected}, found {self.found}"


TOPIC: Final = "topic"
STREAM: Final = "stream"
PERIODS: Final = "periods"
CLOSED: Final = "closed"
"""The reason of what is told of a period that held something. How often it is said that empty ones are closed
depends on how many of them a batch of posts passed."""


def on_topic(partition: int) -> str:
    """Where the news of a partition are on the topic `alerts`."""
    return f"{TOPIC}, partition {partition}"


def in_stream(hashtag: str) -> str:
    """Where the news of a hashtag are in the stream of Redis, whose entries name no partition."""
    return f"{STREAM}, #{hashtag}"


def of_periods(partition: int) -> str:
    """Where the completed periods of a partition are on the topic `baseline`."""
    return f"{PERIODS}, partition {partition}"


def closed(closing: Closing) -> dict[Fact, Any]:
    """What a partition says of a period, as a fact; a later one of the same key takes its place."""
    where = f"partition {closing.partition}"
    if closing.empty:
        return {}
    return {Fact("period", f"{where}, {iso(closing.end_ms)}"): periods.encode(closing)}


# ------------------------------------------------------------------------------------------------ expected


def expected(messages: Sequence[Sequence[Message]], settings: Settings) -> Truth:
    """What must be there once these messages of the topic `posts` are counted.

    Parameters
    ----------
    messages : by source partition, by rising offset
    """
    fold = _Fold(settings)
    waiting = [deque(of_source) for of_source in messages]
    while any(waiting):
        for source, queue in enumerate(waiting):
            batch = [queue.popleft() for _ in range(min(BATCH_MESSAGES, len(queue)))]
            if batch:
                fold.take(source, batch)
    return fold.truth()


@dataclass
class _Shown:
    """What readers are shown of the hashtags of one partition."""

    last: dict[str, TagOutcome] = field(default_factory=dict)
    scores: dict[str, tuple[int, float]] = field(default_factory=dict)  # hashtag -> hop, score

    def take(self, outcome: Outcome, window_ms: int) -> None:
        for tag in outcome.tags:
            name, score = tag.assessment.hashtag, round(tag.assessment.score, 2)
            # The monitor's own strings go on changing.
            window = replace(tag.window, strings=dict(tag.window.strings))
            self.last[name] = replace(tag, window=window)
            self.scores[name] = outcome.hop_ms, score
        oldest_ms = outcome.hop_ms - window_ms
        kept = {name: one for name, one in self.scores.items() if one[1] > 0 and one[0] >= oldest_ms}
        self.scores = kept


class _Fold:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = settings.rules()
        partitions = range(settings.partitions)
        told = self._rules.periods(partitions)
        baseline = baseline_file.of(settings)
        self._monitors = [Monitor(p, partitions, self._rules, baseline, periods=told) for p in partitions]
        self._closed: dict[Fact, Any] = {}
        self._shown = [_Shown() for _ in partitions]
        self._news: dict[str, list[Told]] = defaultdict(list)
        self._alerts: dict[str, bytes] = {}
        self._letters: dict[Fact, bytes] = {}

    def take(self, source: int, batch: Sequence[Message]) -> None:
        ahead_ms = self._settings.max_ahead_s * 1_000
        ingested = pipeline.ingest(batch, source, batch[0].offset, len(self._monitors), ahead_ms)
        for letter in ingested.dead:
            self._bury(source, letter)
        for packet, monitor in zip(ingested.packets, self._monitors, strict=True):
            monitor.apply(monitor.plan(packet))
        for monitor, outcome in lockstep(self._monitors):
            self._hop(monitor.partition, outcome)

    def _bury(self, source: int, letter: DeadLetter) -> None:
        place = Place(self._settings.posts_topic, source, letter.offset, letter.line, letter.part)
        out = dead.written(place, letter.invalid, letter.format)
        self._letters[Fact("dead letter", out.key.decode())] = out.value

    def _hop(self, partition: int, outcome: Outcome) -> None:
        for tag in outcome.tags:
            if tag.alert is not None and tag.reason.is_news:
                self._tell(partition, outcome.hop_ms, tag.alert, tag.reason.value)
        if outcome.closing is not None:
            told = closed(outcome.closing)
            if not outcome.closing.empty:
                self._news[of_periods(partition)].append(
                    Told(outcome.hop_ms, CLOSED, next(iter(told.values())))
                )
            self._closed |= told
        self._shown[partition].take(outcome, self._rules.window_ms)

    def _tell(self, partition: int, hop_ms: int, alert: Alert, reason: str) -> None:
        value = alert_json(alert)
        self._news[on_topic(partition)].append(Told(hop_ms, reason, value))
        self._news[in_stream(alert.hashtag)].append(Told(None, reason, value))
        self._alerts[alert.id] = value

    def truth(self) -> Truth:
        facts: dict[Fact, Any] = {**self._letters, **self._closed}
        for monitor, shown in zip(self._monitors, self._shown, strict=True):
            facts |= held(monitor.partition, monitor.state, self._rules)
            facts |= {Fact("score", name): score for name, (_, score) in shown.scores.items()}
            for name, tag in shown.last.items():
                facts |= _summary(name, tag)
        facts |= {Fact("alert", READ.alert(name)): value for name, value in self._alerts.items()}
        return Truth(facts, {place: tuple(news) for place, news in self._news.items()})


def held(partition: int, state: PartitionState, rules: Rules) -> dict[Fact, Any]:
    """The facts of one partition's state."""
    here = f"partition {partition}"
    facts: dict[Fact, Any] = {Fact("hop", here): state.assessed_ms}
    for source, mark in state.marks.items():
        facts[Fact("mark", f"{here}, source {source}")] = mark
    for source, clock in state.clocks.items():
        # How long a source was silent is a matter of the wall clock.
        facts[Fact("clock", f"{here}, source {source}")] = structs.replace(clock, idle=False)
    for hashtag, hop_ms in state.late.items():
        facts[Fact("late hashtag", f"{here}, #{hashtag}")] = hop_ms
    for hashtag, tag in state.tags.items():
        facts |= _of_tag(f"{here}, #{hashtag}", tag.buckets, tag.strings, _visible_ms(state, rules))
        if tag.alert is not None:
            facts[Fact("open alert", f"{here}, #{hashtag}")] = msgspec.json.encode(tag.alert)
    return facts


def _visible_ms(state: PartitionState, rules: Rules) -> int:
    """The first bucket that a later hop can see."""
    return 0 if state.assessed_ms is None else rules.oldest_ms(state.assessed_ms)


def _of_tag(
    where: str, buckets: Mapping[int, Sequence[Any]], strings: Mapping[int, str], visible_ms: int
) -> Iterator[tuple[Fact, Any]]:
    for bucket, parts in buckets.items():
        if bucket < visible_ms:
            continue
        rows = np.concatenate(parts)
        yield Fact("rows", f"{where}, {iso(bucket)}"), tuple(sorted(row.tobytes() for row in rows))
        for key in np.unique(np.concatenate([rows[name] for name in _STRINGS])).tolist():
            if key in strings:
                yield Fact("string", f"{where}, {key:016x}"), strings[key]


def _summary(hashtag: str, tag: TagOutcome) -> dict[Fact, Any]:
    contents = readable(tag)
    by_part: dict[str, Mapping[str, Any]] = {**contents.hashes, **contents.rankings}
    return {
        Fact("summary", READ.tag(hashtag, part)): dict(values) for part, values in by_part.items() if values
    }


# --------------------------------------------------------------------------------------------- differences


def differences(
    expected: Truth, found: Truth, scanned: Iterable[bytes] | None = None, without: Sequence[str] = ()
) -> list[Difference]:
    """Everything that is not as it must be.

    Parameters
    ----------
    scanned : JSON lines, optional
        The alerts of `scan`, which the last of what was told of each alert must equal byte for byte.
    without : kinds of facts that are not compared
    """
    out = [
        Difference(*fact, *_both(expected.facts.get(fact), found.facts.get(fact)))
        for fact in sorted({*expected.facts, *found.facts})
        if fact.kind not in without and expected.facts.get(fact) != found.facts.get(fact)
    ]
    for place in sorted({*expected.news, *found.news}):
        out += _news(place, expected.news.get(place, ()), found.news.get(place, ()))
    if scanned is not None:
        out += _final(tuple(scanned), found.alerts())
    return out


def _news(place: str, expected: Sequence[Told], found: Sequence[Told]) -> Iterator[Difference]:
    wanted, there = Counter(expected), Counter(found)
    for told, count in (wanted - there).items():
        yield Difference("lost news", place, f"{wanted[told]} of {_named(told)}", f"{wanted[told] - count}")
    for told in there - wanted:
        kind = "doubled news" if told in wanted else "invented news"
        yield Difference(kind, place, f"{wanted[told]} of {_named(told)}", f"{there[told]}")
    common = [told for told in dict.fromkeys(found) if told in wanted]
    if common != [told for told in expected if told in there]:
        order = [", ".join(_named(told) for told in news) for news in (expected, common)]
        yield Difference("order of news", place, *order)


def _final(scanned: Sequence[bytes], told: Sequence[bytes]) -> Iterator[Difference]:
    for number in range(max(len(scanned), len(told))):
        of_scan = scanned[number] if number < len(scanned) else None
        live = told[number] if number < len(told) else None
        if of_scan != live:
            yield Difference("final alert", f"number {number + 1}", *_both(of_scan, live))


def _named(told: Told) -> str:
    if told.reason == CLOSED:
        return f"the period that ends at {iso(told.hop_ms or 0)}"
    fields = msgspec.json.decode(told.value)
    return f"{told.reason} of {fields['id']} at {fields['updated_at']}"


def _both(expected: Any, found: Any) -> tuple[str, str]:
    """Both values, each as short as shows the difference."""
    if isinstance(expected, tuple) and isinstance(found, tuple):
        wanted, there = Counter(expected), Counter(found)
        missing, more = (wanted - there).total(), (there - wanted).total()
        return f"{len(expected)} rows", f"{len(found)} rows, {missing} missing, {more} too many"
    if isinstance(expected, dict) and isinstance(found, dict):
        names = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
        expected, found = ({name: side.get(name) for name in names} for side in (expected, found))
    return _short(expected, found), _short(found, expected)


def _short(value: Any, other: Any) -> str:
    """A value, from shortly before where it begins to differ from the other."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"{len(value)} rows"
    shown, beside = repr(value), repr(other)
    same = next((i for i, (a, b) in enumerate(zip(shown, beside, strict=False)) if a != b), 0)
    begin = max(0, same - SHOWN_CHARS // 4)
    cut = shown[begin : begin + SHOWN_CHARS]
    return ("…" if begin else "") + cut + ("…" if begin + SHOWN_CHARS < len(shown) else "")
