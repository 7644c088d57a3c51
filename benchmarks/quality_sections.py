"""Sections of the page over all scenarios: campaigns apart, false alarms, other methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.peers import COPIES, PAIRS, PEERS, TOOLKIT
from benchmarks.quality_limits import DAY_MIN, Exposure, Pooled
from benchmarks.quality_score import Hits
from benchmarks.scenarios.catalogue import SECTIONS, WITHOUT_TRUTH
from detectors.assessment import FALSE_ALARMS

WHAT: Final = {
    COPIES: f"**{COPIES}**: who posted a text, letter for letter, that three accounts or more posted; without"
    " reposts.",
    PAIRS: f"**{PAIRS}**: pairs of accounts that twice or more posted the same text, or reposted the same"
    " post, within 60 s of each other: the rule of CooRTweet in an implementation of our own.",
    TOOLKIT: f"**{TOOLKIT}**: its co-tweet and co-retweet networks, 60 s, weight 2 or more; one seed only.",
}
"""What the methods are, for the page."""

STATED: Final = (1.0, 0.1, 0.01, FALSE_ALARMS, 0.0001)
"""False alarms a tag-day that are allowed by the p-values."""


def campaigns(pooled: Sequence[Pooled]) -> list[str]:
    """Where there is more than one campaign or hashtag: whether alerts say what belongs together."""
    rows = []
    for p in pooled:
        names = sorted({name for o in p.outcomes for name in o.by_campaign})
        if len(names) < 2 and p.tags.true <= len(p.outcomes):
            continue
        least = [min(o.by_campaign.get(name, 0.0) for o in p.outcomes) for name in names]
        told = [outcome.named for outcome in p.outcomes]
        alerts = [sum(alert.true for alert in o.alerts) for o in p.outcomes]
        recall = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, least, strict=True))
        rows.append(f"| {p.entry.name} | {recall} | {_counts(alerts)} | {len(names)} | {_counts(told)} |")
    if not rows:
        return []
    return [
        "## Campaigns",
        "",
        "Where several hashtags or several campaigns are in one scenario: the share of each campaign's"
        " accounts that was found, in the seed in which it was least; alerts of each seed; and how many"
        " campaigns the alerts name at their end.",
        "",
        "| scenario | recall of accounts | alerts | campaigns | named |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _counts(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def false_alarms(pooled: Sequence[Pooled]) -> list[str]:
    """Alerts where nobody coordinates, by the time for which hashtags were watched."""
    rows: list[tuple[str, list[Pooled]]] = [
        (s, [p for p in pooled if p.entry.section == s]) for s in SECTIONS if s in WITHOUT_TRUTH
    ]
    rows.append(("all of them", [p for p in pooled if p.entry.section in WITHOUT_TRUTH]))
    lines = [
        "## False alarms",
        "",
        "A tag-day is one hashtag assessed all day. The bound is the exact one of a Poisson"
        " mean (Garwood). Quiet patterns are far commoner here than on any platform: theirs is no rate to"
        " expect.",
        "",
        "| of | alerts | tag-days | alerts a tag-day | at most (95 %) |",
        "|---|---|---|---|---|",
    ]
    for name, mine in rows:
        seen = Exposure.of(mine)
        if seen.watched_min:
            rate = seen.alerts / seen.tag_days
            lines.append(
                f"| {name} | {seen.alerts} | {seen.tag_days:.2f} | {rate:.2f} | {seen.at_most:.2f} |"
            )
    return [*lines, "", *_by_p_value(rows)]


def _by_p_value(rows: Sequence[tuple[str, list[Pooled]]]) -> list[str]:
    """What would be raised by the combined p-value alone, beside what it states."""
    lines = [
        "By the combined p-value alone, without asking what ties accounts together, so many of these hashtags"
        " would have raised an alert. Stated are as many a tag-day as the threshold allows over the 1,440"
        " minutes of a day; where more are seen the p-values do not hold for such crowds, and only the second"
        " step keeps them quiet.",
        "",
        f"| p-value at most | stated a tag-day | {' | '.join(name for name, mine in rows if mine)} |",
        "|---" * (2 + sum(bool(mine) for _, mine in rows)) + "|",
    ]
    for stated in STATED:
        p_value = stated / DAY_MIN
        cells = [_seen(Exposure.below(mine, p_value)) for _, mine in rows if mine]
        lines.append(f"| {p_value:.1e} | {stated:g} | {' | '.join(cells)} |")
    return [*lines, ""]


def _seen(below: Exposure) -> str:
    if not below.watched_min:
        return "—"
    return f"{below.alerts} ({below.alerts / below.tag_days:.2f} a tag-day, at most {below.at_most:.2f})"


def others(pooled: Sequence[Pooled]) -> list[str]:
    """Which accounts other methods would have flagged."""
    methods = [method for method in PEERS if any(method in o.peers for p in pooled for o in p.outcomes)]
    if not methods:
        return []
    lines = [
        "## Other methods on the same posts",
        "",
        "Accounts flagged: precision / recall, or their number where nobody coordinates. Where Floodmark"
        " raises no alert it flags nobody.",
        "",
        *(f"- {WHAT[method]}" for method in methods),
        "",
        f"| scenario | Floodmark | {' | '.join(methods)} |",
        "|---" * (len(methods) + 2) + "|",
    ]
    for p in pooled:
        true = p.entry.section not in WITHOUT_TRUTH
        cells = [_flagged([p.by_account], true)]
        for method in methods:
            answers = [o.peers[method] for o in p.outcomes if method in o.peers]
            reasons = sorted({answer for answer in answers if isinstance(answer, str)})
            hits = [answer for answer in answers if isinstance(answer, Hits)]
            cells.append(_flagged(hits, true) if hits else "; ".join(reasons) or "—")
        lines.append(f"| {p.entry.name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _flagged(parts: Sequence[Hits], true: bool) -> str:
    hits = Hits.sum(parts)
    return f"{hits.precision:.3f} / {hits.recall:.3f}" if true else f"{hits.found:,}"
