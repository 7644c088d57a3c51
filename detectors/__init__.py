"""Pure analysis of one hashtag's window: arrays in, findings out. No clock, no I/O, no settings."""

from __future__ import annotations

from typing import Final

from detectors.account_age import AccountAge, born_together
from detectors.assessment import Assessment, AssessmentPolicy
from detectors.assessment import assess as join
from detectors.baseline import Baseline
from detectors.bursts import Bursts
from detectors.client import Client
from detectors.co_posting import CoPosting, repeating
from detectors.co_repost import CoRepost, reposting
from detectors.contrast import copying, firsts
from detectors.evidence import account_gaps
from detectors.finding import Detector
from detectors.links import Links
from detectors.near_identical import NearIdentical
from detectors.off_topic import OffTopic
from detectors.playlist import Playlist
from detectors.profile import Profile
from detectors.recycled import Recycled
from detectors.shares import shares
from detectors.synchrony import Synchrony
from detectors.table import Window

DETECTORS: Final[tuple[Detector, ...]] = (
    NearIdentical(),
    CoPosting(),
    CoRepost(),
    Synchrony(),
    Playlist(),
    Bursts(),
    AccountAge(),
    Profile(),
    Client(),
    Links(),
    Recycled(),
    OffTopic(),
)
"""Every detector, in the order in which findings are shown."""


def assess(window: Window, baseline: Baseline, policy: AssessmentPolicy) -> Assessment:
    """Judge one window with every detector."""
    return join(window, baseline, DETECTORS, policy)


def forget() -> None:
    """Let go of the last window and of what several detectors asked of it, before the next one is made.

    A large one would take up as much memory again while the next is gathered and grouped.
    """
    for asked in (shares, copying, firsts, repeating, reposting, account_gaps, born_together):
        asked.cache_clear()
