"""Quiet patterns made by crowds: many people do the same and nobody holds their accounts."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios.drafts import Draft, scenario
from benchmarks.scenarios.floods import setting
from benchmarks.scenarios.scenario import Scenario
from benchmarks.scenarios.talk import EMOJI, SPAN_S, tag_of, talk
from benchmarks.scenarios.words import Subject, sentences
from benchmarks.scenarios.world import DAY_S, World
from detectors.table import Kind
from streams.posts import MINUTE_MS

Floats = NDArray[np.float64]
LEAST_TALK: Final = 800
TALK_AN_ACCOUNT: Final = 1.5
"""Organic posts beside every account of a pattern, at least `LEAST_TALK` in all."""


def around(world: World, tag: str, subjects: tuple[Subject, Subject], accounts: int) -> list[Draft]:
    """The talk in which so many accounts do something together."""
    return talk(world, (tag,), subjects, max(LEAST_TALK, round(TALK_AN_ACCOUNT * accounts)))


def rush(world: World, count: int, middle_s: float) -> Floats:
    """Times in s at which a crowd follows a call: quickly at first, then ever slower; shape (count,)."""
    begin = float(world.rng.uniform(300, 2_400))
    at = begin + world.rng.lognormal(np.log(middle_s), 1.0, count)
    return np.where(at < SPAN_S, at, world.rng.uniform(begin, SPAN_S, count))


def share_button(accounts: int, name: str, seed: int) -> Scenario:
    """One text and one link through a button, of an app or of the platform's own page; some add words."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    (line,) = sentences(rng, subjects[0], 1, words=14, spread=0.1, share=0.4, least=9)
    page = f"https://{subjects[0].words[3]}.example/app/{int(rng.integers(10**5))}"
    client = world.app() if rng.random() < 0.5 else None
    own = sentences(rng, subjects[0], accounts, words=6)
    drafts = around(world, tag, subjects, accounts)
    for person, at, words in zip(
        world.people(accounts), rush(world, accounts, 1_500).tolist(), own, strict=True
    ):
        text = f"{words} {line}" if rng.random() < 0.08 else line
        again = 1 + int(rng.random() < 0.06)
        for turn in range(again):
            drafts.append(
                Draft(
                    min(at + turn * 40, SPAN_S - 1),
                    person,
                    f"{text} #{tag} https://t.co/{int(rng.integers(10**9)):x}",
                    (tag,),
                    links=(page,),
                    client=client,
                )
            )
    return scenario(name, world, drafts, (tag,))


def catch_phrase(accounts: int, name: str, seed: int) -> Scenario:
    """A phrase that everybody says, with a word or an emoji of their own, some of them more than once."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    (phrase,) = sentences(rng, subjects[0], 1, words=7, spread=0.1, share=0.5, least=5)
    words = sentences(rng, subjects[0], 2 * accounts, words=3)
    drafts = around(world, tag, subjects, accounts)
    for person, at in zip(world.people(accounts), rush(world, accounts, 1_800).tolist(), strict=True):
        for turn in range(1 + int(rng.random() < 0.2)):
            style = float(rng.random())
            text = phrase if style < 0.45 else phrase + " " + EMOJI[int(rng.integers(12))] * 2
            if style > 0.7:
                text = f"{phrase} {words.pop()}"
            late = at + turn * float(rng.lognormal(6, 1))
            drafts.append(Draft(min(late, SPAN_S - 1), person, f"{text} #{tag}", (tag,)))
    return scenario(name, world, drafts, (tag,))


def celebrity(accounts: int, name: str, seed: int) -> Scenario:
    """Fans repost one star's posts, several each, many of them within seconds of the post."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    (star,) = world.people(1)
    star.verified, star.followers = True, 4_000_000
    lines = sentences(rng, subjects[0], 8, words=9, spread=0.4)
    drafts = around(world, tag, subjects, accounts)
    at_s = np.sort(rng.uniform(200, 0.8 * SPAN_S, len(lines))).tolist()
    posts = [Draft(at, star, f"{line} #{tag}", (tag,)) for at, line in zip(at_s, lines, strict=True)]
    drafts += posts
    for person in world.people(accounts):
        keen = float(rng.beta(1.2, 1.6))
        for post in posts:
            if rng.random() < keen:
                quick = rng.random() < 0.4  # notified by the platform
                late = rng.gamma(2, 12) if quick else rng.lognormal(6.5, 1.2)
                if post.at_s + late < SPAN_S:
                    drafts.append(Draft(post.at_s + late, person, post.text, (tag,), Kind.REPOST, post))
    return scenario(name, world, drafts, (tag,))


