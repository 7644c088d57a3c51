"""Everything live on one machine: broker, Redis and workers, started, waited for, followed and stopped.

For `floodmark up`, `floodmark demo` and tests. docs/live.md says what the messages on `alerts` mean.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams import clock, embedded, topics
from streams.app import READY
from streams.embedded import StartError
from streams.monitoring import END_KEY
from streams.pipeline import PUNCTUATION
from streams.settings import PREFIX, Settings, variable

READY_S: Final = 60.0
"""How long a worker may take to get its partitions: the broker makes a join wait, a large state loads."""

_POLL_MS: Final = 200


@dataclass(frozen=True)
class Told:
    """One message of the topic `alerts`.

    Attributes
    ----------
    value : bytes
        An alert as one JSON line.
    ended : int or None
        The partition that has told everything; then `value` is no alert.
    """

    value: bytes
    ended: int | None


@dataclass(frozen=True)
class Worker:
    """A worker in a process of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Nothing, if it runs.

        Raises
        ------
        StartError
            If it ended; with its last line.
        """
        status = self.process.poll()
        if status is not None:
            said = embedded.last_line(self.log)
            raise StartError(f"{self.name} ended with status {status}: {said}; its log is {self.log}")


class Stack:
    """A broker, a Redis and workers, as a context manager.

    Leaves nothing running, whether its block ends, raises or is ended by SIGTERM or Ctrl-C.

    Parameters
    ----------
    workers : int
        How many are started at once; more can be started later.
    kafka_port, redis_port : int, optional
        Free ones if not given.
    kafka_url, redis_url : str, optional
        A broker and a Redis that run already; embedded ones are started where not given.
    folder : Path, optional
        Where logs go; a temporary one, removed at the end, if not given.
    overrides
        Settings by name, as `Settings.load` takes them.

    Attributes
    ----------
    settings : Settings
        With the addresses of the servers; set once started.
    folder : Path
    workers : list of Worker
        Those that are to run; take out of it what you stop yourself.
    """

    settings: Settings
    folder: Path

    def __init__(
        self,
        *,
        workers: int = 1,
        kafka_port: int | None = None,
        redis_port: int | None = None,
        kafka_url: str | None = None,
        redis_url: str | None = None,
        folder: Path | None = None,
        **overrides: Any,
    ) -> None:
        self._count = workers
        self._kafka_url = kafka_url
        self._redis_url = redis_url
        self._ports = (kafka_port, redis_port)
        self._folder = folder
        self._overrides = overrides
        self._exits = ExitStack()
        self._started = 0
        self.workers: list[Worker] = []

    def __enter__(self) -> Stack:
        with ExitStack() as exits:
            if threading.current_thread() is threading.main_thread():
                exits.enter_context(embedded.stopping_on_sigterm())
            self.folder = self._folder or Path(
                exits.enter_context(tempfile.TemporaryDirectory(prefix="floodmark-"))
            )
            servers: dict[str, Any] = {"kafka_url": self._kafka_url, "redis_url": self._redis_url}
            if self._kafka_url is None:
                servers["kafka_url"] = exits.enter_context(embedded.broker(self.folder, self._ports[0]))
                servers["transactions"] = False  # the embedded broker has none
            if self._redis_url is None:
                servers["redis_url"] = exits.enter_context(embedded.redis_server(self.folder, self._ports[1]))
            self.settings = Settings.load(**{**self._overrides, **servers})
            topics.ensure(self.settings)
            self._exits = exits
            started = [self.start_worker() for _ in range(self._count)]
            for worker in started:
                self.await_ready(worker)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def start_worker(self) -> Worker:
        """Start one more worker; does not wait for it."""
        self._started += 1
        number = self._started
        log = self.folder / f"worker-{number}.log"
        # Only one can have the port of the metrics.
        port = self.settings.metrics_port if number == 1 else 0
        environ = environment(self.settings.model_copy(update={"metrics_port": port}))
        environ["TMPDIR"] = str(self.folder)  # what a killed worker leaves behind goes with the folder
        command = [sys.executable, "-m", "streams.worker"]
        name = f"worker {number}"
        process = self._exits.enter_context(embedded.running(name, command, log, environ))
        worker = Worker(name, process, log)
        self.workers.append(worker)
        return worker

    def await_ready(self, worker: Worker) -> None:
        """Wait until a worker has its partitions and their state.

        Raises
        ------
        StartError
            If it ended or took too long.
        """
        embedded.await_ready(
            worker.name, worker.process, worker.log, lambda: READY in worker.log.read_text(), READY_S
        )

    def check(self) -> None:
        """Nothing, if all workers run; see `Worker.check`."""
        for worker in self.workers:
            worker.check()


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child process that is to have these settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return inherited | {variable(name): str(value) for name, value in settings.model_dump().items()}


def messages(
    settings: Settings,
    check: Callable[[], None] = lambda: None,
    timeout_s: float | None = None,
    reach_s: float = topics.REACH_S,
) -> Iterator[Told]:
    """All messages of the topic `alerts` from its beginning, and then those that come; endless.

    Parameters
    ----------
    check : callable
        Called about five times a second; what it raises ends the iteration.
    timeout_s : float, optional
        Wall time after which to give up.
    reach_s : float
        Wall time to try to reach the broker.

    Raises
    ------
    TimeoutError
        If `timeout_s` passed.
    BrokerError
        If the broker is away.
    """
    deadline_s = None if timeout_s is None else clock.monotonic_s() + timeout_s
    topics.reach(settings.kafka_servers, reach_s)
    with topics.quiet():
        try:
            consumer = KafkaConsumer(
                bootstrap_servers=list(settings.kafka_servers),
                client_id="floodmark-follow",
                group_id=None,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                # What a worker that died was about to tell is told by its successor.
                isolation_level="read_committed" if settings.transactions else "read_uncommitted",
                fetch_max_wait_ms=_POLL_MS,
            )
        except KafkaError as error:
            raise topics.unreachable(settings.kafka_servers, error) from error
        try:
            partition = TopicPartition(settings.alerts_topic, 0)
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            while deadline_s is None or clock.monotonic_s() < deadline_s:
                check()
                for record in consumer.poll(timeout_ms=_POLL_MS).get(partition, ()):
                    yield _told(record)
        finally:
            consumer.close()
    raise TimeoutError(f"the topic {settings.alerts_topic} was not complete after {timeout_s:g} s")


def until_end(
    settings: Settings, check: Callable[[], None] = lambda: None, timeout_s: float | None = None
) -> Iterator[bytes]:
    """The alerts as JSON lines, until every partition has said that it has told everything.

    That is the case once a replay ended, all its posts are counted and the last hop is assessed and stored.

    Raises
    ------
    TimeoutError
        If that did not happen within `timeout_s`.
    """
    telling = set(range(settings.partitions))
    for told in messages(settings, check, timeout_s):
        if told.ended is None:
            yield told.value
            continue
        telling.discard(told.ended)
        if not telling:
            return


def following(
    settings: Settings, check: Callable[[], None] = lambda: None, timeout_s: float | None = None
) -> Iterator[Mapping[str, Any]]:
    """The alerts until the end, as `until_end` gives them, decoded."""
    return (
        msgspec.json.decode(value, type=dict[str, Any]) for value in until_end(settings, check, timeout_s)
    )


def wait_closed(
    settings: Settings, check: Callable[[], None] = lambda: None, timeout_s: float | None = None
) -> int:
    """Wait until every partition has told everything; gives the number of messages about alerts."""
    return sum(1 for _ in until_end(settings, check, timeout_s))


def _told(record: Any) -> Told:
    if any(name == PUNCTUATION for name, _ in record.headers):
        return Told(record.value, int(record.key.decode().removeprefix(END_KEY)))
    return Told(record.value, None)
