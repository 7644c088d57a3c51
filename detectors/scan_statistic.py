"""The one-dimensional scan statistic: is there an interval that holds more than its share?

Serves creation days, gaps between posts and counts of followees alike. The likelihood ratio is Kulldorff's
(M. Kulldorff, "A spatial scan statistic", 1997) with binomial tails; the p-value is exact to the safe side: a
Bonferroni bound over the intervals that are looked at, shared evenly between the widths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from detectors.keys import Whole, distinct_keys
from detectors.p_values import binomial_tail, bounded

STEPS_PER_WIDTH: Final = (
    4  # starts of an interval of width w are w / 4 apart: the best one is off by an eighth
)
SMOOTHING_GRID: Final = 512


@dataclass(frozen=True, slots=True)
class Cluster:
    """An interval of cells `[first, last]` that holds more than its share.

    Attributes
    ----------
    count : int
        Observations inside.
    total : int
        Observations in all.
    share : float
        Expected share of the observations inside, in (0, 1).
    units : int
        Distinct units (accounts) with an observation inside.
    p_value : float
        Corrected for every interval looked at.
    """

    first: int
    last: int
    count: int
    total: int
    share: float
    units: int
    p_value: float

    @property
    def ratio(self) -> float:
        """Observed over expected."""
        return self.count / max(self.total * self.share, 1e-12)


def densest(
    cells: NDArray[np.int64],
    units: NDArray[Whole],
    mass: NDArray[np.float64],
    widths: Sequence[int],
    *,
    min_units: int = 1,
    most_relative_width: float | None = None,
    against_flanks: bool = False,
) -> Cluster | None:
    """The interval with the greatest likelihood ratio among those that enough units share.

    Parameters
    ----------
    cells : int64, shape (n,)
        Cell of each observation, in [0, len(mass)).
    units : whole numbers, shape (n,)
        To whom each observation belongs.
    mass : float64, shape (c,)
        Null probability of each cell, or an upper bound of it.
    widths : in cells
    min_units : int
        An interval that fewer units share is not looked at.
    most_relative_width : float, optional
        Keep only intervals no wider than this share of their start (and those of at most two cells).
    against_flanks : bool
        Expect of an interval at least what lies beside it, on both sides, over twice its width: a slice of a
        broad hump is then no cluster, whatever `mass` says (as in the calling of peaks, Y. Zhang and others,
        "Model-based analysis of ChIP-Seq", 2008).

    Returns
    -------
    Cluster or None
        None if no interval holds more than its share for enough units.
    """
    total = len(cells)
    if total == 0:
        return None
    looked_at = _intervals(len(mass), tuple(widths), most_relative_width)
    counts = np.concatenate(([0], np.cumsum(np.bincount(cells, minlength=len(mass)))))
    masses = np.concatenate(([0.0], np.cumsum(mass)))
    inside = looked_at.inside(counts)
    full = np.flatnonzero(inside >= max(min_units, 1))  # nearly all are empty
    inside, starts, ends = inside[full], looked_at.starts[full], looked_at.ends[full]
    share = masses[ends] - masses[starts]
    if against_flanks:
        share = np.maximum(share, _beside(counts, starts, ends) / total)
    share = np.clip(share, 1e-12, 1 - 1e-12)
    keep = inside > share * total
    full, inside, starts, ends, share = full[keep], inside[keep], starts[keep], ends[keep], share[keep]
    if not full.size:
        return None
    tests = looked_at.tests[full]
    likelihood = _log_likelihood_ratio(inside, share, total) - np.log(tests)
    order = np.argsort(cells)
    cells, units = cells[order], units[order]
    for at in _falling(likelihood, starts, ends):
        first, last = int(counts[starts[at]]), int(counts[ends[at]])
        sharing = distinct_keys(units[first:last]).size
        if sharing < min_units:
            continue
        p_value = bounded(float(tests[at]) * float(binomial_tail(inside[at], total, share[at])))
        return Cluster(
            int(cells[first]),
            int(cells[last - 1]),
            int(inside[at]),
            total,
            float(share[at]),
            sharing,
            p_value,
        )
    return None


@dataclass(frozen=True)
class _Intervals:
    """The intervals that are looked at, by width and start; arrays of shape (intervals,).

    Attributes
    ----------
    runs : of (width, starts)
        Those of each width, at even distances.
    starts, ends : int64
        `starts` included, `ends` not.
    tests : float64
        How many there are of the width, times the widths: what the p-value is corrected for.
    """

    runs: tuple[tuple[int, range], ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    tests: NDArray[np.float64]

    def inside(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many lie in each, given how many lie before each cell; the same as by `starts` and `ends`."""
        out = np.empty(len(self.starts), np.int64)
        at = 0
        for width, starts in self.runs:
            first, stop, step = starts.start, starts.stop, starts.step
            of = out[at : at + len(starts)]
            np.subtract(counts[first + width : stop + width : step], counts[first:stop:step], out=of)
            at += len(starts)
        return out


