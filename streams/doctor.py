"""`floodmark doctor`: is everything there that a worker needs, and if not, what to do about it."""

from __future__ import annotations

import importlib.metadata
import re
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Final

import redis
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError
from redis.crc import key_slot
from rich.table import Table
from rich.text import Text

from streams.redis_client import AWAY, BlockingClient, blocking
from streams.settings import Settings, SettingsError, variable
from streams.topics import SINGLE, quiet

TIMEOUT_S: Final = 3.0
LEAST_PYTHON: Final = (3, 11)
LEAST_REDIS: Final = (6, 2)
PROBE_EXPIRY_S: Final = 60
PROBES: Final = 1_000
"""Keys of which one is written in every node: among so many there is one for each."""

YEAR_MS: Final = 365 * 24 * 3_600_000

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)(?:>=([0-9.]+))?$")
_ANOTHER_REDIS: Final = f"start one with `floodmark up` or set {variable('redis_url')}"
_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"  # works, but not as well or not for long
    FAIL = "fail"  # a worker would not start or would stop


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and what to do about it."""

    name: str
    status: Status
    what: str
    remedy: str = ""

    @property
    def failed(self) -> bool:
        """Whether a worker would not start or would stop."""
        return self.status is Status.FAIL


def examine(settings: Settings, timeout_s: float = TIMEOUT_S) -> list[Check]:
    """Look at versions, broker, topics and Redis. Writes keys of its own to Redis and deletes them."""
    return [*versions(), *broker(settings, timeout_s), *store(settings, timeout_s)]


def exit_status(checks: Iterable[Check]) -> int:
    """1 if any check failed, else 0."""
    return int(any(check.failed for check in checks))


def table(checks: Iterable[Check]) -> Table:
    """The checks for a terminal."""
    out = Table(box=None, pad_edge=False)
    for column in ("", "check", "found", "what to do"):
        out.add_column(column, overflow="fold")
    for check in checks:
        status = Text(check.status.value, style=_COLOURS[check.status.value])
        # As text: what a server answered may hold brackets that rich would take for markup.
        out.add_row(status, *(Text(cell) for cell in (check.name, check.what, check.remedy)))
    return out


# ---------------------------------------------------------------------------------------------- versions


def versions() -> list[Check]:
    """Python, the packages that are required, and the fast checksum."""
    running = ".".join(map(str, sys.version_info[:3]))
    least = ".".join(map(str, LEAST_PYTHON))
    new_enough = sys.version_info[:2] >= LEAST_PYTHON
    return [
        Check("python", Status.OK, running)
        if new_enough
        else Check("python", Status.FAIL, f"Python {running}", f"run Floodmark with Python {least} or later"),
        packages(importlib.metadata.requires("floodmark") or []),
        Check("crc32c", Status.OK, "compiled")
        if find_spec("crc32c")
        else Check("crc32c", Status.WARN, "missing: replay is 8 times slower", "pip install crc32c"),
    ]


def packages(requirements: Sequence[str]) -> Check:
    """Whether required packages are installed, each at least as new as it says.

    >>> packages(["surely-not-there>=2"]).what
    'surely-not-there is missing'
    """
    wrong, wanted = [], []
    # What belongs to an extra carries a condition after a semicolon.
    needed = [requirement for requirement in requirements if ";" not in requirement]
    for requirement in needed:
        found = _REQUIREMENT.match(requirement.replace(" ", ""))
        if found is None:
            continue
        name, least = found[1], found[2] or "0"
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = ""
        if not installed:
            wrong.append(f"{name} is missing")
        elif _numbers(installed) < _numbers(least):
            wrong.append(f"{name} {installed} is older than {least}")
        else:
            continue
        wanted.append(f"'{name}>={least}'")
    if wrong:
        return Check("packages", Status.FAIL, ", ".join(wrong), f"pip install {' '.join(wanted)}")
    return Check("packages", Status.OK, f"{len(needed)}, all as required")


# ------------------------------------------------------------------------------------------------ broker


def broker(settings: Settings, timeout_s: float = TIMEOUT_S) -> list[Check]:
    """Whether a broker answers and its topics fit the settings."""
    reason = _nobody_listens(settings.kafka_servers, timeout_s)
    servers = ", ".join(settings.kafka_servers)
    remedy = f"start one with `floodmark up` or set {variable('kafka_url')}"
    if reason:
        return [Check("broker", Status.FAIL, f"no broker answers at {servers} ({reason})", remedy)]
    timeout_ms = int(timeout_s * 1_000)
    with quiet():
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=list(settings.kafka_servers),
                client_id="floodmark-doctor",
                bootstrap_timeout_ms=timeout_ms,
                request_timeout_ms=timeout_ms,
            )
        except KafkaError as error:
            said = f"what listens at {servers} is no broker ({type(error).__name__})"
            return [Check("broker", Status.FAIL, said, remedy)]
        try:
            return [Check("broker", Status.OK, servers), *_topics(admin, settings)]
        except KafkaError as error:
            said = f"the broker at {servers} stopped answering ({type(error).__name__})"
            return [Check("broker", Status.FAIL, said, "see the broker's log")]
        finally:
            admin.close()


def _nobody_listens(servers: Sequence[str], timeout_s: float) -> str:
    """Why no server takes a connection; empty if one does."""
    reason = ""
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout_s).close()
        except OSError as error:
            reason = (error.strerror or str(error) or type(error).__name__).lower()
        else:
            return ""
    return reason


def _topics(admin: KafkaAdminClient, settings: Settings) -> Iterator[Check]:
    wanted = {
        settings.posts_topic: settings.partitions,
        settings.rows_topic: settings.partitions,
        settings.baseline_topic: settings.partitions,
        settings.alerts_topic: SINGLE,
        settings.dead_topic: SINGLE,
    }
    # All topics are asked for: naming one that is not there makes some brokers create it.
    counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
    for name, count in wanted.items():
        yield partition_check(settings, name, counts.get(name, 0), count)
    for name in (settings.posts_topic, settings.rows_topic):
        if name in counts:
            resource = ConfigResource(ConfigResourceType.TOPIC, name)
            answer = admin.describe_configs([resource], config_filter="all")
            found = answer.get("topic", {}).get(name, {})
            yield retention_check(name, {key: config["value"] for key, config in found.items()})


def partition_check(settings: Settings, name: str, found: int, wanted: int) -> Check:
    """Whether a topic is there with the right number of partitions."""
    label = f"topic {name}"
    if found == wanted:
        return Check(label, Status.OK, f"partitions: {found}")
    if not found:
        return Check(label, Status.WARN, "not there yet", "a worker makes it when it starts")
    remedy = (
        f"set {variable('partitions')}={found}, or {variable('topic_prefix')} for other topics"
        if wanted == settings.partitions
        else f"delete it, or set {variable('topic_prefix')} for other topics"
    )
    return Check(label, Status.FAIL, f"partitions: {found}, expected: {wanted}", remedy)


def retention_check(name: str, configs: Mapping[str, str]) -> Check:
    """Whether a topic keeps posts that are old when they arrive.

    >>> retention_check("posts", {"retention.ms": "604800000", "message.timestamp.type": "CreateTime"}).status
    <Status.WARN: 'warn'>
    """
    label = f"retention of {name}"
    if "retention.ms" not in configs:
        return Check(label, Status.OK, "the broker does not say")
    kept_ms = int(configs["retention.ms"])
    kept = "for ever" if kept_ms < 0 else f"{kept_ms / 86_400_000:g} days"
    by_arrival = configs.get("message.timestamp.type") == "LogAppendTime"
    if by_arrival or kept_ms < 0 or kept_ms >= 100 * YEAR_MS:
        return Check(label, Status.OK, f"{kept} after arrival" if by_arrival else kept)
    return Check(
        label,
        Status.WARN,
        f"{kept} by the time the sender gave: archived posts may be deleted at once",
        f"set message.timestamp.type=LogAppendTime on topic {name}",
    )


# ------------------------------------------------------------------------------------------------- Redis


def store(settings: Settings, timeout_s: float = TIMEOUT_S) -> list[Check]:
    """Whether Redis answers, is new enough, keeps what it is given and takes writes and scripts.

    Of a cluster every node is asked, and every node is written to.
    """
    at = settings.redis_address
    try:
        with closing(blocking(settings, timeout_s)) as client:
            return _redis(client, settings)
    except SettingsError as error:
        return [Check("redis", Status.FAIL, str(error), f"correct {variable('redis_url')}")]
    except redis.AuthenticationError as error:
        said = f"Redis at {at} refuses the password or user ({error})"
        remedy = f"correct {variable('redis_url')}: redis://user:password@host"
        return [Check("redis", Status.FAIL, said, remedy)]
    except (redis.ConnectionError, redis.TimeoutError) as error:
        return [_absent(at, error)]
    except redis.exceptions.NoPermissionError as error:
        said = f"Redis at {at} does not say what it is ({error}), and would not be known for a cluster"
        return [Check("redis", Status.WARN, said, "allow this user INFO")]
    except (redis.RedisError, *AWAY) as error:
        said = f"what answers at {at} is no usable Redis ({error})"
        return [Check("redis", Status.FAIL, said, _ANOTHER_REDIS)]


def _redis(client: BlockingClient, settings: Settings) -> list[Check]:
    servers = _servers(client, settings.redis_address)
    infos: dict[str, dict[str, Any]] = {}
    for at, server in servers.items():
        try:
            infos[at] = dict(server.info())
        except (redis.ConnectionError, redis.TimeoutError) as error:
            return [replace(_absent(at, error), remedy="start this node of the cluster")]
    clustered = f", cluster of {len(servers)} nodes" if isinstance(client, redis.RedisCluster) else ""
    return [
        Check("redis", Status.OK, settings.redis_address + clustered),
        _worst({at: redis_version(str(info.get("redis_version", "0"))) for at, info in infos.items()}),
        _worst({at: eviction(info) for at, info in infos.items()}),
        _worst({at: persistence(infos[at], _fsync(server)) for at, server in servers.items()}),
        _probe(client, settings),
    ]


def _servers(client: BlockingClient, address: str) -> dict[str, redis.Redis]:
    """Every server by its address."""
    if isinstance(client, redis.RedisCluster):
        nodes: list[Any] = client.get_nodes()  # type: ignore[no-untyped-call]
        return {node.name: client.get_redis_connection(node) for node in nodes}
    return {address: client}


def _absent(at: str, error: redis.RedisError) -> Check:
    return Check("redis", Status.FAIL, f"no Redis answers at {at} ({_cause(error)})", _ANOTHER_REDIS)


def _worst(checks: Mapping[str, Check]) -> Check:
    """The gravest of what was found on every server, and on which; if all are well, all that was found."""
    order = list(Status)
    at, worst = max(checks.items(), key=lambda one: order.index(one[1].status))
    if worst.status is Status.OK:
        return replace(worst, what=", ".join(dict.fromkeys(check.what for check in checks.values())))
    return worst if len(checks) == 1 else replace(worst, what=f"{at}: {worst.what}")


def redis_version(version: str) -> Check:
    """Whether Redis is new enough.

    >>> redis_version("6.0.9").status
    <Status.FAIL: 'fail'>
    """
    least = ".".join(map(str, LEAST_REDIS))
    if _numbers(version) >= LEAST_REDIS:
        return Check("redis version", Status.OK, version)
    return Check(
        "redis version", Status.FAIL, f"{version} is older than {least}", f"use Redis {least} or later"
    )


def eviction(info: Mapping[str, Any]) -> Check:
    """Whether Redis would throw away keys when memory runs short, from its answer to INFO."""
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return Check("redis eviction", Status.OK, policy)
    said = (
        f"maxmemory-policy is {policy}: short of memory, Redis would drop rows and marks and counts be wrong"
    )
    return Check(
        "redis eviction", Status.WARN, said, "CONFIG SET maxmemory-policy noeviction, and in redis.conf"
    )


def persistence(info: Mapping[str, Any], fsync: str | None) -> Check:
    """Whether Redis has its data after a restart, from its answer to INFO and its `appendfsync`, if known.

    >>> persistence({"aof_enabled": 1}, "everysec").what
    'appendonly yes, appendfsync everysec'
    """
    if "aof_enabled" not in info:
        return Check("redis persistence", Status.OK, "Redis does not say")
    if info["aof_enabled"]:
        known = fsync or "not known: this user may not ask (CONFIG GET)"
        return Check("redis persistence", Status.OK, f"appendonly yes, appendfsync {known}")
    return Check(
        "redis persistence",
        Status.WARN,
        "appendonly is no: the state would go with Redis, and be counted again from the topic rows, which"
        " takes time",
        "CONFIG SET appendonly yes, and in redis.conf",
    )


def _fsync(server: redis.Redis) -> str | None:
    try:
        return server.config_get("appendfsync").get("appendfsync")
    except redis.ResponseError:  # forbidden, or renamed so that nobody uses it
        return None


def _probe(client: BlockingClient, settings: Settings) -> Check:
    """Write, read and delete a key of our own, in a script as a worker does; in a cluster one a node."""
    script = (
        "redis.call('SET', KEYS[1], cmsgpack.pack(ARGV[1]), 'EX', ARGV[2])"
        " local read = cmsgpack.unpack(redis.call('GET', KEYS[1])) redis.call('DEL', KEYS[1]) return read"
    )
    for key in _probe_keys(client, settings):
        try:
            read: Any = client.eval(script, 1, key, "probe", str(PROBE_EXPIRY_S))
        except redis.ResponseError as error:
            said = f"Redis at {settings.redis_address} does not take a script that writes {key}: {error}"
            return Check("redis writes", Status.FAIL, said, _remedy(error, settings))
        if read != b"probe":
            said = f"{key} held {read!r} right after 'probe' was written"
            remedy = f"set {variable('redis_url')} to a Redis, not a proxy"
            return Check("redis writes", Status.FAIL, said, remedy)
    return Check("redis writes", Status.OK, f"under {settings.key_prefix}:")


def _probe_keys(client: BlockingClient, settings: Settings) -> list[str]:
    # Not seeded: two doctors at the same time must not take each other's key.
    key = f"{settings.key_prefix}:doctor:{secrets.token_hex(8)}"
    if not isinstance(client, redis.RedisCluster):
        return [key]
    nodes: Any = client.nodes_manager
    of_node = {}
    for number in range(PROBES):
        probed = f"{key}:{number}"
        of_node[nodes.get_node_from_slot(key_slot(probed.encode())).name] = probed
    return list(of_node.values())


def _remedy(error: redis.ResponseError, settings: Settings) -> str:
    if isinstance(error, redis.exceptions.ClusterDownError):
        return "start the nodes that are down, or give their slots to others"
    return f"use a primary with free memory, and allow EVAL, EVALSHA and writes to {settings.key_prefix}:*"


def _cause(error: redis.RedisError) -> str:
    if isinstance(error, redis.TimeoutError):
        return "no answer in time"
    reason = str(error)
    known = re.search(r"refused|not known|unreachable|resolution|closed|reset", reason)
    return {"refused": "connection refused"}.get(known[0], reason) if known else reason


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else (0,)
