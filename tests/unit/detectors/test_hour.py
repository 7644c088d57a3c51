"""What is counted of an hour, and what a baseline makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from builders import TODAY, flood, keys, post, talk, window, without
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.baseline import FIRST_DAY, GAP_CELLS, PRIOR_ACCOUNTS, Baseline
from detectors.hour import (
    FOLLOWING_CELLS,
    MOST_ACCOUNTS,
    MOST_COPIES,
    RATE_UNIT,
    Sums,
    Tally,
    client_cell,
    count,
)
from detectors.table import DAY_MS, Keys, Window
from detectors.text import fingerprint
from streams.posts import Post

NOBODY: Final[Keys] = np.empty(0, np.uint64)


def counted(posts: Sequence[Post], coordinated: Keys = NOBODY) -> Sums:
    return count([(window(posts), coordinated)])


def test_an_account_counts_once_for_a_hashtag() -> None:
    posts = without(talk(accounts=30), following=64)
    sums = counted(posts)
    assert sums.days.total == sums.clients.total == sums.following.total == 30
    assert sums.following.cells.tolist() == [13]


def test_coordinated_accounts_are_left_out() -> None:
    both = [*talk(accounts=30), *flood(accounts=25)]
    alone, without_them = counted(talk(accounts=30)), counted(both, keys(flood(accounts=25)))
    assert without_them.digest == alone.digest
    assert counted(both).digest != alone.digest


def test_a_hashtag_with_a_post_of_each_account_counts_as_any_other() -> None:
    nobody_here = np.array([7], np.uint64)
    for posts in (talk(accounts=30), [post(n, n, n, "the same of all, every time") for n in range(40)]):
        assert counted(posts).digest == counted(posts, nobody_here).digest


def test_of_a_hashtag_only_so_many_accounts_count() -> None:
    many = [post(n, n, n, f"{n} says something about {n * n} bridges", client="App") for n in range(500)]
    assert counted(many).clients.total == MOST_ACCOUNTS
    assert counted(many[::-1]).digest == counted(many).digest


def test_a_copy_rate_is_capped() -> None:
    copying = [post(n, n, n, "everybody says the very same about the bridge") for n in range(100)]
    assert counted(copying).copies == (
        1,
        round(MOST_COPIES * RATE_UNIT),
        round(MOST_COPIES * MOST_COPIES * RATE_UNIT),
    )
    assert counted(talk(accounts=60)).copies == (1, 0, 0)
    assert counted(talk(accounts=3)).copies == (0, 0, 0)


def test_unknown_fields_are_not_counted() -> None:
    unknown = without(talk(accounts=30), client=None, account_created_ms=None, resolution_ms=60_000)
    assert [tally.total for tally in counted(unknown).tallies] == [0, 0, 0, 0]
    assert not any(tally.total for tally in counted([]).tallies)


def test_a_timer_of_one_account_counts_once() -> None:
    posts = [post(n, 1, 300 * n, f"the bridge, part {n} of my long story about it") for n in range(12)]
    assert counted(posts).gaps.total == 1


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 50), max_size=9), max_size=5), seed=st.integers(0, 99))
def test_sums_are_the_same_in_any_order_and_grouping(parts: list[list[int]], seed: int) -> None:
    sums = [
        Sums(days=Tally.of(np.array(cells, np.int64)), copies=(len(cells), sum(cells), 0)) for cells in parts
    ]
    mixed = [sums[i] for i in np.random.default_rng(seed).permutation(len(sums))]
    half = len(mixed) // 2
    grouped = Sums.joined([Sums.joined(mixed[:half]), Sums.joined(mixed[half:])])
    assert grouped.digest == Sums.joined(sums).digest
    assert Sums.joined(sums).days.total == sum(map(len, parts))


def test_hashtags_counted_apart_are_those_counted_together() -> None:
    windows: list[tuple[Window, Keys]] = [
        (window(talk(seed=n, accounts=20), f"tag{n}"), NOBODY) for n in range(4)
    ]
    apart = Sums.joined([count(windows[:1]), count(windows[1:])])
    assert apart.digest == count(windows).digest


def learnt(times: int = 1) -> Baseline:
    hours = Sums.joined([counted(without(talk(seed=n), following=64)) for n in range(times)])
    return Baseline.prior().learn(hours, times)


def test_a_young_stream_is_the_prior_to_the_last_bit() -> None:
    assert Baseline.prior().learn(Sums(), 0) == Baseline.prior() == Baseline.prior().founded_on(Sums())
    assert Baseline.prior().digest == "prior-2"


@pytest.mark.parametrize("baseline", [Baseline.prior(), learnt(), learnt(3)], ids=["prior", "one", "three"])
def test_every_distribution_is_one(baseline: Baseline) -> None:
    for mass, size in (
        (baseline.gap_mass(), GAP_CELLS),
        (baseline.day_mass(TODAY), TODAY - FIRST_DAY + 1),
        (baseline.following_mass(), FOLLOWING_CELLS),
    ):
        assert mass.shape == (size,)
        assert mass.sum() == pytest.approx(1)
        assert (mass >= 0).all()
        assert not mass.flags.writeable
    assert (baseline.day_mass(TODAY) > 0).all()
    assert (baseline.gap_mass() > 0).all()


def test_what_is_counted_often_is_more_ordinary_and_the_prior_has_its_weight() -> None:
    band = TODAY - 100
    day_ms = band * DAY_MS
    born = [post(n, n, n, f"bridge {n}", account_created_ms=day_ms, client="Rare App") for n in range(100)]
    sums = Sums.joined([counted(born)] * 50)
    baseline = Baseline.prior().learn(sums, 50)
    prior = Baseline.prior()
    day = band - FIRST_DAY
    expected = (PRIOR_ACCOUNTS * prior.day_mass(TODAY)[day] + 5_000) / (PRIOR_ACCOUNTS + 5_000)
    assert baseline.day_mass(TODAY)[day] == pytest.approx(expected)
    rare = fingerprint("Rare App")
    assert baseline.client_share_of(rare) == pytest.approx((PRIOR_ACCOUNTS * 0.35 + 5_000) / 10_000)
    other = rare + 1
    assert len(set(client_cell(np.array([other, rare], np.uint64)).tolist())) == 2
    assert baseline.client_share_of(other) == pytest.approx(PRIOR_ACCOUNTS * 0.35 / 10_000)
    assert prior.client_share_of(rare) == prior.client_share == 0.35


def test_copy_rates_move_the_beta_towards_what_was_seen() -> None:
    low = Baseline.prior().learn(Sums(copies=(500, 0, 0)), 9)
    mean = low.copies_alpha / (low.copies_alpha + low.copies_beta)
    assert mean < 0.01
    assert low.copies_alpha + low.copies_beta <= 30
    cap = round(MOST_COPIES * RATE_UNIT)
    high = Baseline.prior().learn(Sums(copies=(500, 500 * cap, 500 * round(0.09 * RATE_UNIT))), 9)
    assert 0.2 < high.copies_alpha / (high.copies_alpha + high.copies_beta) < 0.3


def test_the_digest_names_what_was_used() -> None:
    one, three = learnt(), learnt(3)
    assert one.digest.startswith("prior-2+1h-")
    assert three.digest.startswith("prior-2+3h-")
    archive = Baseline.prior().founded_on(one.hours)
    assert archive.digest == f"learnt-{one.hours.digest}"
    assert archive.learn(three.hours, 3).digest.startswith(f"{archive.digest}+3h-")
    assert one == learnt()
    assert replace(one) == one != three


def test_an_archive_takes_the_place_of_the_prior() -> None:
    sums = counted(without(talk(accounts=100), following=64))
    archive = Baseline.prior().founded_on(sums)
    assert archive.following_mass().tolist() == Baseline.prior().learn(sums, 1).following_mass().tolist()
    again = archive.learn(sums, 1)
    assert again.following_mass()[13] > archive.following_mass()[13] > Baseline.prior().following_mass()[13]
