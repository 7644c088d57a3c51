"""What is sent while servers and workers are killed: an archive as a replay's messages, with its scan."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.truth import Truth, expected
from streams import archive, reference_case, replay
from streams.archive import Record
from streams.pipeline import Message
from streams.scan import ALERTS, scan
from streams.sending import Headers
from streams.settings import Settings

CAMPAIGN: Final = "ira_islamkills_2016-03-22.csv"
CASES: Final = Path(__file__).parent.parent.parent / "shared" / "cases"

POSTS_PER_MESSAGE: Final = 10
"""Fewer than a replay sends: more offsets, and so more places at which to be cut off."""

DOUBLED_SHARE: Final = 0.05
DOUBLED_WITHIN: Final = 500
"""A post that is sent twice comes again within so many posts."""

BROKEN_EVERY: Final = 200


class Sent(NamedTuple):
    """One message for the topic `posts`."""

    value: bytes
    headers: Headers
    partition: int


@dataclass(frozen=True)
class Archive:
    """Posts, and what `scan` says of them.

    Attributes
    ----------
    alerts : tuple of bytes
        The lines of `scan`'s alerts.jsonl.
    records : tuple of Record
        In the order of a replay.
    """

    name: str
    posts: int
    alerts: tuple[bytes, ...]
    records: tuple[Record, ...]
    settings: Settings

    @cached_property
    def truth(self) -> Truth:
        """What there must be when every post is sent once and no message comes twice."""
        logs: list[list[Message]] = [[] for _ in range(self.settings.partitions)]
        for sent in _messages(self.records, self.settings.partitions):
            log = logs[sent.partition]
            log.append(Message(len(log), sent.value, dict(sent.headers)))
        return expected(logs, self.settings)


@dataclass(frozen=True)
class Case:
    """An archive and the messages it is sent as.

    Attributes
    ----------
    messages : tuple of Sent
        In the order of a replay, its punctuation at the end.
    doubled : int
        How many posts are sent twice.
    """

    archive: Archive
    messages: tuple[Sent, ...]
    doubled: int


def rebuilt(folder: Path, seed: int, scale: float) -> Path:
    """Write the rebuilt reference case, and among its posts some that nobody can read."""
    path, _ = reference_case.write(folder, seed=seed, scale=scale)
    lines = path.read_bytes().splitlines(keepends=True)
    with path.open("wb") as out:
        for number, line in enumerate(lines, 1):
            out.write(line)
            if number % BROKEN_EVERY == 0:
                out.write(line[: len(line) // 2] + b"\n")
    return path


def campaign() -> Path | None:
    """The real campaign, if the folder of real cases is here."""
    path = Path(os.environ.get("FLOODMARK_CASES", CASES)) / "campaigns" / CAMPAIGN
    return path if path.is_file() else None


def read(name: str, path: Path, settings: Settings, folder: Path) -> Archive:
    """Read an archive and scan it into `folder`."""
    folder.mkdir(parents=True)
    posts = scan([str(path)], folder, settings.rules()).totals.posts
    alerts = tuple((folder / ALERTS).read_bytes().splitlines())
    records = archive.ordered([str(path)], None, settings.lateness_s * 1_000, spool=True)
    return Archive(name, posts, alerts, tuple(records), settings)


def once(of: Archive) -> Case:
    """Every post sent once."""
    return Case(of, _messages(of.records, of.settings.partitions), 0)


def twice(of: Archive, rng: random.Random) -> Case:
    """Some of the posts sent twice."""
    records = list(with_doubles(of.records, rng))
    return Case(of, _messages(records, of.settings.partitions), len(records) - len(of.records))


def with_doubles(records: Iterable[Record], rng: random.Random) -> Iterator[Record]:
    """Every record, and some of them once more a while later."""
    later: dict[int, list[Record]] = {}
    for number, record in enumerate(records):
        yield record
        if rng.random() < DOUBLED_SHARE:
            later.setdefault(number + rng.randint(1, DOUBLED_WITHIN), []).append(record)
        yield from later.pop(number, [])
    for number in sorted(later):
        yield from later[number]


@dataclass
class _Collected:
    """A `sending.Sink` that keeps what is sent."""

    messages: list[Sent]

    def send(self, value: bytes, headers: Headers, partition: int) -> None:
        self.messages.append(Sent(value, headers, partition))


def _messages(records: Sequence[Record], partitions: int) -> tuple[Sent, ...]:
    sink = _Collected([])
    replay.send(records, sink, partitions, posts_per_message=POSTS_PER_MESSAGE)
    return tuple(sink.messages)


def carried(case: Case, logs: Sequence[Sequence[Message]]) -> list[str]:
    """What is wrong with the topic `posts`: a broker keeps what it took, in order.

    A producer that did not hear of it sends messages again; that alone is allowed.
    """
    said = []
    for partition, log in enumerate(logs):
        sent = dict.fromkeys(one.value for one in case.messages if one.partition == partition)
        kept = dict.fromkeys(message.value for message in log)
        if list(kept) != list(sent):
            missing = len(sent.keys() - kept.keys())
            said.append(
                f"partition {partition} of posts lacks {missing} of {len(sent)} messages, or their order"
            )
    return said
