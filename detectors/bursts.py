"""Do accounts post in the same short and long gaps?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import GAP_CELLS, Baseline, gap_scale
from detectors.contrast import Comparing, Sides
from detectors.evidence import near_gaps, once_an_account
from detectors.finding import SUSPICIOUS, Finding, Verdict
from detectors.keys import distinct_keys
from detectors.scan_statistic import Cluster, densest, smoothed
from detectors.table import Flag, Mask, Window, flagged
from detectors.words import seconds

LEAST_GAPS: Final = 20
LEAST_ACCOUNTS: Final = 5
LEAST_RATIO: Final = 2.0
"""A mode must hold this many times its expected share: a crowd's own rhythm is broad, a machine's is not."""

MOST_MODES: Final = 4
WIDTHS_S: Final = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)
WIDEST: Final = 0.2
"""Width of a mode over the gap itself, at the most: beyond this it is no common gap in anybody's words."""

TIGHT: Final = 0.02
"""As `WIDEST`, for a mode that counts as a timer (or 2 s). Events give crowds common gaps too, a goal and the
next, a catch-phrase and the next; but people follow them within minutes, machines within seconds."""

LONG_S: Final = 120
"""From this gap on a mode may come from a common clock: see `_common_clock`."""

PHASES: Final = 50
CLOCK_PHASES: Final = 5
CLOCK_SHARE: Final = 0.6
"""A tenth of the round holds this share of the posts: everybody posts at the same moments."""

PRIOR_GAPS: Final = 200
SMOOTHING_DECADES: Final = 0.25


class Bursts(Comparing):
    """Intervals of the gap between an account's consecutive posts that hold more than their share.

    The null density is smooth in the logarithm of the gap: the stated prior, worth 200 gaps, mixed with the
    window's own gaps smoothed over a quarter of a decade. An account counts once for each distinct gap, so a
    single account with a timer is not a mode. The strongest interval is taken, its gaps are left out, and the
    next is looked for. Intervals are as narrow as machines keep time, 2 % of the gap or 2 s, and must stand
    out from what lies beside them: crowds that follow the same events have common gaps too, but broad ones.
    A long gap at which everybody posts at the same moments is no timer of the accounts: an app posts for its
    users on the hour, a party counts down to eight o'clock. Such a mode is left out.

    Effect: share of the gaps inside the modes, in [0, 1]. Abstains where times are known to the minute only,
    and below 20 gaps. Blind to schedules that are drawn at random over minutes.
    """

    name: ClassVar[str] = "bursts"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge all accounts of one window; see the class."""
        return self._judge(window, np.ones(len(window.accounts), np.bool_), "one account", baseline)

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window, by themselves; see the class."""
        return self._judge(window, window.chosen(sides.suspects), f"one of the {sides.who}", baseline)

    def _judge(self, window: Window, who: Mask, whose: str, baseline: Baseline) -> Finding:
        posted = who[window.account]
        coarse = flagged(window.rows, Flag.COARSE_TIME) & posted
        if 2 * np.count_nonzero(coarse) > np.count_nonzero(posted):
            return Finding.abstained(self.name, "Times are known to the minute only.")
        gap_s, later = near_gaps(window, who)
        accounts, time_ms = window.account[later], window.rows["time_ms"][later]
        if len(gap_s) < LEAST_GAPS:
            return Finding.abstained(
                self.name,
                f"Only {len(gap_s):,} gaps between posts of {whose}; at least {LEAST_GAPS} are needed.",
            )
        found = modes(
            gap_s,
            accounts,
            baseline,
            min_accounts=LEAST_ACCOUNTS,
            worst_p_value=SUSPICIOUS,
            widest=TIGHT,
            against_flanks=True,
        )
        strong = [mode for mode in found if not _common_clock(time_ms, gap_s, mode)]
        if not strong:
            clock = "; they post at the same moments, by a common clock" if found else ""
            return Finding(
                self.name,
                Verdict.NORMAL,
                f"The {len(gap_s):,} gaps between posts of {whose} follow no common timer{clock}.",
                1.0,
                0.0,
            )
        p_value = min(mode.p_value for mode in strong)
        modes_s = [[mode.first, mode.last] for mode in strong]
        inside = within(gap_s, modes_s)
        keys = window.accounts[distinct_keys(accounts[inside])]
        return Finding(
            self.name,
            Verdict.SUSPICIOUS,
            f"{int(inside.sum()):,} of {len(gap_s):,} gaps between posts of {whose} are"
            f" {' or '.join(seconds(m.first, m.last) for m in strong)}, at {keys.size:,} accounts;"
            f" {sum(m.total * m.share for m in strong):,.0f} would be expected.",
            p_value,
            float(inside.mean()),
            keys,
            np.sort(window.rows["post"][later[inside]]),
            {
                "modes_s": modes_s,
                "accounts_with_gaps": distinct_keys(accounts).size,
                "expected": sum(m.share for m in strong),
            },
        )


