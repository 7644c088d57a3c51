"""An Apache Kafka node for tests: run with deploy/kafka/kafka, killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exits = ExitStack()
        self.url = f"kafka://127.0.0.1:{self._format()}"

    def start(self) -> None:
        """Start it, or start it again, and wait until its cluster has it."""
        log = self.folder / "kafka.log"
        command = [sys.executable, str(SCRIPT), "start", "--foreground", "--data", str(self.folder)]
        self._process = self._exits.enter_context(embedded.running("Apache Kafka", command, log))
        embedded.await_ready("Apache Kafka", self._process, log, self._answers, START_S)

    def kill(self) -> None:
        """End it as a power cut would, but for the disk cache."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._exits.close()

    def _format(self) -> int:
        done = script("format", "--data", str(self.folder))
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
    ready = script("resolve")
    if ready.returncode:
        reason = f"no Apache Kafka: {ready.stderr.strip()}"
        if "kafka" in os.environ.get("FLOODMARK_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)
    made = Node(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/kafka/kafka to its end."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
