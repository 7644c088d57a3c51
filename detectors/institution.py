"""Accounts of institutions, which repeat texts for a living."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.keys import distinct_keys, first_places
from detectors.table import Flag, Rows, flagged, taken

MANY_FOLLOWERS: Final = 5_000


def established(rows: Rows) -> bool:
    """Whether accounts are those of institutions: most of them verified, with many followers.

    Agencies and newsrooms repeat the same texts by the same clock through one system. Verification alone can
    be bought, but not so easily a following.
    """
    known = taken(rows, flagged(rows, Flag.VERIFIED_KNOWN | Flag.FOLLOWERS_KNOWN))
    first = first_places(known["account"])
    if not first.size or 2 * first.size < distinct_keys(rows["account"]).size:
        return False
    verified = flagged(known, Flag.VERIFIED)[first]
    return bool(verified.mean() >= 0.5 and np.median(known["followers"][first]) >= MANY_FOLLOWERS)
