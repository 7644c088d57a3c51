"""What is worth an alert and what is not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from builders import (
    ARABIC_GOSSIP,
    GOSSIP,
    TODAY,
    everyone,
    fans,
    flood,
    flooded,
    keys,
    post,
    talk,
    talk_text,
    window,
    without,
)

from detectors import DETECTORS, assess
from detectors.assessment import AlertKind, Assessment, AssessmentPolicy
from detectors.baseline import Baseline
from detectors.finding import Verdict
from detectors.table import DAY_MS, Kind
from streams.output import assessment_json
from streams.posts import Post


def judge(posts: list[Post] | tuple[Post, ...], **policy: float) -> Assessment:
    return assess(window(posts), Baseline.prior(), AssessmentPolicy(**policy))  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", [GOSSIP, ARABIC_GOSSIP])
def test_football_flood_is_a_flood_with_exactly_its_accounts(texts: tuple[str, ...]) -> None:
    copies = flood(texts=texts)
    found = judge(talk() + copies)
    assert found.kind is AlertKind.FLOOD
    assert found.coordinated_accounts.tolist() == keys(copies).tolist()
    assert found.coordinated_posts.tolist() == sorted(int(p.id) for p in copies)
    assert found.coordinated_share == pytest.approx(len(copies) / (len(copies) + len(talk())))
    assert found.texts == len(texts)
    assert found.first_coordinated_ms == min(p.time_ms for p in copies)
    assert found.score == pytest.approx(100 * found.coordinated_share)
    assert (found.account_scores > 0.5).all()
    assert "about something else than the hashtag" in found.sentence


def test_machine_timed_copies_about_the_hashtag_are_amplification() -> None:
    rng = np.random.default_rng(3)
    found = judge(talk() + flood(texts=[talk_text(rng) for _ in range(6)]))
    assert found.kind is AlertKind.AMPLIFICATION


def chorus() -> list[Post]:
    return [p for i in range(4) for p in everyone("GOOOAL" + "!" * i, 100, first=20_000 + 200 * i, seed=i)]


def timer() -> list[Post]:
    rng = np.random.default_rng(5)
    return [post(800_000 + i, 777, 60 * i, talk_text(rng)) for i in range(110)]


PETITION = "I have just signed the petition for the harbour bridge, sign it too"


@pytest.mark.parametrize(
    "burst",
    [
        pytest.param(lambda: everyone(PETITION, 200, links=("https://a.example/sign",)), id="share button"),
        pytest.param(
            lambda: everyone(GOSSIP[0], 400, kind=Kind.REPOST, target_id="5"), id="breaking news reposts"
        ),
        pytest.param(chorus, id="football chorus"),
        pytest.param(timer, id="one person with a timer"),
        pytest.param(
            lambda: without(talk(9, 300, 40_000), account_created_ms=(TODAY - 2) * DAY_MS), id="sign-ups"
        ),
        pytest.param(lambda: without(talk(9, 300, 40_000), client="Web App"), id="one client"),
        pytest.param(lambda: [], id="talk alone"),
    ],
)
def test_natural_burst_stays_quiet(burst) -> None:  # type: ignore[no-untyped-def]
    found = judge(talk() + burst())
    assert found.kind is None
    assert found.score == 0
    assert "No accounts repeat texts together" in found.sentence


@pytest.mark.parametrize("seed", range(12))
def test_fan_campaign_of_ordinary_accounts_stays_quiet(seed: int) -> None:
    assert judge(talk(seed) + fans(seed)).kind is None


@pytest.mark.parametrize("seed", range(3))
def test_fans_who_carry_their_own_texts_under_a_foreign_hashtag_are_not_accused(seed: int) -> None:
    """All three kinds of behaviour are known and ordinary: nothing but the texts speaks against them."""
    assert judge(talk(seed) + fans(seed, texts=GOSSIP)).kind is None


@pytest.mark.parametrize("seed", range(3))
def test_fans_are_not_accused_because_columns_are_left_out(seed: int) -> None:
    posts = without(talk(seed) + fans(seed, texts=GOSSIP), client=None, resolution_ms=60_000)
    assert judge(posts).kind is None


def test_people_who_copy_through_one_app_are_not_accused_by_that_alone() -> None:
    app = without(fans(texts=GOSSIP), client="Daily Verse")
    found = judge(talk() + app)
    assert {f.detector for f in found.findings if f.verdict is Verdict.SUSPICIOUS} >= {"co_posting"}
    assert found.kind is None


def test_texts_alone_carry_the_case_only_where_nothing_else_is_known() -> None:
    bare = without([*talk(), *flood(accounts=80)], client=None, account_created_ms=None, resolution_ms=60_000)
    assert judge(bare).kind is AlertKind.FLOOD
    assert judge(bare, bare_accounts=80).kind is AlertKind.FLOOD
    rng = np.random.default_rng(2)
    on_topic = [*talk(accounts=60), *flood(accounts=80, texts=[talk_text(rng) for _ in range(8)])]
    blank = without(on_topic, client=None, account_created_ms=None, resolution_ms=60_000)
    assert judge(blank).kind is AlertKind.AMPLIFICATION
    assert judge(blank, bare_accounts=81).kind is None
    assert judge(blank, bare_texts=9).kind is None


@pytest.mark.parametrize(
    ("policy", "worth"),
    [
        ({"min_accounts": 40}, True),
        ({"min_accounts": 41}, False),
        ({"min_share": 0.5}, True),
        ({"min_share": 0.6}, False),
        ({"max_p_value": 1e-20}, True),
        ({"max_p_value": 1e-290}, False),
    ],
)
def test_policy_draws_the_line(policy: dict[str, float], worth: bool) -> None:
    assert (judge(flooded(), **policy).kind is not None) == worth


def test_person_who_posts_a_coordinated_text_is_taken_along_and_a_talker_is_not() -> None:
    parrot = post(999_999, 99_999, 3_000, GOSSIP[0])
    found = judge([*flooded(), parrot])
    assert 10**6 + 99_999 in found.coordinated_accounts
    assert not np.isin(keys(talk()), found.coordinated_accounts).any()


def test_people_who_copied_a_text_that_a_coordinated_account_posted_too_are_not_taken_along() -> None:
    infiltrated = post(999_998, 5_000, 3_000, PETITION)
    found = judge([*flooded(), *everyone(PETITION, 60), infiltrated])
    assert found.kind is AlertKind.FLOOD
    assert found.coordinated_accounts.tolist() == keys(flood()).tolist()


def test_finding_without_evidence_does_not_outvote_strong_evidence() -> None:
    """A p-value of 1 is "I see nothing", not a proof of innocence."""
    aged = [
        without([p], account_created_ms=(TODAY - 37 * (int(p.account_id) % 90) - 1) * DAY_MS)[0]
        for p in flood(accounts=80)
    ]
    found = judge([*talk(), *aged])
    p_values = [f.p_value for f in found.findings if f.p_value is not None]
    assert max(p_values) > 0.99
    assert found.p_value <= len(p_values) * min(p_values) * 1.01


@pytest.mark.parametrize("posts", [[], talk()[:1], [post(i, 1, i, "") for i in range(50)]], ids=len)
def test_windows_without_anything_to_say_are_said(posts: list[Post]) -> None:
    found = judge(posts)
    assert found.kind is None
    assert found.first_coordinated_ms is None
    line = msgspec.json.decode(assessment_json(found))
    assert line["posts"] == len(posts)
    assert b"-0.0" not in assessment_json(found)


def test_every_detector_has_its_finding_in_the_order_shown() -> None:
    assert [f.detector for f in judge(flooded()).findings] == [d.name for d in DETECTORS]


def test_score_is_the_coordinated_share_where_evidence_is_strong() -> None:
    strong = judge(flooded())
    assert strong.score == pytest.approx(100 * strong.coordinated_share)


def test_people_who_only_copy_have_no_score_and_are_not_called_coordinated() -> None:
    found = judge(talk() + fans())
    assert found.score == 0
    assert not found.coordinated_posts.size
    assert "not held to be coordinated" in found.sentence
