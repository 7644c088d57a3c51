"""What `make chaos` reads of Redis is what the store wrote, and it sees what was changed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pytest
import redis
from builders import HASHTAG, counted, flooded, in_order

from benchmarks import found, truth
from benchmarks.truth import Truth, differences
from detectors.baseline import Baseline
from streams import embedded, formats, pipeline
from streams.monitor import Monitor
from streams.packets import Packet
from streams.pipeline import Message
from streams.redis_keys import PartitionKeys, ReaderKeys
from streams.redis_store import RedisStore
from streams.settings import Settings

pytestmark = pytest.mark.servers

POSTS: Final = [post for _, post in in_order(flooded())]
MESSAGES: Final = [Message(number, formats.encode(post)) for number, post in enumerate(POSTS)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with embedded.redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield Settings.load(redis_url=url, partitions=1, hop_s=600, min_posts=20, key_prefix="found")


@pytest.fixture(scope="module")
def expected() -> Truth:
    whole = truth.expected([MESSAGES], Settings.load(partitions=1, hop_s=600, min_posts=20))
    in_stream = {place: news for place, news in whole.news.items() if place.startswith(truth.STREAM)}
    assert in_stream, "there must be news to compare"
    in_redis = {fact: value for fact, value in whole.facts.items() if fact.kind != "period"}
    return Truth(in_redis, in_stream)


@pytest.fixture
async def client(settings: Settings) -> Any:
    """A Redis in which all posts were stored by the store, as a worker does it."""
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()
        (packet,) = pipeline.ingest(MESSAGES, 0, 0, 1).packets
        store = RedisStore(settings)
        await count(store, settings, packet)
        await store.close()
        yield client


async def count(store: RedisStore, settings: Settings, packet: Packet) -> None:
    monitor = Monitor(0, [0], settings.rules(), Baseline.prior(), await store.load(0))
    async for gone in counted(store, monitor, packet):
        await store.evict(0, gone)


def test_what_the_store_wrote_is_found(settings: Settings, expected: Truth, client: redis.Redis) -> None:
    assert not differences(expected, found.in_redis(settings))
    assert found.marks(client, settings) == {0: len(POSTS)}


STATE: Final = PartitionKeys("found", 0)
SHOWN: Final = ReaderKeys("found")
Change = Callable[[redis.Redis], object]


def some_rows(client: redis.Redis) -> Any:
    return next(iter(client.scan_iter(f"{STATE.rows(HASHTAG, 0).removesuffix('0')}*")))


CHANGES: Final[Sequence[tuple[str, Change]]] = [
    ("rows", lambda client: client.append(some_rows(client), bytes(client.get(some_rows(client)))[:107])),
    ("rows", lambda client: client.delete(some_rows(client))),
    ("string", lambda client: client.delete(STATE.texts(HASHTAG))),
    ("mark", lambda client: client.hincrby(STATE.mark, "0", 1)),
    ("clock", lambda client: client.delete(STATE.clock)),
    ("hop", lambda client: client.incrby(STATE.hop, 1)),
    ("late hashtag", lambda client: client.zadd(STATE.late, {HASHTAG: 1})),
    ("open alert", lambda client: client.delete(STATE.open)),
    ("score", lambda client: client.zincrby(SHOWN.tags, 0.01, HASHTAG)),
    ("summary", lambda client: client.hset(SHOWN.tag(HASHTAG), "posts", "1")),
    ("summary", lambda client: client.delete(SHOWN.tag(HASHTAG, "texts"))),
    ("lost news", lambda client: client.xdel(SHOWN.alerts, client.xrange(SHOWN.alerts, count=1)[0][0])),
    (
        "doubled news",
        lambda client: client.xadd(SHOWN.alerts, client.xrevrange(SHOWN.alerts, count=1)[0][1]),
    ),
]


@pytest.mark.parametrize(("kind", "change"), CHANGES)
def test_what_was_changed_is_found(
    settings: Settings, expected: Truth, client: redis.Redis, kind: str, change: Change
) -> None:
    change(client)
    assert kind in {difference.kind for difference in differences(expected, found.in_redis(settings))}
