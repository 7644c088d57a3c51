"""Do the posts in question speak of something else than the rest of the hashtag?"""

from __future__ import annotations

import re
from itertools import islice
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Baseline
from detectors.finding import SUSPICIOUS, Finding
from detectors.keys import distinct_keys
from detectors.minhash import grams
from detectors.p_values import mann_whitney
from detectors.shares import shares
from detectors.table import Mask, Window
from detectors.text import canonical

LEAST_OTHERS: Final = 20
LEAST_COPIED: Final = 3
MOST_OTHERS: Final = 2_000
MOST_COPIED: Final = 200
OFF_TOPIC: Final = 0.65
"""From this share of pairs on in which the other text is nearer to the topic, the copied ones are off it."""

DIMENSIONS: Final = 1 << 15
DIGITS: Final = 9  # of a similarity: rounding must not rank texts that share nothing
OF_A_LENGTH: Final = 200
"""Texts are compared with so many others of about their length."""

TAG_WEIGHT: Final = 5.0  # the hashtag's own words count as much as five posts


class OffTopic:
    """How near the texts in question are to the tag's words and its other talk, beside that talk itself.

    Texts are bags of hashed character 4-grams weighted by inverse document frequency over the other texts.
    The topic is their mean and the hashtag's words; every other text is measured against a topic without
    itself, and all are counted relative to the others of about their length: long texts meet more of any
    topic. Mann–Whitney over distinct texts asks whether those in question are further away. The copied texts
    are in question unless the joint judgement names posts.

    Effect: probability that one of the other texts is nearer to the topic than one in question, in [0, 1];
    0.5 means no difference. Abstains below 20 other texts or 3 in question, the largest 200 groups of which
    are measured. Blind where the flood imitates the talk it drowns, and where nobody else talks.
    """

    name: ClassVar[str] = "off_topic"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge the copied texts of one window; see the class."""
        found = shares(window)
        return self.compare(window, "copied texts", found.rows_of(found.copied[found.group]))

    def compare(self, window: Window, which: str, rows: Mask) -> Finding:
        """Judge the texts of any rows of one window, called `which` in the sentence; see the class."""
        copied, others = _texts(window, rows)
        if len(others) < LEAST_OTHERS or len(copied) < LEAST_COPIED:
            return Finding.abstained(
                self.name,
                f"{len(copied):,} {which} and {len(others):,} others; at least {LEAST_COPIED} and"
                f" {LEAST_OTHERS} are needed.",
            )
        near_copied, near_others = _nearness(copied, others, _tag_words(window.hashtag))
        effect, p_value = mann_whitney(near_others, near_copied)
        far = effect >= OFF_TOPIC
        sentence = (
            f"In {100 * effect:.0f} % of comparisons one of {len(others):,} other texts is nearer to what the"
            f" hashtag is about than one of {len(copied):,} {which}"
            f"{': these speak of something else' if far and p_value <= SUSPICIOUS else ''}."
        )
        return Finding.judged(
            self.name,
            sentence,
            p_value,
            effect,
            large=far,
            posts=window.posts(rows),
        )


def _texts(window: Window, rows: Mask) -> tuple[list[str], list[str]]:
    """One canonical text for each of the largest groups in question, and the distinct others; both bounded.

    A group is in question if most of its posts are.

    Texts come by rising fingerprint, and so the others that are kept are a sample that no order of arrival
    can steer.
    """
    groups = max(int(window.group.max(initial=-1)) + 1, 1)
    grouped = window.group >= 0
    of = np.bincount(window.group[grouped], minlength=groups)
    mine = np.bincount(window.group[grouped & rows], minlength=groups)
    in_question = (2 * mine > of).tolist()
    copied: dict[int, str] = {}
    others: dict[str, None] = {}
    for group, text in zip(window.texts.group.tolist(), window.texts.canonical, strict=True):
        if group < 0:
            continue
        if in_question[group]:
            copied[group] = min(text, copied.get(group, text))
        else:
            others[text] = None
    largest = sorted(copied)[:MOST_COPIED]  # groups are numbered by falling size
    return [copied[group] for group in largest], list(islice(others, MOST_OTHERS))


def _tag_words(hashtag: str) -> str:
    return canonical(re.sub(r"[_\d]+", " ", hashtag))


def _nearness(
    copied: list[str], others: list[str], words: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosine of every text with the topic, in spreads from what is likely for its length.

    Returns
    -------
    copied, others : float64, aligned with the arguments
    """
    texts = len(others) + len(copied) + 1
    text, gram = _bags([*others, *copied, words])
    talk, tag = text < len(others), text == texts - 1
    joining = ~talk & ~tag
    frequency = np.bincount(gram[talk], minlength=DIMENSIONS)
    # Every text is weighted as a member of the talk: the frequencies count the other texts already, a copied
    # one is added, here and where it meets the topic. Else its rare words would weigh more than theirs.
    often = np.arange(int(frequency.max(initial=0)) + 1)
    weight = np.log((1 + len(others)) / (1 + often))[frequency]
    joined = np.log((2 + len(others)) / (2 + often))[frequency]
    value = np.where(joining, joined[gram], weight[gram])
    unit = value / np.maximum(np.sqrt(np.bincount(text, value**2, texts)), 1e-12)[text]
    topic = np.bincount(gram, unit * (talk + TAG_WEIGHT * tag), DIMENSIONS)
    # Not `topic @ topic`: the linear algebra library would wake a thread on every core, and they spin.
    squared = max(float(np.square(topic).sum()), 1e-12)
    meets = np.where(joining, topic[gram] * joined[gram] / np.maximum(weight[gram], 1e-12), topic[gram])
    raw = np.bincount(text, unit * meets, texts)
    own = np.bincount(text, unit**2, texts)  # 1, or 0 for a text without weight
    without = np.where(np.arange(texts) < len(others), own, 0.0)  # a text is not its own topic
    near = (raw - without) / np.sqrt(np.maximum(squared - 2 * raw * (without > 0) + without, 1e-12))
    near = _for_its_length(near, np.bincount(text, minlength=texts), len(others)).round(DIGITS)
    return near[len(others) : -1], near[: len(others)]


def _for_its_length(near: NDArray[np.float64], length: NDArray[np.int64], others: int) -> NDArray[np.float64]:
    """How far each value is from those of the others nearest in length, in their spread; shape as `near`."""
    order = np.argsort(length[:others], kind="stable")
    values, lengths = near[:others][order], length[:others][order]
    half = min(OF_A_LENGTH // 2, others // 2)
    middle = np.searchsorted(lengths, length)
    start = np.clip(middle - half, 0, others - 2 * half)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    squares = np.concatenate(([0.0], np.cumsum(values**2)))
    mean = (sums[start + 2 * half] - sums[start]) / (2 * half)
    variance = (squares[start + 2 * half] - squares[start]) / (2 * half) - mean**2
    out: NDArray[np.float64] = (near - mean) / np.sqrt(np.maximum(variance, 1e-9))
    return out


def _bags(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct hashed grams of every text as aligned (text, gram) pairs, by rising text."""
    hashes, bounds = grams(texts)
    text = np.repeat(np.arange(len(texts)), np.diff(bounds))
    code = distinct_keys(text * DIMENSIONS + (hashes % np.uint64(DIMENSIONS)).astype(np.int64))
    return code // DIMENSIONS, code % DIMENSIONS
