"""The counts that charts are drawn from add up to the window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from builders import BAND, GOSSIP, T0, flood, flooded, flooded_window, post, talk, window, without
from hypothesis import given
from hypothesis import strategies as st

from detectors import assess
from detectors.assessment import AssessmentPolicy
from detectors.baseline import Baseline
from detectors.evidence import GAP_EDGES_S, MOST_CLIENTS, account_gaps, gather
from detectors.finding import NO_KEYS
from detectors.table import ROW, Window, distinct

JUDGED = assess(flooded_window(), Baseline.prior(), AssessmentPolicy())
NOBODY = np.zeros(60, np.bool_)
EVIDENCE = gather(JUDGED.window, JUDGED.coordinated_rows, JUDGED.coordinated_accounts, JUDGED.account_scores)


def test_every_post_is_in_one_minute_and_one_client() -> None:
    for counts in (EVIDENCE.minutes, EVIDENCE.clients):
        assert sum(c.coordinated for c in counts) == len(flood())
        assert sum(c.other for c in counts) == len(talk())
    assert all(T0 <= int(c.key) < T0 + 7_200_000 and int(c.key) % 60_000 == 0 for c in EVIDENCE.minutes)


def test_every_account_is_in_one_creation_day() -> None:
    assert sum(c.coordinated for c in EVIDENCE.created) == 40
    assert sum(c.other for c in EVIDENCE.created) == 120
    assert all(BAND <= int(c.key) < BAND + 12 for c in EVIDENCE.created if c.coordinated)


def test_gaps_of_the_flood_are_in_their_bins() -> None:
    by_edge = {c.key: c.coordinated for c in EVIDENCE.gaps}
    assert by_edge[4] == 120
    assert by_edge[1050] == 80  # rounds of 1,200 s, less the 4 s of a pair
    assert sum(by_edge.values()) == 200


def test_coordinated_texts_come_first_with_an_example_each() -> None:
    assert {t.text for t in EVIDENCE.texts if t.coordinated} == set(GOSSIP)
    assert sum(t.posts for t in EVIDENCE.texts if t.coordinated) == 240
    assert [t.posts for t in EVIDENCE.texts] == sorted((t.posts for t in EVIDENCE.texts), reverse=True)
    ids = {p.id for p in flood()}
    assert all(0 < len(t.examples) <= 3 and set(t.examples) <= ids for t in EVIDENCE.texts if t.coordinated)


def test_coordinated_accounts_show_what_is_known_of_them() -> None:
    assert len(EVIDENCE.accounts) == 40
    for account in EVIDENCE.accounts:
        assert account.handle == f"user{int(account.id) - 10**6}"
        assert account.posts == 6
        assert account.created_day is not None
        assert 0 < account.score <= 1


def test_unknown_fields_are_shown_as_unknown() -> None:
    posts = without(flooded(), account_created_ms=None, client=None, handle=None, resolution_ms=60_000)
    of = window(posts)
    rows = of.rows_of(JUDGED.coordinated_posts)
    shown = gather(of, rows, JUDGED.coordinated_accounts, JUDGED.account_scores)
    assert (shown.created, shown.clients, shown.gaps) == ((), (), ())
    assert {(a.handle, a.created_day) for a in shown.accounts} == {(None, None)}


def test_most_frequent_clients_are_kept() -> None:
    many = [post(i, i, i, "hello there", client=f"client {min(i, 2 * MOST_CLIENTS)}") for i in range(60)]
    shown = gather(window(many), NOBODY, NO_KEYS, np.zeros(0)).clients
    assert len(shown) == MOST_CLIENTS
    assert shown[0].other == 20


def test_empty_window_has_no_evidence() -> None:
    shown = gather(window([]), NOBODY[:0], NO_KEYS, np.zeros(0))
    assert not any((shown.texts, shown.accounts, shown.minutes, shown.gaps, shown.created, shown.clients))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10_000_000)), max_size=30))
def test_gaps_are_those_between_consecutive_posts_of_one_account(posts: list[tuple[int, int]]) -> None:
    rows = np.zeros(len(posts), ROW)
    for i, (account, time_ms) in enumerate(posts):
        rows[i]["post"], rows[i]["account"], rows[i]["time_ms"] = i, account, time_ms
    gap_ms, later = account_gaps(Window("tag", 0, 10_000_001, distinct(rows)))
    expected = []
    for account in range(1, 5):
        times = sorted(t for a, t in posts if a == account)
        expected += [y - x for x, y in pairwise(times)]
    assert sorted(gap_ms.tolist()) == sorted(expected)
    assert np.unique(later).size == len(later)
    assert (np.diff(GAP_EDGES_S) > 0).all()