def fan_vote(accounts: int, name: str, seed: int) -> Scenario:
    """At eight all fans vote: several template texts, several times each.

    The group made its debut this year, and a third of the fans made their accounts for it.
    """
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    texts = sentences(rng, subjects[0], int(rng.integers(5, 12)), words=10, spread=0.3, share=0.5, least=6)
    born = world.born(accounts)
    debut = world.start_s - int(rng.integers(60, 300)) * DAY_S
    young = rng.random(accounts) < 0.33
    born[young] = np.minimum(debut + rng.exponential(40 * DAY_S, int(young.sum())), world.start_s - 3_600)
    drafts = around(world, tag, subjects, accounts)
    eight = 1_800.0
    for person in world.people(accounts, born):
        at = eight + float(rng.exponential(600) if rng.random() < 0.7 else rng.uniform(0, 5_000))
        for _ in range(min(12, 1 + int(rng.geometric(0.35)))):
            if at >= SPAN_S:
                break
            number = f" {int(rng.integers(1, 99))}" if rng.random() < 0.2 else ""
            text = f"{texts[int(rng.integers(len(texts)))]}{number} #{tag}"
            drafts.append(Draft(at, person, text, (tag,)))
            at += 8 + float(rng.lognormal(np.log(70), 1.1))
    return scenario(name, world, drafts, (tag,))


def chorus(accounts: int, name: str, seed: int) -> Scenario:
    """A goal: everybody shouts the same in variants within seconds, and again at the next one."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    player = str(subjects[0].words[0])
    drafts = around(world, tag, subjects, accounts)
    people = world.people(accounts)
    for goal in np.sort(rng.uniform(900, 6_300, 3)).tolist():
        for person in people:
            if rng.random() < 0.55:
                shout = "G" + "O" * int(rng.geometric(0.2)) + "AL" + "!" * int(rng.integers(0, 5))
                style = float(rng.random())
                text = (shout, f"{shout} {player}", f"{player} what a goal this is")[int(3 * style)]
                text += " " + EMOJI[int(rng.integers(12))] * int(rng.integers(0, 4))
                at = goal + 8 + float(rng.gamma(2, 9))
                drafts.append(Draft(min(at, SPAN_S - 1), person, f"{text} #{tag}", (tag,)))
    return scenario(name, world, drafts, (tag,))


def give_away(accounts: int, name: str, seed: int) -> Scenario:
    """Repost and comment to win: the same comment from everybody, many of them young accounts."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    shop, *_ = world.people(1)
    shop.client = "Hootsuite Inc."
    (offer, wish) = sentences(rng, subjects[0], 2, words=12, spread=0.1, share=0.4, least=8)
    post = Draft(240, shop, f"{offer} #{tag}", (tag,))
    born = world.born(accounts)
    young = rng.random(accounts) < 0.35
    born[young] = world.start_s - rng.exponential(45 * DAY_S, int(young.sum())).astype(np.int64) - 3_600
    drafts = [*around(world, tag, subjects, accounts), post]
    for person, at in zip(world.people(accounts, born), rush(world, accounts, 1_800).tolist(), strict=True):
        at = max(at, 300)
        if person.created_ms > 1_000 * (world.start_s - 60 * DAY_S):
            person.followers //= 10
        drafts.append(Draft(at, person, post.text, (tag,), Kind.REPOST, post))
        if rng.random() < 0.85:
            friend, emoji = world.handles(1)[0], EMOJI[int(rng.integers(12))] * int(rng.integers(3))
            text = f"@{shop.handle} {wish} @{friend} {emoji}"
            late = min(at + 3 + float(rng.lognormal(2.6, 0.8)), SPAN_S - 1)
            drafts.append(Draft(late, person, f"{text} #{tag}", (tag,), Kind.REPLY, post))
    return scenario(name, world, drafts, (tag,))


def sign_up_wave(posts: int, name: str, seed: int) -> Scenario:
    """The platform grew: a third of all accounts are from one fortnight, with nothing filled in."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    born = world.born(posts)
    first = world.start_s - int(rng.integers(20, 200)) * DAY_S
    new = rng.random(posts) < 0.33
    born[new] = first + rng.integers(0, 14 * DAY_S, int(new.sum()))
    people = world.people(posts, born)
    for person, fresh in zip(people, new.tolist(), strict=True):
        if fresh:
            person.default_profile = bool(rng.random() < 0.9)
            person.has_bio = person.has_banner = False
            person.following = int(rng.lognormal(2.5, 0.8))
            person.followers = int(rng.lognormal(1.0, 0.9))
    drafts = talk(world, (tag,), subjects, posts, people=people[: max(20, round(posts * 0.55))])
    return scenario(name, world, drafts, (tag,))


def organic(posts: int, name: str, seed: int) -> Scenario:
    """Nothing but talk, under one hashtag and some others that go with it."""
    world, subjects, tag = setting(name, seed)
    extras = [tag_of(world, subjects[0]) + str(i) for i in range(4)]
    return scenario(name, world, talk(world, (tag, *extras), subjects, posts), (tag, *extras))


def breaking_news(posts: int, name: str, seed: int) -> Scenario:
    """News break and half of the talk is about them; times are told to the minute only."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    drafts = talk(world, (tag,), subjects, posts)
    event = float(rng.uniform(1_500, 3_500))
    (alert,) = sentences(rng, subjects[0], 1, words=9, spread=0.1, share=0.5, least=7)
    for draft in drafts:
        if draft.kind is Kind.ORIGINAL and rng.random() < 0.5:
            draft.at_s = min(event + float(rng.gamma(1.5, 500)), SPAN_S - 1)
            if rng.random() < 0.12:
                draft.text, draft.hashtags, draft.links = f"{alert} #{tag}", (tag,), ()
    return scenario(name, world, drafts, (tag,), resolution_ms=MINUTE_MS)
