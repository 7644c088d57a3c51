"""What `benchmarks.scaling` worked out, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine, speed_report
from streams.monitor import Rules

GIB: Final = 2**30
GB: Final = 1e9
MONTH_S: Final = 30 * 86_400
USED: Final = 0.6
"""Cores are bought so that they are busy for this share of the busiest hours; the rest is for catching up."""

COPIES: Final = 3
"""Of every message in Kafka; of what Redis holds there is one more."""

KEPT_DAYS: Final = 7
NAMED: Final = 300_000
"""So many hashtags, the commonest, are dealt to partitions by name. The others, a few posts each, are dealt
by lot: of so many any hash makes the same."""


@dataclass(frozen=True)
class Network:
    """What comes in, all of it with one hashtag a post.

    Attributes
    ----------
    busy : float
        Posts in the busiest hours of a day over their daily mean.
    exponent : float
        Of Zipf's law of the popularity of hashtags.
    post_bytes : int
        Of a post on the topic `posts`, compressed by nobody.
    hot_share : float
        Of the posts in the peak minute, those under one hashtag: what makes a peak is an event.
    """

    posts_a_day: int = 500_000_000
    peak_s: int = 150_000
    hashtags_a_day: int = 10_000_000
    busy: float = 2.0
    exponent: float = 1.15
    post_bytes: int = 600
    hot_share: float = 0.5


@dataclass(frozen=True)
class Prices:
    """What is rented, in dollars a month: the order of what large clouds list, not an offer of any."""

    core: float = 30.0
    redis_gib: float = 10.0
    disk_gb: float = 0.08
    traffic_gb: float = 0.01


@dataclass(frozen=True)
class Cost:
    """What a post and a window cost.

    Attributes
    ----------
    worker_s : float
        Processor time of a live worker for a post, with the few assessments of that measurement.
    redis_bytes, packet_bytes : float
        Held by Redis, and sent on the topic `rows`, for a post.
    assessed : tuple of (rows, seconds)
        Processor time of the assessment of a window, by its rows, rising.
    """

    worker_s: float
    redis_bytes: float
    packet_bytes: float
    assessed: tuple[tuple[int, float], ...]

    def assess_s(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Processor time of windows of so many rows: between what was measured by the power law there."""
        sizes, took = np.array(self.assessed).T
        out: NDArray[np.float64] = np.exp(np.interp(np.log(np.maximum(rows, 1)), np.log(sizes), np.log(took)))
        return out


@dataclass(frozen=True)
class Load:
    """What the whole network brings in the busiest hours, and in the peak minute.

    Attributes
    ----------
    rows_s, peak_rows_s : float
        Rows in a second that are kept, where no hashtag keeps more than it may.
    rows_held : float
        In all windows.
    hashtags, assessed : int
        With rows in their window; with enough of them to be judged.
    assess_cores : float
        Cores that assessments keep busy.
    full : int
        Hashtags that are sampled in a minute.
    hottest : float
        Posts of the commonest hashtag in the peak minute.
    """

    posts_s: float
    rows_s: float
    rows_held: float
    hashtags: int
    assessed: int
    assess_cores: float
    full: int
    peak_rows_s: float
    hottest: float


@dataclass(frozen=True)
class Dealt:
    """How evenly so many partitions share the load.

    Attributes
    ----------
    mean_cores, most_cores : float
        What a partition needs in the busiest hours: on average, and the one that needs most.
    unbounded, bounded : float
        Rows of the fullest partition in the peak minute over the mean, if all were kept, and as they are.
    """

    partitions: int
    mean_cores: float
    most_cores: float
    unbounded: float
    bounded: float


