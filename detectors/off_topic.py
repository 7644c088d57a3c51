"""Do the copied texts speak of something else than the rest of the hashtag?"""

from __future__ import annotations

import re
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.stats import mannwhitneyu

from detectors.baseline import Baseline
from detectors.finding import Finding, Verdict
from detectors.minhash import grams
from detectors.p_values import bounded
from detectors.shares import shares
from detectors.table import Window
from detectors.text import canonical, letters

LEAST_OTHERS: Final = 20
LEAST_COPIED: Final = 3
MOST_OTHERS: Final = 2_000
MOST_COPIED: Final = 200
SUSPICIOUS: Final = 1e-3
OFF_TOPIC: Final = 0.75
"""From this share of pairs on in which the other text is nearer to the topic, the copied ones are off it."""

DIMENSIONS: Final = 1 << 15
LEAST_LETTERS: Final = 16
DIGITS: Final = 9  # of a similarity: rounding must not rank texts that share nothing
TAG_WEIGHT: Final = 5.0  # the hashtag's own words count as much as five posts


class OffTopic:
    """How near the copied texts are to the tag's words and its other talk, beside that talk itself.

    Texts are bags of hashed character 4-grams weighted by inverse document frequency over the other texts.
    The topic is their mean and the hashtag's words; every other text is measured against a topic without
    itself. Mann–Whitney over distinct texts asks whether the copied ones are further away.

    Effect: probability that one of the other texts is nearer to the topic than a copied one, in [0, 1]; 0.5
    means no difference. Abstains below 20 other texts or 3 copied ones, the largest 200 of which are
    measured. Blind where the flood imitates the talk it drowns, and where nobody else talks.
    """

    name: ClassVar[str] = "off_topic"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window; see the class."""
        copied, others = _texts(window)
        if len(others) < LEAST_OTHERS or len(copied) < LEAST_COPIED:
            return Finding.abstained(
                self.name,
                f"{len(copied):,} copied and {len(others):,} other texts; at least {LEAST_COPIED} and"
                f" {LEAST_OTHERS} are needed.",
            )
        near_copied, near_others = _nearness(copied, others, _tag_words(window.hashtag))
        test = mannwhitneyu(near_others, near_copied, alternative="greater", method="asymptotic")
        effect = float(test.statistic) / (len(near_others) * len(near_copied))
        p_value = bounded(float(test.pvalue))
        off = p_value <= SUSPICIOUS and effect >= OFF_TOPIC
        sentence = (
            f"In {100 * effect:.0f} % of comparisons one of {len(others):,} other texts is nearer to what the"
            f" hashtag is about than one of {len(copied):,} copied texts"
            f"{': the copied texts speak of something else' if off else ''}."
        )
        if not off:
            return Finding(self.name, Verdict.NORMAL, sentence, max(p_value, SUSPICIOUS), effect)
        found = shares(window)
        rows = found.rows_of(found.copied[found.group])
        return Finding(
            self.name,
            Verdict.SUSPICIOUS,
            sentence,
            p_value,
            effect,
            posts=np.unique(window.rows["post"][rows]),
        )


def _texts(window: Window) -> tuple[list[str], list[str]]:
    """One canonical text per copied group, and the distinct others; both bounded, both sorted."""
    sharing = shares(window).sharing
    copied_group = np.flatnonzero(shares(window).copied)[:MOST_COPIED]
    first: dict[int, str] = {}
    others: dict[str, int] = {}
    texts = window.texts
    for group, text, print_ in zip(
        texts.group.tolist(), texts.canonical, texts.fingerprint.tolist(), strict=True
    ):
        if group < 0 or letters(text) < LEAST_LETTERS:
            continue
        if sharing[group] >= 3:
            first[group] = min(text, first.get(group, text))
        else:
            others[text] = min(print_, others.get(text, print_))
    # the lowest fingerprints are a sample that no order of arrival can steer
    sample = sorted(others, key=lambda text: (others[text], text))[:MOST_OTHERS]
    return [first[group] for group in copied_group.tolist() if group in first], sample


def _tag_words(hashtag: str) -> str:
    return canonical(re.sub(r"[_\d]+", " ", hashtag))


def _nearness(
    copied: list[str], others: list[str], words: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bags = _bags([*others, *copied, words])
    count = len(others)
    frequency = np.asarray((bags[:count] > 0).sum(axis=0)).ravel()
    # Every text is weighted as a member of the talk. The frequencies count the other texts themselves; a
    # copied one is added, here and where it meets the topic, or its rare words would weigh more than theirs.
    weight = np.log((1 + count) / (1 + frequency))
    joined = np.log((2 + count) / (2 + frequency))
    last = count + len(copied)
    parts = (bags[:count].multiply(weight), bags[count:last].multiply(joined), bags[last:].multiply(weight))
    weighted = vstack([part.tocsr() for part in parts]).tocsr()
    norm = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    unit = weighted.multiply(1 / np.maximum(norm, 1e-12)[:, None]).tocsr()
    talk = unit[:count]
    topic = np.asarray(talk.sum(axis=0)).ravel() + TAG_WEIGHT * unit[[last]].toarray().ravel()
    squared = float(topic @ topic)
    raw = np.asarray(talk @ topic).ravel()
    own = np.asarray(talk.multiply(talk).sum(axis=1)).ravel()  # 1, or 0 for a text without weight
    left = np.sqrt(np.maximum(squared - 2 * raw + own, 1e-12))
    near_others = (raw - own) / left
    met = unit[count:last].multiply(joined / np.maximum(weight, 1e-12)).tocsr()
    near_copied = np.asarray(met @ topic).ravel() / np.sqrt(max(squared, 1e-12))
    return near_copied.round(DIGITS), near_others.round(DIGITS)


def _bags(texts: list[str]) -> csr_array:
    hashes, bounds = grams(texts)
    columns = (hashes % np.uint64(DIMENSIONS)).astype(np.int64)
    bags = csr_array((np.ones(len(columns)), columns, bounds), shape=(len(texts), DIMENSIONS))
    bags.sum_duplicates()
    bags.data[:] = 1.0
    return bags
