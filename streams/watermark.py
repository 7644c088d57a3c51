"""How far event time has come, by the clocks of the source partitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import structs

TICK_MS: Final = 10_000
"""Clocks go by ticks: fine enough for a hop of a minute, coarse enough to tell a batch in a few words."""

LEAP_MS: Final = 10 * 60_000
"""A post further ahead of its partition than this moves the clock only once others have followed it."""

LEAP_POSTS: Final = 3
"""How many posts in a row must be so far ahead until that is believed: after a gap in an archive the posts
go on, one with a wrong date stays alone."""


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """Posts of one tick that follow each other in a source partition.

    Attributes
    ----------
    tick : int
        Event time in units of `TICK_MS`.
    first : int
        Offset of the first message.
    messages : int
        How many messages follow each other.
    posts : int
        Posts of this tick in each of them.
    """

    tick: int
    first: int
    messages: int
    posts: int

    @property
    def end(self) -> int:
        """The offset after the last message."""
        return self.first + self.messages

    def longer(self) -> Stretch:
        """With one message more."""
        return structs.replace(self, messages=self.messages + 1)

    def since(self, offset: int) -> int:
        """How many of the posts are in messages at or after an offset."""
        return self.posts * min(self.messages, max(0, self.end - offset))


class SourceClock(msgspec.Struct, frozen=True, array_like=True):
    """The newest event time of one source partition, and a leap that is not yet believed.

    A function of the posts in the order of their offsets, however they were cut into batches.

    Attributes
    ----------
    newest_ms : int or None
        Start of the newest tick; None until the first post is believed.
    leap_ms : int
        Start of the oldest tick in a run of posts far ahead of `newest_ms`: whatever a wrong date among them
        says, the clock does not go further.
    leap_posts : int
        Length of that run.
    idle : bool
        The source has been silent for so long that nobody waits for it.
    ended : bool
        The source said that nothing more will come.
    replaying : bool
        An archive began and has not ended: until then the source is not idle, however long it is silent.
    last : tuple of int
        The newest ticks of all posts, believed or not, by rising time; `LEAP_POSTS` of them at the most.
    episode : int
        How often posts had come after a silence of all sources when this one last spoke, or had said twice
        that it is silent.
    repeated : bool
        In a later episode it has said so once.
    """

    newest_ms: int | None = None
    leap_ms: int = 0
    leap_posts: int = 0
    idle: bool = False
    ended: bool = False
    replaying: bool = False
    last: tuple[int, ...] = ()
    episode: int = 0
    repeated: bool = False

    def advance(
        self,
        batch: Sequence[Stretch],
        since: int = 0,
        *,
        idle: bool = False,
        begun: bool = False,
        ended: bool = False,
    ) -> SourceClock:
        """The clock after a batch.

        Parameters
        ----------
        batch : by rising offset
        since : int
            Offset before which posts have been seen already.
        idle, begun, ended : bool
            What the source said with this batch. Without posts, what it said before stands.
        """
        counted = [(stretch.tick * TICK_MS, stretch.since(since)) for stretch in batch]
        newest, leap = self.newest_ms, (self.leap_ms, self.leap_posts)
        for time_ms, posts in counted:
            newest, leap = _after(newest, leap, time_ms, posts)
        silent = not _spoke(batch, since, begun=begun)
        replaying = not ended and (begun or self.replaying)
        idle = not replaying and (idle or (self.idle and silent))
        seen = (time_ms for time_ms, posts in counted for _ in range(min(posts, LEAP_POSTS)))
        last = _last((*self.last, *seen))
        ended = ended or (self.ended and silent)
        return SourceClock(newest, *leap, idle, ended, replaying, last, self.episode)


def _spoke(batch: Sequence[Stretch], since: int, *, begun: bool) -> bool:
    return begun or any(stretch.since(since) for stretch in batch)


def _after(
    newest_ms: int | None, leap: tuple[int, int], time_ms: int, posts: int
) -> tuple[int | None, tuple[int, int]]:
    """The newest tick and the run of leaps (oldest tick, posts) after so many posts of one tick."""
    while posts:
        if newest_ms is not None and time_ms <= newest_ms + LEAP_MS:
            return max(newest_ms, time_ms), (0, 0)
        leap_ms, seen = leap
        taken = min(posts, LEAP_POSTS - seen)
        leap = (min(leap_ms, time_ms) if seen else time_ms, seen + taken)
        posts -= taken
        if leap[1] == LEAP_POSTS:
            newest_ms, leap = leap[0], (0, 0)
    return newest_ms, leap


class Clocks:
    """The clocks of all source partitions at one moment.

    Sources that are idle or have ended are not waited for. If all of them were silent and one speaks, an
    episode begins, and the silence of the others counts again once they have repeated it twice: what kept all
    of them silent may have ended for all of them, and the first to be read would take event time past posts
    of the others that are on their way. The first time tells of a silence that may have begun before.
    """

    def __init__(self, clocks: Mapping[int, SourceClock], sources: Collection[int]) -> None:
        self._clocks = clocks
        self._all = [clocks.get(source, SourceClock()) for source in sources]
        self._episode = max(clock.episode for clock in self._all)

    @property
    def ended(self) -> bool:
        """Whether every source said that nothing more will come."""
        return all(clock.ended and self._is_silent(clock) for clock in self._all)

    @property
    def silent(self) -> int:
        """How many sources nobody waits for."""
        return sum(map(self._is_silent, self._all))

    def after(
        self,
        source: int,
        batch: Sequence[Stretch],
        since: int = 0,
        *,
        idle: bool = False,
        begun: bool = False,
        ended: bool = False,
    ) -> SourceClock:
        """The clock of one source after a batch; arguments as those of `SourceClock.advance`."""
        known = self._clocks.get(source, SourceClock())
        clock = known.advance(batch, since, idle=idle, begun=begun, ended=ended)
        begins = _spoke(batch, since, begun=begun) and all(map(self._is_silent, self._all))
        if idle and known.episode < self._episode and not known.repeated:
            return structs.replace(clock, repeated=True)
        return structs.replace(clock, episode=self._episode + begins, repeated=False)

    def watermark(self, lateness_ms: int) -> int | None:
        """The event time below which no more posts are expected; None while it cannot be told.

        Parameters
        ----------
        lateness_ms : int
            How far behind its partition's newest post a post may come.

        Notes
        -----
        Where all sources are idle or have ended, time has come as far as the furthest of them: which one fell
        silent first must not matter.
        """
        if self.ended:
            return _end(self._all)
        waiting = [clock.newest_ms for clock in self._all if not self._is_silent(clock)]
        told = [clock.newest_ms for clock in self._all if clock.newest_ms is not None]
        if not waiting:
            return max(told) - lateness_ms if told else None
        known = [newest_ms for newest_ms in waiting if newest_ms is not None]
        return min(known) - lateness_ms if len(known) == len(waiting) else None

    def _is_silent(self, clock: SourceClock) -> bool:
        return (clock.idle or clock.ended) and clock.episode == self._episode


def _last(times_ms: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(times_ms)[-LEAP_POSTS:])


def _end(clocks: Sequence[SourceClock]) -> int | None:
    """Just after the last post, when nothing more will come from anywhere.

    As far as `LEAP_POSTS` of the posts of all sources reach, and on in steps that are no leaps: how an
    archive is dealt out over partitions must not decide where it ends.
    """
    last = _last(time_ms for clock in clocks for time_ms in clock.last)
    if not last:
        return None
    end_ms = last[0]
    for time_ms in last:
        if time_ms <= end_ms + LEAP_MS:
            end_ms = time_ms
    return end_ms + TICK_MS
