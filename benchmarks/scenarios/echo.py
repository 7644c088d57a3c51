"""What people take over from one another: headlines, jokes, reposts, replies; and what they repeat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios.drafts import Draft
from benchmarks.scenarios.words import Subject, sentences
from benchmarks.scenarios.world import World
from detectors.table import Kind

Ints = NDArray[np.int64]


def headlines(world: World, drafts: list[Draft], kind: Ints, about: Subject, tag: str) -> None:
    """Headlines and jokes that go round: the same words from a few people, some with words of their own."""
    rng = world.rng
    count = 1 + len(drafts) // 120
    own = np.flatnonzero(kind == Kind.ORIGINAL)
    begun = rng.uniform(0, drafts[-1].at_s, count)
    times = np.array([drafts[i].at_s for i in own.tolist()])
    lines = sentences(rng, about, count, words=10, spread=0.3, share=0.35, least=6)
    for line, begin in zip(lines, begun.tolist(), strict=True):
        sharers = min(40, 1 + int(rng.zipf(1.9)))
        joke = rng.random() < 0.3
        page = f"https://{about.words[int(rng.integers(8))]}.example/news/{int(rng.integers(10**6))}"
        site = str(about.words[int(rng.integers(8))])
        at = begin + rng.exponential(1_500, sharers)
        for place in {int(i) for i in own[np.searchsorted(times, at[at < times[-1]])]} if len(own) else ():
            draft, style = drafts[place], float(rng.random())
            text = line if style < 0.6 else f"{line} | {site}" if style < 0.8 else f"{line} {draft.text}"
            draft.text = (
                f"{text} #{tag}" if joke else f"{text} #{tag} https://t.co/{int(rng.integers(10**9)):x}"
            )
            draft.hashtags = (tag,)
            draft.links = () if joke else (page,)


def repeaters(world: World, drafts: list[Draft], author: Ints, kind: Ints) -> None:
    """A few who sell something, or are very angry, and say the same again and again."""
    rng = world.rng
    busy = np.flatnonzero(np.bincount(author) >= 4)
    for who in busy[rng.random(len(busy)) < 0.03].tolist():
        mine = np.flatnonzero(author == who).tolist()
        kind[mine] = Kind.ORIGINAL
        for place in mine[1:]:
            if rng.random() < 0.7:
                drafts[place].text, drafts[place].links = drafts[mine[0]].text, drafts[mine[0]].links
                drafts[place].hashtags = drafts[mine[0]].hashtags


def aim(world: World, drafts: list[Draft], author: Ints, kind: Ints, about: Subject, tag: str) -> None:
    """Give replies, quotes and reposts their target: an earlier post, popular ones most, or one outside."""
    rng, count = world.rng, len(drafts)
    lines = sentences(rng, about, 25, words=14, spread=0.4, share=0.3, least=4)
    outside = [f"{line} #{tag}" for line in lines]
    numbers = rng.integers(10**17, 2 * 10**17, len(outside)).tolist()
    fame = np.cumsum(rng.pareto(1.1, len(outside)) + 0.1)
    source = np.flatnonzero(kind != Kind.REPOST)
    reach = np.cumsum(rng.pareto(1.15, len(source)) + 0.02)
    at_s = np.array([draft.at_s for draft in drafts])
    first = np.searchsorted(at_s[source], at_s - 4_500)
    end = np.searchsorted(at_s[source], at_s - 15)
    draw, other = rng.random(count), rng.random(count)
    seen: set[tuple[int, int]] = set()
    for place in np.flatnonzero(kind != Kind.ORIGINAL).tolist():
        draft, what = drafts[place], Kind(int(kind[place]))
        low, high = int(first[place]), int(end[place])
        hashtags: tuple[str, ...] = (tag,)
        links: tuple[str, ...] = ()
        if what is Kind.REPOST and (other[place] < 0.3 or low >= high):
            which = int(np.searchsorted(fame, draw[place] * fame[-1]))
            key = (int(author[place]), ~which)
            target: Draft | str = str(numbers[which])
            text = outside[which]
        elif low < high:
            before = reach[low - 1] if low else 0.0
            which = int(source[np.searchsorted(reach, before + draw[place] * (reach[high - 1] - before))])
            key = (int(author[place]), which)
            target = drafts[which]
            text, hashtags, links = target.text, target.hashtags, target.links
        else:
            continue
        if key in seen or (isinstance(target, Draft) and target.who is draft.who):
            continue
        seen.add(key)
        draft.kind, draft.target = what, target
        if what is Kind.REPOST:
            draft.text, draft.hashtags, draft.links = text, hashtags, links
        elif what is Kind.REPLY and isinstance(target, Draft):
            draft.text = f"@{target.who.handle} {draft.text}"
