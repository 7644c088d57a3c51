"""What a scan remembers of posts and accounts from the window they were flagged in until they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.assessment import Assessment
from detectors.finding import Verdict
from detectors.keys import Keys, first_places, sorted_among, valued
from detectors.table import Flag
from streams.monitor import Evicted


@dataclass(slots=True)
class AccountLine:
    """One account under one hashtag; `score` is None unless it is held to be coordinated."""

    id: str
    handle: str
    created_day: int | None
    posts: int = 0
    score: float | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said of posts or accounts: sorted keys, and a number for each."""

    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    values: NDArray[Any] = field(default_factory=lambda: np.empty(0))

    def of(self, keys: Keys, otherwise: float) -> NDArray[Any]:
        """The numbers of some keys, and a number for keys of which nothing was said; shape of `keys`."""
        return valued(keys, self.keys, self.values, otherwise)

    def then(self, later: _Said) -> _Said:
        """With what was said later: of keys of which both speak that counts."""
        rest = self.without(later.keys)
        if not len(rest.keys):
            return later
        keys, values = np.concatenate((rest.keys, later.keys)), np.concatenate((rest.values, later.values))
        order = np.argsort(keys)
        return _Said(keys[order], values[order])

    def without(self, keys: Keys) -> _Said:
        """Less some keys, which are sorted."""
        rest = ~sorted_among(self.keys, keys)
        return _Said(self.keys[rest], self.values[rest])


_NOTHING: Final = _Said()
_UNMARKED: Final = -1


class Ledger:
    """Marks of posts and accounts by hashtag.

    A post stays marked once an assessment under a firing alert has named it.
    """

    def __init__(self) -> None:
        self._marks: dict[str, _Said] = {}  # by post a number of a reason
        self._reasons: dict[str, int] = {}
        self._scores: dict[str, _Said] = {}
        self._groups: dict[str, dict[int, str]] = {}
        self._accounts: dict[str, dict[int, AccountLine]] = {}

    def mark(self, assessment: Assessment) -> None:
        """Take over what an assessment under a firing alert says."""
        hashtag, accounts = assessment.hashtag, assessment.coordinated_accounts
        marked = _Said(assessment.coordinated_posts, self._reasons_of(assessment))
        self._marks[hashtag] = self._marks.get(hashtag, _NOTHING).then(marked)
        before = self._scores.get(hashtag, _NOTHING)
        scores = np.maximum(assessment.account_scores, before.of(accounts, 0.0))
        self._scores[hashtag] = before.then(_Said(accounts, scores))
        self._name_groups(assessment)

    def _reasons_of(self, assessment: Assessment) -> NDArray[np.int64]:
        """Why each post is held to be coordinated: the findings that point at it or its account.

        As the number of their names, joined by +.
        """
        window, posts = assessment.window, assessment.coordinated_posts
        rows = np.flatnonzero(assessment.coordinated_rows)
        rows = rows[np.argsort(window.rows["post"][rows])]  # in the order of the posts
        account, code = window.account[rows], np.zeros(len(posts), np.int64)
        names: list[str] = []
        for finding in assessment.findings:
            if finding.verdict is not Verdict.SUSPICIOUS:
                continue
            pointed = window.chosen(finding.accounts)[account] | sorted_among(posts, finding.posts)
            code |= pointed.astype(np.int64) << len(names)
            names.append(finding.detector)
        posts_of = np.bincount(code)
        number_of = np.zeros(len(posts_of), np.int64)
        for one in np.flatnonzero(posts_of).tolist():
            reason = "+".join(name for bit, name in enumerate(names) if one >> bit & 1)
            number_of[one] = self._reasons.setdefault(reason, len(self._reasons))
        return number_of[code]

    def _name_groups(self, assessment: Assessment) -> None:
        """Give near-identical groups names that stay while their texts come and go."""
        window = assessment.window
        names = self._groups.setdefault(assessment.hashtag, {})
        rows = np.flatnonzero(assessment.coordinated_rows)
        first = rows[first_places(window.rows["text"][rows])]
        by_group: dict[int, list[int]] = {}
        for group, text in zip(
            window.group[first].tolist(), window.rows["text"][first].tolist(), strict=True
        ):
            by_group.setdefault(group, []).append(text)
        for texts in by_group.values():
            known = [names[text] for text in texts if text in names]
            name = min(known) if known else f"{texts[0]:016x}"
            for text in texts:
                names.setdefault(text, name)

    def group(self, hashtag: str, text: int) -> str:
        """Name of the coordinated group of a text, empty if it is in none."""
        return self._groups.get(hashtag, {}).get(text, "")

    def settle(self, left: Evicted) -> list[str | None]:
        """Why each of the posts that no later window holds is held to be coordinated, None if it is not.

        Their accounts are counted.
        """
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
        if (marks := self._marks.get(left.hashtag)) is None:
            return [None] * len(rows)
        posts, names = rows["post"], list(self._reasons)
        self._marks[left.hashtag] = marks.without(np.sort(posts))
        numbers = marks.of(posts, _UNMARKED).tolist()
        return [None if number == _UNMARKED else names[number] for number in numbers]

    def accounts(self) -> Iterator[tuple[str, list[AccountLine]]]:
        """The accounts of every hashtag; coordinated ones first, then by falling number of posts."""
        for hashtag in sorted(self._accounts):
            lines = self._accounts[hashtag]
            scores = self._scores.get(hashtag, _NOTHING)
            for key, score in zip(scores.keys.tolist(), scores.values.tolist(), strict=True):
                lines[key].score = score
            yield hashtag, sorted(lines.values(), key=lambda a: (a.score is None, -a.posts, a.id))
