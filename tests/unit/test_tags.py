"""Small hashtags are put away in less memory, and come back as they were."""

from __future__ import annotations

import tracemalloc

import pytest
from builders import HASHTAG, T0, flooded, in_order, lines, monitor_of, packets, post, step, table, talk

from detectors.alert import Alert
from streams import tags as tags_module
from streams.monitor import Rules
from streams.tags import Tags, TagState

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


def test_the_hashtags_that_are_idle_longest_are_put_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags_module, "MOST_IDLE", 2)
    names = ["ferry", "toll", "bridge", "quay"]
    tags = Tags({name: small() for name in names})

    def whole() -> list[str]:
        return [name for name, _ in tags.whole()]

    tags["ferry"].derive()
    tags.idle("ferry")
    assert tags["ferry"].derived is None, "it is too small to be assessed"
    tags.idle("toll")
    tags.idle("ferry")  # was written under again
    assert whole() == names
    tags.idle("bridge")
    assert whole() == ["ferry", "bridge", "quay"]
    tags.busy("ferry")
    del tags["bridge"]
    tags.idle("quay")
    tags.idle("toll")
    assert whole() == ["ferry", "quay"], "what is put away is not made whole to be idle"
    assert plain(tags.glance("toll")) == plain(small())


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
