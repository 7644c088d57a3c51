"""What the doctor says of servers that are away, wrong or right."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_redis
import redis
from real_redis import Cluster
from rich.console import Console

from streams import doctor, embedded, topics
from streams.doctor import Check, Status
from streams.settings import Settings

NOBODY = "127.0.0.1:1"
"""Port 1 needs privileges nobody has in a test: nothing listens there."""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded.redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis that keeps its data."""
    with real_redis.node(tmp_path_factory.mktemp("kept")) as node:
        yield node.url


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with real_redis.cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def by_name(checks: list[Check]) -> dict[str, Check]:
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def test_closed_ports_are_named_with_their_remedy() -> None:
    settings = Settings.load(kafka_url=f"kafka://{NOBODY}", redis_url=f"redis://:secret@{NOBODY}/0")
    checks = doctor.examine(settings)
    found = by_name(checks)
    assert found["broker"] == Check(
        "broker",
        Status.FAIL,
        f"no broker answers at {NOBODY} (connection refused)",
        "start one with `floodmark up` or set FLOODMARK_KAFKA_URL",
    )
    assert found["redis"] == Check(
        "redis",
        Status.FAIL,
        f"no Redis answers at redis://{NOBODY}/0 (connection refused)",
        "start one with `floodmark up` or set FLOODMARK_REDIS_URL",
    )
    assert doctor.exit_status(checks) == 1
    assert not any("secret" in text for check in checks for text in (check.what, check.remedy))


def test_every_failure_is_one_line_with_a_remedy() -> None:
    checks = doctor.examine(Settings.load(kafka_url=f"kafka://{NOBODY}", redis_url=f"redis://{NOBODY}/0"))
    failed = [check for check in checks if check.failed]
    assert len(failed) == 2
    for check in failed:
        assert check.remedy
        assert "\n" not in check.what + check.remedy


def test_servers_that_never_answer_are_given_up(silent_port: int) -> None:
    address = f"127.0.0.1:{silent_port}"
    settings = Settings.load(kafka_url=f"kafka://{address}", redis_url=f"redis://{address}/0")
    (kafka_check,) = doctor.broker(settings, timeout_s=0.3)
    (redis_check,) = doctor.store(settings, timeout_s=0.3)
    assert kafka_check.failed
    assert kafka_check.what.startswith(f"what listens at {address} is no broker")
    assert redis_check.failed
    assert redis_check.what == f"no Redis answers at redis://{address}/0 (no answer in time)"


def test_what_is_installed_is_right() -> None:
    found = by_name(doctor.versions())
    assert {check.status for check in found.values()} == {Status.OK}
    assert set(found) == {"python", "packages", "crc32c"}


def test_missing_and_old_packages_are_named_with_what_to_install() -> None:
    check = doctor.packages(["redis>=99.1", "surely-not-there>=2", "numpy>=1", "absent; extra == 'dev'"])
    assert check.failed
    assert check.what.startswith("redis ")
    assert check.what.endswith("is older than 99.1, surely-not-there is missing")
    assert check.remedy == "pip install 'redis>=99.1' 'surely-not-there>=2'"


@pytest.mark.servers
def test_a_good_redis_passes_and_keeps_nothing_of_the_check(kept: str) -> None:
    found = by_name(doctor.store(Settings.load(redis_url=kept, key_prefix="doc")))
    assert {check.status for check in found.values()} == {Status.OK}
    assert set(found) == {"redis", "redis version", "redis eviction", "redis persistence", "redis writes"}
    assert found["redis"].what == kept
    assert found["redis persistence"].what == "appendonly yes, appendfsync always"
    with redis.Redis.from_url(kept) as client:
        assert client.dbsize() == 0


@pytest.mark.servers
def test_a_redis_that_keeps_nothing_over_a_restart_is_warned_of(redis_url: str) -> None:
    checks = doctor.store(Settings.load(redis_url=redis_url))
    found = by_name(checks)["redis persistence"]
    assert found.status is Status.WARN
    assert found.what.startswith("appendonly is no: ")
    assert found.remedy == "CONFIG SET appendonly yes, and in redis.conf"
    assert doctor.exit_status(checks) == 0


@pytest.mark.servers
def test_what_a_user_may_not_ask_is_left_open(kept: str) -> None:
    with redis.Redis.from_url(kept) as client:
        client.execute_command("ACL", "SETUSER", "careful", "on", ">word", "~*", "+@all", "-config")
        client.execute_command("ACL", "SETUSER", "mute", "on", ">word", "~*", "+@all", "-info")
    careful, mute = (kept.replace("//", f"//{user}:word@") for user in ("careful", "mute"))
    found = by_name(doctor.store(Settings.load(redis_url=careful)))
    assert {check.status for check in found.values()} == {Status.OK}
    assert found["redis persistence"].what.startswith("appendonly yes, appendfsync not known: ")
    (check,) = doctor.store(Settings.load(redis_url=mute))
    assert check.status is Status.WARN
    assert check.remedy == "allow this user INFO"


@pytest.mark.servers
def test_a_good_cluster_passes_and_every_node_was_written_to(cluster: Cluster) -> None:
    found = by_name(doctor.store(Settings.load(redis_url=cluster.url, key_prefix="doc")))
    assert {check.status for check in found.values()} == {Status.OK}
    assert found["redis"].what == f"{cluster.url}, cluster of 3 nodes"
    assert found["redis persistence"].what == "appendonly yes, appendfsync always"
    for node in cluster.nodes:
        with redis.Redis.from_url(node.url) as client:
            assert client.info("commandstats")["cmdstat_eval"]["calls"] == 1
            assert client.dbsize() == 0


