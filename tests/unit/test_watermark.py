"""Event time by the clocks of the source partitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.watermark import LEAP_MS, LEAP_POSTS, SourceClock, watermark

T = 1_469_563_200_000
MINUTE = 60_000
YEAR = 365 * 86_400_000
LATE = 120_000


def clock(*batches: list[tuple[int, int]]) -> SourceClock:
    out = SourceClock()
    for batch in batches:
        out = out.advance(batch, ended=False)
    return out


def test_clock_is_the_newest_post() -> None:
    assert clock([(T, 3)], [(T + MINUTE, 5)], [(T + 30_000, 1)]).newest_ms == T + MINUTE
    assert SourceClock().newest_ms is None


@pytest.mark.parametrize("away", [-47 * YEAR, 5 * YEAR])
@pytest.mark.parametrize("posts", range(1, LEAP_POSTS))
def test_first_posts_with_a_wrong_date_do_not_set_the_clock_ahead(away: int, posts: int) -> None:
    ahead = clock([(T + away, posts)], *([(T + i * MINUTE, 1)] for i in range(6))).newest_ms
    assert ahead is not None
    assert T <= ahead <= T + 5 * MINUTE


@pytest.mark.parametrize("posts", range(1, LEAP_POSTS))
def test_few_posts_dated_far_ahead_do_not_move_the_clock(posts: int) -> None:
    assert clock([(T, 10)], [(T + YEAR, posts)]).newest_ms == T
    assert clock([(T, 10), (T + YEAR, posts)], [(T + MINUTE, 1)]).newest_ms == T + MINUTE


def test_single_posts_far_ahead_never_add_up_while_others_come_in_between() -> None:
    batches = [[(T + i * MINUTE, 3), (T + YEAR + i, 1)] for i in range(20)]
    assert clock([(T, 1)], *batches).newest_ms == T + 19 * MINUTE


def test_leap_is_believed_once_others_follow() -> None:
    assert (
        clock([(T, 10)], [(T + YEAR, 1)], [(T + YEAR + MINUTE, 2)], [(T + YEAR + MINUTE, 1)]).newest_ms
        == T + YEAR + MINUTE
    )


def test_leap_goes_no_further_than_its_oldest_post() -> None:
    """One wrong date among those that follow a gap does not carry the clock with it."""
    assert clock([(T, 10)], [(T + YEAR, 2), (T + 9 * YEAR, 1)]).newest_ms == T + YEAR
    assert clock([(T, 10)], [(T + 9 * YEAR, 1)], [(T + YEAR, 2)]).newest_ms == T + YEAR


def test_sparse_posts_are_followed_at_a_distance() -> None:
    now = clock([(T, 3)], *([(T + hour * 60 * MINUTE, 1)] for hour in range(1, 25)))
    assert now.newest_ms is not None
    assert now.newest_ms >= T + 20 * 60 * MINUTE


@given(
    st.lists(
        st.lists(st.tuples(st.integers(T - YEAR, T + YEAR), st.integers(1, 5)), max_size=5).map(sorted),
        max_size=12,
    )
)
def test_clock_never_goes_back_and_shows_a_time_that_was_seen(batches: list[list[tuple[int, int]]]) -> None:
    now = SourceClock()
    times = {time_ms for batch in batches for time_ms, _ in batch}
    for batch in batches:
        following = now.advance(batch, ended=False)
        if now.newest_ms is not None:
            assert following.newest_ms is not None
            assert following.newest_ms >= now.newest_ms
        assert following.newest_ms is None or following.newest_ms in times
        now = following


@given(st.lists(st.integers(0, LEAP_MS), min_size=1, max_size=30))
def test_steady_stream_is_followed_post_by_post(steps: list[int]) -> None:
    now, time_ms = SourceClock(T), T
    for step in steps:
        time_ms += step
        now = now.advance([(time_ms, 1)], ended=False)
        assert now.newest_ms == time_ms


def test_end_is_remembered_until_posts_come_again() -> None:
    ended = clock([(T, 1)]).advance([], ended=True)
    assert ended.ended
    assert ended.advance([], ended=False).ended
    assert not ended.advance([(T, 1)], ended=False).ended


def test_watermark_is_the_slowest_source_less_the_lateness() -> None:
    clocks = {0: SourceClock(T), 1: SourceClock(T + MINUTE)}
    assert watermark(clocks, {0, 1}, (), LATE) == T - LATE
    assert watermark(clocks, {1}, (), LATE) == T + MINUTE - LATE


def test_watermark_is_unknown_while_a_source_is_silent_unless_it_is_idle() -> None:
    clocks = {0: SourceClock(T)}
    assert watermark(clocks, {0, 1}, (), LATE) is None
    assert watermark(clocks, {0, 1}, {1}, LATE) == T - LATE
    assert watermark({}, {0, 1}, {0, 1}, LATE) is None


def test_idle_sources_alone_close_nothing() -> None:
    assert watermark({0: SourceClock(T)}, {0}, {0}, LATE) is None


def test_ended_source_is_not_waited_for() -> None:
    ended = SourceClock(T, ended=True)
    assert watermark({0: ended, 1: SourceClock(T + YEAR)}, {0, 1}, (), LATE) == T + YEAR - LATE


def test_all_sources_ended_leave_nothing_to_wait_for() -> None:
    clocks = {0: SourceClock(T, ended=True), 1: SourceClock(T + 7, ended=True), 2: SourceClock(ended=True)}
    assert watermark(clocks, {0, 1, 2}, (), LATE) == T + 8
    assert watermark(clocks, {0, 1, 2, 3}, {3}, LATE) == T + 8
    assert watermark({2: SourceClock(ended=True)}, {2}, (), LATE) is None


def test_short_leaps_of_several_ended_partitions_are_counted_together() -> None:
    """However an archive is dealt out over partitions, its last posts after a gap are reached."""
    together = SourceClock(T).advance([(T + YEAR, 3)], ended=True)
    apart = {p: SourceClock(T).advance([(T + YEAR, 1)], ended=True) for p in range(3)}
    assert watermark({0: together}, {0}, (), LATE) == watermark(apart, {0, 1, 2}, (), LATE) == T + YEAR + 1
