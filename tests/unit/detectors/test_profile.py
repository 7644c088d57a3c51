"""A narrow band of followees."""

from __future__ import annotations

import numpy as np
import pytest
from builders import everyone, fans, find, flood, following, keys, talk, without

from detectors.finding import Verdict


def test_band_of_followees_is_found_and_named() -> None:
    found = find("profile", [*following(talk(), 3, 3_000), *following(flood(), 25, 79)])
    assert found.verdict is Verdict.SUSPICIOUS
    assert np.isin(found.accounts, keys(flood())).all()
    assert found.accounts.size >= 38
    least, most = found.evidence["following"]
    assert 25 <= least < most <= 79


@pytest.mark.parametrize("seed", range(5))
def test_fans_who_follow_as_many_as_anybody_stay_quiet(seed: int) -> None:
    posts = following(talk(seed) + fans(seed), 3, 3_000)
    assert find("profile", posts).verdict is Verdict.NORMAL


def test_band_that_the_others_are_in_too_is_no_evidence() -> None:
    posts = following(talk() + everyone("The harbour bridge opens tomorrow morning", 80), 25, 79)
    assert find("profile", posts).verdict is Verdict.NORMAL


def test_late_post_of_an_account_does_not_count_it_twice() -> None:
    once = [*following(talk(), 3, 3_000), *following(flood(), 25, 79)]
    late = following(without(flood()[:1], id="77", time_ms=once[0].time_ms + 5_000_000), 25, 79)
    assert find("profile", once + late).sentence == find("profile", once).sentence


def test_unknown_numbers_abstain() -> None:
    assert find("profile", talk() + flood()).verdict is Verdict.ABSTAINED
