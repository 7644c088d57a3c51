"""Q-values over the stream: Benjamini and Hochberg, from counts."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import q_values
from detectors.hour import Tally
from detectors.p_values import rejected
from detectors.q_values import CELLS_PER_DECADE, counted, q_value

P_VALUES = st.floats(0, 40).map(lambda decades: 10.0**-decades)


def test_examples_in_docstrings_are_true() -> None:
    assert doctest.testmod(q_values).attempted
    assert not doctest.testmod(q_values).failed


@given(P_VALUES, st.lists(P_VALUES, max_size=30))
def test_it_is_what_the_step_up_gives_and_never_less(p_value: float, others: list[float]) -> None:
    """Rejected at a rate below the q-value by nobody; rejected at a rate a cell above it, by the step-up."""
    q = q_value(p_value, counted(others))
    every = np.array([p_value, *others])
    assert not rejected(every, q * (1 - 1e-9) / 10 ** (1 / CELLS_PER_DECADE))[0] or q == 1
    if q < 1:
        assert rejected(every, q * (1 + 1e-9))[0]


@given(P_VALUES, st.lists(P_VALUES, max_size=30), st.integers(0, 30))
def test_partitions_that_count_apart_give_the_same(p_value: float, others: list[float], at: int) -> None:
    apart = Tally.joined([counted(others[:at]), counted(others[at:])])
    assert q_value(p_value, apart) == q_value(p_value, counted(others))


@pytest.mark.parametrize("p_value", [0.0, 1e-310, 1.0])
def test_the_ends_of_the_range_are_in_it(p_value: float) -> None:
    assert 0 <= q_value(p_value, counted([0.0, 1e-310, 1.0])) <= 1
