"""The four charts of an alert: one definition each for report, page and picture, drawn without a network.

Each function takes one part of an alert's JSON evidence and returns an Altair chart. Stacks and bins are laid
out here rather than by Vega, because the bins are given and of unequal width. Colours are two of the
Okabe-Ito palette (Okabe and Ito, 2008), which stay apart with every common kind of colour blindness.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import log1p
from typing import Any, Final

import altair as alt
import vl_convert

from detectors.evidence import GAP_EDGES_S
from streams.summary import legible

COORDINATED: Final = "#D55E00"
OTHER: Final = "#56B4E9"
WIDTH: Final = 400
HEIGHT: Final = 170
MOST_BARS: Final = 240
MOST_CLIENTS: Final = 10
NEAR_DAYS: Final = 60
SHORT_SPAN_DAYS: Final = 120
BEND_S: Final = 10
"""Where the axis of gaps turns from linear to logarithmic; single seconds come out as wide as minutes do."""
Y_AXIS: Final = 34
NAMES: Final = 155
"""Room for figures and names at the y-axis in pixels; fixed, so that fonts do not move the plot."""

Counts = Sequence[Mapping[str, Any]]
Chart = alt.Chart | alt.LayerChart | alt.VConcatChart
_STEPS_MIN: Final = (1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440)
_STEPS_DAYS: Final = (7, 14, 28, 56, 91, 182, 364)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart as SVG, or None with the reason why there is nothing to draw."""

    title: str
    svg: str | None
    without: str


@dataclass(frozen=True, slots=True)
class _Bar:
    start: Any
    end: Any
    coordinated: float
    other: float


