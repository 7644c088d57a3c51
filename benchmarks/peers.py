"""What simpler and other methods would have flagged in the same posts.

- `copies`: everybody who posted a text, letter for letter, that three accounts or more posted. Reposts are
  left out. This is what a GROUP BY in a spreadsheet or a database shows.
- `pairs`: everybody in a pair of accounts that twice or more posted the same text, or reposted the same post,
  within 60 s of each other. The rule is that of CooRTweet (N. Righetti and P. Balluff); this is our own
  implementation of it.
- `toolkit`: a like rule by the coordination-network-toolkit (T. Graham and QUT Digital Observatory), with
  its co-tweet and co-retweet networks of edges with weight 2 or more, if it is installed (``pip install
  '.[peers]'``) and each of its steps is done within a minute.
"""

from __future__ import annotations

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality_score import Hits
from benchmarks.scenarios.scenario import Scenario
from detectors.table import Kind
from streams.posts import Post

Ints = NDArray[np.int64]

COPIES: Final = "exact copies"
PAIRS: Final = "pairs within 60 s"
TOOLKIT: Final = "coordination-network-toolkit"
PEERS: Final = (COPIES, PAIRS, TOOLKIT)

LEAST_ACCOUNTS: Final = 3
WITHIN_S: Final = 60
LEAST_REPEATS: Final = 2
PATIENCE_S: Final = 60.0
PAIRS_AT_ONCE: Final = 4_000_000
COMMAND: Final = Path(sys.executable).parent / "compute_networks"


class NotRunError(RuntimeError):
    """A method gave no answer; says why."""


def compared(case: Scenario, *, toolkit: bool = True) -> dict[str, Hits | str]:
    """By method: the accounts it flags beside the true ones, or why it flags none."""
    true = case.coordinated.accounts
    out: dict[str, Hits | str] = {
        COPIES: Hits.of(copies(case.posts), true),
        PAIRS: Hits.of(pairs(case.posts), true),
    }
    if toolkit:
        try:
            out[TOOLKIT] = Hits.of(by_toolkit(case.posts), true)
        except NotRunError as reason:
            out[TOOLKIT] = str(reason)
    return out


def copies(posts: Sequence[Post]) -> set[str]:
    """Accounts that posted a text which at least `LEAST_ACCOUNTS` accounts posted."""
    by_text: dict[str, set[str]] = defaultdict(set)
    for post in posts:
        if post.kind is not Kind.REPOST:
            by_text[post.text].add(post.account_id)
    return set().union(*(accounts for accounts in by_text.values() if len(accounts) >= LEAST_ACCOUNTS))


def pairs(posts: Sequence[Post]) -> set[str]:
    """Accounts in a pair that did the same within `WITHIN_S`, with at least `LEAST_REPEATS` things."""
    accounts, account = np.unique([post.account_id for post in posts], return_inverse=True)
    things = [f"r{post.target_id}" if post.kind is Kind.REPOST else f"t{post.text}" for post in posts]
    _, thing = np.unique(things, return_inverse=True)
    at_s = np.array([post.time_ms for post in posts]) // 1_000
    order = np.lexsort((at_s, thing))
    thing, account, at_s = thing[order], account[order].astype(np.int64), at_s[order]
    # One line on which things lie far apart, so that one search finds the neighbours of all of them.
    line = thing.astype(np.int64) * (2 * WITHIN_S + int(at_s.max() - at_s.min()) + 1) + at_s
    first = np.searchsorted(line, line - WITHIN_S)
    before = np.arange(len(line)) - first
    found = [
        _coincidences(thing, account, first, before, low, high) for low, high in _portions(before, thing)
    ]
    pair, times = np.unique(np.concatenate(found), return_counts=True)
    often = pair[times >= LEAST_REPEATS]
    flagged = np.unique(np.concatenate((often // len(accounts), often % len(accounts))))
    return {str(one) for one in accounts[flagged]}


def _portions(before: Ints, thing: Ints) -> list[tuple[int, int]]:
    """Stretches of posts with about `PAIRS_AT_ONCE` pairs each that cut no thing in two."""
    ends = (np.append(np.flatnonzero(np.diff(thing)), len(thing) - 1) + 1).tolist()
    out, low, begin, held = [], 0, 0, 0
    for end in ends:
        held += int(before[begin:end].sum())
        begin = end
        if held >= PAIRS_AT_ONCE or end == len(thing):
            out.append((low, end))
            low, held = end, 0
    return out


def _coincidences(thing: Ints, account: Ints, first: Ints, before: Ints, low: int, high: int) -> Ints:
    """Pairs of accounts, as one number each, once for every thing they did together."""
    many = before[low:high]
    later = np.repeat(np.arange(low, high), many)
    nth = np.arange(len(later)) - np.repeat(np.cumsum(many) - many, many)
    earlier = first[later] + nth
    one, other = account[earlier], account[later]
    apart = one != other
    count = int(account.max()) + 1
    pair = (np.minimum(one, other) * count + np.maximum(one, other))[apart]
    together = np.unique(thing[later][apart] * count**2 + pair)  # once a thing, however often both did it
    out: Ints = together % count**2
    return out


def by_toolkit(posts: Sequence[Post]) -> set[str]:
    """Accounts with an edge in the toolkit's co-tweet or co-retweet network.

    Raises
    ------
    NotRunError
        If it is not installed, fails, or one of its steps takes longer than `PATIENCE_S`.
    """
    found = edges(posts, ("co_tweet", "co_retweet"), PATIENCE_S)
    return {str(account) for edge in found if edge[0] != edge[1] for account in edge}


def edges(
    posts: Sequence[Post], networks: Sequence[str], patience_s: float, within_s: int = WITHIN_S
) -> list[tuple[object, object]]:
    """Pairs of accounts in some of the toolkit's networks.

    Parameters
    ----------
    within_s : int
        How far apart two posts may be that count as done together.

    Raises
    ------
    NotRunError
        If it is not installed, fails, or one of its steps takes longer than `patience_s`.
    """
    if not COMMAND.exists():
        raise NotRunError("not installed")
    with tempfile.TemporaryDirectory() as name:
        messages, base = Path(name) / "messages.csv", Path(name) / "networks.db"
        _messages(posts, messages)
        weight = ("--time_window", str(within_s), "--min_edge_weight", str(LEAST_REPEATS))
        _call(base, patience_s, "preprocess", "--format", "csv", str(messages))
        for network in networks:
            _call(base, patience_s, "compute", network, *weight)
        with closing(sqlite3.connect(base)) as connection:
            return [
                edge
                for network in networks
                for edge in connection.execute(f"select user_1, user_2 from {network}_network")
            ]


def _messages(posts: Sequence[Post], to: Path) -> None:
    with to.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ("message_id", "user_id", "username", "repost_id", "reply_id", "message", "timestamp", "urls")
        )
        for post in posts:
            repost, reply = (
                post.target_id if post.kind is kind else "" for kind in (Kind.REPOST, Kind.REPLY)
            )
            at_s, urls = post.time_ms // 1_000, " ".join(post.links)
            rows.writerow(
                (post.id, post.account_id, post.handle, repost or "", reply or "", post.text, at_s, urls)
            )


def _call(base: Path, patience_s: float, *arguments: str) -> None:
    """Run the toolkit's command; it starts processes of its own, so it gets a group that can be ended."""
    with subprocess.Popen(
        [str(COMMAND), str(base), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            _, said = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise NotRunError(f"not done within {patience_s:g} s") from None
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise NotRunError(lines[-1] if lines else f"ended with status {process.returncode}")
