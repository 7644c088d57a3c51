"""Floods: what must be found."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from benchmarks.scenarios import operator
from benchmarks.scenarios.drafts import Draft, scenario
from benchmarks.scenarios.operator import Schedule, accounts, habits
from benchmarks.scenarios.scenario import Coordinated, Scenario
from benchmarks.scenarios.talk import SPAN_S, tag_of, talk
from benchmarks.scenarios.words import Subject, sentences
from benchmarks.scenarios.world import World
from detectors.table import Kind
from streams import formats, reference_case
from streams.posts import Post
from streams.reference_texts import HASHTAG

FLOOD: Final = "flood"
AMPLIFICATION: Final = "amplification"
REBUILT_SCALE: Final = {90: 1.0, 50: 0.6, 20: 0.25, 10: 0.12, 5: 0.06}
"""Per cent of the posts that are the flood's, to the scale at which a window holds about 12,500 posts."""


def messages(world: World, about: Subject, count: int) -> list[str]:
    """Texts of a campaign: sentences of some length about one thing."""
    return sentences(world.rng, about, count, words=13, spread=0.2, share=0.45, least=8)


def setting(name: str, seed: int, script: str | None = None) -> tuple[World, tuple[Subject, Subject], str]:
    """A world, what a hashtag in it is about, and the hashtag."""
    world = World(name, seed, script)
    subjects = world.subject(0), world.subject(1)
    return world, subjects, tag_of(world, subjects[0])


def rebuilt(share: int, name: str, seed: int) -> Scenario:
    """The rebuilt reference case, in which the flood is `share` per cent of the posts."""
    case = reference_case.build(seed, REBUILT_SCALE[share], share / 100)
    posts = tuple(post for line in case.posts for post in formats.decode(line) if isinstance(post, Post))
    true = [row for row in case.truth if row.coordinated]
    ids = frozenset(row.post_id for row in true)
    return Scenario(
        name,
        posts,
        {FLOOD: Coordinated(ids, frozenset(row.account_id for row in true))},
        (HASHTAG,),
        min(post.time_ms for post in posts if post.id in ids),
        FLOOD,
    )


def another(share: int, name: str, seed: int) -> Scenario:
    """An operator with habits of its own, at `share` per cent of the posts."""
    world, subjects, tag = setting(name, seed)
    own = habits(world, None if share >= 20 else int(world.rng.integers(90, 180)))
    plan = operator.schedule(world.rng, own)
    texts = messages(world, world.subject(), own.texts)
    flood = operator.drafts(accounts(world, own), plan, texts, tag)
    talking = talk(world, (tag,), subjects, round(len(flood) * (100 / share - 1)))
    return scenario(name, world, [*talking, *flood], (tag,), kind=FLOOD)


def automation(name: str, seed: int) -> Scenario:
    """37 accounts of ordinary age send 21 % of a hashtag of 10,732 posts through one automation client."""
    world, subjects, tag = setting(name, seed)
    rng, span_s = world.rng, 3 * SPAN_S
    people = world.people(37)
    texts = messages(world, subjects[0], 120)
    client = world.app()
    each = rng.multinomial(2_228, rng.dirichlet(np.full(37, 6.0)))
    flood = []
    for person, count in zip(people, each.tolist(), strict=True):
        at_s = 300 + np.sort(rng.uniform(0, span_s - 600, count))
        for at, which in zip(at_s.tolist(), rng.integers(0, len(texts), count).tolist(), strict=True):
            through = client if rng.random() < 0.96 else None
            flood.append(Draft(at, person, f"{texts[which]} #{tag}", (tag,), client=through, campaign=FLOOD))
    talking = talk(world, (tag,), subjects, 10_732 - len(flood), span_s=span_s)
    return scenario(name, world, [*talking, *flood], (tag,), kind=AMPLIFICATION)


def drip(name: str, seed: int) -> Scenario:
    """400 accounts send four posts each over twelve hours."""
    world, subjects, tag = setting(name, seed)
    rng, span_s = world.rng, 12 * 3_600
    own = replace(habits(world, 400), texts=30)
    account = np.repeat(np.arange(400), 4)
    plan = Schedule(account, 600 + rng.uniform(0, span_s - 1_200, 1_600), rng.integers(0, 30, 1_600))
    flood = operator.drafts(accounts(world, own), plan, messages(world, world.subject(), 30), tag)
    talking = talk(world, (tag,), subjects, 4_000, span_s=span_s)
    return scenario(name, world, [*talking, *flood], (tag,), kind=FLOOD)