def minutes_chart(minutes: Counts) -> Chart:
    """Posts over time, coordinated below and others on top.

    Parameters
    ----------
    minutes : non-empty sequence of ``{"minute": ISO time, "coordinated": int, "other": int}``
        A span of more than `MOST_BARS` minutes is drawn in longer steps, and the title says which.
    """
    starts = [datetime.fromisoformat(row["minute"]).astimezone(UTC) for row in minutes]
    span_min = (max(starts) - min(starts)).total_seconds() / 60 + 1
    step_min = next((s for s in _STEPS_MIN if span_min / s <= MOST_BARS), _STEPS_MIN[-1])
    step_s = step_min * 60
    bins = _binned(minutes, [int(at.timestamp()) // step_s for at in starts])
    bars = [_Bar(_iso(n * step_s), _iso((n + 1) * step_s), *both) for n, both in bins]
    per = "minute" if step_min == 1 else f"{step_min} minutes"
    peak = max(bars, key=lambda bar: (bar.coordinated + bar.other, bar.start))
    clock = "%H:%M" if span_min <= 1440 else "%d %b %H:%M"
    described = (
        f"Bars over time in UTC from {bars[0].start} to {bars[-1].end}; the highest has "
        f"{peak.coordinated:,} coordinated and {peak.other:,} other posts in the {per} from {peak.start}."
    )
    x = alt.X(
        "start:T",
        title="time (UTC)",
        scale=alt.Scale(type="utc", nice=False),
        axis=_axis(tickCount=6, format=clock),
    )
    return _stack(bars, x, "posts", "T").properties(
        title=f"Posts per {per}", description=described, width=WIDTH, height=HEIGHT
    )


def gaps_chart(gaps: Counts) -> Chart:
    """Histogram of the seconds between an account's consecutive posts.

    The area of a bar is its number of gaps. The x-axis is linear in the first seconds and logarithmic later
    (``log(1 + s / 10)``), so a narrow peak at four seconds and one at twenty-one minutes both show.

    Parameters
    ----------
    gaps : non-empty sequence of ``{"from": lower edge in s, "coordinated": int, "other": int}``
        Lower edges are of `GAP_EDGES_S`.
    """
    upper = dict(pairwise(int(edge) for edge in GAP_EDGES_S))
    by_edge = {int(row["from"]): row for row in gaps}
    every = int(sum(row["coordinated"] + row["other"] for row in gaps))
    bars = []
    for low in sorted({*upper, *by_edge}):
        # The last edge opens a bin without end; a bar has to stop somewhere.
        high = upper.get(low, 2 * low)
        row = by_edge.get(low, {"coordinated": 0, "other": 0})
        width = log1p(high / BEND_S) - log1p(low / BEND_S)
        bars.append(_Bar(low, high, row["coordinated"] / width, row["other"] / width))
    while bars and not bars[-1].coordinated + bars[-1].other:
        bars.pop()
    peaks = _peaks(bars, by_edge)
    described = f"Histogram of {every:,} gaps between consecutive posts of one account" + (
        "; most frequent among the coordinated accounts: "
        + ", ".join(f"{label} ({count:,} gaps)" for label, count, _, _ in peaks)
        + "."
        if peaks
        else "."
    )
    ticks = [0, 5, 20, 60, 300, 1200, 3600]
    labels = "datum.value == 0 ? '0' : datum.value < 60 ? datum.value + ' s' : datum.value / 60 + ' min'"
    x = alt.X(
        "start:Q",
        title="between one post and the account's next; a bar's area is the number of gaps",
        scale=alt.Scale(type="symlog", constant=BEND_S, nice=False, domain=[0, bars[-1].end]),
        axis=_axis(values=[t for t in ticks if t <= bars[-1].end], labelExpr=labels),
    )
    stack = _stack(bars, x, None, "Q")
    named = [{"at": at, "top": top, "label": label} for label, _, at, top in peaks]
    text = (
        alt.Chart(alt.InlineData(values=named))
        .mark_text(dy=-7, fontWeight="bold", color="#333", aria=False)
        .encode(x="at:Q", y="top:Q", text="label:N")
    )
    return alt.LayerChart(layer=[stack, text]).properties(
        title="Seconds between an account's posts",
        description=described,
        width=WIDTH + Y_AXIS,
        height=HEIGHT,
    )


def created_chart(created: Counts) -> Chart:
    """Accounts per creation day; over a long span, the whole span in longer steps and the densest days apart.

    Parameters
    ----------
    created : non-empty sequence of ``{"day": ISO date, "coordinated": int, "other": int}``
    """
    days = [date.fromisoformat(row["day"]).toordinal() for row in created]
    first, last = min(days), max(days)
    title = "Accounts per creation day"
    if last - first < SHORT_SPAN_DAYS:
        bars = _day_bars(created, days, 1)
        return _days(bars, "day the account was created", "accounts a day").properties(
            title=title, description=_days_described(bars), width=WIDTH, height=HEIGHT
        )
    step = next((s for s in _STEPS_DAYS if (last - first) / s <= SHORT_SPAN_DAYS), _STEPS_DAYS[-1])
    start = _densest(created, days)
    near = [i for i, day in enumerate(days) if start <= day < start + NEAR_DAYS]
    near_bars = _day_bars([created[i] for i in near], [days[i] for i in near], 1)
    span = [_day(start), _day(start + NEAR_DAYS)]
    whole = _days(_day_bars(created, days, step), f"all accounts, in steps of {step} days", "accounts")
    zoomed = _days(
        near_bars, f"the {NEAR_DAYS} days with most coordinated accounts, day by day", "per day", span
    )
    half = {"width": WIDTH, "height": (HEIGHT - 30) // 2}
    return alt.vconcat(whole.properties(**half), zoomed.properties(**half), spacing=8).properties(
        title=alt.TitleParams(title, anchor="start"), description=_days_described(near_bars)
    )


def clients_chart(clients: Counts) -> Chart:
    """Posts per client, the ten with most posts.

    Parameters
    ----------
    clients : non-empty sequence of ``{"client": str, "coordinated": int, "other": int}``
    """
    sums: dict[str, list[int]] = {}
    for row in clients:
        both = sums.setdefault(legible(row["client"], 24) or "(no name)", [0, 0])
        both[0] += row["coordinated"]
        both[1] += row["other"]
    top = sorted(sums.items(), key=lambda item: (-sum(item[1]), item[0]))[:MOST_CLIENTS]
    values = []
    for name, (yes, no) in top:
        values.append({"client": name, "from": 0, "to": yes, "who": "coordinated"})
        values.append({"client": name, "from": yes, "to": yes + no, "who": "other"})
    totals = [{"client": name, "to": yes + no, "label": f"{yes + no:,}"} for name, (yes, no) in top]
    y = alt.Y(
        "client:N",
        sort=[name for name, _ in top],
        title=None,
        axis=_axis(labelLimit=NAMES - 5, ticks=False, minExtent=NAMES, maxExtent=NAMES),
    )
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(aria=False)
        .encode(
            x=alt.X("from:Q", title="posts", axis=_axis(tickCount=4, format=",d")),
            x2="to:Q",
            y=y,
            color=_colour(),
        )
    )
    text = (
        alt.Chart(alt.InlineData(values=totals))
        .mark_text(align="left", dx=4, color="#333", aria=False)
        .encode(x="to:Q", y=y, text="label:N")
    )
    described = "Posts per client: " + "; ".join(
        f"{name}: {yes:,} coordinated, {no:,} other" for name, (yes, no) in top
    )
    return alt.LayerChart(layer=[bars, text]).properties(
        title="Posts per client", description=described + ".", width=WIDTH - NAMES, height=24 * len(top) + 10
    )


_CHARTS: Final[tuple[tuple[str, str, Callable[[Counts], Chart], str], ...]] = (
    ("minutes", "Posts over time", minutes_chart, "No post times are known."),
    (
        "gaps_s",
        "Seconds between an account's posts",
        gaps_chart,
        "No account posted twice, or times are known to the minute only.",
    ),
    (
        "created",
        "Accounts per creation day",
        created_chart,
        "The payloads did not say when accounts were created.",
    ),
    ("clients", "Posts per client", clients_chart, "The payloads did not name the clients."),
)


def draw(evidence: Mapping[str, Counts]) -> tuple[Drawn, ...]:
    """The four charts of an alert's evidence as SVG, always four and in the same order."""
    return tuple(
        Drawn(title, svg(chart(evidence[part])) if evidence[part] else None, without)
        for part, title, chart, without in _CHARTS
    )


def svg(chart: Chart) -> str:
    """Draw a chart: inline SVG without script, outside references or ids, named by its description.

    The same chart gives the same bytes on one machine; the width of labels is measured with its fonts.
    """
    spec = chart.configure(**_STYLE).to_dict()
    # No data comes from an address; an empty list makes sure of it.
    drawn: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    name = html.escape(spec["description"], quote=True)
    # As one image to a screen reader: its description says more than a list of two hundred bars.
    return re.sub(r"^<svg ", lambda _: f'<svg role="img" aria-label="{name}" ', drawn, count=1)


_STYLE: Final[dict[str, Any]] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "padding": 4,
    "view": {"stroke": None},
    "title": {"anchor": "start", "fontSize": 14, "color": "#333", "offset": 6},
    "axis": {"labelColor": "#333", "titleColor": "#333", "titleFontWeight": "normal", "labelFontSize": 11},
    "legend": {
        "labelColor": "#333",
        "orient": "top",
        "title": None,
        "labelFontSize": 11,
        "offset": 2,
        "columnPadding": 24,
    },
    "numberFormat": ",",
}


def _axis(**more: Any) -> alt.Axis:
    return alt.Axis(grid=False, labelOverlap=True, **more)


def _colour() -> alt.Color:
    scale = alt.Scale(domain=["coordinated", "other"], range=[COORDINATED, OTHER])
    return alt.Color("who:N", scale=scale, legend=alt.Legend(symbolType="square", symbolStrokeWidth=0))


def _stack(bars: Iterable[_Bar], x: alt.X, y_title: str | None, kind: str) -> alt.Chart:
    values = []
    for bar in bars:
        yes, no = round(bar.coordinated, 3), round(bar.coordinated + bar.other, 3)
        for who, low, high in (("coordinated", 0, yes), ("other", yes, no)):
            if high > low:
                values.append({"start": bar.start, "end": bar.end, "low": low, "high": high, "who": who})
    axis = _axis(tickCount=3, format="~s", minExtent=Y_AXIS, maxExtent=Y_AXIS) if y_title else None
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_rect(aria=False)
        .encode(
            x=x,
            x2=f"end:{kind}" if kind == "T" else "end",
            y=alt.Y("low:Q", title=y_title, axis=axis),
            y2="high",
            color=_colour(),
        )
    )
    return chart


