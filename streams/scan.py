"""`floodmark scan`: an archive through the same functions as the live pipeline, in one process."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import msgspec

from detectors.alert import Alert, Reason, State
from detectors.baseline import Baseline
from detectors.hour import Sums
from detectors.table import DAY_MS, HOUR_MS
from streams import archive, clock
from streams.clock import iso
from streams.ledger import Ledger
from streams.monitor import Evicted, Monitor, Outcome, Rules
from streams.output import alert_json, assessment_json, latest
from streams.packets import pack
from streams.posts import Post, not_ahead

BATCH_RECORDS: Final = 1_000
SUFFIX: Final = ".part"
"""Files carry this until the scan is done: an interrupted scan leaves nothing that looks complete."""

ALERTS, ASSESSMENTS, POSTS, ACCOUNTS = "alerts.jsonl", "assessments.jsonl", "posts.csv", "accounts.csv"
REJECTS, REPORT = "rejects.jsonl", "report.html"

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Told = Callable[[Alert, Reason], None]


class NothingReadableError(ValueError):
    """Not one post could be read from what was given."""


@dataclass
class Totals:
    """What a scan has read so far."""

    files: tuple[str, ...] = ()
    posts: int = 0
    untagged: int = 0
    controls: int = 0
    rejects: int = 0
    late: int = 0
    left_out: int = 0
    windows: int = 0
    accounts: set[str] = field(default_factory=set)
    hashtags: set[str] = field(default_factory=set)
    sampled: set[str] = field(default_factory=set)
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, post: Post) -> None:
        """Count one post."""
        self.posts += 1
        self.untagged += not post.hashtags
        self.accounts.add(post.account_id)
        self.hashtags.update(post.hashtags)
        self.first_ms = post.time_ms if self.first_ms is None else min(self.first_ms, post.time_ms)
        self.last_ms = post.time_ms if self.last_ms is None else max(self.last_ms, post.time_ms)

    def shown(self) -> dict[str, Any]:
        """As the report and the summary want it."""
        return {
            "files": [os.path.basename(name) for name in self.files],
            "posts": self.posts,
            "accounts": len(self.accounts),
            "hashtags": len(self.hashtags),
            "windows": self.windows,
            "rejects": self.rejects,
            "sampled": len(self.sampled),
            "left_out": self.left_out,
            "starts_at": None if self.first_ms is None else iso(self.first_ms),
            "ends_at": None if self.last_ms is None else iso(self.last_ms),
        }


@dataclass(frozen=True)
class Result:
    """What a scan found: alerts as their JSON lines, first fired first."""

    alerts: tuple[bytes, ...]
    totals: Totals
    rejects_by_reason: Mapping[str, int]
    learnt: Sums
    """What all hours were like, the last one as far as the archive goes."""

    def parsed(self) -> list[dict[str, Any]]:
        """The alerts as the report and the summary want them."""
        return [msgspec.json.decode(line) for line in self.alerts]


def scan(
    paths: Sequence[str],
    out: Path,
    rules: Rules,
    *,
    format: str | None = None,
    baseline: Baseline | None = None,
    progress: archive.Progress | None = None,
    posts: Callable[[int], None] | None = None,
    told: Told | None = None,
    restarted: Callable[[str], None] | None = None,
) -> Result:
    """Analyse archives and write every output file but the report.

    Parameters
    ----------
    paths : files, "-" is standard input
    out : folder, made if it is not there
    progress : called with the bytes consumed
    posts : called with the posts read so far
    told : called as an alert fires, grows or ends
    restarted : called with the reason when the archive turns out not to be in order and is sorted first

    Raises
    ------
    archive.Unreadable
        If a file cannot be used.
    NothingReadableError
        If none of them holds a post.
    """
    out.mkdir(parents=True, exist_ok=True)
    for spool in (False, True):
        try:
            with _Files(out) as files, archive.Rejects(out / (REJECTS + SUFFIX)) as rejects:
                records = archive.ordered(paths, format, rules.lateness_ms, spool=spool, progress=progress)
                result = _run(
                    records, tuple(paths), rules, baseline or Baseline.prior(), files, rejects, told, posts
                )
        except archive.Disorder as disorder:
            if restarted is not None:
                restarted(str(disorder))
            continue
        except NothingReadableError:
            _publish_rejects(out)
            raise
        except BaseException:  # an interrupted scan, too, leaves nothing that looks like a result
            (out / (REJECTS + SUFFIX)).unlink(missing_ok=True)
            raise
        _publish(out)
        return result
    raise AssertionError("a spooled archive is in order")


def _run(
    records: Iterator[archive.Record],
    paths: tuple[str, ...],
    rules: Rules,
    baseline: Baseline,
    files: _Files,
    rejects: archive.Rejects,
    told: Told | None,
    counted: Callable[[int], None] | None,
) -> Result:
    totals = Totals(files=paths)
    in_time = partial(_in_time, clock.now_ms() + rules.max_ahead_ms)
    monitor = Monitor(0, (0,), rules, baseline)
    ledger = Ledger()
    alerts: dict[str, bytes] = {}
    offset = 0
    ended = False
    learnt = Sums()
    outcome = Outcome(0, ())
    while not ended:
        batch = list(islice(records, BATCH_RECORDS))
        ended = not batch
        posts = []
        for record in map(in_time, batch):
            rejects.add(record)
            for decoded in record.posts:
                if isinstance(decoded, Post):
                    totals.add(decoded)
                    posts.append((offset, decoded))
                offset += 1
        offset += ended  # the end has an offset, as on a topic
        if counted is not None:
            counted(totals.posts)
        (packet,) = pack(posts, 0, monitor.state.marks.get(0, 0), offset, 1, ended=ended)
        delta = monitor.plan(packet)
        totals.late += delta.late_rows
        totals.left_out += delta.left_out_rows + delta.cut_rows
        totals.sampled.update(hashtag for hashtag, _ in delta.cuts)
        monitor.apply(delta)
        while (hop_ms := monitor.next_hop()) is not None:
            outcome = monitor.assess(hop_ms)
            totals.windows += len(outcome.tags)
            if outcome.closing is not None:
                learnt = Sums.joined((learnt, outcome.closing.sums))
            _tell(outcome, files, ledger, alerts, told)
            files.evicted(monitor.close(outcome), ledger)
    unfinished = monitor.hour((outcome.hop_ms // HOUR_MS + 1) * HOUR_MS, outcome.tags)
    learnt = Sums.joined((learnt, unfinished.sums))
    files.evicted(monitor.evict(), ledger)
    files.accounts(ledger)
    lines = latest(alerts.values())
    files.lines(ALERTS, lines)
    totals.rejects = rejects.counts.total()
    if not totals.posts:
        raise NothingReadableError(_nothing(paths, rejects.counts))
    return Result(lines, totals, dict(rejects.counts), learnt)


def _in_time(latest_ms: int, record: archive.Record) -> archive.Record:
    """A record in which a post dated after `latest_ms` is an invalid one, as live."""
    if record.time_ms is None or record.time_ms <= latest_ms:
        return record
    return replace(record, posts=[not_ahead(post, latest_ms, record.payload) for post in record.posts])


def _nothing(paths: Sequence[str], rejects: Counter[str]) -> str:
    named = ", ".join(paths)
    if not rejects:
        return f"{named}: there is no post in it; give an archive that holds some, see docs/formats.md"
    why = ", ".join(f"{reason} ({count:,})" for reason, count in rejects.most_common(3))
    return f"{named}: no post could be read: {why}; each is in {REJECTS} with its reason, see docs/formats.md"


def _tell(
    outcome: Outcome, files: _Files, ledger: Ledger, alerts: dict[str, bytes], told: Told | None
) -> None:
    for tag in outcome.tags:
        files.lines(ASSESSMENTS, (assessment_json(tag.assessment),))
        if tag.alert is None or tag.alert.state is State.PENDING:
            continue
        if tag.assessment.kind is not None:
            ledger.mark(tag.assessment)
        if tag.reason.is_news:
            alerts[tag.alert.id] = alert_json(tag.alert)
            if told is not None:
                told(tag.alert, tag.reason)


def _publish(out: Path) -> None:
    for name in (ALERTS, ASSESSMENTS, POSTS, ACCOUNTS):
        os.replace(out / (name + SUFFIX), out / name)
    _publish_rejects(out)


def _publish_rejects(out: Path) -> None:
    (out / REJECTS).unlink(missing_ok=True)
    if (out / (REJECTS + SUFFIX)).exists():
        os.replace(out / (REJECTS + SUFFIX), out / REJECTS)


class _Files:
    """The output files while they are written; on the way out of an error they are removed."""

    def __init__(self, out: Path) -> None:
        self._paths = {name: out / (name + SUFFIX) for name in (ALERTS, ASSESSMENTS, POSTS, ACCOUNTS)}
        self._open: dict[str, IO[str]] = {}

    def __enter__(self) -> _Files:
        for name, path in self._paths.items():
            self._open[name] = path.open("w", encoding="utf-8", newline="")
        self._posts = csv.writer(self._open[POSTS], lineterminator="\n")
        self._posts.writerow(("post_id", "hashtag", "coordinated", "text_group", "reason"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()
        if kind is not None:
            for path in self._paths.values():
                path.unlink(missing_ok=True)

    def lines(self, name: str, lines: Sequence[bytes]) -> None:
        """Append JSON lines."""
        for line in lines:
            self._open[name].write(line.decode() + "\n")

    def evicted(self, left: Sequence[Evicted], ledger: Ledger) -> None:
        """Write posts that no later window holds; what is said of them is final."""
        for tag in left:
            marks = ledger.settle(tag)
            for key, text, mark in zip(
                tag.rows["post"].tolist(), tag.rows["text"].tolist(), marks, strict=True
            ):
                self._posts.writerow(
                    (
                        _cell(tag.strings.get(key, str(key))),
                        _cell(tag.hashtag),
                        int(mark is not None),
                        ledger.group(tag.hashtag, text),
                        "" if mark is None else mark.reason,
                    )
                )

    def accounts(self, ledger: Ledger) -> None:
        """Write every account of every hashtag, coordinated ones and busy ones first."""
        writer = csv.writer(self._open[ACCOUNTS], lineterminator="\n")
        writer.writerow(("account_id", "handle", "hashtag", "coordinated", "posts", "score", "created_at"))
        for hashtag, account in ledger.accounts():
            created = "" if account.created_day is None else iso(account.created_day * DAY_MS)
            writer.writerow(
                (
                    _cell(account.id),
                    _cell(account.handle),
                    _cell(hashtag),
                    int(account.score is not None),
                    account.posts,
                    "" if account.score is None else f"{account.score:.3f}",
                    created,
                )
            )


def _cell(text: str) -> str:
    """A stranger's text without control characters, which spreadsheets and terminals obey or choke on."""
    return text if text.isprintable() else _CONTROL.sub(" ", text)
