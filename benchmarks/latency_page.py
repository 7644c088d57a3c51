"""What `benchmarks.latency` measured, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks import crowd, machine
from benchmarks.figures import Busy, Spread

PARTITIONS: Final = 4

PARTS: Final = 4
"""Into so many parts a run is cut to show what its growing windows do."""


@dataclass(frozen=True)
class Run:
    """What is sent and who reads it."""

    posts_per_s: int
    per_message: int
    workers: int
    seconds: int
    speed: float

    def __str__(self) -> str:
        return f"{self.posts_per_s:,} posts/s, {self.per_message} a message, {self.workers} workers"


@dataclass(frozen=True)
class News:
    """One message about an alert.

    Attributes
    ----------
    at_s : float
        When its hop became possible, in seconds since the first post of the run.
    appended_ms, read_ms : int
        How long after that it was on the topic, and with a reader of what is committed.
    """

    at_s: float
    appended_ms: int
    read_ms: int


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes
    ----------
    posts_per_s : float
        As achieved.
    behind_s : float
        How long after the last post every message of `posts` and `rows` was acknowledged.
    told : by worker
        What the workers' metrics were at the end.
    """

    run: Run
    posts_per_s: float
    behind_s: float
    news: tuple[News, ...]
    told: tuple[Mapping[str, float], ...]
    busy: Busy

    @property
    def appended(self) -> Spread:
        """Until an alert is on the topic, in ms."""
        return Spread.of([one.appended_ms for one in self.news])

    @property
    def read(self) -> Spread:
        """Until a reader has it, in ms."""
        return Spread.of([one.read_ms for one in self.news])

    def part(self, number: int) -> Spread:
        """Until an alert is on the topic, for hops of one part of the run."""
        long_s = self.run.seconds / PARTS
        return Spread.of(
            [
                one.appended_ms
                for one in self.news
                if number <= min(one.at_s / long_s, PARTS - 0.5) < number + 1
            ]
        )

    def total(self, metric: str) -> float:
        """A metric, summed over the workers."""
        return sum(told.get(metric, 0.0) for told in self.told)

    def mean_ms(self, histogram: str) -> float:
        """What a histogram of seconds has in the mean, in ms."""
        return 1_000 * self.total(f"{histogram}_sum") / max(1.0, self.total(f"{histogram}_count"))

    def __str__(self) -> str:
        said = self.appended
        return (
            f"{said.count} news, p50 {said.p50:.0f}, p90 {said.p90:.0f}, p99 {said.p99:.0f},"
            f" most {said.most:.0f} ms; read p50 {self.read.p50:.0f} ms; {self.posts_per_s:.0f} posts/s,"
            f" behind {self.behind_s:.1f} s, load {self.busy}"
        )


