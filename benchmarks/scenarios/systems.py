"""Quiet patterns made by a system or a few people: one sender in the open, or a group that met."""

from __future__ import annotations

import numpy as np

from benchmarks.scenarios.crowds import LEAST_TALK, around
from benchmarks.scenarios.drafts import Draft, scenario
from benchmarks.scenarios.floods import setting
from benchmarks.scenarios.scenario import Scenario
from benchmarks.scenarios.talk import SPAN_S, talk
from benchmarks.scenarios.words import sentences
from benchmarks.scenarios.world import DAY_S, OPENED_S, Person, World


def _known(world: World, count: int, client: str) -> list[Person]:
    """Institutions: verified, old, followed by many, all through one publishing system."""
    rng = world.rng
    people = world.people(count, OPENED_S + rng.integers(2 * 365 * DAY_S, 6 * 365 * DAY_S, count))
    for person in people:
        person.client, person.verified, person.default_profile = client, True, False
        person.has_bio = person.has_banner = True
        person.followers = int(rng.lognormal(11, 1.2))
        person.statuses = int(rng.lognormal(10.5, 0.6))
    return people


def official_warnings(agencies: int, name: str, seed: int) -> Scenario:
    """A storm: agencies repeat the same warnings through one scheduling client."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    texts = sentences(rng, subjects[0], 5, words=16, spread=0.2, share=0.5, least=10)
    people = _known(world, agencies, "Hootsuite Inc.")
    drafts = around(world, tag, subjects, 60 * agencies)
    for turn, begin in enumerate(np.arange(600.0, SPAN_S - 600, 900).tolist()):
        for person in people:
            if rng.random() < 0.85:
                at = begin + float(rng.integers(0, 4)) * 60 + float(rng.uniform(0, 3))
                drafts.append(Draft(at, person, f"{texts[turn % 5]} #{tag}", (tag,)))
    return scenario(name, world, drafts, (tag,))


def newsroom(papers: int, name: str, seed: int) -> Scenario:
    """Sister papers send the same headlines within the same minute through one system, each with its link."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    people = _known(world, papers, world.app())
    lines = sentences(rng, subjects[0], int(rng.integers(8, 20)), words=12, spread=0.2, share=0.4, least=8)
    drafts = around(world, tag, subjects, 40 * papers)
    for number, (line, begin) in enumerate(
        zip(lines, np.sort(rng.uniform(0, SPAN_S - 120, len(lines))).tolist(), strict=True)
    ):
        for person in people:
            if rng.random() < 0.8:
                page = f"https://{person.handle}.example/{number}"
                text = f"{line} #{tag} https://t.co/{int(rng.integers(10**9)):x}"
                drafts.append(Draft(begin + float(rng.uniform(0, 60)), person, text, (tag,), links=(page,)))
    return scenario(name, world, drafts, (tag,))


def prolific(posts: int, name: str, seed: int) -> Scenario:
    """One person who cannot stop, and repeats some of it."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    (person,) = world.people(1)
    lines = sentences(rng, subjects[0], posts, words=10, spread=0.5, least=3)
    gaps = rng.lognormal(np.log(0.7 * SPAN_S / posts), 0.8, posts)
    at_s = np.cumsum(gaps) * min(1.0, 0.95 * SPAN_S / float(gaps.sum()))
    drafts = talk(world, (tag,), subjects, LEAST_TALK)
    for at, line in zip(at_s.tolist(), lines, strict=True):
        text = lines[int(rng.integers(5))] if rng.random() < 0.25 else line
        drafts.append(Draft(at, person, f"{text} #{tag}", (tag,)))
    return scenario(name, world, drafts, (tag,))


def hourly_app(accounts: int, name: str, seed: int) -> Scenario:
    """An app for prayers, horoscopes or scores posts for its users, on the hour, through its own client."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    client = world.app()
    texts = sentences(rng, world.subject(), 12, words=13, spread=0.2, share=0.4, least=8)
    drafts = around(world, tag, subjects, accounts)
    every_s = float(rng.choice([900, 1_800, 3_600]))
    for person in world.people(accounts):
        own = int(rng.integers(12))
        for turn, begin in enumerate(np.arange(120.0, SPAN_S - 90, every_s).tolist()):
            if rng.random() < 0.9:
                text = texts[(own + turn) % 12]
                at = begin + float(rng.gamma(2, 8))
                drafts.append(Draft(at, person, f"{text} #{tag}", (tag,), client=client))
    return scenario(name, world, drafts, (tag,))


def workshop(accounts: int, name: str, seed: int) -> Scenario:
    """A class made its accounts this morning; all post the exercises, and some chatter too."""
    world, subjects, tag = setting(name, seed)
    rng = world.rng
    born = np.full(accounts, world.start_s - 3 * 3_600) + rng.integers(0, 3_600, accounts)
    people = world.people(accounts, born)
    exercises = sentences(rng, subjects[0], 3, words=10, spread=0.2, share=0.5, least=7)
    chatter = sentences(rng, subjects[0], 6 * accounts, words=7)
    drafts = around(world, tag, subjects, accounts)
    for person in people:
        person.following, person.followers = int(rng.integers(0, 30)), int(rng.integers(0, 20))
        person.statuses, person.has_bio, person.default_profile = 0, False, True
        for turn, text in enumerate(exercises):
            at = 1_200 + 1_500 * turn + float(rng.gamma(2, 120))
            drafts.append(Draft(at, person, f"{text} #{tag}", (tag,)))
            if rng.random() < 0.6:
                late = at + float(rng.lognormal(5, 0.8))
                drafts.append(Draft(late, person, f"{chatter.pop()} #{tag}", (tag,)))
    return scenario(name, world, drafts, (tag,))
