"""A made stream: people talk under many hashtags, and one after the other is flooded by a small group.

All words are invented, so nothing in it is anybody's. It is for speed: how right Floodmark is, is measured on
other posts (benchmarks/quality.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.table import DAY_MS
from streams.posts import Post

T0_MS: Final = 1_469_563_200_000
"""26 July 2016, 20:00 UTC; a full hour."""

BUSY_TAGS: Final = 40
"""Hashtags that are assessed all the time, the k-th largest with 1/k of the largest one's talk."""

FLOODED_TAGS: Final = 20
"""The smaller half of them: each is flooded in its turn, beginning with the smallest."""

BUSY_SHARE: Final = 0.4
"""Share of the talk under them. The rest is spread so thin that its hashtags are held, but not assessed."""

THIN_POSTS: Final = 12
"""Posts of a thin hashtag on average: below the 30 from which one is assessed."""

SPEAKERS: Final = 50_000
FLOODERS: Final = 40
"""Accounts of each group; the last of them joins `JOINING_S` after the first."""

TEXTS: Final = 8
JOINING_S: Final = 280
ROUND_S: Final = 300
ROUNDS: Final = 4
PAIR_S: Final = 4
FIRST_FLOOD_S: Final = 60
FLOOD_EVERY_S: Final = 120

_SYLLABLES: Final = tuple(
    first + vowel + last for first in "bdfghklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "s")
)
"""As many as make posts about as unlike each other as people's are."""

_WORDS: Final = 3_000
_OWN_WORDS: Final = 12
"""Words that belong to one hashtag; three of them are in each of its posts."""

_CLIENTS: Final = ("Web App", "Phone One", "Phone Two", "Tablet", "Desk Deck")
_CLIENT_SHARES: Final = (0.25, 0.3, 0.25, 0.1, 0.1)
_TODAY: Final = T0_MS // DAY_MS
_OLDEST_DAYS: Final = 3_400
_BAND_DAYS: Final = 12
"""Days within which the accounts of a group were created."""


@dataclass(frozen=True)
class Crowd:
    """What is to be made.

    Attributes
    ----------
    posts : int
        In all.
    span_s : int
        Event time from the first to the last.
    busy_share, thin_posts : float
        See `BUSY_SHARE` and `THIN_POSTS`.
    floods : int
        How many hashtags are flooded where the time is long enough; see `FLOODED_TAGS`.
    """

    posts: int
    span_s: int
    busy_share: float = BUSY_SHARE
    seed: int = 0
    floods: int = FLOODED_TAGS
    thin_posts: float = THIN_POSTS

    @property
    def flooded(self) -> int:
        """How many hashtags are flooded, wholly or in part."""
        begun = -(-(self.span_s - FIRST_FLOOD_S) // FLOOD_EVERY_S)
        return min(self.floods, max(0, begun))


def posts(crowd: Crowd) -> list[Post]:
    """The posts by event time; as many as asked for, unless the floods alone are more."""
    flood = [post for number in range(crowd.flooded) for post in _flood(crowd, number)]
    talk = _talk(crowd, max(0, crowd.posts - len(flood)), first=len(flood))
    return sorted([*flood, *talk], key=lambda post: (post.time_ms, post.id))


def _flood(crowd: Crowd, number: int) -> Iterator[Post]:
    """A group that posts few texts in pairs, at the same distances, from one client and young accounts."""
    rng = np.random.default_rng((crowd.seed, 1, number))
    vocabulary = _vocabulary(rng)
    texts = [" ".join(rng.choice(vocabulary, 12)) for _ in range(TEXTS)]
    begun_s = FIRST_FLOOD_S + FLOOD_EVERY_S * number
    joined_s, turn = rng.uniform(0, JOINING_S, FLOODERS), rng.integers(0, TEXTS, FLOODERS)
    born = _TODAY - 170 + rng.integers(0, _BAND_DAYS, FLOODERS)
    each = ROUNDS * 2
    for account in range(FLOODERS):
        for at in range(each):
            round_, part = divmod(at, 2)
            at_s = begun_s + joined_s[account] + ROUND_S * round_ + (PAIR_S + rng.uniform(0, 0.9)) * part
            if at_s < crowd.span_s:
                yield _post(
                    (number * FLOODERS + account) * each + at,
                    SPEAKERS + number * FLOODERS + account,
                    at_s,
                    tag(BUSY_TAGS - 1 - number),
                    texts[(turn[account] + at) % TEXTS],
                    client="Flood Client",
                    account_created_ms=int(born[account]) * DAY_MS,
                )


def _talk(crowd: Crowd, count: int, first: int) -> Iterator[Post]:
    """People with words, times, clients and ages of their own."""
    rng = np.random.default_rng((crowd.seed, 2))
    vocabulary = _vocabulary(rng)
    tags = _tags(rng, count, crowd)
    own = rng.integers(0, _WORDS, (int(tags.max(initial=0)) + 1, _OWN_WORDS))
    about = own[tags[:, None], rng.integers(0, _OWN_WORDS, (count, 3))]
    words = np.concatenate((about, rng.integers(0, _WORDS, (count, 8))), axis=1)
    at_s = rng.uniform(0, crowd.span_s, count)
    account = rng.integers(0, SPEAKERS, count)
    client = rng.choice(len(_CLIENTS), SPEAKERS, p=_CLIENT_SHARES)
    born = rng.integers(_TODAY - _OLDEST_DAYS, _TODAY, SPEAKERS)
    for i, who in enumerate(account.tolist()):
        yield _post(
            first + i,
            who,
            float(at_s[i]),
            tag(int(tags[i])),
            " ".join(vocabulary[word] for word in words[i].tolist()),
            client=_CLIENTS[client[who]],
            account_created_ms=int(born[who]) * DAY_MS,
        )


def _tags(rng: np.random.Generator, count: int, crowd: Crowd) -> NDArray[np.int64]:
    """The number of each post's hashtag: the busy ones first, then the thin ones."""
    thin = max(1, round(count * (1 - crowd.busy_share) / crowd.thin_posts))
    weight = 1 / np.arange(1, BUSY_TAGS + 1)
    busy = rng.choice(BUSY_TAGS, count, p=weight / weight.sum())
    return np.where(rng.random(count) < crowd.busy_share, busy, BUSY_TAGS + rng.integers(0, thin, count))


def tag(number: int) -> str:
    """The name of a hashtag.

    >>> tag(3)
    'made3'
    """
    return f"made{number}"


def _vocabulary(rng: np.random.Generator) -> list[str]:
    picks = rng.integers(0, len(_SYLLABLES), (_WORDS, 3)).tolist()
    sizes = rng.integers(2, 4, _WORDS).tolist()
    return ["".join(_SYLLABLES[i] for i in some[:size]) for some, size in zip(picks, sizes, strict=True)]


def _post(number: int, account: int, at_s: float, hashtag: str, text: str, **known: Any) -> Post:
    return Post(
        id=str(10**17 + number),
        account_id=str(10**6 + account),
        handle=f"user{account}",
        time_ms=T0_MS + int(at_s * 1_000),
        text=f"{text} #{hashtag}",
        hashtags=(hashtag,),
        language="en",
        **known,
    )
