"""One client far above its share."""

from __future__ import annotations

from builders import everyone, fans, find, flood, flooded, keys, talk, without

from detectors.finding import Verdict


def test_flood_through_one_client_is_found_and_named() -> None:
    found = find("client", flooded())
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.evidence == {"client": "Flood Client"}
    assert found.accounts.tolist() == keys(flood()).tolist()
    assert found.effect == 1.0


def test_everyone_on_the_same_client_is_no_evidence() -> None:
    found = find("client", without(flooded(), client="Web App"))
    assert found.verdict is Verdict.NORMAL
    assert found.effect == 1.0


def test_fans_on_their_own_clients_stay_quiet() -> None:
    assert find("client", talk() + fans()).verdict is Verdict.NORMAL


def test_client_that_is_common_among_the_others_needs_more_than_its_share() -> None:
    copying = everyone("I have just signed the petition for the harbour bridge, sign it too", 30)
    phones = without(talk(), client="Phone One")
    assert find("client", phones + without(copying, client="Phone One")).verdict is Verdict.NORMAL
    assert find("client", phones + without(copying, client="Tablet")).verdict is Verdict.SUSPICIOUS


def test_unknown_clients_abstain() -> None:
    found = find("client", [*talk(), *without(flood(), client=None)])
    assert found.verdict is Verdict.ABSTAINED
    assert "0 copying accounts" in found.sentence


def test_ties_between_clients_are_settled_without_the_order_of_posts() -> None:
    copying = everyone("I have just signed the petition for the harbour bridge, sign it too", 40)
    half = [*without(copying[:20], client="Tablet"), *without(copying[20:], client="Desk Deck")]
    assert find("client", half).sentence == find("client", half[::-1]).sentence


def test_small_excess_over_a_common_client_is_no_evidence_however_many_accounts_there_are() -> None:
    text = "I have just signed the petition for the harbour bridge, sign it too"
    copying = everyone(text, 300)
    phones = [*without(copying[:270], client="Phone One"), *without(copying[270:], client="Tablet")]
    crowd = talk(accounts=400)
    others = [*without(crowd[::3], client="Tablet"), *without(crowd[1::3] + crowd[2::3], client="Phone One")]
    found = find("client", others + phones)
    assert found.verdict is Verdict.NORMAL
    assert found.effect == 0.9
