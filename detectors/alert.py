"""When an assessment becomes an alert, grows and ends: one pure function that returns its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from detectors.assessment import AlertKind, Assessment
from detectors.campaign import Campaign, Campaigns, Origin, Trace, sampled, text_prints
from detectors.evidence import Evidence, gather
from detectors.finding import Finding, Verdict
from detectors.text import fingerprint


class State(StrEnum):
    """Where an alert is in its life. A pending one is not shown to anybody."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How much of the hashtag is taken."""

    WARNING = "warning"
    CRITICAL = "critical"  # most of the window's posts are coordinated


class Reason(StrEnum):
    """Why `decide` did what it did."""

    QUIET = "quiet"  # nothing to tell and nothing open
    HOLDING = "holding"  # the evidence is there, not yet for long enough
    FORGOTTEN = "forgotten"  # the evidence went away before it had held for long enough
    FIRED = "fired"
    GREW = "grew"
    UNCHANGED = "unchanged"  # still firing, no larger than what was told already
    CALMING = "calming"  # below the line, not yet for long enough
    JOINED = "joined"  # still firing, and found to belong to an older campaign
    RESOLVED = "resolved"

    @property
    def is_news(self) -> bool:
        """Whether readers of the alert topic are told."""
        return self in (Reason.FIRED, Reason.GREW, Reason.JOINED, Reason.RESOLVED)


@dataclass(frozen=True, slots=True)
class Policy:
    """How long evidence must hold, and calm must last; in assessed hops."""

    hold_hops: int = 2
    calm_hops: int = 15


@dataclass(frozen=True, slots=True)
class Told:
    """What a reader is told of one finding."""

    detector: str
    verdict: Verdict
    p_value: float | None
    effect: float | None
    accounts: int
    posts: int
    sentence: str

    @classmethod
    def of(cls, finding: Finding) -> Told:
        """A finding without its lists of accounts and posts."""
        return cls(
            finding.detector,
            finding.verdict,
            finding.p_value,
            finding.effect,
            int(finding.accounts.size),
            int(finding.posts.size),
            finding.sentence,
        )


@dataclass(frozen=True, slots=True)
class Alert:
    """One flood or amplification of one hashtag, with its evidence at its largest.

    Attributes
    ----------
    id : str
        Hexadecimal, a function of hashtag, kind and first hop: the same after every replay.
    starts_ms : int
        Event time of the first coordinated post in the window in which it fired.
    opened_ms : int
        The hop at which the evidence was first there.
    updated_ms : int
        The hop at which the figures were taken.
    ends_ms : int or None
        The hop at which it resolved.
    rests_on : tuple of str
        What ties the accounts together, then the findings that speak for coordination.
    q_value : float or None
        See `detectors.assessment.Assessment`.
    held_hops, calm_hops : int
        Consecutive hops with and without evidence so far.
    accounts_sample, texts_sample : bytes
        Taken with the figures, see `detectors.campaign.Trace`.
    campaign : Campaign or None
        What it belongs to, as far as completed periods show; None only in state that an older version stored.
    sampled : float
        The share of all accounts that were looked at, in (0, 1]. Below 1 the four counts are estimates; the
        findings and the evidence count what was looked at.
    """

    id: str
    kind: AlertKind
    state: State
    hashtag: str
    starts_ms: int
    updated_ms: int
    ends_ms: int | None
    severity: Severity
    posts: int
    accounts: int
    coordinated_posts: int
    coordinated_accounts: int
    coordinated_share: float
    texts: int
    off_topic: float | None
    p_value: float
    score: float
    sentence: str
    findings: tuple[Told, ...]
    evidence: Evidence
    window_start_ms: int
    baseline: str
    held_hops: int = 0
    calm_hops: int = 0
    rests_on: tuple[str, ...] = ()
    opened_ms: int = 0
    accounts_sample: bytes = b""
    texts_sample: bytes = b""
    campaign: Campaign | None = None
    q_value: float | None = None
    sampled: float = 1.0

    @property
    def own_campaign(self) -> Campaign:
        """What it belongs to, its own one if nothing else is known."""
        return self.campaign or Campaign(self.origin, (self.hashtag,))

    @property
    def origin(self) -> Origin:
        """What makes it the first of a campaign, if no earlier alert belongs to that."""
        return Origin(self.opened_ms, self.id, self.starts_ms)

    @property
    def trace(self) -> Trace:
        """What later alerts are compared with."""
        return Trace(
            origin=self.origin,
            hashtag=self.hashtag,
            kind=self.kind.value,
            accounts=self.coordinated_accounts,
            texts=self.texts,
            accounts_sample=self.accounts_sample,
            texts_sample=self.texts_sample,
            campaign=self.own_campaign.origin,
        )

    def changed_since(self, time_ms: int) -> bool:
        """Whether its trace is another one than at that hop."""
        joined_ms = self.own_campaign.joined_ms
        return self.updated_ms > time_ms or (joined_ms is not None and joined_ms > time_ms)


def alert_id(hashtag: str, kind: AlertKind, first_hop_ms: int) -> str:
    """A name that a replay arrives at again.

    >>> alert_id("loan", AlertKind.FLOOD, 0)
    '6e00b2ece4d138aa'
    """
    named = f"{hashtag}\n{kind}\n{first_hop_ms}"
    return f"{fingerprint(named):016x}"


