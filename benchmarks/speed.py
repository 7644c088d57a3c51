"""How fast Floodmark is and what memory it takes, beside what one core can do at best and beside others.

Run with ``make bench``, or with ``make bench FULL=1`` for the largest sizes too. Writes benchmarks/speed.md,
benchmarks/speed.json and benchmarks/speed.svg as it goes, and ends with status 1 if a ratio is broken (see
benchmarks/speed_checks.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.console import Console

from benchmarks import (
    figures,
    machine,
    servers,
    speed_chart,
    speed_limit,
    speed_live,
    speed_memory,
    speed_page,
    speed_peers,
    speed_posts,
    speed_profile,
)
from benchmarks.apart import ApartError, apart
from benchmarks.scan import first_output_s, scanned
from benchmarks.speed_checks import checks
from benchmarks.speed_posts import KINDS, LIVE, MANY, ONE
from benchmarks.speed_report import FULL, PROCESSES, SHORT, USUAL, Report, Size, middle
from streams import embedded
from streams.embedded import StartError

RESULT: Final = Path(__file__).parent / "speed.md"
PER_MESSAGE: Final = (50, 1)
ONCE_FROM: Final = 100_000
"""Files of so many posts are scanned once."""


class Extent(NamedTuple):
    """How much is measured.

    Attributes
    ----------
    sizes : by kind
        Posts of the files to scan, rising.
    repeats : int
        How often each thing is measured.
    live_posts : int
        What the live worker is given.
    peer_posts : sequence of int
        Posts of the files for whole jobs of others.
    peer_s, scan_s : float
        Wall time after which a job of others, and a scan, is given up.
    hashtags, invented : int
        How many a partition is given whose memory is measured: fewer than it holds, and more.
    streamed : int
        Posts of one hashtag that go through a window.
    """

    sizes: dict[str, Sequence[int]]
    repeats: int
    live_posts: int
    peer_posts: Sequence[int]
    peer_s: float
    scan_s: float
    hashtags: int
    invented: int
    streamed: int


EXTENTS: Final = {
    SHORT: Extent(
        sizes={ONE: (3_000, 9_000), MANY: (4_000, 16_000)},
        repeats=1,
        live_posts=6_000,
        peer_posts=(2_369,),
        peer_s=60.0,
        scan_s=600.0,
        hashtags=20_000,
        invented=40_000,
        streamed=200_000,
    ),
    USUAL: Extent(
        sizes={ONE: (12_000, 48_000), MANY: (12_000, 48_000)},
        repeats=3,
        live_posts=30_000,
        peer_posts=(2_369, 11_847),
        peer_s=60.0,
        scan_s=600.0,
        hashtags=100_000,
        invented=1_000_000,
        streamed=1_000_000,
    ),
    FULL: Extent(
        sizes={ONE: (12_000, 48_000, 189_552, 1_200_000), MANY: (12_000, 120_000, 1_200_000)},
        repeats=3,
        live_posts=120_000,
        peer_posts=(2_369, 11_847, 189_552),
        peer_s=500.0,
        scan_s=3_600.0,
        hashtags=100_000,
        invented=1_000_000,
        streamed=10_000_000,
    ),
}


class Bench:
    """One run: a report that grows, and the page that is written after each part of it."""

    def __init__(self, report: Report, extent: Extent, folder: Path, out: Path, console: Console) -> None:
        self.report = report
        self._extent = extent
        self._folder = folder
        self._out = out
        self._console = console
        self._before = figures.load()

    def run(self) -> None:
        """Measure everything."""
        self._limits_and_scans()
        self._memory()
        self._profiles()
        self._live()
        self._peers()

    def save(self) -> None:
        """Write what there is."""
        self.report.load = [self._before, figures.load()]
        picture = self._out.with_suffix(".svg")
        picture.write_text(speed_chart.picture(self.report), encoding="utf-8")
        encoded = msgspec.json.format(msgspec.json.encode(self.report), indent=1)
        self._out.with_suffix(".json").write_bytes(encoded + b"\n")
        self._out.write_text(speed_page.page(self.report, picture.name), encoding="utf-8")

    def _say(self, what: str) -> None:
        self._console.print(what, highlight=False)

    def _file(self, kind: str, posts: int) -> tuple[Path, int, int]:
        """A file of posts, with their number and that of their hashtags."""
        path = self._folder / f"{kind.replace(' ', '-')}-{posts}.jsonl"
        return path, *apart(speed_posts.write, kind, posts, path)

    def _limits_and_scans(self) -> None:
        for kind in KINDS:
            for posts in self._extent.sizes[kind]:
                path, count, hashtags = self._file(kind, posts)
                if kind not in self.report.limits:
                    self._limit(kind, path)
                    self._first_output(path)
                size = Size(kind, count, hashtags)
                self.report.sizes.append(size)
                self._scan(size, path)
                path.unlink()
                self.save()

    def _limit(self, kind: str, path: Path) -> None:
        repeats = range(self._extent.repeats)
        self.report.limits[kind] = [apart(speed_limit.limit_of, path) for _ in repeats]
        self._say(f"bare loop, {kind}: {self.report.limit_us(kind):.1f} µs a post")

    def _first_output(self, path: Path) -> None:
        self.report.first_output_s += [first_output_s(path) for _ in range(self._extent.repeats)]

    def _scan(self, size: Size, path: Path) -> None:
        for _ in range(self._extent.repeats if size.posts < ONCE_FROM else 1):
            try:
                for jobs, scans in ((1, size.scans), (PROCESSES, size.shared)):
                    out = self._folder / "out"
                    scans.append(apart(scanned, path, out, None, jobs, limit_s=self._extent.scan_s))
            except ApartError as error:
                size.why = str(error)
                break
        told = f"{size.us:.0f} µs a post" if size.scans else size.why
        self._say(f"scan, {size.kind}, {size.posts:,} posts: {told}")

    def _memory(self) -> None:
        few = self.report.hashtags = apart(speed_memory.hashtags, self._extent.hashtags)
        self._say(f"{few.count:,} hashtags: {few.bytes_each:,.0f} bytes each")
        many = self.report.invented = apart(speed_memory.hashtags, self._extent.invented)
        self._say(f"{many.count:,} hashtags: {many.held:,} held, {many.peak_mib:,.0f} MiB more at the most")
        hot = self.report.stream = apart(speed_memory.stream, self._extent.streamed)
        self._say(f"{hot.posts:,} posts of one hashtag: {hot.peak_mib:,.0f} MiB at the most")
        self.save()

    def _profiles(self) -> None:
        for kind in KINDS:
            path, _, _ = self._file(kind, self._extent.sizes[kind][0])
            self._profile(kind, path)
            path.unlink()
        self._say("profiles: done")
        self.save()

    def _profile(self, kind: str, path: Path) -> None:
        found = apart(speed_profile.steps, path, self._folder / "out")
        functions = apart(speed_profile.functions, path, self._folder / "out")
        self.report.profiles[kind] = msgspec.structs.replace(found, functions=functions)

    def _live(self) -> None:
        posts = self._extent.live_posts
        path, _, _ = self._file(LIVE, posts)
        self._limit(LIVE, path)
        for _ in range(self._extent.repeats):
            self.report.live_scan.append(apart(scanned, path, self._folder / "out"))
        self._profile(LIVE, path)
        path.unlink()
        try:
            node = servers.kafka(self._folder / "kafka")
        except StartError as error:
            self.report.notes.append(f"The live worker was not measured: {error}")
            return
        try:
            node.start()
            for per_message in PER_MESSAGE:
                self._saturate(per_message, posts, node.url)
            for number, per_message in enumerate(PER_MESSAGE):
                self._lag(per_message, posts, node.url, number)
        finally:
            node.stop()

    def _saturate(self, per_message: int, posts: int, kafka_url: str) -> None:
        for number in range(self._extent.repeats):
            name = f"live{per_message}-{number}"
            self.report.live.append(speed_live.saturate(per_message, posts, kafka_url, self._folder, name))
            self._say(f"live, {per_message} a message: {self.report.live[-1].posts_s:,.0f} posts/s")
            self.save()

    def _lag(self, per_message: int, posts: int, kafka_url: str, number: int) -> None:
        half = middle(one.posts_s for one in self.report.live_by(per_message)) / 2
        lag = speed_live.lag(per_message, posts, half, kafka_url, self._folder, number)
        self.report.lags.append(lag)
        self._say(f"latency, {per_message} a message: p50 {lag.p50_ms:,.0f}, p99 {lag.p99_ms:,.0f} ms")
        self.save()

    def _peers(self) -> None:
        path, _, _ = self._file(MANY, 2 * speed_peers.SIGNED_TEXTS)
        self.report.signed = speed_peers.signed(path)
        for posts in self._extent.peer_posts:
            path, count, _ = self._file(ONE, posts)
            given_up = {job.name for job in self.report.jobs if job.seconds is None}
            for job in speed_peers.jobs(path, count, self._extent.peer_s, self._folder, given_up):
                self.report.jobs.append(job)
                self._say(f"{job.name}, {posts:,} posts: {job.why or f'{job.seconds:.1f} s'}")
            path.unlink()
            self.save()


def main() -> int:
    """Measure, write the results and give the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(f"--{SHORT}", action="store_true", help="small and once each, to see that it works")
    parser.add_argument(f"--{FULL}", action="store_true", help="the largest sizes too: an hour and more")
    parser.add_argument("--out", type=Path, default=RESULT, help="the page; JSON and chart go beside it")
    given = parser.parse_args()
    extent = FULL if given.full else SHORT if given.short else USUAL
    command = "make bench" + {SHORT: " SHORT=1", USUAL: "", FULL: " FULL=1"}[extent]
    console = Console(stderr=True)
    report = Report(machine.named(), command, extent)
    with embedded.stopping_on_sigterm(), tempfile.TemporaryDirectory() as folder:
        bench = Bench(report, EXTENTS[extent], Path(folder), given.out, console)
        bench.run()
        bench.save()
    broken = [check for check in checks(report) if not check.kept]
    for check in broken:
        console.print(f"{check.name} is {check.ratio:.2f}, and may be {check.most:g} at most")
    console.print(f"{given.out} is written")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
