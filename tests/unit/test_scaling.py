"""What a whole network would take, in small: nothing gets lost between the hashtags and the page."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from benchmarks import scaling, scaling_page, speed_report
from benchmarks.crowd import tag
from benchmarks.scaling_page import Cost, Network, Report
from benchmarks.speed_live import Live
from streams.monitor import Rules
from streams.packets import partition_of

SMALL: Final = Network(posts_a_day=2_000_000, peak_s=900, hashtags_a_day=20_000)
COST: Final = Cost(1e-4, 600.0, 200.0, ((30, 1e-3), (1_000, 1e-2), (100_000, 1.0)))


def test_as_many_different_hashtags_as_asked_for_are_expected_in_a_day() -> None:
    shares = scaling.popularity(SMALL)
    assert shares.sum() == pytest.approx(1)
    assert (np.diff(shares) < 0).all()
    drawn = np.random.default_rng(1).poisson(SMALL.posts_a_day * shares)
    assert np.count_nonzero(drawn) == pytest.approx(SMALL.hashtags_a_day, rel=0.03)


def test_hashtags_go_where_they_go_live() -> None:
    where = scaling._deal(50, 7, np.random.default_rng(0))
    assert where.tolist() == [partition_of(tag(n), 7) for n in range(50)]


def test_rows_are_bounded_and_the_load_of_all_partitions_is_that_of_the_network() -> None:
    rules, shares = Rules(bucket_rows=100), scaling.popularity(SMALL)
    load, dealt = scaling.dealt(SMALL, shares, rules, COST, (1, 8, 64), seed=0)
    assert load.rows_s < load.posts_s
    assert load.peak_rows_s < SMALL.peak_s < load.hottest
    assert load.full >= 1
    assert load.assessed < load.hashtags
    whole = dealt[0].mean_cores
    assert whole == pytest.approx(load.rows_s * COST.worker_s + load.assess_cores)
    for one in dealt:
        assert one.mean_cores * one.partitions == pytest.approx(whole)
        assert one.most_cores >= one.mean_cores
        assert 1 <= one.bounded <= one.unbounded


def test_the_cost_of_a_window_is_what_was_measured_and_between_that_rises() -> None:
    measured, between = COST.assess_s(np.array([30.0, 1_000.0])), COST.assess_s(np.array([100.0, 10_000.0]))
    assert measured == pytest.approx([1e-3, 1e-2])
    assert 1e-3 < between[0] < 1e-2
    assert between[1] == pytest.approx(0.1)
    assert COST.assess_s(np.array([1e9]))[0] == pytest.approx(1.0), "windows hold no more"


def test_assessments_are_timed_on_windows_that_hold_what_is_said() -> None:
    (one, other) = scaling.assessments((40, 400), repeats=1)
    assert (one[0], other[0]) == (40, 400)
    assert one[1] > 0
    assert other[1] > 0


def test_costs_come_from_the_live_worker_with_many_posts_a_message() -> None:
    several = Live(
        per_message=50,
        posts=1_000,
        seconds=1.0,
        processor_s=0.5,
        peak_mib=1.0,
        redis_held_bytes=600_000,
        redis_sent_bytes=1,
        packet_bytes=200_000,
        packets=1,
        windows=1,
    )
    report = speed_report.Report("a machine", "make bench", speed_report.USUAL, live=[several])
    cost = scaling.cost_of(report, COST.assessed)
    assert (cost.worker_s, cost.redis_bytes, cost.packet_bytes) == (5e-4, 600.0, 200.0)
    with pytest.raises(ValueError, match="run make bench first"):
        scaling.cost_of(speed_report.Report("a machine", "make bench", speed_report.USUAL), COST.assessed)


def test_the_page_says_when_it_rests_on_a_short_run_and_adds_the_bill_up() -> None:
    rules, shares = Rules(), scaling.popularity(SMALL)
    load, dealt = scaling.dealt(SMALL, shares, rules, COST, (8,), seed=0)
    report = Report(SMALL, rules, COST, load, tuple(dealt), float(shares[0]), speed_report.SHORT)
    text = scaling_page.page(report)
    assert "short run" in text
    total = sum(dollars for _, _, dollars in report.bill())
    assert f"| together | | {total:,.0f} |" in text
