"""The quick run of `make chaos`: workers and servers killed at random, and yet all is as it must be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from benchmarks.chaos_page import Report

from . import apache_kafka

# A minute on an idle machine; what it waits for may take four times as long on a busy one.
pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parent.parent.parent


def chaos(out: Path, *options: str) -> Report:
    """Run it to its end; what is wrong is in what it says."""
    command = [sys.executable, "-m", "benchmarks.chaos", "--quick", "--out", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-8_000:]
    return msgspec.json.decode(out.with_suffix(".json").read_bytes(), type=Report)


def assert_something_was_done(report: Report, kinds: set[str]) -> None:
    assert {kill.kind for kill in report.kills} == kinds
    assert all(kill.recovered_s is not None for kill in report.kills)
    (only,) = report.rounds
    assert only.doubled > 30
    assert only.facts > 1_000
    assert only.news > 10


def test_on_apache_kafka_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path: Path) -> None:
    apache_kafka.require()
    report = chaos(tmp_path / "chaos.md", "--broker", "kafka")
    assert_something_was_done(report, {"worker", "kafka", "redis"})
    assert not report.rounds[0].differences


def test_on_a_broker_without_transactions_alerts_may_be_told_twice_and_nothing_else_differs(
    tmp_path: Path,
) -> None:
    report = chaos(tmp_path / "chaos.md", "--broker", "embedded", "--kills", "2")
    assert_something_was_done(report, {"worker", "redis"})
    assert {one.kind for one in report.rounds[0].differences} <= {"doubled news"}
