"""`scan` over the rebuilt reference case: what it finds, and what it writes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import post

from streams import formats, reference_case, slices
from streams.monitor import Rules
from streams.scan import Result, scan
from streams.summary import what_was_read


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def precision_and_recall(found: set[str], true: set[str]) -> tuple[float, float]:
    return len(found & true) / len(found), len(found & true) / len(true)


RARELY = Rules(hop_ms=300_000)
"""Assessed every five minutes; benchmarks/quality.py does so every minute."""


class Scanned:
    """One scan of a rebuilt case, with its truth."""

    def __init__(self, folder: Path, seed: int, scale: float = 1.0) -> None:
        self.case, self.truth_path = reference_case.write(folder, seed=seed, scale=scale)
        self.truth = rows(self.truth_path)
        self.out = folder / "out"
        self.result: Result = scan([str(self.case)], self.out, RARELY)

    def true(self, column: str) -> set[str]:
        return {row[column] for row in self.truth if row["coordinated"] == "1"}

    def found(self, name: str, column: str) -> set[str]:
        return {row[column] for row in rows(self.out / name) if row["coordinated"] == "1"}

    def alerts(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.result.alerts]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    return Scanned(tmp_path_factory.mktemp("full"), seed=11)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    return Scanned(tmp_path_factory.mktemp("small"), seed=12, scale=0.3)


def check(scanned: Scanned) -> None:
    (alert,) = scanned.alerts()
    assert alert["kind"] == "flood"
    assert alert["texts"] == 30
    for name, column in (("posts.csv", "post_id"), ("accounts.csv", "account_id")):
        precision, recall = precision_and_recall(scanned.found(name, column), scanned.true(column))
        assert precision >= 0.99
        assert recall >= 0.99
    share = sum(row["coordinated"] == "1" for row in scanned.truth) / len(scanned.truth)
    assert alert["coordinated_share"] == pytest.approx(share, abs=0.005)
    groups = {row["text_group"] for row in rows(scanned.out / "posts.csv") if row["coordinated"] == "1"}
    assert len(groups) == 30


def test_the_reference_case_is_found_whole_and_nobody_else(full: Scanned) -> None:
    check(full)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 24))
def test_a_smaller_case_of_another_seed_is_found_too(tmp_path: Path, seed: int) -> None:
    check(Scanned(tmp_path, seed, scale=0.3))


def test_the_findings_name_the_published_traits(full: Scanned) -> None:
    (alert,) = full.alerts()
    said = {finding["detector"]: finding["sentence"] for finding in alert["findings"]}
    assert "994 of" in said["account_age"]
    assert "between 2 February 2016 and 19 February 2016" in said["account_age"]
    assert "4–5 s" in said["bursts"]
    assert "21 min" in said["bursts"]
    assert "Twitter Web Client" in said["client"]


def test_every_tagged_post_is_in_posts_csv_once_per_hashtag(full: Scanned) -> None:
    written = [(row["post_id"], row["hashtag"]) for row in rows(full.out / "posts.csv")]
    assert len(written) == len(set(written))
    main = {post for post, hashtag in written if hashtag == reference_case.HASHTAG}
    assert main == {row["post_id"] for row in full.truth}


def test_two_scans_write_the_same_bytes(small: Scanned, tmp_path: Path) -> None:
    scan([str(small.case)], tmp_path, RARELY)
    for name in ("alerts.jsonl", "assessments.jsonl", "posts.csv", "accounts.csv"):
        assert (tmp_path / name).read_bytes() == (small.out / name).read_bytes()


def test_an_archive_out_of_order_gives_the_same_alerts(small: Scanned, tmp_path: Path) -> None:
    lines = small.case.read_bytes().splitlines(keepends=True)
    newest_first = tmp_path / "newest_first.jsonl"
    newest_first.write_bytes(b"".join(reversed(lines)))
    told: list[str] = []
    result = scan([str(newest_first)], tmp_path / "out", RARELY, restarted=told.append)
    assert len(told) == 1
    assert "must be sorted by time" in told[0]
    assert result.alerts == small.result.alerts


def test_nothing_is_left_behind_when_a_file_cannot_be_used(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"\x00\x01binary")
    with pytest.raises(ValueError, match=r"bad\.jsonl"):
        scan([str(bad)], tmp_path / "out", Rules())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == []


def test_what_a_sampled_hashtag_leaves_out_is_said_and_what_is_kept_is_written(tmp_path: Path) -> None:
    case, _ = reference_case.write(tmp_path, seed=12, scale=0.3)
    found = scan([str(case)], tmp_path / "out", Rules(hop_ms=300_000, bucket_rows=60))
    totals = found.totals.shown()
    assert totals["sampled"] == 1
    assert totals["posts"] == 3_554
    written = rows(tmp_path / "out" / "posts.csv")
    tag = next(alert["hashtag"] for alert in found.parsed())
    kept = sum(row["hashtag"] == tag for row in written)
    assert totals["left_out"] + kept == 3_554
    ((name, figure),) = what_was_read(totals)[-1:]
    assert (name, figure) == ("hashtags sampled", f"1, {totals['left_out']:,} posts left out")


def test_what_is_passed_over_is_written_and_the_scan_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICES", 1)
    archive = tmp_path / "posts.jsonl"
    made = [post(n, n, 60 * n, "the ferry is late again", hashtags=(f"ferry{n}",)) for n in range(5)]
    archive.write_bytes(b"".join(formats.encode(one) + b"\n" for one in made))
    found = scan([str(archive)], tmp_path / "out", Rules(small_hashtags=2))
    assert what_was_read(found.totals.shown())[-1] == (
        "too many hashtags",
        "3 posts of small ones passed over",
    )
    written = rows(tmp_path / "out" / "posts.csv")
    assert [row["hashtag"] for row in written] == [f"ferry{n}" for n in range(5)]


def test_a_scan_without_sampled_hashtags_does_not_speak_of_samples(small: Scanned) -> None:
    assert small.result.totals.found.left_out == 0
    assert "sampled" not in str(what_was_read(small.result.totals.shown()))
    assert b"sampled" not in (small.out / "assessments.jsonl").read_bytes()
