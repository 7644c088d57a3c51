"""All findings of one window joined: who is coordinated, how much of the window, how sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.contrast import Comparing
from detectors.finding import Detector, Finding, Verdict
from detectors.institution import established
from detectors.keys import among, distinct_keys, sorted_among
from detectors.off_topic import OffTopic
from detectors.p_values import combine
from detectors.patterns import Pattern, pattern
from detectors.suspects import Suspects, Tie, suspects
from detectors.table import DAY_MS, Flag, Keys, Mask, Rows, Window, flagged, taken
from detectors.traits import Timer, like
from detectors.words import percent

TIED: Final = {
    Tie.TEXTS: 2,
    Tie.REPOSTS: 2,
    Tie.TIMER: 2,
    Tie.BIRTH: 2,
    Tie.COPIES: 1,
    Tie.REPOSTING: 1,
}
"""What each tie is worth: one text in common is what crowds have too."""

CONVINCING: Final = 1e-6
"""p-value up to which timers and birthdays speak for a set. Sets are many, and looked at every minute: at the
detectors' own 1e-3, circles of friends among fans would be found sooner or later."""

FIRM: Final = (Tie.TEXTS, Tie.REPOSTS)
"""Ties of several texts or reposts: nobody is in such a set by chance."""

WORTH: Final = {"bursts": 2, "account_age": 2, "client": 1, "profile": 1}
"""What each suspicious finding about the accounts is worth. Timers and birthdays are no habit of crowds; many
people share a client, and people of one kind follow about as many."""

SAME: Final = {
    Tie.TIMER: frozenset({"bursts"}),
    # Accounts of one age are alike in what they follow, whoever they are.
    Tie.BIRTH: frozenset({"account_age", "profile"}),
}
"""Findings that say of these sets what ties them anyway."""

NEEDED: Final = 4
LEAST_TIMED: Final = 1 / 3
"""A timer speaks for a set if so large a share of its accounts that post again keep it."""

LEAST_SHARE: Final = 0.1
"""Of all accounts of a set, whatever is said of it."""

LEAST_BORN: Final = 0.3
LEAST_BORN_RATIO: Final = 8.0
"""Creation days speak for a set if so large a share of its accounts is in the span; or, where chance puts
other accounts into the set, so many times the expected share. A fandom's circle that joined in the week of an
album is a sixth of those who vote for it."""

FRESH_DAYS: Final = 2
FRESH_ACCOUNTS: Final = 100
PROLIFIC_TEXTS: Final = 10
"""So many texts each with the same others within two hours: worth one more, beside a client or a profile."""

FALSE_ALARMS: Final = 0.001
"""So many windows of a hashtag and day the p-value alone lets through where nobody coordinates, at most."""

CERTAIN: Final = 1e-12
"""A combined p-value from which on the evidence counts in full in the score."""


class AlertKind(StrEnum):
    """What the coordinated posts do to the hashtag."""

    FLOOD = "flood"  # they speak of something else: the tag is being drowned
    AMPLIFICATION = "amplification"  # they speak of what the tag is about: it is being made loud


