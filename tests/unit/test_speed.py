"""How the cost of a scan grows and what multiple of the bare loop it is: ratios, never seconds.

And what `make bench` works with: steps timed apart, processes that are ended, pages that claim nothing.
"""

from __future__ import annotations

import doctest
import time
from pathlib import Path
from time import process_time

import msgspec
import pytest

from benchmarks import speed_memory, speed_page, speed_peers, speed_posts, speed_profile, speed_report
from benchmarks.apart import ApartError, OverTimeError, apart, peak_mib
from benchmarks.scan import Scanned, scanned
from benchmarks.speed_checks import checks, growth, times
from benchmarks.speed_limit import STEPS, Limit, limit_of
from benchmarks.speed_profile import REST, Stopwatch
from benchmarks.speed_report import SHORT, Report, Size
from benchmarks.speed_targets import targets
from streams.monitor import Rules

SIZES = (1_500, 6_000)
REPEATS = 2
RARELY = Rules(hop_ms=1_200_000)
"""Assessed every twenty minutes; `make bench` does so every minute."""

MOST_GROWTH = 1.5
"""Exponent; more than `make bench` allows, because these files are small and cost little to measure."""

MOST_TIMES = 12
"""Four times what a scan that seldom assesses costs over the bare loop."""


@pytest.mark.parametrize("kind", speed_posts.KINDS)
def test_a_scan_costs_about_as_much_a_post_however_many_there_are(kind: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{posts}.jsonl" for posts in SIZES]
    for posts, path in zip(SIZES, files, strict=True):
        speed_posts.write(kind, posts, path)
    # In turn, so that what else the machine does meanwhile meets both sizes.
    scans = [scanned(path, tmp_path / "out", RARELY) for _ in range(REPEATS) for path in files]
    least = {scan.posts: min(one.us for one in scans if one.posts == scan.posts) for scan in scans}
    grown = growth(kind, least, MOST_GROWTH)
    assert grown.kept, grown
    limit_us = min(limit_of(files[-1]).us for _ in range(REPEATS))
    dearer = times(kind, least[max(least)], limit_us, MOST_TIMES)
    assert dearer.kept, dearer


def a_report(costs_us: dict[int, float]) -> Report:
    """A run with scans of these costs a post, and a bare loop of 10 µs."""
    report = Report("a machine", "make bench", SHORT, load=[0.0, 0.0])
    report.limits = {speed_posts.ONE: [Limit(1_000, dict.fromkeys(STEPS, 2.0), 80.0)]}
    for posts, us in costs_us.items():
        seconds = us * posts / 1e6
        report.sizes.append(Size(speed_posts.ONE, posts, 1, [Scanned(posts, 10, 1, seconds, seconds, 100.0)]))
    return report


def test_quadratic_growth_breaks_a_check_and_linear_growth_none() -> None:
    linear, quadratic = a_report({1_000: 50.0, 4_000: 50.0}), a_report({1_000: 50.0, 4_000: 200.0})
    assert [check.kept for check in checks(linear)] == [True, True]
    assert [check.kept for check in checks(quadratic)] == [False, True]


def test_a_scan_that_became_many_times_dearer_breaks_a_check() -> None:
    assert [check.kept for check in checks(a_report({1_000: 1_000.0}))] == [False]


def test_a_check_takes_the_least_of_repeated_costs() -> None:
    report = a_report({1_000: 50.0})
    report.sizes[0].scans.append(msgspec.structs.replace(report.sizes[0].scans[0], processor_s=9.0))
    (check,) = checks(report)
    assert check.ratio == pytest.approx(5.0)


def test_targets_say_what_was_measured_and_of_the_rest_nothing() -> None:
    by_name = {one.what: one for one in targets(a_report({1_000: 11.0}))}
    scan = by_name["`scan` of one hashtag, of the bare loop, per core"]
    assert (scan.measured, scan.met) == ("0.91 with 1,000 posts", True)
    others = [one for one in by_name.values() if one is not scan]
    assert len(others) > 5
    assert all(one.measured is None and one.met is None for one in others)


def test_a_target_that_is_missed_is_told() -> None:
    page = speed_page.page(a_report({1_000: 50.0}), "speed.svg")
    assert "| at least 0.8 | 0.20 with 1,000 posts | **no** |" in page
    assert "short run" in page


def test_a_page_has_no_section_without_figures() -> None:
    page = speed_page.page(Report("a machine", "make bench", SHORT, load=[0.0]), "speed.svg")
    assert "## What is wanted, and what is" in page
    assert page.count("\n## ") == 1


def test_the_time_of_an_inner_step_is_not_that_of_the_outer_one() -> None:
    watch = Stopwatch()

    def burn() -> None:
        until_s = process_time() + 0.05
        while process_time() < until_s:
            pass

    inner = watch.timed("inner", burn)
    outer = watch.timed("outer", lambda: inner())
    outer()
    outer()
    assert watch.calls == {"outer": 2, "inner": 2}
    assert watch.seconds["inner"] >= 0.1
    assert watch.seconds["outer"] < 0.05


def test_an_iterator_is_timed_while_it_is_asked_and_not_while_it_waits() -> None:
    watch = Stopwatch()

    def numbers() -> object:
        yield from range(3)

    taken = []
    for number in watch.timed("reading", numbers)():
        until_s = process_time() + 0.02
        while process_time() < until_s:
            pass
        taken.append(number)
    watch.stop()
    assert taken == [0, 1, 2]
    assert watch.seconds[REST] >= 0.06
    assert watch.seconds["reading"] < 0.03


def test_hashtags_of_one_post_each_take_little_memory() -> None:
    found = apart(speed_memory.hashtags, 30_000)
    assert (found.count, found.held) == (30_000, 30_000)
    assert 107 < found.bytes_each < 1_000
    assert found.peak_mib >= found.mib


def test_a_stream_of_one_hashtag_is_assessed_as_it_comes() -> None:
    found = apart(speed_memory.stream, 4 * speed_memory.HOT_A_MINUTE)
    assert found.windows == 1  # the others are not over for as long as a post may be late
    assert 1_500 < found.rows <= 2_000


def test_a_profile_has_all_time_of_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    speed_posts.write(speed_posts.ONE, 1_000, path)
    found = apart(speed_profile.steps, path, tmp_path / "out", RARELY)
    names = [step.name for step in found.steps]
    assert {"read and decode", "detector near_identical", "group texts", "write"} <= {*names}
    assert found.missing == ()
    assert sum(step.seconds for step in found.steps) == pytest.approx(found.scan.processor_s, rel=0.05)


def test_a_process_that_takes_too_long_is_ended() -> None:
    with pytest.raises(OverTimeError, match=r"not done within 0\.2 s"):
        apart(time.sleep, 60, limit_s=0.2)


def test_what_another_process_raises_is_told() -> None:
    with pytest.raises(ApartError, match="FileNotFoundError"):
        apart(limit_of, Path("/nowhere"))


def test_a_process_that_needs_too_much_memory_is_told() -> None:
    with pytest.raises(ApartError, match="needs more memory than 2 GiB"):
        apart(bytearray, 3 << 30, limit_bytes=2 << 30)


def test_the_memory_of_a_process_is_its_own() -> None:
    held = bytearray(b"1") * (300 << 20)
    assert apart(peak_mib) < 300 < len(held) < peak_mib() * 2**20


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "posts.jsonl"
    speed_posts.write(speed_posts.MANY, 200, path)
    ours, *others = speed_peers.signed(path)
    assert ours.us is not None
    assert [(one.us, one.why) for one in others] == [(None, "not installed")] * 2


@pytest.mark.parametrize("kind", [*speed_posts.KINDS, speed_posts.LIVE])
def test_as_many_posts_are_made_as_wanted(kind: str, tmp_path: Path) -> None:
    count, hashtags = speed_posts.write(kind, 9_600, tmp_path / "posts.jsonl")
    assert count == pytest.approx(9_600, rel=0.01)
    if kind == speed_posts.MANY:
        assert hashtags == pytest.approx(9_600 / speed_posts.POSTS_A_TAG, rel=0.1)


def test_examples_in_docstrings_are_true() -> None:
    assert doctest.testmod(speed_report).failed == 0
