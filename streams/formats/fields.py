"""What the formats share: times, hashtags, names, and reading what is right out of a half-wrong object."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec

from detectors.table import DAY_MS
from streams.posts import MINUTE_MS, SECOND_MS

MAX_COUNT: Final = 2**32 - 1
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
"""Followers, likes and the like: what fits the window table's unsigned 32 bits."""

Identifier = int | float | str

START_OF_TIME_MS: Final = -62_135_596_800_000  # the year 1
END_OF_TIME_MS: Final = 253_402_300_800_000  # the year 10000: ISO 8601 with four digits reaches no further


class NotAPostError(ValueError):
    """The payload cannot be read as a post; the message is the reason given to people."""


def shown(value: object) -> str:
    """A value as an error message names it: short, on one line, whatever it was."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a huge number"
    return text if len(text) <= 80 else text[:79] + "…"


# ---------------------------------------------------------------------------------------------- JSON

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.S
)


def parse_json(payload: bytes) -> tuple[bytes, Any]:
    r"""The payload as JSON and the bytes that were read.

    Cut texts sometimes end in half of a surrogate pair, which is no character: it is read as U+FFFD.

    >>> parse_json(rb'"\ud83d"')
    (b'"\\ufffd"', '�')

    Raises
    ------
    NotAPostError
        It is not JSON; the reason says where.
    """
    try:
        return payload, msgspec.json.decode(payload)
    except RecursionError:
        raise NotAPostError("not JSON: nested too deeply") from None
    except UnicodeDecodeError as error:
        raise NotAPostError(f"not UTF-8: {error.reason} at byte {error.start} of a string") from None
    except msgspec.DecodeError as error:
        mended = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], payload)
        if mended == payload:
            raise NotAPostError(f"not JSON: {error}, starting {shown(_start(payload))}") from None
        try:
            return mended, msgspec.json.decode(mended)
        except (ValueError, RecursionError) as again:
            raise NotAPostError(f"not JSON: {again}, starting {shown(_start(payload))}") from None


def _start(payload: bytes) -> str:
    return payload[:40].decode(errors="replace")


S = TypeVar("S", bound=msgspec.Struct)


def lenient(obj: dict[str, Any], shape: type[S]) -> S:
    """A struct of what is right in an object: a field of the wrong type is taken as absent.

    The fields of `shape` must all have defaults.
    """
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        if field.encode_name in obj:
            try:
                kept[field.name] = _nearest(obj[field.encode_name], field.type)
            except msgspec.ValidationError:
                continue
    return shape(**kept)


def _nearest(value: Any, kind: Any) -> Any:
    if kind is msgspec.Raw:  # such fields are only asked whether they are there
        return msgspec.Raw(b"null")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        for part in get_args(kind) or (kind,):
            if isinstance(value, dict) and isinstance(part, type) and issubclass(part, msgspec.Struct):
                return lenient(value, part)
            if isinstance(value, list) and get_origin(part) is list:
                return _right_items(value, get_args(part)[0])
        return msgspec.convert(value, kind, strict=False)


def _right_items(values: list[Any], kind: Any) -> list[Any]:
    out = []
    for value in values:
        try:
            out.append(_nearest(value, kind))
        except msgspec.ValidationError:
            continue
    return out


# --------------------------------------------------------------------------------------------- times

_CLOCK: Final = {f"{h:02}:{m:02}": (h * 60 + m) * MINUTE_MS for h in range(24) for m in range(60)}
_SECONDS: Final = {f":{s:02}": s * SECOND_MS for s in range(60)}
_X_CLOCK: Final = {f" {clock}": ms for clock, ms in _CLOCK.items()}
_X_SECONDS: Final = {f"{seconds} ": ms for seconds, ms in _SECONDS.items()}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_X_DAY: Final = re.compile(r"([A-Z][a-z]{2}) (\d\d) ([+-])(\d\d)(\d\d) (\d{4})", re.ASCII)
_ISO_REST: Final = re.compile(r"(?:[.,](\d{1,9}))?(?:(Z)|([+-])(\d\d):?(\d\d))?", re.ASCII)
_EPOCH: Final = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=16_384)
def _x_day_ms(day: str) -> int | None:
    """Start of "Dec 12 +0000 2020", offset taken off."""
    found = _X_DAY.fullmatch(day)
    if found is None or found[1] not in _MONTHS or not 1970 <= int(found[6]) < 9999:
        return None
    start = _midnight_ms(int(found[6]), _MONTHS.index(found[1]) + 1, int(found[2]))
    return None if start is None else start - _offset_ms(found[3], found[4], found[5])


@lru_cache(maxsize=16_384)
def _iso_day_ms(day: str) -> int | None:
    if len(day) != 10 or day[4] != "-" or day[7] != "-" or not day.isascii():
        return None
    year, month, of_month = day[:4], day[5:7], day[8:]
    if not (year.isdigit() and month.isdigit() and of_month.isdigit()):
        return None
    return _midnight_ms(int(year), int(month), int(of_month))


def _midnight_ms(year: int, month: int, day: int) -> int | None:
    try:
        return (date(year, month, day).toordinal() - _EPOCH) * DAY_MS
    except ValueError:
        return None


def _offset_ms(sign: str, hours: str, minutes: str) -> int:
    offset = (int(hours) * 60 + int(minutes)) * MINUTE_MS
    return -offset if sign == "-" else offset


def x_time_ms(text: str) -> int | None:
    """Milliseconds of X's own form of a time, None if it is not one.

    Day and clock are looked up apart: a stream has few days, and this is read twice for every post.

    >>> x_time_ms("Sat Dec 12 11:55:28 +0000 2020")
    1607774128000
    """
    day = _x_day_ms(text[4:11] + text[20:])
    clock = _X_CLOCK.get(text[10:16])
    seconds = _X_SECONDS.get(text[16:20])
    return None if day is None or clock is None or seconds is None else day + clock + seconds


def iso_time_ms(text: str) -> tuple[int, int] | None:
    """Milliseconds and resolution of an ISO 8601 time, None if it is not one. Without an offset it is UTC.

    >>> iso_time_ms("2020-12-12T11:55:28Z"), iso_time_ms("2020-12-12 11:55"), iso_time_ms("2020-12-12")
    ((1607774128000, 1000), (1607774100000, 60000), None)
    """
    day = _iso_day_ms(text[:10])
    clock = _CLOCK.get(text[11:16])
    if day is None or clock is None or text[10] not in "T ":
        return None
    seconds = _SECONDS.get(text[16:19])
    rest = text[16:] if seconds is None else text[19:]
    if rest in ("", "Z"):
        return day + clock + (seconds or 0), MINUTE_MS if seconds is None else SECOND_MS
    found = _ISO_REST.fullmatch(rest.strip())
    if found is None or (found[1] and seconds is None):
        return None
    fraction_ms = int(f"{found[1]:0<3}"[:3]) if found[1] else 0
    offset = _offset_ms(found[3], found[4], found[5]) if found[3] else 0
    resolution = 1 if found[1] else SECOND_MS if seconds is not None else MINUTE_MS
    time_ms = day + clock + (seconds or 0) + fraction_ms - offset
    return (time_ms, resolution) if START_OF_TIME_MS <= time_ms < END_OF_TIME_MS else None


def date_ms(text: str) -> int | None:
    """Start of the day "2016-02-04", or a full ISO 8601 time; None if it is neither."""
    time = iso_time_ms(text)
    return _iso_day_ms(text) if time is None else time[0]


def iso(time_ms: int) -> str:
    """ISO 8601 UTC with a Z, exact for every millisecond of the years 1 to 9999.

    Raises
    ------
    NotAPostError
        The time lies outside those years.
    """
    if not START_OF_TIME_MS <= time_ms < END_OF_TIME_MS:
        raise NotAPostError(f"time is outside the years 1 to 9999: {time_ms} ms since 1970")
    second, ms = divmod(time_ms, SECOND_MS)
    moment = datetime.fromtimestamp(second, UTC)
    return f"{moment.isoformat()[:19]}.{ms:03}Z" if ms else f"{moment.isoformat()[:19]}Z"


# ------------------------------------------------------------------------------------ words and names

_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
_TAG_EDGES = re.compile(r"^[\s#]+|\s+$")
_NO_LANGUAGE = frozenset({"", "und", "zxx", "art", "qam", "qct", "qht", "qme", "qst"})


@lru_cache(maxsize=65_536)
def hashtag(name: str) -> str:
    """A hashtag as Floodmark compares it: NFKC, case folded, no zero-width characters, no leading ``#``.

    Empty if nothing is left.

    >>> hashtag("#Ｆｌｏｏｄ\u200bMark")
    'floodmark'
    """
    if name.isascii() and name.isalnum():
        return name.lower()
    # Twice, because folding can leave characters that NFKC joins or splits again.
    for _ in range(2):
        name = unicodedata.normalize("NFKC", name.translate(_INVISIBLE)).casefold()
    return _TAG_EDGES.sub("", unicodedata.normalize("NFKC", name).translate(_INVISIBLE))


def hashtags(names: Iterable[str]) -> tuple[str, ...]:
    """Hashtags as Floodmark compares them, each once, in order of appearance."""
    tags = [tag for name in names if (tag := hashtag(name))]
    return tuple(dict.fromkeys(tags)) if len(tags) > 1 else tuple(tags)


@cache
def _hashtag_pattern() -> re.Pattern[str]:
    # Python's \w leaves out combining marks, without which Arabic, Hindi and Thai tags would be cut.
    marks = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c))[0] == "M")
    return re.compile(rf"(?<![\w&/])[#＃]([\w{marks}\u200c\u200d]+)")


def hashtags_in(text: str) -> tuple[str, ...]:
    """Hashtags found in a text, for payloads that do not list them; a number alone is none.

    >>> hashtags_in("#Flood in #الرياض, see page #12 and x.org/#top")
    ('flood', 'الرياض')
    """
    if "#" not in text and "＃" not in text:
        return ()
    return hashtags(t for t in _hashtag_pattern().findall(text) if any(c.isalpha() for c in t))


def identifier(text: str | None, number: Identifier | None) -> str | None:
    """An id, its string form first: the number may have been rounded by a careless tool."""
    if text:
        return text
    if number is None or number == "":
        return None
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, int) and number.bit_length() > 256:  # no platform's; and str() of one may raise
        return None
    return str(number)


def language(name: str | None) -> str | None:
    """A language tag, None for the marks that say no language was found."""
    return None if name is None or name in _NO_LANGUAGE else sys.intern(name)


_REPOST_PREFIX = re.compile(r"RT @\w+(?::\s*|\s+)")


def without_repost_prefix(text: str) -> str | None:
    """What follows "RT @name:" at the start of a text; None if it does not start so.

    >>> without_repost_prefix("RT @someone: hello")
    'hello'
    """
    if not text.startswith("RT @"):
        return None
    found = _REPOST_PREFIX.match(text)
    return None if found is None else text[found.end() :]


def readable(text: str) -> str:
    """X escapes these three, and only these, in the texts of posts."""
    if "&" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
