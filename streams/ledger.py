"""What a scan remembers of posts and accounts from the window they were flagged in until they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.assessment import Assessment
from detectors.finding import Verdict
from detectors.keys import Keys, first_places, sorted_among, valued
from detectors.table import Flag, fields
from streams.monitor import Evicted


class AccountLine(msgspec.Struct, gc=False, array_like=True):
    """One account under one hashtag; `score` is None unless it is held to be coordinated."""

    id: str
    handle: str
    created_day: int | None
    posts: int = 0
    score: float | None = None


_Lines = dict[int, AccountLine]
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_LINES: Final = msgspec.msgpack.Decoder(_Lines)


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

_ACCOUNT: Final = fields("account", "handle", "created_day", "flags")
_CREATED_KNOWN: Final = int(Flag.CREATED_KNOWN)


class Ledger:
    """Marks of posts and accounts by hashtag.

    A post stays marked once an assessment under a firing alert has named it.
    """

    def __init__(self) -> None:
        self._marks: dict[str, _Said] = {}  # by post a number of a reason
        self._reasons: dict[str, int] = {}
        self._scores: dict[str, _Said] = {}
        self._groups: dict[str, dict[int, str]] = {}
        self._accounts: dict[str, _Lines | bytes] = {}

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
        lines, rows = self._lines(left.hashtag), left.rows
        for account, handle, day, flags in _ACCOUNT.iter_unpack(rows.tobytes()):
            line = lines.get(account)
            if line is None:
                id, name = left.strings.get(account, str(account)), left.strings.get(handle, "")
                line = lines[account] = AccountLine(id, name, day if flags & _CREATED_KNOWN else None)
            line.posts += 1
        if (marks := self._marks.get(left.hashtag)) is None:
            return [None] * len(rows)
        posts, names = rows["post"], list(self._reasons)
        self._marks[left.hashtag] = marks.without(np.sort(posts))
        numbers = marks.of(posts, _UNMARKED).tolist()
        return [None if number == _UNMARKED else names[number] for number in numbers]

    def _lines(self, hashtag: str) -> _Lines:
        held = self._accounts.get(hashtag)
        if not isinstance(held, dict):
            held = self._accounts[hashtag] = {} if held is None else _LINES.decode(held)
        return held

    def put_away(self, hashtag: str) -> None:
        """Keep the accounts of a hashtag in less memory until more of its posts are settled."""
        if isinstance(lines := self._accounts.get(hashtag), dict):
            self._accounts[hashtag] = _ENCODE(lines)

    def hashtags(self) -> Iterator[str]:
        """All whose accounts are held."""
        return iter(self._accounts)

    def accounts(self, hashtag: str) -> list[AccountLine]:
        """The accounts of a hashtag, which are held no more.

        Coordinated ones first, then by falling number of posts.
        """
        lines = self._lines(hashtag)
        del self._accounts[hashtag]
        scores = self._scores.get(hashtag, _NOTHING)
        for key, score in zip(scores.keys.tolist(), scores.values.tolist(), strict=True):
            if (line := lines.get(key)) is not None:  # none where all its rows were left out of a full bucket
                line.score = score
        return sorted(lines.values(), key=lambda a: (a.score is None, -a.posts, a.id))