def keeping_time(window: Window, modes_s: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """How many gaps of each account lie in the modes.

    Parameters
    ----------
    modes_s : sequence of (first, last)
        Whole seconds, both inside.

    Returns
    -------
    gaps : int64, shape (a,)
        Gaps in the modes; 0 if these are less than half of an account's, -1 if it has none below two hours.
    """
    every = len(window.accounts)
    gap_s, later = near_gaps(window, np.ones(every, np.bool_))
    account = window.account[later]
    timed = np.bincount(account[within(gap_s, modes_s)], minlength=every)
    gaps = np.bincount(account, minlength=every)
    return np.where(gaps == 0, -1, np.where(2 * timed >= gaps, timed, 0))


def _common_clock(times_ms: NDArray[np.int64], gap_s: NDArray[np.int64], mode: Cluster) -> bool:
    """Whether the posts of a mode come at the same moments of its round or of the minute, whoever sends them.

    The second is how desks schedule: on the minute.
    """
    if mode.first < LONG_S:
        return False
    inside = within(gap_s, [(mode.first, mode.last)])
    return any(_in_phase(times_ms[inside], round_ms) for round_ms in (500 * (mode.first + mode.last), 60_000))


def _in_phase(times_ms: NDArray[np.int64], round_ms: int) -> bool:
    phase = times_ms % round_ms * PHASES // round_ms
    counts = np.bincount(phase, minlength=PHASES)
    around = counts + np.roll(counts, 1)  # moments need not fall into the middle of a phase
    return bool(np.sort(around)[::-1][:CLOCK_PHASES].sum() >= 2 * CLOCK_SHARE * len(times_ms))


def within(gap_s: NDArray[np.int64], modes_s: Sequence[Sequence[int]]) -> Mask:
    """Which gaps lie in one of the modes, given as (first, last); shape (n,)."""
    out = np.zeros(len(gap_s), np.bool_)
    for first, last in modes_s:
        out |= (gap_s >= first) & (gap_s <= last)
    return out


def modes(
    gap_s: NDArray[np.int64],
    accounts: NDArray[np.int64],
    baseline: Baseline,
    *,
    min_accounts: int = 3,
    worst_p_value: float = 0.01,
    widest: float = WIDEST,
    against_flanks: bool = False,
    most: int = MOST_MODES,
) -> list[Cluster]:
    """Intervals of gaps, strongest first, that many accounts share and that hold more than their share.

    Parameters
    ----------
    gap_s : int64, shape (n,)
        Whole seconds, in [0, 7200].
    accounts : int64, shape (n,)
        Whose gap it is, as any numbers from 0 on.
    min_accounts : int
        An interval fewer accounts share is no mode.
    worst_p_value : float
        An interval with a larger p-value is no mode.
    widest : float
        Width of an interval over the gap it starts at, at the most; intervals of 2 s are always looked at.
    against_flanks : bool
        Expect of an interval at least what lies beside it: see `densest`.
    most : int
        Modes to look for.
    """
    who, gaps = once_an_account(accounts, gap_s)
    own = smoothed(gaps, gap_scale(), SMOOTHING_DECADES)
    # All gaps shape what is expected, those of modes too: a null made from what is left after a mode was cut
    # out would sink around the hole, and its rims would stand out in turn.
    mass = (PRIOR_GAPS * baseline.gap_mass() + len(gaps) * own) / (PRIOR_GAPS + len(gaps))
    found: list[Cluster] = []
    while len(gaps) and len(found) < most:
        mode = densest(
            gaps,
            who,
            mass,
            WIDTHS_S,
            min_units=min_accounts,
            most_relative_width=widest,
            against_flanks=against_flanks,
        )
        if mode is None or mode.p_value > worst_p_value or mode.ratio < LEAST_RATIO:
            break
        found.append(mode)
        taken = [(mode.first, mode.last)]
        outside = ~within(gaps, taken)
        who, gaps = who[outside], gaps[outside]
        mass = np.where(within(np.arange(GAP_CELLS), taken), 0.0, mass)
        mass = mass / mass.sum()
    return found
