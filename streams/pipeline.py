"""From messages of the topic `posts` to packets and dead letters. A pure function: all that `ingest` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams import formats
from streams.packets import Packet, pack
from streams.posts import InvalidPost, Post, not_ahead

PUNCTUATION: Final = "floodmark-punctuation"
"""Header of a message without posts; its value says what it means."""

BEGIN: Final = b"begin"
"""Punctuation: an archive begins on this partition, and until its end silence means nothing."""

END: Final = b"end"
"""Punctuation: nothing more will come on this partition, so that the last windows close."""

FORMAT: Final = "format"
"""Header that names the format of a message's payloads; without it they are sniffed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the topic `posts`: payloads separated by newlines, or a punctuation.

    Attributes
    ----------
    arrived_ms : int or None
        Wall time at which the broker took it. The log keeps it, so that a message that is read again is
        judged as it was the first time.
    """

    offset: int
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)
    arrived_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A payload that could not be read, and where it came from.

    Attributes
    ----------
    offset : int
        Of its message.
    line, part : int
        Its place in the message and in that line, both counted from 0.
    format : str or None
        What the message called its payloads.
    """

    offset: int
    line: int
    invalid: InvalidPost
    part: int = 0
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a micro-batch. `counts` has posts, untagged, control and invalid.

    `spared` is the number of rows that are in no packet, as their owner would leave them out.
    """

    packets: list[Packet]
    dead: list[DeadLetter]
    counts: Mapping[str, int]
    spared: int = 0


def format_of(headers: Mapping[str, bytes]) -> str | None:
    """What a message calls its payloads; None if it does not say.

    >>> format_of({"format": b"x_io"}), format_of({})
    ('x_io', None)
    """
    named = headers.get(FORMAT)
    return named.decode("ascii", "replace") if named else None


def ingest(
    batch: Sequence[Message],
    source: int,
    start: int,
    partitions: int,
    max_ahead_ms: int | None = None,
) -> Ingested:
    """Decode a micro-batch of consecutive messages of one source partition.

    Parameters
    ----------
    batch : not empty, by rising offset
    start : int
        The offset after the last message handled before; a hole in the offsets (a transaction marker)
        belongs to the batch that follows it.
    partitions : int
        Number of destination partitions.
    max_ahead_ms : int, optional
        How far after a message's arrival its posts may be dated; see `posts.not_ahead`.
    """
    posts: list[tuple[int, Post]] = []
    dead: list[DeadLetter] = []
    counts: Counter[str] = Counter(posts=0, untagged=0, control=0, invalid=0)
    begun = ended = False
    for message in batch:
        if PUNCTUATION in message.headers:
            begun = message.headers[PUNCTUATION] == BEGIN
            ended = message.headers[PUNCTUATION] == END
            continue
        latest_ms = None
        if max_ahead_ms is not None and message.arrived_ms is not None:
            latest_ms = message.arrived_ms + max_ahead_ms
        format_name = format_of(message.headers)
        for line, payload in enumerate(message.value.split(b"\n")):
            if not payload.strip():
                continue
            for part, (piece, decoded) in enumerate(formats.pieces(payload, format_name)):
                result = not_ahead(decoded, latest_ms, piece)
                if isinstance(result, Post):
                    posts.append((message.offset, result))
                    counts["posts" if result.hashtags else "untagged"] += 1
                elif isinstance(result, InvalidPost):
                    dead.append(DeadLetter(message.offset, line, result, part, format_name))
                    counts["invalid"] += 1
                else:
                    counts["control"] += 1
    end = batch[-1].offset + 1
    return Ingested(pack(posts, source, start, end, partitions, begun=begun, ended=ended), dead, counts)
