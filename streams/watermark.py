"""How far event time has come, by the clocks of the source partitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

LEAP_MS: Final = 10 * 60_000
"""A post further ahead of its partition than this moves the clock only once others have followed it."""

LEAP_POSTS: Final = 3
"""How many posts in a row must be so far ahead until that is believed: after a gap in an archive the posts
go on, one with a wrong date stays alone."""


class SourceClock(msgspec.Struct, frozen=True, array_like=True):
    """The newest event time of one source partition, and a leap that is not yet believed.

    Attributes
    ----------
    newest_ms : int or None
        None until the first post is believed.
    leap_ms : int
        Oldest time of a run of posts far ahead of `newest_ms`: whatever a wrong date among them says, the
        clock does not go further.
    leap_posts : int
        Length of that run.
    ended : bool
        The source said that nothing more will come.
    """

    newest_ms: int | None = None
    leap_ms: int = 0
    leap_posts: int = 0
    ended: bool = False

    def advance(self, batch: Sequence[tuple[int, int]], *, ended: bool) -> SourceClock:
        """The clock after a micro-batch of (newest time of a minute in ms, posts), oldest first."""
        newest, leap_ms, leap_posts = self.newest_ms, self.leap_ms, self.leap_posts
        for time_ms, posts in batch:
            if newest is not None and time_ms <= newest + LEAP_MS:
                newest, leap_ms, leap_posts = max(newest, time_ms), 0, 0
                continue
            leap_ms = min(leap_ms, time_ms) if leap_posts else time_ms
            leap_posts += posts
            if leap_posts >= LEAP_POSTS:
                newest, leap_ms, leap_posts = leap_ms, 0, 0
        return SourceClock(newest, leap_ms, leap_posts, ended or (self.ended and not batch))


def watermark(
    clocks: Mapping[int, SourceClock], sources: Collection[int], idle: Collection[int], lateness_ms: int
) -> int | None:
    """The event time below which no more posts are expected; None while it cannot be told.

    Parameters
    ----------
    clocks : by source partition
    sources : all source partitions
    idle : source partitions that sent nothing for so long that nobody waits for them
    lateness_ms : int
        How far behind its partition's newest post a post may come.
    """
    wanted = [clocks.get(source, SourceClock()) for source in sources if source not in idle]
    waiting = [clock for clock in wanted if not clock.ended]
    if waiting:
        newest = [clock.newest_ms for clock in waiting]
        told = [time_ms for time_ms in newest if time_ms is not None]
        return min(told) - lateness_ms if len(told) == len(newest) else None
    return _end(list(clocks.values())) if wanted else None


def _end(clocks: Sequence[SourceClock]) -> int | None:
    """Just after the last post, when nothing more will come from anywhere.

    Leaps too short to be believed in one partition are counted together: how an archive is dealt out over
    partitions must not decide where it ends.
    """
    told = [clock.newest_ms for clock in clocks if clock.newest_ms is not None]
    leaps = [clock for clock in clocks if clock.leap_posts]
    if sum(clock.leap_posts for clock in leaps) >= LEAP_POSTS or not told:
        told += [min(clock.leap_ms for clock in leaps)] if leaps else []
    return max(told) + 1 if told else None
