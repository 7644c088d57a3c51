"""The stores under test: in memory, in Redis, and in a Redis Cluster of three nodes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import real_redis

from streams import embedded
from streams.memory_store import HeldPartition, MemoryStore
from streams.redis_client import connect
from streams.redis_store import RedisStore
from streams.settings import Settings
from streams.store import Store

Stores = Callable[[int], AbstractAsyncContextManager[Sequence[Store]]]
"""Opens so many stores over the same, empty data; the first has taken partition 0 over."""

_prefixes = (f"t{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of its own."""
    with embedded.redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster: it refuses a script or transaction over two slots, and its nodes share the slots."""
    with real_redis.cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.url


@pytest.fixture(scope="session", params=["memory", "redis", "cluster"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Opens stores of each kind."""
    if request.param == "memory":
        return _in_memory
    url: str = request.getfixturevalue(f"{request.param}_url")

    @asynccontextmanager
    async def opened(count: int) -> AsyncIterator[Sequence[Store]]:
        settings = Settings.load(redis_url=url, key_prefix=next(_prefixes))
        async with connect(settings) as client:
            made = [RedisStore(settings, client) for _ in range(count)]
            await made[0].load(0)
            yield made

    return opened


@pytest.fixture(params=["redis", "cluster"])
def redis_settings(request: pytest.FixtureRequest) -> Settings:
    """Settings with a key prefix of their own, in Redis and in a cluster."""
    return Settings.load(
        redis_url=request.getfixturevalue(f"{request.param}_url"), key_prefix=next(_prefixes)
    )


@asynccontextmanager
async def _in_memory(count: int) -> AsyncIterator[Sequence[Store]]:
    partitions: dict[int, HeldPartition] = {}
    made = [MemoryStore(partitions) for _ in range(count)]
    await made[0].load(0)
    yield made
