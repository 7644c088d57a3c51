"""One round of `make chaos`: a deployment is attacked, and what is there then compared with what must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from benchmarks import chaos_case, found, servers, truth
from benchmarks.attack import Attack, Strike
from benchmarks.chaos_case import Case
from benchmarks.chaos_page import Differing, Kill, Round
from benchmarks.feed import Feed
from benchmarks.found import Incomplete
from benchmarks.servers import Server
from benchmarks.supervision import WORKER, Supervision
from benchmarks.truth import Difference
from streams import clock, embedded
from streams.ending import STOPPED
from streams.live import Stack
from streams.settings import Settings

PARTITIONS: Final = 4
WORKERS: Final = 2
BROKER: Final = "kafka"
REDIS: Final = "redis"


@dataclass(frozen=True)
class Arena:
    """The servers that all rounds share.

    Attributes
    ----------
    killable : by kind
    hop_s : int
        Event time between two assessments.
    idle_s : int
        Wall time after which a silent source partition is left out.
    is_kafka : bool
        Whether the broker is Apache Kafka, which has transactions, keeps its data and says where topics end.
    """

    kafka_url: str
    redis_url: str
    killable: Mapping[str, Server]
    hop_s: int
    idle_s: int
    is_kafka: bool

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be killed."""
        return (WORKER, *self.killable)

    @property
    def redis_version(self) -> str:
        """As Redis says it."""
        with redis.Redis.from_url(self.redis_url) as client:
            about: Any = client.info("server")
        return str(about["redis_version"])


def open_arena(folder: Path, exits: ExitStack, broker: str, fsync: str, hop_s: int, idle_s: int) -> Arena:
    """Start a broker and a Redis that keeps its data; both end with `exits`."""
    store = servers.redis(folder / REDIS, fsync)
    exits.callback(store.stop)
    store.start()
    if broker != BROKER:
        url = exits.enter_context(embedded.broker(folder))
        return Arena(url, store.url, {REDIS: store}, hop_s, idle_s, is_kafka=False)
    node = servers.kafka(folder / BROKER)
    exits.callback(node.stop)
    node.start()
    return Arena(node.url, store.url, {BROKER: node, REDIS: store}, hop_s, idle_s, is_kafka=True)


def settings_of(arena: Arena, name: str) -> dict[str, Any]:
    """What a round's deployment is set to; its topics, group and keys are its own."""
    return {
        "partitions": PARTITIONS,
        "metrics_port": 0,
        "topic_prefix": f"{name}.",
        "group": name,
        "key_prefix": name,
        "transactions": arena.is_kafka,
        "hop_s": arena.hop_s,
        "idle_s": arena.idle_s,
    }


def attack(
    name: str, case: Case, strikes: Sequence[Strike], arena: Arena, folder: Path, told: Callable[[Kill], None]
) -> Round:
    """Run one round and compare what is there at its end with what must be."""
    folder.mkdir(parents=True)
    begun_s = clock.monotonic_s()
    stack = Stack(
        workers=WORKERS,
        kafka_url=arena.kafka_url,
        redis_url=arena.redis_url,
        folder=folder,
        **settings_of(arena, name),
    )
    with stack:
        supervision = Supervision(stack, arena.killable)
        with Feed(stack.settings, case.messages) as feed:
            one = Attack(case, feed, supervision, stack.settings, told)
            one.run(strikes)
        if feed.failure is not None:
            supervision.failures.append(feed.failure)
    for worker in stack.workers:
        if worker.process.returncode not in (0, STOPPED):
            supervision.note(worker, worker.process.returncode)
    seconds = clock.monotonic_s() - begun_s
    compared = compare(case, stack.settings, feed.ends(), arena)
    return Round(
        name=case.archive.name,
        posts=case.archive.posts,
        doubled=case.doubled,
        messages=len(case.messages),
        resent=compared.resent,
        facts=compared.facts,
        news=compared.news,
        kills=one.kills,
        ended={str(status): count for status, count in sorted(supervision.ended.items())},
        failures=supervision.failures,
        differences=[Differing(d.kind, str(d), permitted(d, arena)) for d in compared.differences],
        seconds=round(seconds, 1),
    )


@dataclass(frozen=True)
class Compared:
    """What came of a comparison; the numbers are those of `chaos_page.Round`."""

    differences: list[Difference]
    facts: int
    news: int
    resent: int


def compare(case: Case, settings: Settings, ends: Mapping[int, int], arena: Arena) -> Compared:
    """What is there, with what must be."""
    logs = found.messages(settings, ends)
    wanted = truth.expected(logs, settings)
    lacks = chaos_case.carried(case, logs)
    out = [Difference("topic posts", "kept", "all messages in order", said) for said in lacks]
    try:
        out += truth.differences(wanted, found.found(settings, asks_ends=arena.is_kafka), case.archive.alerts)
    except Incomplete as error:
        out.append(Difference("topic", "read", "to its end", str(error)))
    if case.doubled:
        once = case.archive.truth
        out += [
            Difference(f"{d.kind} of posts sent twice", d.where, d.expected, d.found)
            for d in truth.differences(once, wanted, case.archive.alerts, without=truth.OFFSETS)
        ]
    news = sum(len(told) for place, told in wanted.news.items() if place.startswith(truth.TOPIC))
    return Compared(out, wanted.size(), news, sum(map(len, logs)) - len(case.messages))


def permitted(difference: Difference, arena: Arena) -> bool:
    """Without transactions an alert may be told twice after a crash, on the topic."""
    return (
        not arena.is_kafka and difference.kind == "doubled news" and difference.where.startswith(truth.TOPIC)
    )
