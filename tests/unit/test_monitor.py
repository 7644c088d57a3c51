"""One partition's windows: nothing counted twice, nothing missed, nothing kept for ever."""

from __future__ import annotations

import copy
from collections.abc import Iterable

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
from detectors.table import HOUR_MS
from streams.monitor import SWEEP_MS, Gap, Monitor, Outcome, Rules
from streams.packets import Packet, pack
from streams.posts import Post

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
    resumed = monitor_of(sources, state=copy.deepcopy(monitor.state))
    assert lines(before + feed(resumed, sent[cut:])) == expected


def test_monitor_that_died_between_storing_and_assessing_assesses_after_the_restart() -> None:
    monitor = monitor_of()
    outcomes = []
    for packet in SENT:
        monitor.apply(monitor.plan(packet))
        monitor = monitor_of(state=copy.deepcopy(monitor.state))
        while (hop := monitor.next_hop()) is not None:
            outcomes.append(monitor.assess(hop))
            monitor.close(outcomes[-1])
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
            assert len(tag.index) == np.unique(rows["text"]).size
            assert len(rows) <= (rules.window_ms + SWEEP_MS + rules.lateness_ms + 9 * 40_000) / 40_000 + 2
    for left in monitor.evict():
        gone += left.rows["post"].tolist()
    assert sorted(gone) == sorted(int(p.id) for p in long_talk(6))
    assert monitor.state.tags == {}


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
    (first, *_) = run(packets(in_order([*posts, edge])))
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


def test_idle_source_is_waited_for_until_the_caller_says_so() -> None:
    monitor = monitor_of(sources=2)
    for packet in packets(in_order(flooded()), ended=False):
        monitor.apply(monitor.plan(packet))
    assert monitor.watermark() is None
    assert monitor.next_hop() is None
    assert monitor.next_hop(idle={1}) is not None
    assert monitor.next_hop(idle={0, 1}) is None


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