def reposts(name: str, seed: int) -> Scenario:
    """300 accounts repost the same twenty posts of others within seconds of each other."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    own = habits(world, 300)
    people = accounts(world, own)
    lines = messages(world, subjects[0], 20)
    authors = world.people(3)
    flood = []
    for line, begin in zip(lines, np.sort(rng.uniform(600, SPAN_S - 600, 20)).tolist(), strict=True):
        original = Draft(begin, authors[int(rng.integers(3))], f"{line} #{tag}", (tag,))
        flood.append(original)
        for who in rng.permutation(300)[: int(rng.integers(180, 280))].tolist():
            at = begin + 4 + rng.gamma(2.0, 9.0)
            flood.append(Draft(at, people[who], original.text, (tag,), Kind.REPOST, original, campaign=FLOOD))
    return scenario(name, world, [*talk(world, (tag,), subjects, 5_000), *flood], (tag,))


def paraphrased(name: str, seed: int) -> Scenario:
    """Every post has words of its own; what is common is how the accounts act and look."""
    world, subjects, tag = setting(name, seed)
    own = habits(world)
    plan = operator.schedule(world.rng, own)
    theme = world.subject()
    texts = messages(world, theme, len(plan.account))
    plan = Schedule(plan.account, plan.at_s, np.arange(len(texts)))
    flood = operator.drafts(accounts(world, own), plan, texts, tag)
    return scenario(name, world, [*talk(world, (tag,), subjects, len(flood)), *flood], (tag,), kind=FLOOD)


def one_each(name: str, seed: int) -> Scenario:
    """600 accounts send one post each, with one of thirty texts."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    own = replace(habits(world, 600), texts=30)
    order = np.arange(600)
    plan = Schedule(order, 600 + order * own.short_s + rng.uniform(0, 2, 600), rng.integers(0, 30, 600))
    flood = operator.drafts(accounts(world, own), plan, messages(world, world.subject(), 30), tag)
    return scenario(name, world, [*talk(world, (tag,), subjects, 2_400), *flood], (tag,), kind=FLOOD)


def hop(name: str, seed: int) -> Scenario:
    """An operator floods one hashtag for an hour and then another one."""
    world, subjects, tag = setting(name, seed)
    others = world.subject(0), world.subject(1)
    second = tag_of(world, others[0])
    own = habits(world)
    people = accounts(world, own)
    texts = messages(world, world.subject(), own.texts)
    hour = partial(operator.schedule, world.rng, own, span_s=3_600.0)
    flood = operator.drafts(people, hour(), texts, tag)
    flood += operator.drafts(people, hour(start_s=5_400.0), texts, second)
    talking = talk(world, (tag,), subjects, 2_500, span_s=9_600)
    talking += talk(world, (second,), others, 2_500, span_s=9_600)
    return scenario(name, world, [*talking, *flood], (tag, second), kind=FLOOD)


def two(name: str, seed: int) -> Scenario:
    """Two operators with different habits in one hashtag, each with something of its own to say."""
    world, subjects, tag = setting(name, seed)
    flood = []
    for campaign in ("first", "second"):
        own = habits(world)
        texts = messages(world, world.subject(), own.texts)
        plan = operator.schedule(world.rng, own)
        flood += operator.drafts(accounts(world, own), plan, texts, tag, campaign)
    return scenario(name, world, [*talk(world, (tag,), subjects, len(flood)), *flood], (tag,), kind=FLOOD)


def twenty(name: str, seed: int) -> Scenario:
    """One operator sends each post under one of twenty hashtags."""
    world = World(name, seed)
    rng = world.rng
    own = habits(world, 300)
    plan = operator.schedule(rng, own)
    texts = messages(world, world.subject(), own.texts)
    flood = operator.drafts(accounts(world, own), plan, texts, "")
    tags: list[str] = []
    drafts = list(flood)
    for _ in range(20):
        subjects = world.subject(0), world.subject(1)
        tags.append(tag_of(world, subjects[0]) + str(len(tags)))
        drafts += talk(world, (tags[-1],), subjects, 2 * len(flood) // 20)
    for draft, which in zip(flood, rng.integers(0, 20, len(flood)).tolist(), strict=True):
        draft.text += tags[which]
        draft.hashtags = (tags[which],)
    return scenario(name, world, drafts, tags, kind=FLOOD)
