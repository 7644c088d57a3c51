"""Small hashtags are put away in less memory, and come back as they were."""

from __future__ import annotations

import tracemalloc

import pytest
from builders import HASHTAG, T0, flooded, in_order, lines, monitor_of, packets, post, step, table, talk

from detectors.alert import Alert
from streams.monitor import Rules
from streams.tags import Tags, TagState, keys_of

RULES = Rules(hop_ms=300_000, min_posts=20)


def small(texts: int = 3) -> TagState:
    """A hashtag with rows in two buckets, one of them in two parts."""
    rows, strings = table(post(n, n, 60 * n, f"the ferry number {n} is late again") for n in range(texts))
    return TagState({0: [rows[:1], rows[1:2]], 60_000: [rows[2:]]}, strings=strings)


def plain(tag: TagState) -> object:
    return {b: b"".join(rows.tobytes() for rows in parts) for b, parts in tag.buckets.items()}, tag.strings


def test_what_is_put_away_comes_back_as_it_was() -> None:
    tags = Tags({"ferry": small(), "toll": small(9)})
    tags.put_away("ferry")
    tags.put_away("ferry")
    assert [name for name, _ in tags.whole()] == ["toll"]
    assert list(tags) == ["ferry", "toll"]
    assert plain(tags.glance("ferry")) == plain(small())
    assert [name for name, _ in tags.whole()] == ["toll"]
    assert plain(tags["ferry"]) == plain(small())
    assert [name for name, _ in tags.whole()] == ["ferry", "toll"]
    assert tags["ferry"] is tags["ferry"]
    assert tags.find("bridge") is None
    with pytest.raises(KeyError):
        tags["bridge"]


@pytest.mark.parametrize(
    "more",
    [{"limits": {0: 7}}, {"alert": object()}],
    ids=["limit", "alert"],
)
def test_what_has_more_than_rows_and_strings_stays_whole(more: dict[str, Alert]) -> None:
    tag = small()
    for name, value in more.items():
        setattr(tag, name, value)
    tags = Tags({"ferry": tag})
    tags.put_away("ferry")
    assert tags["ferry"] is tag


def test_after_its_hop_only_what_may_be_assessed_is_whole() -> None:
    talk = [
        post(9_000 + n, 9_000 + n, 7 * n, f"small talk {n}", hashtags=(f"small{n % 30}",)) for n in range(60)
    ]
    monitor = monitor_of(rules=RULES)
    for packet in packets(in_order([*flooded(), *talk]), ended=False):
        step(monitor, packet)
    assert monitor.state.assessed_ms is not None
    assert len(monitor.state.tags) > 10
    waiting = {name for names in monitor._due.values() for name in names}
    whole = dict(monitor.state.tags.whole())
    assert HASHTAG in whole
    assert len(whole) < len(monitor.state.tags) / 2
    assert all(tag.count >= RULES.min_posts for name, tag in whole.items() if name not in waiting)


def test_a_hashtag_to_which_nothing_came_is_put_away_and_assessed_as_it_was() -> None:
    early = [p for p in talk() if p.time_ms < T0 + 1_500_000]
    ticks = [post(9_000 + n, 9_000 + n, 60 * n, f"tick {n}", hashtags=("tick",)) for n in range(90)]
    late = [post(8_000 + n, 9_500 + n, 4_800 + n, f"late word {n}") for n in range(5)]
    monitor, kept, put_away, after = monitor_of(rules=RULES), monitor_of(rules=RULES), False, list[bytes]()
    kept._put_quiet_away = lambda before_ms: None  # type: ignore[method-assign]
    for packet in packets(in_order([*early, *ticks, *late]), size=lambda: 5):
        found = lines(step(monitor, packet))
        assert found == lines(step(kept, packet))
        after += [line for line in found if put_away and HASHTAG.encode() in line]
        put_away = put_away or HASHTAG not in dict(monitor.state.tags.whole())
    assert after


def test_a_small_hashtag_takes_little_memory() -> None:
    """Ten thousand of one post each: more would take no more apiece."""
    count = 10_000
    made = [small(1) for _ in range(count)]
    tags = Tags()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for n, tag in enumerate(made):
            tags[f"invented{n}"] = TagState(tag.buckets, strings=tag.strings)
            tags.put_away(f"invented{n}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / count < 600


def test_what_comes_under_a_small_hashtag_leaves_it_put_away_until_it_is_small_no_more() -> None:
    rows, strings = table(post(n, n, 60 * n, f"the ferry number {n} is late again") for n in range(6))
    tags = Tags()
    for n in range(5):
        new = {key: strings[key] for key in keys_of([rows[n : n + 1]]) if key in strings}
        if n:
            found = tags.find("ferry")
            assert found is not None
            new = {key: new[key] for key in found.unknown(set(new))}
            assert len(new) < len(strings) / 6 + 1, "of the client there is one string"
        tags.take_in("ferry", [(60_000 * (n % 2), rows[n : n + 1])], new, small=6)
        assert tags.is_small("ferry", 6)
        assert tags.count("ferry") == n + 1
    assert not tags.is_small("ferry", 5)
    assert tags.sizes("ferry") == {0: 3, 60_000: 2}
    seen, whole = tags.find("ferry"), tags.glance("ferry")
    assert seen is not None
    for one in (seen, whole):
        assert [part.tobytes() for part in one.parts(60_000)] == [rows[n].tobytes() for n in (1, 3)]
        assert b"".join(part.tobytes() for part in one.within(0, 1)) == rows[[0, 2, 4]].tobytes()
        assert not one.parts(1)
        assert one.unknown({*strings, 7}) == {7} | set(strings) - keys_of([rows[:5]])
        assert not one.limits
    assert whole.strings == {key: strings[key] for key in keys_of([rows[:5]]) if key in strings}
    assert not dict(tags.whole())
    tags.take_in("ferry", [(0, rows[5:])], {key: strings[key] for key in seen.unknown(set(strings))}, small=6)
    assert list(dict(tags.whole())) == ["ferry"]
    assert (tags.count("ferry"), tags["ferry"].strings) == (6, strings)


def test_what_is_whole_and_small_is_put_away_with_the_next_post() -> None:
    rows, strings = table([post(9, 9, 9, "the ferry is late again")])
    tags = Tags({"ferry": small(), "toll": small()})
    tags["toll"].limits[0] = 7
    for name in tags:
        tags.take_in(name, [(0, rows)], {key: strings[key] for key in tags[name].unknown(set(strings))}, 30)
    assert list(dict(tags.whole())) == ["toll"]
    assert plain(tags["ferry"]) == plain(tags["toll"])


def test_a_hashtag_counts_its_rows_as_they_come_and_go() -> None:
    rows, _ = table(post(n, n, 60 * n, f"the ferry number {n} is late again") for n in range(5))
    tag = TagState({0: [rows[:1], rows[1:2]]})
    tags = Tags({"ferry": tag})
    assert tag.count == tags.count("ferry") == 2
    tag.put(0, rows[2:3])
    tag.put(60_000, rows[3:])
    assert tag.count == 5
    assert tag.sizes == {0: 3, 60_000: 2}
    tag.keep(0, rows[:2], limit=7)
    assert tag.count == 4
    assert tag.pop([0]).tobytes() == rows[:2].tobytes()
    assert (tag.count, tag.limits) == (2, {})
    tags.put_away("ferry")
    assert tags.count("ferry") == 2
    assert tags.sizes("ferry") == {60_000: 2}
