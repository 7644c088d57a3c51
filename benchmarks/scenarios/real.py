"""Real files: campaigns and conversations as they are, pressed together, and one laid over the other.

The files are not part of the project; see `folder`. Whatever is moved or pressed is a construction, and the
page says so.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks.scenarios.scenario import Coordinated, Scenario
from streams import archive
from streams.posts import MINUTE_MS, Post

ISLAM_KILLS: Final = "campaigns/ira_islamkills_2016-03-22.csv"
OSCARS: Final = "campaigns/ira_oscarhasnocolor_2016-02-29.csv"
VACCINATION: Final = "organic/vaccination_2021.jsonl"
AIRLINE: Final = "organic/airline_2015.csv"
OPERATOR: Final = "operator"
WINDOW_MS: Final = 7_200_000
MOST_POSTS: Final = 12_000
_DEFAULT: Final = Path(__file__).parents[3] / "shared" / "cases"


def folder() -> Path | None:
    """Where the real files are: FLOODMARK_CASES, or beside the project; None if they are not there."""
    at = Path(os.environ.get("FLOODMARK_CASES", _DEFAULT))
    return at if at.is_dir() else None


@cache
def posts_of(file: str) -> tuple[Post, ...]:
    """The posts of one file, in order of time."""
    at = folder()
    if at is None:
        raise FileNotFoundError(
            f"the real cases are not here; set FLOODMARK_CASES to their folder for {file}"
        )
    posts = [post for record in archive.read([str(at / file)]) for post in record.posts]
    return tuple(sorted((p for p in posts if isinstance(p, Post)), key=lambda p: (p.time_ms, p.id)))


def campaign(file: str, hashtags: tuple[str, ...], name: str, seed: int) -> Scenario:
    """A campaign as published: every account is the operator's, so whatever has a hashtag counts as found."""
    posts = posts_of(file)
    return _flooded(name, posts, [post for post in posts if post.hashtags], hashtags)


def conversation(file: str, pressed: int, name: str, seed: int) -> Scenario:
    """An organic conversation; if `pressed` is above 1 under one hashtag and that many times as fast."""
    posts = posts_of(file)
    if pressed == 1:
        return Scenario(name, posts, {}, ())
    first_ms = posts[0].time_ms
    moved = [
        msgspec.structs.replace(
            post, hashtags=("all",), time_ms=first_ms + (post.time_ms - first_ms) // pressed
        )
        for post in posts
    ]
    return Scenario(name, tuple(moved), {}, ("all",))


def overlaid(file: str, hashtag: str, under: str, share: int, name: str, seed: int) -> Scenario:
    """The busiest two hours of a campaign's hashtag over an organic conversation moved under it.

    Under that one only: the campaign's posts lose their other hashtags, where nobody else would speak.

    Parameters
    ----------
    share : int
        Of the posts that are the campaign's, in per cent. Where there is too little talk or too much in all,
        fewer of its accounts take part, each with all its posts; the seed says which.
    """
    tagged = [
        msgspec.structs.replace(post, hashtags=(hashtag,))
        for post in posts_of(file)
        if hashtag in post.hashtags
    ]
    start_ms = _busiest(np.array([post.time_ms for post in tagged]))
    flood = [post for post in tagged if start_ms <= post.time_ms < start_ms + WINDOW_MS]
    talk = posts_of(under)
    most = min(MOST_POSTS * share // 100, len(talk) * share // (100 - share))
    taken = _some_accounts(flood, most, seed)
    wanted = min(len(talk), round(len(taken) * (100 / share - 1)))
    moved = _moved(talk[:wanted], start_ms, hashtag)
    posts = sorted([*taken, *moved], key=lambda post: (post.time_ms, post.id))
    return _flooded(name, tuple(posts), taken, (hashtag,))


def _flooded(name: str, posts: tuple[Post, ...], theirs: list[Post], hashtags: tuple[str, ...]) -> Scenario:
    ids = frozenset(post.id for post in theirs)
    accounts = frozenset(post.account_id for post in theirs)
    first_ms = min(post.time_ms for post in theirs if set(hashtags) & set(post.hashtags))
    return Scenario(name, posts, {OPERATOR: Coordinated(ids, accounts)}, hashtags, first_ms)


def _busiest(times_ms: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    """Start of the two hours with most posts, at a full half hour."""
    starts = np.arange(times_ms.min() // 1_800_000 * 1_800_000, times_ms.max(), 1_800_000)
    counts = [((times_ms >= at) & (times_ms < at + WINDOW_MS)).sum() for at in starts.tolist()]
    return int(starts[int(np.argmax(counts))])


def _some_accounts(posts: list[Post], most: int, seed: int) -> list[Post]:
    accounts = sorted({post.account_id for post in posts})
    taken: list[Post] = []
    for which in np.random.default_rng(seed).permutation(len(accounts)).tolist():
        mine = [post for post in posts if post.account_id == accounts[which]]
        if len(taken) + len(mine) <= most:
            taken += mine
    return taken


def _moved(talk: tuple[Post, ...], start_ms: int, hashtag: str) -> list[Post]:
    """A conversation stretched over the window, under the hashtag; its posts keep their order."""
    first_ms, span_ms = talk[0].time_ms, max(1, talk[-1].time_ms - talk[0].time_ms)
    out = []
    for post in talk:
        time_ms = start_ms + (post.time_ms - first_ms) * (WINDOW_MS - MINUTE_MS) // span_ms
        out.append(msgspec.structs.replace(post, hashtags=(hashtag,), time_ms=time_ms))
    return out