def page(command: str, measured: Sequence[Measured]) -> str:
    """The results as Markdown, as far as there are any."""
    by_run: dict[Run, list[Measured]] = {}
    for one in measured:
        by_run.setdefault(one.run, []).append(one)
    rounds = max(map(len, by_run.values()))
    speed, seconds = measured[0].run.speed, measured[0].run.seconds
    most = max(run.posts_per_s for run in by_run)
    full = {run: several for run, several in by_run.items() if run.posts_per_s == most}
    return "\n".join(
        [
            "# From the arrival of a post to the alert",
            "",
            f"Written by `{command}`; do not edit by hand.",
            "",
            f"Measured with {machine.named()}. One node of Apache Kafka, a Redis that waits for the disk with"
            " every write (`appendfsync always`), the workers, the sender and a reader share this machine."
            f" {_rounds(rounds)} Other work on the machine shows in the figures: its load, in runnable"
            " processes, is beside them.",
            "",
            "## What is measured",
            "",
            "From the append time that the broker gave to the post that made a hop possible, to the append"
            " time of the news on `alerts`; both are the broker's (`LogAppendTime`). A hop is possible when"
            " the watermark passes it: when every partition of `posts` has had a post that is two minutes of"
            " event time (`FLOODMARK_LATENESS_S`) newer than the hop. What counts is when the last of these"
            " arrived. *Read* is when a client that reads what is committed has it.",
            "",
            "What people wait for besides is not in it: it is event time, and the same on any machine.",
            "",
            "- the rest of the hop in which a post is written, up to 1 minute (`FLOODMARK_HOP_S`);",
            "- the lateness, 2 minutes (`FLOODMARK_LATENESS_S`);",
            "- the hop for which new evidence must hold before it is told for the first time, 1 minute"
            " (`FLOODMARK_HOLD_HOPS` is 2);",
            "- and whatever a connector needs to bring the post. With 50 posts a message the first waits for"
            f" the last: {50 / most * 1_000:.0f} ms at {most:,} posts/s.",
            "",
            "## The posts",
            "",
            f"Event time runs {speed:g} times faster than the clock on the wall: {seconds} s hold"
            f" {seconds * speed / 60:.0f} minutes and as many hops. Every post has one hashtag."
            f" {crowd.BUSY_SHARE:.0%} of the talk is under {crowd.BUSY_TAGS} hashtags of very different size,"
            " all of which are assessed at every hop; the rest is under thousands that are held but too small"
            f" to be assessed. Every {crowd.FLOOD_EVERY_S / speed:g} s a group of {crowd.FLOODERS} accounts"
            " begins to flood another hashtag. Windows grow all the time, and at that speed what a hop costs"
            f" apart from its posts is paid {speed:g} times as often as in reality. In reality a hop has"
            f" {speed:g} times the posts, and its windows too: then the time of a hop grows with them, and"
            " partitions must be spread over more cores.",
            "",
            "## Until the news is on the topic, in ms",
            "",
            "| posts/s | a message | workers | news | p50 | p90 | p99 | most | read: p50 | p99 |"
            " posts/s achieved | behind at the end, s | load |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
            *(_row(run, several) for run, several in by_run.items()),
            "",
            "*Behind* is how long after the last post every message was acknowledged; Faust acknowledges once"
            " a second, so up to about 1.5 s is none.",
            "",
            f"## While the windows grow, at {most:,} posts/s",
            "",
            f"p50 and p99 of the news of each {seconds / PARTS:g} s, in ms.",
            "",
            "| a message | workers |" + "".join(f" {n + 1}: p50 | p99 |" for n in range(PARTS)),
            "|---|---|" + "---|---|" * PARTS,
            *(_parts(run, several) for run, several in full.items()),
            "",
            "## What a worker did meanwhile",
            "",
            "By its own metrics, in the mean. Within one worker a partition waits for the assessments of the"
            " others, and a micro-batch for up to 200 ms (`FLOODMARK_BATCH_MS`) to be filled.",
            "",
            "| posts/s | a message | workers | rows held at the end | hops of a partition | windows in each |"
            " assess it, ms | record it, ms | commit a packet, ms |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_work(run, several) for run, several in by_run.items()),
            "",
        ]
    )


def _rounds(rounds: int) -> str:
    return "One run each." if rounds == 1 else f"{rounds} runs each, of which every figure is the median."


def _middle(several: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    return median(figure(one) for one in several)


def _row(run: Run, several: Sequence[Measured]) -> str:
    def ms(figure: Callable[[Measured], float]) -> str:
        return f"{_middle(several, figure):,.0f}"

    cells = [
        f"{run.posts_per_s:,}",
        str(run.per_message),
        str(run.workers),
        ms(lambda one: one.appended.count),
        ms(lambda one: one.appended.p50),
        ms(lambda one: one.appended.p90),
        ms(lambda one: one.appended.p99),
        ms(lambda one: one.appended.most),
        ms(lambda one: one.read.p50),
        ms(lambda one: one.read.p99),
        ms(lambda one: one.posts_per_s),
        f"{_middle(several, lambda one: one.behind_s):.1f}",
        f"{_middle(several, lambda one: one.busy.before):.1f} to"
        f" {_middle(several, lambda one: one.busy.after):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _parts(run: Run, several: Sequence[Measured]) -> str:
    cells = [str(run.per_message), str(run.workers)]
    for number in range(PARTS):
        parts = [part for one in several if (part := one.part(number)).count]
        cells += [_over(part.p50 for part in parts), _over(part.p99 for part in parts)]
    return f"| {' | '.join(cells)} |"


def _over(values: Iterable[float]) -> str:
    known = list(values)
    return f"{median(known):,.0f}" if known else "none"


def _work(run: Run, several: Sequence[Measured]) -> str:
    hops = _middle(several, lambda one: one.total("floodmark_hops_total"))
    cells = [
        f"{run.posts_per_s:,}",
        str(run.per_message),
        str(run.workers),
        f"{_middle(several, lambda one: one.total('floodmark_window_rows')):,.0f}",
        f"{hops / PARTITIONS:,.0f}",
        f"{_middle(several, lambda one: one.total('floodmark_assessments_total')) / max(1.0, hops):,.0f}",
        f"{_middle(several, lambda one: one.mean_ms('floodmark_assess_seconds')):,.0f}",
        f"{_middle(several, lambda one: one.mean_ms('floodmark_record_seconds')):,.0f}",
        f"{_middle(several, lambda one: one.mean_ms('floodmark_commit_seconds')):,.1f}",
    ]
    return f"| {' | '.join(cells)} |"
