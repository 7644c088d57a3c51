"""A scan in several processes: each has the hashtags of one partition, one more reads for all of them."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Any, Final, TypeVar

from detectors.alert import Alert, Reason
from detectors.baseline import Baseline
from streams import packets
from streams.monitor import Rules
from streams.packets import Packet
from streams.periods import Closing
from streams.scan_output import Files, Kept
from streams.scan_part import Found, Scanner, Told

MOST_JOBS: Final = 64

MOST_WAITING: Final = 4
"""Packets that wait for a process, beside what its pipe holds."""

PATIENCE_S: Final = 0.2
"""How often to look whether a process ended, while there is no room for more."""

_STOP_S: Final = 5.0


class JobEndedError(RuntimeError):
    """A process of the scan ended before it was done; says how."""


# What is said to a process, and what it says.


@dataclass(frozen=True)
class _Posts:
    packet: bytes


@dataclass(frozen=True)
class _News:
    alert: Alert
    reason: Reason


@dataclass(frozen=True)
class _Ended:
    """It has assessed everything; or, said to it, the last hop of all of them."""

    last_ms: int


_Said = Closing | _News | _Ended | Found | Exception
_Answer = TypeVar("_Answer", _Ended, Found)


@dataclass(frozen=True)
class _Task:
    """All that a process has to know."""

    partition: int
    partitions: int
    folder: Path
    rules: Rules
    baseline: Baseline
    tells: bool


class Jobs:
    """Scanners in processes of their own; a context manager, at whose end none of them runs any more.

    Parameters
    ----------
    count : int
        How many.
    out : Path
        Where they may keep their pieces until all are there.
    rules, baseline
    files : Files
        What the pieces are put into.
    told : called in this process as an alert fires, grows or ends
    """

    def __init__(
        self, count: int, out: Path, rules: Rules, baseline: Baseline, files: Files, told: Told | None
    ) -> None:
        self.count = count
        self._out = out
        self._rules = rules
        self._baseline = baseline
        self._files = files
        self._told = told
        self._said: SimpleQueue[_Said] = SimpleQueue()
        self._ended: list[_Ended] = []
        self._found: list[Found] = []
        self._exits = ExitStack()
        self._jobs: list[_Job] = []

    def __enter__(self) -> Jobs:
        with ExitStack() as exits:
            root = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="parts-", dir=self._out)))
            exits.callback(self._stop)
            for partition in range(self.count):
                folder = root / str(partition)
                folder.mkdir()
                tells = self._told is not None
                task = _Task(partition, self.count, folder, self._rules, self._baseline, tells)
                self._jobs.append(_Job(task))
            for job in self._jobs:
                job.start(self._hear)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _stop(self) -> None:
        for job in self._jobs:
            job.stop()

    def take(self, packets_: Sequence[Packet]) -> None:
        """Pass each scanner its packet; waits where one has more to do than it can."""
        for job, packet in zip(self._jobs, packets_, strict=True):
            posts = _Posts(packets.encode(packet))
            while not job.take(posts, PATIENCE_S):
                self._tell()
        self._tell()

    def finish(self) -> Found:
        """Wait until all is assessed and written, and put it together."""
        last_ms = max(one.last_ms for one in self._all(self._ended))
        for job in self._jobs:
            job.say(_Ended(last_ms))
        parts = self._all(self._found)
        self._files.join(job.folder for job in self._jobs)
        return Found.joined(parts)

    def _all(self, answers: list[_Answer]) -> list[_Answer]:
        """Wait until every process has given one of these answers."""
        while len(answers) < self.count:
            self._heard(self._said.get())
        return answers

    def _tell(self) -> None:
        """Pass on what was said meanwhile."""
        while not self._said.empty():
            self._heard(self._said.get())

    def _heard(self, said: _Said) -> None:
        if isinstance(said, Exception):
            raise said
        if isinstance(said, _Ended):  # perhaps before the others were given their last packets
            self._ended.append(said)
        elif isinstance(said, Found):
            self._found.append(said)
        elif isinstance(said, _News) and self._told is not None:
            self._told(said.alert, said.reason)

    def _hear(self, job: _Job) -> None:
        """Pass on what a process says until it has said everything: to the others, or to `_said`."""
        said: _Said | None = None
        while not isinstance(said, Found | Exception):
            try:
                said = job.connection.recv()
            except (EOFError, OSError):
                said = job.ended()
            if isinstance(said, Closing):
                for other in self._jobs:
                    if other is not job:
                        other.say(said)
            else:
                self._said.put(said)


class _Job:
    """One process, and the way to it.

    What is said to it waits in a queue, which a thread empties: whoever passes on what others say must never
    wait for it, or two that wait for each other could.
    """

    def __init__(self, task: _Task) -> None:
        # Not forked: this process has threads.
        context = multiprocessing.get_context("spawn")
        self.folder = task.folder
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, task), name=f"scan-{task.partition}")
        self._process.start()
        theirs.close()
        self._queue: SimpleQueue[_Posts | Closing | _Ended | None] = SimpleQueue()
        self._room = Semaphore(MOST_WAITING)
        self._threads: list[Thread] = []

    def start(self, hear: Callable[[_Job], None]) -> None:
        """Begin to send, and to hear what it says."""
        self._threads = [
            Thread(target=self._send, daemon=True),
            Thread(target=hear, args=(self,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def take(self, posts: _Posts, timeout_s: float) -> bool:
        """Send it posts once there is room for them; gives whether there was within that time."""
        if not self._room.acquire(timeout=timeout_s):
            return False
        self._queue.put(posts)
        return True

    def say(self, what: Closing | _Ended) -> None:
        """Send it something behind all that was sent before; never waits."""
        self._queue.put(what)

    def _send(self) -> None:
        with suppress(OSError):  # it is gone, and whoever listens to it says so
            while (what := self._queue.get()) is not None:
                self.connection.send(what)
                if isinstance(what, _Posts):
                    self._room.release()

    def ended(self) -> JobEndedError:
        """What to say of it when it does not answer any more."""
        self._process.join(_STOP_S)
        status = self._process.exitcode
        how = f"with status {status}" if status is None or status >= 0 else f"by signal {-status}"
        return JobEndedError(
            f"a process of the scan ended {how} before it was done; if memory was short, use fewer --jobs"
        )

    def stop(self) -> None:
        """End it, if it runs, and whoever speaks with it."""
        self._process.terminate()
        self._process.join()
        self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self.connection.close()


def _work(connection: Connection[Any, Any], task: _Task) -> None:
    """What a process does. After an exception nobody foresaw, Python shows where and ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that reads ends the others
    with suppress(EOFError, BrokenPipeError):  # the one that reads is gone
        connection.send(_scanned(connection, task))


def _scanned(connection: Connection[Any, Any], task: _Task) -> Found | OSError:
    try:
        return _scan(connection, task)
    except BrokenPipeError:
        raise
    except OSError as error:
        return error


def _scan(connection: Connection[Any, Any], task: _Task) -> Found:
    def told(alert: Alert, reason: Reason) -> None:
        connection.send(_News(alert, reason))

    with Kept(task.folder) as pieces:
        scanner = Scanner(
            task.rules,
            task.baseline,
            pieces.put,
            told if task.tells else None,
            task.partition,
            task.partitions,
            connection.send,
        )
        said_so = False
        while True:
            said = connection.recv()
            if isinstance(said, _Ended):
                return scanner.finish(said.last_ms)
            if isinstance(said, Closing):
                scanner.hear(said)
            else:
                scanner.take(packets.decode(said.packet))
            if scanner.done and not said_so:
                connection.send(_Ended(scanner.last_ms))
                said_so = True
