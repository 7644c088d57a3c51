"""From messages of the topic `posts` to packets and dead letters. A pure function: all that `ingest` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams import formats
from streams.packets import Packet, pack
from streams.posts import InvalidPost, Post

PUNCTUATION: Final = "floodmark-punctuation"
"""Header of a message without posts; its value says what it means."""

END: Final = b"end"
"""Punctuation: nothing more will come on this partition, so that the last windows close."""

FORMAT: Final = "format"
"""Header that names the format of a message's payloads; without it they are sniffed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the topic `posts`: payloads separated by newlines, or a punctuation."""

    offset: int
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A payload that could not be read, and where it came from."""

    offset: int
    line: int
    invalid: InvalidPost


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a micro-batch. `counts` has posts, untagged, control and invalid."""

    packets: list[Packet]
    dead: list[DeadLetter]
    counts: Mapping[str, int]


def ingest(batch: Sequence[Message], source: int, start: int, partitions: int) -> Ingested:
    """Decode a micro-batch of consecutive messages of one source partition.

    Parameters
    ----------
    batch : not empty, by rising offset
    start : int
        The offset after the last message handled before; a hole in the offsets (a transaction marker)
        belongs to the batch that follows it.
    partitions : int
        Number of destination partitions.
    """
    posts: list[tuple[int, Post]] = []
    dead: list[DeadLetter] = []
    counts: Counter[str] = Counter(posts=0, untagged=0, control=0, invalid=0)
    ended = False
    for message in batch:
        if PUNCTUATION in message.headers:
            ended = message.headers[PUNCTUATION] == END
            continue
        named = message.headers.get(FORMAT)
        format_name = named.decode("ascii", "replace") if named else None
        for line, payload in enumerate(message.value.split(b"\n")):
            if not payload.strip():
                continue
            for result in formats.decode(payload, format_name):
                if isinstance(result, Post):
                    posts.append((message.offset, result))
                    counts["posts" if result.hashtags else "untagged"] += 1
                elif isinstance(result, InvalidPost):
                    dead.append(DeadLetter(message.offset, line, result))
                    counts["invalid"] += 1
                else:
                    counts["control"] += 1
    end = batch[-1].offset + 1
    return Ingested(pack(posts, source, start, end, partitions, ended=ended), dead, counts)
