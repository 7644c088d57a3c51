"""The accounts that copy, beside all others of the same window: what date and client are compared between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.shares import shares
from detectors.table import Mask, Rows, Window


@dataclass(frozen=True)
class Contrast:
    """One row per account, its first that satisfies a condition.

    Attributes
    ----------
    copiers, others : ROW arrays
        Accounts that posted a text shared by three or more accounts, and the rest.
    """

    copiers: Rows
    others: Rows


def contrast(window: Window, known: Mask) -> Contrast:
    """Split the accounts of a window; `known` says which rows carry the field in question, shape (n,)."""
    rows = window.rows[known]
    _, first = np.unique(rows["account"], return_index=True)
    found = shares(window)
    copies = np.isin(rows["account"][first], found.accounts[found.copiers])
    return Contrast(rows[first[copies]], rows[first[~copies]])