@pytest.mark.servers
@pytest.mark.parametrize(
    ("option", "value", "check", "status"),
    [
        ("maxmemory-policy", "allkeys-lru", "redis eviction", Status.WARN),
        ("appendonly", "no", "redis persistence", Status.WARN),
        ("maxmemory", "1", "redis writes", Status.FAIL),
    ],
)
def test_one_bad_node_of_a_cluster_is_found(
    cluster: Cluster, option: str, value: str, check: str, status: Status
) -> None:
    bad = cluster.nodes[1]
    with redis.Redis.from_url(bad.url) as client:
        before = client.config_get(option)[option]
        client.config_set(option, value)
        try:
            found = by_name(doctor.store(Settings.load(redis_url=cluster.url)))
        finally:
            client.config_set(option, before)
    assert found.pop(check).status is status
    assert {other.status for other in found.values()} == {Status.OK}


@pytest.mark.servers
def test_a_cluster_without_one_of_its_nodes_fails_and_names_it(cluster: Cluster) -> None:
    cluster.nodes[2].kill()
    try:
        (check,) = doctor.store(Settings.load(redis_url=cluster.url))
    finally:
        cluster.start()
    at = cluster.nodes[2].url.removeprefix("redis://").removesuffix("/0")
    assert check == Check(
        "redis",
        Status.FAIL,
        f"no Redis answers at {at} (connection refused)",
        "start this node of the cluster",
    )


@pytest.mark.servers
def test_a_cluster_has_one_database(cluster: Cluster) -> None:
    (check,) = doctor.store(Settings.load(redis_url=cluster.url.removesuffix("/0") + "/3"))
    assert check.failed
    assert "a Redis Cluster has only database 0" in check.what
    assert check.remedy == "correct FLOODMARK_REDIS_URL"


@pytest.mark.servers
def test_a_redis_that_drops_keys_is_warned_of(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            checks = doctor.store(Settings.load(redis_url=redis_url))
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    found = by_name(checks)["redis eviction"]
    assert found.status is Status.WARN
    assert "allkeys-lru" in found.what
    assert doctor.exit_status(checks) == 0


@pytest.mark.servers
def test_a_redis_that_takes_no_writes_fails(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        try:
            checks = doctor.store(Settings.load(redis_url=redis_url, key_prefix="doc"))
        finally:
            client.config_set("maxmemory", "0")
    found = by_name(checks)["redis writes"]
    assert found.failed
    assert "does not take a script that writes doc:doctor:" in found.what
    assert "used memory > 'maxmemory'" in found.what


@pytest.mark.servers
def test_a_wrong_password_is_told_from_a_redis_that_is_away(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("requirepass", "another")
        try:
            (check,) = doctor.store(Settings.load(redis_url=redis_url.replace("//", "//:s3cret@")))
            (none_given,) = doctor.store(Settings.load(redis_url=redis_url))
        finally:
            client.config_set("requirepass", "")
    assert check.failed
    assert none_given.failed
    assert "refuses the password" in check.what
    assert "refuses the password" in none_given.what
    assert "FLOODMARK_REDIS_URL" in check.remedy
    assert "s3cret" not in check.what


@pytest.mark.servers
def test_topics_that_do_not_fit_fail_and_missing_ones_do_not(tmp_path: Path) -> None:
    with embedded.broker(tmp_path) as url:
        settings = Settings.load(kafka_url=url, partitions=4)
        before = by_name(doctor.broker(settings))
        assert before["broker"].status is Status.OK
        assert before["topic posts"] == Check(
            "topic posts", Status.WARN, "not there yet", "a worker makes it when it starts"
        )
        topics.ensure(settings)
        after = by_name(doctor.broker(settings))
        assert {check.status for check in after.values()} == {Status.OK}
        other = by_name(doctor.broker(Settings.load(kafka_url=url, partitions=8)))
        assert other["topic rows"] == Check(
            "topic rows",
            Status.FAIL,
            "partitions: 4, expected: 8",
            "set FLOODMARK_PARTITIONS=4, or FLOODMARK_TOPIC_PREFIX for other topics",
        )
        assert other["topic alerts"].status is Status.OK


@pytest.mark.parametrize(
    ("configs", "status"),
    [
        ({}, Status.OK),
        ({"retention.ms": "-1"}, Status.OK),
        ({"retention.ms": "604800000", "message.timestamp.type": "LogAppendTime"}, Status.OK),
        ({"retention.ms": "604800000", "message.timestamp.type": "CreateTime"}, Status.WARN),
        ({"retention.ms": "604800000"}, Status.WARN),
    ],
)
def test_retention_by_the_time_of_old_posts_is_warned_of(configs: dict[str, str], status: Status) -> None:
    check = doctor.retention_check("posts", configs)
    assert check.status is status
    assert bool(check.remedy) == (status is Status.WARN)


@pytest.mark.parametrize(
    ("version", "status"), [("6.2.0", "ok"), ("7", "ok"), ("10.0.1", "ok"), ("6.0.16", "fail"), ("?", "fail")]
)
def test_an_old_redis_fails(version: str, status: str) -> None:
    assert doctor.redis_version(version).status.value == status


def test_the_table_shows_brackets_of_server_messages_as_they_are() -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(doctor.table([Check("redis", Status.FAIL, "said [red]x[/red]", "do [this]")]))
    line = capture.get().splitlines()[1]
    assert line.split() == ["fail", "redis", "said", "[red]x[/red]", "do", "[this]"]
