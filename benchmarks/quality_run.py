"""One scenario through `floodmark scan` with default rules, and what came out beside the truth."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.quality_score import Hits, Outcome, Raised
from benchmarks.scenarios.scenario import Scenario
from detectors.alert import Alert, Reason
from streams import clock, formats
from streams.monitor import Rules
from streams.scan import ACCOUNTS, ASSESSMENTS, POSTS, scan


class _Finding(msgspec.Struct):
    detector: str
    verdict: str


class _Span(msgspec.Struct):
    end: str


class _Assessment(msgspec.Struct):
    hashtag: str
    p_value: float
    window: _Span
    posts: int
    findings: list[_Finding]
    pattern: str | None = None


_ASSESSMENTS = msgspec.json.Decoder(_Assessment)


def run(case: Scenario, seed: int = 0, rules: Rules | None = None) -> Outcome:
    """Write the posts, scan them and compare what is in the output files with the truth."""
    with tempfile.TemporaryDirectory() as name:
        return _run(case, seed, rules or Rules(), Path(name))


def _run(case: Scenario, seed: int, rules: Rules, folder: Path) -> Outcome:
    archive = write(case, folder / "posts.jsonl")
    fired_ms: list[tuple[str, int]] = []

    def told(alert: Alert, reason: Reason) -> None:
        if reason is Reason.FIRED:
            fired_ms.append((alert.hashtag, alert.updated_ms))

    begun_s = clock.monotonic_s()
    result = scan([str(archive)], folder, rules, told=told)
    spent_s = clock.monotonic_s() - begun_s
    true = case.coordinated
    tags = {tag for post in case.posts if post.id in true.posts for tag in post.hashtags}
    since_ms = case.flood_start_ms
    first_ms = min((at for tag, at in fired_ms if tag in tags and at > (since_ms or 0)), default=None)
    accounts = held(folder / ACCOUNTS, "account_id")
    alerts = tuple(raised(alert, tags) for alert in result.parsed())
    windows = list(_windows(folder / ASSESSMENTS))
    after = clock.iso(since_ms or 0)
    return Outcome(
        name=case.name,
        seed=seed,
        posts=len(case.posts),
        by_post=Hits.of(held(folder / POSTS, "post_id"), true.posts),
        by_account=Hits.of(accounts, true.accounts),
        by_campaign={name: Hits.of(accounts, part.accounts).recall for name, part in case.campaigns.items()},
        tags=Hits.of({alert.hashtag for alert in alerts}, set(case.hashtags) if case.campaigns else set()),
        alerts=alerts,
        first_alert_min=None if first_ms is None or since_ms is None else (first_ms - since_ms) / 60_000,
        kind=case.kind,
        fired=_fired(window for window in windows if window.window.end > after),
        patterns=tuple(sorted({window.pattern for window in windows if window.pattern})),
        windows=len(windows),
        watched_min=len(windows) * rules.hop_ms // 60_000,
        largest=max((window.posts for window in windows), default=0),
        spent_s=round(spent_s, 2),
        lowest=_lowest(windows),
    )


def write(case: Scenario, to: Path) -> Path:
    """The posts as an archive in Floodmark's own format."""
    to.write_bytes(b"".join(formats.encode(post) + b"\n" for post in case.posts))
    return to


def held(path: Path, column: str) -> set[str]:
    """Ids of the rows of an output table that are held coordinated."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row[column] for row in csv.DictReader(file) if row["coordinated"] == "1"}


def raised(alert: dict[str, Any], tags: set[str]) -> Raised:
    """An alert as it is kept in the results; `tags` are those under which somebody coordinates."""
    names = ("hashtag", "kind", "coordinated_posts", "posts", "coordinated_accounts", "texts")
    figures = {name: alert[name] for name in names}
    return Raised(**figures, true=alert["hashtag"] in tags, campaign=alert["campaign"]["id"])


def _windows(path: Path) -> Iterator[_Assessment]:
    for line in path.read_bytes().splitlines():
        yield _ASSESSMENTS.decode(line)


def _lowest(windows: Sequence[_Assessment]) -> tuple[float, ...]:
    lowest: dict[str, float] = {}
    for window in windows:
        lowest[window.hashtag] = min(window.p_value, lowest.get(window.hashtag, 1.0))
    return tuple(lowest[tag] for tag in sorted(lowest))


def _fired(windows: Iterator[_Assessment]) -> tuple[str, ...]:
    fired = {f.detector for window in windows for f in window.findings if f.verdict == "suspicious"}
    return tuple(sorted(fired))
