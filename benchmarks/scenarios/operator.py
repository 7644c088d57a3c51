"""Operators: who floods, and with which habits. Each seed is another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios.drafts import Draft
from benchmarks.scenarios.talk import SPAN_S, apps
from benchmarks.scenarios.world import DAY_S, Person, World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAD_S: Final = 600.0
"""The hashtag is seen without the flood for so long."""


@dataclass(frozen=True)
class Habits:
    """How one operator works.

    Attributes
    ----------
    accounts, texts : int
    client : str or None
        The one all accounts post through; None if they post as everybody does.
    waves : tuple of (days before the flood, length in days, share of the accounts)
        When the accounts were made; the others, and all if there are none, are of any age.
    following : tuple of (low, high) or None
        Band of followees of nearly all accounts; None if they follow as many as anybody.
    round_s, short_s, jitter_s : float
        Seconds from round to round, and from post to post within one; by how much both vary.
    rounds : int
        Most rounds of an account.
    """

    accounts: int
    texts: int
    client: str | None
    waves: tuple[tuple[int, int, float], ...]
    following: tuple[int, int] | None
    round_s: float
    short_s: float
    jitter_s: float = 1.0
    rounds: int = 3


def habits(world: World, accounts: int | None = None) -> Habits:
    """The habits of an operator like that of the reference case, with figures of its own."""
    rng = world.rng
    main = float(rng.uniform(0.45, 0.75))
    low = int(rng.integers(5, 400))
    clients = [*apps(world)[1:4], world.app()]
    return Habits(
        accounts=accounts or int(rng.integers(180, 420)),
        texts=int(rng.integers(10, 40)),
        client=clients[int(rng.integers(len(clients)))],
        waves=(
            (int(rng.integers(20, 500)), int(rng.integers(4, 26)), main),
            (int(rng.integers(20, 700)), int(rng.integers(4, 26)), float(rng.uniform(0.4, 0.8)) * (1 - main)),
        ),
        following=(low, low + int(rng.integers(20, 90))),
        round_s=float(rng.integers(700, 1_700)),
        short_s=float(rng.integers(3, 14)),
    )


def ordinary(of: Habits, *, ages: bool = False, clients: bool = False, gaps: bool = False) -> Habits:
    """The same operator without some of its habits: accounts of any age and kind, any client, any gap."""
    if ages:
        of = replace(of, waves=(), following=None)
    if clients:
        of = replace(of, client=None)
    return replace(of, jitter_s=240.0) if gaps else of


def accounts(world: World, of: Habits) -> list[Person]:
    """The operator's accounts."""
    rng, count = world.rng, of.accounts
    born = world.born(count)
    free = np.ones(count, bool)
    for ago, length, share in of.waves:
        mine = np.flatnonzero(free)[: round(share * count)]
        born[mine] = world.start_s - (ago * DAY_S + rng.integers(0, length * DAY_S, len(mine)))
        free[mine] = False
    people = world.people(count, rng.permutation(born))
    for person in people:
        person.verified = False
        person.client = of.client or person.client
        if of.following is not None:
            if rng.random() < 0.97:
                person.following = int(rng.integers(*of.following))
            person.followers = int(rng.lognormal(2.0, 0.9))
            age_days = (world.start_s - person.created_ms // 1_000) / DAY_S
            person.statuses = max(3, int(1.1 * age_days + rng.normal(0, 8)))
            person.has_bio, person.has_banner = bool(rng.random() < 0.12), bool(rng.random() < 0.08)
            person.default_profile = bool(rng.random() < 0.9)
    return people


@dataclass(frozen=True, eq=False)
class Schedule:
    """Who posts when, and which of the texts; arrays of one shape (posts,), by account and time."""

    account: Ints
    at_s: Floats
    text: Ints


def schedule(
    rng: np.random.Generator, of: Habits, *, start_s: float = LEAD_S, span_s: float = SPAN_S - LEAD_S
) -> Schedule:
    """Rounds of pairs and triples in one order of texts, each account a little after its neighbour."""
    fits = max(1, min(of.rounds, int(span_s // of.round_s)))
    rounds = rng.integers(max(1, fits - 1), fits + 1, of.accounts)
    late = rng.integers(0, np.maximum(1, int(span_s // of.round_s) - rounds + 1))
    size = rng.integers(2, 4, int(rounds.sum()))
    owner = np.repeat(np.arange(of.accounts), rounds)
    turn = np.arange(len(owner)) - np.repeat(np.cumsum(rounds) - rounds, rounds)
    begin = (np.arange(of.accounts) * 16.0) % of.round_s
    at_round = start_s + begin[owner] + (turn + late[owner]) * of.round_s
    at_round += rng.normal(0, of.jitter_s, len(owner))
    account = np.repeat(owner, size)
    place = np.arange(len(account)) - np.repeat(np.cumsum(size) - size, size)
    gap = of.short_s + np.abs(rng.normal(0, min(of.jitter_s, of.short_s * 8), len(account)))
    at_s = np.repeat(at_round, size) + place * gap
    return Schedule(account, np.clip(at_s, start_s, start_s + span_s - 1), _playlist(rng, account, of.texts))


def _playlist(rng: np.random.Generator, account: Ints, texts: int) -> Ints:
    """Each account goes on in the common order from a place of its own, and repeats nothing if it can."""
    first = rng.integers(0, texts, int(account.max()) + 1)
    nth = np.arange(len(account)) - np.searchsorted(account, account)
    out: Ints = (first[account] + nth) % texts
    return out


def drafts(
    people: list[Person], plan: Schedule, texts: list[str], tag: str, campaign: str = "flood"
) -> list[Draft]:
    """The posts of a schedule, all under one hashtag."""
    return [
        Draft(at, people[who], f"{texts[which]} #{tag}", (tag,), campaign=campaign)
        for who, at, which in zip(plan.account.tolist(), plan.at_s.tolist(), plan.text.tolist(), strict=True)
    ]
