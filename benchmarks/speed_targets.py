"""What speed and memory are wanted, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from benchmarks import speed_posts
from benchmarks.speed_report import Report, middle

MB = 1e6
MIB = 2**20

LIVE_SHARE: Final = 0.6
"""Of the bare loop, posts a second of a live worker with 50 posts a message."""


class Target(NamedTuple):
    """One figure that is wanted; `measured` and `met` are None where the run has nothing to say of it."""

    what: str
    wanted: str
    measured: str | None = None
    met: bool | None = None


def targets(report: Report) -> list[Target]:
    """All of them, in the order of the page."""
    return [
        *(_scan(report, kind) for kind in speed_posts.KINDS),
        _first_output(report),
        *_large(report),
        *_live(report),
        *_memory(report),
    ]


def _scan(report: Report, kind: str) -> Target:
    what, wanted = f"`scan` of {kind}, of the bare loop, per core", "at least 0.8"
    sizes = report.of(kind)
    if not sizes or not report.limits.get(kind):
        return Target(what, wanted)
    share = report.limit_us(kind) / sizes[0].us
    return Target(what, wanted, f"{share:.2f} with {sizes[0].posts:,} posts", share >= 0.8)


def _first_output(report: Report) -> Target:
    what, wanted = "first output of `scan`, from calling the command", "within 1 s"
    if not report.first_output_s:
        return Target(what, wanted)
    seconds = middle(report.first_output_s)
    return Target(what, wanted, f"{seconds:.1f} s", seconds <= 1)


def _large(report: Report) -> Iterator[Target]:
    for kind in speed_posts.KINDS:
        what, wanted = f"a million posts of {kind} scanned on two cores", "well under a minute"
        large = [size for size in report.of(kind) if size.posts >= 1_000_000]
        if not large:
            yield Target(what, wanted)
            continue
        scans = large[0].shared or large[0].scans
        seconds = middle(scan.seconds * 1e6 / scan.posts for scan in scans)
        yield Target(what, wanted, f"{seconds:,.0f} s a million", seconds < 60)


def _live(report: Report) -> Iterator[Target]:
    many, single = report.live_by(50), report.live_by(1)
    what, wanted = "live worker with 50 posts a message, of the bare loop", f"at least {LIVE_SHARE}"
    if many and report.limits.get(speed_posts.LIVE):
        share = middle(one.posts_s for one in many) * report.limit_us(speed_posts.LIVE) / 1e6
        yield Target(what, wanted, f"{share:.2f}", share >= LIVE_SHARE)
    else:
        yield Target(what, wanted)
    what, wanted = "live worker with one post a message", "at least 8,000 posts/s"
    if single:
        posts_s = middle(one.posts_s for one in single)
        yield Target(what, wanted, f"{posts_s:,.0f} posts/s", posts_s >= 8_000)
    else:
        yield Target(what, wanted)


def _memory(report: Report) -> Iterator[Target]:
    what = "189,552 posts in one window"
    windows = [size for size in report.of(speed_posts.ONE) if size.posts >= 189_000 and size.scans]
    if not windows:
        yield _below(what, 600)
    else:
        peak_mib = max(scan.peak_mib for scan in windows[0].scans)
        yield _below(what, 600, peak_mib, f"{windows[0].posts:,}")
    what, hot = "ten million posts through a window", report.stream
    if hot is None:
        yield _below(what, 1_000)
    else:
        yield _below(what, 1_000, hot.peak_mib, f"{hot.posts:,}", enough=hot.posts >= 10_000_000)
    what, many = "a million distinct hashtags", report.invented
    if many is None:
        yield _below(what, 300)
    else:
        with_ = f"{many.count:,}, {many.held:,} held"
        yield _below(what, 300, many.peak_mib, with_, enough=many.count >= 1_000_000)


def _below(
    what: str, most_mb: int, mib: float | None = None, with_: str = "", *, enough: bool = True
) -> Target:
    """Memory that is to stay below something; not judged where there was not enough of what takes it."""
    wanted = f"under {most_mb:,} MB"
    if mib is None:
        return Target(what, wanted)
    mb = mib * MIB / MB
    return Target(what, wanted, f"{mb:,.0f} MB with {with_}", mb < most_mb if enough else None)
