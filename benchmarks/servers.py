"""Servers whose data outlive their process, for benchmarks and tests: started, killed and started again.

An Apache Kafka node and a Redis that keeps what it acknowledged, as `deploy/` runs them.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from streams import embedded
from streams.embedded import StartError
from streams.live import Stack

DEPLOY: Final = Path(__file__).parent.parent / "deploy"
START_S: Final = 60.0

PORTS: Final = range(10_001, 32_768)
"""Below those that the system gives to connections that go out: while a server is down, one of its own
clients could be given its port."""


def script(kind: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `deploy/<kind>/<kind>` to its end."""
    command = [sys.executable, str(DEPLOY / kind / kind), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Server:
    """One server of `deploy/`. Its address stays the same over a restart.

    Parameters
    ----------
    kind : str
        "kafka" or "redis".
    folder : Path
        Where its data and its log are.
    name : str
        What to call it to people.
    port : int
        Where it listens.
    options : str
        For its first start.

    Attributes
    ----------
    killed : bool
        Whether the process that ran last was killed by us.
    """

    def __init__(self, kind: str, folder: Path, name: str, port: int, *options: str) -> None:
        self.folder = folder
        self.name = name
        self.url = f"{kind}://{embedded.LOOPBACK}:{port}" + ("/0" if kind == "redis" else "")
        self.log = folder / f"{kind}.log"
        self.killed = False
        self._kind = kind
        self._options = options
        self._exits = ExitStack()

    def launch(self) -> None:
        """Start it, or start it again; does not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        script = str(DEPLOY / self._kind / self._kind)
        command = [sys.executable, script, "start", "--foreground", "--data", str(self.folder)]
        self.killed = False
        self._process = self._exits.enter_context(
            embedded.running(self.name, [*command, *self._options], self.log)
        )

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers.

        Raises
        ------
        StartError
            If it ended or took too long.
        """
        self.launch()
        embedded.await_ready(self.name, self._process, self.log, self._answers, START_S)

    @property
    def status(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it as a power cut would, but for the disk cache."""
        self.killed = True
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._exits.close()

    def _answers(self) -> bool:
        return script(self._kind, "status", "--data", str(self.folder)).returncode == 0


def kafka(folder: Path) -> Server:
    """An Apache Kafka node with an empty log, broker and controller in one; not started yet.

    Raises
    ------
    StartError
        If there is no Java, or Kafka's jars cannot be had.
    """
    port, controller_port = free_ports(2)
    options = ("--port", str(port), "--controller-port", str(controller_port))
    done = script("kafka", "format", "--data", str(folder), *options)
    if done.returncode:
        raise StartError(done.stderr.strip())
    return Server("kafka", folder, "Apache Kafka", port)


def redis(folder: Path, fsync: str = "always") -> Server:
    """A Redis without data; not started yet.

    Parameters
    ----------
    fsync : str
        "always", or "everysec", with which it may lose what it acknowledged last.
    """
    (port,) = free_ports(1)
    return Server("redis", folder, "Redis", port, "--port", str(port), "--fsync", fsync)


@contextmanager
def deployment(name: str, kafka_url: str, folder: Path, partitions: int, workers: int) -> Iterator[Stack]:
    """Topics and a consumer group of this name, a Redis of their own that keeps its data, and workers."""
    store = redis(folder / name)
    store.start()
    try:
        with Stack(
            workers=workers,
            kafka_url=kafka_url,
            redis_url=store.url,
            partitions=partitions,
            metrics_port=0,
            topic_prefix=f"{name}.",
            group=name,
        ) as stack:
            yield stack
    finally:
        store.stop()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    free: list[int] = []
    # Not seeded: two that look at the same time must not find the same.
    for port in random.sample(PORTS, len(PORTS)):
        if len(free) == count:
            break
        if is_free(port):
            free.append(port)
    return free


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((embedded.LOOPBACK, port))
        except OSError:
            return False
    return True
