"""The scan statistic keeps its level and finds what was planted."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.baseline import GAP_CELLS, Baseline, gap_scale
from detectors.scan_statistic import Scale, densest, smoothed

WIDTHS = (1, 2, 4, 8, 16, 32)
DRAWS = 400


def skewed(cells: int = 1_000) -> np.ndarray:
    weights = np.exp(-np.arange(cells) / 200)
    mass: np.ndarray = weights / weights.sum()
    return mass


@pytest.mark.parametrize("count", [5, 30, 300])
@pytest.mark.parametrize(
    "mass", [np.full(1_000, 1e-3), skewed(), Baseline.prior().gap_mass()], ids=["even", "skewed", "gaps"]
)
def test_false_alarms_stay_below_the_level(count: int, mass: np.ndarray) -> None:
    rng = np.random.default_rng(count)
    draws = rng.choice(len(mass), (DRAWS, count), p=mass / mass.sum())
    units = np.arange(count, dtype=np.uint64)
    found = [densest(draw, units, mass, WIDTHS) for draw in draws]
    low = np.mean([cluster is not None and cluster.p_value <= 0.05 for cluster in found])
    assert low <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / DRAWS)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (3, 4), (500, 517), (999, 999), (980, 999)])
def test_planted_cluster_is_found_where_it_is(first: int, last: int) -> None:
    rng = np.random.default_rng(last)
    cells = np.concatenate((rng.integers(0, 1_000, 150), rng.integers(first, last + 1, 50)))
    cluster = densest(cells, np.arange(200, dtype=np.uint64), np.full(1_000, 1e-3), WIDTHS)
    assert cluster is not None
    assert cluster.p_value < 1e-9
    assert first - 8 <= cluster.first <= first + 4
    assert last - 4 <= cluster.last <= last + 8
    assert cluster.count >= 40
    inside = (cells >= cluster.first) & (cells <= cluster.last)
    assert cluster.count == inside.sum()
    assert cluster.units == cluster.count
    assert cluster.ratio == pytest.approx(cluster.count / (200 * cluster.share))


def test_cluster_of_too_few_units_is_passed_over_for_one_of_many() -> None:
    cells = np.array([100] * 60 + [700] * 12)
    units = np.array([1] * 60 + list(range(10, 22)), np.uint64)
    mass = np.full(1_000, 1e-3)
    assert densest(cells, units, mass, WIDTHS).first == 100  # type: ignore[union-attr]
    shared = densest(cells, units, mass, WIDTHS, min_units=5)
    assert shared is not None
    assert (shared.first, shared.last, shared.units) == (700, 700, 12)
    assert densest(cells, units, mass, WIDTHS, min_units=13) is None


def test_no_number_of_small_clusters_hides_a_shared_one() -> None:
    """Four units with hundreds of dense intervals among them, and forty units in one."""
    noise = np.repeat(np.arange(100, 400), 40)
    cells = np.concatenate((noise, np.full(60, 800)))
    units = np.concatenate((np.arange(len(noise)) % 4, np.arange(100, 160))).astype(np.uint64)
    shared = densest(cells, units, np.full(1_000, 1e-3), WIDTHS, min_units=5)
    assert shared is not None
    assert (shared.first, shared.last) == (800, 800)


def test_relative_width_bounds_the_interval() -> None:
    cells = np.arange(40, 72)
    mass = np.full(10_000, 1e-4)
    units = np.arange(32, dtype=np.uint64)
    wide = densest(cells, units, mass, (32,))
    assert wide is not None
    assert wide.last - wide.first == 31
    assert densest(cells, units, mass, (32,), most_relative_width=0.2) is None


def test_everything_in_one_cell_and_nothing_at_all_raise_nothing() -> None:
    mass = np.full(100, 0.01)
    cluster = densest(np.full(9, 50), np.arange(9, dtype=np.uint64), mass, WIDTHS)
    assert cluster is not None
    assert cluster.p_value < 1e-9
    assert densest(np.empty(0, np.int64), np.empty(0, np.uint64), mass, WIDTHS) is None
    certain = densest(np.array([0]), np.array([1], np.uint64), np.array([1.0]), WIDTHS)
    assert certain is None or certain.p_value == 1


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(8)
    cells, units = rng.integers(0, 200, 100), rng.integers(0, 20, 100).astype(np.uint64)
    mixed = rng.permutation(100)
    mass = np.full(200, 0.005)
    assert densest(cells, units, mass, WIDTHS) == densest(cells[mixed], units[mixed], mass, WIDTHS)


@pytest.mark.parametrize("bandwidth", [0.01, 0.25, 5.0])
def test_smoothing_keeps_all_mass(bandwidth: float) -> None:
    cells = np.array([0, 4, 4, 1_280, GAP_CELLS - 1])
    mass = smoothed(cells, gap_scale(), bandwidth)
    assert mass.shape == (GAP_CELLS,)
    assert mass.min() >= 0
    assert mass.sum() == pytest.approx(1)


def test_smoothing_nothing_gives_nothing() -> None:
    assert smoothed(np.empty(0, np.int64), Scale(np.arange(11.0)), 2.0).sum() == 0
