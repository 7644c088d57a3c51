"""What is worth an alert and what is not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from builders import (
    ARABIC_GOSSIP,
    FAN_TEXTS,
    GOSSIP,
    TODAY,
    everyone,
    fans,
    flood,
    flooded,
    following,
    keys,
    ordinary,
    post,
    repost_flood,
    talk,
    talk_text,
    window,
    without,
)

from detectors import DETECTORS, assess
from detectors.assessment import AlertKind, Assessment, AssessmentPolicy
from detectors.baseline import Baseline
from detectors.finding import Verdict
from detectors.patterns import Pattern
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


def in_own_words(posts: list[Post]) -> list[Post]:
    """The posts with a text of its own in each."""
    rng = np.random.default_rng(12)
    return [msgspec.structs.replace(p, text=talk_text(rng)) for p in posts]


def test_flood_of_a_twentieth_of_the_posts_is_found_with_exactly_its_accounts() -> None:
    few = flood(accounts=24)
    found = judge([*talk(accounts=1_600), *few])
    assert found.coordinated_share < 0.05
    assert found.kind is AlertKind.FLOOD
    assert found.coordinated_accounts.tolist() == keys(few).tolist()


def test_flood_in_words_of_its_own_rests_on_how_its_accounts_act() -> None:
    found = judge([*talk(accounts=200), *in_own_words(flood(accounts=80))])
    assert found.kind is not None
    assert np.isin(found.coordinated_accounts, keys(flood(accounts=80))).mean() >= 0.95
    assert "in words of their own" in found.sentence
    assert found.rests_on[0] in ("timer", "birth")
    assert {"bursts", "account_age"} & set(found.rests_on)


def test_accounts_that_disguise_what_they_copy_are_taken_along_for_what_they_are() -> None:
    copies = flood(accounts=60)
    hidden = {p.account_id for p in flood(accounts=15)}
    posts = [q for p in copies for q in ([p] if p.account_id not in hidden else in_own_words([p]))]
    found = judge([*talk(accounts=200), *posts])
    assert np.isin(keys(copies), found.coordinated_accounts).mean() >= 0.95
    assert not np.isin(keys(talk(accounts=200)), found.coordinated_accounts).any()


def test_repost_flood_by_accounts_born_together_is_found() -> None:
    reposts = [
        msgspec.structs.replace(p, account_created_ms=(TODAY - 160 + int(p.account_id) % 9) * DAY_MS)
        for p in repost_flood()
    ]
    found = judge(talk() + reposts)
    assert found.kind is not None
    assert found.coordinated_accounts.tolist() == keys(reposts).tolist()
    assert found.rests_on[0] == "reposts"


def test_fans_who_repost_one_person_together_are_not_accused() -> None:
    rng = np.random.default_rng(6)
    looks = {p.account_id: ordinary(rng) for p in repost_flood()}
    found = judge(talk() + [msgspec.structs.replace(p, **looks[p.account_id]) for p in repost_flood()])
    assert found.kind is None
    assert found.pattern is Pattern.REPOST_STORM


def test_one_text_an_account_is_not_enough_even_through_one_client_to_one_site() -> None:
    button = everyone(PETITION, 300, client="Petition App", links=("https://a.example/sign",))
    found = judge(talk() + button)
    assert found.kind is None
    assert found.pattern is Pattern.SHARE_BUTTON


def test_one_text_an_account_is_enough_with_birthdays_and_a_client() -> None:
    rng = np.random.default_rng(7)
    accounts = [
        without([p], client="Flood Client", account_created_ms=(TODAY - 170 + int(day)) * DAY_MS)[0]
        for p, day in zip(everyone(GOSSIP[0], 120), rng.integers(0, 12, 120), strict=True)
    ]
    found = judge(talk(accounts=300) + accounts)
    assert found.kind is not None
    assert found.coordinated_accounts.tolist() == keys(accounts).tolist()
    assert found.rests_on == ("copies", "account_age", "client")


def test_newsrooms_that_repeat_headlines_by_one_clock_are_not_accused() -> None:
    rng = np.random.default_rng(10)
    lines = [talk_text(rng) for _ in range(20)]
    desk = [
        post(950_000 + 100 * turn + i, 60_000 + i, 300 * turn + 0.1 * i, lines[turn])
        for turn in range(20)
        for i in range(25)
    ]
    papers = without(desk, client="News Desk", verified=True, followers=40_000)
    found = judge(talk() + papers)
    assert found.kind is None
    assert found.pattern is Pattern.SYNDICATION
    small = without(desk, client="News Desk", verified=True, followers=40)
    assert judge(talk() + small).kind is not None


def test_class_that_made_its_accounts_today_is_not_accused() -> None:
    pupils = without(fans(accounts=40), account_created_ms=TODAY * DAY_MS)
    assert judge(talk() + pupils).kind is None
    long_ago = without(fans(accounts=40), account_created_ms=(TODAY - 100) * DAY_MS)
    assert judge(talk() + long_ago).kind is not None


def test_app_that_posts_for_its_users_on_the_hour_is_not_accused() -> None:
    rng = np.random.default_rng(8)
    users = [
        post(
            970_000 + 1_000 * i + turn, 70_000 + i, 1_800 * turn + 60 + float(rng.uniform(0, 9)), GOSSIP[turn]
        )
        for i in range(80)
        for turn in range(4)
    ]
    looks = {p.account_id: ordinary(rng) | {"client": "Daily Verse"} for p in users}
    found = judge(talk() + [msgspec.structs.replace(p, **looks[p.account_id]) for p in users])
    assert found.kind is None
    assert found.pattern is Pattern.APP


def test_fans_are_not_accused_for_the_flood_beside_them() -> None:
    cheering = fans(accounts=50, texts=FAN_TEXTS)
    found = judge([*talk(accounts=200), *cheering, *flood(accounts=40)])
    assert found.kind is not None
    assert found.coordinated_accounts.tolist() == keys(flood()).tolist()


@pytest.mark.parametrize(
    ("posts", "wanted"),
    [
        (lambda: talk(), None),
        (lambda: talk() + fans(), Pattern.FAN_CAMPAIGN),
        (lambda: talk() + everyone(PETITION, 60), Pattern.CATCH_PHRASE),
        (lambda: talk() + timer(), Pattern.PROLIFIC_ACCOUNT),
        (lambda: talk() + chorus(), Pattern.CHORUS),
        (
            lambda: talk() + everyone(GOSSIP[0], 400, kind=Kind.REPOST, target_id="5"),
            Pattern.REPOST_STORM,
        ),
        (
            lambda: (
                talk(accounts=300) + without(talk(9, 300, 40_000), account_created_ms=(TODAY - 20) * DAY_MS)
            ),
            Pattern.SIGN_UP_WAVE,
        ),
    ],
    ids=["talk", "fans", "phrase", "timer", "chorus", "storm", "sign-ups"],
)
def test_loud_windows_that_are_quiet_here_have_a_name(
    posts: Callable[[], list[Post]], wanted: Pattern | None
) -> None:
    found = judge(posts())
    assert found.kind is None
    assert found.pattern is wanted


def test_narrow_band_and_one_client_are_enough_for_accounts_that_repeat_texts() -> None:
    """Aged accounts at times of their own: what is left is whom they follow and what they post through."""
    bought = following(without(fans(accounts=80, texts=GOSSIP), client="Flood Client"), 25, 79)
    crowd = following(talk(accounts=300), 3, 3_000)
    assert judge([*crowd, *bought]).kind is not None
