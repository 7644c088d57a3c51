"""What one core can do with posts at best: reading, texts, signatures and counts, and nothing that decides.

This is the bare loop that everything else is compared with. Every post pays for every step: that most texts
of a flood are known already is for the program to make use of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Final

import msgspec

from benchmarks.apart import peak_mib
from detectors.minhash import BANDS, HASHES, bands, grams, signatures
from detectors.text import canonical, reading
from streams import formats
from streams.posts import MINUTE_MS, Post

BATCH_POSTS: Final = 1_000

DECODE: Final = "read and decode"
CANONICAL: Final = "canonical text"
SIGNATURE: Final = f"signature of {HASHES} values"
BAND: Final = f"{BANDS} bands"
COUNT: Final = "count by hashtag and minute"
STEPS: Final = (DECODE, CANONICAL, SIGNATURE, BAND, COUNT)


class Limit(msgspec.Struct, frozen=True):
    """One pass over all posts; processor time of each step in microseconds a post."""

    posts: int
    steps_us: dict[str, float]
    peak_mib: float

    @property
    def us(self) -> float:
        """Microseconds of processor time a post costs."""
        return sum(self.steps_us.values())


def limit(lines: Iterable[bytes]) -> Limit:
    """Put all posts through the bare loop.

    Parameters
    ----------
    lines : iterable of bytes
        One post each; reading them counts.
    """
    spent_s = dict.fromkeys(STEPS, 0.0)
    counts: Counter[tuple[str, int]] = Counter()
    keys = done = 0
    rest = iter(lines)
    while True:
        marks = [process_time()]
        posts = _decoded(rest)
        marks.append(process_time())
        texts = [canonical(reading(post.text)) for post in posts]
        marks.append(process_time())
        signature = signatures(*grams(texts))
        marks.append(process_time())
        keys += bands(signature).size
        marks.append(process_time())
        for post in posts:
            minute = post.time_ms // MINUTE_MS
            for hashtag in post.hashtags:
                counts[hashtag, minute] += 1
        marks.append(process_time())
        if not posts:
            break
        done += len(posts)
        for step, begun_s, ended_s in zip(STEPS, marks, marks[1:], strict=False):
            spent_s[step] += ended_s - begun_s
    assert keys == done * BANDS, "every post must have been through every step"
    return Limit(done, {step: 1e6 * s / max(1, done) for step, s in spent_s.items()}, peak_mib())


def limit_of(path: Path) -> Limit:
    """The bare loop over a file, after its first posts have set up what is set up once."""
    with path.open("rb") as file:
        limit(islice(file, BATCH_POSTS))
        file.seek(0)
        return limit(file)


def _decoded(lines: Iterator[bytes]) -> list[Post]:
    decoded = [one for line in islice(lines, BATCH_POSTS) for one in formats.decode(line)]
    return [post for post in decoded if isinstance(post, Post)]
