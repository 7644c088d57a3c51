"""Event time by the clocks of the source partitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import pytest
from builders import post
from hypothesis import given
from hypothesis import strategies as st

from streams.packets import stretches
from streams.watermark import LEAP_MS, LEAP_POSTS, TICK_MS, Clocks, SourceClock, Stretch

T = 1_469_563_200_000
MINUTE = 60_000
YEAR = 365 * 86_400_000
LATE = 120_000


def watermark(clocks: Mapping[int, SourceClock], sources: Collection[int], lateness_ms: int) -> int | None:
    return Clocks(clocks, sources).watermark(lateness_ms)


def clock(*batches: list[tuple[int, int]]) -> SourceClock:
    """The clock after batches of (event time in ms, posts), every post in a message of its own."""
    out, offset = SourceClock(), 0
    for batch in batches:
        told = []
        for time_ms, posts in batch:
            told.append(Stretch(time_ms // TICK_MS, offset, posts, 1))
            offset += posts
        out = out.advance(told)
    return out


def test_clock_is_the_tick_of_the_newest_post() -> None:
    assert clock([(T, 3)], [(T + MINUTE, 5)], [(T + 30_000, 1)]).newest_ms == T + MINUTE
    assert clock([(T, 3)], [(T + MINUTE + TICK_MS - 1, 1)]).newest_ms == T + MINUTE
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


@pytest.mark.parametrize("one_batch", [True, False])
def test_single_posts_far_ahead_never_add_up_while_others_come_in_between(one_batch: bool) -> None:
    batches = [[(T + i * MINUTE, 3), (T + YEAR + i, 1)] for i in range(20)]
    if one_batch:
        batches = [[pair for batch in batches for pair in batch]]
    assert clock([(T, 3)], *batches).newest_ms == T + 19 * MINUTE


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


near = st.integers(T // TICK_MS - 3, T // TICK_MS + 100)
far = st.sampled_from([0, (T - YEAR) // TICK_MS, (T + YEAR) // TICK_MS, (T + 2 * YEAR) // TICK_MS])
messages = st.lists(st.lists(near | far, max_size=4), max_size=40)
"""Messages of one source, as the ticks of their posts."""


def told(numbered: Iterable[tuple[int, Sequence[int]]]) -> list[Stretch]:
    return stretches(
        [
            (offset, post(0, 0, (tick * TICK_MS - T) / 1_000, "x"))
            for offset, ticks in numbered
            for tick in ticks
        ]
    )


def plainly(ticks: Sequence[int]) -> SourceClock:
    """The rule post by post."""
    newest: int | None = None
    run: list[int] = []
    for tick in ticks:
        if newest is not None and tick * TICK_MS <= newest * TICK_MS + LEAP_MS:
            newest, run = max(newest, tick), []
            continue
        run.append(tick)
        if len(run) == LEAP_POSTS:
            newest, run = min(run), []
    last = tuple(tick * TICK_MS for tick in sorted(ticks)[-LEAP_POSTS:])
    newest_ms = None if newest is None else newest * TICK_MS
    return SourceClock(newest_ms, min(run, default=0) * TICK_MS, len(run), last=last)


@given(messages, st.lists(st.integers(0, 40), max_size=12))
def test_clock_depends_on_the_posts_and_not_on_batches_or_repetitions(
    sent: list[list[int]], cuts: list[int]
) -> None:
    """Batches end anywhere, and any of them begins again before where the last one ended."""
    numbered = list(enumerate(sent))
    now, mark = SourceClock(), 0
    ends = [*sorted(cuts), len(sent)]
    for begin, end in zip([0, *cuts], ends, strict=True):
        now = now.advance(told(numbered[min(begin, mark) : end]), mark)
        mark = max(mark, end)
    assert now == plainly([tick for ticks in sent for tick in ticks])


@given(messages)
def test_clock_never_goes_back_and_shows_a_time_that_was_seen(sent: list[list[int]]) -> None:
    now = SourceClock()
    seen = {tick * TICK_MS for ticks in sent for tick in ticks}
    for offset, ticks in enumerate(sent):
        following = now.advance(told([(offset, ticks)]))
        if now.newest_ms is not None:
            assert following.newest_ms is not None
            assert following.newest_ms >= now.newest_ms
        assert following.newest_ms is None or following.newest_ms in seen
        now = following


@given(st.lists(st.integers(0, LEAP_MS // TICK_MS), min_size=1, max_size=30))
def test_steady_stream_is_followed_post_by_post(steps: list[int]) -> None:
    now, tick = SourceClock(T), T // TICK_MS
    for step in steps:
        tick += step
        now = now.advance([Stretch(tick, 0, 1, 1)])
        assert now.newest_ms == tick * TICK_MS


def test_a_batch_of_one_moment_is_told_in_one_word() -> None:
    assert told([(n, [5]) for n in range(500)]) == [Stretch(5, 0, 500, 1)]
    assert told([(n, [5] * 50) for n in range(10)]) == [Stretch(5, 0, 10, 50)]
    assert told([(0, [5]), (2, [5])]) == [Stretch(5, 0, 1, 1), Stretch(5, 2, 1, 1)]


@pytest.mark.parametrize("word", ["idle", "ended"])
def test_last_word_is_remembered_until_posts_come_again(word: str) -> None:
    said = clock([(T, 1)]).advance([], **{word: True})
    assert getattr(said, word)
    assert getattr(said.advance([]), word)
    assert not getattr(said.advance([Stretch(T // TICK_MS, 9, 1, 1)]), word)
    assert getattr(said.advance([Stretch(T // TICK_MS, 9, 1, 1)], 10), word), "a repeated post says nothing"


def test_source_of_a_replay_is_not_idle_until_it_ends() -> None:
    """A replay that a broker holds up goes on where it was, with many minutes of event time a second."""
    begun = clock([(T, 1)]).advance([], begun=True)
    assert begun.replaying
    assert not begun.advance([], idle=True).idle
    assert not begun.advance([Stretch(T // TICK_MS, 9, 1, 1)]).advance([], idle=True).idle
    ended = begun.advance([], ended=True)
    assert (ended.ended, ended.replaying) == (True, False)
    assert not ended.advance([], begun=True).ended
    abandoned = begun.advance([], idle=True, ended=True)
    assert (abandoned.ended, abandoned.replaying) == (True, False)


def test_watermark_is_the_slowest_source_less_the_lateness() -> None:
    clocks = {0: SourceClock(T), 1: SourceClock(T + MINUTE)}
    assert watermark(clocks, {0, 1}, LATE) == T - LATE
    assert watermark(clocks, {1}, LATE) == T + MINUTE - LATE


def test_watermark_is_unknown_while_a_source_is_silent_unless_it_is_idle() -> None:
    assert watermark({0: SourceClock(T)}, {0, 1}, LATE) is None
    assert watermark({0: SourceClock(T), 1: SourceClock(idle=True)}, {0, 1}, LATE) == T - LATE
    assert watermark({0: SourceClock(idle=True), 1: SourceClock(idle=True)}, {0, 1}, LATE) is None


def test_idle_sources_alone_leave_time_where_the_furthest_of_them_was() -> None:
    clocks = {0: SourceClock(T, idle=True), 1: SourceClock(T + YEAR, idle=True)}
    assert watermark(clocks, {0, 1}, LATE) == T + YEAR - LATE


def test_ended_source_is_not_waited_for() -> None:
    ended = SourceClock(T, ended=True)
    assert watermark({0: ended, 1: SourceClock(T + YEAR)}, {0, 1}, LATE) == T + YEAR - LATE


def test_all_sources_ended_leave_nothing_to_wait_for() -> None:
    clocks = {
        0: clock([(T, 1)]).advance([], ended=True),
        1: clock([(T + TICK_MS, 1)]).advance([], ended=True),
        2: SourceClock(ended=True),
    }
    assert watermark(clocks, {0, 1, 2}, LATE) == T + 2 * TICK_MS
    assert watermark(clocks, {0, 1, 2, 3}, LATE) is None, "one that never spoke is waited for"
    clocks |= {0: SourceClock(T + TICK_MS, ended=True), 3: SourceClock(idle=True)}
    assert watermark(clocks, {0, 1, 2, 3}, LATE) == T + TICK_MS - LATE
    assert watermark({2: SourceClock(ended=True)}, {2}, LATE) is None


@pytest.mark.parametrize("word", ["idle", "ended"])
def test_silence_of_the_others_counts_again_once_they_have_repeated_it_twice(word: str) -> None:
    clocks = {p: SourceClock(T, **{word: True}) for p in range(3)}

    def hear(source: int, *times_ms: int, **said: bool) -> int | None:
        batch = [Stretch(time_ms // TICK_MS, 0, 1, 1) for time_ms in times_ms]
        clocks[source] = Clocks(clocks, range(3)).after(source, batch, **said)
        return watermark(clocks, range(3), LATE)

    assert hear(0, T + MINUTE) == T - LATE, "posts of the others may be on their way"
    assert hear(1, idle=True) == T - LATE, "its silence may have begun before"
    assert hear(1, idle=True) == T - LATE
    assert hear(2, T + 2 * MINUTE) == T + MINUTE - LATE
    assert hear(0, T + 3 * MINUTE) == T + 2 * MINUTE - LATE
    assert hear(2, idle=True) == T + 3 * MINUTE - LATE, "it spoke in between: once is enough"
    assert hear(0, idle=True) == T + 3 * MINUTE - LATE
    assert hear(1, T + 4 * MINUTE, ended=True) == T + 2 * MINUTE - LATE, "the next episode"
    assert not Clocks(clocks, range(3)).ended
    assert Clocks(clocks, range(3)).silent == 1
    assert [hear(source, idle=True) for source in (0, 2, 2)] == [T + 2 * MINUTE - LATE] * 2 + [
        T + 3 * MINUTE - LATE
    ]
    assert hear(0, idle=True) == T + 4 * MINUTE - LATE, "all are silent again"


def test_what_had_ended_has_still_ended_when_its_silence_counts_again() -> None:
    clocks = {p: SourceClock(T, ended=True) for p in range(2)}
    clocks[0] = Clocks(clocks, range(2)).after(0, [Stretch(T // TICK_MS, 9, 1, 1)], ended=True)
    for _ in range(2):
        assert not Clocks(clocks, range(2)).ended
        clocks[1] = Clocks(clocks, range(2)).after(1, [], idle=True)
    assert Clocks(clocks, range(2)).ended


def test_an_archive_that_begins_after_all_have_ended_is_waited_for_everywhere() -> None:
    clocks = {p: SourceClock(T, ended=True) for p in range(2)}
    assert Clocks(clocks, range(2)).ended
    clocks[0] = Clocks(clocks, range(2)).after(
        0, [Stretch(T // TICK_MS + 60, 9, 1, 1)], begun=True, ended=True
    )
    assert not Clocks(clocks, range(2)).ended
    assert watermark(clocks, range(2), LATE) == T - LATE
    clocks[1] = Clocks(clocks, range(2)).after(1, [], ended=True)
    assert Clocks(clocks, range(2)).ended, "an end is an end, there is nothing to repeat"


def test_short_leaps_of_several_ended_partitions_are_counted_together() -> None:
    """However an archive is dealt out over partitions, its last posts after a gap are reached."""
    leap = [Stretch((T + YEAR) // TICK_MS, 0, 3, 1)]
    one = [Stretch((T + YEAR) // TICK_MS, 0, 1, 1)]
    together = SourceClock(T).advance(leap, ended=True)
    apart = {p: SourceClock(T).advance(one, ended=True) for p in range(3)}
    reached = [watermark({0: together}, {0}, LATE), watermark(apart, {0, 1, 2}, LATE)]
    assert all(mark is not None and mark // TICK_MS == (T + YEAR) // TICK_MS + 1 for mark in reached)


@given(st.lists(near | far, min_size=1, max_size=40), st.lists(st.integers(0, 7), min_size=40, max_size=40))
def test_how_posts_are_dealt_out_and_in_what_order_does_not_decide_where_they_end(
    ticks: list[int], deal: list[int]
) -> None:
    dealt = {p: [t for t, to in zip(ticks, deal, strict=False) if to == p] for p in range(8)}
    apart = {
        p: SourceClock().advance(told((n, [t]) for n, t in enumerate(mine)), ended=True)
        for p, mine in dealt.items()
    }
    together = SourceClock().advance(told((n, [t]) for n, t in enumerate(sorted(ticks))), ended=True)
    end_ms = watermark({0: together}, {0}, LATE)
    assert watermark(apart, range(8), LATE) == end_ms
    assert end_ms is not None
    assert together.newest_ms is None or end_ms > together.newest_ms
