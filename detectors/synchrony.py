"""Do different accounts post the same text within seconds, beyond the tag's own rate?"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from detectors.baseline import Baseline
from detectors.finding import Finding
from detectors.keys import by_code
from detectors.p_values import betabinomial_tail
from detectors.shares import shares
from detectors.table import Flag, Window, flagged
from detectors.words import percent

WITHIN_S: Final = 10
LEAST_POSTS: Final = 20
LEAST_RATIO: Final = 3.0
AROUND_S: Final = 600
CONCENTRATION: Final = 6.0
"""How alike conversations are in how closely copies follow one another: people copy what they have just seen,
so copies come closer together than chance puts them, in some conversations much closer."""


class Synchrony:
    """Copies that follow another account's copy of the same text within ten seconds.

    Expected of each copy: that one of the tag's posts in the ten seconds before it carries the same text, if
    the posts of the twenty minutes around were dealt out over that time by lot. So a tag that runs fast
    expects more (its own rate is the clock). Beta-binomial tail around the mean of these, because people copy
    what they have just seen.

    Effect: share of the copies that follow another within ten seconds, in [0, 1]. Abstains where times are
    known to the minute only, and below 20 copies. A chorus at a goal, a scheduling desk and a countdown are
    in step too: it never accuses alone.
    """

    name: ClassVar[str] = "synchrony"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window; see the class."""
        found = shares(window)
        use = found.rows_of(found.copied[found.group])
        fine = ~flagged(window.rows, Flag.COARSE_TIME)
        if use.any() and not (use & fine).any():
            return Finding.abstained(self.name, "Times are known to the minute only.")
        at = np.flatnonzero(use & fine)
        if len(at) < LEAST_POSTS:
            return Finding.abstained(
                self.name, f"{len(at):,} copies with a time; at least {LEAST_POSTS} are needed."
            )
        group = window.group[at].astype(np.int64)
        time_ms = window.rows["time_ms"][at]
        order = by_code(group, int(group.max()) + 1)  # rows are sorted by time and post
        at, group, time_ms = at[order], group[order], time_ms[order]
        account = window.account[at]
        follows = np.zeros(len(at), np.bool_)
        follows[1:] = (
            (group[1:] == group[:-1])
            & (time_ms[1:] - time_ms[:-1] <= 1_000 * WITHIN_S)
            & (account[1:] != account[:-1])
        )
        # Within its own text: how many others fall into the twenty minutes around each copy.
        span = int(time_ms.max() - window.rows["time_ms"].min()) + 4_000 * AROUND_S
        line = group * span + (time_ms - window.rows["time_ms"].min()) + 1_000 * AROUND_S
        around = np.searchsorted(line, line + 1_000 * AROUND_S, "right") - np.searchsorted(
            line, line - 1_000 * AROUND_S, "left"
        )
        expected = float(np.mean(1 - np.exp(-(around - 1) * WITHIN_S / (2 * AROUND_S))))
        expected = min(max(expected, 1 / len(at)), 0.99)
        count = int(follows.sum())
        p_value = betabinomial_tail(count, len(at), CONCENTRATION * expected, CONCENTRATION * (1 - expected))
        effect = count / len(at)
        sentence = (
            f"{count:,} of {len(at):,} copies ({percent(effect)}) follow another account's copy within"
            f" {WITHIN_S} s; {percent(expected)} would be expected at this pace."
        )
        before = np.flatnonzero(follows) - 1
        rows = np.zeros(len(window), np.bool_)
        rows[at[follows]] = rows[at[before]] = True
        return Finding.judged(
            self.name,
            sentence,
            p_value,
            effect,
            large=effect >= LEAST_RATIO * expected,
            accounts=window.authors(rows),
            posts=window.posts(rows),
        )
