"""One partition's windows: nothing counted twice, nothing missed, nothing kept for ever."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Iterable
from operator import itemgetter

import msgspec
import numpy as np
import pytest
from builders import (
    HASHTAG,
    RULES,
    T0,
    WINDOW_MS,
    flood,
    flooded,
    in_order,
    jumbled,
    lines,
    monitor_of,
    packets,
    post,
    run,
    step,
    talk,
    talk_text,
    without,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.alert import Reason
from detectors.table import HOUR_MS, Rows, Window
from streams.monitor import SWEEP_MS, Evicted, Gap, Monitor, Outcome, Rules, lockstep
from streams.packets import Packet, pack
from streams.posts import Post
from streams.tags import TagState, keys_of

SENT = packets(in_order(flooded()))
EXPECTED = lines(run(SENT))
HOP = RULES.hop_ms


def feed(monitor: Monitor, of: Iterable[Packet]) -> list[Outcome]:
    return [outcome for packet in of for outcome in step(monitor, packet)]


def reasons(outcomes: Iterable[Outcome]) -> list[Reason]:
    return [tag.reason for outcome in outcomes for tag in outcome.tags]


def test_flood_fires_while_it_happens() -> None:
    outcomes = run(SENT)
    fired = next(o.hop_ms for o in outcomes if Reason.FIRED in reasons([o]))
    assert fired <= T0 + 6 * HOP
    assert fired < max(p.time_ms for p in flooded())


@pytest.mark.parametrize(("large_rows", "held"), [(1, 0), (1_000_000, 1)], ids=["large", "small"])
def test_nothing_is_left_of_a_large_window_when_the_next_is_gathered(
    monkeypatch: pytest.MonkeyPatch, large_rows: int, held: int
) -> None:
    monitor, seen, left = monitor_of(), list[weakref.ref[Window]](), list[int]()
    rows_within = TagState.within

    def within(tag: TagState, start_ms: int, end_ms: int) -> list[Rows]:
        gc.collect()
        left.append(sum(window() is not None for window in seen))
        return rows_within(tag, start_ms, end_ms)

    def hop(hop_ms: int) -> None:
        outcome = monitor.assess(hop_ms)
        monitor.close(outcome)
        seen.extend(weakref.ref(tag.window) for tag in outcome.tags)

    monkeypatch.setattr("streams.monitor.LARGE_ROWS", large_rows)
    monkeypatch.setattr(TagState, "within", within)
    for packet in SENT:
        monitor.apply(monitor.plan(packet))
        while (hop_ms := monitor.next_hop()) is not None:
            hop(hop_ms)
    assert len(seen) > 5
    assert max(left) == held


def test_missing_offsets_stop_the_monitor_with_their_number() -> None:
    monitor = monitor_of()
    step(monitor, SENT[0])
    with pytest.raises(Gap, match=r"up to offset 50, .* starts at 100: 50 offsets are missing"):
        monitor.plan(SENT[2])


def test_first_packet_of_a_source_may_start_anywhere() -> None:
    assert monitor_of().plan(SENT[3]).expected is None


def test_planning_changes_nothing() -> None:
    monitor = monitor_of()
    feed(monitor, SENT[:3])
    before = copy.deepcopy(monitor.state)
    monitor.plan(SENT[3])
    assert monitor.state.marks == before.marks
    assert monitor.state.clocks == before.clocks
    assert counts(monitor) == {HASHTAG: 150}


def counts(monitor: Monitor) -> dict[str, int]:
    return {
        name: sum(len(rows) for parts in tag.buckets.values() for rows in parts)
        for name, tag in monitor.state.tags.items()
    }


def test_repeated_packet_is_dropped_and_counted() -> None:
    monitor = monitor_of()
    outcomes = []
    for i, packet in enumerate(SENT):
        outcomes += step(monitor, packet)
        again = monitor.plan(SENT[i // 2])
        assert again.repeated == len(SENT[i // 2].table()[0])
        assert not again.rows
        assert again.mark == monitor.state.marks[0]
        outcomes += step(monitor, SENT[i // 2])
    assert lines(outcomes) == EXPECTED


def test_packet_that_overlaps_gives_only_its_new_rows() -> None:
    posts = [(i, post(i, i, i, "the harbour bridge opens tomorrow")) for i in range(10)]
    first, second = pack(posts[:6], 0, 0, 6, 1), pack(posts[2:], 0, 2, 10, 1)
    monitor = monitor_of()
    step(monitor, first[0])
    delta = monitor.plan(second[0])
    assert delta.repeated == 4
    assert sum(len(rows) for rows in delta.rows.values()) == 4
    monitor.apply(delta)
    assert counts(monitor) == {HASHTAG: 10}
    assert monitor.state.marks == {0: 10}


def test_strings_are_stored_once() -> None:
    monitor = monitor_of()
    step(monitor, SENT[0])
    known = set(monitor.state.tags[HASHTAG].strings)
    assert not known & set(monitor.plan(SENT[1]).strings[HASHTAG])


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(0, len(SENT)), seed=st.integers(0, 99))
def test_resumed_monitor_goes_on_as_if_nothing_had_happened(cut: int, seed: int) -> None:
    sources = 2
    sent = packets(jumbled(flooded(), np.random.default_rng(seed), sources, 100_000), sources=sources)
    expected = lines(run(sent, sources))
    monitor = monitor_of(sources)
    before = feed(monitor, sent[:cut])
    resumed = monitor_of(sources, state=copy.deepcopy(monitor.state), periods=monitor.periods)
    assert lines(before + feed(resumed, sent[cut:])) == expected


def test_monitor_that_died_between_storing_and_assessing_assesses_after_the_restart() -> None:
    monitor = monitor_of()
    outcomes = []
    for packet in SENT:
        monitor.apply(monitor.plan(packet))
        monitor = monitor_of(state=copy.deepcopy(monitor.state), periods=monitor.periods)
        outcomes += [outcome for _, outcome in lockstep([monitor])]
    assert lines(outcomes) == EXPECTED


def long_talk(hours: int) -> list[Post]:
    rng = np.random.default_rng(1)
    times = np.arange(0, hours * 3_600, 40)
    return [
        post(i, i % 50, float(at), talk_text(rng) if i % 3 else f"again {i % 7} and again and again")
        for i, at in enumerate(times)
    ]


def test_memory_is_bounded_by_the_window_and_strings_live_as_long_as_their_rows() -> None:
    rules = Rules(window_ms=HOUR_MS, hop_ms=60_000, min_posts=20)
    monitor = monitor_of(rules=rules)
    gone: list[int] = []
    sent = packets(in_order(without(long_talk(6))), size=lambda: 9)
    for packet in sent:
        monitor.apply(monitor.plan(packet))
        while (hop := monitor.next_hop()) is not None:
            for left in monitor.close(monitor.assess(hop)):
                assert max(left.buckets) < hop + rules.hop_ms - rules.window_ms
                gone += left.rows["post"].tolist()
        for tag in monitor.state.tags.values():
            rows = np.concatenate([rows for parts in tag.buckets.values() for rows in parts])
            used = {
                int(k)
                for name in ("text", "handle", "client", "domain", "account", "post")
                for k in rows[name]
            }
            assert set(tag.strings) <= used
            assert set(rows["text"].tolist()) <= set(tag.strings)
            assert tag.derived is None or len(tag.derived.index) == np.unique(rows["text"]).size
            assert len(rows) <= (rules.window_ms + SWEEP_MS + rules.lateness_ms + 9 * 40_000) / 40_000 + 2
    for left in monitor.evict():
        gone += left.rows["post"].tolist()
    assert sorted(gone) == sorted(int(p.id) for p in long_talk(6))
    assert monitor.state.tags == {}


def test_resumed_monitor_lets_strings_go_with_their_last_row_too() -> None:
    rules = Rules(window_ms=HOUR_MS, hop_ms=60_000, min_posts=20)
    monitor = monitor_of(rules=rules)
    feed(monitor, packets(in_order(long_talk(6)), size=lambda: 9, ended=False))
    resumed = monitor_of(rules=rules, state=copy.deepcopy(monitor.state))
    assert any(tag.derived is not None for tag in monitor.state.tags.values())
    assert all(tag.derived is None for tag in resumed.state.tags.values())  # and so it counts anew
    for bucket in sorted(b for tag in monitor.state.tags.values() for b in tag.buckets):
        assert [one.forgotten for one in resumed.evict(bucket)] == [
            one.forgotten for one in monitor.evict(bucket)
        ]


def test_eviction_changes_no_outcome() -> None:
    rules = Rules(window_ms=HOUR_MS, hop_ms=300_000, min_posts=20)
    sent = packets(in_order(long_talk(5)))
    keeping = monitor_of(rules=rules)
    keeping.evict = lambda hop_ms=None: ()  # type: ignore[method-assign]
    assert lines(feed(monitor_of(rules=rules), sent)) == lines(feed(keeping, sent))


@pytest.mark.parametrize(
    "at_s", [-T0 / 1000, 5 * 365 * 86_400, 86_400], ids=["1970", "in five years", "tomorrow"]
)
@pytest.mark.parametrize("place", [1, 60, 300])
def test_post_with_a_wrong_date_neither_closes_nor_reopens_windows(at_s: float, place: int) -> None:
    posts = sorted(flooded(), key=lambda p: p.time_ms)
    strange = post(77_777_777, 77_777, at_s, "the harbour bridge was never built at all")
    arrivals = [(0, p) for p in (*posts[:place], strange, *posts[place:])]
    outcomes = run(packets(arrivals, size=lambda: 10))
    ordinary = [o for o in outcomes if T0 <= o.hop_ms <= T0 + 2 * WINDOW_MS]
    assert lines(ordinary) == EXPECTED
    assert not any(o.tags for o in outcomes if o not in ordinary)


def test_window_is_half_open_and_a_hop_sees_only_what_is_older() -> None:
    posts = [post(i, i, 10 * i, talk_text(np.random.default_rng(i))) for i in range(60)]
    edge = post(100, 100, HOP / 1000, "exactly on the hop and therefore not in the window")
    (first, *_) = [outcome for outcome in run(packets(in_order([*posts, edge]))) if outcome.tags]
    assert first.hop_ms == T0 + HOP
    (tag,) = first.tags
    assert int(edge.id) not in tag.window.rows["post"]
    assert (tag.window.rows["time_ms"] < first.hop_ms).all()
    assert (tag.window.rows["time_ms"] >= first.hop_ms - WINDOW_MS).all()


def test_hashtag_below_the_least_number_of_posts_is_not_assessed() -> None:
    posts = [post(i, i, i, f"the harbour bridge opens in {i} hours") for i in range(RULES.min_posts)]
    assert any(o.tags for o in run(packets(in_order(posts))))
    assert not any(o.tags for o in run(packets(in_order(posts[:-1]))))


def test_quiet_hashtag_is_assessed_only_when_it_changed() -> None:
    early = without(talk(accounts=40, span_s=500), hashtags=("early",))
    late = [
        post(10**6 + i, i, 600 * i, talk_text(np.random.default_rng(i)), hashtags=("ticker",))
        for i in range(12)
    ]
    hops = [
        o.hop_ms
        for o in run(packets(in_order([*early, *late])))
        for t in o.tags
        if t.window.hashtag == "early"
    ]
    assert len(hops) == len(set(hops))
    newest = max(p.time_ms for p in early)
    assert max(hops) <= newest + HOP


def test_open_alert_is_assessed_every_hop_until_it_resolves() -> None:
    ticker = [
        post(10**6 + i, i, 300 * i, talk_text(np.random.default_rng(i)), hashtags=("ticker",))
        for i in range(140)
    ]
    outcomes = run(packets(in_order([*flooded(), *ticker])))
    told = [(o.hop_ms, t.reason) for o in outcomes for t in o.tags if t.window.hashtag == HASHTAG]
    fired = next(hop for hop, reason in told if reason is Reason.FIRED)
    (resolved,) = (hop for hop, reason in told if reason is Reason.RESOLVED)
    hops = [hop for hop, _ in told if fired <= hop <= resolved]
    assert hops == list(range(fired, resolved + 1, HOP))
    assert told[-1] == (resolved, Reason.RESOLVED)


def idle(source: int, at: int) -> Packet:
    return pack([], source, at, at, 1, idle=True)[0]


def test_silent_source_is_waited_for_until_it_says_that_it_is_idle() -> None:
    monitor = monitor_of(sources=2)
    sent = packets(in_order(flooded()), ended=False)
    assert not feed(monitor, sent)
    assert monitor.watermark() is None
    assert lines(feed(monitor, [idle(1, 0)])) == lines(run(sent))
    assert monitor.state.clocks[1].idle


def test_idle_source_is_waited_for_again_once_it_speaks() -> None:
    monitor = monitor_of(sources=2)
    feed(monitor, [*packets(in_order(flooded()), ended=False), idle(1, 0)])
    before = monitor.watermark()
    feed(monitor, pack([(n, post(n, n, n, "from the other side")) for n in range(3)], 1, 0, 3, 1))
    assert not monitor.state.clocks[1].idle
    assert before is not None
    assert (monitor.watermark() or 0) < before


def test_word_of_silence_that_was_overtaken_says_nothing() -> None:
    monitor = monitor_of()
    feed(monitor, SENT[:2])
    feed(monitor, [idle(0, 50)])
    assert not monitor.state.clocks[0].idle
    feed(monitor, [idle(0, 100)])
    assert monitor.state.clocks[0].idle
    with pytest.raises(Gap, match="starts at 150: 50 offsets are missing"):
        monitor.plan(idle(0, 150))


def test_which_source_falls_silent_first_does_not_matter() -> None:
    ahead = pack([(n, post(n, n, 9_000.0, "ahead of the others")) for n in range(3)], 0, 0, 3, 1)
    behind = pack([(n, post(9 + n, n, 0.0, "behind the others")) for n in range(3)], 1, 0, 3, 1)
    marks = []
    for last in ([idle(0, 3), idle(1, 3)], [idle(1, 3), idle(0, 3)]):
        monitor = monitor_of(sources=2)
        feed(monitor, [*ahead, *behind, *last])
        marks.append((monitor.watermark(), monitor.state.assessed_ms))
    assert marks[0] == marks[1]
    assert marks[0][0] == T0 + 9_000_000 - RULES.lateness_ms


def test_same_post_with_the_same_values_counts_once_wherever_it_comes_again() -> None:
    twice = [p for p in in_order(flooded()) for _ in range(1 + int(p[1].id) % 2)]
    monitor = monitor_of()
    assert lines(feed(monitor, packets(twice, size=lambda: 7))) == EXPECTED
    again = monitor.plan(pack([(10**6, one) for one in flooded()], 1, 0, 10**6 + 1, 1)[0])
    assert not again.rows
    assert again.repeated + again.expired_rows == len(flooded())


def test_same_post_with_other_values_is_kept_whoever_came_first() -> None:
    old, new = post(1, 1, 1, "first of its kind"), post(1, 1, 1, "first of its kind", likes=7)
    held = []
    for order in ([old, new], [new, old], [old, new, old]):
        monitor = monitor_of()
        feed(monitor, pack(list(enumerate(order)), 0, 0, len(order), 1))
        held.append(sorted(r.tobytes() for part in rows_of(monitor) for r in part))
    assert held[0] == held[1] == held[2]
    assert len(held[0]) == 2


def rows_of(monitor: Monitor) -> list[Rows]:
    return [rows for tag in monitor.state.tags.values() for parts in tag.buckets.values() for rows in parts]


def test_row_that_no_later_hop_can_see_is_dropped_and_counted() -> None:
    monitor = monitor_of()
    feed(monitor, SENT)
    held = counts(monitor)
    delta = monitor.plan(pack([(9_999, post(5, 5, -(10**9), "from 1970"))], 1, 9_999, 10_000, 1)[0])
    assert (delta.expired_rows, delta.late_rows, dict(delta.rows), dict(delta.strings)) == (1, 0, {}, {})
    monitor.apply(delta)
    assert counts(monitor) == held
    assert monitor.next_hop() is None


def test_late_row_is_looked_at_again_after_a_restart_too() -> None:
    posts = in_order(talk(accounts=60, span_s=3_000))
    sent = packets(posts, ended=False)
    late = pack([(0, post(10**6, 10**6, 0.0, "a word that came late"))], 1, 0, 1, 1)[0]
    closing = packets([], sources=2)
    outcomes = {}
    for restarted in (False, True):
        monitor = monitor_of(sources=2)
        feed(monitor, [idle(1, 0), *sent])
        monitor.apply(monitor.plan(late))
        if restarted:
            monitor = monitor_of(sources=2, state=copy.deepcopy(monitor.state))
        end = [msgspec.structs.replace(p, start=monitor.state.marks[p.source], end=10_000) for p in closing]
        outcomes[restarted] = lines(feed(monitor, end))
    assert outcomes[True] == outcomes[False]
    assert outcomes[True]


def test_nothing_is_assessed_over_a_time_of_which_posts_were_lost() -> None:
    rules = Rules(window_ms=HOUR_MS, hop_ms=HOP, min_posts=20)
    complete = run(SENT, rules=rules)
    monitor = monitor_of(rules=rules)
    monitor.state.covered_ms = T0 + HOP
    outcomes = feed(monitor, SENT)
    first = T0 + HOP + HOUR_MS
    assert not any(o.tags for o in outcomes if o.hop_ms < first)
    judged = [o.hop_ms for o in complete if o.tags]
    assert min(judged) < first <= max(judged)
    counted = {o.hop_ms: o.tags[0].assessment.posts for o in complete if o.tags}
    assert {o.hop_ms: o.tags[0].assessment.posts for o in outcomes if o.tags} == {
        hop: posts for hop, posts in counted.items() if hop >= first
    }


def test_monitor_has_ended_when_every_source_has() -> None:
    monitor = monitor_of(sources=2)
    first, second = packets([], sources=2)
    step(monitor, first)
    assert not monitor.ended
    step(monitor, second)
    assert monitor.ended


def test_last_window_closes_only_at_the_end() -> None:
    posts = in_order(talk())
    last = max(p.time_ms for _, p in posts)
    running = run(packets(posts, ended=False))
    assert max(o.hop_ms for o in running) <= last - RULES.lateness_ms
    ended = run(packets(posts))
    assert ended[-1].hop_ms > last
    assert ended[-1].tags[0].assessment.posts == len(posts)
    assert lines(ended)[: len(lines(running))] == lines(running)


def test_coordinated_share_of_two_hashtags_in_one_partition_is_told_apart() -> None:
    posts = [
        *without(talk(), hashtags=("calm",)),
        *without(flood(accounts=60), hashtags=("loud",)),
        *talk(3, 60, 700),
    ]
    kinds = {t.window.hashtag: t.assessment.kind for o in run(packets(in_order(posts))) for t in o.tags}
    assert kinds["calm"] is None
    assert kinds["loud"] is not None


@pytest.mark.parametrize("hop_ms", [7_200_000, 420_000])
def test_hops_that_do_not_meet_the_full_hours_are_refused(hop_ms: int) -> None:
    """Hours are closed at hops: rows of a longer hop would be gone before it is assessed."""
    with pytest.raises(ValueError, match=f"a hop of {hop_ms} ms does not divide an hour"):
        Rules(hop_ms=hop_ms)


def test_at_the_end_each_hashtag_leaves_as_it_would_with_the_others() -> None:
    talk = [post(9_000 + n, 9_000 + n, 90 * n, f"word {n}", hashtags=(f"small{n % 7}",)) for n in range(60)]
    posts = in_order([*flooded(), *talk])

    def held() -> Monitor:
        monitor = monitor_of(rules=Rules(hop_ms=300_000))
        for packet in packets(posts, ended=False):
            step(monitor, packet)
        return monitor

    def told(left: Iterable[Evicted]) -> list[object]:
        return [
            (
                one.left_ms,
                one.hashtag,
                one.rows.tobytes(),
                {key: one.strings[key] for key in keys_of([one.rows]) if key in one.strings},
                one.buckets,
            )
            for one in left
        ]

    monitor = held()
    by_hashtag = told(left for name in sorted(monitor.state.tags) for left in monitor.end(name))
    assert by_hashtag == sorted(by_hashtag, key=itemgetter(1, 0))
    assert sorted(by_hashtag, key=itemgetter(0, 1)) == told(held().evict())
    assert set(monitor.state.tags) <= {HASHTAG}, "its alert is open"
    assert not monitor.end(HASHTAG), "nothing of it is left"
    assert not monitor.end("no such hashtag")
