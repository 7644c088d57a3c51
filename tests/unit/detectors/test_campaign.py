"""Which alerts belong together, by what they leave in completed hours."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Final

import numpy as np
import pytest
from builders import GOSSIP, T0, flood, talk, window, without
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import assess
from detectors.alert import Alert, Policy, Reason, State, decide
from detectors.assessment import AssessmentPolicy
from detectors.baseline import Baseline
from detectors.campaign import Campaigns, Memory, Origin, Trace, latest, related, sampled, text_prints
from detectors.table import DAY_MS, Keys

HOP: Final = 60_000


def keys(first: int, count: int) -> Keys:
    return np.arange(first, first + count, dtype=np.uint64)


def trace(
    name: str,
    accounts: Keys,
    texts: Keys | None = None,
    *,
    first_ms: int = T0,
    hashtag: str | None = None,
    of: str = "",
) -> Trace:
    texts = np.empty(0, np.uint64) if texts is None else texts
    hashtag = hashtag or f"tag_{name}"
    samples = sampled(accounts), sampled(texts)
    origin = Origin(first_ms, name, first_ms - 1)
    campaign = replace(origin, alert=of or name)
    return Trace(origin, hashtag, "flood", len(accounts), len(texts), *samples, campaign)


@pytest.mark.parametrize(
    ("one", "other", "belong"),
    [
        (keys(0, 130), keys(70, 151), True),  # 60 in common, as in two campaigns of one operator
        (keys(0, 130), keys(0, 130), True),
        (keys(0, 5), keys(0, 130), True),
        (keys(0, 4), keys(0, 130), False),  # too few
        (keys(0, 130), keys(110, 130), False),  # 20 in common are less than a fifth
        (keys(0, 2_000), keys(1_000, 2_000), True),  # larger than their samples
        (keys(0, 4_000), keys(3_900, 4_000), False),
        (keys(0, 50), keys(50, 50), False),
        (keys(0, 0), keys(0, 0), False),
    ],
)
def test_alerts_belong_together_by_the_accounts_they_have_in_common(
    one: Keys, other: Keys, belong: bool
) -> None:
    assert related(trace("a", one), trace("b", other)) is belong
    assert related(trace("b", other), trace("a", one)) is belong


def test_five_in_common_of_large_alerts_are_chance() -> None:
    """Two sets of 25 in a stream of 10,000 share five once in many millions; two of 2,000 share 400."""
    rng = np.random.default_rng(0)
    for size in (25, 500, 2_000):
        one, other = (trace(n, rng.choice(10_000, size, replace=False).astype(np.uint64)) for n in "ab")
        assert not related(one, other)


@pytest.mark.parametrize(("common", "belong"), [(2, False), (3, True)])
def test_alerts_belong_together_by_three_texts(common: int, belong: bool) -> None:
    one, other = trace("a", keys(0, 9), keys(0, 8)), trace("b", keys(50, 9), keys(8 - common, 8))
    assert related(one, other) is belong


def test_three_texts_among_many_are_a_slogan() -> None:
    assert not related(trace("a", keys(0, 9), keys(0, 30)), trace("b", keys(50, 9), keys(27, 30)))


CHAIN: Final = [
    trace("c", keys(200, 100), first_ms=T0 + 2),
    trace("a", keys(0, 100), first_ms=T0),
    trace("b", keys(60, 180), first_ms=T0 + 1),
    trace("alone", keys(900, 100), first_ms=T0 - DAY_MS),
]


def test_a_campaign_is_a_component_and_has_the_id_of_its_earliest_alert_in_whatever_order() -> None:
    asked = trace("new", keys(220, 60), first_ms=T0 + 9)
    found = {Campaigns(order).of(asked) for order in permutations(CHAIN)}
    (campaign,) = found
    assert (campaign.id, campaign.origin, campaign.alerts) == ("a", Origin(T0, "a", T0 - 1), 4)
    assert campaign.hashtags == ("tag_a", "tag_b", "tag_c", "tag_new")
    assert campaign.accounts_share == 1.0


def test_an_alert_that_nothing_is_like_is_its_own_campaign() -> None:
    campaign = Campaigns(CHAIN).of(trace("new", keys(5_000, 60)))
    assert (campaign.id, campaign.alerts, campaign.accounts_share, campaign.joined_ms) == (
        "new",
        1,
        0.0,
        None,
    )


def test_a_campaign_outlives_the_memory_of_its_first_alert() -> None:
    later = replace(trace("b", keys(0, 100), first_ms=T0 + 30 * DAY_MS), campaign=Origin(T0, "a", T0))
    found = Campaigns([later]).of(trace("new", keys(0, 50), first_ms=T0 + 40 * DAY_MS))
    assert found.origin == Origin(T0, "a", T0)


def test_an_alert_never_moves_to_a_younger_campaign() -> None:
    old = Campaigns(CHAIN).of(asked := trace("new", keys(220, 60), first_ms=T0 + 9))
    assert Campaigns().of(asked, old).id == "a"


def test_its_own_earlier_state_is_not_another_alert() -> None:
    smaller, larger = trace("new", keys(0, 50)), trace("new", keys(0, 90))
    found = Campaigns([smaller]).of(larger)
    assert (found.alerts, found.accounts_share, found.hashtags) == (1, 0.0, ("tag_new",))


def test_the_last_hour_of_an_alert_counts() -> None:
    early, late = trace("a", keys(0, 5)), trace("a", keys(0, 9))
    assert latest([(2, late), (1, early)]) == latest([(1, early), (2, late)]) == {"a": late}


def test_what_was_seen_before_names_campaign_accounts_and_texts() -> None:
    memory = Campaigns([*CHAIN, trace("text", keys(8_000, 9), keys(70, 9), first_ms=T0 - 5)])
    found = memory.seen(keys(290, 20), keys(75, 2))
    assert [(one.origin.alert, one.hashtags) for one in found] == [
        ("text", ("tag_text",)),
        ("a", ("tag_a", "tag_b", "tag_c")),
    ]
    assert [one.accounts.tolist() for one in found] == [[], list(range(290, 300))]
    assert [one.texts.tolist() for one in found] == [[75, 76], []]
    assert memory.seen(keys(900, 3), keys(0, 0), alert="alone") == ()
    assert Campaigns().seen(keys(0, 9), keys(0, 9)) == ()
    assert Memory(memory, "alone").seen(keys(900, 3), keys(0, 0)) == ()
    assert Baseline.prior().memory.seen(keys(900, 3), keys(0, 0)) == ()


@settings(max_examples=40, deadline=None)
@given(
    sets=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 400)), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_what_is_found_does_not_depend_on_the_order_of_traces(sets: list[tuple[int, int]], seed: int) -> None:
    traces = [trace(str(n), keys(at, size), keys(at // 3, 5)) for n, (at, size) in enumerate(sets)]
    mixed = [traces[i] for i in np.random.default_rng(seed).permutation(len(traces))]
    asked = trace("new", keys(100, 120), keys(40, 9), first_ms=T0 + 1)
    assert Campaigns(traces).of(asked) == Campaigns(mixed).of(asked)


def test_texts_are_the_same_under_every_hashtag_and_in_small_variants() -> None:
    varied = [t.upper() + "!!" for t in GOSSIP]
    one = window(flood(accounts=20), "toll")
    other = window([*flood(accounts=20, texts=varied, first=9_000), *talk(accounts=20)], "ferry")
    coordinated = other.rows["account"] >= 10**6 + 9_000
    first = text_prints(one, np.ones(len(one), np.bool_))
    assert first.tolist() == text_prints(other, coordinated).tolist()
    assert len(first) == len(GOSSIP)


def raised(hashtag: str, now_ms: int, previous: Alert | None, campaigns: Campaigns) -> tuple[Alert, Reason]:
    judged = assess(
        window(without([*talk(accounts=20), *flood(accounts=12)], hashtags=(hashtag,)), hashtag),
        Baseline.prior(),
        AssessmentPolicy(),
    )
    alert, reason = decide(previous, judged, now_ms, policy=Policy(hold_hops=1), campaigns=campaigns)
    assert alert is not None
    return alert, reason


def days_before(alert: Alert) -> Trace:
    """What an alert like this one left a day earlier."""
    origin = replace(alert.origin, opened_ms=alert.opened_ms - DAY_MS)
    return replace(alert.trace, origin=origin, campaign=origin)


def test_an_alert_that_turns_out_to_belong_to_an_older_one_is_told_so_once() -> None:
    first, _ = raised("toll", T0, None, Campaigns())
    older = days_before(first)
    mine, reason = raised("ferry", T0, None, Campaigns())
    assert (reason, mine.own_campaign.id, mine.state) == (Reason.FIRED, mine.id, State.FIRING)
    joined, reason = raised("ferry", T0 + HOP, mine, Campaigns([older]))
    assert (reason, joined.own_campaign.id) == (Reason.JOINED, first.id)
    assert joined.own_campaign.joined_ms == T0 + HOP
    assert joined.own_campaign.hashtags == ("toll", "ferry")
    assert joined.changed_since(T0)
    after, reason = raised("ferry", T0 + 2 * HOP, joined, Campaigns([older]))
    assert (reason, after.own_campaign) == (Reason.UNCHANGED, joined.own_campaign)


def test_an_alert_of_a_known_campaign_carries_it_from_the_first_message_on() -> None:
    first, _ = raised("toll", T0, None, Campaigns())
    older = days_before(first)
    mine, reason = raised("ferry", T0, None, Campaigns([older]))
    assert (reason, mine.own_campaign.id, mine.own_campaign.joined_ms) == (Reason.FIRED, first.id, T0)
