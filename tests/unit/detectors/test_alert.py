"""The life of an alert, hop by hop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import T0, flood, talk, window
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import assess
from detectors.alert import Alert, Policy, Reason, Severity, State, alert_id, decide
from detectors.assessment import AlertKind, Assessment, AssessmentPolicy
from detectors.baseline import Baseline

HOP = 60_000
BASE = assess(window(talk(accounts=20) + flood(accounts=12, rounds=2)), Baseline.prior(), AssessmentPolicy())
POLICY = Policy(hold_hops=2, calm_hops=3)


def seen(posts: int | None, kind: AlertKind = AlertKind.FLOOD) -> Assessment:
    """An assessment with so many coordinated posts; None: not worth an alert."""
    if posts is None:
        return replace(BASE, kind=None)
    return replace(BASE, kind=kind, coordinated_posts=np.arange(1, posts + 1, dtype=np.uint64))


def live(*hops: int | None, policy: Policy = POLICY) -> list[tuple[Alert | None, Reason]]:
    alert: Alert | None = None
    out = []
    for i, posts in enumerate(hops):
        alert, reason = decide(alert, seen(posts), T0 + i * HOP, baseline="prior-2", policy=policy)
        out.append((alert, reason))
        if alert is not None and alert.state is State.RESOLVED:
            alert = None
    return out


N = None


@pytest.mark.parametrize(
    ("hops", "reasons"),
    [
        ((N,), "quiet"),
        ((5,), "holding"),
        ((5, 5), "holding fired"),
        ((5, 5, 5), "holding fired unchanged"),
        ((5, 5, 6, 6, 5), "holding fired grew unchanged unchanged"),
        ((5, N), "holding forgotten"),
        ((5, N, 5, 5), "holding forgotten holding fired"),
        ((5, 5, N, N, N), "holding fired calming calming resolved"),
        ((5, 5, N, N, N, N), "holding fired calming calming resolved quiet"),
        ((5, 5, N, N, 5, N, N, N), "holding fired calming calming unchanged calming calming resolved"),
        ((5, 5, N, 9, N, N, N), "holding fired calming grew calming calming resolved"),
        ((5, 5, N, N, N, 5, 5), "holding fired calming calming resolved holding fired"),
    ],
)
def test_reasons(hops: tuple[int | None, ...], reasons: str) -> None:
    assert [reason.value for _, reason in live(*hops)] == reasons.split()


def test_news_is_what_changes_for_a_reader() -> None:
    news = {reason for reason in Reason if reason.is_news}
    assert news == {Reason.FIRED, Reason.GREW, Reason.JOINED, Reason.RESOLVED}


def test_one_hop_is_enough_if_so_configured() -> None:
    assert [r for _, r in live(5, N, policy=Policy(hold_hops=1, calm_hops=1))] == [
        Reason.FIRED,
        Reason.RESOLVED,
    ]


def test_id_is_that_of_the_first_hop_and_stays() -> None:
    alerts = [alert for alert, _ in live(5, 5, 8, N, N, N)]
    assert {alert.id for alert in alerts if alert} == {alert_id(BASE.hashtag, AlertKind.FLOOD, T0)}


def test_id_is_a_function_of_hashtag_kind_and_first_hop() -> None:
    ids = {
        alert_id(tag, kind, hop)
        for tag in ("a", "b", "a\nflood")
        for kind in AlertKind
        for hop in (0, T0, T0 + HOP)
    }
    assert len(ids) == 18
    assert alert_id("a", AlertKind.FLOOD, T0) == alert_id("a", AlertKind.FLOOD, T0)
    assert all(len(one) == 16 for one in ids)


def test_figures_are_kept_at_their_largest() -> None:
    steps = live(5, 7, 9, 4, N, N, N)
    largest = steps[2][0]
    assert largest is not None
    assert (largest.coordinated_posts, largest.updated_ms) == (9, T0 + 2 * HOP)
    for alert, _ in steps[3:]:
        assert alert is not None
        assert (alert.coordinated_posts, alert.evidence) == (9, largest.evidence)
        assert alert.updated_ms == T0 + 2 * HOP


def test_start_is_the_first_coordinated_post_when_the_evidence_was_first_there() -> None:
    alert, _ = live(5, 7, 9)[-1]
    assert alert is not None
    assert alert.starts_ms == BASE.first_coordinated_ms
    assert alert.baseline == "prior-2"
    unknown, _ = decide(None, replace(seen(5), first_coordinated_ms=None), T0, policy=POLICY)
    assert unknown is not None
    assert unknown.starts_ms == BASE.start_ms


def test_resolved_alert_says_when_it_ended_and_open_ones_do_not() -> None:
    steps = live(5, 5, N, N, N)
    assert [alert.ends_ms for alert, _ in steps if alert] == [None] * 4 + [T0 + 4 * HOP]


@pytest.mark.parametrize(("share", "severity"), [(0.49, Severity.WARNING), (0.5, Severity.CRITICAL)])
def test_severity_is_critical_from_half_of_the_posts(share: float, severity: Severity) -> None:
    alert, _ = decide(None, replace(seen(5), coordinated_share=share), T0, policy=POLICY)
    assert alert is not None
    assert alert.severity is severity


def test_kind_may_change_while_the_alert_stays_the_same() -> None:
    alert, _ = live(5, 5)[-1]
    grown, reason = decide(alert, seen(9, AlertKind.AMPLIFICATION), T0 + 2 * HOP, policy=POLICY)
    assert reason is Reason.GREW
    assert grown is not None
    assert alert is not None
    assert grown.id == alert.id


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.integers(1, 6), max_size=24),
    st.builds(Policy, hold_hops=st.integers(1, 4), calm_hops=st.integers(1, 4)),
)
def test_alert_fires_only_after_holding_and_ends_only_after_calm(
    hops: list[int | None], policy: Policy
) -> None:
    open_id: str | None = None
    told: dict[str, list[Reason]] = {}
    held = calm = largest = 0
    firing = False
    for posts, (alert, reason) in zip(hops, live(*hops, policy=policy), strict=True):
        held, calm = (held + 1, 0) if posts is not None else (0, calm + 1)
        if alert is not None:
            assert open_id in (None, alert.id)  # never two at once
            told.setdefault(alert.id, []).append(reason)
            assert firing is False or alert.coordinated_posts >= largest
            largest = alert.coordinated_posts
        if reason is Reason.FIRED:
            assert held >= policy.hold_hops
            assert not firing
            firing = True
        if reason is Reason.RESOLVED:
            assert firing
            assert calm >= policy.calm_hops
            assert alert is not None
            assert alert.ends_ms is not None
            firing = False
        if firing:
            assert posts is not None or calm < policy.calm_hops
        if not firing:
            assert held < policy.hold_hops
        open_id = None if alert is None or alert.state is State.RESOLVED else alert.id
        assert alert is None or (alert.state is State.FIRING) == firing
    for reasons in told.values():
        assert reasons.count(Reason.FIRED) <= 1
        assert Reason.RESOLVED not in reasons[:-1]
