"""What every character is compared as: the letter that a reader takes it for, or nothing.

Lookalikes come from Unicode's list of confusable characters (UTS #39, by way of the package
confusable-homoglyphs). That list answers whether two names may be mistaken for each other; here it decides
which texts are compared as one, so only alphabets that are mixed in practice are taken from it, and case does
not matter: a letter is what its small form looks like, or else its capital.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

_ARABIC: Final = dict(zip("ٱىیےۍێېةەہھۃکگڪںٮٯڡ", "اييييييههههه" + "كككنبقف", strict=True))
"""Arabic letters typed for one another or left without their dots; NFKD takes the hamza from the others."""

_ALPHABETS: Final = ("LATIN ", "GREEK ", "CYRILLIC ", "COPTIC ", "ARMENIAN ", "CHEROKEE ", "LISU ")
"""Whose letters are taken for Latin ones. A likeness to alef or to a Burmese wa fools nobody, and would only
make two letters of one script the same."""

_DRESSED: Final = re.compile(
    r"(?:NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER|LATIN LETTER SMALL CAPITAL|LATIN SMALL LETTER)"
    r" (?:DOTLESS |SCRIPT )?([A-Z])(?: WITH .+)?"
)
"""Names of characters that are one Latin letter in other dress and that NFKD does not take apart."""

_OPTIONAL_MARKS: Final = ("COMBINING ", "ARABIC ", "HEBREW ")
"""How marks are named that may be left out or piled up while the word stays the same. Those of Indic, Thai
and other scripts are vowels: without them different words become one."""

_SOUND_MARKS: Final = "\u3099\u309a"  # named COMBINING too, but ka and ga are two letters
_BLANK: Final = "\u0640\u115f\u1160\u17b4\u17b5\ufffc"  # tatweel, and what is no mark and shows nothing


class Forms(dict[int, int | str | None]):
    """A table for `str.translate` that fills itself: what each character of an NFKC text is compared as.

    Letters become small, unmarked, and of one alphabet where alphabets look alike; digits become 0 to 9;
    invisible characters vanish; "$" stays, because words are spelt with it; all else becomes a blank.

    >>> "Ÿоυ, مُحَمَّد: ٣".translate(Forms())
    'you  محمد  3'
    """

    def __missing__(self, code: int) -> int | str | None:
        if 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7A3:
            return code  # Chinese and Korean: no case, no marks, and too many to keep
        form = _form(chr(code))
        self[code] = ord(form) if len(form) == 1 else form or None
        return self[code]


def _form(char: str) -> str:
    parts = unicodedata.normalize("NFKD", char.casefold())
    return unicodedata.normalize("NFC", "".join(map(_part, parts)))


def _part(char: str) -> str:
    if char == "$" or (char.isascii() and char.isalnum()):
        return char
    kind, name = unicodedata.category(char), unicodedata.name(char, "")
    if kind == "Cf" or char in _BLANK or name.startswith("VARIATION SELECTOR"):
        return ""
    if kind[0] == "M":
        return "" if name.startswith(_OPTIONAL_MARKS) and char not in _SOUND_MARKS else char
    if kind[0] == "N":
        digit = unicodedata.digit(char, None)
        return " " if digit is None else str(digit)
    if char in _ARABIC:
        return _ARABIC[char]
    latin = _latin(char, name) or _latin(char.upper(), unicodedata.name(char.upper()[0], ""))
    return latin or (char if kind[0] == "L" else " ")


def _latin(char: str, name: str) -> str | None:
    """The small Latin letter that a character looks like, if it does."""
    if dressed := _DRESSED.fullmatch(name):
        return dressed[1].lower()
    if not name.startswith(_ALPHABETS):
        return None
    like = [one.lower() for one in _lookalikes().get(char, ()) if one.isascii() and one.isalpha()]
    return min(like, default=None)


@cache
def _lookalikes() -> dict[str, list[str]]:
    """Unicode's confusable characters; read when the first letter needs them, because that takes 0.1 s."""
    from confusable_homoglyphs.confusables import confusables_data

    return {char: [one["c"] for one in like] for char, like in confusables_data.items()}
