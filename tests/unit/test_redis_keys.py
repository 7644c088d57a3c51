"""Names of Redis keys: distinct, in one slot, and documented."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from streams.redis_keys import PartitionKeys, ReaderKeys

DOCUMENT = Path(__file__).parents[2] / "docs" / "redis.md"
PARTS = ("", "texts", "intervals", "created", "clients")
FIXED = ("mark", "clock", "hop", "late", "open", "tags", "scored")
hashtags = st.text(st.sampled_from("a:{}%3A texts"), max_size=8)


@given(hashtags, st.integers(0, 2**45))
def test_keys_of_one_partition_share_a_slot(hashtag: str, bucket: int) -> None:
    keys = PartitionKeys("fm", 3)
    names = [keys.rows(hashtag, bucket), keys.texts(hashtag), *(getattr(keys, name) for name in FIXED)]
    assert len({key_slot(name.encode()) for name in names}) == 1


def test_the_stream_and_what_was_told_share_a_slot() -> None:
    read = ReaderKeys("fm")
    assert key_slot(read.alerts.encode()) == key_slot(read.told.encode())


@given(st.lists(hashtags, min_size=2, max_size=2, unique=True))
def test_no_two_hashtags_share_a_key(pair: list[str]) -> None:
    read, keys = ReaderKeys("fm"), PartitionKeys("fm", 0)
    assert len({read.tag(hashtag, part) for hashtag, part in product(pair, PARTS)}) == 2 * len(PARTS)
    assert len({keys.rows(hashtag, bucket) for hashtag, bucket in product(pair, (0, 60_000))}) == 4


@pytest.mark.parametrize("name", ["loan", "قرض", "a b", "日本"])
def test_ordinary_hashtags_stand_in_keys_as_they_are(name: str) -> None:
    assert ReaderKeys("fm").tag(name, "texts") == f"fm:tag:{name}:texts"


def test_the_document_names_every_key() -> None:
    keys, read = PartitionKeys("fm", 3), ReaderKeys("fm")
    names = [getattr(keys, name) for name in FIXED]
    names += [keys.rows("<tag>", 0).replace(":0", ":<bucket>"), keys.texts("<tag>")]
    names += [
        read.tags,
        read.alerts,
        read.told,
        read.alert("<id>"),
        *(read.tag("<tag>", part) for part in PARTS),
    ]
    text = DOCUMENT.read_text("utf-8")
    assert [name for name in names if f"| `{name}` |" not in text] == []
