"""What must hold for every detector, whatever the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from builders import (
    COARSE,
    GOSSIP,
    HASHTAG,
    T0,
    WINDOW_MS,
    everyone,
    fans,
    flood,
    flooded,
    following,
    in_order,
    in_step,
    jumbled,
    keys,
    lines,
    monitor_of,
    packets,
    remembering,
    repost_flood,
    run,
    run_all,
    step,
    table,
    talk,
    window_of,
    without,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors import DETECTORS
from detectors.finding import Detector, Finding, Verdict
from detectors.table import ROW, Flag, Kind, Rows, Window, distinct
from streams.packets import partition_of

PARTS, STRINGS = [], {}
for _posts in (
    following(without(talk(accounts=60), links=("https://paper.example/1",)), 3, 3_000),
    following(without(flood(accounts=25), links=("https://goal.example/1",)), 25, 79),
    fans(accounts=30),
    everyone("I have just signed the petition for the harbour bridge, sign it too", 30),
    everyone(GOSSIP[0], 30, first=21_000, kind=Kind.REPOST, target_id="5"),
    everyone("GOOOAL!!!", 30, first=22_000),
    repost_flood(accounts=25),
    in_step(accounts=15),
):
    _rows, _strings = table(_posts)
    PARTS.append(_rows)
    STRINGS.update(_strings)

BASELINE: Final = remembering(keys(flood(accounts=25)))
"""The prior, and a memory in which the flood's accounts were coordinated before."""

BLIND: Final[dict[str, Callable[[Rows], None]]] = {
    "near_identical": lambda rows: rows["text"].fill(0),
    "co_posting": lambda rows: rows["text"].fill(0),
    "off_topic": lambda rows: rows["text"].fill(0),
    "bursts": lambda rows: np.bitwise_or(rows["flags"], np.uint32(COARSE), out=rows["flags"]),
    "account_age": lambda rows: np.bitwise_and(
        rows["flags"], np.uint32(0xFFFFFFFF ^ Flag.CREATED_KNOWN), out=rows["flags"]
    ),
    "client": lambda rows: rows["client"].fill(0),
    "co_repost": lambda rows: rows["target"].fill(0),
    "synchrony": lambda rows: np.bitwise_or(rows["flags"], np.uint32(COARSE), out=rows["flags"]),
    "playlist": lambda rows: np.bitwise_or(rows["flags"], np.uint32(COARSE), out=rows["flags"]),
    "profile": lambda rows: np.bitwise_and(
        rows["flags"], np.uint32(0xFFFFFFFF ^ Flag.FOLLOWING_KNOWN), out=rows["flags"]
    ),
    "links": lambda rows: rows["domain"].fill(0),
    "recycled": lambda rows: rows["text"].fill(0),
}
"""How to make the field a detector looks at unknown."""

every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
quick = settings(max_examples=25, deadline=None)


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Rows of a window: any mixture of talk, flood, fans, a share button, reposts and a chorus, some fields
    unknown for some rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = [draw(st.sampled_from((0.0, 0.2, 1.0))) for _ in PARTS]
    rows = np.concatenate([p[rng.random(len(p)) < share] for p, share in zip(PARTS, shares, strict=True)])
    for name in draw(st.sets(st.sampled_from(sorted(BLIND)), max_size=2)):
        some = rng.random(len(rows)) < draw(st.sampled_from((0.1, 0.6)))
        blind = rows[some]
        BLIND[name](blind)
        rows[some] = blind
    return rows


def judge(detector: Detector, rows: Rows) -> Finding:
    return detector.assess(window_of(rows, STRINGS), BASELINE)


def plain(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in finding.__dataclass_fields__} | {
        "accounts": finding.accounts.tolist(),
        "posts": finding.posts.tolist(),
    }