def _binned(counts: Counts, bins: Sequence[int]) -> list[tuple[int, tuple[int, int]]]:
    sums: dict[int, list[int]] = {}
    for row, number in zip(counts, bins, strict=True):
        both = sums.setdefault(number, [0, 0])
        both[0] += row["coordinated"]
        both[1] += row["other"]
    return [(number, (both[0], both[1])) for number, both in sorted(sums.items())]


def _peaks(
    bars: Sequence[_Bar], by_edge: Mapping[int, Mapping[str, Any]]
) -> list[tuple[str, int, float, float]]:
    """Label, number of gaps, place and height of up to three peaks of the coordinated accounts' gaps."""
    every = sum(row["coordinated"] for row in by_edge.values())
    taken: set[int] = set()
    peaks = []
    for i in sorted(range(len(bars)), key=lambda i: (-bars[i].coordinated, i)):
        if i in taken:
            continue
        low, high = i, i
        while low > 0 and bars[low - 1].coordinated >= bars[i].coordinated / 2:
            low -= 1
        while high + 1 < len(bars) and bars[high + 1].coordinated >= bars[i].coordinated / 2:
            high += 1
        near = range(low - 1, high + 2)
        count = sum(by_edge[b.start]["coordinated"] for b in bars[low : high + 1] if b.start in by_edge)
        # A peak is narrow and holds a good part of the gaps; a broad hump or a shoulder is not named.
        if count >= 0.05 * every and count and high - low < 4 and not taken & set(near):
            top = max(bar.coordinated + bar.other for bar in bars[low : high + 1])
            label = _span(bars[low].start, bars[high].end)
            peaks.append((label, count, (bars[low].start + bars[high].end) / 2, top))
        taken |= set(near)
        if len(peaks) == 3:
            break
    return peaks


