"""From what a reader sees to what can be compared.

Two steps. The *reading text* drops what differs between copies without being seen or read: the addresses
behind links, the names mentioned, invisible characters, runs of white space. Its fingerprint is what a row
carries, and it is the evidence people are shown. The *canonical text* drops everything an author can vary
without changing the message: case, punctuation, emoji, digits, diacritics, letter variants, hashtags.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import xxhash

from detectors.characters import Forms

SEED: Final = 0x466C6F6F64  # "Flood": so that fingerprints differ from other users of xxh3
READING_CHARS: Final = 1_000  # longer than any platform's ordinary post; bounds what a row can bring along
COMPARABLE_CHARS: Final = 16
"""Canonical texts below this many letters say too little to be called copies ("GOOOAL", "good morning")."""

LINK: Final = "[link]"
MENTION: Final = "@…"

_LINKS = re.compile(r"https?://\S+|\b(?:t\.co|pic\.twitter\.com)/\S+", re.IGNORECASE)
_MENTIONS = re.compile(r"@\w+")
_INVISIBLE_CHARS: Final = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
_INVISIBLE = re.compile(f"[{_INVISIBLE_CHARS}]")
_UNSEEN = re.compile(  # and what no platform shows, but a reading text has kept so far: fillers, tags
    f"[{_INVISIBLE_CHARS}\u0640\u115f\u1160\u17b4\u17b5\u3164\uffa0\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_WIDE_RANGES: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WIDE = re.compile(f"[{_WIDE_RANGES}]")
_REPEATED = re.compile(f"([^{_WIDE_RANGES}])\\1+")  # wide characters are words, and words may be repeated
_DIGITS = re.compile("[0-9$]+")
_MARKS: Final = (  # a mark is no \\w, but it does not end a hashtag either
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0dff\u0e00-\u0fff\u1000-\u109f\u1780-\u17d3"
)
_HASHTAG = re.compile(rf"#[\w{_MARKS}]+")
_FORMS = Forms()
_SPELT = re.compile(r" \S(?: \S){3,}(?= )")  # f o u r letters and more; "I c u" may be words
_LEET = str.maketrans("013457$", "oieasts")
_TWO_SHAPES = str.maketrans("ΝΗΥ", "NHY")
"""Greek capitals that look like one Latin letter while their small form looks like another (ν like v)."""

_MIXED_WORD = re.compile(r"[^\W\d_]*[A-Za-z][^\W\d_]*")
WIDE_LETTERS: Final = 3  # a Chinese, Japanese or Korean character says about as much as three letters


def fingerprint(string: str) -> int:
    """Seeded 64-bit xxh3 of a string, never 0: 0 is left for "none"."""
    return xxhash.xxh3_64_intdigest(string.encode("utf-8", "surrogatepass"), SEED) or 1


def key(identifier: str) -> int:
    """The 64-bit key of a platform's id: the number itself if it is one, else its fingerprint.

    >>> key("758000000000000001")
    758000000000000001
    """
    if identifier.isascii() and identifier.isdigit() and len(identifier) < 20 and identifier[0] != "0":
        return int(identifier)
    return fingerprint(identifier)


def reading(text: str) -> str:
    """What a reader sees, with links and mentions as marks and without invisible characters.

    >>> reading("Vote  now @ann https://t.co/a1")
    'Vote now @… [link]'
    """
    # Each step only where there can be something to do: every post goes through here, with or without.
    if "/" in text:
        text = _LINKS.sub(LINK, text)
    if "@" in text:
        text = _MENTIONS.sub(MENTION, text)
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    return " ".join(text.split())[:READING_CHARS]


def canonical(text: str) -> str:
    """What is left of a reading text when everything is gone that can vary between copies.

    >>> canonical("Vote NOW!! 5 tiiimes @… [link] #vote 🔥")
    'vote now times'
    >>> canonical("Vоtе n0w, 𝐭𝐢𝐦𝐞𝐬") == canonical("vote now times")
    True
    """
    text = text.replace(LINK, " ").replace(MENTION, " ")
    if not text.isascii():
        text = text.replace("ϲ", "c").replace("Ϲ", "c")  # NFKC would make them sigmas, which look like o
        text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
        if "Ν" in text or "Η" in text or "Υ" in text:
            text = _MIXED_WORD.sub(_capitals_by_shape, text)
    if "#" in text:
        text = _HASHTAG.sub(" ", text)
    text = _DIGITS.sub(_letters_or_nothing, text.translate(_FORMS))
    text = _REPEATED.sub(r"\1", f" {text} ")
    if _SPELT.search(text):
        text = _REPEATED.sub(r"\1", _SPELT.sub(_joined, text))
    text = text.strip()
    # What stood between two characters that compose is gone only now.
    return text if unicodedata.is_normalized("NFKC", text) else canonical(text)


def _joined(letters: re.Match[str]) -> str:
    return " " + letters[0].replace(" ", "")


def _capitals_by_shape(word: re.Match[str]) -> str:
    return word[0].translate(_TWO_SHAPES)


def _letters_or_nothing(digits: re.Match[str]) -> str:
    """Digits inside a Latin word are letters in disguise; others are a number, which copies may vary."""
    text, (start, end) = digits.string, digits.span()
    inside = start and end < len(text) and (text[start - 1] + text[end]).isascii()
    if inside and text[start - 1].isalpha() and text[end].isalpha():
        return digits[0].translate(_LEET)
    return " "


def letters(canonical_text: str) -> int:
    """How much a canonical text says, in letters; wide characters count for `WIDE_LETTERS`."""
    wide = 0 if canonical_text.isascii() else len(_WIDE.findall(canonical_text))
    return len(canonical_text) + (WIDE_LETTERS - 1) * wide
