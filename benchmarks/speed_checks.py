"""What speed must not fall behind, as ratios: seconds differ from machine to machine, ratios little.

`make bench` fails where one is broken, and a small version is part of the tests (tests/unit/test_speed.py).
Ratios are of least costs: whatever else a machine does makes a run dearer, never cheaper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from benchmarks import speed_posts
from benchmarks.speed_report import Report, exponent

MOST_GROWTH: Final = 1.3
"""Greatest exponent with which the cost of a scan may grow with the posts; 1 is linear, 2 quadratic. Between
sizes that differ by 4, noise of 15 % moves it by 0.1."""

MOST_TIMES: Final = {speed_posts.ONE: 30.0, speed_posts.MANY: 25.0}
"""So many times what a post costs in the bare loop a scan may cost at the smallest size: about twice what it
did when this was written. To be lowered as scans become faster."""


class Check(NamedTuple):
    """One ratio, and the most it may be."""

    name: str
    ratio: float
    most: float

    @property
    def kept(self) -> bool:
        """Whether the ratio is within its bound."""
        return self.ratio <= self.most


def growth(name: str, costs: Mapping[int, float], most: float = MOST_GROWTH) -> Check:
    """The exponent of the growth of a whole job, from the cost of a post by number of posts."""
    return Check(f"{name}: exponent of the growth of a scan", exponent(costs), most)


def times(name: str, scan_us: float, limit_us: float, most: float) -> Check:
    """What a post costs in a scan over what it costs in the bare loop."""
    return Check(f"{name}: a scan over the bare loop", scan_us / limit_us, most)


def checks(report: Report) -> list[Check]:
    """Every check for which there are figures."""
    out = []
    for kind in speed_posts.KINDS:
        costs = {size.posts: min(scan.us for scan in size.scans) for size in report.of(kind)}
        if len(costs) > 1:
            out.append(growth(kind, costs))
        if costs and report.limits.get(kind):
            least = min(one.us for one in report.limits[kind])
            out.append(times(kind, costs[min(costs)], least, MOST_TIMES[kind]))
    return out
