"""The reference case, rebuilt: a seeded generator of X v1.1 statuses with the truth beside them.

On 26 July 2016 a hashtag about a loan carried 11,847 posts in two hours, 10,673 of them from 1,711
coordinated accounts repeating thirty texts about football. The original posts are not public as data; this
module makes posts with the published figures, so that anyone can run and measure the whole chain.
docs/reference-case.md says which figures are published and which are assumed.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.clock import iso
from streams.reference_texts import (
    BIOS,
    EMOJI,
    EXTRA_HASHTAGS,
    FAMILY_NAMES,
    GIVEN_NAMES,
    HASHTAG,
    NEWS_SITES,
    PUBLISHED_VOLUMES,
    REFERENCE_TEXTS,
    complain,
    compose,
    headline,
)

Ints = NDArray[np.int64]
Json = dict[str, object]

# Published figures.
COORDINATED_POSTS: Final = 10_673
COORDINATED_ACCOUNTS: Final = 1_711
ORGANIC_POSTS: Final = 11_847 - COORDINATED_POSTS
WAVE_ACCOUNTS: Final = 994
"""Coordinated accounts created on the eighteen days from 2 to 19 February 2016."""
ROUND_S: Final = 1_280
"""Seconds between an account's last post of one round and its first of the next: 21 min 20 s."""
SPAN_S: Final = 2 * 3_600
FLOOD_CLIENT: Final = '<a href="http://twitter.com" rel="nofollow">Twitter Web Client</a>'

# Assumptions; docs/reference-case.md gives the reason of each.
START_S: Final = 1_469_561_400
"""2016-07-26T19:30:00Z; the published times carry no zone."""
FLOOD_AFTER_S: Final = 600
OPERATOR_ACCOUNTS: Final = 80
"""Accounts worked through by one operating machine in a round: 16 s each."""
ROUNDS: Final = 5
SHORT_GAP_S: Final = ((4, 0.52), (5, 0.36), (3, 0.04), (6, 0.04), (7, 0.03), (8, 0.01))
LONG_JITTER_S: Final = ((0, 0.4), (-1, 0.2), (1, 0.2), (-2, 0.1), (2, 0.1))
FEB_2, FEB_20, JULY_25 = 1_454_371_200, 1_455_926_400, 1_469_404_800
OTHER_WAVES: Final = (
    (1_447_113_600, 1_448_323_200, 0.25),  # 10 to 23 November 2015
    (1_456_790_400, 1_458_345_600, 0.35),  # 1 to 18 March 2016
    (1_459_468_800, 1_464_739_200, 0.20),  # April and May 2016
    (1_325_376_000, 1_446_336_000, 0.20),  # 2012 to October 2015
)
"""Creation spans of the other coordinated accounts (first second, end, share of them)."""

TWITTER_OPENED_S: Final = 1_172_707_200  # March 2007
SNOWFLAKE_USERS_S: Final = 1_454_284_800  # from about February 2016 account ids are time-ordered 64-bit ids
SNOWFLAKE_EPOCH_MS: Final = 1_288_834_974_657
CLIENTS: Final = (
    ('<a href="http://twitter.com/download/iphone" rel="nofollow">Twitter for iPhone</a>', 0.41),
    ('<a href="http://twitter.com/download/android" rel="nofollow">Twitter for Android</a>', 0.33),
    (FLOOD_CLIENT, 0.11),
    ('<a href="http://twitter.com/#!/download/ipad" rel="nofollow">Twitter for iPad</a>', 0.06),
    ('<a href="https://mobile.twitter.com" rel="nofollow">Mobile Web (M5)</a>', 0.04),
    ('<a href="https://about.twitter.com/products/tweetdeck" rel="nofollow">TweetDeck</a>', 0.04),
    ('<a href="http://www.hootsuite.com" rel="nofollow">Hootsuite</a>', 0.01),
)
MIN_SCALE, MAX_SCALE = 0.05, 64.0
MIN_SHARE, MAX_SHARE = 0.05, 0.9
MAX_ORGANIC: Final = 250_000
"""Their plan is held in memory, about a kilobyte each."""
TEXT_LIMIT: Final = 140

ORIGINAL, REPLY, QUOTE, REPOST = range(4)


class CaseError(ValueError):
    """A seed, scale or share outside what the generator can make."""


