"""Who shares which text."""

from __future__ import annotations

import numpy as np
from builders import GOSSIP, post, window
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.shares import COPIED, shares
from detectors.table import Kind

triples = st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 4), st.sampled_from(list(Kind))), max_size=30)


@settings(max_examples=60, deadline=None)
@given(triples)
def test_pairs_are_distinct_accounts_and_groups_without_reposts(
    posted: list[tuple[int, int, Kind]],
) -> None:
    posts = [post(i, a, i, GOSSIP[g] if g >= 0 else "GOOOAL", kind=k) for i, (a, g, k) in enumerate(posted)]
    of = window(posts)
    found = shares(of)
    expected = {(10**6 + a, GOSSIP[g]) for a, g, k in posted if g >= 0 and k is not Kind.REPOST}
    rows_of_pair = [of.rows[found.row_pair == i] for i in range(len(found.group))]
    seen = {(int(rows["account"][0]), of.show(rows["text"][0])) for rows in rows_of_pair}
    assert seen == expected
    assert len(found.group) == len(expected)
    for i, rows in enumerate(rows_of_pair):
        assert np.unique(rows["account"]).tolist() == [found.accounts[found.account[i]]]
    assert found.sharing.sum() == len(expected)
    assert (found.row_pair >= 0).sum() == sum(g >= 0 and k is not Kind.REPOST for _, g, k in posted)
    copied = {t for t in GOSSIP if len({a for a, text in expected if text == t}) >= COPIED}
    assert found.copied.sum() == len(copied)
    copiers = {a for a, text in expected if text in copied}
    assert set(found.accounts[found.copiers].tolist()) == copiers
    assert found.rows_of(np.ones(len(found.group), np.bool_)).tolist() == (found.row_pair >= 0).tolist()
