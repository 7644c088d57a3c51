"""A scan in several processes writes what one process writes, and says so when one of them is lost."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks import crowd
from detectors.alert import Alert, Reason
from detectors.baseline import Baseline
from detectors.table import DAY_MS
from streams import archive, clock, formats, packets
from streams.monitor import Rules
from streams.posts import Post
from streams.scan import ACCOUNTS, ALERTS, ASSESSMENTS, POSTS, Result, scan
from streams.scan_jobs import JobEndedError, Jobs
from streams.scan_output import Files

WRITTEN = (ALERTS, ASSESSMENTS, POSTS, ACCOUNTS)
RULES = Rules(hop_ms=600_000, bucket_rows=120, small_hashtags=1)
"""Assessed every ten minutes; with so few rows a hop that the busiest hashtags are sampled, and of small
hashtags one in a slice."""

GAP_MS = 2 * DAY_MS + 1_000 * 60 * 17
SPAN_S = 3_600


def posts() -> list[Post]:
    """Floods one after the other, and again two days later; every third post is under two hashtags."""
    made = list(crowd.posts(crowd.Crowd(1_200, SPAN_S, floods=3)))
    tags = [post.hashtags[0] for post in made]
    both = [
        msgspec.structs.replace(post, hashtags=(*post.hashtags, tags[n // 2])) if n % 3 == 0 else post
        for n, post in enumerate(made)
    ]
    for n, post in enumerate(both):
        if n % 2:
            both[n] = msgspec.structs.replace(post, hashtags=(*post.hashtags, f"invented{n}"))
    again = [
        msgspec.structs.replace(post, id=f"again-{post.id}", time_ms=post.time_ms + GAP_MS) for post in both
    ]
    return both + again


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return [formats.encode(post) + b"\n" for post in posts()]


class Scanned:
    """A scan, with all that it wrote and told."""

    def __init__(self, path: Path, out: Path, jobs: int, **more: Any) -> None:
        told: list[tuple[str, Reason]] = []
        self.result: Result = scan(
            [str(path)], out, RULES, jobs=jobs, told=lambda alert, why: told.append((alert.id, why)), **more
        )
        self.told = sorted(told)
        self.files = {file.name: file.read_bytes() for file in out.iterdir()}


@pytest.fixture(scope="module")
def archived(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "posts.jsonl"
    path.write_bytes(b"".join(lines))
    return path


@pytest.fixture(scope="module")
def alone(archived: Path, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    return Scanned(archived, tmp_path_factory.mktemp("alone"), 1)


@pytest.mark.parametrize("jobs", [2, 3])
def test_several_processes_write_the_bytes_that_one_does(
    archived: Path, alone: Scanned, tmp_path: Path, jobs: int
) -> None:
    several = Scanned(archived, tmp_path, jobs)
    assert sorted(several.files) == sorted(WRITTEN)
    for name in WRITTEN:
        assert several.files[name] == alone.files[name], name
    assert several.told == alone.told
    assert several.result.totals.shown() == alone.result.totals.shown()
    assert several.result.totals.found.late == alone.result.totals.found.late
    assert several.result.learnt.digest == alone.result.learnt.digest


def test_the_case_has_what_could_differ(alone: Scanned) -> None:
    totals = alone.result.totals
    assert len(alone.result.alerts) >= 4
    assert totals.found.sampled
    assert totals.found.left_out
    assert totals.found.passed_over
    assert not alone.result.learnt.empty
    assert len(totals.hashtags) > 40
    assert {why for _, why in alone.told} >= {Reason.FIRED, Reason.GREW, Reason.RESOLVED}


def test_an_archive_out_of_order_is_sorted_and_scanned_again(
    lines: list[bytes], alone: Scanned, tmp_path: Path
) -> None:
    newest_first = tmp_path / "newest_first.jsonl"
    newest_first.write_bytes(b"".join(reversed(lines)))
    told: list[str] = []
    several = Scanned(newest_first, tmp_path / "out", 2, restarted=told.append)
    assert len(told) == 1
    assert several.result.alerts == alone.result.alerts


def test_a_process_that_is_killed_ends_the_scan_and_leaves_nothing(archived: Path, tmp_path: Path) -> None:
    def kill_one(_alert: Alert, _why: Reason) -> None:
        multiprocessing.active_children()[0].kill()

    with pytest.raises(JobEndedError, match=r"ended by signal 9 before it was done; .* fewer --jobs"):
        scan([str(archived)], tmp_path / "out", RULES, jobs=2, told=kill_one)
    assert list((tmp_path / "out").iterdir()) == []
    assert multiprocessing.active_children() == []


def test_an_archive_that_cannot_be_used_ends_the_processes(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"\x00\x01binary")
    before = threading.active_count()
    with pytest.raises(archive.Unreadable, match=r"bad\.jsonl"):
        scan([str(bad)], tmp_path / "out", RULES, jobs=2)
    assert list((tmp_path / "out").iterdir()) == []
    assert multiprocessing.active_children() == []
    assert threading.active_count() == before


def test_what_goes_wrong_with_the_disk_of_a_process_is_what_the_scan_says(tmp_path: Path) -> None:
    (nothing, *_) = packets.pack([], 0, 0, 1, 2, ended=True)
    with Files(tmp_path) as files, Jobs(2, tmp_path, RULES, Baseline.prior(), files, None) as jobs:
        (kept,) = tmp_path.glob("parts-*")
        shutil.rmtree(kept)  # long before the processes have started
        kept.mkdir()  # to be removed at the end
        jobs.take((nothing, nothing))
        with pytest.raises(FileNotFoundError, match=kept.name):
            jobs.finish()


def test_a_process_that_is_done_before_anybody_asks_is_not_waited_for_again(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    ended = packets.pack([], 0, 0, 1, 2, ended=True)
    with Files(tmp_path) as files, Jobs(2, tmp_path / "out", RULES, Baseline.prior(), files, None) as jobs:
        jobs.take(ended)
        deadline_s = clock.monotonic_s() + 60
        while jobs._said.qsize() < 2 and clock.monotonic_s() < deadline_s:
            threading.Event().wait(0.01)
        jobs._tell()  # as when the last packets are passed on
        waiting = threading.Thread(target=jobs.finish, daemon=True)
        waiting.start()
        waiting.join(60)
        assert not waiting.is_alive()
