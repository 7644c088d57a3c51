"""Ways to make copies of one text look different; each copy anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from benchmarks.scenarios.talk import EMOJI

Disguise = Callable[[np.random.Generator, str], str]

INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202c\u2066\u2069\u00ad"
MARKS: Final = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652"
TATWEEL: Final = "\u0640"
LOOKALIKES: Final = {
    **dict(zip("aceiopsxyjhkmtbnrgludvwz", "асеіорѕхујһкмтЬпгɡӏսԁνԝᴢ", strict=True)),
    **dict(zip("كيهى", "کیہی", strict=True)),
}
"""Latin letters to those of Greek, Cyrillic and Armenian that look alike, Arabic ones to Persian and Urdu."""


def invisible(rng: np.random.Generator, text: str) -> str:
    """Zero-width and bidi characters between any two letters."""
    letters = list(text)
    for at in rng.integers(0, len(letters), int(rng.integers(5, 15))).tolist():
        letters[at] += INVISIBLE[int(rng.integers(len(INVISIBLE)))]
    return "".join(letters)


def stretched(rng: np.random.Generator, text: str) -> str:
    """Tatweel and diacritics between Arabic letters; Latin letters get combining accents."""
    out = []
    draws = rng.random(len(text)).tolist()
    for letter, draw in zip(text, draws, strict=True):
        out.append(letter)
        if draw < 0.15 and "\u0620" <= letter <= "\u064a":
            out.append(TATWEEL * (1 + int(rng.integers(3))))
        elif draw < 0.35 and "\u0620" <= letter <= "\u064a":
            out.append(MARKS[int(rng.integers(len(MARKS)))])
        elif draw < 0.2 and letter.isalpha():
            out.append(chr(0x300 + int(rng.integers(13))))
    return "".join(out)


def lookalike(rng: np.random.Generator, text: str) -> str:
    """A third of the letters that have a twin are exchanged for it."""
    draws = rng.random(len(text)).tolist()
    return "".join(
        LOOKALIKES.get(letter, letter) if draw < 0.35 else letter
        for letter, draw in zip(text, draws, strict=True)
    )


def tailed(rng: np.random.Generator, text: str) -> str:
    """Digits and emoji at the end."""
    emoji = "".join(EMOJI[i] for i in rng.integers(0, len(EMOJI), int(rng.integers(1, 5))).tolist())
    return f"{text} {int(rng.integers(10, 10**6))} {emoji}"


def dropped(rng: np.random.Generator, text: str) -> str:
    """One to three words are left out."""
    words = text.split()
    for _ in range(int(rng.integers(1, 4))):
        if len(words) > 5:
            del words[int(rng.integers(len(words)))]
    return " ".join(words)


def swapped(rng: np.random.Generator, text: str) -> str:
    """Two pairs of words change places."""
    words = text.split()
    for one, other in rng.integers(0, len(words), (2, 2)).tolist():
        words[one], words[other] = words[other], words[one]
    return " ".join(words)


class Spun:
    """A template: half of the words of a text have four alternatives, of which each copy takes one."""

    def __init__(self, rng: np.random.Generator, texts: list[str], words: list[str]) -> None:
        self._slots: dict[str, list[list[str]]] = {}
        for text in texts:
            self._slots[text] = [
                [word, *(words[i] for i in rng.integers(0, len(words), 3).tolist())]
                if rng.random() < 0.5
                else [word]
                for word in text.split()
            ]

    def __call__(self, rng: np.random.Generator, text: str) -> str:
        """One spin of a text of the template."""
        return " ".join(choices[int(rng.integers(len(choices)))] for choices in self._slots[text])


DISGUISES: Final[Mapping[str, Disguise]] = {
    "invisible characters": invisible,
    "tatweel and diacritics": stretched,
    "lookalike letters": lookalike,
    "digits and emoji": tailed,
    "words dropped": dropped,
    "words swapped": swapped,
}
