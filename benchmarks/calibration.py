"""Whether a p-value is what it says: those of windows in which nobody coordinates, against uniform ones.

Windows that overlap share their posts and would count the same evidence a hundred times, so only windows that
do not are taken: each scenario is assessed at the full hours of its own time instead of every minute, and of
those the windows that end at a multiple of their length count, of its first hashtag alone; and each real
conversation is pressed in one way only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import altair as alt
import msgspec
import numpy as np

from benchmarks.quality_run import write
from benchmarks.scenarios import crowds, real
from benchmarks.scenarios.scenario import Scenario
from detectors.table import HOUR_MS
from streams import charts
from streams.monitor import Rules
from streams.scan import ASSESSMENTS, scan

GENERATED: Final = "generated talk"
PRESSED: Final = "real conversations, pressed"
SIZES: Final = (400, 1_500, 6_000)
SEEDS: Final = 15
LEVELS: Final = (0.5, 0.1, 0.01, 0.001)
SMALLEST: Final = 1e-8
"""Smaller p-values are drawn here."""

Build = Callable[[str, int], Scenario]


class Drawn(msgspec.Struct, frozen=True):
    """The p-value of one detector in one window; None if it abstained."""

    source: str
    detector: str
    p_value: float | None


class _Finding(msgspec.Struct):
    detector: str
    p_value: float | None


class _Span(msgspec.Struct):
    end: datetime


class _Assessment(msgspec.Struct):
    hashtag: str
    window: _Span
    findings: list[_Finding]


def tasks(first: int, seeds: int = SEEDS) -> list[tuple[str, Build, int]]:
    """What to assess: source, what makes the scenario, seed."""
    out: list[tuple[str, Build, int]] = [
        (GENERATED, partial(crowds.organic, size), first + seed) for size in SIZES for seed in range(seeds)
    ]
    if real.folder() is not None:
        out += [
            (PRESSED, partial(real.conversation, file, pressed), 0)
            for file, pressed in ((real.VACCINATION, 30), (real.AIRLINE, 10))
        ]
    return out


def collect(todo: Sequence[tuple[str, Build, int]], jobs: int) -> list[Drawn]:
    """All p-values, from so many processes.

    Raises
    ------
    RuntimeError
        If a scenario gave none: what is not drawn is not calibrated.
    """
    with ProcessPoolExecutor(jobs) as pool:
        parts = list(pool.map(_of_one, todo))
    for (source, build, seed), part in zip(todo, parts, strict=True):
        if not part:
            raise RuntimeError(f"no window of {source} was assessed ({build}, seed {seed})")
    return [one for part in parts for one in part]


def _of_one(task: tuple[str, Build, int]) -> list[Drawn]:
    source, build, seed = task
    rules = Rules()
    rules = msgspec.structs.replace(rules, hop_ms=HOUR_MS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = build("calibration", seed)
        scan([str(write(case, folder / "posts.jsonl"))], folder, rules)
        lines = (folder / ASSESSMENTS).read_bytes().splitlines()
    windows = [msgspec.json.decode(line, type=_Assessment) for line in lines]
    return [
        Drawn(source, finding.detector, finding.p_value)
        for window in windows
        if window.hashtag == case.hashtags[0] and not window.window.end.timestamp() * 1_000 % rules.window_ms
        for finding in window.findings
    ]


def section(drawn: Sequence[Drawn], chart: str) -> list[str]:
    """The section of the page; `chart` is the name of the picture."""
    lines = [
        "## Calibration",
        "",
        "P-values of windows in which nobody coordinates, none of which overlaps another one. Were they"
        " uniform, the shares would be those of the first row. Fewer small ones than that are on the safe"
        " side; more are not. Where a detector abstains it has no p-value.",
        "",
        "| detector | windows of | windows | abstained | "
        + " | ".join(f"p ≤ {level:g}" for level in LEVELS)
        + " | smallest |",
        "|---|---|---|---|---|---|---|---|---|",
        "| uniform | | | | " + " | ".join(f"{100 * level:g} %" for level in LEVELS) + " | |",
    ]
    for detector, source, mine in _groups(drawn):
        values = np.array([one.p_value for one in mine if one.p_value is not None])
        shares = [f"{100 * np.mean(values <= level):.1f} %" if values.size else "—" for level in LEVELS]
        smallest = f"{values.min():.2g}" if values.size else "—"
        row = (detector, source, str(len(mine)), str(len(mine) - values.size), *shares, smallest)
        lines.append(f"| {' | '.join(row)} |")
    return [*lines, "", f"![P-values against uniform ones, a panel for each detector]({chart})", ""]


def _groups(drawn: Sequence[Drawn]) -> Iterator[tuple[str, str, list[Drawn]]]:
    for detector in dict.fromkeys(one.detector for one in drawn):
        for source in dict.fromkeys(one.source for one in drawn):
            mine = [one for one in drawn if (one.detector, one.source) == (detector, source)]
            if mine:
                yield detector, source, mine


def picture(drawn: Sequence[Drawn]) -> str:
    """A quantile plot for each detector, as SVG; points above the line are smaller than they should be."""
    points: list[dict[str, Any]] = []
    for detector, source, mine in _groups(drawn):
        values = np.sort([one.p_value for one in mine if one.p_value is not None])
        expected = (np.arange(values.size) + 0.5) / max(1, values.size)
        points += [
            {"detector": detector, "of": source, "uniform": -float(x), "seen": -float(y), "even": -float(x)}
            for x, y in zip(np.log10(expected), np.log10(np.maximum(values, SMALLEST)).tolist(), strict=True)
        ]
    base = alt.Chart(alt.InlineData(values=points)).encode(
        x=alt.X("uniform:Q", title="−log₁₀ of uniform p-values", axis=alt.Axis(grid=False))
    )
    dots = base.mark_circle(size=14, opacity=0.7).encode(
        y=alt.Y("seen:Q", title="−log₁₀ of those seen", axis=alt.Axis(grid=False)),
        color=alt.Color(
            "of:N", scale=alt.Scale(domain=[GENERATED, PRESSED], range=[charts.OTHER, charts.COORDINATED])
        ),
    )
    line = base.mark_line(color="#888", strokeDash=[3, 3]).encode(y="even:Q")
    described = "Quantiles of p-values of windows without coordination against uniform ones, by detector."
    chart = (
        alt.layer(line, dots)
        .properties(width=150, height=130)
        .facet(facet=alt.Facet("detector:N", title=None), columns=3)
        .properties(description=described)
    )
    return charts.svg(cast(charts.Chart, chart))
