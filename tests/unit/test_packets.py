"""What travels between ingest and monitor."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from builders import HASHTAG, T0, flooded, post
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.table import DAY_MS, ROW, Flag, Kind
from detectors.text import fingerprint, key
from streams.packets import VERSION, Packet, UnreadablePacket, decode, encode, pack, partition_of
from streams.posts import Post
from streams.watermark import TICK_MS, Stretch

FULL = Post(
    id="758000000000000001",
    account_id="did:plc:abc",
    time_ms=T0 + 1,
    text="The bridge opens  @ann https://t.co/x",
    resolution_ms=1,
    hashtags=(HASHTAG,),
    kind=Kind.REPLY,
    target_id="758000000000000000",
    links=("https://www.Example.org:8080/a?b", "https://b.example"),
    client="Web App",
    language="en-GB",
    handle="ann",
    account_created_ms=16_833 * DAY_MS + 5,
    followers=1,
    following=2,
    statuses=3,
    likes=4,
    reposts=5,
    replies=6,
    has_bio=True,
    has_banner=False,
    default_profile=True,
    verified=False,
)
BARE = Post(id="x1", account_id="2", time_ms=T0, text="", hashtags=(HASHTAG,))

GOLDEN = {
    "loan": [0, 2, 6],
    "harbour_bridge": [0, 0, 0],
    "السعودية": [0, 3, 7],
    "tag1": [0, 0, 8],
    "x": [0, 1, 1],
}


def row_of(one: Post) -> tuple[dict[str, Any], dict[int, str]]:
    (packet,) = pack([(7, one)], 3, 7, 8, 1)
    rows, offsets = packet.table()
    assert offsets.tolist() == [7]
    return {name: rows[0][name].item() for name in ROW.names or ()}, packet.strings


def test_every_field_of_a_full_post_is_in_its_row() -> None:
    row, strings = row_of(FULL)
    read = "The bridge opens @… [link]"
    assert row == {
        "post": 758000000000000001,
        "account": fingerprint("did:plc:abc"),
        "time_ms": T0 + 1,
        "text": fingerprint(read),
        "handle": fingerprint("ann"),
        "client": fingerprint("Web App"),
        "target": 758000000000000000,
        "link": fingerprint("example.org:8080/a?b"),
        "domain": fingerprint("example.org:8080"),
        "created_day": 16_833,
        "followers": 1,
        "following": 2,
        "statuses": 3,
        "likes": 4,
        "reposts": 5,
        "replies": 6,
        "flags": int(
            Flag.CREATED_KNOWN | Flag.FOLLOWERS_KNOWN | Flag.FOLLOWING_KNOWN | Flag.STATUSES_KNOWN
            | Flag.LIKES_KNOWN | Flag.REPOSTS_KNOWN | Flag.REPLIES_KNOWN | Flag.BIO_KNOWN | Flag.BIO
            | Flag.BANNER_KNOWN | Flag.DEFAULT_PROFILE_KNOWN | Flag.DEFAULT_PROFILE | Flag.VERIFIED_KNOWN
        ),
        "language": ord("e") | ord("n") << 8,
        "kind": int(Kind.REPLY),
    }  # fmt: skip
    shown = ("did:plc:abc", read, "ann", "Web App", "example.org:8080")
    assert strings == {fingerprint(text): text for text in shown}


def test_what_a_payload_did_not_say_is_marked_unknown() -> None:
    row, strings = row_of(BARE)
    assert {name for name, value in row.items() if value} == {"post", "account", "time_ms"}
    assert strings == {key("x1"): "x1"}


ANSWERS = {
    "has_bio": (Flag.BIO_KNOWN, Flag.BIO),
    "has_banner": (Flag.BANNER_KNOWN, Flag.BANNER),
    "default_profile": (Flag.DEFAULT_PROFILE_KNOWN, Flag.DEFAULT_PROFILE),
    "verified": (Flag.VERIFIED_KNOWN, Flag.VERIFIED),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("answer", [True, False, None])
def test_answers_have_three_values(name: str, answer: bool | None) -> None:
    row, _ = row_of(msgspec.structs.replace(BARE, **{name: answer}))
    known, yes = ANSWERS[name]
    assert row["flags"] == {None: 0, False: int(known), True: int(known | yes)}[answer]


COUNTS = {
    "followers": Flag.FOLLOWERS_KNOWN,
    "following": Flag.FOLLOWING_KNOWN,
    "statuses": Flag.STATUSES_KNOWN,
    "likes": Flag.LIKES_KNOWN,
    "reposts": Flag.REPOSTS_KNOWN,
    "replies": Flag.REPLIES_KNOWN,
}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    ("count", "stored"), [(0, 0), (2**32 - 1, 2**32 - 1), (2**32, 2**32 - 1), (10**30, 2**32 - 1)]
)
def test_known_counts_are_stored_up_to_their_bound(name: str, count: int, stored: int) -> None:
    row, _ = row_of(msgspec.structs.replace(BARE, **{name: count}))
    assert (row[name], row["flags"]) == (stored, int(COUNTS[name]))


@pytest.mark.parametrize("name", COUNTS)
def test_negative_count_is_unknown(name: str) -> None:
    row, _ = row_of(msgspec.structs.replace(BARE, **{name: -1}))
    assert (row[name], row["flags"]) == (0, 0)


def test_creation_day_is_known_even_if_it_is_the_first_of_all() -> None:
    row, _ = row_of(msgspec.structs.replace(BARE, account_created_ms=0))
    assert (row["created_day"], row["flags"]) == (0, int(Flag.CREATED_KNOWN))


@pytest.mark.parametrize(("resolution_ms", "flags"), [(1, 0), (1_000, 0), (60_000, int(Flag.COARSE_TIME))])
def test_times_of_minute_resolution_are_marked(resolution_ms: int, flags: int) -> None:
    assert row_of(msgspec.structs.replace(BARE, resolution_ms=resolution_ms))[0]["flags"] == flags


@pytest.mark.parametrize("language", ["", "e", "é!", "日本"])
def test_language_that_is_no_code_is_unknown(language: str) -> None:
    assert row_of(msgspec.structs.replace(BARE, language=language))[0]["language"] == 0


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("https://user:pass@Evil.example/x", "evil.example"),
        ("http://www.a.example?q=1", "a.example"),
        ("no link at all", ""),
        ("https://", ""),
        ("https://bit.ly/aB1", ""),
    ],
)
def test_host_of_a_link(link: str, host: str) -> None:
    row, strings = row_of(msgspec.structs.replace(BARE, links=(link,)))
    assert strings.get(row["domain"], "") == host


def test_links_of_one_page_have_one_fingerprint_and_shortened_ones_their_own() -> None:
    links = (
        "https://a.example/x?utm_id=1#top",
        "http://www.a.example/x",
        "https://bit.ly/1",
        "https://bit.ly/2",
    )
    rows = [row_of(msgspec.structs.replace(BARE, links=(link,)))[0] for link in links]
    assert rows[0]["link"] == rows[1]["link"]
    assert len({row["link"] for row in rows} | {0}) == 4


def test_encoding_and_decoding_give_the_packet_back() -> None:
    for packet in pack(list(enumerate(flooded())), 2, 0, 900, 3, ended=True):
        assert decode(encode(packet)) == packet
        assert encode(decode(encode(packet))) == encode(packet)


def test_version_of_the_future_is_named() -> None:
    (packet,) = pack([], 0, 0, 1, 1)
    with pytest.raises(UnreadablePacket, match=rf"packet version 9, this worker reads {VERSION}: upgrade"):
        decode(encode(msgspec.structs.replace(packet, version=9)))
    shape_of_the_future = msgspec.msgpack.encode([9, {"source": 0}, "rows"])
    with pytest.raises(UnreadablePacket, match=rf"packet version 9, this worker reads {VERSION}: upgrade"):
        decode(shape_of_the_future)


@given(st.binary(max_size=60))
def test_noise_is_no_packet(payload: bytes) -> None:
    with pytest.raises(UnreadablePacket):
        decode(payload)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 255))
def test_damaged_packet_is_refused_or_read_and_nothing_else(at: int, value: int) -> None:
    (packet,) = pack([(0, FULL), (1, BARE)], 0, 0, 2, 1)
    damaged = bytearray(encode(packet))
    damaged[at % len(damaged)] = value
    with suppress(UnreadablePacket):
        assert isinstance(decode(bytes(damaged)), Packet)


@pytest.mark.parametrize("field", ["rows", "offsets"])
def test_packet_with_missing_bytes_is_refused(field: str) -> None:
    (packet,) = pack([(0, FULL)], 0, 0, 1, 1)
    short = msgspec.structs.replace(packet, **{field: getattr(packet, field)[:-1]})
    with pytest.raises(UnreadablePacket, match="packet of 1 rows brings"):
        decode(encode(short))


def test_packet_with_more_counts_than_hashtags_is_refused() -> None:
    (packet,) = pack([(0, FULL)], 0, 0, 1, 1)
    with pytest.raises(UnreadablePacket, match="1 hashtags and 2 counts"):
        decode(encode(msgspec.structs.replace(packet, counts=[1, 0])))


def test_every_partition_gets_a_packet_with_the_whole_clock() -> None:
    posts = [(i, post(i, i, 20 * i, "hello there", hashtags=(f"tag{i}",))) for i in range(9)]
    untagged = (9, post(9, 9, 300, "no hashtag at all", hashtags=()))
    sent = pack([*posts, untagged], 1, 0, 10, 4)
    assert len(sent) == 4
    tick = T0 // TICK_MS
    told = [Stretch(tick + 2 * i, i, 1, 1) for i in range(9)] + [Stretch(tick + 30, 9, 1, 1)]
    assert all(p.clock == told for p in sent)
    assert {(p.source, p.start, p.end) for p in sent} == {(1, 0, 10)}
    assert sum(len(p.table()[0]) for p in sent) == 9


def test_post_with_two_hashtags_is_a_row_of_each() -> None:
    (packet,) = pack([(0, post(0, 0, 0, "hi", hashtags=("b", "a")))], 0, 0, 1, 1)
    assert (packet.hashtags, packet.counts) == (["a", "b"], [1, 1])
    rows, _ = packet.table()
    assert rows[0] == rows[1]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 400), max_size=30), st.integers(1, 6))
def test_rows_of_a_hashtag_are_in_its_partition_alone(picked: list[int], partitions: int) -> None:
    posts = [(i, post(n, n, n, "hello", hashtags=(f"t{n % 9}",))) for i, n in enumerate(picked)]
    for number, packet in enumerate(pack(posts, 0, 0, len(posts), partitions)):
        assert all(partition_of(tag, partitions) == number for tag in packet.hashtags)
        first = 0
        for tag, count in zip(packet.hashtags, packet.counts, strict=True):
            mine = packet.table()[0][first : first + count]
            assert sorted(mine["post"].tolist()) == sorted(
                int(p.id) for _, p in posts if p.hashtags == (tag,)
            )
            first += count


def test_partitions_of_hashtags_never_change() -> None:
    """A worker that disagreed would count a hashtag twice or not at all."""
    assert {tag: [partition_of(tag, n) for n in (1, 4, 12)] for tag in GOLDEN} == GOLDEN


def test_partitions_are_filled_evenly() -> None:
    filled = np.bincount([partition_of(f"tag{i}", 8) for i in range(8_000)])
    assert filled.min() > 880
    assert filled.max() < 1_120
