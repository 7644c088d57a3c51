"""All results of a scenario as one, and where they are outside its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.quality_score import Hits, Outcome, most_events
from benchmarks.scenarios.catalogue import Entry, Limits

DAY_MIN: Final = 1_440


@dataclass(frozen=True)
class Pooled:
    """One scenario over all its seeds."""

    entry: Entry
    outcomes: tuple[Outcome, ...]

    @property
    def by_post(self) -> Hits:
        """Posts of all seeds."""
        return Hits.sum(outcome.by_post for outcome in self.outcomes)

    @property
    def by_account(self) -> Hits:
        """Accounts of all seeds."""
        return Hits.sum(outcome.by_account for outcome in self.outcomes)

    @property
    def tags(self) -> Hits:
        """Hashtags that must have an alert."""
        return Hits.sum(outcome.tags for outcome in self.outcomes)

    @property
    def first_alerts_min(self) -> tuple[float, ...]:
        """Minutes to the first alert, of the seeds that have one, in rising order."""
        return tuple(sorted(o.first_alert_min for o in self.outcomes if o.first_alert_min is not None))

    @property
    def alerts(self) -> int:
        """Alerts of all seeds."""
        return sum(len(outcome.alerts) for outcome in self.outcomes)

    @property
    def false_alerts(self) -> int:
        """Alerts on hashtags under which nobody coordinates."""
        return sum(not alert.true for outcome in self.outcomes for alert in outcome.alerts)

    @property
    def windows(self) -> int:
        """Windows assessed."""
        return sum(outcome.windows for outcome in self.outcomes)

    def counted(self, field: str) -> list[tuple[str, int]]:
        """In how many seeds each of `fired` or `patterns` was there, commonest first."""
        counts = Counter(name for outcome in self.outcomes for name in getattr(outcome, field))
        return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))

    def first_alert(self) -> str:
        """Median and greatest of the minutes to the first alert."""
        minutes = self.first_alerts_min
        return f"{median(minutes):.1f} ({minutes[-1]:.1f})" if minutes else "—"

    def outside(self) -> Iterator[str]:
        """What is not as it must be."""
        limits, accounts, posts = self.entry.limits, self.by_account, self.by_post
        for what, value, least in (
            ("account precision", accounts.precision, limits.account_precision),
            ("account recall", accounts.recall, limits.account_recall),
            ("post precision", posts.precision, limits.post_precision),
            ("post recall", posts.recall, limits.post_recall),
            ("hashtags with an alert", self.tags.recall, limits.tags),
        ):
            if least is not None and value < least:
                yield f"{what} {value:.3f}, at least {least:g}"
        slowest = self.first_alerts_min[-1] if self.first_alerts_min else None
        if limits.first_alert_min is not None and (slowest is None or slowest > limits.first_alert_min):
            shown = "never" if slowest is None else f"after {slowest:.1f} min"
            yield f"first alert {shown}, at most {limits.first_alert_min:g} min"
        if limits.quiet and self.alerts:
            yield f"{self.alerts} alerts, none may be"
        if limits.tags is not None and self.false_alerts:
            yield f"{self.false_alerts} alerts where nobody coordinates"
        for outcome in self.outcomes:
            yield from _of_one(outcome, limits)


def _of_one(outcome: Outcome, limits: Limits) -> Iterator[str]:
    """What is not as it must be in one seed, whatever the others are like."""
    if limits.kind and outcome.kind_right is not True:
        yield f"seed {outcome.seed}: not of the kind {outcome.kind}"
    largest = max(outcome.alerts, key=lambda alert: alert.coordinated_posts, default=None)
    if largest is None:
        return
    if limits.campaigns is not None and outcome.named != limits.campaigns:
        yield f"seed {outcome.seed}: {outcome.named} campaigns named, {limits.campaigns} true"
    if limits.texts is not None and largest.texts != limits.texts:
        yield f"seed {outcome.seed}: {largest.texts} texts, {limits.texts} are true"
    error = largest.coordinated_posts / largest.posts - outcome.by_post.true / outcome.posts
    if limits.share_error is not None and abs(error) > limits.share_error:
        yield f"seed {outcome.seed}: coordinated share off by {100 * error:+.2f} points"


@dataclass(frozen=True)
class Exposure:
    """How long hashtags were watched in which nobody coordinates, and how often they raised an alert.

    Or how often else something happened there: see `below`.
    """

    alerts: int
    watched_min: int

    @classmethod
    def of(cls, pooled: Sequence[Pooled]) -> Exposure:
        """All of these as one."""
        return cls(sum(p.alerts for p in pooled), sum(o.watched_min for p in pooled for o in p.outcomes))

    @classmethod
    def below(cls, pooled: Sequence[Pooled], p_value: float) -> Exposure:
        """As `of`, counting hashtags whose combined p-value came so low instead of those with an alert."""
        low = sum(p <= p_value for one in pooled for o in one.outcomes for p in o.lowest)
        return cls(low, cls.of(pooled).watched_min)

    @property
    def tag_days(self) -> float:
        """Days for which one hashtag was assessed."""
        return self.watched_min / DAY_MIN

    @property
    def at_most(self) -> float:
        """Upper 95 % bound of false alerts a tag-day."""
        return most_events(self.alerts) / self.tag_days if self.watched_min else float("inf")
