"""Words in common, in the same order."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.wording import MOST_WORDS, same_wording, shared_letters, words

texts = st.lists(st.sampled_from(("a", "be", "sea", "deep", "rough")), max_size=9).map(" ".join)


def by_recursion(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    @cache
    def best(i: int, j: int) -> int:
        if i == len(one) or j == len(other):
            return 0
        both = len(one[i]) + best(i + 1, j + 1) if one[i] == other[j] else 0
        return max(both, best(i + 1, j), best(i, j + 1))

    return best(0, 0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(texts, texts), max_size=6))
def test_it_is_the_longest_common_subsequence_whatever_else_is_compared(pairs: list[tuple[str, str]]) -> None:
    found = shared_letters([(words(a), words(b)) for a, b in pairs]).tolist()
    assert found == [by_recursion(tuple(a.split()), tuple(b.split())) for a, b in pairs]


def test_many_pairs_are_compared_as_each_alone() -> None:
    one, other = words("we open our bridge"), words("today we open the bridge " + "again and " * 40)
    assert set(shared_letters([(one, other), (one, one)] * 1_500).tolist()) == {12, 15}


@pytest.mark.parametrize(
    ("share", "least", "least_words", "expected"),
    [(0.6, 0, 0, True), (0.72, 0, 0, False), (0.6, 13, 0, False), (0.6, 0, 5, False)],
)
def test_each_condition_can_refuse(share: float, least: int, least_words: int, expected: bool) -> None:
    pair = words("we open our bridge"), words("today we open bridge")
    assert same_wording([pair], share, least, least_words).tolist() == [expected]


def test_no_pairs_and_no_words() -> None:
    assert same_wording([], 0.5).tolist() == []
    assert shared_letters([(words(""), words("we open"))]).tolist() == [0]


def test_endless_text_is_cut() -> None:
    assert len(words("a " * 500).word) == MOST_WORDS