@dataclass(frozen=True)
class Report:
    """All of it."""

    network: Network
    rules: Rules
    cost: Cost
    load: Load
    dealt: tuple[Dealt, ...]
    commonest: float
    extent: str
    prices: Prices = field(default_factory=Prices)

    @property
    def worker_cores(self) -> float:
        """That posts keep busy, with what they bring to owners, in the busiest hours."""
        return self.load.posts_s * self.cost.worker_s

    @property
    def cores(self) -> float:
        """To be rented."""
        return (self.worker_cores + self.load.assess_cores) / USED

    @property
    def redis_gib(self) -> float:
        """Held in the busiest hours, once."""
        return self.load.rows_held * self.cost.redis_bytes / GIB

    @property
    def day_gb(self) -> float:
        """Written to Kafka in a day, once: posts and packets of rows."""
        return self.network.posts_a_day * (self.network.post_bytes + self.cost.packet_bytes) / GB

    def bill(self) -> list[tuple[str, str, float]]:
        """What is rented, how much of it, and dollars a month."""
        disk_gb = self.day_gb * KEPT_DAYS * COPIES
        # To the brokers, to their copies, to the reader.
        traffic_gb = self.day_gb * 30 * (COPIES + 1)
        prices = self.prices
        return [
            ("cores of workers", f"{self.cores:,.0f}", self.cores * prices.core),
            ("Redis, twice", f"{2 * self.redis_gib:,.0f} GiB", 2 * self.redis_gib * prices.redis_gib),
            (
                f"disks of Kafka, {KEPT_DAYS} days in {COPIES} copies",
                f"{disk_gb / 1_000:,.0f} TB",
                disk_gb * prices.disk_gb,
            ),
            ("traffic between machines", f"{traffic_gb / 1_000:,.0f} TB", traffic_gb * prices.traffic_gb),
        ]


def page(report: Report) -> str:
    """The page as Markdown."""
    return "\n".join([*_head(report), *_costs(report), *_load(report), *_dealt(report), *_money(report)])


def _head(report: Report) -> list[str]:
    network = report.network
    lines = [
        "# What a whole network would take",
        "",
        "Written by `python -m benchmarks.scaling`; do not edit by hand. On paper: nobody has run this. What"
        f" a post costs is of [benchmarks/speed.md](../benchmarks/speed.md), what an assessment costs was"
        f" measured for this page with {machine.named()}.",
        "",
    ]
    if report.extent == speed_report.SHORT:
        lines += [
            "**The page of speed is a short run**, whose figures stand for nothing; so do those that rest on"
            " it here, until it is made again.",
            "",
        ]
    return [
        *lines,
        f"Given: {network.posts_a_day / 1e6:,.0f} million posts a day, {network.peak_s:,} a second at the"
        f" peak, {network.hashtags_a_day / 1e6:,.0f} million hashtags a day.",
        "",
        "Assumed:",
        "",
        "- every post has one hashtag. One without costs its ingestion only, one with three is three rows;",
        f"- hashtags are as popular as Zipf's law with exponent {network.exponent:g} has it. In a real"
        " conversation of 8,049 posts and 2,345 hashtags the exponent is between 1.17 and 1.22. It gives the"
        f" commonest hashtag {100 * report.commonest:.0f} % of all posts;",
        f"- the busiest hours have {network.busy:g} times the daily mean;",
        f"- in the peak minute {100 * network.hot_share:.0f} % of the posts are under one hashtag, for what"
        " makes a peak is an event;",
        f"- a post has {network.post_bytes} bytes on the topic `posts`.",
        "",
    ]


def _costs(report: Report) -> list[str]:
    cost = report.cost
    rows = [f"| {rows:,} | {1e3 * took:,.1f} | {1e6 * took / rows:,.0f} |" for rows, took in cost.assessed]
    return [
        "## What things cost",
        "",
        f"A post costs a live worker {1e6 * cost.worker_s:,.0f} µs of processor time, with 50 posts a message"
        f" and the few assessments of that measurement; {cost.redis_bytes:,.0f} bytes in Redis, of which most"
        f" are the text and other strings; {cost.packet_bytes:,.0f} bytes on the topic `rows`.",
        "",
        "The assessment of a window in which people talk and nobody coordinates:",
        "",
        "| rows in the window | ms | µs a row |",
        "|---|---|---|",
        *rows,
        "",
    ]


