"""How fast `floodmark scan` is and what memory it takes: one scan, measured in the process that runs it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Final

import msgspec

from benchmarks.apart import ApartError, peak_mib
from streams import clock
from streams.monitor import Rules
from streams.scan import scan
from streams.scan_output import ASSESSMENTS, SUFFIX

COMMAND: Final = Path(sys.executable).parent / "floodmark"
FIRST_OUTPUT_S: Final = 60.0
_POLL_S: Final = 0.01


class Scanned(msgspec.Struct, frozen=True):
    """One scan, from the first byte read to the last file written.

    Attributes
    ----------
    windows : int
        Assessed.
    seconds, processor_s : float
        On the wall, and of processor time of this process.
    peak_mib : float
        The most memory its process held; of several the one that reads.
    """

    posts: int
    windows: int
    alerts: int
    seconds: float
    processor_s: float
    peak_mib: float

    @property
    def us(self) -> float:
        """Microseconds of processor time a post costs."""
        return 1e6 * self.processor_s / max(1, self.posts)


def scanned(case: Path, out: Path, rules: Rules | None = None, jobs: int = 1) -> Scanned:
    """Scan a file in this process, with the default rules if none are given; see `streams.scan.scan`."""
    begun_s, begun_cpu_s = clock.monotonic_s(), process_time()
    result = scan([str(case)], out, rules or Rules(), jobs=jobs)
    processor_s, seconds = process_time() - begun_cpu_s, clock.monotonic_s() - begun_s
    totals = result.totals
    return Scanned(totals.posts, totals.found.windows, len(result.alerts), seconds, processor_s, peak_mib())


def first_output_s(case: Path) -> float:
    """Seconds from calling the command until the first assessments are in its file; it is then ended.

    Raises
    ------
    ApartError
        If it ended before, or nothing came within `FIRST_OUTPUT_S`.
    """
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        begun_s = clock.monotonic_s()
        with subprocess.Popen(
            [str(COMMAND), "scan", str(case), "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                _await(process, [out / (ASSESSMENTS + SUFFIX), out / ASSESSMENTS], begun_s + FIRST_OUTPUT_S)
                return clock.monotonic_s() - begun_s
            finally:
                process.terminate()


def _await(process: subprocess.Popen[bytes], files: Sequence[Path], until_s: float) -> None:
    """Wait until one of the files has something in it."""
    while not any(path.exists() and path.stat().st_size for path in files):
        if process.poll() is not None:
            raise ApartError(f"the scan ended with status {process.returncode} without an assessment")
        if clock.monotonic_s() > until_s:
            raise ApartError(f"no assessment within {FIRST_OUTPUT_S:g} s")
        time.sleep(_POLL_S)
