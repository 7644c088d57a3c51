"""Completed periods are the same for any partitions, batches and restarts, and so is all that uses them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import pytest
from builders import (
    HASHTAG,
    RULES,
    digests,
    flood,
    in_order,
    jumbled,
    lines,
    packets,
    run_all,
    talk,
    without,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import assess
from detectors.alert import Reason
from detectors.assessment import Assessment, AssessmentPolicy
from detectors.baseline import Baseline
from detectors.table import DAY_MS, HOUR_MS, Window
from streams import monitor as monitor_module
from streams.monitor import Monitor, Outcome, lockstep
from streams.packets import partition_of
from streams.periods import PERIOD_MS, Closing, decode, encode
from streams.posts import Post

TAGS: Final = (HASHTAG, "toll", "ferry", "gulls")


def moved(posts: Sequence[Post], by_ms: int, name: str) -> list[Post]:
    return [msgspec.structs.replace(p, id=f"{p.id}{name}", time_ms=p.time_ms + by_ms) for p in posts]


def several_hours() -> list[Post]:
    """Two tags that one flood takes at once, a third that it takes five hours later, and again days later."""
    taken = flood(accounts=20)
    return [
        *without(talk(accounts=40), hashtags=TAGS[:2]),
        *without(talk(seed=5, accounts=30, first=300), hashtags=TAGS[3:]),
        *without(taken, hashtags=TAGS[:2]),
        *moved(without(talk(seed=6, accounts=20, first=400), hashtags=TAGS[2:]), 5 * HOUR_MS, "5"),
        *moved(without(taken, hashtags=TAGS[2:3]), 5 * HOUR_MS, "5"),
        *moved(without(taken, hashtags=TAGS[:1]), 4 * DAY_MS, "4"),
    ]


POSTS: Final = several_hours()
EXPECTED: Final = run_all(in_order(POSTS), 1)


def traces(outcomes: Sequence[Outcome]) -> list[bytes]:
    closings = [outcome.closing for outcome in outcomes if outcome.closing is not None]
    return sorted(msgspec.json.encode((c.end_ms, trace)) for c in closings for trace in c.traces)


def judged(outcomes: Sequence[Outcome]) -> dict[int, list[int]]:
    """By end of an hour, the cells of the p-values of the hashtags that all partitions judged at its end."""
    told: dict[int, list[int]] = {}
    for outcome in outcomes:
        if outcome.closing is not None and outcome.closing.tests.total:
            seen = outcome.closing.tests
            told.setdefault(outcome.closing.end_ms, []).extend(np.repeat(seen.cells, seen.counts).tolist())
    return {hour: sorted(cells) for hour, cells in told.items()}


def same(outcomes: Sequence[Outcome]) -> None:
    assert sorted(lines(outcomes)) == sorted(lines(EXPECTED))
    assert digests(outcomes) == digests(EXPECTED)
    assert traces(outcomes) == traces(EXPECTED)
    assert judged(outcomes) == judged(EXPECTED)


def told() -> list[dict[str, object]]:
    """What readers were told, in order."""
    out = []
    for line in lines(EXPECTED):
        reason, _, alert = line.partition(b" ")
        if reason.isalpha():
            out.append({"reason": reason.decode(), **msgspec.json.decode(alert)})
    return out


def test_the_archive_of_these_laws_has_hours_that_are_used_and_campaigns_that_are_joined() -> None:
    news = told()
    assert {one["hashtag"] for one in news} == set(TAGS[:3])
    assert len({one["campaign"]["id"] for one in news if one["reason"] == "resolved"}) == 1  # type: ignore[index]
    assert "joined" in {one["reason"] for one in news}
    assert {one["baseline"] for one in news} > {"prior-2"}
    assert len(digests(EXPECTED)) == 4
    assert len(judged(EXPECTED)) >= 2
    assert {one["q_value"] is None for one in news} == {True, False}


@pytest.mark.parametrize("partitions", [2, 4])
def test_number_of_partitions_changes_nothing(partitions: int) -> None:
    assert len({partition_of(tag, partitions) for tag in TAGS}) > 1
    same(run_all(in_order(POSTS), partitions))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), sources=st.integers(1, 3), most=st.sampled_from((1, 7, 300)))
def test_packets_sources_and_arrival_within_lateness_change_nothing(
    seed: int, sources: int, most: int
) -> None:
    rng = np.random.default_rng(seed)
    arrivals = jumbled(POSTS, rng, sources, RULES.lateness_ms)
    same(run_all(arrivals, 2, sources, sizes=rng.integers(1, most + 1, 99).tolist()))


@pytest.mark.parametrize("behind", [0, 1])
def test_a_partition_that_is_far_behind_is_waited_for_and_changes_nothing(behind: int) -> None:
    """It gets one packet whenever the other one has all that it may count."""
    periods = RULES.periods(range(2))
    monitors = [Monitor(p, range(1), RULES, Baseline.prior(), periods=periods) for p in range(2)]
    sent = [packets(in_order(POSTS), partitions=2, partition=p) for p in range(2)]
    waiting, out, held = [list(one) for one in sent], list[Outcome](), False
    while any(waiting):
        for partition in (1 - behind, behind):
            monitor = monitors[partition]
            out += [outcome for _, outcome in lockstep([monitor])]  # what the other one's periods allow
            while waiting[partition] and not monitor.held:
                monitor.apply(monitor.plan(waiting[partition].pop(0)))
                out += [outcome for _, outcome in lockstep([monitor])]
                if partition == behind:
                    break  # one packet, then the other one may go on
            held |= monitor.held
    out += [outcome for _, outcome in lockstep(monitors)]
    assert held
    assert not any(monitor.held for monitor in monitors)
    same(sorted(out, key=lambda outcome: outcome.hop_ms))


@pytest.mark.parametrize("cut", range(3, 60, 9))
def test_a_partition_that_is_resumed_in_the_middle_of_an_hour_closes_it_with_the_same_bytes(cut: int) -> None:
    periods = RULES.periods(range(1))
    monitor = Monitor(0, range(1), RULES, Baseline.prior(), periods=periods)
    out: list[Outcome] = []
    for number, packet in enumerate(packets(in_order(POSTS), size=lambda: 40)):
        if number % 20 == cut % 20:
            state = copy.deepcopy(monitor.state)
            for tag in state.tags.values():
                # As a store gives them back: in one piece, in any order.
                tag.buckets = {b: [np.concatenate(parts)[::-1]] for b, parts in tag.buckets.items()}
            monitor = Monitor(0, range(1), RULES, Baseline.prior(), state, periods)
        monitor.apply(monitor.plan(packet))
        out += [outcome for _, outcome in lockstep([monitor])]
    same(out)
    assert closed(out) == closed(EXPECTED)


def closed(outcomes: Sequence[Outcome]) -> dict[bytes, bytes]:
    closings = [outcome.closing for outcome in outcomes if outcome.closing is not None]
    return {closing.key: encode(closing) for closing in closings if not closing.empty}


def test_a_gap_of_days_is_closed_in_one_step_and_empty_periods_are_not_told_of() -> None:
    closings = [o.closing for o in run_all(in_order(POSTS), 4) if o.closing is not None]
    by_partition: dict[int, list[Closing]] = {}
    for closing in closings:
        by_partition.setdefault(closing.partition, []).append(closing)
    assert len(by_partition) == 4
    days = {}
    for partition, mine in by_partition.items():
        ends_ms = [closing.end_ms for closing in mine]
        assert ends_ms == sorted(set(ends_ms))
        days[partition] = (ends_ms[-1] - ends_ms[0]) / DAY_MS
        assert len(mine) < 70
    assert min(days.values()) > 4


def test_what_is_written_is_read_and_the_same_period_gives_the_same_bytes() -> None:
    for outcome in EXPECTED:
        if outcome.closing is not None:
            value = encode(outcome.closing)
            again = decode(value)
            assert encode(again) == value
            assert again.sums.digest == outcome.closing.sums.digest
            assert again.traces == outcome.closing.traces


def fired_ms(hashtag: str) -> int:
    """The hop at which the first alert of a hashtag fired."""
    return min(
        o.hop_ms
        for o in EXPECTED
        for tag in o.tags
        if tag.reason is Reason.FIRED and tag.window.hashtag == hashtag
    )


def known_ms(time_ms: int) -> int:
    """From which hop on it is known what a partition knew at a time: a whole period later."""
    return -(-time_ms // PERIOD_MS) * PERIOD_MS + PERIOD_MS


def test_a_hop_knows_nothing_of_the_period_before() -> None:
    """What is posted in a period that a hop may not use yet changes no baseline and no campaign of it."""
    first_ms = EXPECTED[0].hop_ms // HOUR_MS * HOUR_MS + 2 * HOUR_MS
    alerts = [(o.hop_ms, tag.alert) for o in EXPECTED for tag in o.tags if tag.alert is not None]
    early = {alert.baseline for hop_ms, alert in alerts if hop_ms < first_ms}
    assert early == {"prior-2"}
    assert "prior-2" not in {alert.baseline for hop_ms, alert in alerts if alert.updated_ms >= first_ms}
    first_ms = known_ms(min(fired_ms(hashtag) for hashtag in TAGS[:2]))
    assert {alert.own_campaign.alerts for hop_ms, alert in alerts if hop_ms < first_ms} == {1}
    assert {alert.own_campaign.alerts for hop_ms, alert in alerts if hop_ms == first_ms} == {2}


def test_a_window_is_told_what_was_seen_before_in_campaigns_but_not_in_its_own_alert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[tuple[str, int], set[str]] = {}

    def judge(window: Window, baseline: Baseline, policy: AssessmentPolicy) -> Assessment:
        found = baseline.memory.seen(np.unique(window.rows["account"]), np.empty(0, np.uint64))
        seen[window.hashtag, window.end_ms] = {tag for one in found for tag in one.hashtags}
        return assess(window, baseline, policy)

    monkeypatch.setattr(monitor_module, "assess", judge)
    same(run_all(in_order(POSTS), 2))
    both = set(TAGS[:2])
    first_ms, both_ms = (known_ms(some(map(fired_ms, both))) for some in (min, max))
    for (hashtag, end_ms), tags in seen.items():
        if end_ms < first_ms:
            assert not tags
        elif end_ms < first_ms + 3 * HOUR_MS and hashtag in both:
            assert tags <= both - {hashtag}
    for hashtag in both:
        assert seen[hashtag, both_ms] == both - {hashtag}
    assert any(hashtag == TAGS[2] and tags == both for (hashtag, _), tags in seen.items()), "hours later"
    assert any(hashtag in tags for (hashtag, _), tags in seen.items()), "its own earlier alert, days later"
