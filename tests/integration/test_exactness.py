"""`scan` = live: for any number of partitions and workers, whatever order and repetition posts come in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import pytest

from benchmarks import found
from detectors.table import HOUR_MS
from streams import archive, formats, live, pipeline, reference_case, replay, scan
from streams.live import Stack
from streams.output import latest
from streams.pipeline import Message
from streams.posts import Post
from streams.sending import Sink

from .apache_kafka import Node
from .running import DEADLINE_S, HOP_S, RULES
from .test_live import Topic, by_hashtag, in_process

LATE_MS = RULES.lateness_ms
DOUBLED = 0.05


@dataclass(frozen=True)
class Way:
    """How an archive reaches the topic."""

    partitions: int
    workers: int = 1
    shuffled: bool = False
    doubled: bool = False
    late: bool = False

    def __str__(self) -> str:
        """As the id of a test."""
        traits = [name for name in ("shuffled", "doubled", "late") if getattr(self, name)]
        return "-".join([f"{self.partitions}p", f"{self.workers}w", *traits])

    def send(self, posts: Sequence[archive.Record], sink: Sink, seed: int = 1) -> None:
        """Begin every partition, send every post in a message of its own, and end every partition."""
        # Not a statistic of anything: any order that is within the lateness will do.
        rng = random.Random(seed)
        ordered = sorted(posts, key=lambda r: (r.time_ms or 0) + self.late * rng.uniform(0, LATE_MS))
        again: list[archive.Record] = []
        for partition in range(self.partitions):
            sink.send(b"", [(pipeline.PUNCTUATION, pipeline.BEGIN)], partition)
        for number, record in enumerate(ordered):
            several = [record, *again] if rng.random() < 0.2 else [record]
            again = again if len(several) == 1 else []
            for one in several:
                partition = rng.randrange(self.partitions) if self.shuffled else number % self.partitions
                headers = [(pipeline.FORMAT, one.format.encode())] if one.format else []
                sink.send(one.payload, headers, partition)
            if self.doubled and rng.random() < DOUBLED:
                again.append(record)
        for partition in range(self.partitions):
            sink.send(b"", [(pipeline.PUNCTUATION, pipeline.END)], partition)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of a flood, copied to two hashtags within half an hour and to one four hours later; talk.

    So alerts of several partitions belong together, and the last hours know the first ones.
    """
    flood = [
        post
        for line in islice(reference_case.generate(seed=1, scale=0.1), 420)
        for post in formats.decode(line, None)
        if isinstance(post, Post)
    ]
    more = [
        msgspec.structs.replace(
            post,
            id=f"{tag}-{post.id}",
            time_ms=post.time_ms + shift,
            hashtags=(tag, *(["everything"] if number % 3 else [])),
        )
        for shift, tag in ((HOUR_MS // 4, "ferry"), (HOUR_MS // 2, "toll"), (4 * HOUR_MS, "pier"))
        for number, post in enumerate(flood)
    ]
    talk = [
        msgspec.structs.replace(
            post, id=f"t-{post.id}", text=f"{post.id} of {post.account_id}", hashtags=("talk",)
        )
        for post in flood[::3]
    ]
    out = tmp_path_factory.mktemp("exactness") / "posts.jsonl"
    posts = sorted((*flood, *more, *talk), key=lambda post: post.time_ms)
    out.write_bytes(b"\n".join(map(formats.encode, posts)))
    return out


@pytest.fixture(scope="module")
def posts(path: Path) -> list[archive.Record]:
    return list(archive.read([str(path)]))


@pytest.fixture(scope="module")
def scanned(path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """The alerts of a scan: three hashtags at least, so that there is something to compare."""
    alerts = scan.scan([str(path)], tmp_path_factory.mktemp("scan"), RULES).alerts
    read = [msgspec.json.decode(alert) for alert in alerts]
    assert len({alert["hashtag"] for alert in read}) >= 4
    assert len({alert["campaign"]["id"] for alert in read}) == 1, "it is one flood"
    assert len({alert["baseline"] for alert in read}) > 1, "some of them were judged by what was learnt"
    return tuple(alerts)


FEW: Final = msgspec.structs.replace(RULES, bucket_rows=20)
"""Rows that a bucket keeps where hashtags are to be sampled: in the flood it gets twice as many."""


@pytest.fixture(scope="module")
def sampled(path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """The alerts of a scan that keeps a few rows of a bucket: most are estimated from a sample."""
    alerts = scan.scan([str(path)], tmp_path_factory.mktemp("sampled"), FEW).alerts
    rates = {alert["hashtag"]: alert.get("sampled", 1) for alert in map(msgspec.json.decode, alerts)}
    assert rates.pop("talk") == 1
    assert len(rates) >= 4
    assert all(0 < rate < 0.9 for rate in rates.values())
    return tuple(alerts)


@pytest.fixture(scope="module")
def news(posts: Sequence[archive.Record]) -> dict[str, list[bytes]]:
    """What is told of each hashtag when one partition brings the posts in order."""
    return by_hashtag(in_process(sent(Way(1), posts)))


def sent(way: Way, posts: Sequence[archive.Record], seed: int = 1) -> Topic:
    topic = Topic([list[Message]() for _ in range(way.partitions)])
    way.send(posts, topic, seed)
    return topic


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("partitions", [1, 2, 8])
def test_every_order_within_the_lateness_tells_the_same(
    partitions: int, seed: int, posts: Sequence[archive.Record], news: dict[str, list[bytes]]
) -> None:
    way = Way(partitions, shuffled=True, doubled=True, late=True)
    assert by_hashtag(in_process(sent(way, posts, seed), batch=30 + seed)) == news


def test_scan_gives_the_same_bytes_twice_and_for_lines_in_any_order(
    path: Path, scanned: tuple[bytes, ...], tmp_path: Path
) -> None:
    lines = path.read_bytes().split(b"\n")
    random.Random(7).shuffle(lines)
    jumbled = tmp_path / "jumbled.jsonl"
    jumbled.write_bytes(b"\n".join(lines))
    outs = []
    for name, of in (("once", path), ("twice", path), ("jumbled", jumbled)):
        scan.scan([str(of)], tmp_path / name, RULES)
        outs.append([(tmp_path / name / file).read_bytes() for file in (scan.ALERTS, scan.ASSESSMENTS)])
    assert outs[0] == outs[1] == outs[2]
    assert tuple(outs[0][0].splitlines()) == scanned


@pytest.mark.parametrize("partitions", [1, 2, 8])
def test_every_order_tells_the_same_where_hashtags_are_sampled(
    partitions: int, posts: Sequence[archive.Record], sampled: tuple[bytes, ...]
) -> None:
    way = Way(partitions, shuffled=True, doubled=True, late=True)
    assert latest(in_process(sent(way, posts), batch=30 + partitions, rules=FEW)) == sampled


WAYS = (
    Way(1, doubled=True),
    Way(2, workers=3, shuffled=True, late=True),
    Way(8, shuffled=True, doubled=True),
)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=map(str, WAYS))
def test_live_tells_what_scan_does(
    way: Way, posts: Sequence[archive.Record], scanned: tuple[bytes, ...], news: dict[str, list[bytes]]
) -> None:
    with Stack(workers=way.workers, partitions=way.partitions, metrics_port=0, hop_s=HOP_S) as running:
        assert_told(running, way, posts, scanned, news)


@pytest.mark.servers
@pytest.mark.slow
def test_live_tells_what_scan_does_where_hashtags_are_sampled(
    posts: Sequence[archive.Record], sampled: tuple[bytes, ...]
) -> None:
    way = Way(2, workers=2, shuffled=True, doubled=True, late=True)
    news = by_hashtag(in_process(sent(Way(1), posts), rules=FEW))
    with Stack(workers=2, partitions=2, metrics_port=0, hop_s=HOP_S, bucket_rows=FEW.bucket_rows) as running:
        assert_told(running, way, posts, sampled, news)


@pytest.mark.servers
@pytest.mark.slow
def test_live_on_apache_kafka_tells_what_scan_does(
    kafka: Node, posts: Sequence[archive.Record], scanned: tuple[bytes, ...], news: dict[str, list[bytes]]
) -> None:
    way = Way(8, workers=3, shuffled=True, doubled=True, late=True)
    with Stack(
        workers=way.workers,
        partitions=way.partitions,
        metrics_port=0,
        hop_s=HOP_S,
        kafka_url=kafka.url,
        topic_prefix="exactness.",
        key_prefix="exactness",
        group="exactness",
    ) as running:
        assert_told(running, way, posts, scanned, news)


def assert_told(
    running: Stack,
    way: Way,
    posts: Sequence[archive.Record],
    scanned: tuple[bytes, ...],
    news: dict[str, list[bytes]],
) -> None:
    with replay.producing(running.settings) as sink:
        way.send(posts, sink)
    told = list(live.until_end(running.settings, running.check, DEADLINE_S))
    assert latest(told) == scanned
    assert by_hashtag(told) == news
    assert len(told) == sum(map(len, news.values())), "without a restart nothing is told twice"
    _, closed = found.periods_told(running.settings, asks_ends=running.settings.transactions)
    told = [period for of_partition in closed.values() for period in of_partition]
    # The case runs from half past seven to half past nine: three hours end.
    assert len(told) == len(set(told)) >= 3