def _load(report: Report) -> list[str]:
    load, rules = report.load, report.rules
    share = 1 - load.rows_s / load.posts_s
    assessments = load.assess_cores / (load.assess_cores + report.worker_cores)
    return [
        "## In the busiest hours",
        "",
        "| | |",
        "|---|---|",
        f"| posts a second | {load.posts_s:,.0f} |",
        f"| rows a second that are kept | {load.rows_s:,.0f} ({100 * share:.0f} % of the posts are under"
        f" {load.full:,} hashtags that bring more than {rules.bucket_rows:,} a minute, and left out) |",
        f"| rows held in all windows | {load.rows_held / 1e6:,.0f} million |",
        f"| hashtags in a window, of which `FLOODMARK_SMALL_HASHTAGS` must hold twice as many"
        f" or some are passed over | {load.hashtags:,} |",
        f"| of these judged every minute, with {rules.min_posts} posts or more | {load.assessed:,} |",
        f"| cores that posts keep busy | {report.worker_cores:,.0f} |",
        f"| cores that assessments keep busy | {load.assess_cores:,.0f} |",
        f"| Redis | {report.redis_gib:,.0f} GiB |",
        "",
        f"Assessments are {100 * assessments:.0f} % of the work. It falls in proportion where"
        " `FLOODMARK_HOP_S` is raised, at the price of later alerts, and where `FLOODMARK_MIN_POSTS` is, at"
        " the price of small hashtags.",
        "",
    ]


def _dealt(report: Report) -> list[str]:
    rows = [
        f"| {one.partitions:,} | {one.mean_cores:.2f} | {one.most_cores:.2f} |"
        f" {one.most_cores / one.mean_cores:.2f} | {one.unbounded:,.1f} | {one.bounded:.2f} |"
        for one in report.dealt
    ]
    enough = [one for one in report.dealt if one.most_cores <= USED]
    if enough:
        advice = (
            f"With {enough[0].partitions:,} partitions the busiest one needs {enough[0].most_cores:.2f} of a"
            " core, and so fits one worker."
        )
    else:
        advice = "With none of these numbers does the busiest partition fit one core that is not quite busy."
    return [
        "## How evenly partitions share it",
        "",
        f"Hashtags are dealt to partitions by the hash that deals them live: the {NAMED:,} commonest by name,"
        " the others, a few posts each, by lot. A partition belongs to one worker at a time, so the one with"
        " most work must fit one core. The last columns are of the peak minute: rows of the fullest partition"
        " over the mean, first as if every row were kept.",
        "",
        "| partitions | cores a partition, mean | most | most over mean | peak, if all were kept | peak |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        advice,
        "",
        f"The hottest hashtag brings {report.load.hottest / 1e6:.1f} million posts in the peak minute, more"
        " than any number of partitions would spread, as a hashtag has one owner. Ingestion is spread over"
        " all workers and drops what its owner would leave out"
        " ([adr/0010](adr/0010-samples-of-accounts.md)): of"
        f" {report.network.peak_s:,} posts a second {report.load.peak_rows_s:,.0f} rows travel.",
        "",
    ]


def _money(report: Report) -> list[str]:
    bill = report.bill()
    total = sum(dollars for _, _, dollars in bill)
    prices = report.prices
    return [
        "## Money",
        "",
        f"With ${prices.core:g} a core with its memory, ${prices.redis_gib:g} a GiB of Redis,"
        f" ${prices.disk_gb:g} a GB of disk and ${prices.traffic_gb:g} a GB between machines, a month each:"
        " the order of what large clouds list, not anybody's offer. Cores are bought for the busiest hours,"
        f" and busy for {100 * USED:.0f} % then.",
        "",
        "| what | how much | dollars a month |",
        "|---|---|---|",
        *(f"| {what} | {much} | {dollars:,.0f} |" for what, much, dollars in bill),
        f"| together | | {total:,.0f} |",
        "",
    ]
