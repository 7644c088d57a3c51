"""Gaps that many accounts share."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from builders import everyone, fans, find, flood, flooded, keys, post, talk, talk_text, without

from detectors.baseline import GAP_CELLS, Baseline
from detectors.bursts import modes
from detectors.finding import Verdict
from detectors.text import fingerprint


def test_pairs_and_rounds_of_a_flood_are_found() -> None:
    found = find("bursts", flooded())
    assert found.verdict is Verdict.SUSPICIOUS
    assert np.isin(keys(flood()), found.accounts).all()
    spans = found.evidence["modes_s"]
    assert any(first <= 4 <= last for first, last in spans)
    assert any(first <= 1_195 <= last for first, last in spans)


def test_one_prolific_person_with_a_timer_is_no_common_timer() -> None:
    rng = np.random.default_rng(5)
    timer = [post(800_000 + i, 777, 60 * i, talk_text(rng)) for i in range(110)]
    assert find("bursts", talk() + timer).verdict is Verdict.NORMAL


@pytest.mark.parametrize("seed", range(5))
def test_fans_at_their_own_times_stay_quiet(seed: int) -> None:
    assert find("bursts", talk(seed, accounts=300) + fans(seed)).verdict is Verdict.NORMAL


def test_match_night_of_quick_posts_stays_quiet() -> None:
    rng = np.random.default_rng(3)
    quick = [
        post(600_000 + 10 * account + i, 6_000 + account, 900 + 60 * account + at, "GOOOAL!!")
        for account in range(100)
        for i, at in enumerate(np.cumsum(rng.lognormal(np.log(25), 1.0, 4)))
    ]
    assert find("bursts", talk() + quick).verdict is Verdict.NORMAL


def test_times_known_to_the_minute_abstain() -> None:
    found = find("bursts", without(flooded(), resolution_ms=60_000))
    assert found.verdict is Verdict.ABSTAINED
    assert found.sentence == "Times are known to the minute only."


def test_few_gaps_abstain() -> None:
    assert find("bursts", everyone("The harbour bridge opens tomorrow morning")).verdict is Verdict.ABSTAINED


def test_coarse_times_do_not_vote_beside_fine_ones() -> None:
    coarse = without(flood(), resolution_ms=60_000)
    assert find("bursts", talk(accounts=400) + coarse).verdict is Verdict.NORMAL


def test_four_accounts_with_many_gaps_do_not_hide_the_timer_of_thirty() -> None:
    """Decoys: their gaps are dense, but too few accounts share them to be a mode."""
    decoy = [(account, gap) for account in range(1, 5) for gap in range(30, 160)]
    timer = [(account, 1_200 + account % 3) for account in range(100, 130)]
    who, gaps = zip(*(decoy + timer), strict=True)
    found = modes(np.array(gaps, np.int64), np.array(who), Baseline.prior(), min_accounts=5)
    assert any(mode.first <= 1_201 <= mode.last for mode in found)


def test_gaps_at_the_ends_of_the_range_do_not_raise() -> None:
    gaps = np.array([0, GAP_CELLS - 1] * 20, np.int64)
    found = modes(gaps, np.repeat(np.arange(20), 2), Baseline.prior())
    assert {0, GAP_CELLS - 1} <= {edge for mode in found for edge in (mode.first, mode.last)}


def timeline(cases: Path) -> tuple[np.ndarray, np.ndarray]:
    times: dict[str, list[int]] = defaultdict(list)
    with (cases / "egypt_loan" / "timeline.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            times[row["handle"]].append(int(datetime.fromisoformat(row["created_at"] + "+00:00").timestamp()))
    pairs = [
        (later - one, fingerprint(who)) for who, own in times.items() for one, later in pairwise(sorted(own))
    ]
    gaps, accounts = zip(*pairs, strict=True)
    return np.array(gaps, np.int64), np.unique(np.array(accounts, np.uint64), return_inverse=True)[1]


@pytest.mark.cases
def test_published_timeline_has_its_short_and_its_long_mode(cases: Path) -> None:
    gaps, accounts = timeline(cases)
    assert len(gaps) == 26
    found = modes(gaps, accounts, Baseline.prior())
    short, long = sorted(found, key=lambda mode: mode.first)
    assert (short.first, short.last) == (4, 5)
    assert short.units >= 5
    assert long.first <= 1_282 <= long.last  # 21 min 22 s, published as 21 min 20 s
    assert long.last <= 1_500
    assert max(short.p_value, long.p_value) < 0.01
    assert min(short.ratio, long.ratio) > 10


def test_account_counts_once_for_each_distinct_gap() -> None:
    """A hundred gaps of one timer and four people who once waited as long: no common timer."""
    rng = np.random.default_rng(4)
    gaps = np.concatenate(
        (np.full(104, 60), rng.lognormal(np.log(600), 1.8, 60).astype(np.int64) % GAP_CELLS)
    )
    who = np.concatenate((np.zeros(100), np.arange(1, 5), np.arange(100, 160))).astype(np.int64)
    found = modes(gaps, who, Baseline.prior(), min_accounts=5)
    assert not any(mode.first <= 60 <= mode.last and mode.p_value <= 1e-3 for mode in found)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spread", [0.5, 0.6, 1.0])
def test_smooth_gaps_of_a_quick_crowd_are_no_timer(seed: int, spread: float) -> None:
    """Cutting out one bump must not make its rims stand out in turn."""
    rng = np.random.default_rng(seed)
    gaps = np.clip(rng.lognormal(np.log(22), spread, 1_600), 1, 7_200).astype(np.int64)
    accounts = rng.integers(1, 400, gaps.size)
    found = modes(
        gaps,
        accounts,
        Baseline.prior(),
        min_accounts=5,
        worst_p_value=1e-3,
        widest=0.02,
        against_flanks=True,
    )
    assert found == []


def test_crowd_that_follows_the_same_events_has_no_timer() -> None:
    rng = np.random.default_rng(4)
    events = [600, 1_700, 2_800, 3_900]
    quotes = [
        post(700_000 + 10 * account + i, 9_000 + account, at + abs(rng.normal(0, 60)), talk_text(rng))
        for account in range(200)
        for i, at in enumerate(events)
    ]
    assert find("bursts", talk() + quotes).verdict is Verdict.NORMAL
    wide = modes(*_gaps(quotes), Baseline.prior())
    assert any(mode.first <= 1_100 <= mode.last for mode in wide)


def _gaps(posts: list) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    times: dict[int, list[int]] = defaultdict(list)
    for one in posts:
        times[int(one.account_id)].append(one.time_ms // 1_000)
    pairs = [(b - a, who) for who, at in times.items() for a, b in pairwise(sorted(at))]
    return np.array([gap for gap, _ in pairs]), np.array([who for _, who in pairs], np.int64)
