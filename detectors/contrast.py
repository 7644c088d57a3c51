"""The accounts in question, beside all others of the same window: what habits are compared between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.finding import Finding
from detectors.shares import shares
from detectors.table import Flag, Keys, Rows, Window, flagged, taken


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
    """One row per account, its first that says something.

    Attributes
    ----------
    window : Window
    sides : Sides
    first : int64, shape (a,)
        That row of each of the window's accounts, -1 for those that have none.
    """

    window: Window
    sides: Sides
    first: NDArray[np.int64]

    @cached_property
    def suspects(self) -> Rows:
        """Those of the accounts in question."""
        return taken(self.window.rows, self._of(self.sides.suspects))

    @cached_property
    def others(self) -> Rows:
        """Those of the accounts they are compared with."""
        return taken(self.window.rows, self._of(self.sides.others))

    @cached_property
    def group(self) -> NDArray[np.int32]:
        """Near-identical group of each of the suspects' rows, -1 where it has none."""
        return self.window.group[self._of(self.sides.suspects)]

    def _of(self, accounts: Keys) -> NDArray[np.int64]:
        return self.first[(self.first >= 0) & self.window.chosen(accounts)]


class Comparing:
    """A detector that compares any accounts of a window with others; by itself, those that copy."""

    name: ClassVar[str]

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge the copying accounts of one window; see the class."""
        return self.compare(window, baseline, copying(window))

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        raise NotImplementedError


@lru_cache(maxsize=1)  # every detector asks for the window it is given
def copying(window: Window) -> Sides:
    """The accounts that posted a text shared by three or more accounts, and the rest."""
    found = shares(window)
    return against_rest(window, "copying accounts", found.accounts[found.copiers])


def against_rest(window: Window, who: str, suspects: Keys) -> Sides:
    """These accounts and all others of the window; `suspects` sorted."""
    return Sides(who, suspects, window.accounts[~window.chosen(suspects)])


def contrast(window: Window, sides: Sides, known: Flag | str) -> Contrast:
    """One row of every account: its first with a flag, or with a field that is not 0."""
    return Contrast(window, sides, firsts(window, known))


@lru_cache(maxsize=4)  # every detector asks for its own, and again for every set of accounts in question
def firsts(window: Window, known: Flag | str) -> NDArray[np.int64]:
    """Of each account the first row that says something, see `contrast`; -1 for those that have none."""
    rows = window.rows
    return window.firsts(flagged(rows, known) if isinstance(known, Flag) else rows[known] != 0)