@dataclass(frozen=True)
class Assessment:
    """The joint judgement of one window.

    Attributes
    ----------
    posts, accounts : int
        In the window; estimated where it is sampled.
    coordinated_posts, coordinated_accounts : uint64, sorted
        Keys, of those in the sample; empty if nothing is coordinated.
    account_scores : float64, aligned with coordinated_accounts
        Share of the suspicious findings that point at the account, in [0, 1].
    coordinated_share : float
        Coordinated posts over posts, in [0, 1].
    texts : int
        Near-identical groups among the coordinated posts.
    off_topic : float or None
        How far the coordinated posts are from what the tag is about, in [0, 1]; None if it cannot be told.
    p_value : float
        Combined over the findings that did not abstain; 1 if all did.
    score : float
        0 to 100: coordinated share in per cent, discounted where the evidence is weak.
    kind : AlertKind or None
        None if the window is not worth an alert.
    pattern : Pattern or None
        What a window that is not worth an alert looks like, if it has a name.
    q_value : float or None
        Share of false alarms to expect among all hashtags of the stream with evidence as strong, see
        `detectors.q_values`; None while no hour is completed. No verdict depends on it.
    rests_on : tuple of str
        What the judgement rests on: what ties the accounts together, then the findings that speak for it.
    """

    hashtag: str
    start_ms: int
    end_ms: int
    posts: int
    accounts: int
    coordinated_posts: Keys
    coordinated_accounts: Keys
    account_scores: NDArray[np.float64]
    coordinated_share: float
    texts: int
    off_topic: float | None
    p_value: float
    score: float
    kind: AlertKind | None
    first_coordinated_ms: int | None
    findings: tuple[Finding, ...]
    sentence: str
    window: Window
    pattern: Pattern | None = None
    rests_on: tuple[str, ...] = ()
    q_value: float | None = None

    @cached_property
    def coordinated_rows(self) -> Mask:
        """The rows of the coordinated posts; shape (n,)."""
        return self.window.rows_of(self.coordinated_posts)

    @property
    def sampled(self) -> float:
        """The share of all accounts that were looked at, in (0, 1]."""
        return self.window.sampled

    @property
    def coordinated(self) -> tuple[int, int]:
        """How many posts and accounts are coordinated; estimated where the window is sampled."""
        posts, accounts = self.coordinated_posts, self.coordinated_accounts
        return self.window.estimated(posts.size), self.window.estimated(accounts.size)


@dataclass(frozen=True, slots=True)
class AssessmentPolicy:
    """From when on a window is worth an alert.

    Attributes
    ----------
    min_accounts : int
        Coordinated accounts, at least.
    min_share : float
        Coordinated posts over posts, at least.
    max_p_value : float
        Combined p-value, at most. By default what allows `FALSE_ALARMS` where windows are judged every
        minute: however these overlap, the chance that one of a day's is below is at most the sum of all.
    bare_accounts, bare_texts : int
        Where times, dates and clients are unknown, texts alone must carry the case: at least so many
        accounts, half of which share at least so many texts with the same others.
    """

    min_accounts: int = 5
    min_share: float = 0.02
    max_p_value: float = FALSE_ALARMS / 1_440
    bare_accounts: int = 15
    bare_texts: int = 3


def assess(
    window: Window, baseline: Baseline, detectors: Sequence[Detector], policy: AssessmentPolicy
) -> Assessment:
    """Run the detectors over one window and join what they say.

    Something must tie accounts together, what they write or how they act; what else is unusual about these
    accounts must then be enough: see docs/detectors.md.
    """
    topic = OffTopic()  # asked last: about the coordinated posts, if there are any
    by_name = {d.name: d.assess(window, baseline) for d in detectors if d.name != topic.name}
    case = _case(window, baseline, policy, detectors, by_name)
    # Where a set is too small to be asked about something, what is said of all copying accounts stands.
    by_name |= {name: f for name, f in case.findings.items() if f.verdict is not Verdict.ABSTAINED}
    rows = case.rows
    by_name[topic.name] = (
        topic.compare(window, "coordinated texts", rows) if rows.any() else topic.assess(window, baseline)
    )
    findings = tuple(by_name[detector.name] for detector in detectors)
    posts, accounts = window.posts(rows), window.authors(rows)
    p_value = combine([f.p_value for f in findings if f.p_value is not None])
    share = posts.size / max(1, len(window))
    worth = (
        accounts.size >= policy.min_accounts and share >= policy.min_share and p_value <= policy.max_p_value
    )
    off_topic = by_name["off_topic"]
    kind = None
    if worth:
        off = off_topic.verdict is Verdict.SUSPICIOUS
        kind = AlertKind.FLOOD if off else AlertKind.AMPLIFICATION
    certainty = max(0.0, min(1.0, float(np.log(p_value) / np.log(CERTAIN))))  # 0.0, never -0.0
    return Assessment(
        hashtag=window.hashtag,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        posts=window.estimated(len(window)),
        accounts=window.estimated(len(window.accounts)),
        coordinated_posts=posts,
        coordinated_accounts=accounts,
        account_scores=_scores(accounts, findings),
        coordinated_share=share,
        texts=_texts(window, rows),
        off_topic=off_topic.effect,
        p_value=p_value,
        score=100 * share * certainty,
        kind=kind,
        first_coordinated_ms=int(window.rows["time_ms"][rows].min()) if rows.any() else None,
        findings=findings,
        sentence=_sentence(window, case, kind, off_topic),
        window=window,
        pattern=None if kind else pattern(window, baseline, case.together, by_name["client"]),
        rests_on=case.rests_on,
    )


