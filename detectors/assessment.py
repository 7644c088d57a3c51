"""All findings of one window joined: who is coordinated, how much of the window, how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.finding import Detector, Finding, Verdict
from detectors.p_values import combine
from detectors.shares import shares
from detectors.table import Keys, Mask, Window
from detectors.words import percent

BEHAVIOUR: Final = ("bursts", "account_age", "client")
"""Findings about how accounts act and look, apart from what they write."""

CERTAIN: Final = 1e-12
"""A combined p-value from which on the evidence counts in full in the score."""


class AlertKind(StrEnum):
    """What the coordinated posts do to the hashtag."""

    FLOOD = "flood"  # they speak of something else: the tag is being drowned
    AMPLIFICATION = "amplification"  # they speak of what the tag is about: it is being made loud


@dataclass(frozen=True)
class Assessment:
    """The joint judgement of one window.

    Attributes
    ----------
    coordinated_posts, coordinated_accounts : uint64, sorted
        Keys; empty if nothing is coordinated.
    account_scores : float64, aligned with coordinated_accounts
        Share of the suspicious findings that point at the account, in [0, 1].
    coordinated_share : float
        Coordinated posts over posts, in [0, 1].
    texts : int
        Near-identical groups among the coordinated posts.
    off_topic : float or None
        How far the coordinated posts are from what the tag is about, in [0, 1]; None if it cannot be told.
    p_value : float
        Combined over the findings that did not abstain; 1 if all did.
    score : float
        0 to 100: coordinated share in per cent, discounted where the evidence is weak.
    kind : AlertKind or None
        None if the window is not worth an alert.
    """

    hashtag: str
    start_ms: int
    end_ms: int
    posts: int
    accounts: int
    coordinated_posts: Keys
    coordinated_accounts: Keys
    account_scores: NDArray[np.float64]
    coordinated_share: float
    texts: int
    off_topic: float | None
    p_value: float
    score: float
    kind: AlertKind | None
    first_coordinated_ms: int | None
    findings: tuple[Finding, ...]
    sentence: str
    window: Window


@dataclass(frozen=True, slots=True)
class AssessmentPolicy:
    """From when on a window is worth an alert.

    Attributes
    ----------
    min_accounts : int
        Coordinated accounts, at least.
    min_share : float
        Coordinated posts over posts, at least.
    max_p_value : float
        Combined p-value, at most.
    bare_accounts, bare_texts : int
        Where times, dates and clients are unknown, texts alone must carry the case: at least so many
        accounts, half of which share at least so many texts with the same others.
    """

    min_accounts: int = 5
    min_share: float = 0.05
    max_p_value: float = 1e-6
    bare_accounts: int = 15
    bare_texts: int = 3


def assess(
    window: Window, baseline: Baseline, detectors: Sequence[Detector], policy: AssessmentPolicy
) -> Assessment:
    """Run the detectors over one window and join what they say.

    Co-posting is the backbone: an account is coordinated if it shares several texts with the same others, or
    posts a text that is mostly theirs, and if something else than the copying speaks for it.
    """
    findings = tuple(detector.assess(window, baseline) for detector in detectors)
    by_name = {finding.detector: finding for finding in findings}
    together = _rows_together(window, by_name["co_posting"])
    held = _corroborated(by_name, np.unique(window.rows["account"][together]).size, policy)
    rows = together if held else np.zeros(len(window), np.bool_)
    posts = np.unique(window.rows["post"][rows])
    accounts = np.unique(window.rows["account"][rows])
    p_value = combine([f.p_value for f in findings if f.p_value is not None])
    share = posts.size / max(1, len(window))
    worth = (
        accounts.size >= policy.min_accounts and share >= policy.min_share and p_value <= policy.max_p_value
    )
    off_topic = by_name["off_topic"]
    kind = None
    if worth:
        off = off_topic.verdict is Verdict.SUSPICIOUS
        kind = AlertKind.FLOOD if off else AlertKind.AMPLIFICATION
    certainty = max(0.0, min(1.0, float(np.log(p_value) / np.log(CERTAIN))))  # 0.0, never -0.0
    return Assessment(
        hashtag=window.hashtag,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        posts=len(window),
        accounts=int(np.unique(window.rows["account"]).size),
        coordinated_posts=posts,
        coordinated_accounts=accounts,
        account_scores=_scores(accounts, findings),
        coordinated_share=share,
        texts=int(np.unique(window.group[rows]).size),
        off_topic=off_topic.effect,
        p_value=p_value,
        score=100 * share * certainty,
        kind=kind,
        first_coordinated_ms=int(window.rows["time_ms"][rows].min()) if rows.any() else None,
        findings=findings,
        sentence=_sentence(window, together, held, kind, off_topic),
        window=window,
    )


def _rows_together(window: Window, co_posting: Finding) -> Mask:
    """Rows of accounts that post together and carry a text they share; shape (n,).

    A copied text is theirs if at least half of its accounts are co-posting ones; whoever posts it is taken
    with them. The co-posting accounts' other shared texts count too.
    """
    if co_posting.verdict is not Verdict.SUSPICIOUS:
        return np.zeros(len(window), np.bool_)
    found = shares(window)
    core = np.isin(found.accounts, co_posting.accounts)
    core_sharing = np.bincount(found.group[core[found.account]], minlength=len(found.sharing))
    theirs = found.copied & (2 * core_sharing >= found.sharing)
    shared_by_core = core[found.account] & (found.sharing[found.group] >= 2)
    return found.rows_of(theirs[found.group] | shared_by_core)


def _corroborated(by_name: dict[str, Finding], accounts: int, policy: AssessmentPolicy) -> bool:
    """Whether something else than the copying itself speaks for coordination.

    People who copy one another's texts act at their own times, with accounts of any age, from clients of
    their own, though a share button or an app is one client for many. What is unknown speaks for neither
    side: where all of it is unknown the texts alone must carry the case, and where one thing is known to be
    ordinary they must show twice as much.
    """
    rhythm, age, client = (by_name[name].verdict for name in BEHAVIOUR)
    if Verdict.SUSPICIOUS in (rhythm, age):
        return True
    ordinary = (rhythm, age, client).count(Verdict.NORMAL)
    if client is Verdict.SUSPICIOUS and ordinary < 2:
        return True
    if ordinary >= 2:
        return False
    texts = float(by_name["co_posting"].evidence.get("median_shared_texts", 0))
    return accounts >= policy.bare_accounts and texts >= policy.bare_texts * (1 + ordinary)


def _scores(accounts: Keys, findings: Sequence[Finding]) -> NDArray[np.float64]:
    pointing = [f.accounts for f in findings if f.verdict is Verdict.SUSPICIOUS and f.accounts.size]
    if not pointing:
        return np.zeros(accounts.size)
    votes = sum((np.isin(accounts, keys).astype(np.float64) for keys in pointing), np.zeros(accounts.size))
    out: NDArray[np.float64] = votes / len(pointing)
    return out


def _sentence(window: Window, together: Mask, held: bool, kind: AlertKind | None, off_topic: Finding) -> str:
    posts = int(np.count_nonzero(together))
    if not posts:
        return f"No accounts repeat texts together among {len(window):,} posts."
    accounts = np.unique(window.rows["account"][together]).size
    texts = np.unique(window.group[together]).size
    if not held:
        what = "; too little else speaks for it, so they are not held to be coordinated"
    elif kind is None:
        what = "; too few, or too little certain, for an alert"
    elif off_topic.verdict is Verdict.ABSTAINED:
        what = "; whether they speak of what the hashtag is about cannot be told"
    elif kind is AlertKind.FLOOD:
        what = ", about something else than the hashtag"
    else:
        what = ", about what the hashtag is about"
    return (
        f"{accounts:,} accounts repeat {texts:,} texts together: {posts:,} of {len(window):,} posts"
        f" ({percent(posts / len(window))}){what}."
    )