@every_detector
@quick
@given(rows=tables(), seed=st.integers(0, 2**32))
def test_order_and_repetition_of_rows_do_not_matter(detector: Detector, rows: Rows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    again = rng.permutation(np.concatenate((rows, rng.choice(rows, len(rows) // 2)))) if len(rows) else rows
    assert plain(judge(detector, again)) == plain(judge(detector, rows))


@every_detector
@quick
@given(rows=tables())
def test_finding_is_pure(detector: Detector, rows: Rows) -> None:
    window = window_of(rows, STRINGS)
    before = window.rows.tobytes()
    first = plain(detector.assess(window, BASELINE))
    assert window.rows.tobytes() == before
    assert plain(detector.assess(window, BASELINE)) == first
    assert plain(judge(detector, rows)) == first


@every_detector
@quick
@given(rows=tables())
@example(rows=np.concatenate(PARTS))
def test_finding_is_well_formed(detector: Detector, rows: Rows) -> None:
    window = window_of(rows, STRINGS)
    finding = detector.assess(window, BASELINE)
    assert finding.detector == detector.name
    assert finding.sentence.endswith(".")
    assert msgspec.json.encode(finding.evidence)
    if finding.verdict is Verdict.ABSTAINED:
        assert (finding.p_value, finding.effect) == (None, None)
    else:
        assert finding.p_value is not None
        assert 0 < finding.p_value <= 1
        assert finding.effect is not None
        assert 0 <= finding.effect <= 1
    for named, known in ((finding.accounts, window.rows["account"]), (finding.posts, window.rows["post"])):
        assert named.dtype == np.uint64
        assert (np.diff(named.astype(object)) > 0).all()
        assert np.isin(named, known).all()
        assert finding.verdict is Verdict.SUSPICIOUS or not named.size
    if finding.verdict is Verdict.SUSPICIOUS:
        assert finding.accounts.size or finding.posts.size


@every_detector
def test_full_mixture_is_suspicious_and_so_the_laws_are_not_empty(detector: Detector) -> None:
    parts = {"co_repost": (0, 6), "synchrony": (0, 7)}.get(detector.name, (0, 1))
    assert judge(detector, np.concatenate([PARTS[part] for part in parts])).verdict is Verdict.SUSPICIOUS


@every_detector
@quick
@given(rows=tables())
@example(rows=np.concatenate(PARTS))
def test_unknown_field_makes_the_detector_abstain(detector: Detector, rows: Rows) -> None:
    rows = rows.copy()
    BLIND[detector.name](rows)
    assert judge(detector, rows).verdict is Verdict.ABSTAINED


@every_detector
@quick
@given(rows=tables(), seed=st.integers(0, 2**32))
def test_values_marked_unknown_do_not_vote(detector: Detector, rows: Rows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    unknown = (rows["flags"] & int(Flag.CREATED_KNOWN)) == 0
    other = rows.copy()
    other["created_day"][unknown] = rng.integers(-(2**31), 2**31, int(unknown.sum()))
    for name, flag in (
        ("followers", Flag.FOLLOWERS_KNOWN),
        ("following", Flag.FOLLOWING_KNOWN),
        ("likes", Flag.LIKES_KNOWN),
    ):
        blank = (rows["flags"] & int(flag)) == 0
        other[name][blank] = rng.integers(0, 2**32, int(blank.sum()))
    assert plain(judge(detector, other)) == plain(judge(detector, rows))


@every_detector
def test_empty_window_is_no_evidence(detector: Detector) -> None:
    empty = Window(HASHTAG, T0, T0 + WINDOW_MS, np.empty(0, ROW))
    assert detector.assess(empty, BASELINE).verdict is Verdict.ABSTAINED


@every_detector
@pytest.mark.parametrize("fill", [0, 0xFF])
def test_window_of_one_extreme_row_is_no_evidence(detector: Detector, fill: int) -> None:
    row = np.frombuffer(bytes([fill]) * ROW.itemsize, ROW)
    window = Window(HASHTAG, T0, T0 + WINDOW_MS, row)
    assert detector.assess(window, BASELINE).verdict is Verdict.ABSTAINED


@every_detector
def test_window_of_one_post_is_no_evidence(detector: Detector) -> None:
    assert judge(detector, PARTS[0][:1]).verdict is Verdict.ABSTAINED


@quick
@given(rows=tables(), seed=st.integers(0, 2**32))
def test_distinct_does_not_depend_on_order_repetition_or_grouping(rows: Rows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    changed = rng.choice(rows, min(40, len(rows))) if len(rows) else rows
    changed["likes"] = rng.integers(0, 99, len(changed))
    every = np.concatenate((rows, changed))
    once = distinct(every)
    mixed = rng.permutation(every)
    cut = int(rng.integers(len(mixed) + 1))
    assert distinct(mixed).tobytes() == once.tobytes()
    assert distinct(once).tobytes() == once.tobytes()
    assert distinct(np.concatenate((distinct(mixed[:cut]), mixed[cut:]))).tobytes() == once.tobytes()
    assert np.unique(once["post"]).tolist() == sorted(once["post"].tolist())
    assert set(once["post"].tolist()) == set(every["post"].tolist())
    assert (np.diff(once["time_ms"]) >= 0).all()
    assert np.isin(once, every).all()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), sources=st.integers(1, 3), most=st.sampled_from((1, 7, 60, 1_000)))
def test_packets_sources_and_arrival_within_lateness_change_nothing(
    seed: int, sources: int, most: int
) -> None:
    rng = np.random.default_rng(seed)
    arrivals = jumbled(flooded(), rng, sources, 120_000)
    sent = packets(arrivals, sources=sources, size=lambda: int(rng.integers(1, most + 1)))
    assert lines(run(sent, sources)) == expected_lines()


def expected_lines() -> list[bytes]:
    if not _EXPECTED:
        _EXPECTED.extend(lines(run(packets(in_order(flooded())))))
        assert any(line.startswith(b"fired ") for line in _EXPECTED)
    return _EXPECTED


_EXPECTED: list[bytes] = []


@pytest.mark.parametrize("partitions", [2, 5])
def test_number_of_partitions_changes_nothing(partitions: int) -> None:
    tags = (HASHTAG, "toll", "ferry", "gulls")
    posts = [
        *without(talk(accounts=60), hashtags=tags[:2]),
        *without(flood(accounts=25), hashtags=tags[1:3]),
        *without(talk(seed=5, accounts=30, first=300), hashtags=tags[3:]),
    ]
    alone = run(packets(in_order(posts)))
    spread = run_all(in_order(posts), partitions)
    assert len({partition_of(t, partitions) for t in tags}) > 1
    assert sorted(lines(spread)) == sorted(lines(alone))
    assert {t.assessment.hashtag for o in alone for t in o.tags if t.alert is not None} == {"toll", "ferry"}


def test_late_post_joins_later_hops_and_is_counted() -> None:
    """The same for all detectors: a window is what had come before its hop, and nothing is lost."""
    posts = sorted(flooded(), key=lambda p: p.time_ms)
    late = posts[10]
    on_time = [p for p in posts if p is not late]
    at = next(i for i, p in enumerate(on_time) if p.time_ms > late.time_ms + 1_500_000)
    late_rows, outcomes = _collect([*on_time[:at], late, *on_time[at:]])
    assert late_rows == 1
    holding = {o.hop_ms: int(late.id) in o.tags[0].window.rows["post"] for o in outcomes if o.tags}
    joined = min(hop for hop, held in holding.items() if held)
    assert joined > late.time_ms + 1_200_000
    assert all(held == (hop >= joined) for hop, held in holding.items())
    complete = run(packets(in_order(posts), size=lambda: 1))
    assert lines(outcomes)[-1] == lines(complete)[-1]


def _collect(posts: list[Any]) -> tuple[int, list[Any]]:
    monitor = monitor_of()
    late_rows, out = 0, []
    for packet in packets([(0, p) for p in posts], size=lambda: 1):
        late_rows += monitor.plan(packet).late_rows
        out += step(monitor, packet)
    return late_rows, out
