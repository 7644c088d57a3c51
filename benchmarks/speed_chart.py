"""The chart of benchmarks/speed.md: what a core does in a second, and what a post costs as there are more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import altair as alt

from benchmarks import speed_posts
from benchmarks.speed_report import Report, middle
from streams import charts

LIMIT: Final = "bare loop"
PROGRAM: Final = "Floodmark"
_COLOURS: Final = alt.Scale(domain=[LIMIT, PROGRAM], range=[charts.OTHER, charts.COORDINATED])

_AXIS: Final = alt.Axis(format="~s", tickCount=6)
_COST_AXIS: Final = alt.Axis(
    format="~s", tickCount=6, minExtent=charts.Y_AXIS, maxExtent=charts.Y_AXIS, titlePadding=8
)
_NAME_AXIS: Final = alt.Axis(minExtent=charts.NAMES, maxExtent=charts.NAMES)


def picture(report: Report) -> str:
    """Both panels as SVG."""
    described = (
        "Above: posts that a core takes in a second, in the bare loop, in scans and in a live worker."
        " Below: processor time of a post in a scan over the number of posts."
    )
    chart = alt.vconcat(_rates(report), _growth(report)).properties(description=described)
    return charts.svg(cast(charts.Chart, chart))


def _rates(report: Report) -> alt.Chart:
    costs = list(_costs(report))
    bars: list[dict[str, Any]] = [{"what": what, "of": of, "posts_s": 1e6 / us} for what, of, us in costs]
    drawn: alt.Chart = (
        alt.Chart(alt.InlineData(values=bars))
        .mark_bar()
        .encode(
            x=alt.X("posts_s:Q", title="posts per second of processor time", axis=_AXIS),
            y=alt.Y("what:N", title=None, axis=_NAME_AXIS, sort=[what for what, _, _ in costs]),
            color=alt.Color("of:N", scale=_COLOURS, title=None),
        )
        .properties(width=charts.WIDTH, height=22 * max(1, len(bars)))
    )
    return drawn


def _costs(report: Report) -> Iterator[tuple[str, str, float]]:
    """What there is to draw: its name, of which of the two it is, and the cost of a post."""
    for kind in (*speed_posts.KINDS, speed_posts.LIVE):
        if report.limits.get(kind):
            yield f"bare loop, {kind}", LIMIT, report.limit_us(kind)
        for size in report.of(kind)[:1]:
            yield f"scan, {kind}", PROGRAM, size.us
    for per_message in sorted({one.per_message for one in report.live}, reverse=True):
        us = middle(one.us for one in report.live_by(per_message))
        yield f"live worker, {per_message} a message", PROGRAM, us


def _growth(report: Report) -> alt.Chart:
    points: list[dict[str, Any]] = [
        {"posts": size.posts, "us": size.us, "of": kind}
        for kind in speed_posts.KINDS
        for size in report.of(kind)
    ]
    drawn: alt.Chart = (
        alt.Chart(alt.InlineData(values=points))
        .mark_line(point=True)
        .encode(
            x=alt.X("posts:Q", title="posts", scale=alt.Scale(type="log"), axis=_AXIS),
            y=alt.Y("us:Q", title="µs a post in a scan", axis=_COST_AXIS),
            strokeDash=alt.StrokeDash("of:N", title=None),
        )
        .properties(width=charts.WIDTH, height=charts.HEIGHT)
    )
    return drawn