def _span(low_s: int, high_s: int) -> str:
    """How a bin of gaps is named: ``4–6 s``, ``21–22 min``."""
    if high_s < 240:
        return f"{low_s}–{high_s} s"
    return f"{low_s / 60:.3g}–{high_s / 60:.3g} min"


def _days(bars: Sequence[_Bar], x_title: str, y_title: str, span: Sequence[str] | None = None) -> alt.Chart:
    domain = alt.Undefined if span is None else list(span)
    scale = alt.Scale(type="utc", nice=False, domain=domain)
    return _stack(bars, alt.X("start:T", title=x_title, scale=scale, axis=_axis(tickCount=6)), y_title, "T")


def _day_bars(created: Counts, days: Sequence[int], step: int) -> list[_Bar]:
    bins = _binned(created, [day // step for day in days])
    return [_Bar(_day(n * step), _day((n + 1) * step), *both) for n, both in bins]


def _days_described(bars: Sequence[_Bar]) -> str:
    peak = max(bars, key=lambda bar: (bar.coordinated, bar.other, bar.start))
    return (
        f"Bars over the day on which accounts were created; the most coordinated accounts of one day, "
        f"{peak.coordinated:,}, and {peak.other:,} others were created on {peak.start[:10]}."
    )


def _densest(created: Counts, days: Sequence[int]) -> int:
    """First day of the `NEAR_DAYS` with most coordinated accounts, these days in the middle."""
    rows = sorted(zip(days, (row["coordinated"] for row in created), strict=True))
    if not any(count for _, count in rows):
        rows = sorted(zip(days, (row["other"] for row in created), strict=True))
    best, best_sum, low, running = 0, -1, 0, 0
    for high, (day, count) in enumerate(rows):
        running += count
        while rows[low][0] <= day - NEAR_DAYS:
            running -= rows[low][1]
            low += 1
        if running > best_sum:
            best, best_sum = high, running
    inside = [day for day, count in rows if rows[best][0] - NEAR_DAYS < day <= rows[best][0] and count]
    return (inside[0] + inside[-1]) // 2 - NEAR_DAYS // 2


def _day(ordinal: int) -> str:
    return f"{date.fromordinal(ordinal).isoformat()}T00:00:00Z"


def _iso(time_s: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(seconds=time_s)).isoformat() + "Z"