def decide(
    previous: Alert | None,
    assessment: Assessment,
    now_ms: int,
    *,
    baseline: str = "",
    policy: Policy | None = None,
    campaigns: Campaigns | None = None,
) -> tuple[Alert | None, Reason]:
    """What becomes of a hashtag's alert at one hop.

    Parameters
    ----------
    previous : Alert or None
        The tag's open alert (pending or firing), if there is one.
    assessment : Assessment
        Of the window that ends at `now_ms`.
    now_ms : int
        The hop.
    baseline : str
        Digest of the baseline the assessment used.
    campaigns : Campaigns, optional
        Those of the periods that the hop may know.

    Returns
    -------
    alert : Alert or None
        To be kept as `previous` of the next hop unless it is resolved.
    reason : Reason
    """
    alert, reason = _decide(previous, assessment, now_ms, baseline, policy or Policy())
    if alert is None:
        return alert, reason
    return _in_campaign(alert, reason, previous, campaigns or _NO_CAMPAIGNS, now_ms)


_NO_CAMPAIGNS: Final = Campaigns()


def _in_campaign(
    alert: Alert, reason: Reason, previous: Alert | None, campaigns: Campaigns, now_ms: int
) -> tuple[Alert, Reason]:
    """The alert with what it belongs to. That an alert which was told belongs to an older one is news."""
    before = Campaign(alert.origin, ()) if previous is None else previous.own_campaign
    found = campaigns.of(alert.trace, before)
    joined = found.id != before.id
    alert = replace(alert, campaign=replace(found, joined_ms=now_ms if joined else before.joined_ms))
    told = previous is not None and previous.state is State.FIRING and alert.state is State.FIRING
    return alert, Reason.JOINED if joined and told else reason


def _decide(
    previous: Alert | None, assessment: Assessment, now_ms: int, baseline: str, policy: Policy
) -> tuple[Alert | None, Reason]:
    if assessment.kind is None:
        return _calm(previous, now_ms, policy)
    if previous is None or previous.state is State.PENDING:
        first_ms = assessment.first_coordinated_ms
        fresh = _figures(
            alert_id(assessment.hashtag, assessment.kind, now_ms) if previous is None else previous.id,
            State.PENDING,
            assessment.start_ms if first_ms is None else first_ms,
            assessment,
            now_ms,
            baseline,
        )
        if previous is None:
            return _hold(replace(fresh, held_hops=1, opened_ms=now_ms), policy)
        fresh = replace(fresh, held_hops=previous.held_hops + 1, opened_ms=previous.opened_ms)
        return _hold(fresh, policy)
    if assessment.coordinated[0] > previous.coordinated_posts:
        grown = _figures(previous.id, State.FIRING, previous.starts_ms, assessment, now_ms, baseline)
        grown = replace(grown, held_hops=previous.held_hops + 1, opened_ms=previous.opened_ms)
        return grown, Reason.GREW
    return replace(previous, held_hops=previous.held_hops + 1, calm_hops=0), Reason.UNCHANGED


def _hold(alert: Alert, policy: Policy) -> tuple[Alert, Reason]:
    if alert.held_hops < policy.hold_hops:
        return alert, Reason.HOLDING
    return replace(alert, state=State.FIRING), Reason.FIRED


def _calm(previous: Alert | None, now_ms: int, policy: Policy) -> tuple[Alert | None, Reason]:
    if previous is None:
        return None, Reason.QUIET
    if previous.state is State.PENDING:
        return None, Reason.FORGOTTEN
    calm_hops = previous.calm_hops + 1
    if calm_hops < policy.calm_hops:
        return replace(previous, calm_hops=calm_hops), Reason.CALMING
    return replace(previous, state=State.RESOLVED, ends_ms=now_ms, calm_hops=calm_hops), Reason.RESOLVED


def _figures(
    name: str, state: State, starts_ms: int, assessment: Assessment, now_ms: int, baseline: str
) -> Alert:
    kind = assessment.kind
    assert kind is not None
    coordinated_posts, coordinated_accounts = assessment.coordinated
    return Alert(
        id=name,
        kind=kind,
        state=state,
        hashtag=assessment.hashtag,
        starts_ms=starts_ms,
        updated_ms=now_ms,
        ends_ms=None,
        severity=Severity.CRITICAL if assessment.coordinated_share >= 0.5 else Severity.WARNING,
        posts=assessment.posts,
        accounts=assessment.accounts,
        coordinated_posts=coordinated_posts,
        coordinated_accounts=coordinated_accounts,
        coordinated_share=assessment.coordinated_share,
        texts=assessment.texts,
        off_topic=assessment.off_topic,
        p_value=assessment.p_value,
        score=assessment.score,
        sentence=assessment.sentence,
        findings=tuple(Told.of(finding) for finding in assessment.findings),
        evidence=gather(
            assessment.window,
            assessment.coordinated_rows,
            assessment.coordinated_accounts,
            assessment.account_scores,
        ),
        window_start_ms=assessment.start_ms,
        baseline=baseline,
        rests_on=assessment.rests_on,
        q_value=assessment.q_value,
        accounts_sample=sampled(assessment.coordinated_accounts),
        texts_sample=sampled(text_prints(assessment.window, assessment.coordinated_rows)),
        sampled=assessment.sampled,
    )
