"""Whether everything is exact, and how soon, while workers, the broker and Redis are killed at random.

Run with ``make chaos``. Archives are replayed live in several rounds while SIGKILLs come at seeded random
moments, some while the last recovery is still going on. After each round everything held and told is compared
with the same messages folded in one process, and the alerts with those of `scan`. Writes benchmarks/chaos.md
and chaos.json, and ends with status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import chaos_case, chaos_page, chaos_round
from benchmarks.attack import plan, shares
from benchmarks.chaos_case import Archive, Case
from benchmarks.chaos_page import Kill, Report, Round
from benchmarks.chaos_round import BROKER
from benchmarks.machine import named
from streams import embedded
from streams.settings import Settings

KILLS: Final = 100
ROUNDS: Final = 4

QUICK_KILLS: Final = 3
QUICK_SCALE: Final = 0.1
HOP_S: Final = 60
QUICK_HOP_S: Final = 180

SHOWN_PROBLEMS: Final = 20

RESULT: Final = Path(__file__).parent / "chaos.md"


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    kills: int
    seed: int
    rounds: int
    scale: float
    broker: str
    fsync: str
    hop_s: int
    idle_s: int
    quick: bool
    out: Path

    @property
    def command(self) -> str:
        """A command that does the same."""
        return (
            f"python -m benchmarks.chaos --kills {self.kills} --seed {self.seed} --rounds {self.rounds}"
            f" --scale {self.scale:g} --broker {self.broker} --fsync {self.fsync} --hop-s {self.hop_s}"
            f" --idle-s {self.idle_s}" + (" --quick" if self.quick else "")
        )

    @property
    def left_out(self) -> list[str]:
        """What is not in the result that could be."""
        out = []
        if self.quick:
            out.append("the campaign, as this is the quick run")
        elif chaos_case.campaign() is None:
            out.append(f"the campaign, as {chaos_case.CAMPAIGN} is not here")
        if self.broker != BROKER:
            out.append("kills of the broker, and transactions, which the embedded one has not")
        return out


def cases(options: Options, settings: Settings, folder: Path) -> Iterator[Case]:
    """The case of every round: one archive after the other, then again with posts sent twice."""
    paths = {"rebuilt reference case": chaos_case.rebuilt(folder / "made", options.seed, options.scale)}
    campaign = None if options.quick else chaos_case.campaign()
    if campaign is not None:
        paths["campaign #IslamKills"] = campaign
    names = list(paths)
    archives: dict[str, Archive] = {}
    for number in range(options.rounds):
        name = names[number % len(names)]
        if name not in archives:
            archives[name] = chaos_case.read(name, paths[name], settings, folder / f"scan-{number + 1}")
        if options.quick or number // len(names) % 2:
            yield chaos_case.twice(archives[name], random.Random(f"{options.seed} twice {number}"))
        else:
            yield chaos_case.once(archives[name])


def measure(options: Options, folder: Path, console: Console) -> Iterator[Report]:
    """Run all rounds; gives after each what there is so far."""
    with ExitStack() as exits:
        exits.enter_context(embedded.stopping_on_sigterm())
        arena = chaos_round.open_arena(
            folder, exits, options.broker, options.fsync, options.hop_s, options.idle_s
        )
        settings = Settings.load(**chaos_round.settings_of(arena, "case"))
        strikes = plan(options.kills, arena.kinds, random.Random(f"{options.seed} kills"))
        told = exits.enter_context(screen(console, options.kills))
        about = chaos_page.versions(arena.is_kafka, arena.redis_version)
        rounds: list[Round] = []
        counts = shares(options.kills, options.rounds)
        for number, case in enumerate(cases(options, settings, folder)):
            first = sum(counts[:number])
            mine, name = strikes[first : first + counts[number]], f"round{number + 1}"
            told.begin(f"{name} of {options.rounds}, {case.archive.name}")
            rounds.append(chaos_round.attack(name, case, mine, arena, folder / name, told.recovered))
            told.end(rounds[-1])
            yield Report(options.command, options.seed, named(), about, options.left_out, rounds)


class Screen:
    """What a person at the terminal sees: a line for every kill and every round, and a bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def begin(self, what: str) -> None:
        """A round begins."""
        self._progress.update(self._task, description=what)
        self._progress.console.print(what)

    def recovered(self, kill: Kill) -> None:
        """A kill was recovered from."""
        self._progress.advance(self._task)
        during = " during another recovery" if kill.during else ""
        self._progress.console.print(
            f"  {kill.at_s:6.1f} s: {kill.kind} killed{during}, counted again after {kill.recovered_s:.1f} s"
        )

    def end(self, one: Round) -> None:
        """A round has ended."""
        said = f"{len(one.differences)} differences, {len(one.failures)} other failures"
        self._progress.console.print(f"  {one.seconds:.0f} s, {one.news} news: {said}")
        for line in one.problems[:SHOWN_PROBLEMS]:
            self._progress.console.print(f"  {line}", markup=False, style="red")


@contextmanager
def screen(console: Console, kills: int) -> Iterator[Screen]:
    """A screen with its bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} kills"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        yield Screen(progress, progress.add_task("starting", total=kills))


def options_of(arguments: argparse.Namespace) -> Options:
    """The options, what was not given filled in."""
    quick = arguments.quick
    return Options(
        kills=arguments.kills or (QUICK_KILLS if quick else KILLS),
        seed=arguments.seed,
        rounds=arguments.rounds or (1 if quick else ROUNDS),
        scale=arguments.scale or (QUICK_SCALE if quick else 1.0),
        broker=arguments.broker,
        fsync=arguments.fsync,
        hop_s=arguments.hop_s or (QUICK_HOP_S if quick else HOP_S),
        idle_s=arguments.idle_s,
        quick=quick,
        out=arguments.out,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    out.add_argument("--kills", type=int, help=f"how many, default {KILLS}")
    out.add_argument("--seed", type=int, default=1, help="of what is killed when, and of the case")
    out.add_argument("--rounds", type=int, help=f"replays the kills are dealt out over, default {ROUNDS}")
    out.add_argument("--scale", type=float, help="size of the rebuilt case, default 1")
    out.add_argument("--hop-s", type=int, help=f"event time between two assessments, default {HOP_S}")
    out.add_argument(
        "--broker", choices=(BROKER, "embedded"), default=BROKER, help="the embedded one is not killed"
    )
    how = "everysec: Redis may lose what it acknowledged in the last second"
    out.add_argument("--fsync", choices=("always", "everysec"), default="always", help=how)
    out.add_argument("--idle-s", type=int, default=60, help="wall time a partition may be silent, default 60")
    out.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_KILLS} kills, a small case, fewer assessments, one round",
    )
    out.add_argument("--out", type=Path, default=RESULT, help="where the result goes; its JSON beside it")
    return out


def write(report: Report, out: Path) -> None:
    """Write a report as a page, and as JSON beside it."""
    out.write_text(chaos_page.page(report), encoding="utf-8")
    written = msgspec.json.format(msgspec.json.encode(report), indent=1)
    out.with_suffix(".json").write_bytes(written + b"\n")


def main() -> int:
    """Run all rounds and write the result; status 1 if anything is not as it must be."""
    options, console = options_of(parser().parse_args()), Console(stderr=True)
    folder = Path(tempfile.mkdtemp(prefix="floodmark-chaos-"))
    for what in options.left_out:
        console.print(f"left out: {what}", style="yellow")
    for report in measure(options, folder, console):
        write(report, options.out)
    console.print(f"{options.out} is written")
    if report.problems:
        console.print(f"{len(report.problems)} problems; logs and data are in {folder}", style="bold red")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
