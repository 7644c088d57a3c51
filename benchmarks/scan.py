"""How fast `floodmark scan` is and what memory it takes, on the rebuilt reference case at several sizes.

Run with ``make bench``. Every scan is a process of its own, so that its peak memory is its own; the files
are made by another. Writes benchmarks/scan.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import Progress

from benchmarks.machine import named
from streams import clock
from streams.monitor import Rules
from streams.scan import scan

SCALES: Final = (1, 4, 16)
RESULT: Final = Path(__file__).parent / "scan.md"


class BenchmarkError(RuntimeError):
    """A process of the benchmark failed."""


class Told(msgspec.Struct, frozen=True):
    """What a scanning process says of itself."""

    posts: int
    windows: int
    alerts: int
    seconds: float


class Measured(msgspec.Struct, frozen=True):
    """One scan; `peak_rss_mib` is the most memory its process held."""

    scale: int
    told: Told
    peak_rss_mib: float

    @property
    def posts_s(self) -> float:
        """Posts per second, from the first byte read to the last file written."""
        return self.told.posts / self.told.seconds


def measure(scale: int, folder: Path) -> Measured:
    """Make the case of a scale in `folder` and scan it in a process of its own.

    Raises
    ------
    BenchmarkError
        If one of the two processes fails.
    """
    # In another process: what this one holds would count as memory of the children it forks.
    command = [sys.executable, "-m", "streams.reference_case", str(folder), "--scale", str(scale)]
    made = subprocess.run(command, check=False).returncode
    if made:
        raise BenchmarkError(f"making the case at scale {scale} ended with status {made}")
    case = folder / "reference_case.jsonl"
    command = [sys.executable, "-m", "benchmarks.scan", "--scan", str(case), "--out", str(folder / "out")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    said = child.stdout.read()
    child.stdout.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise BenchmarkError(f"the scan at scale {scale} ended with status {child.returncode}")
    return Measured(scale, msgspec.json.decode(said, type=Told), usage.ru_maxrss / 1024)


def scan_here(case: str, out: Path) -> Told:
    """Scan a file in this process."""
    begun_s = clock.monotonic_s()
    result = scan([case], out, Rules())
    seconds = clock.monotonic_s() - begun_s
    return Told(result.totals.posts, result.totals.windows, len(result.alerts), round(seconds, 3))


def page(measured: Sequence[Measured]) -> str:
    """The results as Markdown."""
    first, last = measured[0], measured[-1]
    slower = first.posts_s / last.posts_s
    larger = last.peak_rss_mib / first.peak_rss_mib
    rows = [
        f"| {m.scale} | {m.told.posts:,} | {m.told.windows:,} | {m.told.alerts} | {m.told.seconds:.1f} |"
        f" {m.posts_s:,.0f} | {m.peak_rss_mib:,.0f} |"
        for m in measured
    ]
    return "\n".join(
        [
            "# Speed and memory of `floodmark scan`",
            "",
            "Written by `make bench`; do not edit by hand.",
            "",
            f"Measured with {named()}.",
            "",
            "The rebuilt reference case (docs/reference-case.md), seed 0. Larger scales have more posts and"
            " accounts in the same two hours under the same hashtag, which is assessed every minute: the"
            " least favourable case, because every assessment looks at all of them. One run each; other"
            " work on the machine shows in the figures.",
            "",
            "| scale | posts | windows assessed | alerts | seconds | posts/s | peak memory, MiB |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"From scale {first.scale} to {last.scale}, with {last.told.posts / first.told.posts:.1f} times"
            f" the posts, a post costs {slower:.2f} times the time, and the process holds {larger:.2f} times"
            " the memory.",
            "",
        ]
    )


def main() -> int:
    """Measure every scale and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scales", type=int, nargs="+", default=SCALES, help="sizes of the case")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes")
    parser.add_argument("--scan", help="only scan this file into the folder --out and say how it went")
    arguments = parser.parse_args()
    if arguments.scan:
        sys.stdout.buffer.write(msgspec.json.encode(scan_here(arguments.scan, arguments.out)))
        return 0
    console = Console(stderr=True)
    measured = []
    with Progress(console=console) as progress:
        task = progress.add_task("bench", total=sum(arguments.scales))
        for scale in arguments.scales:
            progress.update(task, description=f"scale {scale}")
            with tempfile.TemporaryDirectory() as folder:
                measured.append(measure(scale, Path(folder)))
            arguments.out.write_text(page(measured), encoding="utf-8")  # the last one may take minutes
            progress.advance(task, scale)
    console.print(f"{arguments.out} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
