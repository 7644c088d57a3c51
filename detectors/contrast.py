"""The accounts in question, beside all others of the same window: what habits are compared between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.finding import Finding
from detectors.shares import shares
from detectors.table import Keys, Mask, Rows, Window, taken


@dataclass(frozen=True)
class Sides:
    """Two sets of accounts of one window.

    Attributes
    ----------
    who : str
        What the accounts in question are called in sentences, in the plural: "copying accounts".
    suspects, others : uint64, sorted, no account in both
        The accounts in question and those they are compared with.
    """

    who: str
    suspects: Keys
    others: Keys


@dataclass(frozen=True)
class Contrast:
    """One row per account, its first that satisfies a condition.

    Attributes
    ----------
    suspects, others : ROW arrays
        Of the two sides.
    group : int32, aligned with `suspects`
        Near-identical group of each row's text, -1 where it has none.
    """

    suspects: Rows
    others: Rows
    group: NDArray[np.int32]


class Comparing:
    """A detector that compares any accounts of a window with others; by itself, those that copy."""

    name: ClassVar[str]

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge the copying accounts of one window; see the class."""
        return self.compare(window, baseline, copying(window))

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        raise NotImplementedError


@lru_cache(maxsize=2)  # every detector asks for the window it is given
def copying(window: Window) -> Sides:
    """The accounts that posted a text shared by three or more accounts, and the rest."""
    found = shares(window)
    return against_rest(window, "copying accounts", found.accounts[found.copiers])


def against_rest(window: Window, who: str, suspects: Keys) -> Sides:
    """These accounts and all others of the window; `suspects` sorted."""
    return Sides(who, suspects, window.accounts[~window.chosen(suspects)])


def contrast(window: Window, sides: Sides, known: Mask) -> Contrast:
    """One row of every account; `known` says which rows carry the field in question, shape (n,)."""
    first = window.firsts(known)
    has = first >= 0
    suspects = first[has & window.chosen(sides.suspects)]
    others = first[has & window.chosen(sides.others)]
    return Contrast(taken(window.rows, suspects), taken(window.rows, others), window.group[suspects])
