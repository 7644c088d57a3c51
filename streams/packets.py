"""What travels on the topic `rows`: the rows of one micro-batch for one destination partition.

A packet says which source offsets it covers, so that its receiver can drop what it has already counted and
notice what it never got. Packets without rows are sent too: they carry the offsets and the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from detectors.table import DAY_MS, ROW, Flag, Rows
from detectors.text import fingerprint, key, reading
from streams.links import page, site
from streams.posts import MINUTE_MS, Post
from streams.watermark import TICK_MS, Stretch

VERSION: Final = 2
STRING_FIELDS: Final = ("text", "handle", "client", "domain", "account", "post")
"""Of a row, those that may stand for a string."""

_MAX_COUNT: Final = 2**32 - 1
# Plain integers: combining members of an IntFlag costs more than all the rest of a row.
_COARSE: Final = int(Flag.COARSE_TIME)
_CREATED: Final = int(Flag.CREATED_KNOWN)
_COUNTS_KNOWN: Final = tuple(
    int(flag)
    for flag in (
        Flag.FOLLOWERS_KNOWN,
        Flag.FOLLOWING_KNOWN,
        Flag.STATUSES_KNOWN,
        Flag.LIKES_KNOWN,
        Flag.REPOSTS_KNOWN,
        Flag.REPLIES_KNOWN,
    )
)
_ANSWERS: Final = tuple(
    (int(known), int(known | yes))
    for known, yes in (
        (Flag.BIO_KNOWN, Flag.BIO),
        (Flag.BANNER_KNOWN, Flag.BANNER),
        (Flag.DEFAULT_PROFILE_KNOWN, Flag.DEFAULT_PROFILE),
        (Flag.VERIFIED_KNOWN, Flag.VERIFIED),
    )
)
"""What no and yes add to the flags."""


class UnreadablePacket(ValueError):
    """A message on the topic of packets that this worker cannot read; says what it found."""


class Packet(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one micro-batch for one destination partition.

    Attributes
    ----------
    source : int
        Partition of the topic `posts` the batch was read from.
    start, end : int
        Offsets covered, half-open.
    clock : list of Stretch
        How event time went on, by rising offset; over all posts of the batch, not only those with rows here.
    idle : bool
        The source has been silent for so long that nobody is to wait for it; `start` equals `end`.
    begun : bool
        An archive begins, or goes on, on the source: its silence means nothing until it ends.
    ended : bool
        The source said that nothing more will come.
    hashtags, counts : lists
        The rows are ordered by hashtag: the first `counts[0]` belong to `hashtags[0]`, and so on.
    rows : bytes
        Packed `ROW`.
    offsets : bytes
        Source offset of every row, little-endian int64.
    strings : mapping
        What the rows' fingerprints stand for.
    """

    version: int
    source: int
    start: int
    end: int
    clock: list[Stretch]
    idle: bool
    begun: bool
    ended: bool
    hashtags: list[str]
    counts: list[int]
    rows: bytes
    offsets: bytes
    strings: dict[int, str]

    def table(self) -> tuple[Rows, NDArray[np.int64]]:
        """The rows and the source offset of each."""
        return np.frombuffer(self.rows, ROW), np.frombuffer(self.offsets, "<i8")


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What every version of a packet begins with."""

    version: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Packet)
_HEAD_DECODER = msgspec.msgpack.Decoder(_Head)


def encode(packet: Packet) -> bytes:
    """A packet as bytes."""
    return _ENCODER.encode(packet)


def decode(payload: bytes) -> Packet:
    """A packet from bytes.

    Raises
    ------
    UnreadablePacket
        If it is none, or of a later version.
    """
    try:
        packet = _DECODER.decode(payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadablePacket(_other_version(payload) or f"this is not a packet of rows: {error}") from error
    if packet.version != VERSION:
        raise UnreadablePacket(_version(packet.version))
    if len(packet.hashtags) != len(packet.counts):
        raise UnreadablePacket(f"packet of {len(packet.hashtags)} hashtags and {len(packet.counts)} counts")
    if len(packet.rows) != sum(packet.counts) * ROW.itemsize or len(packet.offsets) != sum(packet.counts) * 8:
        raise UnreadablePacket(
            f"packet of {sum(packet.counts)} rows brings {len(packet.rows)} bytes of rows"
            f" and {len(packet.offsets)} of offsets"
        )
    return packet


def _version(found: int) -> str:
    return f"packet version {found}, this worker reads {VERSION}: upgrade all workers"


def _other_version(payload: bytes) -> str | None:
    """What to say of a packet whose shape another version gave it; None if that is not the reason."""
    try:
        found = _HEAD_DECODER.decode(payload).version
    except (msgspec.DecodeError, ValueError):
        return None
    return None if found == VERSION else _version(found)


def partition_of(hashtag: str, partitions: int) -> int:
    """The partition that owns a hashtag; the same on every machine."""
    return fingerprint(hashtag) % partitions


def pack(
    posts: Sequence[tuple[int, Post]],
    source: int,
    start: int,
    end: int,
    partitions: int,
    *,
    idle: bool = False,
    begun: bool = False,
    ended: bool = False,
) -> list[Packet]:
    """Turn a micro-batch into one packet per destination partition.

    Parameters
    ----------
    posts : sequence of (source offset, post)
        By rising offset.
    source : int
        The partition they were read from.
    start, end : int
        Offsets covered, half-open; posts that could not be read are covered too.
    partitions : int
        Number of destination partitions.
    idle, begun, ended : bool
        See `Packet`.
    """
    per_tag: dict[str, list[tuple[int, tuple[int, ...], Mapping[int, str]]]] = {}
    for offset, post in posts:
        if not post.hashtags:
            continue
        strings: dict[int, str] = {}
        row = _row(post, strings)
        for hashtag in post.hashtags:
            per_tag.setdefault(hashtag, []).append((offset, row, strings))
    per_partition: list[list[str]] = [[] for _ in range(partitions)]
    for hashtag in sorted(per_tag):
        per_partition[partition_of(hashtag, partitions)].append(hashtag)
    head = Packet(VERSION, source, start, end, stretches(posts), idle, begun, ended, [], [], b"", b"", {})
    return [_filled(head, tags, [per_tag[tag] for tag in tags]) for tags in per_partition]


def _filled(
    head: Packet, hashtags: list[str], entries: list[list[tuple[int, tuple[int, ...], Mapping[int, str]]]]
) -> Packet:
    flat = [entry for tag in entries for entry in tag]
    strings: dict[int, str] = {}
    for _, _, mine in flat:
        strings.update(mine)
    return structs.replace(
        head,
        hashtags=hashtags,
        counts=[len(tag) for tag in entries],
        rows=np.array([row for _, row, _ in flat], ROW).tobytes(),
        offsets=np.array([offset for offset, _, _ in flat], "<i8").tobytes(),
        strings=strings,
    )


def stretches(posts: Sequence[tuple[int, Post]]) -> list[Stretch]:
    """Event time along a batch, as short as it can be told without losing the order of the posts.

    Parameters
    ----------
    posts : sequence of (source offset, post)
        By rising offset.
    """
    out: list[Stretch] = []
    for (offset, tick), run in groupby((offset, post.time_ms // TICK_MS) for offset, post in posts):
        count = sum(1 for _ in run)
        last = out[-1] if out else None
        if last is not None and (last.tick, last.posts, last.end) == (tick, count, offset):
            out[-1] = last.longer()
        else:
            out.append(Stretch(tick, offset, 1, count))
    return out


def _row(post: Post, strings: dict[int, str]) -> tuple[int, ...]:
    """The post as a tuple in the order of `ROW`; adds the strings it stands for."""
    bits = _COARSE if post.resolution_ms >= MINUTE_MS else 0
    created_ms = post.account_created_ms
    if created_ms is not None:
        bits |= _CREATED
    told = (post.followers, post.following, post.statuses, post.likes, post.reposts, post.replies)
    counts = [0] * len(told)
    for at, value in enumerate(told):
        if value is not None and value >= 0:
            bits |= _COUNTS_KNOWN[at]
            counts[at] = value if value < _MAX_COUNT else _MAX_COUNT
    answers = (post.has_bio, post.has_banner, post.default_profile, post.verified)
    for at, answer in enumerate(answers):
        if answer is not None:
            bits |= _ANSWERS[at][answer]
    link = post.links[0] if post.links else ""
    return (
        _id(post.id, strings),
        _id(post.account_id, strings),
        post.time_ms,
        _string(reading(post.text), strings),
        _string(post.handle, strings),
        _string(post.client, strings),
        key(post.target_id) if post.target_id else 0,
        fingerprint(page(link)) if link else 0,
        _string(site(link), strings) if link else 0,
        0 if created_ms is None else created_ms // DAY_MS,
        *counts,
        bits,
        _language(post.language),
        int(post.kind),
    )


def _string(value: str | None, strings: dict[int, str]) -> int:
    if not value:
        return 0
    print_ = fingerprint(value)
    strings[print_] = value
    return print_


def _id(value: str, strings: dict[int, str]) -> int:
    number = key(value)
    if str(number) != value:
        strings[number] = value
    return number


def _language(language: str | None) -> int:
    if not language or len(language) < 2 or not language.isascii():
        return 0
    return ord(language[0]) | ord(language[1]) << 8
