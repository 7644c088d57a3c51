"""What a scan remembers of posts and accounts: what was said last, and the highest score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from builders import HASHTAG, flooded, in_order, monitor_of, packets, step

from detectors.assessment import Assessment
from detectors.finding import Verdict
from streams.ledger import Ledger
from streams.monitor import Evicted, Monitor, Rules


def assessed() -> tuple[Monitor, Assessment]:
    """A monitor that holds a flood, and what was said of it last."""
    monitor = monitor_of(rules=Rules(hop_ms=300_000))
    told = [
        tag.assessment
        for packet in packets(in_order(flooded()), ended=False)
        for outcome in step(monitor, packet)
        for tag in outcome.tags
        if tag.assessment.kind is not None
    ]
    return monitor, told[-1]


def left(monitor: Monitor) -> list[Evicted]:
    """All its rows, as they leave."""
    return [one for one in monitor.evict() if one.hashtag == HASHTAG]


def without(assessment: Assessment, detector: str) -> Assessment:
    """The same, but for one finding that is ordinary."""
    findings = tuple(
        replace(finding, verdict=Verdict.NORMAL) if finding.detector == detector else finding
        for finding in assessment.findings
    )
    return replace(assessment, findings=findings)


def test_a_post_keeps_what_was_said_of_it_last() -> None:
    monitor, full = assessed()
    half = len(full.coordinated_posts) // 2
    names = [one.detector for one in full.findings if one.verdict is Verdict.SUSPICIOUS]
    later = without(full, names[0])
    later = replace(later, coordinated_posts=full.coordinated_posts[half:])
    ledger = Ledger()
    ledger.mark(full)
    ledger.mark(later)
    first, second = set(full.coordinated_posts[:half].tolist()), set(later.coordinated_posts.tolist())
    seen = set[int]()
    for one in left(monitor):
        for key, reason in zip(one.rows["post"].tolist(), ledger.settle(one), strict=True):
            assert (reason is not None) == (key in first | second)
            if reason is not None:
                said = reason.split("+")
                assert set(said) <= set(names)
                assert names[0] not in said or key in first
                seen.add(key)
    assert seen == first | second


def test_what_was_settled_is_forgotten() -> None:
    monitor, full = assessed()
    ledger = Ledger()
    ledger.mark(full)
    rows = left(monitor)
    first = {reason for one in rows for reason in ledger.settle(one)}
    again = {reason for one in rows for reason in ledger.settle(one)}
    assert len(first) > 1
    assert again == {None}


def test_an_account_keeps_its_highest_score() -> None:
    monitor, full = assessed()
    lower = replace(full, account_scores=full.account_scores / 2)
    half = len(full.coordinated_accounts) // 2
    fewer = replace(full, coordinated_accounts=full.coordinated_accounts[:half])
    fewer = replace(fewer, account_scores=np.ones(half))
    ledger = Ledger()
    for one in (lower, full, lower, fewer):
        ledger.mark(one)
    for one in left(monitor):
        ledger.settle(one)
    assert HASHTAG in ledger.hashtags()
    lines = ledger.accounts(HASHTAG)
    scores = {line.id: line.score for line in lines if line.score is not None}
    wanted = dict(zip(full.coordinated_accounts.tolist(), full.account_scores.tolist(), strict=True))
    wanted |= dict.fromkeys(fewer.coordinated_accounts.tolist(), 1.0)
    assert HASHTAG not in ledger.hashtags()
    assert scores == {full.window.show(key): score for key, score in wanted.items()}


def test_accounts_that_are_put_away_are_counted_on() -> None:
    monitor, full = assessed()
    one, other = Ledger(), Ledger()
    rows = left(monitor)
    for ledger in (one, other):
        ledger.mark(full)
        for tag in (*rows, *rows):
            ledger.settle(tag)
            if ledger is other:
                ledger.put_away(HASHTAG)
                ledger.put_away(HASHTAG)
    other.put_away("no such hashtag")
    assert sum(line.posts for line in other.accounts(HASHTAG)) == 2 * sum(len(tag.rows) for tag in rows)
    for tag in rows:
        other.settle(tag)
        other.settle(tag)
    assert other.accounts(HASHTAG) == one.accounts(HASHTAG)
