"""All scenarios by name, and what is asked of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.scenarios import crowds, evasions, floods, real, systems
from benchmarks.scenarios.scenario import Scenario

FLOODS: Final = "floods"
OTHERS: Final = "other operators"
EVASIONS: Final = "evasions"
HARDER: Final = "harder evasions"
QUIET: Final = "quiet patterns"
ORGANIC: Final = "organic talk"
CAMPAIGNS: Final = "real campaigns"
OVERLAID: Final = "campaigns over organic talk"
CONVERSATIONS: Final = "real conversations"
SECTIONS: Final = (
    *(FLOODS, OTHERS, EVASIONS, HARDER, CAMPAIGNS, OVERLAID),
    *(QUIET, ORGANIC, CONVERSATIONS),
)
WITHOUT_TRUTH: Final = (QUIET, ORGANIC, CONVERSATIONS)
"""Sections in which nobody coordinates."""


@dataclass(frozen=True)
class Limits:
    """What a scenario's figures over all seeds must be; None is not asked for.

    `tags` is the least share of its hashtags with an alert, `kind` says that alerts must be of the right
    kind, `texts` how many the alert must count, `share_error` by how much its coordinated share may differ
    from the true one, `campaigns` how many the alerts may name at their end, and `quiet` that there may be no
    alert.
    """

    account_precision: float | None = None
    account_recall: float | None = None
    post_precision: float | None = None
    post_recall: float | None = None
    first_alert_min: float | None = None
    tags: float | None = None
    kind: bool = False
    texts: int | None = None
    share_error: float | None = None
    campaigns: int | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Entry:
    """One scenario of the catalogue; `build` makes it of a name and a seed, which counts only if `seeded`."""

    name: str
    section: str
    build: Callable[[str, int], Scenario]
    limits: Limits
    seeded: bool = True

    def scenario(self, seed: int) -> Scenario:
        """The scenario of a seed."""
        return self.build(self.name, seed)


PUBLISHED: Final = Limits(
    account_precision=0.99,
    account_recall=0.99,
    post_precision=0.99,
    post_recall=0.99,
    first_alert_min=3,
    tags=1,
    kind=True,
    texts=30,
    share_error=0.005,
)
"""At the share that was published."""

SHARED: Final = Limits(account_precision=0.99, account_recall=0.99, tags=1)
SHARES: Final = {
    90: PUBLISHED,
    50: SHARED,
    20: SHARED,
    10: Limits(account_precision=0.95, account_recall=0.95, tags=1),
    5: Limits(account_precision=0.9, tags=1),
}
"""By share of the posts in per cent."""

FOUND: Final = Limits(account_precision=0.9, account_recall=0.9, tags=1)
ONE_CAMPAIGN: Final = replace(FOUND, campaigns=1)
THIN: Final = replace(ONE_CAMPAIGN, tags=0.5)
"""One or two posts of an account under each hashtag: under some there is too little to go by."""

EVADING: Final = Limits(account_precision=0.95, account_recall=0.95, tags=1)
ALL_EVADING: Final = Limits(account_precision=0.9, account_recall=0.9, tags=1)
PARAPHRASED: Final = Limits(account_precision=0.95, tags=1)
ALERTED: Final = Limits(tags=1, campaigns=1)
SILENCE: Final = Limits(quiet=True)
NO_LIMITS: Final = Limits()

_FLOODS: Final = (
    ("37 accounts, one automation client", floods.automation, FOUND),
    ("slow drip over twelve hours", floods.drip, FOUND),
    ("repost flood", floods.reposts, FOUND),
    ("one text an account", floods.one_each, FOUND),
    ("hop to a second hashtag", floods.hop, ONE_CAMPAIGN),
    ("two campaigns in one hashtag", floods.two, FOUND),
    ("one campaign over twenty hashtags", floods.twenty, THIN),
)
_CROWDS: Final = (
    ("share button", crowds.share_button, (45, 300, 2_000)),
    ("catch-phrase", crowds.catch_phrase, (45, 300, 2_000)),
    ("repost storm", crowds.celebrity, (45, 300, 2_000)),
    ("fan vote", crowds.fan_vote, (45, 300, 2_000)),
    ("goal chorus", crowds.chorus, (45, 300, 2_000)),
    ("give-away", crowds.give_away, (45, 300, 2_000)),
    ("hourly app", systems.hourly_app, (45, 300, 2_000)),
    ("official warnings", systems.official_warnings, (6, 12, 30)),
    ("sister newsrooms", systems.newsroom, (15, 25, 40)),
    ("class workshop", systems.workshop, (25, 60)),
    ("prolific person", systems.prolific, (100, 300)),
    ("sign-up wave", crowds.sign_up_wave, (600, 3_000, 9_000)),
    ("breaking news to the minute", crowds.breaking_news, (600, 3_000, 9_000)),
)
_OF_POSTS: Final = ("prolific person", "sign-up wave", "breaking news to the minute")


def catalogue() -> Iterator[Entry]:
    """Every scenario, in the order of the page."""
    for share, limits in SHARES.items():
        yield Entry(f"rebuilt case, {share} %", FLOODS, partial(floods.rebuilt, share), limits)
    for name, build, limits in _FLOODS:
        yield Entry(name, FLOODS, build, limits)
    yield Entry("paraphrased", FLOODS, floods.paraphrased, PARAPHRASED)
    for share, limits in SHARES.items():
        if share < 90:
            yield Entry(f"another operator, {share} %", OTHERS, partial(floods.another, share), limits)
    for which in evasions.EVASIONS:
        limits = ALL_EVADING if which == evasions.ALL else EVADING
        yield Entry(which, EVASIONS, partial(evasions.evasion, which, ""), limits)
    for weaker in evasions.WEAKER:
        for which in (evasions.PLAIN, *evasions.EVASIONS):
            name = f"{which}; ordinary {weaker}"
            yield Entry(name, HARDER, partial(evasions.evasion, which, weaker), NO_LIMITS)
    for name, of_size, sizes in _CROWDS:
        for size in sizes:
            named = f"{name}, {size:,} {'posts' if name in _OF_POSTS else 'accounts'}"
            yield Entry(named, QUIET, partial(of_size, size), SILENCE)
    for size in (300, 3_000, 12_000):
        yield Entry(f"talk, {size:,} posts", ORGANIC, partial(crowds.organic, size), SILENCE)
    if real.folder() is not None:
        yield from _real()


def _real() -> Iterator[Entry]:
    """What is made of the real files."""
    four = ("islamkills", "brussels", "prayforbrussels", "stopislam")
    for file, tags in ((real.ISLAM_KILLS, four), (real.OSCARS, ("oscarhasnocolor",))):
        build = partial(real.campaign, file, tags)
        yield Entry(Path(file).name, CAMPAIGNS, build, ALERTED, seeded=False)
    for file, tag, under in (
        (real.ISLAM_KILLS, "islamkills", real.AIRLINE),
        (real.OSCARS, "oscarhasnocolor", real.VACCINATION),
    ):
        for share in (50, 20, 10):
            name = f"#{tag} over {Path(under).stem}, {share} %"
            build = partial(real.overlaid, file, tag, under, share)
            yield Entry(name, OVERLAID, build, NO_LIMITS, seeded=False)
    for pressed in (1, 10, 100):
        for file in (real.VACCINATION, real.AIRLINE):
            how = f", one hashtag, {pressed} times as fast" if pressed > 1 else ""
            build = partial(real.conversation, file, pressed)
            yield Entry(Path(file).name + how, CONVERSATIONS, build, SILENCE, seeded=False)
