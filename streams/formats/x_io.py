"""Rows of the X Information Operations archives (CSV), whose columns are read by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from detectors.table import Kind
from streams.formats import fields
from streams.formats.fields import NotAPostError
from streams.posts import InvalidPost, Post

NAME: Final = "x_io"
KEY: Final = "tweetid"
"""A header, or an object, with this name in it is taken for this format."""

REQUIRED: Final = ("tweetid", "userid", "tweet_time", "tweet_text")

_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_BETWEEN = re.compile(r",\s+|,(?=https?://)|,(?=[^,/]*$)")
# Spreadsheets take a cell that starts so for a formula; some dumps put such a text between apostrophes.
_GUARDED: Final = ("'@", "'=", "'+", "'-")
_TRUE: Final = frozenset({"true", "t", "1", "yes"})
_PROFILE: Final = (
    "user_profile_description",
    "user_reported_location",
    "user_profile_url",
    "account_language",
)


def missing(header: Sequence[str]) -> tuple[str, ...]:
    """Columns that a row cannot be read without and that the header lacks."""
    return tuple(name for name in REQUIRED if name not in _layout(tuple(header)))


def rows(header: Sequence[str], row: Sequence[str]) -> Post | InvalidPost:
    """The post of one row. A cell that is empty, or not of its column's type, is unknown.

    Parameters
    ----------
    header, row : sequences of str
        Of the same length; the columns may be in any order, `REQUIRED` must be there.
    """
    try:
        return _post(cells(header, row))
    except NotAPostError as error:
        return InvalidPost(reason=str(error), payload=",".join(row).encode(errors="backslashreplace"))


def cells(header: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """The row's cells that are not empty, by column.

    Raises
    ------
    NotAPostError
        The row does not fit the header.
    """
    if len(row) != len(header):
        raise NotAPostError(f"wrong number of columns: {len(row)} where the header has {len(header)}")
    return {name: row[at] for name, at in _layout(tuple(header)).items() if row[at]}


def from_object(obj: dict[str, Any]) -> Post:
    """The post of a row that some tool turned into a JSON object.

    Raises
    ------
    NotAPostError
        Id, author, time or text are missing or wrong.
    """
    return _post(
        {k: v if isinstance(v, str) else fields.shown(v) for k, v in obj.items() if v not in (None, "")}
    )


@lru_cache(maxsize=64)
def _layout(header: tuple[str, ...]) -> dict[str, int]:
    return {name.strip().strip("\ufeff").lower(): at for at, name in enumerate(header)}


def _post(cell: dict[str, str]) -> Post:
    for name in REQUIRED:
        if name not in cell:
            raise NotAPostError(f"{name} is missing")
    time = fields.iso_time_ms(cell["tweet_time"])
    if time is None:
        raise NotAPostError(f"tweet_time is not a time: {fields.shown(cell['tweet_time'])}")
    text = fields.readable(_unguarded(cell["tweet_text"]))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotAPostError(f"tweet_text is not UTF-8: at character {error.start}") from None
    kind, target_id, text = _kind(cell, text)
    created = cell.get("account_creation_date")
    return Post(
        id=cell["tweetid"],
        account_id=cell["userid"],
        time_ms=time[0],
        resolution_ms=time[1],
        text=text,
        hashtags=fields.hashtags(_listed(cell["hashtags"]))
        if "hashtags" in cell
        else fields.hashtags_in(text),
        kind=kind,
        target_id=target_id,
        links=tuple(_listed(cell["urls"])) if "urls" in cell else (),
        client=cell.get("tweet_client_name"),
        language=fields.language(cell.get("tweet_language")),
        handle=cell.get("user_screen_name"),
        account_created_ms=fields.date_ms(created) if created else None,
        followers=_count(cell.get("follower_count")),
        following=_count(cell.get("following_count")),
        likes=_count(cell.get("like_count")),
        reposts=_count(cell.get("retweet_count")),
        replies=_count(cell.get("reply_count")),
        has_bio=_has_bio(cell),
    )


def _kind(cell: dict[str, str], text: str) -> tuple[Kind, str | None, str]:
    rest = fields.without_repost_prefix(text)
    reposted = cell.get("retweet_tweetid")
    if rest is not None or reposted or cell.get("is_retweet", "").lower() in _TRUE:
        return Kind.REPOST, reposted, text if rest is None else rest
    if quoted := cell.get("quoted_tweet_tweetid"):
        return Kind.QUOTE, quoted, text
    replied = cell.get("in_reply_to_tweetid")
    return (Kind.REPLY if replied else Kind.ORIGINAL), replied, text


def _unguarded(text: str) -> str:
    if len(text) > 2 and text.startswith(_GUARDED) and text.endswith("'"):
        return text[1:-1]
    return text


def _listed(cell: str) -> list[str]:
    """Items of "[a, b]" or "['a', 'b']"."""
    inner = cell.strip().removeprefix("[").removesuffix("]").strip()
    if inner[:1] in ("'", '"'):
        return [single or double for single, double in _QUOTED.findall(inner) if single or double]
    return [item for item in map(str.strip, _BETWEEN.split(inner)) if item]


def _count(cell: str | None) -> int | None:
    if cell is None:
        return None
    digits = cell.removesuffix(".0")  # what pandas makes of a column of counts with gaps
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        return None
    number = int(digits)
    return number if number <= fields.MAX_COUNT else None


def _has_bio(cell: dict[str, str]) -> bool | None:
    """An empty description is a bio left empty only where the dump carries profiles at all."""
    if not any(name in cell for name in _PROFILE):
        return None
    return "user_profile_description" in cell