class Truth(NamedTuple):
    """Whether a post is part of the flood; `text_number` counts from 1 and is None outside it."""

    post_id: str
    account_id: str
    coordinated: bool
    text_number: int | None


@dataclass(frozen=True, slots=True)
class Case:
    """All posts of one rebuilt case in time order, as JSON lines, and the truth of each."""

    posts: tuple[bytes, ...]
    truth: tuple[Truth, ...]


@dataclass(frozen=True, slots=True)
class _Accounts:
    """Columns of accounts; every sequence has one entry an account."""

    ids: list[int]
    handles: list[str]
    names: list[str]
    created_s: list[int]
    followers: list[int]
    following: list[int]
    statuses: list[int]
    bios: list[str]
    banners: list[bool]
    defaults: list[bool]
    verified: list[bool]
    clients: list[str]


@dataclass(frozen=True, slots=True)
class _Flood:
    """The coordinated posts in time order."""

    accounts: _Accounts
    account: Ints
    time_ms: Ints
    number: Ints  # of the text, from 1


@dataclass(frozen=True, slots=True)
class _Talk:
    """The organic posts in time order. `target` is a place in the talk, or ~place in the flood."""

    accounts: _Accounts
    account: Ints
    time_ms: Ints
    kind: Ints
    target: Ints
    bodies: list[str]
    links: list[str]  # expanded URL, empty without one


