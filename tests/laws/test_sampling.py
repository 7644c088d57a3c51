"""What a full bucket keeps is a function of the set of rows that ever came to it, and stands for all."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import cycle
from typing import Final

import msgspec
import numpy as np
import pytest
from builders import (
    HASHTAG,
    RULES,
    T0,
    Arrival,
    digests,
    flood,
    in_order,
    jumbled,
    lines,
    monitor_of,
    packets,
    post,
    run_all,
    step,
    talk,
    without,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.sample import below, limit, mixed, share_below
from detectors.table import ROW, Keys, Rows
from streams.full import Full, Limits
from streams.monitor import Monitor, PartitionState, Rules
from streams.packets import Packet, decode, encode, pack
from streams.pipeline import Ingested
from streams.posts import Post

NO_LIMIT: Final = 2**64


def hashes(keys: Iterable[int]) -> list[int]:
    out: list[int] = mixed(np.array(list(keys), np.uint64)).tolist()
    return out


def plain_limit(rows: Sequence[int], most: int) -> int | None:
    """The definition, word for word: `rows` are the hashes of their accounts."""
    accounts = sorted(set(rows))
    for number, account in enumerate(accounts):
        if number and sum(row <= account for row in rows) > most:
            return account
    return None


sets_of_rows = st.lists(st.integers(0, 9), max_size=40)


@settings(max_examples=300)
@given(rows=sets_of_rows, most=st.integers(1, 12))
def test_the_limit_is_what_it_is_said_to_be(rows: list[int], most: int) -> None:
    found = limit(np.array(rows, np.uint64), most)
    assert found == plain_limit(rows, most)
    kept = [row for row in rows if found is None or row < found]
    assert len(kept) <= most or len(set(kept)) == 1
    assert kept or not rows


@settings(max_examples=300)
@given(rows=sets_of_rows, more=sets_of_rows, most=st.integers(1, 12))
def test_further_rows_only_lower_it_and_those_that_were_dropped_have_no_say(
    rows: list[int], more: list[int], most: int
) -> None:
    before = plain_limit(rows, most)
    whole = plain_limit(rows + more, most)
    kept = [row for row in rows + more if before is None or row < before]
    part = plain_limit(kept, most)
    assert (NO_LIMIT if whole is None else whole) <= (NO_LIMIT if before is None else before)
    assert whole == (before if part is None else part)


# ---------------------------------------------------------------------------------------------- buckets

PEOPLE: Final = 12
IN_ONE_BUCKET: Final = Rules(hop_ms=600_000, bucket_rows=5)


def posts_of(numbers: Sequence[tuple[int, int]]) -> list[Post]:
    """One post for each pair of bucket and number; a few authors, texts that several posts have in common."""
    return [
        post(100 * bucket + number, number % PEOPLE, 600 * bucket + number, f"words of a kind {number % 9}")
        for bucket, number in numbers
    ]


def kept_plainly(posts: Sequence[Post], most: int) -> dict[int, tuple[int | None, set[str]]]:
    """By bucket its limit and the ids of the posts it keeps, by the definition."""
    out = {}
    for bucket in {p.time_ms // IN_ONE_BUCKET.hop_ms for p in posts}:
        mine = {p.id: p for p in posts if p.time_ms // IN_ONE_BUCKET.hop_ms == bucket}
        by_account = dict(zip(mine, hashes(int(p.account_id) for p in mine.values()), strict=True))
        found = plain_limit(list(by_account.values()), most)
        kept = {name for name, value in by_account.items() if found is None or value < found}
        out[bucket * IN_ONE_BUCKET.hop_ms] = found, kept
    return out


def kept_by(state: PartitionState) -> dict[int, tuple[int | None, set[str]]]:
    tag = state.tags[HASHTAG]
    return {
        bucket: (tag.limits.get(bucket), {str(key) for rows in parts for key in rows["post"].tolist()})
        for bucket, parts in tag.buckets.items()
    }


@settings(max_examples=100, deadline=None)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=1, max_size=80),
    cuts=st.lists(st.integers(1, 30), min_size=1),
    restarts=st.sets(st.integers(0, 40)),
    seed=st.integers(0, 99),
    most=st.integers(1, 15),
)
def test_what_is_kept_depends_on_nothing_but_the_set_of_posts(
    numbers: list[tuple[int, int]], cuts: list[int], restarts: set[int], seed: int, most: int
) -> None:
    """In any order, any packets, with posts that come twice, and from what a store gives back."""
    rules = msgspec.structs.replace(IN_ONE_BUCKET, bucket_rows=most)
    posts, rng = posts_of(numbers), np.random.default_rng(seed)
    shuffled = [posts[i] for i in rng.permutation(len(posts)).tolist()]
    monitor, at, number = monitor_of(rules=rules), 0, 0
    while at < len(shuffled):
        size = cuts[number % len(cuts)]
        batch = list(enumerate(shuffled[at : at + size], at))
        at += len(batch)
        monitor.apply(monitor.plan(pack(batch, 0, batch[0][0], at, 1)[0]))
        if number in restarts:
            monitor = monitor_of(rules=rules, state=stored(monitor.state))
        elif number == 0:
            monitor.state.tags[HASHTAG].derive()
        number += 1
    assert kept_by(monitor.state) == kept_plainly(posts, most)
    tag = monitor.state.tags[HASHTAG]
    rows = np.concatenate([rows for parts in tag.buckets.values() for rows in parts])
    texts = {text for text in tag.strings.values() if text.startswith("words")}
    assert texts == {p.text for p in posts if int(p.id) in set(rows["post"].tolist())}
    resumed = monitor_of(rules=rules, state=stored(monitor.state)).state.tags[HASHTAG]
    assert resumed.uses() == tag.uses()
    assert len(resumed.derive().index) == len(tag.derive().index)


def stored(state: PartitionState) -> PartitionState:
    """As a store gives it back: in one piece, in any order."""
    out = copy.deepcopy(state)
    for tag in out.tags.values():
        tag.buckets = {b: [np.concatenate(parts)[::-1]] for b, parts in tag.buckets.items()}
    return out


def test_rows_that_are_left_out_and_cut_are_counted() -> None:
    monitor = monitor_of(rules=IN_ONE_BUCKET)
    total = kept = 0
    for first in range(0, 60, 7):
        batch = posts_of([(0, number) for number in range(first, first + 7)])
        delta = monitor.plan(pack(list(enumerate(batch, first)), 0, first, first + 7, 1)[0])
        monitor.apply(delta)
        total += len(batch)
        kept += sum(map(len, delta.rows.values())) - delta.cut_rows
        assert delta.repeated == 0
        assert sum(map(len, delta.rows.values())) + delta.left_out_rows == len(batch)
    assert kept == sum(len(rows) for rows in monitor.state.tags[HASHTAG].buckets[T0]) <= 5 < total
    again = monitor.plan(pack(list(enumerate(posts_of([(0, 3)]), 99)), 1, 99, 100, 1)[0])
    assert again.repeated + again.left_out_rows == 1
    assert not again.rows


# ------------------------------------------------------------------------------------------- not sent


@settings(max_examples=100, deadline=None)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=1, max_size=80),
    sizes=st.lists(st.integers(1, 15), min_size=1),
    heard=st.lists(st.integers(0, 9), min_size=1),
    most=st.integers(1, 15),
)
def test_rows_that_are_not_sent_because_a_bucket_was_full_once_change_nothing(
    numbers: list[tuple[int, int]], sizes: list[int], heard: list[int], most: int
) -> None:
    """At no packet, however old the news of the bucket is, and not when what was sent is counted again."""
    rules = msgspec.structs.replace(IN_ONE_BUCKET, bucket_rows=most)
    whole, spared = monitor_of(rules=rules), monitor_of(rules=rules)
    said: list[Limits] = [{}]
    sent: list[Packet] = []
    states = []
    arrivals = [(0, one) for one in posts_of(numbers)]
    for number, packet in enumerate(packets(arrivals, size=partial(next, cycle(sizes)))):
        known = said[max(0, len(said) - 1 - heard[number % len(heard)])]
        (less,) = Full(rules.hop_ms, known).spare(Ingested([packet], [], {})).packets
        sent.append(less)
        whole.apply(whole.plan(packet))
        spared.apply(spared.plan(less))
        said.append(spared.full())
        states.append(held(spared.state))
        assert states[-1] == held(whole.state)
    again = monitor_of(rules=rules)
    for packet, state in zip(sent, states, strict=True):
        again.apply(again.plan(decode(encode(packet))))
        assert held(again.state) == state


def held(state: PartitionState) -> dict[str, object]:
    shown = {
        name: (
            {b: sorted(row.tobytes() for rows in parts for row in rows) for b, parts in tag.buckets.items()},
            tag.limits,
            tag.strings,
            tag.uses(),
        )
        for name, tag in state.tags.items()
    }
    return copy.deepcopy(shown | {"marks": state.marks, "clocks": state.clocks, "late": state.late})


def test_what_is_not_sent_is_what_lies_above_and_its_strings() -> None:
    posts = [*posts_of([(0, n) for n in range(30)]), *without(posts_of([(1, 7), (1, 8)]), hashtags=("toll",))]
    (packet,) = packets(in_order(posts), size=lambda: 99, ended=False)
    middle = sorted(hashes({int(p.account_id) for p in posts}))[PEOPLE // 2]
    ingested = Ingested([packet], [], {})
    full = Full(IN_ONE_BUCKET.hop_ms, {HASHTAG: {T0: middle}, "toll": {T0: 1}, "elsewhere": {T0: 1}})
    found = full.spare(ingested)
    (less,) = found.packets
    kept = [p for p in posts if p.time_ms >= T0 + 600_000 or hashes([int(p.account_id)])[0] < middle]
    assert found.spared == len(posts) - len(kept) > 5
    assert less.hashtags == packet.hashtags
    assert less.table()[0]["post"].tolist() == [int(p.id) for p in kept]
    assert set(less.strings.values()) == {p.text for p in kept} | {p.handle for p in kept}
    assert (less.start, less.end, less.clock) == (packet.start, packet.end, packet.clock)
    none = Full(IN_ONE_BUCKET.hop_ms, {HASHTAG: {T0: 1}}).spare(ingested).packets[0]
    assert none.hashtags == ["toll"]
    assert Full(IN_ONE_BUCKET.hop_ms, {"elsewhere": {T0: 1}}).spare(ingested) is ingested


def test_buckets_that_a_hop_has_looked_at_are_not_spoken_of() -> None:
    monitor = monitor_of(rules=SMALL)
    spoken = set[int]()
    for packet in packets(in_order(POSTS), size=lambda: 10):
        step(monitor, packet)
        buckets = {bucket for limits in monitor.full().values() for bucket in limits}
        assert all(bucket + SMALL.hop_ms > (monitor.state.assessed_ms or 0) for bucket in buckets)
        spoken |= buckets
    assert len(spoken) > 3
    assert monitor.full() == {}


# ---------------------------------------------------------------------------------------------- windows

SMALL: Final = msgspec.structs.replace(RULES, bucket_rows=40)
TAGS: Final = (HASHTAG, "toll")


def crowded() -> list[Post]:
    """Two hashtags, taken at once, whose buckets hold up to three times what they may."""
    return [
        *without(talk(accounts=150), hashtags=TAGS),
        *without(flood(accounts=60), hashtags=TAGS),
        *without(talk(seed=5, accounts=40, first=700), hashtags=("ferry",)),
    ]


POSTS: Final = crowded()
EXPECTED: Final = run_all(in_order(POSTS), 1, rules=SMALL)


def assert_same(arrivals: Sequence[Arrival], partitions: int, sources: int, sizes: Sequence[int]) -> None:
    outcomes = run_all(arrivals, partitions, sources, SMALL, sizes)
    assert sorted(lines(outcomes)) == sorted(lines(EXPECTED))
    assert digests(outcomes) == digests(EXPECTED)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32), sources=st.integers(1, 3), most=st.sampled_from((20, 300)))
def test_partitions_packets_and_arrival_change_nothing_where_hashtags_are_sampled(
    seed: int, sources: int, most: int
) -> None:
    """Verdicts, alerts, and what completed hours say."""
    rng = np.random.default_rng(seed)
    arrivals = jumbled(POSTS, rng, sources, SMALL.lateness_ms)
    for partitions in (1, 4):
        assert_same(arrivals, partitions, sources, rng.integers(1, most + 1, 99).tolist())


def windows() -> list[tuple[Rows, float, int, int]]:
    return [
        (tag.window.rows, tag.window.sampled, tag.window.start_ms, tag.window.end_ms)
        for outcome in EXPECTED
        for tag in outcome.tags
        if tag.window.hashtag == HASHTAG and tag.window.sampled < 1
    ]


def test_accounts_of_a_sampled_window_are_whole_and_those_of_lowest_hash() -> None:
    """So every gap and every sequence in it is one that was there."""
    assert len(windows()) > 5
    for rows, sampled, start_ms, end_ms in windows():
        mine = [p for p in POSTS if HASHTAG in p.hashtags and start_ms <= p.time_ms < end_ms]
        kept = set(rows["account"].tolist())
        left_out = {int(p.account_id) for p in mine} - kept
        assert left_out
        assert set(rows["post"].tolist()) == {int(p.id) for p in mine if int(p.account_id) in kept}
        assert max(hashes(kept)) < sampled * 2**64 <= min(hashes(left_out)) * (1 + 1e-15)


def test_a_flood_is_found_in_a_sample_with_its_size_and_says_so() -> None:
    judged = [t.assessment for o in EXPECTED for t in o.tags if t.window.hashtag == HASHTAG]
    found = judged[-1]
    assert found.kind is not None
    assert found.sampled < 0.7
    true = len(flood(accounts=60)) / (len(flood(accounts=60)) + len(talk(accounts=150)))
    assert found.coordinated_share == pytest.approx(true, abs=0.1)
    posts, accounts = found.coordinated
    error = 1 / np.sqrt(found.coordinated_accounts.size)
    assert (posts, accounts) == pytest.approx((360, 60), rel=3 * error)
    assert found.sentence.endswith(f"; estimated from {100 * found.sampled:.1f} % of the accounts.")
    told = [msgspec.json.decode(line.partition(b" ")[2]) for line in lines(EXPECTED) if line[:1] != b"{"]
    assert {alert["hashtag"] for alert in told} >= set(TAGS)
    assert all(0 < alert["sampled"] < 1 for alert in told if alert["hashtag"] in TAGS)


def test_a_hashtag_that_is_not_sampled_says_nothing_of_it() -> None:
    calm = [line for line in lines(EXPECTED) if b'"hashtag":"ferry"' in line]
    assert calm
    assert not any(b"sampled" in line or b"estimated" in line for line in calm)


# -------------------------------------------------------------------------------------------- estimates


def sample_of(accounts: Keys, rows_of_each: Keys, most: int) -> tuple[int, float, float]:
    """Accounts that are kept, and estimates of the number of accounts and of rows."""
    keys = np.repeat(accounts, rows_of_each.astype(np.int64))
    at_most = limit(mixed(keys), most)
    assert at_most is not None
    kept, share = below(keys, at_most), share_below(at_most)
    found = np.unique(keys[kept]).size
    return int(found), found / share, float(kept.sum()) / share


@pytest.mark.parametrize("posts", ["one", "even", "uneven"])
@pytest.mark.parametrize("most", [200, 2_000])
def test_estimates_are_unbiased_and_within_their_stated_error(most: int, posts: str) -> None:
    """With m accounts kept, the relative standard error of a number of accounts is 1/sqrt(m − 1).

    K. Beyer and others, "On synopses for distinct-value estimation under multiset operations", 2007. That of
    a number of posts is sqrt((1 + c²)/(m − 1)), where c is the coefficient of variation of the posts of an
    account.
    """
    rng = np.random.default_rng(most)
    errors, stated = [], []
    for _ in range(150):
        # Runs of numbers, as platforms give them: nothing is random but the mixing.
        first = int(rng.integers(2**60))
        accounts = np.arange(first, first + 5 * most, dtype=np.uint64)
        each = {
            "one": np.ones(len(accounts)),
            "even": rng.integers(1, 5, len(accounts)),
            "uneven": np.minimum(rng.geometric(0.2, len(accounts)), most // 10),
        }[posts].astype(np.uint64)
        kept, of_accounts, of_rows = sample_of(accounts, each, most)
        errors.append((of_accounts / len(accounts) - 1, of_rows / float(each.sum()) - 1))
        variation = float(each.std() / each.mean())
        stated.append((1 / np.sqrt(kept - 1), np.sqrt((1 + variation**2) / (kept - 1))))
    spread = np.std(errors, axis=0) / np.mean(stated, axis=0)
    bias = np.mean(errors, axis=0) / np.mean(stated, axis=0) * np.sqrt(len(errors))
    assert (spread < 1.2).all(), spread
    assert (np.abs(bias) < 4).all(), bias


def test_one_account_that_brings_more_than_a_bucket_holds_is_kept_whole_if_it_is_the_lowest() -> None:
    account = min(range(50), key=lambda n: hashes([10**6 + n])[0])
    loud = [post(n, account, n, f"the ferry of {n}") for n in range(20)]
    others = [post(100 + n, n, n, "the bridge") for n in range(50) if n != account]
    monitor = monitor_of(rules=IN_ONE_BUCKET)
    step(monitor, packets(in_order([*loud, *others]), ended=False)[0])
    ((at_most, kept),) = kept_by(monitor.state).values()
    assert kept == {p.id for p in loud}
    assert at_most == sorted(hashes(10**6 + n for n in range(50)))[1]


def test_a_bucket_below_its_bound_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nothing is to be hashed where nothing is sampled")

    for name in ("mixed", "below", "limit"):
        monkeypatch.setattr(f"streams.monitor.{name}", never)
    monitor: Monitor = monitor_of()
    for packet in packets(in_order(POSTS)):
        step(monitor, packet)


def test_no_rows_have_no_limit() -> None:
    assert limit(np.empty(0, ROW)["account"], 1) is None
