"""How many false alarms to expect among all hashtags whose evidence is as strong: q-values over the stream.

Which hashtags are judged at a hop is known to no single partition, and a verdict must not depend on what its
partition happens to hold. So a hashtag is set among those that were judged at the hop which ended a completed
hour, everywhere in the stream, and the result is an annotation.

Source of the method: J. Storey, "A direct approach to false discovery rates" (JRSS B 2002), with all
hypotheses taken to be true, which makes it the step-up of Benjamini and Hochberg.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.hour import Cells, Tally
from detectors.p_values import SMALLEST

CELLS_PER_DECADE: Final = 10


def counted(p_values: Iterable[float]) -> Tally:
    """P-values of the hashtags judged at one hop, counted in tenths of a decade.

    >>> counted([1.0, 0.5, 1e-9]).cells.tolist()
    [0, 3, 90]
    """
    return Tally.of(_cell(np.array(list(p_values), np.float64)))


def q_value(p_value: float, seen: Tally) -> float:
    """The least false discovery rate at which this p-value is still rejected among those seen, in (0, 1].

    Parameters
    ----------
    p_value : float
        Of a hashtag that is none of those seen.
    seen : Tally
        Of `counted`. A p-value there counts as the largest of its cell, which is the safe side.

    Examples
    --------
    >>> q_value(0.001, counted([]))
    0.001
    >>> round(q_value(0.001, counted([0.6] * 99)), 3)
    0.1
    >>> q_value(1e-9, counted([1e-9, 0.6])) <= 3e-9
    True
    """
    hypotheses = 1 + seen.total
    at_least = 1 + np.cumsum(seen.counts[::-1])[::-1]  # as strong as each cell, and this one
    weaker = seen.cells <= _cell(np.array([p_value]))[0]
    stronger = int(seen.counts[~weaker].sum())
    own = p_value / (1 + stronger)
    others = 10.0 ** (-seen.cells[weaker] / CELLS_PER_DECADE) / at_least[weaker]
    return float(min(1.0, hypotheses * min([own, *others.tolist()])))


def _cell(p_values: NDArray[np.float64]) -> Cells:
    logs = -CELLS_PER_DECADE * np.log10(np.clip(p_values, SMALLEST, 1.0))
    return np.floor(logs + 1e-9).astype(np.int64)
