"""Invented languages: words that nobody speaks, as frequent as words are, in two scripts.

What is compared is texts, so what matters is that sentences share words as sentences of one language do: a
few words are in nearly every sentence (Zipf), a subject has words of its own, and two people who say the
same thing still choose different words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORDS: Final = 6_000
ZIPF: Final = 1.05
SUBJECT_WORDS: Final = 60
_ONSETS: Final = (
    *("b", "br", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pr"),
    *("r", "s", "sh", "sk", "st", "t", "tr", "v", "w", "z"),
)
_VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ea", "ei", "io", "ou")
_CODAS: Final = ("", "", "", "n", "r", "s", "l", "t", "m", "nd", "st", "k")
_ARABIC: Final = "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"
_ARABIC_WEIGHT: Final = (12, 4, 5, 1, 2, 3, 1, 4, 1, 6, 1, 3, 2, 1, 1, 2, 1, 4, 1, 3, 3, 4, 7, 7, 6, 5, 6, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Tongue:
    """A vocabulary; words are in order of their rank, the commonest first.

    Attributes
    ----------
    words : array of str, shape (w,)
    chance : float64, shape (w,)
    """

    words: NDArray[np.object_]
    chance: NDArray[np.float64]
    script: str


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a conversation is about: the words of a tongue that it uses more than others do.

    Attributes
    ----------
    words : array of str, shape (s,)
    chance : float64, shape (s,)
    """

    tongue: Tongue
    words: NDArray[np.object_]
    chance: NDArray[np.float64]


def zipf(count: int, exponent: float = ZIPF) -> NDArray[np.float64]:
    """Chances that fall with rank; shape (count,)."""
    weight = 1 / (np.arange(count) + 2.7) ** exponent
    out: NDArray[np.float64] = weight / weight.sum()
    return out


def tongue(rng: np.random.Generator, script: str) -> Tongue:
    """A new language, in script "latin" or "arabic"; its commonest words are its shortest."""
    made = _latin(rng) if script == "latin" else _arabic(rng)
    words = np.array(sorted(dict.fromkeys(made), key=lambda word: len(word) + rng.gumbel(0, 1.5)), object)
    return Tongue(words, zipf(len(words)), script)


def _latin(rng: np.random.Generator) -> list[str]:
    syllables = 1 + rng.poisson(1.1, WORDS)
    total = int(syllables.sum())
    onsets = np.array(rng.permutation(_ONSETS)[:18], object)[rng.integers(0, 18, total)]
    vowels = np.array(_VOWELS, object)[rng.choice(len(_VOWELS), total, p=zipf(len(_VOWELS), 0.9))]
    codas = np.array(_CODAS, object)[rng.integers(0, len(_CODAS), total)]
    return _cut(onsets + vowels + codas, syllables, "")


def _arabic(rng: np.random.Generator) -> list[str]:
    lengths = 2 + rng.poisson(2.4, WORDS)
    weight = np.array(_ARABIC_WEIGHT, float)
    letters = np.array(list(_ARABIC), object)
    drawn = letters[rng.choice(len(letters), int(lengths.sum()), p=weight / weight.sum())]
    article = rng.random(WORDS) < 0.25
    return [
        "ال" + word if has else word
        for word, has in zip(_cut(drawn, lengths, ""), article.tolist(), strict=True)
    ]


def subject(rng: np.random.Generator, of: Tongue) -> Subject:
    """A new subject: words from the middle of a vocabulary, neither everybody's nor nobody's."""
    at = rng.choice(np.arange(80, min(len(of.words), 2_500)), SUBJECT_WORDS, replace=False)
    return Subject(of, of.words[at], zipf(SUBJECT_WORDS, 0.8))


def sentences(
    rng: np.random.Generator,
    about: Subject,
    count: int,
    *,
    words: float = 11.0,
    spread: float = 0.5,
    share: float = 0.2,
    least: int = 1,
) -> list[str]:
    """So many sentences.

    Parameters
    ----------
    words : float
        Median number of words.
    spread : float
        Standard deviation of its logarithm.
    share : float
        Of the words that are the subject's own.
    """
    lengths = np.clip(rng.lognormal(np.log(words), spread, count).round(), least, 40).astype(np.int64)
    total = int(lengths.sum())
    drawn = about.tongue.words[rng.choice(len(about.tongue.words), total, p=about.tongue.chance)]
    own = rng.random(total) < share
    drawn[own] = about.words[rng.choice(len(about.words), int(own.sum()), p=about.chance)]
    return _cut(drawn, lengths, " ")


def _cut(drawn: NDArray[np.object_], lengths: NDArray[np.int64], joint: str) -> list[str]:
    ends = np.cumsum(lengths).tolist()
    flat = drawn.tolist()
    return [joint.join(flat[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]
