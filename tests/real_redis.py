"""A Redis that keeps its data, and a cluster of three: run with deploy/redis/redis, killed, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).parent.parent / "deploy" / "redis" / "redis"
NODES: Final = 3


@dataclass(frozen=True)
class Node:
    """A Redis whose data outlive its process."""

    folder: Path

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:port/0``, the same after a restart."""
        (line,) = [
            line for line in (self.folder / "redis.conf").read_text().splitlines() if line.startswith("port ")
        ]
        return f"redis://127.0.0.1:{int(line.removeprefix('port '))}/0"

    def start(self, *options: str) -> None:
        """Start it, or start it again, and wait until it answers."""
        checked("start", "--data", str(self.folder), *options)

    def kill(self) -> None:
        """End it as a power cut would, but for the disk cache."""
        os.kill(int((self.folder / "redis.pid").read_text()), signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, if it runs."""
        checked("stop", "--data", str(self.folder))


@dataclass(frozen=True)
class Cluster:
    """Three nodes that share all slots."""

    folder: Path

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All of them, by number."""
        return tuple(Node(self.folder / str(number)) for number in range(1, NODES + 1))

    @property
    def url(self) -> str:
        """The address of the first node."""
        return self.nodes[0].url

    def start(self) -> None:
        """Start the nodes that do not run, and wait until the cluster takes writes."""
        checked("cluster", "start", "--data", str(self.folder))

    def stop(self) -> None:
        """End all nodes in order."""
        checked("cluster", "stop", "--data", str(self.folder))


@contextmanager
def node(folder: Path) -> Iterator[Node]:
    """A Redis that runs, with no data; stopped at the end."""
    made = Node(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that runs, with no data; stopped at the end."""
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/redis/redis to its end."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def checked(*arguments: str) -> str:
    """Run it and give what it said; an error if it refused."""
    done = script(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
