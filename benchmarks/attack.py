"""One replay while workers and servers are killed: what is done when, and how soon it is recovered from."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks import found
from benchmarks.chaos_case import Case
from benchmarks.chaos_page import Kill
from benchmarks.feed import Feed
from benchmarks.supervision import Supervision
from streams import clock, live
from streams.settings import Settings
from streams.topics import BrokerError

AT_ONCE_SHARE: Final = 0.3
"""So many kills do not wait until the last one is recovered from."""

MOST_S: Final = 2.0
"""A kill comes within so long after posts were sent; one that does not wait, within twice as long."""

RECOVER_S: Final = 180.0
POLL_S: Final = 0.05


class Strike(NamedTuple):
    """One kill as it is planned.

    Attributes
    ----------
    which : int
        Chooses among several of the kind.
    after_s : float
        How long after a portion of posts was let go.
    at_once : bool
        Whether it comes without waiting until the last one is recovered from.
    """

    kind: str
    which: int
    after_s: float
    at_once: bool


def plan(kills: int, kinds: Sequence[str], rng: random.Random) -> list[Strike]:
    """So many kills, as many of each kind, in random order."""
    dealt = [kinds[number % len(kinds)] for number in range(kills)]
    rng.shuffle(dealt)
    out = []
    for kind in dealt:
        at_once = rng.random() < AT_ONCE_SHARE
        out.append(Strike(kind, rng.randrange(2**16), rng.uniform(0, MOST_S * (1 + at_once)), at_once))
    return out


def shares(total: int, parts: int) -> list[int]:
    """A number in so many parts that differ by one at the most.

    >>> shares(5, 4)
    [2, 1, 1, 1]
    """
    return [total // parts + (number < total % parts) for number in range(parts)]


@dataclass
class Attack:
    """One round: a deployment, what is sent to it, and what is done to it.

    Attributes
    ----------
    told : callable
        Called with every kill once it is recovered from.
    kills : list of Kill
        Those so far, in order.
    """

    case: Case
    feed: Feed
    supervision: Supervision
    settings: Settings
    told: Callable[[Kill], None]
    kills: list[Kill] = field(default_factory=list)
    _targets: list[int] = field(default_factory=list)
    _begun_s: float = field(default_factory=clock.monotonic_s)

    def __post_init__(self) -> None:
        # The poll is the retry; one that takes longer would make recoveries seem so.
        self._client = redis.Redis.from_url(
            self.settings.redis_url, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )

    def run(self, strikes: Sequence[Strike]) -> None:
        """Send everything in as many portions as there are kills, and kill; ends when all is told."""
        total = len(self.case.messages)
        for number, strike in enumerate(strikes, 1):
            if not strike.at_once:
                self._await_recovered()
            self.feed.release(total * (2 * number - 1) // (2 * len(strikes)))
            self._pass(strike.after_s)
            self._strike(strike, total * number // len(strikes))
        self.feed.release(total)
        self._await(lambda: self.feed.done or self.feed.failure is not None, "all posts are sent")
        self._await_recovered()
        self._await_told()

    def _strike(self, strike: Strike, target: int) -> None:
        """Kill, and let more messages go at the same moment: there is always something to recover for."""
        self._await(lambda: self.supervision.can_kill(strike.kind), f"there is a {strike.kind} to kill")
        during = not self._recovered()
        self._targets.append(target)
        self.kills.append(Kill(strike.kind, round(self._now_s(), 3), during))
        self.supervision.kill(strike.kind, strike.which)
        self.feed.release(target)

    def _now_s(self) -> float:
        return clock.monotonic_s() - self._begun_s

    def _pass(self, seconds: float) -> None:
        until_s = self._now_s() + seconds
        while self._now_s() < until_s:
            self._step()

    def _await(self, ready: Callable[[], bool], what: str) -> None:
        until_s = self._now_s() + RECOVER_S
        while not ready():
            if self._now_s() > until_s:
                self.supervision.failures.append(f"not within {RECOVER_S:g} s: {what}")
                return
            self._step()

    def _await_recovered(self) -> None:
        self._await(self._recovered, "all messages let go at the last kill are counted")

    def _await_told(self) -> None:
        try:
            live.wait_closed(self.settings, self.supervision.tend, RECOVER_S)
        except (TimeoutError, BrokerError) as error:
            self.supervision.failures.append(str(error))

    def _step(self) -> None:
        self.supervision.tend()
        if not self._recovered():
            self._look()
        time.sleep(POLL_S)

    def _recovered(self) -> bool:
        return all(kill.recovered_s is not None for kill in self.kills)

    def _look(self) -> None:
        """See which kills are recovered from by now: all that was let go by then is counted."""
        try:
            marks = found.marks(self._client, self.settings)
        except redis.RedisError:
            return
        now_s = self._now_s()
        for number, (kill, target) in enumerate(zip(self.kills, self._targets, strict=True)):
            if kill.recovered_s is None and self._counted(target, marks):
                self.kills[number] = kill.after(round(now_s - kill.at_s, 3))
                self.told(self.kills[number])

    def _counted(self, target: int, marks: Mapping[int, int]) -> bool:
        if self.feed.sent < target:
            return False
        return all(marks[source] >= end for source, end in self.feed.ends(target).items())
