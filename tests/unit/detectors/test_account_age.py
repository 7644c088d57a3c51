"""Accounts created on the same days."""

from __future__ import annotations

import numpy as np
import pytest
from builders import BAND, TODAY, fans, find, flood, flooded, keys, talk, without

from detectors.finding import Verdict
from detectors.table import DAY_MS
from detectors.words import day
from streams.posts import Post


def test_accounts_born_together_are_found_with_the_days() -> None:
    found = find("account_age", flooded())
    assert found.verdict is Verdict.SUSPICIOUS
    assert BAND <= found.evidence["first_day"] <= found.evidence["last_day"] < BAND + 12
    assert np.isin(found.accounts, keys(flood())).all()
    assert day(found.evidence["first_day"]) in found.sentence


def test_half_of_the_accounts_born_together_are_told_from_the_rest() -> None:
    aged = [
        without([p], account_created_ms=(TODAY - 37 * (int(p.account_id) % 90) - 400) * DAY_MS)[0]
        if int(p.account_id) % 2
        else p
        for p in flood(accounts=60)
    ]
    found = find("account_age", talk() + aged)
    assert found.verdict is Verdict.SUSPICIOUS
    born = keys(
        p for p in aged if p.account_created_ms and p.account_created_ms // DAY_MS in range(BAND, BAND + 12)
    )
    assert np.isin(born, found.accounts).mean() > 0.9
    assert np.isin(found.accounts, born).mean() > 0.9


@pytest.mark.parametrize("age", [3, 200])
def test_sign_up_wave_of_the_whole_platform_is_no_evidence(age: int) -> None:
    rng = np.random.default_rng(age)

    def wave(posts: list[Post]) -> list[Post]:
        days = {p.account_id: int(TODAY - age - rng.integers(0, 3)) for p in posts}
        return [without([p], account_created_ms=days[p.account_id] * DAY_MS)[0] for p in posts]

    assert find("account_age", wave(talk(accounts=200)) + wave(flood())).verdict is Verdict.NORMAL


@pytest.mark.parametrize("seed", range(5))
def test_fans_of_any_age_stay_quiet(seed: int) -> None:
    assert find("account_age", talk(seed) + fans(seed)).verdict is Verdict.NORMAL


def test_community_that_joined_in_one_year_is_rarely_taken_for_evidence() -> None:
    """A year with hard edges is not quite the smooth null: 8 of 100 draws, where 1 of 1,000 is stated.

    Against a null in which the others' days water down the community's own it was 63 of 100.
    """
    taken = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        joined = {p.account_id: int(TODAY - 800 + rng.integers(0, 365)) * DAY_MS for p in fans(seed)}
        year = [without([p], account_created_ms=joined[p.account_id])[0] for p in fans(seed)]
        taken += find("account_age", talk(seed) + year).verdict is Verdict.SUSPICIOUS
    assert taken <= 5


def test_unknown_creation_days_abstain() -> None:
    found = find("account_age", [*talk(), *without(flood(), account_created_ms=None)])
    assert found.verdict is Verdict.ABSTAINED


def test_days_before_the_first_platform_and_after_the_window_do_not_raise() -> None:
    strange = [
        without([p], account_created_ms=(-5_000 if int(p.account_id) % 2 else 90_000) * DAY_MS)[0]
        for p in flood()
    ]
    assert find("account_age", talk() + strange).verdict in (Verdict.NORMAL, Verdict.SUSPICIOUS)
