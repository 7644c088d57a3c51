"""How far event time has come, by the clocks of the source partitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

LEAP_MS: Final = 10 * 60_000
"""A post further ahead of its partition than this moves the clock only once others have followed it."""

LEAP_POSTS: Final = 3
"""How many posts in a row must be there before a leap is believed: a gap in an archive goes on, one post
with a wrong date does not."""


class SourceClock(msgspec.Struct, frozen=True, array_like=True):
    """The newest event time of one source partition, and a leap that is not yet believed.

    Attributes
    ----------
    newest_ms : int or None
        None until the first post is believed.
    leap_ms : int
        Newest time of a run of posts far ahead of `newest_ms`.
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
            if newest is None or time_ms <= newest + LEAP_MS:
                newest = time_ms if newest is None else max(newest, time_ms)
                if leap_posts:
                    leap_ms = leap_posts = 0
                continue
            follows = leap_posts and abs(time_ms - leap_ms) <= LEAP_MS
            leap_posts = leap_posts + posts if follows else posts
            leap_ms = max(leap_ms, time_ms) if follows else time_ms
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
    told = [clock.newest_ms for clock in clocks.values() if clock.newest_ms is not None]
    if not told:
        return None
    waiting = [s for s in sources if s not in idle and not clocks.get(s, SourceClock()).ended]
    if not waiting:
        all_ended = all(clocks.get(s, SourceClock()).ended for s in sources if s not in idle)
        return max(told) + 1 if all_ended else None
    newest = [clocks[s].newest_ms if s in clocks else None for s in waiting]
    least = [time_ms for time_ms in newest if time_ms is not None]
    return min(least) - lateness_ms if len(least) == len(newest) else None
