"""Rows of X Information Operations archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.table import Kind
from streams import archive
from streams.formats import decode, x_io
from streams.posts import InvalidPost, Post

BASE = {"tweetid": "1", "userid": "a3f", "tweet_time": "2016-03-22 12:00", "tweet_text": "Low tide #Bay"}


def read(**changes: str) -> Post | InvalidPost:
    cells = BASE | changes
    return x_io.rows(list(cells), list(cells.values()))


def post(**changes: str) -> Post:
    decoded = read(**changes)
    assert isinstance(decoded, Post), decoded
    return decoded


def test_needed_columns_make_a_post_of_minute_resolution() -> None:
    assert post() == Post(
        id="1",
        account_id="a3f",
        time_ms=1458648000000,
        resolution_ms=60_000,
        text="Low tide #Bay",
        hashtags=("bay",),
    )


def test_columns_are_found_by_name_whatever_their_order_and_case() -> None:
    header = [f" {name.upper()} " for name in reversed(BASE)]
    assert x_io.rows(header, list(reversed(BASE.values()))) == post()
    assert x_io.missing(header) == ()
    assert x_io.missing(["tweetid", "text"]) == ("userid", "tweet_time", "tweet_text")


def test_seconds_in_the_time_make_it_finer() -> None:
    decoded = post(tweet_time="2016-03-22 12:00:07")
    assert (decoded.time_ms, decoded.resolution_ms) == (1458648007000, 1_000)


@pytest.mark.parametrize(
    "listed", ["[bay, Low_Tide]", "['bay', 'Low_Tide']", '["bay","Low_Tide"]', "[bay,Low_Tide]"]
)
def test_both_ways_of_listing_hashtags_are_read(listed: str) -> None:
    assert post(hashtags=listed).hashtags == ("bay", "low_tide")


def test_list_without_hashtags_says_there_are_none_but_an_empty_cell_does_not() -> None:
    assert post(hashtags="[]").hashtags == ()
    assert post(hashtags="").hashtags == ("bay",)


def test_links_are_split_between_links_only() -> None:
    first, second = "https://bay.example/a,b", "https://bay.example/c"
    assert post(urls=f"[{first}, {second}]").links == (first, second)
    assert post(urls=f"['{first}', '{second}']").links == (first, second)


def test_retweet_column_and_retweeted_words_make_a_repost() -> None:
    marked = post(is_retweet="true", retweet_tweetid="7", tweet_text="RT @tern: Low tide")
    assert (marked.kind, marked.target_id, marked.text) == (Kind.REPOST, "7", "Low tide")
    unmarked = post(is_retweet="false", tweet_text="RT @tern: Low tide")
    assert (unmarked.kind, unmarked.target_id, unmarked.text) == (Kind.REPOST, None, "Low tide")
    assert post(is_retweet="True").kind is Kind.REPOST
    assert post(is_retweet="false").kind is Kind.ORIGINAL


def test_quote_and_reply_point_at_their_posts() -> None:
    quote, reply = post(quoted_tweet_tweetid="8"), post(in_reply_to_tweetid="9")
    assert (quote.kind, quote.target_id) == (Kind.QUOTE, "8")
    assert (reply.kind, reply.target_id) == (Kind.REPLY, "9")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("'@tern low tide'", "@tern low tide"),
        ("'=1+1'", "=1+1"),
        ("'Tides' is a film", "'Tides' is a film"),
        ("'Tides'", "'Tides'"),
        ("'@tern low tide", "'@tern low tide"),
    ],
)
def test_only_a_pair_of_guarding_apostrophes_is_taken_off(cell: str, text: str) -> None:
    assert post(tweet_text=cell).text == text


def test_empty_cells_are_unknown() -> None:
    decoded = post(follower_count="", following_count="25.0", like_count="x", tweet_client_name="")
    assert (decoded.followers, decoded.following, decoded.likes, decoded.client) == (None, 25, None, None)


def test_empty_description_counts_only_where_profiles_were_recorded() -> None:
    assert post(user_profile_description="", account_language="").has_bio is None
    assert post(user_profile_description="", account_language="en").has_bio is False
    assert post(user_profile_description="I like boats").has_bio is True


def test_account_date_is_the_start_of_its_day() -> None:
    assert post(account_creation_date="2016-02-04").account_created_ms == 1454544000000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tweetid": ""}, "tweetid is missing"),
        ({"userid": ""}, "userid is missing"),
        ({"tweet_text": ""}, "tweet_text is missing"),
        ({"tweet_time": "noon"}, "tweet_time is not a time: 'noon'"),
        ({"tweet_text": "caf\udce9"}, "tweet_text is not UTF-8"),
    ],
)
def test_row_without_an_essential_cell_is_invalid_and_says_which(
    changes: dict[str, str], reason: str
) -> None:
    decoded = read(**changes)
    assert isinstance(decoded, InvalidPost)
    assert decoded.reason.startswith(reason)


def test_row_that_does_not_fit_the_header_is_invalid() -> None:
    decoded = x_io.rows(list(BASE), ["1", "2"])
    assert isinstance(decoded, InvalidPost)
    assert decoded.reason == "wrong number of columns: 2 where the header has 4"


def test_row_turned_into_a_json_object_is_read_too() -> None:
    payload = (
        b'{"tweetid":1,"userid":"a3f","tweet_time":"2016-03-22 12:00","tweet_text":"Low tide #Bay","x":null}'
    )
    assert decode(payload) == [post()]


@pytest.mark.cases
@pytest.mark.parametrize(
    ("name", "posts", "reposts"),
    [
        # reposts: is_retweet is true or the text starts with "RT @", counted with the csv module
        ("campaigns/ira_islamkills_2016-03-22.csv", 5148, 246),
        ("campaigns/ira_oscarhasnocolor_2016-02-29.csv", 2654, 486),
        ("organic/airline_2015.csv", 14640, 3),
        ("formats/x_io/rows_2018.csv", 2, 1),
    ],
)
def test_real_archives_are_read_to_the_last_row(cases: Path, name: str, posts: int, reposts: int) -> None:
    read = [record.posts[0] for record in archive.read([str(cases / name)])]
    kinds = [one.kind for one in read if isinstance(one, Post)]
    assert (len(read), len(kinds), kinds.count(Kind.REPOST)) == (posts, posts, reposts)


@pytest.mark.cases
def test_real_tag_is_as_large_as_its_archive_says(cases: Path) -> None:
    path = str(cases / "campaigns/ira_islamkills_2016-03-22.csv")
    hour = range(1458669600000, 1458673200000)  # 18h to 19h on 22 March 2016
    posts = [one for record in archive.read([path]) for one in record.posts if isinstance(one, Post)]
    tagged = [p for p in posts if "islamkills" in p.hashtags and p.time_ms in hour]
    assert (len(tagged), len({p.account_id for p in tagged})) == (2951, 130)


@pytest.mark.cases
def test_real_hashed_accounts_and_their_profiles_are_kept(cases: Path) -> None:
    first, second = (r.posts[0] for r in archive.read([str(cases / "formats/x_io/rows_2018.csv")]))
    assert isinstance(first, Post)
    assert isinstance(second, Post)
    assert (first.id, first.target_id, first.client) == (
        "877919995476496385",
        "877917212119416832",
        "TweetDeck",
    )
    assert (len(first.account_id), first.followers, first.following, first.has_bio) == (64, 132, 120, True)
    assert (second.kind, second.hashtags) == (Kind.ORIGINAL, ())
