"""Where the processor time of a scan goes: by step and detector, and by function.

Steps are timed by wrapping functions of the program in this process, which must be one of its own. Time that
a step spends in another one counts for the other alone. What several detectors share, such as who shares a
text with whom, is worked out once and counts for the one that asked first.
"""

from __future__ import annotations

import cProfile
import importlib
import inspect
import pstats
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from time import process_time
from typing import Any, Final

import msgspec

from benchmarks.scan import Scanned, scanned
from detectors import DETECTORS
from streams.monitor import Rules
from streams.scan_output import ASSESSMENTS

PROJECT: Final = Path(__file__).parent.parent
MOST_FUNCTIONS: Final = 12

STEPS: Final = (
    ("read and decode", "streams.archive", "ordered"),
    ("make rows and packets", "streams.scan", "pack"),
    ("take rows in", "streams.monitor", "Monitor.plan"),
    ("take rows in", "streams.monitor", "Monitor.apply"),
    ("gather a window's rows", "streams.monitor", "joined"),
    ("gather a window's rows", "streams.monitor", "distinct"),
    ("canonical texts and signatures", "detectors.near_text", "TextIndex._look"),
    ("group texts", "streams.monitor", "_group"),
    ("sets of suspects", "detectors.assessment", "suspects"),
    ("members of sets", "detectors.assessment", "like"),
    ("patterns", "detectors.assessment", "pattern"),
    ("join the findings", "streams.monitor", "assess"),
    ("decide on the alert", "streams.monitor", "decide"),
    ("sum up hours", "streams.monitor", "Monitor.hour"),
    ("find what is due", "streams.monitor", "Monitor.assess"),
    ("drop rows", "streams.monitor", "Monitor.close"),
    ("drop rows", "streams.monitor", "Monitor.end"),
    ("write", "streams.scan_part", "assessment_json"),
    ("write", "streams.scan_part", "alert_json"),
    ("write", "streams.scan_part", "posts_text"),
    ("write", "streams.scan_part", "accounts_text"),
    ("write", "streams.scan_output", "Files.put"),
    ("write", "streams.scan_output", "Files.alerts"),
)
"""Step, module and function. One that is not there any more is named in the result."""

REST: Final = "everything else"

READING: Final = ("read and decode", "make rows and packets")
WRITING: Final = ("write",)
AROUND: Final = (*READING, *WRITING, "take rows in", "drop rows", "canonical texts and signatures", REST)
"""Steps that a post goes through once; all others are done again with every window that it is in."""


class _Judged(msgspec.Struct):
    posts: int


class Step(msgspec.Struct, frozen=True):
    """The processor time of one step over a whole scan, and how often it was entered."""

    name: str
    calls: int
    seconds: float


class Function(msgspec.Struct, frozen=True):
    """What one function took by itself, by a profiler that makes small ones look larger than they are."""

    name: str
    calls: int
    seconds: float


class Profile(msgspec.Struct, frozen=True):
    """One scan, taken to pieces; steps that take longest first.

    Attributes
    ----------
    missing : tuple of str
        Functions of `STEPS` that do not exist: their time is within other steps.
    judged : int
        Posts of all assessed windows: a post counts as often as it is in one.
    """

    scan: Scanned
    steps: tuple[Step, ...]
    missing: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    judged: int = 0

    def us(self, *steps: str) -> float:
        """Microseconds a post of some steps."""
        return 1e6 * sum(step.seconds for step in self.steps if step.name in steps) / max(1, self.scan.posts)


class Stopwatch:
    """Processor time by step; while one step is open within another, only the inner one runs."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._open: list[str] = [REST]
        self._since_s = process_time()

    @contextmanager
    def running(self, step: str) -> Iterator[None]:
        """Time the block as one call of a step."""
        self.calls[step] += 1
        with self._within(step):
            yield

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose time is that of a step, with the time of the iterator it may give."""

        @wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            with self.running(step):
                out = function(*arguments, **named)
            return self._iterated(step, out) if inspect.isgenerator(out) else out

        return wrapped

    def stop(self) -> None:
        """Give the time since the last step to what is open."""
        now_s = process_time()
        self.seconds[self._open[-1]] += now_s - self._since_s
        self._since_s = now_s

    @contextmanager
    def _within(self, step: str) -> Iterator[None]:
        self.stop()
        self._open.append(step)
        try:
            yield
        finally:
            self.stop()
            self._open.pop()

    def _iterated(self, step: str, items: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self._within(step):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


def steps(case: Path, out: Path, rules: Rules | None = None) -> Profile:
    """Scan a file with every step timed; changes this process for good."""
    watch = Stopwatch()
    missing = _wrap(watch)
    watch.stop()
    watch.seconds.clear()
    scan = scanned(case, out, rules)
    watch.stop()
    found = [Step(name, watch.calls[name], seconds) for name, seconds in watch.seconds.items()]
    lines = (out / ASSESSMENTS).read_bytes().splitlines()
    judged = sum(msgspec.json.decode(line, type=_Judged).posts for line in lines)
    return Profile(scan, tuple(sorted(found, key=lambda step: -step.seconds)), tuple(missing), judged=judged)


def _wrap(watch: Stopwatch) -> list[str]:
    missing = []
    for step, module, path in STEPS:
        owner: Any = importlib.import_module(module)
        *within, name = path.split(".")
        for one in within:
            owner = getattr(owner, one, None)
        if (function := getattr(owner, name, None)) is None:
            missing.append(f"{module}.{path}")
        else:
            setattr(owner, name, watch.timed(step, function))
    for detector in DETECTORS:
        for name in ("assess", "compare"):
            if (function := getattr(type(detector), name, None)) is not None:
                setattr(type(detector), name, watch.timed(f"detector {detector.name}", function))
    return missing


def functions(case: Path, out: Path) -> tuple[Function, ...]:
    """The functions with the most time of their own."""
    profiler = cProfile.Profile(process_time)
    profiler.runcall(scanned, case, out)
    every: Any = pstats.Stats(profiler)
    told = [Function(_named(*place), calls, own_s) for place, (_, calls, own_s, _, _) in every.stats.items()]
    return tuple(sorted(told, key=lambda one: -one.seconds)[:MOST_FUNCTIONS])


def _named(file: str, line: int, name: str) -> str:
    """The function without the folders of this machine; what is built in has no file."""
    path = Path(file)
    if not path.is_absolute():
        return name.strip("<>")
    known = path.is_relative_to(PROJECT) and ".venv" not in path.parts
    place = path.relative_to(PROJECT) if known else Path(*path.parts[-2:])
    return f"{place.as_posix()}: {name}"
