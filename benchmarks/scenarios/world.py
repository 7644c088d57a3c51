"""Where a scenario takes place: platform, people, clients and languages, all drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios.words import Subject, Tongue, subject, tongue

DAY_S: Final = 86_400
OPENED_S: Final = 1_172_707_200
"""March 2007: nobody's account is older."""

APPS: Final = (
    ("Twitter for iPhone", 0.36),
    ("Twitter for Android", 0.36),
    ("Twitter Web App", 0.16),
    ("Twitter for iPad", 0.05),
    ("TweetDeck", 0.03),
    ("Mobile Web (M2)", 0.02),
    ("Hootsuite Inc.", 0.008),
    ("IFTTT", 0.005),
    ("Buffer", 0.004),
    ("dlvr.it", 0.003),
)
"""Clients of ordinary people and their shares, of which those of every scenario are a variation."""

OFFICIAL: Final = 6
"""So many of `APPS` are the platform's own."""


@dataclass(slots=True, eq=False)
class Person:
    """One account as a payload describes it; `statuses` counts what it had sent before the scenario."""

    id: str
    handle: str
    created_ms: int
    followers: int
    following: int
    statuses: int
    client: str
    has_bio: bool
    has_banner: bool
    default_profile: bool
    verified: bool


class World:
    """The circumstances of one scenario and seed.

    Parameters
    ----------
    name : str
        Of the scenario: the same seed gives another world to another scenario.
    seed : int
        Another seed is another actor in another conversation.
    """

    def __init__(self, name: str, seed: int, script: str | None = None) -> None:
        self.rng = rng = np.random.default_rng([seed, crc32(name.encode())])
        self.start_s = int(rng.integers(1_451_606_400, 1_672_531_200)) // 60 * 60  # 2016 to 2022
        self.script = script or ("latin", "arabic")[int(rng.integers(2))]
        other = {"latin": "arabic", "arabic": "latin"}[self.script]
        self.tongues: tuple[Tongue, Tongue] = (tongue(rng, self.script), tongue(rng, other))
        self.second_share = float(rng.uniform(0.03, 0.25))
        """Of the people who write in the second language."""
        self.clients = [name for name, _ in APPS]
        self._client_shares = rng.dirichlet(60 * np.array([share for _, share in APPS]))
        self._lumps = [
            (float(rng.uniform(OPENED_S + 2 * 365 * DAY_S, self.start_s - 30 * DAY_S)), float(length))
            for length in rng.uniform(5, 60, int(rng.integers(2, 6)))
        ]
        self._used: set[str] = set()
        self._next = int(rng.integers(10**8, 10**9))

    def subject(self, which: int = 0) -> Subject:
        """A new subject in the first or the second language."""
        return subject(self.rng, self.tongues[which])

    def born(self, count: int) -> NDArray[np.int64]:
        """Creation times in s of ordinary accounts: more recent ones than old ones, with lumps; (count,)."""
        rng = self.rng
        span = self.start_s - OPENED_S
        age = rng.beta(1.1, 1.5, count) * span
        lumpy = rng.random(count) < 0.12
        which = rng.integers(0, len(self._lumps), count)
        at = np.array([first for first, _ in self._lumps])[which]
        within = rng.exponential(1, count) * np.array([days for _, days in self._lumps])[which] * DAY_S
        lump_age = self.start_s - np.minimum(at + within, self.start_s - 3_600)
        new = rng.random(count) < 0.04
        age = np.where(lumpy, lump_age, np.where(new, rng.exponential(40 * DAY_S, count), age))
        out: NDArray[np.int64] = self.start_s - np.clip(age, 1_800, span).astype(np.int64)
        return out

    def client(self, count: int, born_s: NDArray[np.int64] | None = None) -> list[str]:
        """Clients of ordinary accounts; old accounts write in a browser more often than young ones do."""
        shares = np.tile(self._client_shares, (count, 1))
        if born_s is not None:
            age = (self.start_s - born_s) / (365 * DAY_S)
            shares[:, 1] *= np.exp(-0.08 * age)
            shares[:, 2] *= 1 + 0.12 * age
            shares[:, 4:] *= (1 + 0.06 * age)[:, None]
            shares /= shares.sum(1, keepdims=True)
        which = (self.rng.random(count)[:, None] > np.cumsum(shares, 1)).sum(1)
        return [self.clients[min(i, len(self.clients) - 1)] for i in which.tolist()]

    def people(self, count: int, born_s: NDArray[np.int64] | None = None) -> list[Person]:
        """Ordinary accounts; what they follow, have sent and show of themselves goes with their age."""
        rng = self.rng
        born = self.born(count) if born_s is None else born_s
        age_days = (self.start_s - born) / DAY_S
        known = np.log1p(age_days)
        following = np.exp(rng.normal(3.1 + 0.36 * known, 1.0, count)).astype(np.int64)
        followers = np.exp(rng.normal(0.2 + 0.3 * known + 0.55 * np.log1p(following), 1.3, count)).astype(
            np.int64
        )
        sent = (age_days * rng.lognormal(0.2, 1.6, count)).astype(np.int64) + rng.geometric(0.2, count)
        settled = 1 / (1 + np.exp(-(0.5 * np.log1p(sent) + 0.25 * known - 4.0)))
        verified = (followers > 20_000) & (rng.random(count) < 0.4)
        columns = zip(
            born.tolist(),
            followers.tolist(),
            following.tolist(),
            sent.tolist(),
            self.client(count, born),
            (rng.random(count) < 0.25 + 0.7 * settled).tolist(),
            (rng.random(count) < 0.1 + 0.8 * settled).tolist(),
            (rng.random(count) < 0.95 - 0.75 * settled).tolist(),
            verified.tolist(),
            strict=True,
        )
        handles = self.handles(count)
        return [
            Person(self.account_id(), handle, 1_000 * column[0], *column[1:])
            for handle, column in zip(handles, columns, strict=True)
        ]

    def account_id(self) -> str:
        """An id that no other account has; it says nothing of the account's age."""
        self._next += 1 + int(self.rng.integers(0, 5_000))
        return str(self._next)

    def handles(self, count: int) -> list[str]:
        """Handles that no other account has."""
        words = tuple(self.tongues[0 if self.script == "latin" else 1].words[200:2_200])
        out = []
        for first, second, number in self.rng.integers(0, 2**31, (count, 3)).tolist():
            name = f"{words[first % len(words)]}{('', '_', '')[second % 3]}{words[second % len(words)]}"[:12]
            name += str(number % 1_000) if number % 5 < 2 else ""
            while name in self._used:
                number += 1
                name = f"{name[:10]}{number % 100_000}"
            self._used.add(name)
            out.append(name)
        return out

    def app(self) -> str:
        """The name of a client that only one operator has."""
        words = self.tongues[0 if self.script == "latin" else 1].words
        return f"{words[int(self.rng.integers(300, 3_000))].title()} Poster"
