"""Tails, joining p-values, and rejecting many hypotheses at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from detectors.p_values import (
    SMALLEST,
    betabinomial_tail,
    binomial_tail,
    bounded,
    combine,
    mann_whitney,
    rejected,
)

any_p = st.floats(0, 1) | st.sampled_from((0.0, 1.0, SMALLEST, 1e-17, 1e-9, 0.99, 1 - 1e-16))


@given(st.lists(any_p, max_size=8))
def test_combined_p_value_is_one(p_values: list[float]) -> None:
    assert SMALLEST <= combine(p_values) <= 1


@given(st.floats(SMALLEST, 1e-6), st.lists(any_p, max_size=7))
def test_strong_evidence_survives_tests_that_see_nothing(strong: float, others: list[float]) -> None:
    """At most Bonferroni, whatever the others say: a p-value of 1 is no veto."""
    assert combine([strong, *others]) <= (len(others) + 1) * strong * 1.01


@given(st.lists(any_p, min_size=1, max_size=8), st.randoms())
def test_order_does_not_matter(p_values: list[float], random: object) -> None:
    mixed = sorted(p_values)
    assert combine(mixed) == pytest.approx(combine(mixed[::-1]), rel=1e-9)


@given(st.lists(st.floats(1e-12, 1), min_size=1, max_size=6), st.integers(0, 5), st.floats(0, 1))
def test_smaller_p_value_never_weakens_the_whole(p_values: list[float], at: int, factor: float) -> None:
    smaller = list(p_values)
    smaller[at % len(smaller)] *= factor
    assert combine(smaller) <= combine(p_values) * (1 + 1e-9)


def test_direct_and_series_form_meet() -> None:
    assert combine([0.99e-8, 0.5]) == pytest.approx(combine([1.01e-8, 0.5]), rel=0.03)
    assert combine([1e-9]) == pytest.approx(1e-9, rel=1e-6)
    assert combine([1e-300]) == pytest.approx(1e-300)


@pytest.mark.parametrize("tests", [2, 6])
def test_uniform_under_independence(tests: int) -> None:
    rng = np.random.default_rng(1)
    joint = np.array([combine(p) for p in rng.uniform(size=(4_000, tests)).tolist()])
    for level in (0.01, 0.05, 0.2):
        assert abs((joint <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 4_000) + 0.1 * level


def test_valid_in_the_tail_under_full_dependence() -> None:
    rng = np.random.default_rng(2)
    joint = np.array([combine([p] * 6) for p in rng.uniform(size=4_000).tolist()])
    assert (joint <= 0.01).mean() <= 0.015


def test_p_value_that_could_not_be_computed_is_no_evidence() -> None:
    assert bounded(float("nan")) == 1.0
    assert bounded(-1e-9) == SMALLEST
    assert bounded(7.0) == 1.0


@settings(max_examples=200)
@given(st.lists(any_p | st.floats(0, 0.02), max_size=30), st.sampled_from((0.01, 0.05, 0.3)))
def test_rejected_is_benjamini_hochberg(p_values: list[float], rate: float) -> None:
    count = len(p_values)
    ranked = sorted(p_values)
    largest = max((k for k in range(1, count + 1) if ranked[k - 1] <= rate * k / count), default=0)
    by_definition = [largest > 0 and p <= ranked[largest - 1] for p in p_values]
    assert rejected(np.array(p_values, np.float64), rate).tolist() == by_definition


@given(st.lists(st.tuples(st.integers(-1, 40), st.integers(0, 38)), min_size=1), st.floats(1e-9, 0.999))
def test_binomial_tail_is_that_of_scipy(counted: list[tuple[int, int]], share: float) -> None:
    count, total = (np.array(values) for values in zip(*counted, strict=True))
    expected = stats.binom.sf(count - 1, total, share)
    np.testing.assert_allclose(binomial_tail(count, total, share), expected, rtol=1e-12)


@given(st.integers(1, 60), st.integers(0, 200), st.floats(0.1, 9), st.floats(0.1, 200))
def test_betabinomial_tail_is_that_of_scipy(count: int, more: int, alpha: float, beta: float) -> None:
    expected = np.exp(
        stats.betabinom.logpmf(np.arange(count, count + more + 1), count + more, alpha, beta)
    ).sum()
    found = betabinomial_tail(count, count + more, alpha, beta)
    assert found == pytest.approx(bounded(float(expected)), rel=1e-9)


samples = st.lists(st.integers(-20, 20).map(float) | st.floats(-20, 20), min_size=1, max_size=30)


@given(samples, samples)
def test_mann_whitney_is_that_of_scipy(larger: list[float], smaller: list[float]) -> None:
    effect, p_value = mann_whitney(np.array(larger), np.array(smaller))
    assert effect == pytest.approx(np.mean([(x > y) + (x == y) / 2 for x in larger for y in smaller]))
    if len({*larger, *smaller}) == 1:
        assert p_value == 1, "nothing to compare is no evidence"
        return
    expected = stats.mannwhitneyu(larger, smaller, alternative="greater", method="asymptotic")
    assert p_value == pytest.approx(bounded(float(expected.pvalue)), rel=1e-9)
