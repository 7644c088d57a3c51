"""The results as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import machine
from benchmarks.quality_limits import Pooled
from benchmarks.quality_score import wilson
from benchmarks.quality_sections import campaigns, false_alarms, others
from benchmarks.scenarios.catalogue import SECTIONS, WITHOUT_TRUTH, Limits

INTRODUCTION: Final = {
    "floods": "The rebuilt reference case with less and less of the posts being the flood's"
    " (docs/reference-case.md), and floods of other kinds.",
    "other operators": "Floods like that of the reference case, but each seed is another operator: number of"
    " accounts and texts, client, creation days, followees, gaps and rounds are drawn anew, and so are the"
    " language and the hashtag.",
    "evasions": "About half of the posts are the flood's. Its texts are disguised; its accounts act and look"
    " as in the reference case.",
    "harder evasions": "The same disguises (and none: plain), and one of the habits is missing: the accounts"
    " are of any age and have anybody's profile, or post through anybody's clients, or their gaps vary by"
    " minutes. Shown without tolerance.",
    "real campaigns": "Texts, times and accounts as the platform published them; these files hold the"
    " campaign's accounts only, so nothing can be said of precision, and not every post is a copy.",
    "campaigns over organic talk": "A construction: posts of one hashtag of a real campaign over posts of"
    " real conversations, which are moved under that hashtag, the only one, and into its two hours."
    " Accounts are the platform's; the talk is about something else.",
    "quiet patterns": "Many people do the same and nobody coordinates them. There may be no alert.",
    "organic talk": "Talk without anything in it. There may be no alert.",
    "real conversations": "Organic by origin. As they are, they are too thin for a single window to be"
    " assessed. So they are also *pressed*, which is a construction: all posts under one hashtag, all"
    " distances in time divided by 10 or 100. There may be no alert.",
}

METHOD: Final = (
    "Each scenario is made by `benchmarks/scenarios` and scanned with the default rules, and what `posts.csv`"
    " and `accounts.csv` hold to be coordinated is compared with the truth, over all seeds together. Brackets"
    " are 95 % intervals (Wilson) that take accounts and posts for independent, which those of one seed are"
    " not. First alert: median (greatest) minutes from the first coordinated post. Findings: the detectors"
    " that were suspicious in any window after that, with the share of seeds.",
    "",
    "Texts, people and times of the scenarios are invented. They show what is found under stated conditions,"
    " and not how often that happens on a platform.",
)


def page(pooled: Sequence[Pooled], extra: Sequence[str], notes: Sequence[str]) -> str:
    """Everything as Markdown.

    Parameters
    ----------
    extra : further sections
    notes : what was not run, and why
    """
    seeds = sorted({o.seed for p in pooled if p.entry.seeded for o in p.outcomes})
    lines = [
        "# Quality",
        "",
        "Written by `make quality`; do not edit by hand.",
        "",
        f"Measured with {machine.named()}. Seeds: {', '.join(map(str, seeds)) or 'none'}. Seeds below 100"
        " are for tuning, those from 100 on for checking; each is another operator and another conversation.",
        "",
        *notes,
        *METHOD,
        "",
        "## Outside tolerance",
        "",
        *(_outside(pooled) or ["Nothing."]),
        "",
    ]
    for section in SECTIONS:
        mine = [p for p in pooled if p.entry.section == section]
        if mine:
            table = _quiet(mine) if section in WITHOUT_TRUTH else _found(mine)
            lines += [f"## {section.capitalize()}", "", INTRODUCTION[section], "", *table, ""]
    return "\n".join([*lines, *campaigns(pooled), *false_alarms(pooled), *others(pooled), *extra])


def _outside(pooled: Sequence[Pooled]) -> list[str]:
    said = [(p.entry.name, "; ".join(p.outside())) for p in pooled]
    return [f"- {name}: {what}" for name, what in said if what]


def _found(pooled: Sequence[Pooled]) -> Iterator[str]:
    yield (
        "| scenario | accounts: precision | recall | posts: precision | recall | hashtags with an alert |"
        " first alert, min | kind right | false alerts | findings | asked | within |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for p in pooled:
        kinds = [o.kind_right for o in p.outcomes if o.kind_right is not None]
        parts = [
            p.entry.name,
            _share(p.by_account.hits, p.by_account.found),
            _share(p.by_account.hits, p.by_account.true),
            _share(p.by_post.hits, p.by_post.found),
            _share(p.by_post.hits, p.by_post.true),
            f"{p.tags.hits} of {p.tags.true}",
            p.first_alert(),
            f"{sum(kinds)} of {len(kinds)}" if kinds else "—",
            str(p.false_alerts),
            _names(p, "fired"),
            asked(p.entry.limits),
            _word(p),
        ]
        yield f"| {' | '.join(parts)} |"


def _quiet(pooled: Sequence[Pooled]) -> Iterator[str]:
    yield (
        "| scenario | posts | windows | posts in the largest | alerts | accounts held coordinated |"
        " patterns seen | findings | within |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for p in pooled:
        parts = [
            p.entry.name,
            f"{sum(o.posts for o in p.outcomes):,}",
            f"{p.windows:,}",
            f"{max(o.largest for o in p.outcomes):,}",
            str(p.alerts),
            f"{p.by_account.found:,}",
            _names(p, "patterns"),
            _names(p, "fired"),
            _word(p) if p.windows else "says nothing",
        ]
        yield f"| {' | '.join(parts)} |"


def asked(limits: Limits) -> str:
    """What is asked of a scenario, in words."""
    accounts = (("precision", limits.account_precision), ("recall", limits.account_recall))
    parts = [f"{name} ≥ {least:g}" for name, least in accounts if least is not None]
    if limits.texts is not None:
        parts.append(f"posts too, {limits.texts} texts, share")
    if limits.first_alert_min is not None:
        parts.append(f"alert ≤ {limits.first_alert_min:g} min")
    elif limits.tags is not None:
        parts.append("alert")
    if limits.campaigns is not None:
        parts.append(f"{limits.campaigns} campaign")
    return ", ".join(parts) or "nothing"


def _share(hits: int, of: int) -> str:
    if not of:
        return "—"
    low, high = wilson(hits, of)
    return f"{hits / of:.3f} [{low:.3f}, {high:.3f}]"


def _names(p: Pooled, field: str) -> str:
    counts = p.counted(field)
    return ", ".join(f"{name} {count / len(p.outcomes):.0%}" for name, count in counts) or "none"


def _word(p: Pooled) -> str:
    if p.entry.limits == Limits():
        return "—"
    return "**no**" if any(True for _ in p.outside()) else "yes"