def volumes(total: int = COORDINATED_POSTS) -> tuple[int, ...]:
    """Posts of each of the thirty texts: the published volumes brought to `total` by largest remainder.

    >>> sum(volumes()), max(volumes())
    (10673, 792)
    """
    published = sum(PUBLISHED_VOLUMES)
    whole = [volume * total // published for volume in PUBLISHED_VOLUMES]
    by_remainder = sorted(range(len(whole)), key=lambda i: (-(PUBLISHED_VOLUMES[i] * total % published), i))
    for i in by_remainder[: total - sum(whole)]:
        whole[i] += 1
    return tuple(whole)


def generate(seed: int = 0, scale: float = 1.0, share: float | None = None) -> Iterator[bytes]:
    """The posts as X v1.1 JSON, one a line, newline included, in time order.

    Parameters
    ----------
    seed : int, at least 0
        The same seed, scale and share give the same bytes.
    scale : float, 0.05 to 64
        Multiplies accounts and posts; the two hours and the thirty texts stay.
    share : float, 0.05 to 0.9, optional
        Share of the posts that is coordinated: the organic part grows or shrinks, the flood stays as it is.

    Raises
    ------
    CaseError
        For a value out of range, at the call.
    """
    return (line for line, _ in _labelled(seed, scale, share))


def build(seed: int = 0, scale: float = 1.0, share: float | None = None) -> Case:
    """The whole case in memory; parameters and errors as for `generate`."""
    pairs = list(_labelled(seed, scale, share))
    return Case(tuple(line for line, _ in pairs), tuple(truth for _, truth in pairs))


def write(
    folder: Path | str,
    seed: int = 0,
    scale: float = 1.0,
    share: float | None = None,
    name: str = "reference_case",
) -> tuple[Path, Path]:
    """Write ``<name>.jsonl`` and ``<name>.truth.csv`` into `folder`, made if absent; return both paths.

    The truth has one row a post, in the order of the posts: post_id, account_id, coordinated (0 or 1),
    text_number (1 to 30, empty outside the flood). Parameters and errors are those of `generate`.
    """
    labelled = _labelled(seed, scale, share)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    posts, truth = folder / f"{name}.jsonl", folder / f"{name}.truth.csv"
    with posts.open("wb") as lines, truth.open("w", encoding="utf-8", newline="") as table:
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(Truth._fields)
        for line, label in labelled:
            lines.write(line)
            rows.writerow((label.post_id, label.account_id, int(label.coordinated), label.text_number))
    return posts, truth


def _labelled(seed: int, scale: float, share: float | None) -> Iterator[tuple[bytes, Truth]]:
    """Check the parameters, plan both parts, and hand back the iterator that renders them."""
    if seed < 0:
        raise CaseError(f"seed is {seed}; give 0 or a positive whole number")
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise CaseError(f"scale is {scale:g}; give a number from {MIN_SCALE:g} to {MAX_SCALE:g}")
    if share is not None and not MIN_SHARE <= share <= MAX_SHARE:
        raise CaseError(f"share is {share:g}; give {MIN_SHARE:g} to {MAX_SHARE:g}, or leave it out")
    coordinated, organic = round(COORDINATED_POSTS * scale), round(ORGANIC_POSTS * scale)
    if share is not None:
        organic = round(coordinated * (1 / share - 1))
    if organic > MAX_ORGANIC:
        raise CaseError(
            f"scale {scale:g} with share {share} makes {organic:,} organic posts;"
            f" lower the scale or raise the share to stay within {MAX_ORGANIC:,}"
        )
    # Two generators: diluting the flood must not change it.
    flood = _plan_flood(np.random.default_rng((seed, 1)), scale)
    talk = _plan_talk(np.random.default_rng((seed, 2)), organic, scale, flood)
    return _Renderer(flood, talk).lines()


# --- accounts -----------------------------------------------------------------------------------------


def _pick(rng: np.random.Generator, table: Sequence[tuple[int, float]], size: int) -> Ints:
    values, weights = zip(*table, strict=True)
    shares = np.asarray(weights) / sum(weights)
    return np.asarray(values, np.int64)[rng.choice(len(values), size, p=shares)]


def _increasing(values: Ints) -> Ints:
    """The least strictly increasing sequence that is nowhere below sorted `values`."""
    steps = np.arange(len(values))
    out: Ints = np.maximum.accumulate(values - steps) + steps
    return out


def _account_ids(rng: np.random.Generator, created_s: Ints, taken: set[int]) -> list[int]:
    """Ids not in `taken` that grow with the creation time: counted until early 2016, time-ordered then."""
    age = (created_s - TWITTER_OPENED_S) / (SNOWFLAKE_USERS_S - TWITTER_OPENED_S)
    counted = 1_000_000 + (4_800_000_000 * np.clip(age, 0, 1) ** 3).astype(np.int64)
    ordered = (created_s * 1_000 + rng.integers(0, 1_000, len(created_s)) - SNOWFLAKE_EPOCH_MS) << 22
    ids = []
    for raw in np.where(created_s < SNOWFLAKE_USERS_S, counted, ordered).tolist():
        account_id = int(raw)
        while account_id in taken:
            account_id += 1
        taken.add(account_id)
        ids.append(account_id)
    return ids


def _names(
    rng: np.random.Generator, count: int, joints: Sequence[str], taken: set[str]
) -> list[tuple[str, str]]:
    """(Handle, displayed name) sorted by handle, no handle in `taken`; a handle has at most 15 characters."""
    taken = set(taken)
    out = []
    for given, family, style, number in rng.integers(0, 2**31, (count, 4)).tolist():
        first, shown_first = GIVEN_NAMES[given % len(GIVEN_NAMES)]
        last, shown_last = FAMILY_NAMES[family % len(FAMILY_NAMES)]
        base = (first + joints[style % len(joints)] + last)[:12]
        handle = base
        while handle in taken:
            handle = f"{base}{number % 1_000}"
            number += 1
        taken.add(handle)
        out.append((handle, shown_first if style % 5 == 1 else f"{shown_first} {shown_last}"))
    return sorted(out)


def _flood_accounts(rng: np.random.Generator, count: int, scale: float) -> _Accounts:
    """Accounts in alphabetical order: born in waves, narrow band of followees, empty profiles."""
    wave = round(WAVE_ACCOUNTS * scale)
    born = np.empty(count, np.int64)
    born[:wave] = rng.integers(FEB_2, FEB_20, wave)
    which = rng.choice(len(OTHER_WAVES), count - wave, p=[part for _, _, part in OTHER_WAVES])
    first, end = (np.array([span[i] for span in OTHER_WAVES], np.int64)[which] for i in (0, 1))
    born[wave:] = rng.integers(first, end)
    born = rng.permutation(born)
    following = rng.integers(25, 80, count)
    outside = rng.random(count) < 0.03
    following[outside] = rng.lognormal(5.2, 0.9, int(outside.sum())).astype(np.int64) + 80
    age_days = (START_S - born) / 86_400
    names = _names(rng, count, ("", "el"), set())
    bio = rng.random(count) < 0.12
    return _Accounts(
        ids=_account_ids(rng, born, set()),
        handles=[handle for handle, _ in names],
        names=[name for _, name in names],
        created_s=born.tolist(),
        followers=rng.lognormal(2.0, 0.9, count).astype(np.int64).tolist(),
        following=following.tolist(),
        # One programme posts for all of them at one rate, so the counts grow with age in a straight line.
        statuses=np.maximum(3, 1.1 * age_days + rng.normal(0, 8, count)).astype(np.int64).tolist(),
        bios=[BIOS[i % len(BIOS)] if has else "" for i, has in enumerate(bio.tolist())],
        banners=(rng.random(count) < 0.08).tolist(),
        defaults=(rng.random(count) < 0.9).tolist(),
        verified=[False] * count,
        clients=[FLOOD_CLIENT] * count,
    )


def _talk_accounts(rng: np.random.Generator, count: int, others: _Accounts) -> _Accounts:
    """Ordinary accounts, none of them in `others`: sign-ups over nine years, log-normal connections."""
    position = np.where(rng.random(count) < 0.88, rng.beta(2.4, 2.2, count), rng.uniform(0.83, 1, count))
    born = TWITTER_OPENED_S + (position * (JULY_25 - TWITTER_OPENED_S)).astype(np.int64)
    followers = rng.lognormal(5.6, 1.9, count).astype(np.int64)
    age_days = (START_S - born) / 86_400
    names = _names(rng, count, ("", "_", "el", "_al"), set(others.handles))
    order = rng.permutation(count).tolist()
    bio = (rng.random(count) < 0.82).tolist()
    clients = rng.choice(len(CLIENTS), count, p=[part for _, part in CLIENTS]).tolist()
    return _Accounts(
        ids=_account_ids(rng, born, set(others.ids)),
        handles=[names[i][0] for i in order],
        names=[names[i][1] for i in order],
        created_s=born.tolist(),
        followers=followers.tolist(),
        following=rng.lognormal(5.7, 1.1, count).astype(np.int64).tolist(),
        statuses=(1 + age_days * rng.lognormal(0.9, 1.5, count)).astype(np.int64).tolist(),
        bios=[BIOS[i % len(BIOS)] if has else "" for i, has in zip(order, bio, strict=True)],
        banners=(rng.random(count) < 0.7).tolist(),
        defaults=(rng.random(count) < 0.35).tolist(),
        verified=((followers > 50_000) & (rng.random(count) < 0.4)).tolist(),
        clients=[CLIENTS[i][0] for i in clients],
    )


# --- the flood ----------------------------------------------------------------------------------------


def _burst_sizes(rng: np.random.Generator, accounts: int, posts: int) -> NDArray[np.int64]:
    """Pairs and triples of each account's two or three rounds, shape (accounts, 3), that sum to `posts`."""
    sizes = rng.integers(2, 4, (accounts, 3))
    sizes[rng.random(accounts) < 0.5, 2] = 0
    missing = posts - int(sizes.sum())
    flat = sizes.reshape(-1)
    turn = np.flatnonzero(flat == (2 if missing > 0 else 3))
    flat[rng.choice(turn, abs(missing), replace=False)] += 1 if missing > 0 else -1
    return sizes


def _playlist(rng: np.random.Generator, posts: int) -> Ints:
    """Text numbers as the operators' shared list hands them out; shape (posts,).

    The list is a circle on which each text owns as many places as it has posts, walked in equal strides. A
    stride prime to the circle visits every place once, so the volumes are exact; a stride as long as the
    largest text passes each text at most once a lap of about thirteen, so no account repeats itself.
    """
    counts = volumes(posts)
    order = rng.permutation(len(counts))
    circle = np.repeat(order + 1, np.asarray(counts)[order])
    stride = max(counts)
    while math.gcd(stride, posts) != 1:
        stride += 1
    out: Ints = circle[(np.arange(posts) * stride) % posts].astype(np.int64)
    return out


def _plan_flood(rng: np.random.Generator, scale: float) -> _Flood:
    count, posts = round(COORDINATED_ACCOUNTS * scale), round(COORDINATED_POSTS * scale)
    accounts = _flood_accounts(rng, count, scale)
    sizes = _burst_sizes(rng, count, posts)
    lengths = sizes.sum(axis=1)
    account = np.repeat(np.arange(count), lengths)
    first = np.cumsum(lengths) - lengths

    gap = _pick(rng, SHORT_GAP_S, posts)
    starts = (first[:, None] + np.cumsum(sizes, axis=1) - sizes)[:, 1:]
    rounds = starts[sizes[:, 1:] > 0]
    gap[rounds] = ROUND_S + _pick(rng, LONG_JITTER_S, len(rounds))
    # Each machine works through its stretch of the alphabet; accounts join in different rounds.
    machine, place = np.divmod(np.arange(count), OPERATOR_ACCOUNTS)
    late = rng.integers(0, 40, machine[-1] + 1)[machine]
    joined = rng.integers(0, ROUNDS + 1 - (sizes > 0).sum(axis=1))
    slot = ROUND_S // OPERATOR_ACCOUNTS
    gap[first] = FLOOD_AFTER_S + late + place * slot + joined * ROUND_S + rng.integers(-1, 2, count) + 1
    elapsed = np.cumsum(gap)
    elapsed -= np.repeat(elapsed[first] - gap[first], lengths)

    time_ms = (START_S + elapsed) * 1_000 + rng.integers(0, 1_000, posts)
    order = np.argsort(time_ms, kind="stable")
    return _Flood(accounts, account[order], time_ms[order], _playlist(rng, posts)[order])


# --- the organic talk ---------------------------------------------------------------------------------


def _talk_schedule(rng: np.random.Generator, posts: int, accounts: int) -> tuple[Ints, Ints]:
    """Author and time in ms of every organic post, in time order.

    The first posts of authors come at a rate that decays over the two hours; an author's further posts
    follow at log-normal gaps. A few authors write much more than the rest.
    """
    weight = rng.lognormal(0, 1.4, accounts)
    extra = rng.multinomial(posts - accounts, weight / weight.sum())
    at = rng.random(accounts)
    tail = math.exp(-SPAN_S / 5_400)
    elapsed_first = -5_400 * np.log(1 - at * (1 - tail))
    author, elapsed = [np.arange(accounts)], [elapsed_first]
    for who in np.flatnonzero(extra):
        gaps = np.cumsum(rng.lognormal(5.6, 1.3, extra[who]) + 5)
        room = SPAN_S - 1 - elapsed_first[who]
        if gaps[-1] > room:
            gaps *= room / gaps[-1] * rng.uniform(0.5, 1)
        author.append(np.full(extra[who], who))
        elapsed.append(elapsed_first[who] + gaps)
    time_ms = START_S * 1_000 + (np.concatenate(elapsed) * 1_000).astype(np.int64)
    order = np.argsort(time_ms, kind="stable")
    return np.concatenate(author)[order], time_ms[order]


def _take(
    rng: np.random.Generator, free: NDArray[np.bool_], author: Ints, want: int, span: slice
) -> list[int]:
    """Claim up to `want` free places of `span`, each of another author; marks them as taken."""
    places: list[int] = []
    seen: set[int] = set()
    for place in rng.permutation(np.arange(*span.indices(len(free)))).tolist():
        if len(places) == want:
            break
        if free[place] and int(author[place]) not in seen:
            places.append(place)
            seen.add(int(author[place]))
            free[place] = False
    return sorted(places)


def _bodies(rng: np.random.Generator, count: int) -> tuple[list[str], list[str]]:
    """Sentences with the hashtag and, now and then, another hashtag, an emoji or a link."""
    bodies, links = [], []
    for picks in rng.integers(0, 2**31, (count, 18)).tolist():
        body = compose(picks, english=picks[10] % 40 == 0)
        if picks[11] % 4 == 0:
            body += " " + EMOJI[picks[12] % len(EMOJI)]
        tags = f"#{HASHTAG}"
        if picks[13] % 8 == 0:
            tags += " #" + EXTRA_HASHTAGS[picks[14] % len(EXTRA_HASHTAGS)]
        bodies.append(f"{tags} {body}" if picks[15] % 4 == 0 else f"{body} {tags}")
        site = NEWS_SITES[picks[16] % len(NEWS_SITES)]
        links.append(f"https://www.{site}.example/story/{picks[17] % 100_000}" if picks[17] % 14 == 0 else "")
    return bodies, links


def _targets(rng: np.random.Generator, author: Ints, time_ms: Ints, kind: Ints) -> Ints:
    """Earlier post each reply, quote and repost is about, heavy-tailed; alters `kind` where none fits."""
    source = np.flatnonzero(kind != REPOST)
    reach = np.cumsum(rng.pareto(1.4, len(source)) + 0.05)
    target = np.full(len(kind), -1, np.int64)
    seen: set[tuple[int, int]] = set()
    before = np.searchsorted(time_ms[source], time_ms - 8_000)
    draw = rng.random(len(kind))
    for place in np.flatnonzero(kind != ORIGINAL).tolist():
        known = int(before[place])
        found = -1
        if known:
            found = int(source[np.searchsorted(reach, draw[place] * reach[known - 1])])
        pair = (int(author[place]), found)
        if found < 0 or author[found] == author[place] or pair in seen:
            kind[place] = ORIGINAL
        else:
            seen.add(pair)
            target[place] = found
    return target


def _plan_talk(rng: np.random.Generator, posts: int, scale: float, flood: _Flood) -> _Talk:
    count = max(20, round(0.68 * posts))
    author, time_ms = _talk_schedule(rng, posts, count)
    kind = rng.choice(4, posts, p=(0.42, 0.13, 0.08, 0.37)).astype(np.int64)
    kind[:3] = ORIGINAL
    bodies, links = _bodies(rng, posts)

    free = np.ones(posts, bool)
    well_in = int(np.searchsorted(time_ms, flood.time_ms[0] + 20 * 60_000))
    complaints = _take(rng, free, author, max(1, round(6 * scale)), slice(well_in, None))
    picks = rng.integers(0, 2**31, (len(complaints), 4)).tolist()
    for place, pick in zip(complaints, picks, strict=True):
        kind[place], bodies[place], links[place] = ORIGINAL, f"{complain(pick)} #{HASHTAG}", ""
    taken_in = _take(rng, free, author, max(1, round(int(rng.integers(3, 7)) * scale)), slice(well_in, None))
    for number in range(max(1, round(2 * posts / ORGANIC_POSTS))):
        _share_headline(rng, number, author, free, kind, bodies, links)

    kind[taken_in] = REPOST
    target = _targets(rng, author, time_ms, kind)
    for place in taken_in:
        ahead = int(np.searchsorted(flood.time_ms, time_ms[place] - 10_000))
        kind[place], target[place] = REPOST, ~(ahead - 1 - int(rng.integers(0, min(ahead, 400))))
    return _Talk(_talk_accounts(rng, count, flood.accounts), author, time_ms, kind, target, bodies, links)


def _share_headline(
    rng: np.random.Generator,
    number: int,
    author: Ints,
    free: NDArray[np.bool_],
    kind: Ints,
    bodies: list[str],
    links: list[str],
) -> None:
    """Let 5 to 12 accounts send one headline, once each, by a news site's share button."""
    site = NEWS_SITES[int(rng.integers(len(NEWS_SITES)))]
    body = headline(number)
    begin = int(rng.integers(0, max(1, len(free) - 200)))
    for place in _take(rng, free, author, int(rng.integers(5, 13)), slice(begin, begin + 200)):
        kind[place], bodies[place] = ORIGINAL, f"{body} #{HASHTAG}"
        links[place] = f"https://www.{site}.example/economy/{2_600_000 + number}?ref=share"


# --- rendering ----------------------------------------------------------------------------------------

_TAG = re.compile(r"(?<!\w)#(\w+)(?![\w…])")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@lru_cache(maxsize=16_384)
def _created_at(time_s: int) -> str:
    date, clock = iso(time_s * 1_000)[:-1].split("T")
    year, month, day = date.split("-")
    weekday = _DAYS[(time_s // 86_400 + 3) % 7]  # day 0 was a Thursday
    return f"{weekday} {_MONTHS[int(month) - 1]} {day} {clock} +0000 {year}"


@lru_cache(maxsize=4_096)
def _hashtags(text: str) -> list[Json]:
    return [{"text": m[1], "indices": [m.start(), m.end()]} for m in _TAG.finditer(text)]


def _short_link(key: int) -> str:
    """A link of the length X gives to every link, different for every key."""
    digits = ""
    for _ in range(10):
        key, digit = divmod(key, 36)
        digits += _BASE36[digit]
    return f"https://t.co/{digits}"


def _entities(text: str, mention: Json | None = None, url: tuple[str, str] | None = None) -> Json:
    """Entities of what is visible in `text`."""
    mentions, urls = [], []
    if mention is not None and (at := text.find(f"@{mention['screen_name']}")) >= 0:
        end = at + 1 + len(str(mention["screen_name"]))
        mentions.append({**mention, "indices": [at, end]})
    if url is not None and (at := text.find(url[0])) >= 0:
        shown = url[1].partition("://")[2][:30]
        urls.append(
            {"url": url[0], "expanded_url": url[1], "display_url": shown, "indices": [at, at + len(url[0])]}
        )
    return {"hashtags": _hashtags(text), "urls": urls, "user_mentions": mentions, "symbols": []}


class _Renderer:
    """Merges both plans in time order and renders them; holds the counts that grow as posts appear."""

    def __init__(self, flood: _Flood, talk: _Talk) -> None:
        self._flood, self._talk = flood, talk
        size = len(flood.time_ms)
        time_ms = np.concatenate((flood.time_ms, talk.time_ms))
        self._order = np.argsort(time_ms, kind="stable")
        ids = np.empty_like(time_ms)
        # Sequence numbers below the millisecond: a bump over a shared millisecond never disturbs the order.
        ids[self._order] = _increasing((time_ms[self._order] - SNOWFLAKE_EPOCH_MS) << 22)
        self._ids: list[int] = ids.tolist()
        self._time_s: list[int] = (time_ms // 1_000).tolist()
        self._size = size
        self._flood_account: list[int] = flood.account.tolist()
        self._talk_account: list[int] = talk.account.tolist()
        self._number: list[int] = flood.number.tolist()
        self._kind: list[int] = talk.kind.tolist()
        self._target: list[int] = [size + t if t >= 0 else ~t for t in talk.target.tolist()]
        self._texts = [f"{text} #{HASHTAG}" for text in REFERENCE_TEXTS]
        self._sent: Counter[tuple[bool, int]] = Counter()
        self._reposted: Counter[int] = Counter()

    def lines(self) -> Iterator[tuple[bytes, Truth]]:
        """Every post as a line of JSON with its truth, in time order."""
        encode = msgspec.json.Encoder().encode
        for place in self._order.tolist():
            coordinated = place < self._size
            accounts, account = self._author(place)
            if not coordinated and self._kind[place - self._size] == REPOST:
                self._reposted[self._target[place - self._size]] += 1
            self._sent[coordinated, account] += 1
            number = self._number[place] if coordinated else None
            truth = Truth(str(self._ids[place]), str(accounts.ids[account]), coordinated, number)
            yield encode(self._status(place)) + b"\n", truth

    def _author(self, place: int) -> tuple[_Accounts, int]:
        if place < self._size:
            return self._flood.accounts, self._flood_account[place]
        return self._talk.accounts, self._talk_account[place - self._size]

    def _status(self, place: int) -> Json:
        if place < self._size:
            text = self._texts[self._number[place] - 1]
            return self._base(place, text, _entities(text))
        kind = self._kind[place - self._size]
        if kind == REPOST:
            return self._repost(place)
        return self._written(place, kind)

    def _written(self, place: int, kind: int) -> Json:
        """An original, a reply or a quote."""
        text, mention, extra = self._talk.bodies[place - self._size], None, {}
        expanded = self._talk.links[place - self._size]
        if kind != ORIGINAL:
            target = self._target[place - self._size]
            handle = self._mention(target)["screen_name"]
            if kind == REPLY:
                mention, text = self._mention(target), f"@{handle} {text}"
                extra = self._answered(target)
            else:
                expanded = f"https://twitter.com/{handle}/status/{self._ids[target]}"
                extra = self._quoted(target)
        url = (_short_link(self._ids[place] >> 10), expanded) if expanded else None
        if url:
            text = f"{text} {url[0]}"
        if len(text) <= TEXT_LIMIT:
            return self._base(place, text, _entities(text, mention, url)) | extra
        own = (_short_link(self._ids[place] >> 8), f"https://twitter.com/i/web/status/{self._ids[place]}")
        cut = f"{text[: TEXT_LIMIT - len(own[0]) - 2].rsplit(' ', 1)[0]}… {own[0]}"
        full: Json = {
            "full_text": text,
            "display_text_range": [0, len(text)],
            "entities": _entities(text, mention, url),
        }
        status = self._base(place, cut, _entities(cut, mention, own))
        return status | {"truncated": True, "extended_tweet": full} | extra

    def _repost(self, place: int) -> Json:
        target = self._target[place - self._size]
        original = self._status(target)
        text = f"RT @{self._mention(target)['screen_name']}: {self._full_text(original)}"
        if len(text) > TEXT_LIMIT:
            text = text[: TEXT_LIMIT - 1] + "…"
        status = self._base(place, text, _entities(text, self._mention(target)))
        return status | {"retweeted_status": original}

    @staticmethod
    def _full_text(status: Json) -> object:
        extended = status.get("extended_tweet")
        return extended["full_text"] if isinstance(extended, dict) else status["text"]

    def _mention(self, place: int) -> Json:
        accounts, i = self._author(place)
        return {
            "screen_name": accounts.handles[i],
            "name": accounts.names[i],
            "id": accounts.ids[i],
            "id_str": str(accounts.ids[i]),
        }

    def _answered(self, target: int) -> Json:
        who = self._mention(target)
        return {
            "in_reply_to_status_id": self._ids[target],
            "in_reply_to_status_id_str": str(self._ids[target]),
            "in_reply_to_user_id": who["id"],
            "in_reply_to_user_id_str": who["id_str"],
            "in_reply_to_screen_name": who["screen_name"],
        }

    def _quoted(self, target: int) -> Json:
        """The quoted post, one level deep as X sends it: a quote inside a quote is only named."""
        quoted = self._status(target)
        quoted.pop("quoted_status", None)
        return {
            "is_quote_status": True,
            "quoted_status_id": self._ids[target],
            "quoted_status_id_str": str(self._ids[target]),
            "quoted_status": quoted,
        }

    def _base(self, place: int, text: str, entities: Json) -> Json:
        accounts, i = self._author(place)
        return {
            "created_at": _created_at(self._time_s[place]),
            "id": self._ids[place],
            "id_str": str(self._ids[place]),
            "text": text,
            "source": accounts.clients[i],
            "truncated": False,
            "in_reply_to_status_id": None,
            "in_reply_to_status_id_str": None,
            "in_reply_to_user_id": None,
            "in_reply_to_user_id_str": None,
            "in_reply_to_screen_name": None,
            "user": self._user(accounts, i, place < self._size),
            "geo": None,
            "coordinates": None,
            "place": None,
            "contributors": None,
            "is_quote_status": False,
            "retweet_count": self._reposted[place],
            "favorite_count": 0,
            "entities": entities,
            "favorited": False,
            "retweeted": False,
            "filter_level": "low",
            "lang": "ar" if re.search(r"[\u0621-\u064a]{3} [\u0621-\u064a]", text) else "en",
        }

    def _user(self, accounts: _Accounts, i: int, coordinated: bool) -> Json:
        account_id = accounts.ids[i]
        images = "http://abs.twimg.com/images/themes/theme1/bg.png"
        user: Json = {
            "id": account_id,
            "id_str": str(account_id),
            "name": accounts.names[i],
            "screen_name": accounts.handles[i],
            "location": None,
            "url": None,
            "description": accounts.bios[i] or None,
            "protected": False,
            "verified": accounts.verified[i],
            "followers_count": accounts.followers[i],
            "friends_count": accounts.following[i],
            "listed_count": accounts.followers[i] // 150,
            "favourites_count": accounts.statuses[i] // 7,
            "statuses_count": accounts.statuses[i] + self._sent[coordinated, i],
            "created_at": _created_at(accounts.created_s[i]),
            "utc_offset": None,
            "time_zone": None,
            "geo_enabled": False,
            "lang": "ar",
            "profile_background_color": "C0DEED",
            "profile_background_image_url": images,
            "profile_background_image_url_https": images.replace("http:", "https:"),
            "profile_use_background_image": True,
            "profile_image_url": f"http://pbs.twimg.com/profile_images/{account_id}/photo_normal.jpg",
            "default_profile": accounts.defaults[i],
            "default_profile_image": accounts.defaults[i] and account_id % 5 == 0,
        }
        if accounts.banners[i]:
            user["profile_banner_url"] = f"https://pbs.twimg.com/profile_banners/{account_id}/1454400000"
        return user


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the case from the command line: ``python -m streams.reference_case OUT --seed 0 --scale 1``."""
    parser = argparse.ArgumentParser(description="Write the rebuilt reference case and its truth.")
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--share", type=float, default=None)
    given = parser.parse_args(arguments)
    try:
        write(given.out, given.seed, given.scale, given.share)
    except CaseError as wrong:
        parser.error(str(wrong))


if __name__ == "__main__":
    main()
