"""Posts before they have ids, and what makes a scenario of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.scenarios.scenario import Coordinated, Scenario
from benchmarks.scenarios.world import Person, World
from detectors.table import DAY_MS, Kind
from streams.posts import MINUTE_MS, SECOND_MS, Post

EPOCH_MS: Final = 1_288_834_974_657
"""From which post ids count, as X's do."""


@dataclass(slots=True, eq=False)
class Draft:
    """A post to be.

    Attributes
    ----------
    at_s : float
        Seconds from the start of the scenario.
    target : Draft or str or None
        What it answers, quotes or reposts; a post of the scenario, or the id of one outside it.
    client : str or None
        Its author's own if None.
    campaign : str or None
        Whose it is, if it is coordinated.
    """

    at_s: float
    who: Person
    text: str
    hashtags: tuple[str, ...]
    kind: Kind = Kind.ORIGINAL
    target: Draft | str | None = None
    links: tuple[str, ...] = ()
    client: str | None = None
    campaign: str | None = None
    language: str | None = None


def scenario(
    name: str,
    world: World,
    drafts: Iterable[Draft],
    hashtags: Sequence[str],
    *,
    kind: str | None = None,
    resolution_ms: int = SECOND_MS,
) -> Scenario:
    """Put drafts in order of time and number them.

    Parameters
    ----------
    resolution_ms : int
        How fine the platform tells times: a second, or a minute as in X's disclosures.
    """
    ordered = sorted(drafts, key=lambda draft: draft.at_s)
    ids: dict[int, str] = {}
    sent: Counter[str] = Counter()
    posts, last = [], 0
    campaigns: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    start_ms = None
    for draft in ordered:
        exact_ms = 1_000 * world.start_s + round(1_000 * draft.at_s)
        last = max(last + 1, (exact_ms - EPOCH_MS) << 22)
        ids[id(draft)] = str(last)
        sent[draft.who.id] += 1
        posts.append(_post(draft, str(last), exact_ms, ids, sent, resolution_ms))
        if draft.campaign is not None:
            its_posts, its_accounts = campaigns[draft.campaign]
            its_posts.add(str(last))
            its_accounts.add(draft.who.id)
            start_ms = exact_ms if start_ms is None else start_ms
    return Scenario(
        name,
        tuple(posts),
        {c: Coordinated(frozenset(p), frozenset(a)) for c, (p, a) in campaigns.items()},
        tuple(hashtags),
        start_ms,
        kind,
    )


def _post(
    draft: Draft, number: str, exact_ms: int, ids: dict[int, str], sent: Counter[str], resolution_ms: int
) -> Post:
    who, target = draft.who, draft.target
    created_to_ms = DAY_MS if resolution_ms == MINUTE_MS else SECOND_MS
    return Post(
        id=number,
        account_id=who.id,
        time_ms=exact_ms // resolution_ms * resolution_ms,
        resolution_ms=resolution_ms,
        text=draft.text,
        hashtags=draft.hashtags,
        kind=draft.kind,
        target_id=ids.get(id(target)) if isinstance(target, Draft) else target,
        links=draft.links,
        client=draft.client or who.client,
        language=draft.language,
        handle=who.handle,
        account_created_ms=who.created_ms // created_to_ms * created_to_ms,
        followers=who.followers,
        following=who.following,
        statuses=who.statuses + sent[who.id],
        has_bio=who.has_bio,
        has_banner=who.has_banner,
        default_profile=who.default_profile,
        verified=who.verified,
    )
