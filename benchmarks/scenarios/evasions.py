"""Floods that hide: about half of the posts, in disguise, with the habits of the reference case or less."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.scenarios import operator
from benchmarks.scenarios.disguise import DISGUISES, Disguise, Spun
from benchmarks.scenarios.drafts import Draft, scenario
from benchmarks.scenarios.floods import FLOOD, messages, setting
from benchmarks.scenarios.operator import Schedule, habits, ordinary
from benchmarks.scenarios.scenario import Scenario
from benchmarks.scenarios.talk import tag_of, talk

ALL: Final = "all together"
PLAIN: Final = "plain"
SPUN: Final = "spun templates"
LINKS: Final = "links that differ"
TAGS: Final = "several tags a post"
SPLIT: Final = "texts split over accounts"
EVASIONS: Final = (*DISGUISES, SPUN, LINKS, TAGS, SPLIT, ALL)
WEAKER: Final = ("ages", "clients", "gaps")
"""The habit that the operator of a weaker scenario lacks: its accounts' ages and profiles, its client, its
timer are like anybody's."""


def evasion(which: str, weaker: str, name: str, seed: int) -> Scenario:
    """A flood with one evasion, all of them, or none.

    Parameters
    ----------
    which : one of `EVASIONS`, or `PLAIN`
    weaker : one of `WEAKER`, or empty
    """
    script = "arabic" if which == "tatweel and diacritics" else "latin" if "letters" in which else None
    world, subjects, tag = setting(name, seed, script)
    rng = world.rng
    own = habits(world)
    if weaker:  # a smaller one is as hard to see and takes half of the time
        own = ordinary(replace(own, accounts=own.accounts // 2), **{weaker: True})
    plan = operator.schedule(rng, own)
    if which in (SPLIT, ALL):
        plan = _split(rng, plan, own.texts)
    theme = world.subject()
    texts = messages(world, theme, own.texts)
    spun = Spun(rng, texts, theme.tongue.words[60:1_500].tolist())
    disguises: list[Disguise] = [spun] if which in (SPUN, ALL) else []
    disguises += [disguise for name, disguise in DISGUISES.items() if which in (name, ALL)]
    flood = operator.drafts(operator.accounts(world, own), plan, texts, tag)
    extras = [tag_of(world, theme) + str(i) for i in range(12)]
    address = f"{theme.words[0]}.example"
    for draft, number in zip(flood, plan.text.tolist(), strict=True):
        text = texts[number]
        for disguise in disguises:
            text = disguise(rng, text)
        draft.text = f"{text} #{tag}"
        if which in (LINKS, ALL):
            _link(rng, draft, f"https://{address}/{number}")
        if which in (TAGS, ALL):
            _tag(rng, draft, extras)
    talking = talk(world, (tag,), subjects, len(flood))
    return scenario(name, world, [*talking, *flood], (tag,), kind=FLOOD)


def _split(rng: np.random.Generator, plan: Schedule, texts: int) -> Schedule:
    """Each account has one or two of the texts and repeats them."""
    count = int(plan.account.max()) + 1
    own = rng.integers(0, texts, (count, 2))
    own[rng.random(count) < 0.5, 1] = -1
    nth = np.arange(len(plan.account)) - np.searchsorted(plan.account, plan.account)
    text = own[plan.account, nth % 2]
    return replace(plan, text=np.where(text < 0, own[plan.account, 0], text))


def _link(rng: np.random.Generator, draft: Draft, page: str) -> None:
    """The same page by another address each time: a query of its own, or a shortener."""
    number = int(rng.integers(10**9))
    link = (
        f"{page}?ref={number}&u={draft.who.handle}" if rng.random() < 0.5 else f"https://s.example/{number:x}"
    )
    draft.text = f"{draft.text} https://t.co/{number:x}"
    draft.links = (link,)


def _tag(rng: np.random.Generator, draft: Draft, extras: list[str]) -> None:
    """Two to five tags more, in any order."""
    added = [extras[i] for i in rng.permutation(len(extras))[: int(rng.integers(2, 6))].tolist()]
    words = draft.text.split(" ")
    for tag in added:
        words.insert(int(rng.integers(len(words) + 1)), f"#{tag}")
    draft.text = " ".join(words)
    draft.hashtags = (*draft.hashtags, *added)
