"""What was found beside what is true, and how sure the figures are."""

from __future__ import annotations

from collections.abc import Iterable, Set
from math import sqrt
from typing import Final

import msgspec
from scipy.special import gammaincinv

Z: Final = 1.959964
"""Of the normal distribution at 95 %, two-sided."""


class Hits(msgspec.Struct, frozen=True):
    """How many of what was found are true; counts add up over seeds.

    >>> Hits.of({"a", "b"}, {"b", "c", "d"}) + Hits(1, 1, 1)
    Hits(hits=2, found=3, true=4)
    """

    hits: int = 0
    found: int = 0
    true: int = 0

    @classmethod
    def of(cls, found: Set[str], true: Set[str]) -> Hits:
        """Compare two sets of ids."""
        return cls(len(found & true), len(found), len(true))

    @classmethod
    def sum(cls, parts: Iterable[Hits]) -> Hits:
        """All of them as one."""
        total = cls()
        for part in parts:
            total += part
        return total

    def __add__(self, other: Hits) -> Hits:
        return Hits(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        """Hits over found; nothing found is 0, not 1: it is no success."""
        return self.hits / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Hits over true; 0 where nothing is true."""
        return self.hits / self.true if self.true else 0.0


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, JASA 1927); all of [0, 1] without a trial.

    >>> [round(bound, 3) for bound in wilson(9, 10)]
    [0.596, 0.982]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, Z * Z
    middle = share + square / (2 * trials)
    half = Z * sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def most_events(events: int, confidence: float = 0.95) -> float:
    """The exact upper bound of a Poisson mean of which so many events were seen.

    Source: F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 1936.

    >>> round(most_events(0), 3), round(most_events(2), 3)
    (2.996, 6.296)
    """
    return float(gammaincinv(events + 1, confidence))


class Raised(msgspec.Struct, frozen=True):
    """One alert.

    Attributes
    ----------
    true : bool
        Whether anybody coordinated under its hashtag.
    campaign : str or None
        The campaign it was told to belong to, where alerts say that.
    """

    hashtag: str
    kind: str
    true: bool
    coordinated_posts: int
    posts: int
    coordinated_accounts: int
    texts: int
    campaign: str | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one scenario of one seed.

    Attributes
    ----------
    posts : int
        In the scenario.
    by_post, by_account : Hits
        Those held coordinated under any hashtag.
    by_campaign : share of its accounts that was found, by name of the campaign
    tags : Hits
        Hashtags with an alert of those that must have one.
    first_alert_min : float or None
        Minutes from the first coordinated post to the end of the window in which an alert first fired.
    fired : detectors that were suspicious in a window after the flood began
    lowest : smallest combined p-value of each hashtag
    patterns : names of innocent patterns that were seen
    windows, largest : int
        Windows assessed, and posts in the largest.
    watched_min : int
        Minutes for which hashtags were assessed, summed over them.
    spent_s : float
        Wall time of the scan.
    peers : accounts that other methods flag, by method; a reason where one could not be run
    """

    name: str
    seed: int
    posts: int
    by_post: Hits
    by_account: Hits
    by_campaign: dict[str, float]
    tags: Hits
    alerts: tuple[Raised, ...]
    first_alert_min: float | None
    kind: str | None
    fired: tuple[str, ...]
    patterns: tuple[str, ...]
    windows: int
    watched_min: int
    largest: int
    spent_s: float
    lowest: tuple[float, ...] = ()
    peers: dict[str, Hits | str] = {}

    @property
    def kind_right(self) -> bool | None:
        """Whether all true alerts are of the kind they must be; None if there is none or any will do."""
        kinds = {alert.kind for alert in self.alerts if alert.true}
        return None if self.kind is None or not kinds else kinds == {self.kind}

    @property
    def named(self) -> int:
        """How many campaigns the alerts name where somebody coordinates, each as it stood at its end."""
        return len({alert.campaign for alert in self.alerts if alert.true and alert.campaign})
