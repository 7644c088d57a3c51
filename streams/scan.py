"""`floodmark scan`: an archive through the same functions as the live pipeline, in one process or several."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from detectors.baseline import Baseline
from detectors.hour import Sums
from streams import archive, clock
from streams.clock import iso
from streams.monitor import Rules
from streams.output import latest
from streams.packets import Packet, pack
from streams.posts import Post, not_ahead
from streams.scan_jobs import Jobs
from streams.scan_output import (
    ACCOUNTS,
    ALERTS,
    ASSESSMENTS,
    POSTS,
    REJECTS,
    REPORT,
    SUFFIX,
    Files,
    publish,
    publish_rejects,
)
from streams.scan_part import SOURCE, Found, Scanner, Told

__all__ = [
    "ACCOUNTS", "ALERTS", "ASSESSMENTS", "POSTS", "REJECTS", "REPORT",
    "NothingReadableError", "Result", "Totals", "scan",
]  # fmt: skip

BATCH_RECORDS: Final = 1_000


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
    accounts: set[str] = field(default_factory=set)
    hashtags: set[str] = field(default_factory=set)
    first_ms: int | None = None
    last_ms: int | None = None
    found: Found = field(default_factory=Found)

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
            "windows": self.found.windows,
            "rejects": self.rejects,
            "sampled": len(self.found.sampled),
            "left_out": self.found.left_out,
            "passed_over": self.found.passed_over,
            "starts_at": None if self.first_ms is None else iso(self.first_ms),
            "ends_at": None if self.last_ms is None else iso(self.last_ms),
        }


@dataclass(frozen=True)
class Result:
    """What a scan found: alerts as their JSON lines, first fired first."""

    alerts: tuple[bytes, ...]
    totals: Totals
    rejects_by_reason: Mapping[str, int]

    @property
    def learnt(self) -> Sums:
        """What all hours were like, the last one as far as the archive goes."""
        return self.totals.found.learnt

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
    jobs: int = 1,
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
    jobs : int
        Processes that assess, each its share of the hashtags, while this one reads; with 1 this one does all.
        What is written is the same; with several it is there when all is done, not as it comes.

    Raises
    ------
    archive.Unreadable
        If a file cannot be used.
    NothingReadableError
        If none of them holds a post.
    JobEndedError
        If one of several processes ended before it was done.
    """
    out.mkdir(parents=True, exist_ok=True)
    prior = baseline or Baseline.prior()
    for spool in (False, True):
        try:
            with ExitStack() as exits:
                files = exits.enter_context(Files(out))
                rejects = exits.enter_context(archive.Rejects(out / (REJECTS + SUFFIX)))
                scanners: _Scanners
                if jobs == 1:
                    scanners = _Alone(Scanner(rules, prior, files.put, told))
                else:
                    scanners = exits.enter_context(Jobs(jobs, out, rules, prior, files, told))
                records = archive.ordered(paths, format, rules.lateness_ms, spool=spool, progress=progress)
                totals = Totals(files=tuple(paths))
                _read(records, rules, totals, scanners, rejects, posts)
                totals.found = scanners.finish()
                lines = latest(totals.found.alerts.values())
                files.alerts(lines)
                totals.rejects = rejects.counts.total()
                if not totals.posts:
                    raise NothingReadableError(_nothing(paths, rejects.counts))
        except archive.Disorder as disorder:
            if restarted is not None:
                restarted(str(disorder))
            continue
        except NothingReadableError:
            publish_rejects(out)
            raise
        except BaseException:  # an interrupted scan, too, leaves nothing that looks like a result
            (out / (REJECTS + SUFFIX)).unlink(missing_ok=True)
            raise
        publish(out)
        return Result(lines, totals, dict(rejects.counts))
    raise AssertionError("a spooled archive is in order")


class _Scanners(Protocol):
    """Whoever scans all hashtags among them."""

    @property
    def count(self) -> int:
        """Into how many partitions posts are dealt."""
        ...

    def take(self, packets: Sequence[Packet]) -> None:
        """Scan what comes next; one packet for each partition."""
        ...

    def finish(self) -> Found:
        """Write what is left, once the last packets said that nothing more comes."""
        ...


class _Alone:
    """The one scanner of all hashtags, in this process."""

    count: Final = 1

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner

    def take(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            self._scanner.take(packet)

    def finish(self) -> Found:
        return self._scanner.finish(self._scanner.last_ms)


def _read(
    records: Iterator[archive.Record],
    rules: Rules,
    totals: Totals,
    scanners: _Scanners,
    rejects: archive.Rejects,
    counted: Callable[[int], None] | None,
) -> None:
    """Give the scanners all posts, and then the word that nothing more comes."""
    in_time = partial(_in_time, clock.now_ms() + rules.max_ahead_ms)
    offset = 0
    ended = False
    while not ended:
        batch = list(islice(records, BATCH_RECORDS))
        ended = not batch
        start, posts = offset, list[tuple[int, Post]]()
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
        scanners.take(pack(posts, SOURCE, start, offset, scanners.count, ended=ended))


def _in_time(latest_ms: int, record: archive.Record) -> archive.Record:
    """A record in which a post dated after `latest_ms` is an invalid one, as live."""
    if record.time_ms is None or record.time_ms <= latest_ms:
        return record
    return msgspec.structs.replace(
        record, posts=[not_ahead(post, latest_ms, record.payload) for post in record.posts]
    )


def _nothing(paths: Sequence[str], rejects: Counter[str]) -> str:
    named = ", ".join(paths)
    if not rejects:
        return f"{named}: there is no post in it; give an archive that holds some, see docs/formats.md"
    why = ", ".join(f"{reason} ({count:,})" for reason, count in rejects.most_common(3))
    return f"{named}: no post could be read: {why}; each is in {REJECTS} with its reason, see docs/formats.md"
