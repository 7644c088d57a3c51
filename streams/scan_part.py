"""A part of a scan: all hashtags, or those of one partition, from packets to pieces of files."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from detectors.alert import Alert, Reason, State
from detectors.baseline import Baseline
from detectors.hour import Sums
from detectors.table import HOUR_MS
from streams.ledger import Ledger
from streams.monitor import Evicted, Monitor, Outcome, Rules
from streams.output import alert_json, assessment_json
from streams.packets import Packet
from streams.periods import Closing
from streams.scan_output import ACCOUNTS, ASSESSMENTS, POSTS, Place, Put, accounts_text, posts_text

SOURCE: Final = 0
"""A scan reads its archives as one partition of a topic."""

Told = Callable[[Alert, Reason], None]


@dataclass
class Found:
    """What a part of a scan found, apart from its files.

    Attributes
    ----------
    alerts : by id, the last JSON line of each
    windows : int
        Windows assessed.
    late, left_out, passed_over : int
        Rows that came after their own hop; those that full buckets left out; those of small hashtags of
        which there were too many.
    sampled : set of hashtags
    learnt : Sums
        What all its hours were like, the last one as far as the archive goes.
    """

    alerts: dict[str, bytes] = field(default_factory=dict)
    windows: int = 0
    late: int = 0
    left_out: int = 0
    passed_over: int = 0
    sampled: set[str] = field(default_factory=set)
    learnt: Sums = field(default_factory=Sums)

    @classmethod
    def joined(cls, parts: Sequence[Found]) -> Found:
        """What all parts found."""
        return cls(
            alerts={name: line for part in parts for name, line in part.alerts.items()},
            windows=sum(part.windows for part in parts),
            late=sum(part.late for part in parts),
            left_out=sum(part.left_out for part in parts),
            passed_over=sum(part.passed_over for part in parts),
            sampled={hashtag for part in parts for hashtag in part.sampled},
            learnt=Sums.joined([part.learnt for part in parts]),
        )


class _Pieces:
    """Texts of hashtags, as bytes behind one another: there may be one for every post."""

    def __init__(self) -> None:
        self._hashtags: list[str] = []
        self._ends = array("Q")
        self._texts = bytearray()

    def add(self, hashtag: str, text: str) -> None:
        self._texts += text.encode()
        self._ends.append(len(self._texts))
        self._hashtags.append(hashtag)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        start = 0
        for hashtag, end in zip(self._hashtags, self._ends, strict=True):
            yield hashtag, self._texts[start:end].decode()
            start = end


class Scanner:
    """Scans the hashtags of one partition.

    Parameters
    ----------
    rules : Rules
    baseline : Baseline
    put : takes what is to be written, see `scan_output.Put`
    told : called as an alert fires, grows or ends
    partition, partitions : int
    say : called with every completed period, for the scanners of the other partitions to hear
    """

    def __init__(
        self,
        rules: Rules,
        baseline: Baseline,
        put: Put,
        told: Told | None = None,
        partition: int = 0,
        partitions: int = 1,
        say: Callable[[Closing], None] | None = None,
    ) -> None:
        self._periods = rules.periods(range(partitions)) if partitions > 1 else None
        self._monitor = Monitor(partition, (SOURCE,), rules, baseline, periods=self._periods)
        self._put = put
        self._told = told
        self._say = say
        self._waiting: deque[Packet] = deque()
        self._ledger = Ledger()
        self._last = Outcome(0, ())
        self._found = Found()
        self._alerts: dict[str, Alert] = {}

    @property
    def last_ms(self) -> int:
        """The last hop so far."""
        return self._last.hop_ms

    @property
    def done(self) -> bool:
        """Whether everything was assessed that will be."""
        return self._monitor.ended and not self._waiting and not self._monitor.held

    def take(self, packet: Packet) -> None:
        """Count a packet and assess the hops it allows, as soon as none before waits for other scanners."""
        self._waiting.append(packet)
        self._advance()

    def hear(self, closing: Closing) -> None:
        """Take in what another scanner said of a completed period."""
        assert self._periods is not None, "a scanner that is alone has nothing to hear"
        self._periods.add(closing)
        self._advance()
        self._forget()

    def _advance(self) -> None:
        self._hops()
        while self._waiting and not self._monitor.held:
            delta = self._monitor.plan(self._waiting.popleft())
            self._found.late += delta.late_rows
            self._found.left_out += delta.left_out_rows + delta.cut_rows
            self._found.sampled.update(hashtag for hashtag, _ in delta.cuts)
            self._monitor.apply(delta)
            self._hops()

    def _hops(self) -> None:
        while (hop_ms := self._monitor.next_hop()) is not None:
            self._last = Outcome(hop_ms, ())  # the windows before go before the next are made
            self._hop(hop_ms)

    def _hop(self, hop_ms: int) -> None:
        outcome = self._last = self._monitor.assess(hop_ms)
        self._found.windows += len(outcome.tags)
        self._tell(outcome)
        self._leave(self._monitor.close(outcome))
        if outcome.closing is not None:
            self._found.learnt = Sums.joined((self._found.learnt, outcome.closing.sums))
            self._close(outcome.closing)

    def _close(self, closing: Closing) -> None:
        if self._periods is not None:
            self._periods.add(closing)
            self._forget()
        if self._say is not None:
            self._say(closing)

    def _forget(self) -> None:
        """Drop what no hop to come uses."""
        if self._periods is not None and (closed_ms := self._periods.all_closed()) is not None:
            self._periods.forget(min(closed_ms, self.last_ms))

    def _tell(self, outcome: Outcome) -> None:
        for tag in outcome.tags:
            place = outcome.hop_ms, tag.assessment.hashtag
            self._put(ASSESSMENTS, place, assessment_json(tag.assessment).decode() + "\n")
            if tag.alert is None or tag.alert.state is State.PENDING:
                continue
            if tag.assessment.kind is not None:
                self._ledger.mark(tag.assessment)
            if tag.reason.is_news:
                self._alerts[tag.alert.id] = tag.alert
                if self._told is not None:
                    self._told(tag.alert, tag.reason)

    def _leave(self, left: Iterable[Evicted]) -> None:
        held = self._monitor.state.tags
        pieces = list[tuple[Place, str]]()
        for tag in left:
            self._found.passed_over += len(tag.rows) * tag.passed_over
            pieces.append(((tag.left_ms, tag.hashtag), posts_text(tag, self._ledger)))
            if tag.hashtag not in held:
                self._ledger.put_away(tag.hashtag)
        for place, text in sorted(pieces, key=itemgetter(0)):
            self._put(POSTS, place, text)

    def _leave_all(self) -> None:
        """Write of each hashtag the accounts, and then the posts of all by when they left."""
        by_time: dict[int, _Pieces] = {}
        for hashtag in sorted({*self._ledger.hashtags(), *self._monitor.state.tags}):
            for tag in self._monitor.end(hashtag):
                pieces = by_time.setdefault(tag.left_ms, _Pieces())
                pieces.add(hashtag, posts_text(tag, self._ledger))
            self._put(ACCOUNTS, (0, hashtag), accounts_text(hashtag, self._ledger))
        for left_ms, pieces in sorted(by_time.items()):
            for hashtag, text in pieces:
                self._put(POSTS, (left_ms, hashtag), text)

    def finish(self, last_ms: int) -> Found:
        """Write what is left, and say what was found.

        Parameters
        ----------
        last_ms : int
            The last hop of all scanners.
        """
        outcomes = self._last.tags if self._last.hop_ms == last_ms else ()
        unfinished = self._monitor.hour((last_ms // HOUR_MS + 1) * HOUR_MS, outcomes)
        self._found.learnt = Sums.joined((self._found.learnt, unfinished.sums))
        self._found.alerts = {name: alert_json(alert) for name, alert in self._alerts.items()}
        self._leave_all()
        return self._found
