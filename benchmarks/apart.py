"""A function in a process of its own: its memory is its own, and it can be ended when it takes too long."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeVar

Answer = TypeVar("Answer")

_SPAWN: Final = multiprocessing.get_context("spawn")
"""Not forked: what the parent holds would count as the child's."""


class ApartError(RuntimeError):
    """The process failed; says how."""


class OverTimeError(ApartError):
    """The process was ended, because its time was up."""


def apart(
    function: Callable[..., Answer],
    *arguments: object,
    limit_s: float | None = None,
    limit_bytes: int | None = None,
) -> Answer:
    """What the function answers.

    Parameters
    ----------
    function : callable
        Of a module, so that another process can import it.
    limit_s : float, optional
        Wall time after which the process is ended.
    limit_bytes : int, optional
        What it may allocate.

    Raises
    ------
    OverTimeError
        If it took longer than `limit_s`.
    ApartError
        If it raised anything, or ended without an answer.
    """
    receiver, sender = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_answer, args=(sender, limit_bytes, function, arguments))
    process.start()
    sender.close()
    try:
        if not receiver.poll(limit_s):
            raise OverTimeError(f"not done within {limit_s:g} s")
        good, answer = receiver.recv()
    except EOFError:
        process.join()
        raise ApartError(f"ended with status {process.exitcode}") from None
    finally:
        if process.is_alive():
            process.join(1.0)
        if process.is_alive():
            process.kill()
        process.join()
        receiver.close()
    if not good:
        raise ApartError(answer)
    out: Answer = answer
    return out


def _answer(
    to: Connection, limit_bytes: int | None, function: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    try:
        to.send((True, function(*arguments)))
    except MemoryError:
        given = "" if limit_bytes is None else f" than {limit_bytes / 2**30:g} GiB"
        to.send((False, f"needs more memory{given}"))
    except Exception as error:
        to.send((False, f"{type(error).__name__}: {error}"))
        raise


def peak_mib(pid: int | str = "self") -> float:
    """The most memory a process has held since it began to run its program, in MiB."""
    return _status_mib(pid, "VmHWM")


def held_mib(pid: int | str = "self") -> float:
    """The memory that a process holds, in MiB."""
    return _status_mib(pid, "VmRSS")


def _status_mib(pid: int | str, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    (line,) = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024