@lru_cache(maxsize=16)  # the same for every window, but for ages of accounts, which grow by the day
def _intervals(cells: int, widths: tuple[int, ...], most_relative_width: float | None) -> _Intervals:
    runs = []
    for width in widths:
        starts = range(0, cells - width + 1, max(1, width // STEPS_PER_WIDTH))
        if most_relative_width is not None and width > 2:
            near = sum(start * most_relative_width < width for start in starts)
            starts = starts[near:]
        if starts:
            runs.append((width, starts))
    every = np.concatenate([np.empty(0, np.int64), *(np.array(starts) for _, starts in runs)])
    sizes = [len(starts) for _, starts in runs]
    tests = np.repeat(np.array(sizes, np.float64) * len(widths), sizes)
    wide = np.repeat(np.array([width for width, _ in runs], np.int64), sizes)
    return _Intervals(tuple(runs), every, every + wide, tests)


def _falling(
    likelihood: NDArray[np.float64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> Iterator[int]:
    """Where the intervals are by falling likelihood; of equal ones the first, and of these the shortest.

    Nearly always the first will do, and it is found without putting them in order.
    """
    best = np.flatnonzero(likelihood == likelihood.max())
    yield int(best[np.lexsort((ends[best], starts[best]))[0]])
    yield from np.lexsort((ends, starts, -likelihood)).tolist()


def _beside(
    counts: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean number of observations in an interval's width of its flanks, one more counted in."""
    size, width = len(counts) - 1, ends - starts
    left, right = np.maximum(starts - 2 * width, 0), np.minimum(ends + 2 * width, size)
    seen = counts[right] - counts[ends] + counts[starts] - counts[left]
    cells = np.maximum(right - left - width, 1)
    out: NDArray[np.float64] = (seen + 1) * width / cells
    return out


def _log_likelihood_ratio(
    count: NDArray[np.int64], share: NDArray[np.float64], total: int
) -> NDArray[np.float64]:
    inside = count / total
    outside = 1 - inside
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 * log 0 is 0 here
        rest = np.where(outside > 0, outside * np.log(outside / (1 - share)), 0.0)
    out: NDArray[np.float64] = total * (inside * np.log(inside / share) + rest)
    return out


@dataclass(frozen=True, eq=False)
class Scale:
    """Where cells lie, for smoothing over them.

    Attributes
    ----------
    positions : float64, shape (c + 1,)
        Edges of the cells, rising.
    """

    positions: NDArray[np.float64]

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        """Edges of `SMOOTHING_GRID` bins of one width; shape (g + 1,)."""
        return np.linspace(self.positions[0], self.positions[-1], SMOOTHING_GRID + 1)

    @cached_property
    def bins(self) -> NDArray[np.int64]:
        """The bin of every cell's middle; shape (c,)."""
        middle = (self.positions[:-1] + self.positions[1:]) / 2
        return np.searchsorted(self.grid, middle, "right") - 1


def smoothed(cells: NDArray[np.int64], scale: Scale, bandwidth: float) -> NDArray[np.float64]:
    """Share of the observations that a Gaussian kernel leaves in each cell; shape (c,).

    Parameters
    ----------
    cells : int64, shape (n,)
    scale : Scale
    bandwidth : float
        Standard deviation of the kernel in the unit of the scale. Mass that would leave is reflected.
    """
    grid = scale.grid
    weights = np.bincount(scale.bins[cells], minlength=SMOOTHING_GRID).astype(np.float64)
    density = gaussian_filter1d(weights, bandwidth / (grid[1] - grid[0]), mode="reflect")
    cumulated = np.concatenate(([0.0], np.cumsum(density)))
    return np.diff(np.interp(scale.positions, grid, cumulated / max(cumulated[-1], 1e-12)))
