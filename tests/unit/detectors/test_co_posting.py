"""Accounts that share several texts with the same others."""

from __future__ import annotations

import numpy as np
import pytest
from builders import GOSSIP, everyone, find, finding, flood, flooded, keys, post, talk, window
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.co_posting import co_posted
from detectors.finding import Verdict
from detectors.shares import Shares, shares
from detectors.table import Kind


def test_flood_is_found_with_its_accounts() -> None:
    found = find("co_posting", flooded())
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.accounts.tolist() == keys(flood()).tolist()
    assert found.posts.size == len(flood())
    assert found.evidence["median_shared_texts"] == 6


def test_share_button_storm_stays_quiet() -> None:
    storm = everyone("I have just signed the petition for the harbour bridge, sign it too", 200)
    assert find("co_posting", talk() + storm).verdict is Verdict.NORMAL


def test_reposts_of_the_same_news_stay_quiet() -> None:
    reposts = [
        post(600_000 + 100 * i + account, 7_000 + account, 600 * i + 7 * account, GOSSIP[i], kind=Kind.REPOST)
        for i in range(4)
        for account in range(80)
    ]
    assert find("co_posting", talk() + reposts).verdict is Verdict.NORMAL


def test_person_with_a_second_account_stays_quiet() -> None:
    twin = [post(900_000 + i, 7_000 + i % 2, 30 * i, GOSSIP[i // 2]) for i in range(16)]
    found = find("co_posting", talk() + twin)
    assert found.verdict is Verdict.NORMAL
    assert not found.accounts.size


def test_few_accounts_abstain() -> None:
    assert find("co_posting", talk(accounts=9)).verdict is Verdict.ABSTAINED
    assert find("co_posting", talk(accounts=10)).verdict is Verdict.NORMAL


def test_prolific_talker_who_repeats_two_of_many_texts_is_not_taken_along() -> None:
    talker = [post(700_000 + i, 8_000, 50 * i, one.text) for i, one in enumerate(talk(seed=9, accounts=60))]
    caught = [post(700_900 + i, 8_000, 6_000 + i, GOSSIP[i]) for i in range(2)]
    found = find("co_posting", [*flooded(), *talker[:60], *caught])
    assert found.verdict is Verdict.SUSPICIOUS
    assert 10**6 + 8_000 not in found.accounts.tolist()


def by_definition(of: Shares) -> list[bool]:
    pairs = list(zip(of.account.tolist(), of.group.tolist(), strict=True))
    texts = {a: {g for b, g in pairs if b == a} for a, _ in pairs}
    return [any(b != a and g in texts[b] and len(texts[a] & texts[b]) >= 2 for b in texts) for a, g in pairs]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 6)), max_size=40))
def test_co_posted_is_what_its_docstring_says(pairs: set[tuple[int, int]]) -> None:
    posts = [post(i, a, i, GOSSIP[g]) for i, (a, g) in enumerate(sorted(pairs))]
    found = shares(window(posts))
    assert len(found.group) == len(pairs)
    assert co_posted(found).tolist() == by_definition(found)


@pytest.mark.parametrize("accounts", [4, 80])
def test_number_of_flagged_accounts_is_weighed_against_organic_conversations(accounts: int) -> None:
    found = finding("co_posting", window(talk(accounts=300) + flood(accounts=accounts)))
    assert (found.verdict is Verdict.SUSPICIOUS) == (accounts == 80)
    assert found.effect == accounts / (300 + accounts)
    assert np.isfinite(found.p_value or 0)
