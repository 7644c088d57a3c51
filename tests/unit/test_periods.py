"""What partitions have said of completed periods: when a hop may go on, what it knows, what is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

import msgspec
import numpy as np
import pytest
from builders import RULES, T0, in_order, monitor_of, packets, post, run, step, talk, without

from detectors.campaign import Campaigns, Origin, Trace, sampled
from detectors.hour import Sums, Tally
from detectors.q_values import counted
from detectors.table import HOUR_MS
from streams.monitor import Monitor, Rules, lockstep
from streams.packets import pack
from streams.periods import PERIOD_MS, Closing, Periods, UnreadablePeriod, decode, encode

H: Final = T0 // HOUR_MS


def end(hour: int) -> int:
    """When an hour ends, in ms."""
    return (hour + 1) * HOUR_MS


def sums(day: int) -> Sums:
    return Sums(days=Tally.of(np.array([day], np.int64)))


def trace(name: str, account: int) -> Trace:
    sample = sampled(np.arange(account, account + 20, dtype=np.uint64))
    origin = Origin(T0, name, T0)
    return Trace(origin, name, "flood", 20, 0, sample, b"", origin)


def test_a_hop_may_go_on_when_all_partitions_have_closed_the_period_before_the_last() -> None:
    periods = Periods(range(2))
    needed_ms = T0 // PERIOD_MS * PERIOD_MS
    hop_ms = needed_ms + PERIOD_MS + 60_000
    assert not periods.allow(hop_ms)
    periods.add(Closing(0, needed_ms + 5 * PERIOD_MS))
    assert not periods.allow(hop_ms)
    periods.add(Closing(1, needed_ms - PERIOD_MS))
    assert not periods.allow(hop_ms)
    periods.add(Closing(1, needed_ms))
    assert periods.allow(hop_ms)
    assert not periods.allow(hop_ms + PERIOD_MS)
    periods.add(Closing(1, needed_ms - PERIOD_MS))  # read again
    assert periods.all_closed() == needed_ms


def test_a_hop_knows_hours_up_to_the_one_before_the_last_and_nothing_older_than_it_may() -> None:
    periods = Periods(range(2), baseline_hours=3, campaign_hours=5)
    for hour in range(H, H + 10):
        for partition in (0, 1):
            seen = counted([0.5, 10.0 ** (H - hour)])
            traces = (trace(f"{hour}-{partition}", 100 * hour),)
            periods.add(Closing(partition, end(hour), sums(hour), traces, seen))
    for since_ms in (HOUR_MS, 2 * HOUR_MS - 1):
        past = periods.before(end(H + 6) + since_ms)
        learnt = past.learnt
        assert (learnt.tests.cells.tolist(), learnt.tests.counts.tolist()) == ([3, 60], [2, 2])
        assert learnt.q_value(1e-9) == pytest.approx(5e-9)
        assert learnt.sums.days.cells.tolist() == [H + 4, H + 5, H + 6]
        assert learnt.sums.days.counts.tolist() == [2, 2, 2]
        assert learnt.hours == 3
    assert periods.before(end(H + 6) + HOUR_MS - 1).learnt.sums.days.cells.tolist() == [H + 3, H + 4, H + 5]
    assert [len(periods.before(end(H + 6) + since_ms).campaigns) for since_ms in (0, PERIOD_MS)] == [10, 10]
    newest = [
        periods.before(end(H + 6) + since_ms).campaigns._traces[-1].alert for since_ms in (0, PERIOD_MS)
    ]
    assert newest == [f"{H + 5}-1", f"{H + 6}-1"]
    assert periods.before(H * HOUR_MS).learnt.q_value(1e-9) is None


def test_alerts_are_remembered_with_the_period_in_which_they_were_told() -> None:
    periods = Periods(range(2))
    first_ms = T0 // HOUR_MS * HOUR_MS + PERIOD_MS
    periods.add(Closing(0, first_ms, traces=(trace("a", 1),)))
    periods.add(Closing(1, first_ms + PERIOD_MS, traces=(trace("b", 1), trace("a", 1))))
    known = [len(periods.before(first_ms + n * PERIOD_MS).campaigns) for n in range(4)]
    assert known == [0, 1, 2, 2]
    assert (
        periods.before(first_ms + 3 * PERIOD_MS).campaigns
        is periods.before(first_ms + 2 * PERIOD_MS).campaigns
    ), "nothing new was told, nothing is worked out again"


def test_nobody_waits_while_alerts_are_joined_and_what_was_cleared_meanwhile_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on = Event(), Event()

    def slowly(traces: Iterable[Trace]) -> Campaigns:
        begun.set()
        assert go_on.wait(30)
        return Campaigns(traces)

    periods, first_ms = Periods(range(1)), T0 // HOUR_MS * HOUR_MS + PERIOD_MS
    periods.add(Closing(0, first_ms, traces=(trace("a", 1),)))
    monkeypatch.setattr("streams.periods.Campaigns", slowly)
    with ThreadPoolExecutor() as pool:
        past = pool.submit(periods.before, first_ms + PERIOD_MS)
        assert begun.wait(30)
        periods.add(Closing(0, first_ms + PERIOD_MS))
        assert periods.closed(0) == first_ms + PERIOD_MS
        periods.clear()
        go_on.set()
        assert len(past.result(30).campaigns) == 1
    assert len(periods.before(first_ms + PERIOD_MS).campaigns) == 0


def test_what_was_read_twice_counts_once_and_what_no_hop_uses_is_forgotten() -> None:
    periods, again = (Periods(range(1), baseline_hours=3, campaign_hours=5) for _ in range(2))
    for hour in range(H, H + 30):
        closing = Closing(0, end(hour), sums(hour), (trace(str(hour), 1),), counted([0.5]))
        for _ in range(2):
            periods.add(closing)
        periods.forget(end(hour))
        again.add(closing)
    assert periods.since_ms == end(H + 29)
    assert (len(periods._sums), len(periods._traces), len(periods._tests)) == (4, 6, 2)
    hop_ms = end(H + 30)
    one, other = periods.before(hop_ms), again.before(hop_ms)
    assert one.learnt.sums.digest == other.learnt.sums.digest
    assert len(one.campaigns) == len(other.campaigns) == 5
    periods.clear()
    assert (periods.since_ms, periods.all_closed(), periods.every().empty) == (None, None, True)


@pytest.mark.parametrize(
    ("hop_s", "period_s"),
    [(60, 600), (1, 600), (240, 720), (600, 600), (900, 900), (1_200, 1_200), (3_600, 3_600)],
)
def test_periods_are_ten_minutes_long_or_the_next_that_hops_meet(hop_s: int, period_s: int) -> None:
    rules = Rules(hop_ms=hop_s * 1_000)
    assert rules.period_ms == period_s * 1_000
    assert HOUR_MS % rules.period_ms == rules.period_ms % rules.hop_ms == 0


def test_a_period_that_held_nothing_is_told_under_the_partition_alone() -> None:
    assert Closing(3, T0).key == b"3"
    assert Closing(3, T0, sums(1)).key == f"3/{T0}".encode()
    assert Closing(3, T0, traces=(trace("a", 1),)).key == f"3/{T0}".encode()
    assert Closing(3, T0, tests=counted([1.0])).key == f"3/{T0}".encode()


def test_what_the_version_told_that_closed_hours_only_is_read() -> None:
    told = msgspec.msgpack.decode(encode(Closing(3, end(H), sums(1), (trace("a", 1),))))
    told[0], told[2] = 1, H
    read = decode(msgspec.msgpack.encode(told))
    assert (read.end_ms, read.traces) == (end(H), (trace("a", 1),))
    assert read.sums.digest == sums(1).digest


@pytest.mark.parametrize(
    "value", [b"", b"no period", encode(Closing(0, 1))[:-1], b"\x96\x09\x00\x01\x90\x93\x00\x00\x00\x90"]
)
def test_what_is_no_completed_period_is_refused(value: bytes) -> None:
    with pytest.raises(UnreadablePeriod):
        decode(value)


def test_a_partition_without_posts_closes_periods_by_the_clock_and_holds_nobody_up() -> None:
    periods = RULES.periods(range(2))
    monitors = [Monitor(p, range(1), RULES, monitor_of().baseline, periods=periods) for p in range(2)]
    sent = packets(in_order(without(talk(span_s=4 * 3_600, accounts=60))))
    empty = [pack([], p.source, p.start, p.end, 1, ended=p.ended)[0] for p in sent]
    told: list[Closing] = []
    for packet, nothing in zip(sent, empty, strict=True):
        monitors[0].apply(monitors[0].plan(packet))
        monitors[1].apply(monitors[1].plan(msgspec.structs.replace(nothing, clock=packet.clock)))
        told += [outcome.closing for _, outcome in lockstep(monitors) if outcome.closing is not None]
    assert not any(monitor.held for monitor in monitors)
    silent = [closing for closing in told if closing.partition == 1]
    assert all(closing.empty for closing in silent)
    last = max(closing.end_ms for closing in told)
    assert [closing.end_ms for closing in silent][-1] == last
    assert [closing.end_ms for closing in told if not closing.partition][-1] == last
    assert monitors[1].state.tags == {}


def test_rows_of_an_hour_are_kept_until_it_is_closed_however_short_the_window() -> None:
    rules = Rules(window_ms=600_000, hop_ms=60_000, min_posts=1)
    monitor = monitor_of(rules=rules)
    posts = [post(n, n, 30 * n, f"bridge {n}", client="App") for n in range(119)]
    closings = [
        outcome.closing
        for packet in packets(
            in_order([*posts, post(10**6, 1, 3_900, "later"), post(10**6 + 1, 2, 3_901, "on")])
        )
        for outcome in step(monitor, packet)
        if outcome.closing is not None
    ]
    (counted,) = [closing for closing in closings if closing.end_ms == end(H)]
    assert counted.sums.clients.total == 119


def test_a_late_post_of_a_closed_hour_is_in_no_hour() -> None:
    posts = [post(n, n, 60 * n, f"bridge {n}", client="App") for n in range(100)]
    late = post(10**6, 10**5, 1_800, "what happened to the bridge", client="App")
    arrivals = [(0, one) for one in [*posts[:90], late, *posts[90:]]]
    outcomes = run(packets(arrivals, size=lambda: 1), rules=Rules(hop_ms=60_000, min_posts=1))
    sums_of = {o.closing.end_ms: o.closing.sums for o in outcomes if o.closing is not None}
    assert sums_of[end(H)].clients.total == 60
