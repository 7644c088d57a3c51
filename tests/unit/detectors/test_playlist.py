"""The same texts in the same order."""

from __future__ import annotations

import pytest
from builders import everyone, fans, find, flood, flooded, keys, talk, without

from detectors.finding import Verdict


def test_texts_in_the_same_order_are_found() -> None:
    found = find("playlist", flooded())
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.accounts.tolist() == keys(flood()).tolist()
    assert found.effect is not None
    assert found.effect > 0.9


@pytest.mark.parametrize("seed", range(8))
def test_fans_who_choose_among_the_same_texts_stay_quiet(seed: int) -> None:
    assert find("playlist", talk(seed) + fans(seed, accounts=200)).verdict is Verdict.NORMAL


def test_share_button_storm_has_no_order() -> None:
    shared = everyone("I have just signed the petition for the harbour bridge, sign it too", 200)
    assert find("playlist", talk() + shared).verdict is Verdict.ABSTAINED


def test_late_post_breaks_the_order_of_one_account_only() -> None:
    late = flood()
    late[0] = without([late[0]], time_ms=late[0].time_ms + 6_000_000)[0]
    assert find("playlist", talk() + late).verdict is Verdict.SUSPICIOUS


def test_times_known_to_the_minute_abstain() -> None:
    assert find("playlist", without(flooded(), resolution_ms=60_000)).verdict is Verdict.ABSTAINED
