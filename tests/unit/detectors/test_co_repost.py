"""Accounts that repost in the same company."""

from __future__ import annotations

import numpy as np
from builders import GOSSIP, everyone, find, keys, post, repost_flood, talk, without

from detectors.finding import Verdict
from detectors.table import Kind
from streams.posts import Post


def test_accounts_that_repost_eight_posts_within_half_a_minute_of_each_other_are_found() -> None:
    found = find("co_repost", talk() + repost_flood())
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.accounts.tolist() == keys(repost_flood()).tolist()
    assert found.posts.size == len(repost_flood())


def test_storm_over_one_post_stays_quiet() -> None:
    storm = everyone(GOSSIP[0], 400, kind=Kind.REPOST, target_id="5")
    assert find("co_repost", talk() + storm).verdict is Verdict.NORMAL


def busy_night() -> list[Post]:
    """A thousand people each repost some of thirty popular posts in the quarter of an hour after them."""
    rng = np.random.default_rng(4)
    return [
        post(
            700_000_000 + 100 * account + i,
            50_000 + account,
            200 * int(target) + float(rng.gamma(1.2, 500)),
            GOSSIP[0],
            kind=Kind.REPOST,
            target_id=str(100 + target),
        )
        for account in range(1_000)
        for i, target in enumerate(rng.permutation(30)[: int(rng.integers(1, 5))])
    ]


def test_people_who_repost_what_is_popular_at_their_own_times_stay_quiet() -> None:
    assert find("co_repost", talk() + busy_night()).verdict is Verdict.NORMAL


def test_late_repost_of_an_account_does_not_hide_its_others() -> None:
    late = repost_flood()
    late[0] = without([late[0]], time_ms=late[0].time_ms + 3_000_000)[0]
    assert find("co_repost", talk() + late).accounts.tolist() == keys(late).tolist()


def test_reposts_of_unnamed_posts_abstain() -> None:
    found = find("co_repost", talk() + repost_flood(target_id=None))
    assert found.verdict is Verdict.ABSTAINED


def test_times_known_to_the_minute_point_at_nobody() -> None:
    found = find("co_repost", without(talk() + repost_flood(), resolution_ms=60_000))
    assert found.verdict is not Verdict.SUSPICIOUS
