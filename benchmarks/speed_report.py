"""All that one run of `make bench` measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from statistics import median
from typing import Final

import msgspec

from benchmarks.scan import Scanned
from benchmarks.speed_limit import Limit
from benchmarks.speed_live import Lag, Live
from benchmarks.speed_memory import Hashtags, Stream
from benchmarks.speed_peers import Job, Signed
from benchmarks.speed_profile import Profile

SHORT: Final = "short"
USUAL: Final = "usual"
FULL: Final = "full"

PROCESSES: Final = 2
"""Processes that share a scan: as many as there are cores here."""


class Size(msgspec.Struct):
    """One file of posts, scanned some times; `why` if that was given up.

    Attributes
    ----------
    shared : list of Scanned
        Scanned by `PROCESSES` processes and one that reads.
    """

    kind: str
    posts: int
    hashtags: int
    scans: list[Scanned] = []
    shared: list[Scanned] = []
    why: str = ""

    @property
    def us(self) -> float:
        """Microseconds of processor time a post costs, the median."""
        return median(scan.us for scan in self.scans)


class Report(msgspec.Struct):
    """Everything measured, as far as the run has come.

    Attributes
    ----------
    extent : str
        `SHORT`, `USUAL` or `FULL`.
    limits : by kind of posts
        The bare loop, repeated.
    sizes : list of Size
        By kind, rising.
    live_scan : list of Scanned
        Scans of what the live worker is given, repeated.
    notes : list of str
        What could not be measured, and why.
    """

    machine: str
    command: str
    extent: str
    load: list[float] = []
    notes: list[str] = []
    limits: dict[str, list[Limit]] = {}
    sizes: list[Size] = []
    first_output_s: list[float] = []
    hashtags: Hashtags | None = None
    invented: Hashtags | None = None
    stream: Stream | None = None
    live_scan: list[Scanned] = []
    live: list[Live] = []
    lags: list[Lag] = []
    signed: list[Signed] = []
    jobs: list[Job] = []
    profiles: dict[str, Profile] = {}

    def limit_us(self, kind: str) -> float:
        """What a post of a kind costs in the bare loop, the median; NaN if that was not measured."""
        return middle(one.us for one in self.limits.get(kind, ()))

    def of(self, kind: str) -> list[Size]:
        """The sizes of a kind that were scanned, rising."""
        return [size for size in self.sizes if size.kind == kind and size.scans]

    def live_by(self, per_message: int) -> list[Live]:
        """The saturated runs with so many posts a message."""
        return [one for one in self.live if one.per_message == per_message]


def middle(values: Iterable[float]) -> float:
    """The median; NaN of nothing.

    >>> middle([3, 1, 2])
    2
    """
    known = list(values)
    return median(known) if known else float("nan")


def exponent(costs: Mapping[int, float]) -> float:
    """How the cost of a whole job grows with its size, from the smallest to the largest: 1 is linear.

    Parameters
    ----------
    costs : cost of a post by number of posts, at least two

    >>> exponent({10: 1.0, 1000: 10.0})
    1.5
    """
    least, most = min(costs), max(costs)
    return 1 + log(costs[most] / costs[least]) / log(most / least)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, with the least and the greatest where there are several.

    >>> spread([1.0, 2.0, 4.0]), spread([1000.0])
    ('2 (1 to 4)', '1,000')
    """
    if not values:
        return "none"
    said = f"{middle(values):,.{digits}f}"
    if len(values) == 1:
        return said
    return f"{said} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
