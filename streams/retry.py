"""`floodmark dead retry`: the payloads of dead letters sent again, and then their letters removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streams import clock, dead_topic, formats, topics
from streams.dead import Letter
from streams.dead_topic import NotKept
from streams.pipeline import FORMAT
from streams.posts import InvalidPost, not_ahead
from streams.sending import TooLarge, Topic, producing
from streams.settings import Settings

BATCH_BYTES: Final = 2**20
BATCH_LETTERS: Final = 500
"""Letters are removed together once the payloads of all of them are with the broker."""


class Fate(StrEnum):
    """What became of a letter."""

    SENT = "sent again"
    REFUSED = "still unreadable"
    NOT_KEPT = "not kept whole"
    TOO_LARGE = "too large for a message"


@dataclass(frozen=True, slots=True)
class Judged:
    """A letter, what is to become of it, why if it is not sent, and its payload if it is."""

    letter: Letter
    fate: Fate
    why: str = ""
    payload: bytes = b""


Told = Callable[[Judged], None]


def retry(
    settings: Settings,
    letters: Sequence[Letter],
    *,
    format: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    told: Told = lambda one: None,
) -> Counter[Fate]:
    """Send the payloads of letters to `posts` again and remove the letters.

    A letter goes only when the broker has its payload. So a crash in between leaves a letter whose payload
    was sent; sent once more it changes nothing, because the same post counts once.

    Parameters
    ----------
    letters : as `dead_topic` gives them
    format : str, optional
        One of `formats.FORMATS`; what each message said before if not given.
    force : bool
        Send even what the formats still cannot read.
    dry_run : bool
        Say what would become of each letter, and do nothing.
    told : callable, optional
        Called with every letter once its fate is known.

    Raises
    ------
    BrokerError
        If the broker is away or refuses a message; what was not sent keeps its letter.
    TopicMismatchError
        If the topics do not fit the settings.
    """
    topics.ensure(settings)
    judged: Iterable[Judged] = (
        judge(settings, letter, content, format=format, force=force)
        for letter, content in dead_topic.contents(settings, letters)
    )
    fates: Counter[Fate] = Counter()
    with ExitStack() as exits:
        if not dry_run:
            judged = _sent(settings, judged, format, exits)
        for one in judged:
            fates[one.fate] += 1
            told(one)
    return fates


def judge(
    settings: Settings, letter: Letter, content: bytes, *, format: str | None = None, force: bool = False
) -> Judged:
    """Whether a worker could read a letter's payload now.

    It could if there is a post in it, or a notice: what else is in it becomes letters of its own.

    Parameters
    ----------
    content : bytes
        What the letter holds.
    """
    try:
        payload = dead_topic.whole(settings, letter, content)
    except NotKept as missing:
        return Judged(letter, Fate.NOT_KEPT, str(missing))
    why = refusal(settings, payload, format or letter.format)
    if why is None or force:
        return Judged(letter, Fate.SENT, payload=payload)
    return Judged(letter, Fate.REFUSED, why)


def refusal(settings: Settings, payload: bytes, format: str | None) -> str | None:
    """Why a worker would make a dead letter of a payload that came now; None if it reads something in it."""
    latest_ms = clock.now_ms() + settings.max_ahead_s * 1_000
    reasons = ["there is nothing in it"]
    for line in lines(payload):
        results = [not_ahead(one, latest_ms, line) for one in formats.decode(line, format)]
        reasons += [result.reason for result in results if isinstance(result, InvalidPost)]
        if not all(isinstance(result, InvalidPost) for result in results):
            return None
    return reasons[-1]


def lines(payload: bytes) -> list[bytes]:
    """The messages a payload is sent as: one a line.

    A message whose rows outgrew a packet is dead as a whole; as one message it would be so again.
    """
    return [line for line in payload.split(b"\n") if line.strip()]


def _sent(
    settings: Settings, judged: Iterable[Judged], format: str | None, exits: ExitStack
) -> Iterator[Judged]:
    max_bytes = topics.max_message_bytes(settings, settings.posts_topic)
    posts = exits.enter_context(producing(settings, max_bytes=max_bytes))
    graves = exits.enter_context(producing(settings, settings.dead_topic))
    for batch in _batches(judged):
        tried = [_send(settings, posts, one, format) for one in batch]
        posts.flush()
        for one in tried:
            if one.fate is Fate.SENT:
                graves.send(None, [], 0, one.letter.place.key.encode())
        graves.flush()
        yield from tried


def _send(settings: Settings, posts: Topic, one: Judged, format: str | None) -> Judged:
    if one.fate is not Fate.SENT:
        return one
    named = format or one.letter.format
    headers = [] if named is None else [(FORMAT, named.encode())]
    partition = one.letter.place.partition % settings.partitions
    try:
        for line in lines(one.payload):
            posts.send(line, headers, partition)
    except TooLarge as refused:
        return Judged(one.letter, Fate.TOO_LARGE, str(refused))
    return one


def _batches(judged: Iterable[Judged]) -> Iterator[list[Judged]]:
    batch: list[Judged] = []
    size = 0
    for one in judged:
        batch.append(one)
        size += len(one.payload)
        if len(batch) >= BATCH_LETTERS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
