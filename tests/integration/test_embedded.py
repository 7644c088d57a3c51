"""The servers that come along, the topics, and what is said when something is not there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from streams import archive, embedded, live, replay, topics
from streams.embedded import StartError
from streams.ending import STOPPED
from streams.settings import Settings
from streams.topics import BrokerError, TopicMismatchError

pytestmark = pytest.mark.servers

NOBODY = "127.0.0.1:1"
"""Port 1 needs privileges nobody has in a test: nothing listens there."""


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_redis_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    with embedded.redis_server(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.ping()
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("save")["save"] == ""
    with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_durable_redis_has_its_data_after_a_restart_on_its_port_and_another_has_not(tmp_path: Path) -> None:
    with embedded.redis_server(tmp_path, durable=True) as url, redis.Redis.from_url(url) as client:
        client.set("kept", "1")
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    port = int(url.rpartition(":")[2].removesuffix("/0"))
    for durable, value in ((True, b"1"), (False, None)):
        with (
            embedded.redis_server(tmp_path, port, durable=durable) as again,
            redis.Redis.from_url(again) as client,
        ):
            assert again == url
            assert client.get("kept") == value


def test_servers_are_stopped_when_the_block_raises(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), embedded.broker(tmp_path) as url:
        raise ZeroDivisionError
    with pytest.raises(BrokerError):
        topics.answer([url.removeprefix("kafka://")], timeout_s=0.5)


def test_sigterm_stops_everything_that_was_started(tmp_path: Path) -> None:
    code = """
import signal
from streams.live import Stack
with Stack(workers=0) as stack:
    print(stack.settings.redis_url, stack.settings.kafka_servers[0], flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url, server = parent.stdout.readline().split()
        parent.terminate()
        assert parent.wait(30) == 128 + signal.SIGTERM
    with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
    with pytest.raises(BrokerError):
        topics.reach([server], timeout_s=0.5)


def test_an_occupied_port_is_named_with_the_remedy(tmp_path: Path, taken_port: int) -> None:
    with (
        pytest.raises(StartError, match=rf"port {taken_port} for Redis is taken .* --redis-port"),
        embedded.redis_server(tmp_path, taken_port),
    ):
        pass
    with (
        pytest.raises(StartError, match=rf"port {taken_port} for the broker is taken .* --kafka-port"),
        embedded.broker(tmp_path, taken_port),
    ):
        pass


def test_a_process_that_dies_at_start_is_reported_with_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "dies.log"
    command = [sys.executable, "-c", "import sys; sys.exit('the disk is full')"]
    with embedded.running("the archive", command, log) as process:
        said = "the archive ended with status 1 while starting: the disk is full"
        with pytest.raises(StartError, match=said):
            embedded.await_ready("the archive", process, log, lambda: False)


def test_topics_are_made_once_and_must_fit_the_settings(tmp_path: Path) -> None:
    with embedded.broker(tmp_path) as url:
        settings = Settings.load(kafka_url=url, partitions=3)
        topics.ensure(settings)
        topics.ensure(settings)
        assert topics.answer(settings.kafka_servers) == ["alerts", "baseline", "posts", "posts.dead", "rows"]
        with pytest.raises(TopicMismatchError, match="topic posts has 3 partitions, 2 expected"):
            topics.ensure(Settings.load(kafka_url=url, partitions=2))


def test_an_absent_broker_is_named_by_whoever_needs_it(tmp_path: Path) -> None:
    settings = Settings.load(kafka_url=f"kafka://{NOBODY}")
    with pytest.raises(BrokerError, match=f"no broker answers at {NOBODY}"):
        topics.answer(settings.kafka_servers, timeout_s=0.5)
    with (
        pytest.raises(BrokerError, match=f"no broker answers at {NOBODY}"),
        replay.producing(settings, reach_s=0.5) as sink,
    ):
        sink.send(b"{}", [], 0)
    with pytest.raises(BrokerError, match=f"no broker answers at {NOBODY}"):
        next(live.messages(settings, reach_s=0.5))


def test_a_worker_without_redis_or_broker_says_so_in_one_line_and_ends_with_3(tmp_path: Path) -> None:
    with embedded.broker(tmp_path) as kafka_url:
        without_redis = Settings.load(kafka_url=kafka_url, redis_url=f"redis://{NOBODY}/0", metrics_port=0)
        worker = run_worker(without_redis)
    assert worker.returncode == STOPPED
    assert f"no Redis answers at redis://{NOBODY}/0" in worker.stderr
    assert "Traceback" not in worker.stderr


def test_a_broker_that_goes_away_while_a_worker_starts_is_said_in_one_line(tmp_path: Path) -> None:
    """After its topics were looked at, and before Faust connects."""
    code = """
from streams import topics, worker
from streams.settings import Settings
topics.ensure = lambda settings: None
worker.run(Settings.load())
"""
    with embedded.redis_server(tmp_path) as redis_url:
        settings = Settings.load(kafka_url=f"kafka://{NOBODY}", redis_url=redis_url, metrics_port=0)
        done = run_worker(settings, command=["-c", code])
    assert done.returncode == STOPPED
    assert "stopping: the broker failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_is_wrong_stops_a_worker_with_its_name() -> None:
    environ = live.environment(Settings.load(metrics_port=0)) | {"FLOODMARK_PARTITIONS": "0"}
    worker = run_worker(None, environ)
    assert worker.returncode == STOPPED
    assert worker.stderr.count("\n") == 1
    assert "FLOODMARK_PARTITIONS" in worker.stderr


def run_worker(
    settings: Settings | None,
    environ: dict[str, str] | None = None,
    command: Sequence[str] = ("-m", "streams.worker"),
) -> subprocess.CompletedProcess[str]:
    env = environ if settings is None else live.environment(settings)
    return subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_replay_sends_posts_of_one_message_in_one_format_and_begins_and_ends_every_partition(
    tmp_path: Path,
) -> None:
    records = [archive.Record(b'{"n": %d}' % n, "x", n, [], "floodmark" if n < 5 else None) for n in range(7)]
    sent: list[tuple[bytes, list[tuple[str, bytes]], int]] = []

    class Sink:
        def send(self, value: bytes, headers: list[tuple[str, bytes]], partition: int) -> None:
            sent.append((value, headers, partition))

    told: list[int] = []
    result = replay.send(
        records, Sink(), 2, posts_per_message=3, advance=lambda count, time_ms: told.append(count)
    )
    begin, posts, end = sent[:2], sent[2:5], sent[5:]
    assert [value.count(b"\n") + 1 for value, _, _ in posts] == [3, 2, 2]
    assert [partition for _, _, partition in sent] == [0, 1, 0, 1, 0, 0, 1]
    assert [dict(headers).get("format") for _, headers, _ in posts] == [b"floodmark", b"floodmark", None]
    assert [headers for _, headers, _ in begin] == [[("floodmark-punctuation", b"begin")]] * 2
    assert [headers for _, headers, _ in end] == [[("floodmark-punctuation", b"end")]] * 2
    assert told == [3, 2, 2]
    assert result.messages == 3
