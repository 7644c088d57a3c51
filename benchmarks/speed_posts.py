"""The posts that speed is measured on: files of two kinds, at any size.

- *One hashtag*: the rebuilt reference case (docs/reference-case.md) in X's own format. Larger ones have more
  posts and accounts in the same two hours under the same hashtag.
- *Many hashtags*: made posts (benchmarks/crowd.py) in Floodmark's own format, spread over two hours. A fifth
  of them is under 40 busy hashtags, which are assessed every minute; the others have about ten each.
- *Live*: made posts over twenty minutes, in which one hashtag after the other is flooded.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import crowd
from benchmarks.crowd import Crowd
from streams import formats, reference_case
from streams.posts import Post

ONE: Final = "one hashtag"
MANY: Final = "many hashtags"
LIVE: Final = "live"
KINDS: Final = (ONE, MANY)
"""What is scanned."""

CASE_POSTS: Final = 11_847
"""Of the reference case at scale 1."""

SPAN_S: Final = 7_200
LIVE_SPAN_S: Final = 1_200
BUSY_SHARE: Final = 0.2
POSTS_A_TAG: Final = 12
"""So many posts there are of a hashtag, the posts under the busy ones divided among all."""


def write(kind: str, posts: int, to: Path) -> tuple[int, int]:
    """Make about so many posts of a kind, in the order of their time; gives how many, and their hashtags."""
    made = _one(posts) if kind == ONE else _lines(many(posts) if kind == MANY else live(posts))
    count, hashtags = 0, set[str]()
    with to.open("wb") as file:
        for line in made:
            file.write(line.rstrip(b"\n") + b"\n")
            (post,) = formats.decode(line)
            assert isinstance(post, Post)
            hashtags.update(post.hashtags)
            count += 1
    return count, len(hashtags)


def many(posts: int) -> Crowd:
    """What the file of many hashtags is made from; nobody floods it, so that sizes differ in size alone."""
    return Crowd(posts, SPAN_S, BUSY_SHARE, floods=0, thin_posts=POSTS_A_TAG * (1 - BUSY_SHARE))


def live(posts: int) -> Crowd:
    """What live workers are given."""
    return Crowd(posts, LIVE_SPAN_S)


def _lines(wanted: Crowd) -> Iterator[bytes]:
    return map(formats.encode, crowd.posts(wanted))


def _one(posts: int) -> Iterator[bytes]:
    scale = posts / CASE_POSTS
    parts = 1 + int(scale > reference_case.MAX_SCALE)  # two cases under one hashtag where one is not enough
    cases = [reference_case.generate(seed, scale / parts) for seed in range(parts)]
    return cases[0] if parts == 1 else heapq.merge(*cases, key=_time_ms)


def _time_ms(line: bytes) -> int:
    (post,) = formats.decode(line)
    assert isinstance(post, Post)
    return post.time_ms
