"""What `benchmarks.restart` measured, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks import machine
from benchmarks.figures import Busy

PARTITIONS: Final = 4
LIMIT_S: Final = 5.0
"""Windows of 100,000 rows are to be back within so long."""


@dataclass(frozen=True)
class Held:
    """What the windows held."""

    rows: int
    hashtags: int
    buckets: int
    texts: int

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows with {self.texts:,} texts, under {self.hashtags:,} hashtags, in"
            f" {self.buckets:,} buckets of a minute"
        )


@dataclass(frozen=True)
class Loaded:
    """All partitions taken over in one process.

    Attributes
    ----------
    read_s : float
        To read them from Redis.
    resumed_s : float
        To make monitors of them.
    first_hop_s, again_s : float
        To assess the next hop, and to do it again: the first time, all texts are looked at.
    """

    read_s: float
    resumed_s: float
    first_hop_s: float
    again_s: float
    held: Held

    @property
    def seconds(self) -> float:
        """Until the windows are back."""
        return self.read_s + self.resumed_s


@dataclass(frozen=True)
class Back:
    """A worker that was started after another had ended.

    Attributes
    ----------
    begun_s : float
        From its start until it serves its metrics: Python has read its libraries, topics are checked.
    ready_s : float
        From its start to its line that it is ready.
    load_s : float
        To take its partitions over, one after the other, by its metric `floodmark_load_seconds`.
    rows : int
        How many it held then.
    """

    begun_s: float
    ready_s: float
    load_s: float
    rows: int


@dataclass(frozen=True)
class Measured:
    """One mix of hashtags.

    Attributes
    ----------
    counted_s : float
        To count the posts in the first place, assessing every hop.
    """

    mix: str
    counted_s: float
    loaded: Sequence[Loaded]
    stopped: Sequence[Back]
    killed: Sequence[Back]
    lost: Sequence[Back]
    busy: Busy

    @property
    def held(self) -> Held:
        """What the windows held."""
        return self.loaded[0].held

    def __str__(self) -> str:
        return (
            f"{self.held}; loaded in {median(one.seconds for one in self.loaded):.2f} s; ready"
            f" {median(one.ready_s for one in self.stopped):.2f} s after a stop,"
            f" {median(one.ready_s for one in self.killed):.2f} s after a kill,"
            f" {median(one.ready_s for one in self.lost):.1f} s after Redis was emptied; load {self.busy}"
        )


def page(command: str, measured: Sequence[Measured]) -> str:
    """The results as Markdown, as far as there are any."""
    lines = [
        "# How soon a worker has its windows back",
        "",
        f"Written by `{command}`; do not edit by hand.",
        "",
        f"Measured with {machine.named()}. One node of Apache Kafka, a Redis that waits for the disk with"
        f" every write (`appendfsync always`) and one worker that owns all {PARTITIONS} partitions share this"
        " machine. Other work on it shows in the figures. Medians of"
        f" {len(measured[0].loaded)} times, the longest beside them, and once for an emptied Redis.",
        "",
        f"Wanted: windows of 100,000 rows are back within {LIMIT_S:g} s. Posts are made by the project"
        " (benchmarks/crowd.py) and lie within the two hours of a window, so none of them has left it.",
        "",
    ]
    for one in measured:
        lines += _section(one)
    return "\n".join(lines)


def _section(one: Measured) -> list[str]:
    missing = {back.rows for back in (*one.stopped, *one.killed, *one.lost)} - {one.held.rows}
    same = f"**Workers held {sorted(missing)}**" if missing else "Every worker held all of them"
    return [
        f"## {one.mix[0].upper()}{one.mix[1:]}",
        "",
        f"{one.held}. {same}. Load of the machine, in runnable processes: {one.busy}.",
        "",
        "| | median, s | longest, s | within |",
        "|---|---|---|---|",
        _row("read from Redis, in one process", [load.read_s for load in one.loaded]),
        _row("monitors made of it", [load.resumed_s for load in one.loaded]),
        _row("**windows back in one process**", [load.seconds for load in one.loaded], LIMIT_S),
        _row("assess the next hop, texts looked at for the first time", _all(one, lambda x: x.first_hop_s)),
        _row("assess it again", _all(one, lambda x: x.again_s)),
        *_back("SIGTERM", one.stopped, LIMIT_S),
        *_back("SIGKILL", one.killed),
        *_back("Redis was emptied", one.lost),
        _row("for comparison: all posts counted in the first place", [one.counted_s]),
        "",
        "After SIGKILL the broker keeps the partitions for the worker that is gone until it has not heard of"
        " it for 6 s, the session timeout. After Redis was emptied everything is counted again from the topic"
        " `rows`, and every hop is assessed again, because what hops decided is lost too; nothing is told"
        " twice.",
        "",
    ]


def _back(after: str, several: Sequence[Back], limit_s: float | None = None) -> list[str]:
    return [
        _row(f"**worker ready after {after}**, from its start", [one.ready_s for one in several], limit_s),
        _row("of this, until Python has read its libraries", [one.begun_s for one in several]),
        _row("of this, `floodmark_load_seconds`, all partitions", [one.load_s for one in several]),
    ]


def _all(one: Measured, figure: Callable[[Loaded], float]) -> list[float]:
    return [figure(load) for load in one.loaded]


def _row(what: str, seconds: Sequence[float], limit_s: float | None = None) -> str:
    middle = median(seconds)
    within = "" if limit_s is None else "yes" if middle < limit_s else "**no**"
    return f"| {what} | {middle:.2f} | {max(seconds):.2f} | {within} |"