@dataclass(frozen=True)
class _Case:
    """What is held of a window: the coordinated rows, and the findings about the accounts in question."""

    ties: tuple[Tie, ...]
    rows: Mask
    together: Mask
    findings: dict[str, Finding]
    rests_on: tuple[str, ...]


def _case(
    window: Window,
    baseline: Baseline,
    policy: AssessmentPolicy,
    detectors: Sequence[Detector],
    by_name: Mapping[str, Finding],
) -> _Case:
    """Ask of every set of suspects what else is unusual about it, and join those for which it is enough.

    Sets tied by how accounts act are looked at only if those tied by what they write are not enough: they
    hold the same accounts, less sharply.
    """
    rows = np.zeros(len(window), np.bool_)
    ties: list[Tie] = []
    rests_on: list[str] = []
    shown: dict[str, Finding] = {}
    together = rows.copy()
    for one in suspects(window, baseline, by_name["bursts"]):
        if ties and one.tie not in FIRM:
            break
        if ties and one.last_resort:
            continue
        found = {
            # What was said of the copying accounts is known, but bursts were asked for among all.
            d.name: by_name[d.name]
            if one.tie is Tie.COPIES and d.name != "bursts"
            else d.compare(window, baseline, one.sides)
            for d in detectors
            if isinstance(d, Comparing)
        }
        if one.tie in FIRM:
            together |= one.rows
            shown = shown or found
        speaking = _speaking(window, one, found)
        if not _enough(window, one, speaking, policy):
            continue
        if not ties:
            shown = found
        ties.append(one.tie)
        rests_on += [one.tie, *speaking]
        rows |= _members(window, one, found)
    return _Case(tuple(ties), rows, together, shown, tuple(dict.fromkeys(rests_on)))


def _enough(window: Window, one: Suspects, speaking: Sequence[str], policy: AssessmentPolicy) -> bool:
    """Whether what is unusual about a set, beside what ties it, is enough to call it coordinated.

    People who copy one another's texts act at their own times, with accounts of any age, from clients of
    their own, though a share button or an app is one client for many. What is unknown speaks for neither
    side: where all of it is unknown the texts alone must carry the case, and where one thing is known to be
    ordinary they must show twice as much.
    """
    rows = taken(window.rows, window.rows_by(one.sides.suspects))
    if established(rows):
        return False
    worth = TIED[one.tie] + sum(WORTH[name] for name in speaking)
    if speaking and one.texts >= PROLIFIC_TEXTS:
        worth += 1
    if worth >= NEEDED:
        return True
    if one.tie is not Tie.TEXTS:
        return False
    ordinary = _known(rows)
    if "client" in speaking and ordinary < 2:
        return True
    bare = one.texts >= policy.bare_texts * (1 + ordinary)
    accounts = int(window.posting(one.rows).sum())
    return ordinary < 2 and accounts >= policy.bare_accounts and bare


def _speaking(window: Window, one: Suspects, found: dict[str, Finding]) -> list[str]:
    """The findings that speak for a set, apart from what ties it."""
    same = SAME.get(one.tie, frozenset())
    return [name for name in WORTH if name not in same and _speaks(found[name], one, window)]


