"""Floodmark's own format, and what holds for every format."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from detectors.table import Kind
from streams import formats
from streams.formats import decode, encode, fields, native
from streams.posts import Control, InvalidPost, Post

unhurried = settings(deadline=None)  # how busy the machine is, is not tested here

COUNTS = st.none() | st.integers(0, 2**32 - 1)
TIMES = st.integers(fields.START_OF_TIME_MS, fields.END_OF_TIME_MS - 1)
NAMES = st.none() | st.text(min_size=1)
TAGS = st.lists(st.text(min_size=1), max_size=5).map(fields.hashtags)
MAYBE = st.none() | st.booleans()

POSTS = st.builds(
    Post,
    id=st.text(min_size=1),
    account_id=st.text(min_size=1),
    time_ms=TIMES,
    text=st.text(),
    resolution_ms=st.sampled_from([1, 1_000, 60_000]),
    hashtags=TAGS,
    kind=st.sampled_from(Kind),
    target_id=NAMES,
    links=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    client=NAMES,
    language=st.none() | st.sampled_from(["ar", "en", "zh-Hant"]),
    handle=NAMES,
    account_created_ms=st.none() | TIMES,
    followers=COUNTS,
    following=COUNTS,
    statuses=COUNTS,
    likes=COUNTS,
    reposts=COUNTS,
    replies=COUNTS,
    has_bio=MAYBE,
    has_banner=MAYBE,
    default_profile=MAYBE,
    verified=MAYBE,
)

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
KNOWN_KEYS = st.sampled_from(
    [
        *("id", "id_str", "text", "full_text", "created_at", "timestamp_ms", "user", "entities"),
        *("extended_tweet", "retweeted_status", "quoted_status", "hashtags", "urls", "source", "lang"),
        *("statuses", "delete", "account_id", "time", "kind", "resolution_ms", "followers", "errors"),
        *("tweetid", "userid", "tweet_time", "tweet_text", "description"),
    ]
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KNOWN_KEYS | st.text(), inner, max_size=8),
    max_leaves=25,
)
# Whole posts in which some fields became something else.
NEAR_POSTS = st.builds(
    lambda base, changes: base | changes,
    st.sampled_from(
        [
            {"id_str": "1", "created_at": "Tue Jul 26 21:15:51 +0000 2016", "text": "a", "user": {"id": 42}},
            {"id": "1", "account_id": "42", "time": "2016-07-26T21:15:51Z", "text": "a"},
            {"tweetid": "1", "userid": "42", "tweet_time": "2016-07-26 21:15", "tweet_text": "a"},
        ]
    ),
    st.dictionaries(KNOWN_KEYS, DOCUMENTS, max_size=3),
)


def line(**changes: Any) -> bytes:
    base = {"id": "1", "account_id": "42", "time": "2016-07-26T21:15:51Z", "text": "High water"}
    return json.dumps({k: v for k, v in (base | changes).items() if v is not ...}).encode()


def post(**changes: Any) -> Post:
    (decoded,) = decode(line(**changes))
    assert isinstance(decoded, Post), decoded
    return decoded


@unhurried
@given(POSTS)
def test_decoding_an_encoded_post_gives_exactly_that_post(written: Post) -> None:
    encoded = encode(written)
    assert b"\n" not in encoded
    assert decode(encoded) == [written]
    assert decode(encoded, "floodmark") == [written]


@unhurried
@given(st.text())
def test_folding_a_hashtag_twice_changes_nothing(name: str) -> None:
    assert fields.hashtag(fields.hashtag(name)) == fields.hashtag(name)


@unhurried
@given(st.binary() | st.text().map(str.encode), st.none() | st.sampled_from(formats.FORMATS))
def test_no_bytes_raise(payload: bytes, format: str | None) -> None:
    assert all(isinstance(one, Post | InvalidPost | Control) for one in decode(payload, format))


@unhurried
@given(DOCUMENTS | NEAR_POSTS, st.none() | st.sampled_from(formats.FORMATS))
def test_no_json_raises_and_every_post_can_be_encoded(document: Any, format: str | None) -> None:
    for one in decode(json.dumps(document).encode(), format):
        if isinstance(one, Post):
            assert decode(encode(one)) == [one]
        elif isinstance(one, InvalidPost):
            assert one.reason


@pytest.mark.parametrize("depth", [900, 100_000])
@pytest.mark.parametrize("opening", [b"[", b'{"user":', b'{"id_str":"1","user":{"id":'])
def test_deep_nesting_is_invalid_or_read_but_never_raises(opening: bytes, depth: int) -> None:
    closing = b"]" if opening == b"[" else b"}" * opening.count(b"{")
    for payload in (opening * depth, opening * depth + b"1" + closing * depth):
        assert not any(isinstance(one, Post) for one in decode(payload))


def test_four_fields_make_a_post_and_its_tags_are_found_in_the_text() -> None:
    assert post(text="High water #Tide") == Post(
        id="1", account_id="42", time_ms=1469567751000, text="High water #Tide", hashtags=("tide",)
    )


def test_listed_hashtags_are_taken_instead_of_those_in_the_text() -> None:
    assert post(text="#Tide", hashtags=["#Harbour"]).hashtags == ("harbour",)
    assert post(text="#Tide", hashtags=[]).hashtags == ()


@pytest.mark.parametrize(
    ("time", "time_ms", "resolution_ms"),
    [
        ("2016-07-26T21:15:51Z", 1469567751000, 1_000),
        ("2016-07-26T21:15:51.123Z", 1469567751123, 1),
        ("2016-07-26 21:15:51", 1469567751000, 1_000),
        ("2016-07-26 21:15", 1469567700000, 60_000),
        ("2016-07-26T23:15:51+02:00", 1469567751000, 1_000),
        ("2016-07-26T23:15:51.5+0200", 1469567751500, 1),
    ],
)
def test_resolution_follows_from_how_the_time_is_written(time: str, time_ms: int, resolution_ms: int) -> None:
    decoded = post(time=time)
    assert (decoded.time_ms, decoded.resolution_ms) == (time_ms, resolution_ms)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (line(id=...), "id is missing"),
        (line(id=""), "id is missing"),
        (line(time=...), "time is missing"),
        (line(text=None), "text is missing"),
        (line(text=3), "text is not a string: 3"),
        (line(time="yesterday"), "time is not an ISO 8601 time: 'yesterday'"),
        (line(time="2016-07-26"), "time is not an ISO 8601 time: '2016-07-26'"),
        (line(time="2016-07-26T24:15:51Z"), "time is not an ISO 8601 time: '2016-07-26T24:15:51Z'"),
        (b"nonsense", "not JSON: "),
        (b'{"id": "1", "text": "cut', "not JSON: "),
        (b'{"id": "1", "text": "\xff"}', "not UTF-8: "),
        (b'{"statuses": 1, "statuses": []}', "not a search page: statuses is there more than once"),
        (b'"a string"', "not a JSON object: 'a string'"),
        (b'{"uri": 1, "cid": 2}', "neither an X v1.1 status nor a Floodmark post: its keys are 'uri', 'cid'"),
        (b"{}", "neither an X v1.1 status nor a Floodmark post: it has no keys"),
        (
            b'{"errors":[{"code":88,"message":"Rate limit exceeded"}]}',
            "an error message instead of a post: 'Rate",
        ),
    ],
)
def test_reason_names_the_field_and_the_value(payload: bytes, reason: str) -> None:
    (decoded,) = decode(payload)
    assert isinstance(decoded, InvalidPost)
    assert decoded.reason.startswith(reason)
    assert decoded.payload == payload


def test_unknown_and_wrongly_typed_extra_fields_are_ignored() -> None:
    assert post(mood="calm", followers="a few", verified=[], links=["https://bay.example", 5]) == post(
        links=["https://bay.example"]
    )


def test_given_format_is_not_guessed() -> None:
    (decoded,) = decode(b'{"id_str": "1", "user": {"id_str": "2"}, "text": "x"}', "floodmark")
    assert isinstance(decoded, InvalidPost)
    assert decoded.reason == "id is missing"


def test_unknown_format_name_makes_invalid_posts_because_it_comes_with_the_message() -> None:
    (decoded,) = decode(line(), "x_v9")
    assert isinstance(decoded, InvalidPost)
    assert decoded.reason == "there is no such format: 'x_v9'; there are floodmark, x_v1.1, x_io"


def test_time_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        encode(Post(id="1", account_id="2", time_ms=10**18, text=""))


PAGE = Path(__file__).parents[3] / "docs" / "formats.md"


def test_documented_line_is_read_and_written_just_as_documented() -> None:
    text = PAGE.read_text()
    found = re.search(r"```json\n(.+)\n```", text)
    assert found is not None
    example = json.loads(found[1])
    (decoded,) = decode(found[1].encode())
    assert isinstance(decoded, Post)
    assert json.loads(encode(decoded)) == example
    assert set(example) | {"resolution_ms"} == {field.name for field in structs.fields(native._Line)}


def test_every_field_is_documented() -> None:
    text = PAGE.read_text()
    table = text[text.index("| field |") : text.index("Fields not listed")].strip()
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {field.name for field in structs.fields(native._Line)}
