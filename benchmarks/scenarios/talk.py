"""Organic talk: what a hashtag looks like while nobody coordinates.

Most people post once and a few post all the time; a third of the posts are reposts, a few posts get most of
them; headlines go round through share buttons, jokes are copied, people scroll and repost five things within
a minute, news make everybody speak at once. Whoever looks for coordination has to stay quiet here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios import echo
from benchmarks.scenarios.drafts import Draft
from benchmarks.scenarios.words import Subject, sentences
from benchmarks.scenarios.world import OFFICIAL, Person, World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SPAN_S: Final = 7_200
MOST_POSTS: Final = 90
"""Of one account."""

EMOJI: Final = ("😂", "🔥", "❤️", "🙏", "👏", "😡", "🤔", "💔", "😭", "🎉", "👀", "💪")
_LANGUAGES: Final = {"latin": "en", "arabic": "ar"}


def talk(
    world: World,
    hashtags: Sequence[str],
    subjects: tuple[Subject, Subject],
    posts: int,
    *,
    start_s: float = 0.0,
    span_s: float = SPAN_S,
    people: Sequence[Person] | None = None,
) -> list[Draft]:
    """People who speak of a subject under a hashtag.

    Parameters
    ----------
    hashtags : the tag, and others that some of them add
    subjects : what it is about, in the first and in the second language
    people : who they are; new ordinary accounts, as many as it takes, if None
    """
    rng = world.rng
    each = _posts_each(rng, posts if people is None else len(people), posts, fill=people is not None)
    crowd = world.people(len(each)) if people is None else list(people[: len(each)])
    author = np.repeat(np.arange(len(each)), each)
    at_s = start_s + _times(rng, each, span_s)
    second = rng.random(len(each)) < world.second_share
    order = np.argsort(at_s, kind="stable")
    author, at_s = author[order], at_s[order]
    repost = float(rng.uniform(0.2, 0.4))
    chances = np.array([0.62, 0.26, 0.12, 0]) * (1 - repost) + np.array([0, 0, 0, repost])
    kind = rng.choice(4, len(at_s), p=chances)
    texts, links = _texts(world, subjects, second[author], hashtags)
    drafts = [
        Draft(
            at,
            crowd[who],
            text,
            _tags(text, hashtags),
            links=(link,) if link else (),
            language=_LANGUAGES[subjects[int(other)].tongue.script],
        )
        for at, who, text, link, other in zip(
            at_s.tolist(), author.tolist(), texts, links, second[author].tolist(), strict=True
        )
    ]
    _other_clients(world, drafts)
    echo.headlines(world, drafts, kind, subjects[0], hashtags[0])
    echo.repeaters(world, drafts, author, kind)
    echo.aim(world, drafts, author, kind, subjects[0], hashtags[0])
    return drafts


def _posts_each(rng: np.random.Generator, most: int, posts: int, *, fill: bool) -> Ints:
    """Posts of every account, heavy-tailed; at least half have one. They sum to `posts`."""
    tail = float(rng.uniform(1.5, 2.1))
    each = np.minimum(np.floor(rng.pareto(tail, most) + 1), MOST_POSTS).astype(np.int64)
    if fill:
        extra = posts - int(each.sum())
        if extra > 0:
            each += rng.multinomial(extra, each / each.sum())
    ends = np.cumsum(each)
    last = int(np.searchsorted(ends, posts))
    each = each[: last + 1]
    each[-1] -= max(0, int(each.sum()) - posts)
    return each


def _times(rng: np.random.Generator, each: Ints, span_s: float) -> Floats:
    """When they post: the first time as news come in, then after log-normal gaps; shape (posts,)."""
    count = len(each)
    first = rng.uniform(0, span_s, count)
    for news in rng.uniform(0, 0.9 * span_s, int(rng.integers(1, 5))).tolist():
        drawn = rng.random(count) < rng.uniform(0.03, 0.15)
        first[drawn] = news + rng.exponential(float(rng.uniform(240, 1_200)), int(drawn.sum()))
    gaps = np.where(
        rng.random(int(each.sum())) < 0.18,
        rng.lognormal(np.log(22), 0.8, int(each.sum())),  # who scrolls, reposts one thing after another
        rng.lognormal(np.log(500), 1.5, int(each.sum())),
    )
    starts = np.cumsum(each) - each
    gaps[starts] = first
    total = np.cumsum(gaps)
    elapsed = total - np.repeat(total[starts] - first, each)
    folded = elapsed % (2 * span_s)  # back from the end, so that gaps stay as they are
    out: Floats = np.floor(np.where(folded >= span_s, 2 * span_s - folded - 1e-3, folded) * 1_000) / 1_000
    return out


def _texts(
    world: World, subjects: tuple[Subject, Subject], second: NDArray[np.bool_], hashtags: Sequence[str]
) -> tuple[list[str], list[str]]:
    """What they write, and the links in it, empty without one; shape (posts,)."""
    rng, count = world.rng, len(second)
    flags = rng.random((count, 6))
    share = float(rng.uniform(0.25, 0.45))
    made = [
        iter(sentences(rng, of, int(n), words=10.5, spread=0.6, share=share))
        for of, n in zip(subjects, ((~second).sum(), second.sum()), strict=True)
    ]
    emoji = rng.integers(0, len(EMOJI), count).tolist()
    marks = rng.choice(["", "", "", ".", "!", "!!", "?", "…"], count).tolist()
    numbers = rng.integers(0, 2**31, (count, 2)).tolist()
    domains = subjects[0].words
    texts, links = [], []
    for i, (other, chance) in enumerate(zip(second.tolist(), flags.tolist(), strict=True)):
        body = next(made[other])
        if chance[0] < 0.08:
            body = " ".join(body.split()[:2])
        if chance[1] < 0.03:
            body = body.upper()
        body += marks[i]
        if chance[2] < 0.18:
            body += " " + EMOJI[emoji[i]] * (1 + numbers[i][0] % 3)
        tags = "#" + hashtags[0]
        if len(hashtags) > 1 and chance[3] < 0.2:
            tags += " #" + hashtags[1 + numbers[i][1] % (len(hashtags) - 1)]
        body = f"{tags} {body}" if chance[4] < 0.25 else f"{body} {tags}"
        link = ""
        if chance[5] < 0.12:
            link = f"https://{domains[numbers[i][0] % 30]}.example/{numbers[i][1] % 90_000}"
            body += f" https://t.co/{numbers[i][0]:x}"
        texts.append(body)
        links.append(link)
    return texts, links


def _tags(text: str, hashtags: Sequence[str]) -> tuple[str, ...]:
    return tuple(tag for tag in hashtags if f"#{tag}" in text)


def _other_clients(world: World, drafts: list[Draft]) -> None:
    """Some people have more than one device."""
    strays = np.flatnonzero(world.rng.random(len(drafts)) < 0.07).tolist()
    for at, client in zip(strays, world.client(len(strays)), strict=True):
        drafts[at].client = client


def apps(world: World) -> list[str]:
    """The platform's own clients in this world."""
    return world.clients[:OFFICIAL]


def tag_of(world: World, about: Subject) -> str:
    """A hashtag that says what a conversation is about."""
    first, second, number = world.rng.integers(0, 12, 3).tolist()
    return f"{about.words[first]}_{about.words[12 + second]}{number if number > 8 else ''}".lower()
