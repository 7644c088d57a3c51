"""The live path on a Redis Cluster of three nodes: the alerts of `scan`, byte for byte, whoever is killed."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
import real_redis
import redis
from real_redis import Cluster
from redis.crc import key_slot

from streams import archive, live, replay, scan
from streams.live import Stack
from streams.output import latest
from streams.redis_client import AWAY, blocking, connect
from streams.settings import Settings, SettingsError

from .one_a_message import send
from .running import DEADLINE_S, HOP_S, await_news

pytestmark = pytest.mark.servers

PARTITIONS = 4
REDIS_PAGE = Path(__file__).parent.parent.parent / "docs" / "redis.md"
WINDOW_S = 1_260
"""Short, so that rows leave it and are evicted."""


def digest_of(script: bytes) -> str:
    """What Redis calls a script by."""
    return hashlib.sha1(script, usedforsecurity=False).hexdigest()


SCRIPTS = {
    digest_of(path.read_bytes()): path.name.removesuffix(".lua")
    for path in files("streams").iterdir()
    if path.name.endswith(".lua")
}
OF_A_LOSS = {"reset"}
"""Scripts that run only when state was lost; the contract tests call them on the same kind of cluster."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with real_redis.cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def scanned(flood: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    rules = Settings.load(window_s=WINDOW_S, hop_s=HOP_S).rules()
    alerts = scan.scan([str(flood)], tmp_path_factory.mktemp("scan"), rules).alerts
    assert alerts, "the posts hold a flood, so there must be alerts to compare"
    return tuple(alerts)


def stack(redis_url: str, name: str) -> Stack:
    return Stack(
        redis_url=redis_url,
        partitions=PARTITIONS,
        window_s=WINDOW_S,
        hop_s=HOP_S,
        key_prefix=name,
        metrics_port=0,
    )


def told(running: Stack) -> tuple[bytes, ...]:
    """The last of what was told of each alert, once everything was."""
    return latest(live.until_end(running.settings, running.check, DEADLINE_S))


def url_of_a_worker(cluster: Cluster, prefix: str) -> str:
    """The address for a user with the rights that docs/redis.md says are enough."""
    (command,) = re.findall(r"`(ACL SETUSER floodmark [^`]+)`", REDIS_PAGE.read_text(encoding="utf-8"))
    for node in cluster.nodes:
        with redis.Redis.from_url(node.url) as client:
            client.execute_command(*command.replace("fm:", f"{prefix}:").split())
    return cluster.url.replace("//", "//floodmark:password@")


# ------------------------------------------------------------------------------------------------- scripts


@dataclass(frozen=True)
class Call:
    """A script that Redis was told to run, by its name here, and the keys it was given."""

    script: str
    keys: tuple[bytes, ...]


@contextmanager
def watched(cluster: Cluster) -> Iterator[list[Call]]:
    """All scripts that the nodes are told to run, complete when the block has ended."""
    calls: list[Call] = []
    with ExitStack() as exits:
        for node in cluster.nodes:
            client = exits.enter_context(redis.Redis.from_url(node.url, socket_timeout=None))
            monitor = exits.enter_context(client.monitor())
            reader = threading.Thread(target=lambda monitor=monitor: calls.extend(_calls(monitor)))
            reader.start()
            exits.callback(reader.join)
            exits.callback(client.echo, "no more")
        yield calls


def _calls(monitor: redis.client.Monitor) -> Iterator[Call]:
    while True:
        words = _words(monitor.connection.read_response())
        if words == [b"ECHO", b"no more"]:
            return
        if words[0].upper() in (b"EVAL", b"EVALSHA"):
            digest = digest_of(words[1]) if words[0].upper() == b"EVAL" else words[1].decode()
            yield Call(SCRIPTS[digest], tuple(words[3 : 3 + int(words[2])]))


def _words(line: bytes) -> list[bytes]:
    """The words of a command as MONITOR prints it: quoted, with backslashes before what is no plain text."""
    quoted = re.findall(rb'"((?:[^"\\]|\\.)*)"', line)
    return [word.decode("unicode_escape").encode("latin-1") for word in quoted]


