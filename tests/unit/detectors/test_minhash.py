"""Signatures and exact similarity agree, and texts do not leak into each other."""

from __future__ import annotations

import numpy as np
import pytest
from builders import talk_text
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.minhash import BANDS, HASHES, bands, grams, signatures, similarity

texts = st.lists(st.text(max_size=30), min_size=1, max_size=12)


@settings(deadline=None)
@given(texts)
def test_each_text_has_the_grams_it_has_alone(of: list[str]) -> None:
    hashes, bounds = grams(of)
    assert len(bounds) == len(of) + 1
    for i, text in enumerate(of):
        alone, _ = grams([text])
        assert hashes[bounds[i] : bounds[i + 1]].tolist() == alone.tolist()
        assert len(alone) == max(1, len(text) - 3)


@settings(deadline=None)
@given(texts)
def test_each_text_has_the_signature_it_has_alone(of: list[str]) -> None:
    together = signatures(*grams(of))
    assert together.shape == (len(of), HASHES)
    for i, text in enumerate(of):
        assert (signatures(*grams([text]))[0] == together[i]).all()


def test_chunks_of_many_texts_change_nothing() -> None:
    rng = np.random.default_rng(1)
    many = [talk_text(rng) for _ in range(1_500)]
    together = signatures(*grams(many))
    for i in (0, 700, 1_499):
        assert (together[i] == signatures(*grams([many[i]]))[0]).all()


def test_no_texts_have_no_grams() -> None:
    hashes, bounds = grams([])
    assert (len(hashes), bounds.tolist()) == (0, [0])


def test_share_of_equal_values_estimates_jaccard() -> None:
    rng = np.random.default_rng(2)
    errors = []
    for _ in range(60):
        words = talk_text(rng).split()
        other = words[: int(rng.integers(1, len(words)))] + talk_text(rng).split()[:4]
        pair = [" ".join(words), " ".join(other)]
        hashes, bounds = grams(pair)
        exact = similarity(np.unique(hashes[: bounds[1]]), np.unique(hashes[bounds[1] :]))
        signature = signatures(hashes, bounds)
        errors.append(float((signature[0] == signature[1]).mean()) - exact)
    assert abs(np.mean(errors)) < 0.03
    assert np.std(errors) < 0.07


def test_near_pairs_share_a_band_and_far_ones_rarely() -> None:
    rng = np.random.default_rng(3)
    near = far = 0
    for _ in range(100):
        text = talk_text(rng) + " " + talk_text(rng)
        keys = bands(signatures(*grams([text, text + " indeed", talk_text(rng)])))
        near += (keys[0] == keys[1]).any()
        far += (keys[0] == keys[2]).any()
    assert keys.shape == (3, BANDS)
    assert near == 100
    assert far <= 5


@pytest.mark.parametrize(
    ("a", "b", "expected"), [([1], [1], 1.0), ([1], [2], 0.0), ([1, 2], [1, 2, 3, 4], 0.5)]
)
def test_similarity_is_jaccard(a: list[int], b: list[int], expected: float) -> None:
    assert similarity(np.array(a, np.uint64), np.array(b, np.uint64)) == expected
