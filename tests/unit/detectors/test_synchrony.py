"""Copies in step."""

from __future__ import annotations

import numpy as np
import pytest
from builders import GOSSIP, everyone, fans, find, in_step, keys, post, talk, without

from detectors.finding import Verdict


def test_copies_within_seconds_of_each_other_are_found() -> None:
    found = find("synchrony", talk() + in_step())
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.accounts.tolist() == keys(in_step()).tolist()
    assert found.effect is not None
    assert found.effect > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_fans_at_their_own_times_stay_quiet(seed: int) -> None:
    assert find("synchrony", talk(seed) + fans(seed)).verdict is Verdict.NORMAL


def test_text_that_many_share_over_an_hour_stays_quiet() -> None:
    shared = everyone("I have just signed the petition for the harbour bridge, sign it too", 400)
    assert find("synchrony", talk() + shared).verdict is Verdict.NORMAL


def test_fast_tag_expects_copies_to_be_close() -> None:
    """Twelve hundred copies of one text in ten minutes follow each other within seconds by themselves."""
    rng = np.random.default_rng(2)
    rush = [
        post(800_000 + i, 40_000 + i, 3_000 + float(rng.uniform(0, 600)), GOSSIP[0]) for i in range(1_200)
    ]
    assert find("synchrony", talk() + rush).verdict is Verdict.NORMAL


def test_one_person_who_repeats_a_text_is_not_in_step_with_anybody() -> None:
    alone = [post(900_000 + i, 777, 4 * i, GOSSIP[0]) for i in range(60)]
    others = everyone(GOSSIP[0], 4)
    assert find("synchrony", talk() + alone + others).verdict is Verdict.NORMAL


def test_late_copy_changes_nothing_for_the_others() -> None:
    late = in_step()
    late[0] = without([late[0]], time_ms=late[0].time_ms + 3_000_000)[0]
    assert find("synchrony", talk() + late).verdict is Verdict.SUSPICIOUS


def test_times_known_to_the_minute_and_few_copies_abstain() -> None:
    assert find("synchrony", without(talk() + in_step(), resolution_ms=60_000)).verdict is Verdict.ABSTAINED
    assert find("synchrony", talk() + in_step(accounts=4, rounds=4)).verdict is Verdict.ABSTAINED
