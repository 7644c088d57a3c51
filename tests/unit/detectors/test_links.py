"""One site far above its share."""

from __future__ import annotations

from builders import everyone, find, flood, keys, talk, without

from detectors.finding import Verdict
from streams.posts import Post

GOAL = ("https://goal.example/a",)


def papers() -> list[Post]:
    """Talk that links to five papers in turn."""
    crowd = talk()
    return [p for i in range(5) for p in without(crowd[i::5], links=(f"https://paper{i}.example/x",))]


def test_site_that_copying_accounts_lead_to_is_found_and_named() -> None:
    found = find("links", papers() + without(flood(), links=GOAL))
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.evidence == {"domain": "goal.example"}
    assert found.accounts.tolist() == keys(flood()).tolist()


def test_site_that_everybody_links_to_is_no_evidence() -> None:
    assert find("links", without(talk() + flood(), links=GOAL)).verdict is Verdict.NORMAL


def test_headline_from_the_papers_of_all_stays_quiet() -> None:
    shared = everyone("The harbour bridge opens tomorrow morning at nine o'clock", 60)
    spread = [p for i in range(5) for p in without(shared[i::5], links=(f"https://paper{i}.example/y",))]
    assert find("links", papers() + spread).verdict is Verdict.NORMAL


def test_late_link_of_an_account_does_not_count_it_twice() -> None:
    once = papers() + without(flood(), links=GOAL)
    late = without(flood()[:1], id="77", time_ms=once[0].time_ms + 5_000_000, links=GOAL)
    assert find("links", once + late).sentence == find("links", once).sentence


def test_posts_without_links_abstain() -> None:
    assert find("links", talk() + flood()).verdict is Verdict.ABSTAINED
