"""Accounts that were coordinated before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from builders import everyone, fans, flood, keys, remembering, talk, window, without

from detectors.baseline import Baseline
from detectors.finding import Finding, Verdict
from detectors.recycled import Recycled
from detectors.table import Keys
from streams.posts import Post


def find(posts: list[Post], before: Keys) -> Finding:
    return Recycled().assess(window(posts), remembering(before))


def test_accounts_that_come_back_are_found_and_their_hashtag_is_named() -> None:
    found = find(talk() + flood(), keys(flood())[:30])
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.accounts.tolist() == keys(flood())[:30].tolist()
    assert found.effect == 30 / 40
    assert "30 of 40 copying accounts were coordinated before (under #toll)" in found.sentence
    assert found.evidence == {"campaigns": ["00c0ffee00c0ffee"]}


def test_fans_who_were_never_coordinated_stay_quiet() -> None:
    found = find(talk() + fans(), keys(flood()))
    assert found.verdict is Verdict.NORMAL
    assert not found.accounts.size


def test_people_of_one_subject_who_meet_again_are_no_evidence() -> None:
    """Half of everybody here, copying or not, was once taken for coordinated."""
    shared = everyone("The harbour bridge opens tomorrow morning at nine o'clock", 60)
    before = np.concatenate((keys(talk())[::2], keys(shared)[::2]))
    assert find(talk() + shared, np.sort(before)).verdict is Verdict.NORMAL


def test_late_post_of_an_account_does_not_count_it_twice() -> None:
    once = talk() + flood()
    late = without(flood()[:1], id="77", time_ms=once[0].time_ms + 5_000_000)
    assert find(once + late, keys(flood())).sentence == find(once, keys(flood())).sentence


def test_it_abstains_where_only_the_hashtags_own_alert_is_known() -> None:
    baseline = remembering(keys(flood()))
    memory = replace(baseline.memory, alert="00c0ffee00c0ffee")
    assert len(baseline.memory) == 1
    assert len(memory) == 0
    found = Recycled().assess(window(talk() + flood()), replace(baseline, memory=memory))
    assert found.verdict is Verdict.ABSTAINED
    assert found.sentence == "No earlier campaign is known."


def test_it_abstains_where_nothing_is_remembered_or_nobody_copies() -> None:
    assert Recycled().assess(window(talk() + flood()), Baseline.prior()).verdict is Verdict.ABSTAINED
    assert find(talk(), keys(flood())).verdict is Verdict.ABSTAINED
