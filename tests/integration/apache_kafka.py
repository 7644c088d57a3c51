"""An Apache Kafka node for tests: run with deploy/kafka/kafka, killed and started again."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from streams import embedded

SCRIPT: Final = Path(__file__).parent.parent.parent / "deploy" / "kafka" / "kafka"
START_S: Final = 60.0


class Node:
    """One node, broker and controller, whose data outlive its process.

    Attributes
    ----------
    url : str
        ``kafka://127.0.0.1:port``, the same after a restart.
    folder : Path
        Where its data and its log are.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._exits = ExitStack()
        self.url = f"kafka://127.0.0.1:{self._format(*options)}"

    def start(self) -> None:
        """Start it, or start it again, and wait until its cluster has it."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start it; does not wait, for one of three waits for the others."""
        command = [sys.executable, str(SCRIPT), "start", "--foreground", "--data", str(self.folder)]
        self._process = self._exits.enter_context(
            embedded.running("Apache Kafka", command, self.folder / "kafka.log")
        )

    def await_ready(self) -> None:
        """Wait until its cluster has it."""
        log = self.folder / "kafka.log"
        embedded.await_ready("Apache Kafka", self._process, log, self._answers, START_S)

    def kill(self) -> None:
        """End it as a power cut would, but for the disk cache."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._exits.close()

    def _format(self, *options: str) -> int:
        done = script("format", "--data", str(self.folder), *options)
        assert done.returncode == 0, done.stderr
        properties = (self.folder / "server.properties").read_text().splitlines()
        (address,) = [line for line in properties if line.startswith("advertised.listeners=")]
        return int(address.rpartition(":")[2])

    def _answers(self) -> bool:
        return script("status", "--data", str(self.folder)).returncode == 0


@contextmanager
def node(folder: Path) -> Iterator[Node]:
    """A node that runs, with an empty log; stopped at the end.

    Skips, visibly, where there is no Java or Kafka's jars cannot be had. With kafka in FLOODMARK_REQUIRE (as
    in CI) that is a failure.
    """
    require()
    made = Node(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def free_port() -> int:
    """A port that no connection going out can take while a node is down."""
    # Not seeded: two test runs at the same time must not find the same.
    while True:
        port = random.randrange(10_001, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/kafka/kafka to its end."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def require() -> None:
    """Skip where Apache Kafka cannot be had, or fail where it must be; see `node`."""
    ready = script("resolve")
    if ready.returncode:
        reason = f"no Apache Kafka: {ready.stderr.strip()}"
        if "kafka" in os.environ.get("FLOODMARK_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def three(folder: Path) -> Iterator[tuple[Node, Node, Node]]:
    """Three nodes of one cluster that run; stopped at the end. Skips as `node` does."""
    require()
    ports = [(free_port(), free_port()) for _ in range(3)]
    voters = ",".join(f"{n}@127.0.0.1:{controller}" for n, (_, controller) in enumerate(ports, 1))
    made = [
        Node(
            folder / str(n),
            *("--id", str(n), "--port", str(port), "--controller-port", str(controller), "--voters", voters),
        )
        for n, (port, controller) in enumerate(ports, 1)
    ]
    try:
        for one in made:
            one.launch()
        for one in made:
            one.await_ready()
        yield made[0], made[1], made[2]
    finally:
        for one in made:
            one.stop()
