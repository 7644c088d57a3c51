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

SEED: Final = 0x466C6F6F64  # "Flood": so that fingerprints differ from other users of xxh3
READING_CHARS: Final = 1_000  # longer than any platform's ordinary post; bounds what a row can bring along
COMPARABLE_CHARS: Final = 16
"""Canonical texts below this many letters say too little to be called copies ("GOOOAL", "good morning")."""

LINK: Final = "[link]"
MENTION: Final = "@…"

_LINKS = re.compile(r"https?://\S+|\b(?:t\.co|pic\.twitter\.com)/\S+", re.IGNORECASE)
_MENTIONS = re.compile(r"@\w+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_SPACE = re.compile(r"\s+")

_DROPPED = re.compile(
    r"\[link\]|@…|[#＃][\w\u200c]+"  # links, mentions, hashtags
    "|[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]"  # Arabic marks and tatweel
)
_DIGITS = re.compile(r"\d+")
_NOT_WORD = re.compile(r"[\W_]+")
_LETTERS = str.maketrans("أإآٱىیةؤئکگۀ", "ااااييهويككه")  # Arabic letters that are typed for one another
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
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
    text = _LINKS.sub(LINK, text)
    text = _MENTIONS.sub(MENTION, text)
    text = _INVISIBLE.sub("", text)
    return _SPACE.sub(" ", text).strip()[:READING_CHARS]


def canonical(text: str) -> str:
    """What is left of a reading text when everything is gone that can vary between copies.

    >>> canonical("Vote NOW!! 5 times @… [link] #vote 🔥")
    'vote now 0 times'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    text = _DROPPED.sub(" " if text.isascii() else _gap, text.casefold()).translate(_LETTERS)
    return _NOT_WORD.sub(" ", _DIGITS.sub("0", text)).strip()


def _gap(match: re.Match[str]) -> str:
    return "" if len(match[0]) == 1 else " "


def letters(canonical_text: str) -> int:
    """How much a canonical text says, in letters; wide characters count for `WIDE_LETTERS`."""
    wide = 0 if canonical_text.isascii() else len(_WIDE.findall(canonical_text))
    return len(canonical_text) + (WIDE_LETTERS - 1) * wide
