"""How Floodmark connects to Redis: to one server or to a cluster, whichever answers at the address."""

from __future__ import annotations

from asyncio import StreamWriter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ClusterError, RedisClusterException, SlotNotCoveredError, TryAgainError
from redis.retry import Retry

from streams.settings import Settings, SettingsError, variable

AWAY: Final = (
    redis.ConnectionError,  # LOADING (`BusyLoadingError`) and a cluster nobody reaches among them
    redis.TimeoutError,
    ClusterError,  # CLUSTERDOWN and MASTERDOWN (`ClusterDownError`), and redirected too often
    SlotNotCoveredError,
    TryAgainError,
)
"""Errors that say Redis is away or not ready. Whether a write arrived is not known; it may be sent again."""

RETRIES: Final = 3
NO_HOST: Final = "localhost"
"""What an address without a host means; redis-py knows that of single servers only."""

Client = redis.asyncio.Redis | redis.asyncio.RedisCluster
"""For a running event loop."""

BlockingClient = redis.Redis | redis.RedisCluster
"""For everybody else."""


def connect(settings: Settings) -> Client:
    """A client with the timeouts of the settings; it connects with its first command.

    A broken connection is tried again a few times, which is safe: every write of a `RedisStore` may be sent
    twice.

    Raises
    ------
    redis.RedisError
        If nothing answers that could say whether it is a cluster; `AWAY` among them.
    SettingsError
        If it is a cluster and the address names a database or a socket.
    """
    retry = AsyncRetry(_backoff(), RETRIES)
    options = _options(settings.redis_timeout_s)
    if is_cluster(settings):
        return _Cluster.from_url(settings.redis_url, host=NO_HOST, retry=retry, **options)
    client = redis.asyncio.Redis.from_url(settings.redis_url, retry=retry, **options)
    client.connection_pool.connection_class = _guarded(client.connection_pool.connection_class)
    return client


def blocking(settings: Settings, timeout_s: float | None = None) -> BlockingClient:
    """A client without an event loop, for what is done before one runs.

    Parameters
    ----------
    timeout_s : float, optional
        Wall time to wait for an answer; that of the settings if not given.

    Raises
    ------
    redis.RedisError, SettingsError
        As `connect` does.
    """
    options = _options(settings.redis_timeout_s if timeout_s is None else timeout_s)
    options["retry"] = Retry(_backoff(), RETRIES)
    if is_cluster(settings, timeout_s):
        return _BlockingCluster.from_url(settings.redis_url, host=NO_HOST, **options)
    return redis.Redis.from_url(settings.redis_url, **options)


def is_cluster(settings: Settings, timeout_s: float | None = None) -> bool:
    """Whether a node of a cluster answers at the address; raises as `connect` does.

    A user who may not ask gets a client for one server, as nothing else can be known.
    """
    options = _options(settings.redis_timeout_s if timeout_s is None else timeout_s)
    with redis.Redis.from_url(settings.redis_url, retry=Retry(_backoff(), RETRIES), **options) as client:
        named = client.get_connection_kwargs()
        database, named["db"] = named.get("db"), 0  # a node refuses to select another
        try:
            told: dict[str, Any] = client.info("cluster")
        except redis.exceptions.NoPermissionError:
            return False
    if not told.get("cluster_enabled"):
        return False
    if database or "path" in named:
        raise SettingsError(
            f"{variable('redis_url')}={settings.redis_address!r}: a Redis Cluster has only database 0 and no"
            " socket: name one of its nodes as redis://host:port/0"
        )
    return True


class _Guard:
    """A connection that says it was lost, before anything is written to it.

    redis-py up to 8.1.0 lets an AttributeError through instead when another coroutine has closed it (or, in
    Python 3.12, a TypeError when the server has), which nobody tries again: redis-py issue 4287.
    """

    _writer: StreamWriter | None

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        if self._writer is None or self._writer.is_closing():
            raise redis.ConnectionError("Connection closed before it was used.")
        await super()._send_packed_command(command)  # type: ignore[misc]


def _guarded(connection_class: type[Any]) -> type[Any]:
    return type(f"Guarded{connection_class.__name__}", (_Guard, connection_class), {})


class _Cluster(redis.asyncio.RedisCluster):
    """One that says of a cluster nobody reaches what a client of one server says: a lost connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # There is no parameter for it; nodes that are found later are made from the same dictionary.
        guarded = _guarded(self.connection_kwargs["connection_class"])
        self.connection_kwargs["connection_class"] = guarded
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = guarded

    async def initialize(self, *args: Any, **kwargs: Any) -> redis.asyncio.RedisCluster:
        with _away():
            return await super().initialize(*args, **kwargs)


class _BlockingCluster(redis.RedisCluster):
    """The same without an event loop; it connects at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with _away():
            super().__init__(*args, **kwargs)

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        with _away():
            return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]


@contextmanager
def _away() -> Iterator[None]:
    # redis-py has one class, which is no RedisError, for "no node answers" and for wrong calls.
    try:
        yield
    except SlotNotCoveredError:
        raise
    except RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "decode_responses": False,
    }


def _backoff() -> ExponentialBackoff:
    return ExponentialBackoff(cap=0.5, base=0.05)
