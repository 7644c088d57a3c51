"""Names for what is loud without being coordinated, so that people can see why a hashtag is quiet here.

A pattern is a description, not evidence: it is looked for only where a window is not worth an alert, and
nothing else depends on it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np

from detectors.account_age import born_together
from detectors.baseline import Baseline
from detectors.finding import Finding, Verdict
from detectors.institution import established
from detectors.shares import reposted, shares
from detectors.table import Kind, Mask, Rows, Window

PROLIFIC: Final = 0.15
LEAST_PROLIFIC: Final = 20
SHARE: Final = 0.05
"""Of the posts: from here on copies are what one sees of a window."""

SIGN_UPS: Final = 0.1
REPOSTS: Final = 0.15
SHORT: Final = 0.2
STORM_REPOSTS: Final = 10
LEAST_ACCOUNTS: Final = 10
AT_ONCE_MS: Final = 120_000
"""Half of a chorus comes within this of its middle: people answer an event, not one another."""


class Pattern(StrEnum):
    """What a loud window looks like, when nobody is called coordinated."""

    PROLIFIC_ACCOUNT = "prolific_account"  # one account sends much of it
    SYNDICATION = "syndication"  # institutions repeat the same texts
    APP = "app"  # people post the same texts through one app
    FAN_CAMPAIGN = "fan_campaign"  # people repeat several texts together, each in their own way
    SHARE_BUTTON = "share_button"  # one text with a link, each account once
    GIVE_AWAY = "give_away"  # one text by accounts that repost the same post
    CATCH_PHRASE = "catch_phrase"  # one text, each account once
    REPOST_STORM = "repost_storm"  # few posts reposted by many
    CHORUS = "chorus"  # very short texts, or one text all at once
    SIGN_UP_WAVE = "sign_up_wave"  # many accounts of the same days, whatever they write


def pattern(window: Window, baseline: Baseline, together: Mask, client: Finding) -> Pattern | None:
    """What a window looks like that is not worth an alert; None if it is like any other.

    Parameters
    ----------
    together : bool, shape (n,)
        Rows of the accounts that repeat texts together.
    client : Finding
        Of the accounts that repeat texts.
    """
    rows = window.rows
    if not len(rows):
        return None
    if _prolific(window):
        return Pattern.PROLIFIC_ACCOUNT
    if together.mean() >= SHARE:
        return _together(rows[together], client)
    storm = reposted(rows, STORM_REPOSTS)
    copied = _copied(window)
    if copied.mean() >= SHARE:
        return _one_text(window, copied, storm)
    if storm.mean() >= REPOSTS:
        return Pattern.REPOST_STORM
    if _short(window).mean() >= SHORT:
        return Pattern.CHORUS
    if _signed_up(window, baseline):
        return Pattern.SIGN_UP_WAVE
    return None


def _prolific(window: Window) -> bool:
    most = int(np.bincount(window.account).max())
    return most >= max(LEAST_PROLIFIC, PROLIFIC * len(window))


def _together(rows: Rows, client: Finding) -> Pattern:
    if (rows["kind"] == Kind.REPOST).mean() >= 0.5:
        return Pattern.REPOST_STORM
    if established(rows):
        return Pattern.SYNDICATION
    return Pattern.APP if client.verdict is Verdict.SUSPICIOUS else Pattern.FAN_CAMPAIGN


def _copied(window: Window) -> Mask:
    """Rows of texts that many accounts posted; shape (n,)."""
    found = shares(window)
    return found.rows_of((found.sharing >= LEAST_ACCOUNTS)[found.group])


def _one_text(window: Window, copied: Mask, storm: Mask) -> Pattern:
    rows = window.rows
    if window.posting(storm)[window.posting(copied)].mean() >= 0.5:
        return Pattern.GIVE_AWAY
    if (rows["link"][copied] != 0).mean() >= 0.5:
        return Pattern.SHARE_BUTTON
    times_ms = rows["time_ms"][copied]
    at_once = np.abs(times_ms - np.median(times_ms)) <= AT_ONCE_MS
    return Pattern.CHORUS if at_once.mean() >= 0.5 else Pattern.CATCH_PHRASE


def _short(window: Window) -> Mask:
    """Rows whose text is too short to be compared; shape (n,)."""
    rows = window.rows
    out: Mask = (rows["text"] != 0) & (window.group < 0) & (rows["kind"] != Kind.REPOST)
    return out


def _signed_up(window: Window, baseline: Baseline) -> bool:
    return born_together(window, baseline).size >= SIGN_UPS * len(window.accounts)
