"""X v1.1 statuses: which of their fields become which of a post's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detectors.table import Kind
from streams.formats import decode
from streams.posts import Control, InvalidPost, Post


def status(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "created_at": "Tue Jul 26 21:15:51 +0000 2016",
        "id_str": "757000000000000001",
        "id": 757000000000000000,
        "text": "Morning at the harbour #Harbour",
        "entities": {"hashtags": [{"text": "Harbour"}], "urls": []},
        "user": {"id_str": "42", "screen_name": "gull"},
    }
    return {name: value for name, value in (base | changes).items() if value is not ...}


def post(**changes: Any) -> Post:
    (decoded,) = decode(json.dumps(status(**changes)).encode())
    assert isinstance(decoded, Post), decoded
    return decoded


def user(**changes: Any) -> Post:
    return post(user={"id_str": "42"} | changes)


def reason(**changes: Any) -> str:
    (decoded,) = decode(json.dumps(status(**changes)).encode())
    assert isinstance(decoded, InvalidPost), decoded
    return decoded.reason


def test_plain_status_gives_all_it_says_and_leaves_the_rest_unknown() -> None:
    assert post() == Post(
        id="757000000000000001",
        account_id="42",
        time_ms=1469567751000,
        text="Morning at the harbour #Harbour",
        hashtags=("harbour",),
        handle="gull",
    )


@pytest.mark.parametrize(
    ("created_at", "time_ms"),
    [
        ("Tue Jul 26 21:15:51 +0000 2016", 1469567751000),
        ("Tue Jul 26 23:15:51 +0200 2016", 1469567751000),
        ("Tue Jul 26 15:45:51 -0530 2016", 1469567751000),
        ("2016-07-26T21:15:51.000Z", 1469567751000),
        ("Mon Feb 29 00:00:00 +0000 2016", 1456704000000),
    ],
)
def test_time_counts_its_offset(created_at: str, time_ms: int) -> None:
    assert post(created_at=created_at).time_ms == time_ms


def test_timestamp_in_milliseconds_goes_before_the_coarser_time() -> None:
    decoded = post(timestamp_ms="1469567751123")
    assert (decoded.time_ms, decoded.resolution_ms) == (1469567751123, 1)


def test_timestamp_that_is_no_number_falls_back_to_created_at() -> None:
    decoded = post(timestamp_ms="soon")
    assert (decoded.time_ms, decoded.resolution_ms) == (1469567751000, 1000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"user": ...}, "user is missing"),
        ({"user": None}, "user is missing"),
        ({"user": 7}, "user is not an object: 7"),
        ({"user": {"screen_name": "gull"}}, "user.id_str is missing"),
        ({"id": ..., "id_str": ...}, "id_str is missing"),
        ({"id": True, "id_str": None}, "id_str is missing"),
        ({"created_at": ...}, "created_at is missing"),
        ({"created_at": "yesterday"}, "created_at is not a time: 'yesterday'"),
        ({"created_at": "Tue Feb 30 21:15:51 +0000 2016"}, "created_at is not a time"),
        ({"created_at": 5}, "created_at is not a time: 5"),
        ({"text": ...}, "text is missing"),
        ({"text": 12}, "text is not a string: 12"),
    ],
)
def test_post_without_an_essential_field_is_invalid_and_says_which(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason(**changes).startswith(expected)


def test_field_of_the_wrong_type_is_unknown_and_does_not_lose_the_post() -> None:
    decoded = post(
        favorite_count=-1,
        retweet_count="many",
        reply_count=2**32,
        lang=5,
        source={},
        is_quote_status="?",
        entities={"hashtags": [{"text": "Harbour"}, 3, {"text": None}], "urls": "none"},
        user={"id_str": 42, "id": 42, "followers_count": "12", "friends_count": [], "verified": "maybe"},
    )
    assert decoded == Post(
        id="757000000000000001",
        account_id="42",
        time_ms=1469567751000,
        text="Morning at the harbour #Harbour",
        hashtags=("harbour",),
        followers=12,
    )


def test_string_id_goes_before_the_number_that_tools_round() -> None:
    assert post(id=7.57e17).id == "757000000000000001"
    assert post(id_str=...).id == "757000000000000000"
    assert post(id_str=..., id=7.57e17).id == "757000000000000000"


def test_extended_text_and_its_entities_go_before_the_cut_ones() -> None:
    decoded = post(
        text="Long story…",
        extended_tweet={
            "full_text": "Long story with an end #Tide",
            "entities": {"hashtags": [{"text": "Tide"}], "urls": []},
        },
    )
    assert (decoded.text, decoded.hashtags) == ("Long story with an end #Tide", ("tide",))


def test_full_text_goes_before_text() -> None:
    assert post(full_text="All of it").text == "All of it"


def test_html_entities_are_decoded_once() -> None:
    assert post(text="fish &amp; chips &lt;3 &amp;lt;").text == "fish & chips <3 &lt;"


def test_retweet_has_the_words_and_tags_of_the_post_it_repeats() -> None:
    decoded = post(
        text="RT @tern: Storm over the #Ha…",
        entities={"hashtags": [], "urls": []},
        retweeted_status={
            "id_str": "99",
            "full_text": "Storm over the #Harbour &amp; bay",
            "entities": {
                "hashtags": [{"text": "Harbour"}],
                "urls": [{"expanded_url": "https://bay.example/s"}],
            },
        },
    )
    assert (decoded.kind, decoded.target_id, decoded.text) == (
        Kind.REPOST,
        "99",
        "Storm over the #Harbour & bay",
    )
    assert (decoded.hashtags, decoded.links) == (("harbour",), ("https://bay.example/s",))


@pytest.mark.parametrize("text", ["RT @tern: Storm", "RT @tern Storm"])
def test_text_that_starts_as_a_retweet_is_one_of_an_unknown_post(text: str) -> None:
    decoded = post(text=text)
    assert (decoded.kind, decoded.target_id, decoded.text) == (Kind.REPOST, None, "Storm")


def test_text_that_only_mentions_a_retweet_is_original() -> None:
    decoded = post(text="so true RT @tern: Storm")
    assert (decoded.kind, decoded.text) == (Kind.ORIGINAL, "so true RT @tern: Storm")


def test_quote_points_at_the_quoted_post_even_if_its_id_was_rounded() -> None:
    decoded = post(
        is_quote_status=True, quoted_status_id=1e17, quoted_status={"id_str": "100000000000000001"}
    )
    assert (decoded.kind, decoded.target_id) == (Kind.QUOTE, "100000000000000001")
    assert post(is_quote_status=True).kind is Kind.QUOTE


def test_reply_points_at_the_post_it_answers() -> None:
    decoded = post(in_reply_to_status_id=5, in_reply_to_status_id_str="5")
    assert (decoded.kind, decoded.target_id) == (Kind.REPLY, "5")


def test_hashtags_are_folded_and_each_kept_once() -> None:
    tags = ["ＨＡＲＢＯＵＲ", "harbour", "har\u200bbour", "الميناء", "Straße"]
    decoded = post(entities={"hashtags": [{"text": tag} for tag in tags]})
    assert decoded.hashtags == ("harbour", "الميناء", "strasse")


def test_hashtags_are_found_in_the_text_only_without_entities() -> None:
    text = "#Tide (#ميناء_جدة) #हिन्दी see page #12, x.example/#top a#b #2016vote"
    assert post(text=text, entities=...).hashtags == ("tide", "ميناء_جدة", "हिन्दी", "2016vote")
    assert post(text=text, entities={"hashtags": []}).hashtags == ()


def test_links_are_expanded_and_leave_out_the_link_to_the_cut_text_itself() -> None:
    urls = [
        {"url": "https://t.co/a", "expanded_url": "https://bay.example/a"},
        {"url": "https://t.co/b", "expanded_url": None},
        {"url": "https://t.co/c", "expanded_url": "https://twitter.com/i/web/status/757000000000000001"},
    ]
    assert post(entities={"urls": urls}).links == ("https://bay.example/a", "https://t.co/b")


@pytest.mark.parametrize(
    ("source", "client"),
    [
        ('<a href="https://sail.example" rel="nofollow">Sail &amp; Go</a>', "Sail & Go"),
        ("Sail", "Sail"),
        ('<a href=""></a>', None),
        ("", None),
        (None, None),
    ],
)
def test_client_is_the_name_inside_the_link(source: str | None, client: str | None) -> None:
    assert post(source=source).client == client


@pytest.mark.parametrize(("lang", "language"), [("ar", "ar"), ("und", None), ("", None), ("qme", None)])
def test_language_marks_that_say_none_was_found_are_unknown(lang: str, language: str | None) -> None:
    assert post(lang=lang).language == language


def test_profile_that_is_empty_differs_from_one_that_was_not_delivered() -> None:
    assert user().has_bio is None
    assert user(description=None).has_bio is False
    assert user(description="").has_bio is False
    assert user(description="I like boats").has_bio is True
    assert user().has_banner is None
    assert user(profile_image_url_https="https://img.example/1").has_banner is False
    assert user(profile_banner_url="https://img.example/2").has_banner is True


def test_account_figures_are_taken_over() -> None:
    decoded = user(
        followers_count=1,
        friends_count=2,
        statuses_count=None,
        verified=False,
        default_profile=True,
        created_at="Thu Feb 04 00:00:00 +0000 2016",
    )
    assert (decoded.followers, decoded.following, decoded.statuses) == (1, 2, None)
    assert (decoded.verified, decoded.default_profile) == (False, True)
    assert decoded.account_created_ms == 1454544000000


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b'{"delete":{"status":{"id":1,"id_str":"1","user_id":3}}}', "delete"),
        (b'{"limit":{"track":1234}}', "limit"),
        (b'{"scrub_geo":{"user_id":1,"up_to_status_id":2}}', "scrub_geo"),
        (b'{"status_withheld":{"id":1}}', "status_withheld"),
        (b'{"user_withheld":{"id":1}}', "user_withheld"),
        (b'{"disconnect":{"code":4}}', "disconnect"),
        (b'{"warning":{"code":"FALLING_BEHIND"}}', "warning"),
        (b"\r\n", "keep_alive"),
        (b"", "keep_alive"),
    ],
)
def test_stream_messages_are_neither_posts_nor_invalid(message: bytes, kind: str) -> None:
    assert decode(message) == [Control(kind=kind)]


def test_search_page_and_array_give_each_status() -> None:
    whole, broken = status(), status(user=...)
    for document in ({"search_metadata": {}, "statuses": [whole, broken]}, [whole, broken]):
        first, second = decode(json.dumps(document, indent=1).encode())
        assert first == post()
        assert isinstance(second, InvalidPost)
        assert json.loads(second.payload) == broken


def test_half_a_surrogate_pair_is_read_as_an_unknown_character() -> None:
    payload = json.dumps(status(text="X")).replace('"X"', r'"\ud83d \ud83d\ude00 \\ud83d"').encode()
    (decoded,) = decode(payload)
    assert isinstance(decoded, Post)
    assert decoded.text == "� 😀 \\ud83d"


@pytest.mark.cases
@pytest.mark.parametrize(
    ("name", "quotes", "replies", "reposts", "others"),
    [
        # Counted from the files' is_quote_status, in_reply_to_status_id and retweeted_status.
        ("original_examples.json", 8, 3, 3, 11),
        ("public_api_sample.json", 8, 2, 3, 7),
        ("streaming_lines.json", 8, 33, 1, 30),
        ("search.json", 9, 1, 74, 16),
        ("quoted.json", 1, 0, 0, 0),
        ("broken_additional_field.json", 0, 0, 0, 1),
        ("broken_missing_field.json", 0, 0, 0, 1),
        ("broken_missing_quotetweet_field.json", 1, 0, 0, 0),
    ],
)
def test_real_statuses_are_all_read(
    cases: Path, name: str, quotes: int, replies: int, reposts: int, others: int
) -> None:
    raw = (cases / "formats/x_v1.1" / name).read_bytes()
    decoded = [one for line in raw.splitlines() if line for one in decode(line)]
    kinds = [one.kind for one in decoded if isinstance(one, Post)]
    assert len(kinds) == len(decoded)
    assert [kinds.count(k) for k in (Kind.QUOTE, Kind.REPLY, Kind.REPOST, Kind.ORIGINAL)] == [
        quotes,
        replies,
        reposts,
        others,
    ]


@pytest.mark.cases
def test_real_status_without_user_is_invalid_and_names_the_user(cases: Path) -> None:
    (decoded,) = decode((cases / "formats/x_v1.1/broken_missing_user.json").read_bytes())
    assert isinstance(decoded, InvalidPost)
    assert decoded.reason == "user is missing"


@pytest.mark.cases
def test_real_status_without_description_leaves_the_bio_unknown(cases: Path) -> None:
    (decoded,) = decode((cases / "formats/x_v1.1/broken_missing_field.json").read_bytes())
    assert isinstance(decoded, Post)
    assert (decoded.has_bio, decoded.has_banner) == (None, False)


@pytest.mark.cases
def test_real_quote_whose_id_string_is_missing_takes_it_from_the_quoted_post(cases: Path) -> None:
    (decoded,) = decode((cases / "formats/x_v1.1/broken_missing_quotetweet_field.json").read_bytes())
    assert isinstance(decoded, Post)
    assert decoded.target_id == "861652051016663040"


@pytest.mark.cases
def test_real_retweets_are_read_whole(cases: Path) -> None:
    decoded = decode((cases / "formats/x_v1.1/search.json").read_bytes())
    reposts = [one for one in decoded if isinstance(one, Post) and one.kind is Kind.REPOST]
    assert len(reposts) == 74
    assert all(one.target_id and not one.text.startswith("RT @") for one in reposts)


@pytest.mark.cases
def test_real_organic_lines_are_read_with_tags_and_account_dates(cases: Path) -> None:
    with (cases / "organic/vaccination_2021.jsonl").open("rb") as lines:
        decoded = [one for line in lines for one in decode(line)]
    posts = [one for one in decoded if isinstance(one, Post)]
    assert len(posts) == len(decoded) == 8049
    assert sum(not one.hashtags for one in posts) == 1931
    assert all(one.account_created_ms and one.has_bio is None and one.language is None for one in posts)
    assert sum(one.client is None for one in posts) == 1
