"""What partitions have said of completed hours: when a hop may go on, what it knows, what is forgotten."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import pytest
from builders import RULES, T0, in_order, monitor_of, packets, post, run, step, talk, without

from detectors.campaign import Origin, Trace, sampled
from detectors.hour import Sums, Tally
from detectors.q_values import counted
from detectors.table import HOUR_MS
from streams.hours import Closing, Hours, UnreadableHour, decode, encode
from streams.monitor import Monitor, Rules, lockstep
from streams.packets import pack

H: Final = T0 // HOUR_MS


def sums(day: int) -> Sums:
    return Sums(days=Tally.of(np.array([day], np.int64)))


def trace(name: str, account: int) -> Trace:
    sample = sampled(np.arange(account, account + 20, dtype=np.uint64))
    origin = Origin(T0, name, T0)
    return Trace(origin, name, "flood", 20, 0, sample, b"", origin)


def test_a_hop_may_go_on_when_all_partitions_have_closed_the_hour_before_the_last() -> None:
    hours = Hours(range(2))
    hop_ms = (H + 2) * HOUR_MS + 60_000
    assert not hours.allow(hop_ms)
    hours.add(Closing(0, H + 5))
    assert not hours.allow(hop_ms)
    hours.add(Closing(1, H - 1))
    assert not hours.allow(hop_ms)
    hours.add(Closing(1, H))
    assert hours.allow(hop_ms)
    assert not hours.allow(hop_ms + HOUR_MS)
    hours.add(Closing(1, H - 1))  # read again
    assert hours.closed_through() == H


def test_a_hop_knows_the_hours_up_to_the_one_before_the_last_and_no_older_than_it_may() -> None:
    hours = Hours(range(2), baseline_hours=3, campaign_hours=5)
    for hour in range(H, H + 10):
        for partition in (0, 1):
            seen = counted([0.5, 10.0 ** (H - hour)])
            hours.add(Closing(partition, hour, sums(hour), (trace(f"{hour}-{partition}", 100 * hour),), seen))
    past = hours.before((H + 8) * HOUR_MS)
    assert (past.tests.cells.tolist(), past.tests.counts.tolist()) == ([3, 60], [2, 2])
    assert past.q_value(1e-9) == pytest.approx(5e-9)
    assert past.sums.days.cells.tolist() == [H + 4, H + 5, H + 6]
    assert past.sums.days.counts.tolist() == [2, 2, 2]
    assert past.hours == 3
    assert len(past.campaigns) == 10
    assert hours.before(H * HOUR_MS).q_value(1e-9) is None


def test_what_was_read_twice_counts_once_and_what_no_hop_uses_is_forgotten() -> None:
    hours, again = (Hours(range(1), baseline_hours=3, campaign_hours=5) for _ in range(2))
    for hour in range(H, H + 30):
        closing = Closing(0, hour, sums(hour), (trace(str(hour), 1),), counted([0.5]))
        for _ in range(2):
            hours.add(closing)
        hours.forget(hour + 1)
        again.add(closing)
    assert hours.since == H + 30
    assert (len(hours._sums), len(hours._traces), len(hours._tests)) == (4, 6, 2)
    hop_ms = (H + 31) * HOUR_MS
    assert hours.before(hop_ms).sums.digest == again.before(hop_ms).sums.digest
    assert len(hours.before(hop_ms).campaigns) == len(again.before(hop_ms).campaigns) == 5
    hours.clear()
    assert (hours.since, hours.closed_through(), hours.every().empty) == (None, None, True)


def test_an_hour_that_held_nothing_is_told_under_the_partition_alone() -> None:
    assert Closing(3, H).key == b"3"
    assert Closing(3, H, sums(1)).key == f"3/{H}".encode()
    assert Closing(3, H, traces=(trace("a", 1),)).key == f"3/{H}".encode()
    assert Closing(3, H, tests=counted([1.0])).key == f"3/{H}".encode()


@pytest.mark.parametrize(
    "value", [b"", b"no hour", encode(Closing(0, 1))[:-1], b"\x96\x09\x00\x01\x90\x93\x00\x00\x00\x90"]
)
def test_what_is_no_completed_hour_is_refused(value: bytes) -> None:
    with pytest.raises(UnreadableHour):
        decode(value)


def test_a_partition_without_posts_closes_hours_by_the_clock_and_holds_nobody_up() -> None:
    hours = RULES.hours(range(2))
    monitors = [Monitor(p, range(1), RULES, monitor_of().baseline, hours=hours) for p in range(2)]
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
    last = max(closing.through for closing in told)
    assert [closing.through for closing in silent][-1] == last
    assert [closing.through for closing in told if not closing.partition][-1] == last
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
    (counted,) = [closing for closing in closings if closing.through == H]
    assert counted.sums.clients.total == 119


def test_a_late_post_of_a_closed_hour_is_in_no_hour() -> None:
    posts = [post(n, n, 60 * n, f"bridge {n}", client="App") for n in range(100)]
    late = post(10**6, 10**5, 1_800, "what happened to the bridge", client="App")
    arrivals = [(0, one) for one in [*posts[:90], late, *posts[90:]]]
    outcomes = run(packets(arrivals, size=lambda: 1), rules=Rules(hop_ms=60_000, min_posts=1))
    hours = {o.closing.through: o.closing.sums for o in outcomes if o.closing is not None}
    assert hours[H].clients.total == 60
