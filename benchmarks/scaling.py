"""What a whole network would take: partitions, workers, memory, traffic and money, on paper.

Run with ``python -m benchmarks.scaling``. Hashtags of a made popularity are dealt to partitions by the
function that deals them, and what a post and a window cost is taken from benchmarks/speed.json and measured
here. Writes docs/scaling.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from rich.console import Console

from benchmarks import crowd, scaling_page, speed_report
from benchmarks.crowd import Crowd
from benchmarks.scaling_page import NAMED, Cost, Dealt, Load, Network, Report
from detectors.baseline import Baseline
from streams.monitor import Monitor, Rules
from streams.packets import pack, partition_of

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
SPEED: Final = Path(__file__).with_name("speed.json")

PARTITIONS: Final = (64, 256, 1_024, 4_096)
WINDOWS: Final = (30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 240_000)
"""Rows of the windows whose assessment is timed; the last is the most that a window holds."""


def popularity(network: Network) -> NDArray[np.float64]:
    """Share of all hashtags' posts that each has, the commonest first.

    By Zipf's law with the network's exponent, over as many hashtags as make the number of different ones that
    is expected in a day the network's; shape (hashtags,).
    """
    wanted = network.hashtags_a_day

    def too_few(hashtags: int) -> bool:
        shares = _zipf(hashtags, network.exponent)
        return float(-np.expm1(-network.posts_a_day * shares).sum()) < wanted

    low, high = wanted, 2 * wanted
    while too_few(high):
        low, high = high, 2 * high
    while high - low > wanted // 100:
        middle = (low + high) // 2
        low, high = (middle, high) if too_few(middle) else (low, middle)
    return _zipf(high, network.exponent)


def _zipf(hashtags: int, exponent: float) -> NDArray[np.float64]:
    weight = np.arange(1, hashtags + 1, dtype=np.float64) ** -exponent
    out: NDArray[np.float64] = weight / weight.sum()
    return out


def _deal(hashtags: int, partitions: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The partition of each hashtag, by rank: of the commonest by name, of the rest by lot."""
    by_name = [partition_of(crowd.tag(rank), partitions) for rank in range(min(hashtags, NAMED))]
    by_lot = rng.integers(0, partitions, hashtags - len(by_name))
    return np.concatenate((np.array(by_name, np.int64), by_lot))


def dealt(
    network: Network,
    shares: NDArray[np.float64],
    rules: Rules,
    cost: Cost,
    partitions: Sequence[int],
    seed: int,
) -> tuple[Load, list[Dealt]]:
    """What the busiest hours take, and how evenly partitions share it.

    Parameters
    ----------
    shares : as `popularity` gives them
    partitions : how many there are, of each case

    Returns
    -------
    Load
        Of the whole network.
    list of Dealt
        For each number of partitions.
    """
    rng = np.random.default_rng((seed, 0))
    hops = rules.window_ms // rules.hop_ms
    hop_s = rules.hop_ms / 1_000
    busy_s = network.posts_a_day / 86_400 * network.busy
    came = rng.poisson(busy_s * hop_s * shares).astype(np.float64)  # in one hop
    kept = np.minimum(came, rules.bucket_rows)
    # A window of a rare hashtag is not 120 times what one minute happens to bring.
    window = rng.poisson(np.minimum(busy_s * hop_s * shares, rules.bucket_rows) * hops).astype(np.float64)
    assessed = window >= rules.min_posts
    assess_s = np.where(assessed, cost.assess_s(window), 0.0)
    peak = rng.poisson(network.peak_s * hop_s * (1 - network.hot_share) * shares).astype(np.float64)
    peak[0] += network.peak_s * hop_s * network.hot_share
    peak_kept = np.minimum(peak, rules.bucket_rows)
    load = Load(
        posts_s=busy_s,
        rows_s=float(kept.sum() / hop_s),
        rows_held=float(window.sum()),
        hashtags=int(np.count_nonzero(window)),
        assessed=int(assessed.sum()),
        assess_cores=float(assess_s.sum() / hop_s),
        full=int(np.count_nonzero(came > rules.bucket_rows)),
        peak_rows_s=float(peak_kept.sum() / hop_s),
        hottest=float(peak.max()),
    )
    lots = np.random.default_rng((seed, 1))
    found = []
    for number in partitions:
        where = _deal(len(shares), number, lots)
        cores, unbounded, bounded = (
            np.bincount(where, brought, minlength=number)
            for brought in ((kept * cost.worker_s + assess_s) / hop_s, peak, peak_kept)
        )
        mean, most = float(cores.mean()), float(cores.max())
        found.append(
            Dealt(
                number,
                mean,
                most,
                float(unbounded.max() / unbounded.mean()),
                float(bounded.max() / bounded.mean()),
            )
        )
    return load, found


def assessments(sizes: Sequence[int], repeats: int = 3) -> list[tuple[int, float]]:
    """Rows of a window of talk, and the least processor time in seconds that its assessment takes."""
    rules = Rules(bucket_rows=max(sizes))
    span_ms = rules.window_ms - rules.hop_ms
    end_ms = crowd.T0_MS + span_ms  # ends no hour, so nothing but the window is looked at
    out = []
    for rows in sizes:
        posts = crowd.posts(Crowd(rows, span_ms // 1_000 - 1, floods=0))
        posts = [structs.replace(post, hashtags=("one",)) for post in posts]
        posts[-1] = structs.replace(posts[-1], time_ms=end_ms - 1)  # so that this hop is needed
        (packet,) = pack(list(enumerate(posts)), 0, 0, rows + 1, 1, ended=True)
        monitor = Monitor(0, (0,), rules, Baseline.prior())
        monitor.apply(monitor.plan(packet))
        monitor.assess(end_ms)  # texts are looked at once, when they come
        took = []
        for _ in range(repeats):
            begun_s = time.process_time()
            outcome = monitor.assess(end_ms)
            took.append(time.process_time() - begun_s)
        assert len(outcome.tags) == 1
        out.append((rows, min(took)))
    return out


def cost_of(speed: speed_report.Report, assessed: Sequence[tuple[int, float]]) -> Cost:
    """What a post and a window cost.

    Parameters
    ----------
    speed : what `make bench` measured
    assessed : as `assessments` gives them

    Raises
    ------
    ValueError
        If no live worker was measured.
    """
    live = next((one for one in speed.live if one.per_message > 1), None)
    if live is None:
        raise ValueError(f"{SPEED} holds no live worker with many posts a message: run make bench first")
    return Cost(
        worker_s=live.processor_s / live.posts,
        redis_bytes=live.redis_held_bytes / live.posts,
        packet_bytes=live.packet_bytes / live.posts,
        assessed=tuple(assessed),
    )


def main(args: Sequence[str] | None = None) -> int:
    """Measure, deal and write the page."""
    parser = argparse.ArgumentParser(prog="scaling.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args(args)
    speed = msgspec.json.decode(SPEED.read_bytes(), type=speed_report.Report)
    network, rules = Network(), Rules()
    console = Console(stderr=True)
    console.print("timing assessments")
    cost = cost_of(speed, assessments(WINDOWS))
    console.print("dealing hashtags")
    shares = popularity(network)
    load, found = dealt(network, shares, rules, cost, PARTITIONS, given.seed)
    report = Report(network, rules, cost, load, tuple(found), float(shares[0]), speed.extent)
    given.out.write_text(scaling_page.page(report), encoding="utf-8")
    console.print(f"{given.out} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
