"""How right Floodmark is: floods, evasions and quiet patterns whose truth is known, and real files.

Run with ``make quality``. Writes benchmarks/quality.md and benchmarks/quality.json and ends with status 1 if
a figure is outside its tolerance. The campaign and organic files are not part of the project: without their
folder (FLOODMARK_CASES, default ../shared/cases) they are left out, and the result says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import Progress

from benchmarks import calibration, peers, quality_page
from benchmarks.quality_limits import Pooled
from benchmarks.quality_run import run
from benchmarks.quality_score import Outcome
from benchmarks.scenarios import real
from benchmarks.scenarios.catalogue import Entry, catalogue
from streams.monitor import Rules
from streams.posts import MINUTE_MS

SEEDS: Final = 2
CHECKING: Final = 100
"""Seeds below this are for tuning, and never for the page that is kept."""

PROJECT: Final = Path(__file__).parent.parent
RESULT: Final = PROJECT / "benchmarks" / "quality.md"
PARTIAL: Final = PROJECT / "out" / "quality.md"
"""Where tuning, a part or a quick look goes: the page that is kept is of everything."""


class Task(NamedTuple):
    """One scenario of one seed to measure, assessed every so many minutes."""

    name: str
    seed: int
    toolkit: bool
    hop_min: int


@cache
def entries() -> dict[str, Entry]:
    """The catalogue by name."""
    return {entry.name: entry for entry in catalogue()}


def outcome(task: Task) -> Outcome:
    """Make one scenario, scan it, and ask the other methods."""
    name, seed, toolkit, hop_min = task
    case = entries()[name].scenario(seed)
    found = run(case, seed, Rules(hop_ms=hop_min * MINUTE_MS))
    return msgspec.structs.replace(found, peers=peers.compared(case, toolkit=toolkit))


def measure(tasks: Sequence[Task], jobs: int, console: Console) -> list[Outcome]:
    """All outcomes, in the order of the tasks, from so many processes."""
    done: dict[Task, Outcome] = {}
    with Progress(console=console) as progress, ProcessPoolExecutor(jobs) as pool:
        bar = progress.add_task("quality", total=len(tasks))
        waiting = {pool.submit(outcome, task): task for task in tasks}
        for future in as_completed(waiting):
            task = waiting[future]
            done[task] = future.result()
            progress.update(bar, advance=1, description=f"{task.name}, seed {task.seed}")
    return [done[task] for task in tasks]


def main() -> int:
    """Run everything, write the results and give the exit status."""
    given = _arguments()
    console = Console(stderr=True)
    if real.folder() is None and "cases" in os.environ.get("FLOODMARK_REQUIRE", ""):
        console.print("the real cases are not here; set FLOODMARK_CASES to their folder")
        return 2
    first = 0 if given.tune else CHECKING
    chosen = [e for e in entries().values() if _wanted(e, given.only)]
    tasks = [
        # The toolkit is slow: one seed of it says enough.
        Task(e.name, seed, given.toolkit and seed == first, given.hop)
        for e in chosen
        for seed in range(first, first + (given.seeds if e.seeded else 1))
    ]
    outcomes = measure(tasks, given.jobs, console)
    pooled = [Pooled(e, tuple(o for o in outcomes if o.name == e.name)) for e in chosen]
    out: Path = given.out or (PARTIAL if given.tune or given.only or given.hop > 1 else RESULT)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(outcomes), indent=1))
    extra = () if given.only else _calibration(first, given.jobs, out, console)
    out.write_text(quality_page.page(pooled, extra, _notes(given.hop)), encoding="utf-8")
    outside = [f"{p.entry.name}: {what}" for p in pooled for what in p.outside()]
    for line in outside:
        console.print(line, highlight=False)
    console.print(f"{out}: {f'{len(outside)} outside' if outside else 'all within'} tolerance")
    return int(bool(outside))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--seeds", type=int, default=SEEDS, help=f"so many seeds of every scenario (default {SEEDS})")
    add("--tune", action="store_true", help=f"seeds from 0 on, for tuning, instead of from {CHECKING} on")
    add("--only", action="append", default=[], metavar="PART", help="of a scenario's name or section; repeat")
    add("--hop", type=int, default=1, help="minutes from window to window; 10 for a quick look (default 1)")
    add("--toolkit", action="store_true", help="compare with coordination-network-toolkit: extra peers")
    add("--jobs", type=int, default=2, help="processes (default 2)")
    add("--out", type=Path, help="the page, with its JSON beside it; what is not all goes to out/ by default")
    return parser.parse_args()


def _calibration(first: int, jobs: int, out: Path, console: Console) -> list[str]:
    with console.status("calibration"):
        drawn = calibration.collect(calibration.tasks(first), jobs)
    picture = out.with_name("calibration.svg")
    picture.write_text(calibration.picture(drawn), encoding="utf-8")
    return calibration.section(drawn, picture.name)


def _notes(hop_min: int) -> list[str]:
    """What was not run, or not as by default."""
    notes = []
    if real.folder() is None:
        notes += ["The real files were not run: their folder was not there.", ""]
    if hop_min > 1:
        notes += [f"**A quick look**: assessed every {hop_min} minutes, so first alerts come later.", ""]
    return notes


def _wanted(entry: Entry, only: Sequence[str]) -> bool:
    return not only or any(part in entry.name or part in entry.section for part in only)


if __name__ == "__main__":
    sys.exit(main())
