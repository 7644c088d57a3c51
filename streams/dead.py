"""Dead letters: what the messages of the topic `posts.dead` hold, written and read. docs/dead-letters.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams import formats
from streams.posts import InvalidPost

MAX_LETTER_BYTES: Final = 900 * 2**10
"""Key, headers and value of a dead letter. Brokers take 1 MiB unless told otherwise, and nobody knows who
made the topic: a letter that is refused would stop its worker, and every worker after it, for ever."""

MAX_HEADER_BYTES: Final = 2_000
"""A reason shows what was wrong, and a format is whatever a connector wrote."""

ARCHIVE: Final = "archive:"
"""How the place of a record starts that `floodmark replay` could not send; its path follows."""

_VALUES: Final = re.compile(r"(?<![\w.])\d(?:[\d,.:TZ-]*[\dZ])?")


class NotALetter(ValueError):
    """A key or a message that is not one of a dead letter."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payload stood. A letter that is written again after a crash has the same place and so key.

    Attributes
    ----------
    topic : str
        `ARCHIVE` and a path for a record of an archive.
    partition : int
        0 for an archive.
    offset : int
        Of an archive: the line, counted from 1.
    line : int
        Of the message, counted from 0; 0 for an archive.
    part : int
        Which element of the line, counted from 0: a line may hold an array of posts.
    """

    topic: str
    partition: int
    offset: int
    line: int
    part: int = 0

    @property
    def key(self) -> str:
        """The key of its letter.

        >>> Place("posts", 3, 1201, 0).key
        'posts/3/1201/0/0'
        """
        topic = self.topic.encode(errors="backslashreplace").decode()  # paths may hold what is no UTF-8
        return f"{topic}/{self.partition}/{self.offset}/{self.line}/{self.part}"

    @property
    def archive(self) -> str | None:
        """The path of the archive it stood in; None if it came with a message."""
        return self.topic.removeprefix(ARCHIVE) if self.topic.startswith(ARCHIVE) else None

    @classmethod
    def parse(cls, key: str) -> Place:
        """The place that a key names; a path may hold slashes.

        >>> Place.parse("archive:2016/july.jsonl/0/17/0/0").archive
        '2016/july.jsonl'

        Raises
        ------
        NotALetter
        """
        topic, *numbers = key.rsplit("/", 4)
        if (
            len(numbers) < 4
            or not topic
            or not all(re.fullmatch("[0-9]{1,19}", number) for number in numbers)
        ):
            raise NotALetter(f"{key[:200]!r} is no key of a dead letter: one looks like posts/3/1201/0/0")
        return cls(topic, *map(int, numbers))


@dataclass(frozen=True, slots=True)
class Written:
    """A dead letter as a message."""

    key: bytes
    value: bytes
    headers: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a dead letter without its payload.

    Attributes
    ----------
    reason : str
    format : str or None
        What its message called its payloads; None: it was to be found out.
    size : int
        Bytes of the payload.
    kept : int
        How many of them, from the beginning, are in the letter.
    offset : int
        Of the letter itself, on the topic of dead letters.
    at_ms : int
        Wall time at which it got there.
    """

    place: Place
    reason: str
    format: str | None
    size: int
    kept: int
    offset: int
    at_ms: int

    @property
    def is_cut(self) -> bool:
        """Whether the letter holds only the beginning of its payload."""
        return self.kept < self.size


def written(place: Place, invalid: InvalidPost, format: str | None) -> Written:
    """The message that a dead letter becomes, cut to `MAX_LETTER_BYTES`."""
    key, payload = place.key.encode(), invalid.payload
    headers = {
        "reason": _header(invalid.reason),
        "topic": _header(place.topic),
        "partition": _header(place.partition),
        "offset": _header(place.offset),
        "line": _header(place.line),
    }
    if format is not None:
        headers["format"] = _header(format)
    if len(payload) > _room(key, headers):
        headers["truncated"] = _header(len(payload))
        payload = payload[: _room(key, headers)]
    return Written(key, payload, headers)


def read(
    key: bytes | None, value: bytes, headers: Mapping[str, bytes | None], offset: int, at_ms: int
) -> Letter:
    """The letter that a message of the topic is.

    Raises
    ------
    NotALetter
    """
    said = {name: (text or b"").decode(errors="replace") for name, text in headers.items()}
    size = said.get("truncated", "")
    return Letter(
        place=Place.parse((key or b"").decode(errors="replace")),
        reason=said.get("reason", ""),
        format=said.get("format"),
        size=int(size) if re.fullmatch("[0-9]{1,18}", size) else len(value),
        kept=len(value),
        offset=offset,
        at_ms=at_ms,
    )


def kind(reason: str) -> str:
    """A reason without the values that were wrong, by which letters can be counted.

    >>> kind("not JSON: unexpected end, starting 'abc'"), kind("2,000 bytes are more than 1,000")
    ('not JSON', '… bytes are more than …')
    """
    return _VALUES.sub("…", reason.split(": ", 1)[0])


def found_in(message: bytes, format: str | None, letter: Letter, beginning: bytes) -> bytes | None:
    """The whole payload of a letter, from the message it came with; None if that is another message.

    Parameters
    ----------
    message : bytes
        The value at the letter's place.
    format : str or None
        The message's header.
    beginning : bytes
        What the letter holds of its payload.
    """

    def is_it(payload: bytes) -> bool:
        return len(payload) == letter.size and payload.startswith(beginning)

    if is_it(message):  # a message whose rows outgrow a packet is dead as a whole
        return message
    lines = message.split(b"\n")
    if letter.place.line >= len(lines):
        return None
    pieces = formats.pieces(lines[letter.place.line], format)
    payload = pieces[letter.place.part][0] if letter.place.part < len(pieces) else b""
    return payload if is_it(payload) else None


def _header(value: str | int) -> bytes:
    return str(value).encode(errors="backslashreplace")[:MAX_HEADER_BYTES]


def _room(key: bytes, headers: Mapping[str, bytes]) -> int:
    return MAX_LETTER_BYTES - len(key) - sum(len(name) + len(value) for name, value in headers.items())
