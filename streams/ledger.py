"""What a scan remembers of posts and accounts from the window they were flagged in until they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detectors.assessment import Assessment
from detectors.finding import Verdict
from detectors.keys import among
from detectors.table import Flag
from streams.monitor import Evicted


@dataclass(frozen=True, slots=True)
class Mark:
    """Why a post is held to be coordinated: the findings that point at it or its account, joined by +."""

    reason: str


@dataclass(slots=True)
class AccountLine:
    """One account under one hashtag; `score` is None unless it is held to be coordinated."""

    id: str
    handle: str
    created_day: int | None
    posts: int = 0
    score: float | None = None


class Ledger:
    """Marks of posts and accounts by hashtag.

    A post stays marked once an assessment under a firing alert has named it.
    """

    def __init__(self) -> None:
        self._marks: dict[str, dict[int, Mark]] = {}
        self._scores: dict[str, dict[int, float]] = {}
        self._groups: dict[str, dict[int, str]] = {}
        self._accounts: dict[str, dict[int, AccountLine]] = {}

    def mark(self, assessment: Assessment) -> None:
        """Take over what an assessment under a firing alert says."""
        marks = self._marks.setdefault(assessment.hashtag, {})
        marks.update(zip(assessment.coordinated_posts.tolist(), _reasons(assessment), strict=True))
        scores = self._scores.setdefault(assessment.hashtag, {})
        for key, score in zip(
            assessment.coordinated_accounts.tolist(), assessment.account_scores.tolist(), strict=True
        ):
            scores[key] = max(score, scores.get(key, 0.0))
        self._name_groups(assessment)

    def _name_groups(self, assessment: Assessment) -> None:
        """Give near-identical groups names that stay while their texts come and go."""
        window = assessment.window
        names = self._groups.setdefault(assessment.hashtag, {})
        rows = np.flatnonzero(assessment.coordinated_rows)
        prints, first = np.unique(window.rows["text"][rows], return_index=True)
        by_group: dict[int, list[int]] = {}
        for group, text in zip(window.group[rows[first]].tolist(), prints.tolist(), strict=True):
            by_group.setdefault(group, []).append(text)
        for texts in by_group.values():
            known = [names[text] for text in texts if text in names]
            name = min(known) if known else f"{texts[0]:016x}"
            for text in texts:
                names.setdefault(text, name)

    def group(self, hashtag: str, text: int) -> str:
        """Name of the coordinated group of a text, empty if it is in none."""
        return self._groups.get(hashtag, {}).get(text, "")

    def settle(self, left: Evicted) -> list[Mark | None]:
        """What stands of posts that no later window holds, in their order; their accounts are counted."""
        marks = self._marks.get(left.hashtag, {})
        lines = self._accounts.setdefault(left.hashtag, {})
        rows = left.rows
        known = ((rows["flags"] & int(Flag.CREATED_KNOWN)) > 0).tolist()
        for i, (key, handle, day) in enumerate(
            zip(rows["account"].tolist(), rows["handle"].tolist(), rows["created_day"].tolist(), strict=True)
        ):
            line = lines.get(key)
            if line is None:
                line = lines[key] = AccountLine(
                    left.strings.get(key, str(key)), left.strings.get(handle, ""), day if known[i] else None
                )
            line.posts += 1
        return [marks.pop(key, None) for key in rows["post"].tolist()]

    def accounts(self) -> Iterator[tuple[str, list[AccountLine]]]:
        """The accounts of every hashtag; coordinated ones first, then by falling number of posts."""
        for hashtag in sorted(self._accounts):
            lines = self._accounts[hashtag]
            for key, score in self._scores.get(hashtag, {}).items():
                lines[key].score = score
            yield hashtag, sorted(lines.values(), key=lambda a: (a.score is None, -a.posts, a.id))


def _reasons(assessment: Assessment) -> list[Mark]:
    window, posts = assessment.window, assessment.coordinated_posts
    rows = np.flatnonzero(assessment.coordinated_rows)
    rows = rows[np.argsort(window.rows["post"][rows])]  # in the order of the posts
    code = np.zeros(len(posts), np.int64)
    names: list[str] = []
    for finding in assessment.findings:
        if finding.verdict is not Verdict.SUSPICIOUS:
            continue
        pointed = window.rows_by(finding.accounts)[rows] | among(posts, finding.posts)
        code |= pointed.astype(np.int64) << len(names)
        names.append(finding.detector)
    marks = {
        value: Mark("+".join(name for bit, name in enumerate(names) if value >> bit & 1))
        for value in np.unique(code).tolist()
    }
    return [marks[value] for value in code.tolist()]
