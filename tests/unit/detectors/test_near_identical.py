"""Few texts, many posts: what counts as copying and what does not."""

from __future__ import annotations

from builders import ARABIC_GOSSIP, GOSSIP, everyone, find, flood, flooded, keys, post, talk

from detectors.finding import Verdict
from detectors.table import Kind


def test_flood_is_found_with_its_accounts_and_posts_and_nobody_else() -> None:
    found = find("near_identical", flooded())
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.accounts.tolist() == keys(flood()).tolist()
    assert found.posts.tolist() == sorted(int(p.id) for p in flood())
    assert found.evidence["texts"] == len(GOSSIP)
    assert "8 texts" in found.sentence
    assert "240 of" in found.sentence


def test_arabic_flood_with_varied_spelling_is_one_text_per_message() -> None:
    varied = [
        post(i, i, i, text.replace("أ", "ا") + " " + "🔥" * (i % 3) + f" https://a.example/{i}")
        for i, text in enumerate(ARABIC_GOSSIP * 10)
    ]
    found = find("near_identical", talk(first=500, accounts=30) + varied)
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.evidence["texts"] == len(ARABIC_GOSSIP)
    assert found.evidence["copies"] == 60 - len(ARABIC_GOSSIP)


def test_copies_count_accounts_not_posts() -> None:
    own = [post(i, i % 2, i * 60, GOSSIP[0]) for i in range(100)]
    found = find("near_identical", talk() + own)
    assert found.verdict is Verdict.NORMAL
    assert found.evidence["copies"] == 0


def test_reposts_of_breaking_news_stay_quiet() -> None:
    reposts = everyone("Breaking: the harbour bridge is closed until tomorrow morning", 300, kind=Kind.REPOST)
    assert find("near_identical", talk() + reposts).verdict is Verdict.NORMAL


def test_football_chorus_of_short_texts_stays_quiet() -> None:
    chorus = [p for i in range(3) for p in everyone("GOOOAL" + "!" * i, 100, first=20_000 + 200 * i)]
    assert find("near_identical", talk() + chorus).verdict is Verdict.NORMAL


def test_share_button_storm_stays_quiet() -> None:
    storm = everyone("I have just signed the petition for the harbour bridge, sign it too", 45)
    assert find("near_identical", talk() + storm).verdict is Verdict.NORMAL


def test_few_comparable_texts_abstain() -> None:
    found = find("near_identical", [*talk(accounts=5), *everyone("GOOOAL!", 100)])
    assert found.verdict is Verdict.ABSTAINED
    assert found.p_value is None
