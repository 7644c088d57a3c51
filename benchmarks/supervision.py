"""The operator of a deployment under attack: kills what it is told to, and starts again what ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.servers import Server
from streams import clock, embedded
from streams.ending import STOPPED
from streams.live import Stack, Worker

RESTART_S: Final = 1.0
"""A worker that stopped by itself is started again after so long, as systemd would."""

WORKER: Final = "worker"


@dataclass
class Supervision:
    """Workers and servers, and how they ended.

    Attributes
    ----------
    stack : Stack
        Whose workers are looked after.
    servers : by kind
        Those that may be killed.
    ended : Counter
        How often a worker ended with a status by itself.
    failures : list of str
        What must not happen: a worker that ended otherwise than with a reason, a server that ended by itself.
    """

    stack: Stack
    servers: Mapping[str, Server]
    ended: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _killed: list[Worker] = field(default_factory=list)
    _due_s: list[float] = field(default_factory=list)

    def tend(self) -> None:
        """Start again what has ended."""
        for server in self.servers.values():
            if (status := server.status) is not None:
                if not server.killed:
                    said = embedded.last_line(server.log)
                    self.failures.append(f"{server.name} ended with status {status}: {said}")
                server.launch()
        for worker in list(self.stack.workers):
            if (status := worker.process.poll()) is not None:
                self.stack.workers.remove(worker)
                self._due_s.append(clock.monotonic_s() + self._pause_s(worker, status))
        for due_s in [due_s for due_s in self._due_s if due_s <= clock.monotonic_s()]:
            self._due_s.remove(due_s)
            self.stack.start_worker()

    def _pause_s(self, worker: Worker, status: int) -> float:
        if worker in self._killed:
            return 0.0
        self.note(worker, status)
        return RESTART_S

    def note(self, worker: Worker, status: int) -> None:
        """Remember how a worker ended by itself."""
        self.ended[status] += 1
        if status != STOPPED:
            said = embedded.last_line(worker.log)
            self.failures.append(f"{worker.name} ended with status {status}: {said}; see {worker.log}")

    def can_kill(self, kind: str) -> bool:
        """Whether there is one of this kind that runs."""
        return bool(self._running()) if kind == WORKER else self.servers[kind].status is None

    def kill(self, kind: str, which: int) -> None:
        """SIGKILL one of a kind; `which` chooses among the workers that run."""
        if kind != WORKER:
            self.servers[kind].kill()
            return
        running = self._running()
        worker = running[which % len(running)]
        self._killed.append(worker)
        worker.process.kill()
        worker.process.wait()

    def _running(self) -> list[Worker]:
        return [worker for worker in self.stack.workers if worker.process.poll() is None]
