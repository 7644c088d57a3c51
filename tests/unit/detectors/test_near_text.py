"""The published texts keep apart."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from builders import find, post

from detectors.finding import Verdict
from detectors.near_text import TextIndex
from detectors.table import Texts
from detectors.text import fingerprint, reading


@pytest.mark.cases
def test_published_texts_at_their_volumes_are_thirty_groups(cases: Path) -> None:
    with (cases / "egypt_loan" / "texts.csv").open(encoding="utf-8") as lines:
        published = {reading(row["text"]): int(row["posts"]) for row in csv.DictReader(lines)}
    assert (len(published), sum(published.values())) == (30, 10_762)
    index = TextIndex()
    index.add({fingerprint(text): text for text in published})
    ranked = sorted((fingerprint(text), count) for text, count in published.items())
    prints, counts = (np.array(column, np.uint64) for column in zip(*ranked, strict=True))
    found: Texts = index.texts(prints, counts.astype(np.int64))
    assert sorted(found.group.tolist()) == list(range(30))
    assert [counts[found.group == g].sum() for g in range(30)] == sorted(published.values(), reverse=True)


@pytest.mark.cases
def test_published_texts_posted_by_as_many_accounts_are_thirty_texts_in_the_finding(cases: Path) -> None:
    with (cases / "egypt_loan" / "texts.csv").open(encoding="utf-8") as lines:
        texts = [row["text"] for row in csv.DictReader(lines) for _ in range(int(row["posts"]))]
    found = find("near_identical", [post(i, i, i % 7_000, text) for i, text in enumerate(texts)])
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.evidence["texts"] == 30
    assert found.accounts.size == 10_762


@pytest.mark.parametrize("grouped", [False, True], ids=["before it was grouped", "after"])
def test_forgotten_text_must_be_added_again(grouped: bool) -> None:
    text = "the harbour bridge opens tomorrow morning at ten"
    index = TextIndex()
    index.add({1: text, 2: text + "!"})
    if grouped:
        index.texts(np.array([1, 2], np.uint64), np.array([1, 1]))
    index.forget([1])
    assert len(index) == 1
    assert index.texts(np.array([2], np.uint64), np.array([3])).group.tolist() == [0]
    with pytest.raises(KeyError):
        index.texts(np.array([1, 2], np.uint64), np.array([1, 1]))


def test_text_that_comes_again_before_the_next_window_stays() -> None:
    texts = {1: "the harbour bridge opens tomorrow", 2: "nobody has seen the ferry since"}
    index = TextIndex()
    index.add(texts)
    both = np.array([1, 2], np.uint64), np.array([1, 1])
    before = index.texts(*both)
    index.forget([1, 2, 3])
    index.add({1: texts[1]})
    assert len(index) == 1
    index.add(texts)
    assert len(index) == 2
    assert index.texts(*both).canonical == before.canonical


def test_text_that_is_canonical_already_is_held_once() -> None:
    texts = {1: "the harbour bridge opens today", 2: "The ferry leaves at ten!"}
    index = TextIndex()
    index.add(texts)
    first, second = index.texts(np.array([1, 2], np.uint64), np.array([1, 1])).canonical
    assert first is texts[1]
    assert second == "the fery leaves at ten"