@pytest.mark.slow
def test_a_worker_on_a_cluster_gives_the_alerts_of_a_scan_and_no_script_spans_slots(
    cluster: Cluster, flood: Path, scanned: tuple[bytes, ...]
) -> None:
    url = url_of_a_worker(cluster, "scanned")
    with watched(cluster) as calls, stack(url, "scanned") as running:
        replay.replay([str(flood)], running.settings)
        assert told(running) == scanned
    assert {call.script for call in calls} == set(SCRIPTS.values()) - OF_A_LOSS
    for call in calls:
        assert len({key_slot(key) for key in call.keys}) == 1, call
    slots = {key_slot(key) for call in calls for key in call.keys}
    assert len({slot * len(cluster.nodes) // 16_384 for slot in slots}) == len(cluster.nodes)


@pytest.mark.slow
def test_nodes_that_are_killed_one_after_the_other_change_no_alert(
    cluster: Cluster, flood: Path, scanned: tuple[bytes, ...]
) -> None:
    posts = list(archive.read([str(flood)]))
    half = len(posts) // 2
    with stack(cluster.url, "killed") as running:
        send(running.settings, posts[:half], 0, end=False)
        await_news(running, 2)
        for node in cluster.nodes:
            node.kill()
            cluster.start()
        send(running.settings, posts[half:], half, end=True)
        assert told(running) == scanned
        assert "is away" in running.workers[0].log.read_text()


# -------------------------------------------------------------------------------------------------- clients


async def test_the_client_is_of_the_kind_that_answers(cluster: Cluster, tmp_path: Path) -> None:
    with real_redis.node(tmp_path) as single:
        for url, many in ((single.url, False), (cluster.url, True)):
            settings = Settings.load(redis_url=url)
            async with connect(settings) as client:
                assert isinstance(client, redis.asyncio.RedisCluster) is many
                assert await client.set("key", "value")
            with blocking(settings) as client:
                assert isinstance(client, redis.RedisCluster) is many
                assert client.get("key") == b"value"


def test_an_address_that_no_cluster_can_have_is_refused_with_its_setting(cluster: Cluster) -> None:
    for call in (connect, blocking):
        with pytest.raises(
            SettingsError, match=r"^FLOODMARK_REDIS_URL='redis://127.0.0.1:\d+/3': .*database 0"
        ):
            call(Settings.load(redis_url=cluster.url.removesuffix("/0") + "/3"))


def test_a_user_who_may_not_ask_gets_a_client_for_one_server(cluster: Cluster) -> None:
    with redis.Redis.from_url(cluster.url) as client:
        client.execute_command("ACL", "SETUSER", "mute", "on", ">word", "~*", "+@all", "-info")
    with blocking(Settings.load(redis_url=cluster.url.replace("//", "//mute:word@"))) as client:
        assert isinstance(client, redis.Redis)


@pytest.mark.parametrize(
    "error",
    ["BusyLoadingError", "ClusterDownError", "MasterDownError", "SlotNotCoveredError", "TryAgainError"],
)
def test_who_is_not_ready_is_away(error: str) -> None:
    assert issubclass(getattr(redis.exceptions, error), AWAY)


@pytest.mark.parametrize("error", ["ClusterCrossSlotError", "NoScriptError", "OutOfMemoryError", "DataError"])
def test_who_refuses_for_another_reason_is_not_away(error: str) -> None:
    assert not issubclass(getattr(redis.exceptions, error), AWAY)


def test_who_does_not_answer_is_away() -> None:
    for call in (connect, blocking):
        with pytest.raises(AWAY):
            call(Settings.load(redis_url="redis://127.0.0.1:1/0"))


async def test_a_connection_that_another_coroutine_closed_is_lost_and_no_bug(
    cluster: Cluster, tmp_path: Path
) -> None:
    with real_redis.node(tmp_path) as single:
        async with connect(Settings.load(redis_url=single.url)) as client:
            of_one = await client.connection_pool.get_connection()
            await closed_before_it_is_written_to(of_one)
            await client.connection_pool.release(of_one)
    async with connect(Settings.load(redis_url=cluster.url)) as client:
        for node in client.get_nodes():
            of_many = node.acquire_connection()
            await closed_before_it_is_written_to(of_many)
            node.release(of_many)


async def closed_before_it_is_written_to(connection: redis.asyncio.Connection) -> None:
    await connection.connect()
    asking = asyncio.create_task(connection.send_command("PING"))
    await asyncio.sleep(0)  # now it has seen that it is connected
    await connection.disconnect(nowait=True)
    with pytest.raises(redis.ConnectionError):
        await asking


@pytest.mark.slow
async def test_all_that_is_said_while_nodes_are_killed_is_that_they_are_away(cluster: Cluster) -> None:
    settings, done = Settings.load(redis_url=cluster.url, redis_timeout_s=2.0), asyncio.Event()
    async with connect(settings) as client:

        async def use(partition: int) -> int:
            """Do what a store does, until told to stop and done once more; gives how often it was away."""
            away = 0
            key = f"use:{{{partition}}}"
            while True:
                last = done.is_set()
                try:
                    await client.hset(f"{key}:mark", "writer", "me")
                    async with client.pipeline(transaction=False) as pipe:
                        pipe.hgetall(f"{key}:mark")
                        pipe.zadd("use:tags", {"tag": partition})
                        pipe.eval("return redis.call('SET', KEYS[1], '1')", 1, f"use:tag:{partition}")
                        await pipe.execute()
                except AWAY:
                    away += 1
                else:
                    if last:
                        return away

        using = [asyncio.create_task(use(partition)) for partition in range(6)]
        for victims in (cluster.nodes[:1], cluster.nodes[1:], cluster.nodes):
            for node in victims:
                node.kill()
            await asyncio.to_thread(cluster.start)
        done.set()
        assert sum(await asyncio.gather(*using)) > 0
