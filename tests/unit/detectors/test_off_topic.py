"""Copied texts that speak of something else."""

from __future__ import annotations

import numpy as np
import pytest
from builders import ARABIC_GOSSIP, GOSSIP, find, finding, flood, post, talk, talk_text, window

from detectors.finding import Verdict


@pytest.mark.parametrize("texts", [GOSSIP, ARABIC_GOSSIP])
def test_football_under_a_bridge_is_off_topic(texts: tuple[str, ...]) -> None:
    copies = flood(texts=texts)
    found = find("off_topic", talk() + copies)
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.posts.tolist() == sorted(int(p.id) for p in copies)
    assert found.effect is not None
    assert found.effect > 0.95


def test_copied_texts_that_others_say_in_their_own_words_are_on_topic() -> None:
    rng = np.random.default_rng(4)
    said = [talk_text(rng) for _ in range(8)]
    assert find("off_topic", talk() + flood(texts=said)).verdict is Verdict.NORMAL


def test_copied_texts_that_are_like_the_others_are_not_further_from_the_topic() -> None:
    """Copied texts drawn as the others are: one p-value in twenty below 0.05, effect about a half."""
    p_values, effects = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        copied = [talk_text(rng) for _ in range(12)]
        copies = [post(900_000 + i, 9_000 + i, i, copied[i % 12]) for i in range(36)]
        others = [post(i, i, i, talk_text(rng)) for i in range(60)]
        found = find("off_topic", others + copies)
        assert found.p_value is not None
        assert found.effect is not None
        p_values.append(found.p_value)
        effects.append(found.effect)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    assert 0.45 < np.mean(effects) < 0.55


def test_talk_without_a_common_word_cannot_be_left() -> None:
    """Every similarity is 0: rounding must not decide."""
    alone = ["".join(chr(0x4E00 + 40 * i + j) for j in range(24)) for i in range(40)]
    others = [post(i, i, i, text) for i, text in enumerate(alone[:30])]
    copies = [post(500 + i, 500 + i, i, alone[30 + i % 4]) for i in range(20)]
    found = find("off_topic", others + copies)
    assert found.verdict is Verdict.NORMAL
    assert found.effect == pytest.approx(0.5, abs=0.05)  # hashed grams may meet by chance


def test_nobody_else_talking_abstains() -> None:
    assert find("off_topic", flood()).verdict is Verdict.ABSTAINED


def test_two_copied_texts_are_too_few() -> None:
    assert find("off_topic", talk() + flood(texts=GOSSIP[:2])).verdict is Verdict.ABSTAINED
    assert find("off_topic", talk() + flood(texts=GOSSIP[:3], rounds=6)).verdict is not Verdict.ABSTAINED


def test_hashtag_of_digits_says_nothing_and_raises_nothing() -> None:
    assert finding("off_topic", window(talk() + flood(), "2016")).verdict is Verdict.SUSPICIOUS