def _speaks(finding: Finding, one: Suspects, window: Window) -> bool:
    """Whether a finding speaks for a whole set, not only for a few of its accounts.

    A crowd has young circles in it, and some of its people are alike by chance.
    """
    if finding.verdict is not Verdict.SUSPICIOUS or finding.effect is None or finding.p_value is None:
        return False
    if WORTH[finding.detector] == 2 and finding.p_value > CONVINCING:
        return False
    if finding.detector == "bursts":
        timed, again = finding.accounts.size, finding.evidence["accounts_with_gaps"]
        return bool(timed >= max(LEAST_TIMED * again, LEAST_SHARE * one.sides.suspects.size))
    if finding.detector == "account_age":
        # A class, a congress, a new service: people join together on the day, in their dozens.
        fresh = finding.evidence["first_day"] * DAY_MS > window.end_ms - FRESH_DAYS * DAY_MS
        if fresh and finding.accounts.size < FRESH_ACCOUNTS:
            return False
        least = LEAST_BORN
        if one.tie not in FIRM:
            least = min(least, max(LEAST_SHARE, LEAST_BORN_RATIO * finding.evidence["expected"]))
        return bool(finding.effect >= least)
    return True


def _known(rows: Rows) -> int:
    """How many of times, creation days and clients are known of most posts of a set."""
    fields = (
        ~flagged(rows, Flag.COARSE_TIME),
        flagged(rows, Flag.CREATED_KNOWN),
        rows["client"] != 0,
    )
    return sum(bool(2 * known.sum() >= len(rows)) for known in fields)


def _members(window: Window, one: Suspects, found: dict[str, Finding]) -> Mask:
    """The rows of a coordinated set: what ties it, and all rows of accounts that are like its own.

    A set tied by several texts or reposts stays as it is; of the looser ones only those stay that are like
    the others in it.
    """
    firm = one.tie in FIRM
    seeds = window.authors(one.rows)
    told = found["bursts"].evidence
    timer = Timer(tuple((a, b) for a, b in told["modes_s"]), told["expected"]) if told else Timer()
    theirs = window.rows_by(one.sides.suspects)
    strays = (1 + int((theirs & ~one.rows).sum())) / (2 + int(theirs.sum()))
    members = like(window, seeds, timer, trusted=firm, strays=strays)
    if firm:
        return one.rows | window.rows_by(members[~among(members, seeds)])
    return window.rows_by(members)


def _scores(accounts: Keys, findings: Sequence[Finding]) -> NDArray[np.float64]:
    pointing = [f.accounts for f in findings if f.verdict is Verdict.SUSPICIOUS and f.accounts.size]
    if not pointing:
        return np.zeros(accounts.size)
    votes = sum((sorted_among(accounts, f) for f in pointing), np.zeros(accounts.size))
    out: NDArray[np.float64] = votes / len(pointing)
    return out


def _texts(window: Window, rows: Mask) -> int:
    """Near-identical groups among some rows."""
    return distinct_keys(window.group[rows & (window.group >= 0)]).size


def _sentence(window: Window, case: _Case, kind: AlertKind | None, off_topic: Finding) -> str:
    rows = case.rows if case.ties else case.together
    posts = int(np.count_nonzero(rows))
    every = window.estimated(len(window))
    sample = "" if window.sampled == 1 else f"; estimated from {percent(window.sampled)} of the accounts"
    if not posts:
        return f"No accounts repeat texts together among {every:,} posts{sample}."
    accounts = window.estimated(int(np.count_nonzero(window.posting(rows))))
    texts = _texts(window, rows)
    if not case.ties:
        what = "; too little else speaks for it, so they are not held to be coordinated"
    elif kind is None:
        what = "; too few, or too little certain, for an alert"
    elif off_topic.verdict is Verdict.ABSTAINED:
        what = "; whether they speak of what the hashtag is about cannot be told"
    elif kind is AlertKind.FLOOD:
        what = ", about something else than the hashtag"
    else:
        what = ", about what the hashtag is about"
    doing = {
        Tie.TEXTS: f"repeat {texts:,} texts together",
        Tie.REPOSTS: "repost the same posts together",
        Tie.COPIES: f"post {texts:,} texts of one another and are alike in how they act",
        Tie.REPOSTING: "repost the same posts and are alike in how they act",
        Tie.TIMER: "post by the same timer, in words of their own",
        Tie.BIRTH: "were created together and act alike, in words of their own",
    }[case.ties[0] if case.ties else Tie.TEXTS]
    return (
        f"{accounts:,} accounts {doing}: {window.estimated(posts):,} of {every:,} posts"
        f" ({percent(posts / len(window))}){what}{sample}."
    )
