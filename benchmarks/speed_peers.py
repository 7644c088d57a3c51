"""How long others take for the same: MinHash signatures, and whole jobs from posts to pairs of accounts.

Every job has a time limit and a memory limit; who does not keep them is named with the limit.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Final

import msgspec

from benchmarks import peers
from benchmarks.apart import ApartError, apart
from benchmarks.peers import NotRunError
from benchmarks.scan import scanned
from detectors.minhash import GRAM, HASHES, bands, grams, signatures
from detectors.text import canonical, reading
from streams import clock, formats
from streams.monitor import Rules
from streams.posts import Post

OURS: Final = "Floodmark"
DATASKETCH: Final = "datasketch"
RENSA: Final = "rensa"
SIGNED_TEXTS: Final = 2_000
LIMIT_BYTES: Final = 8 * 2**30
SEED: Final = 1

SCAN: Final = "Floodmark: scan"
PAIRS: Final = f"pairs of equal texts within {peers.WITHIN_S} s, joined in numpy"
SAME: Final = f"{peers.TOOLKIT}: co_tweet and co_retweet within {peers.WITHIN_S} s"
SIMILAR: Final = f"{peers.TOOLKIT}: co_similar_tweet within {peers.WITHIN_S} s"
IN_WINDOW: Final = f"{peers.TOOLKIT}: co_similar_tweet within two hours"
TOOLKIT: Final = {
    SAME: (("co_tweet", "co_retweet"), peers.WITHIN_S),
    SIMILAR: (("co_similar_tweet",), peers.WITHIN_S),
    IN_WINDOW: (("co_similar_tweet",), Rules().window_ms // 1_000),
}
"""By job: the toolkit's networks, and how many seconds apart posts may be."""

JOBS: Final = (SCAN, PAIRS, *TOOLKIT)


class Signed(msgspec.Struct, frozen=True):
    """Signatures of texts by one library: processor time of a text, or why there is none."""

    library: str
    texts: int
    us: float | None
    why: str = ""


class Job(msgspec.Struct, frozen=True):
    """One whole job: seconds on the wall, or why it was not done."""

    name: str
    posts: int
    seconds: float | None
    why: str = ""


def signed(case: Path) -> list[Signed]:
    """Every library over the same canonical texts, the gaps between them as they are."""
    return [_signed(library, case) for library in (OURS, DATASKETCH, RENSA)]


def _signed(library: str, case: Path) -> Signed:
    if library != OURS and importlib.util.find_spec(library) is None:
        return Signed(library, SIGNED_TEXTS, None, "not installed")
    try:
        texts, us = apart(sign, library, case, SIGNED_TEXTS)
    except ApartError as error:
        return Signed(library, SIGNED_TEXTS, None, str(error))
    return Signed(library, texts, us)


def sign(library: str, case: Path, count: int) -> tuple[int, float]:
    """Sign the first texts of a file; gives their number and the microseconds each took."""
    texts = [canonical(reading(post.text)) for post in _posts(case, count)]
    by: Callable[[Sequence[str]], object] = {
        OURS: _ours,
        DATASKETCH: _datasketch,
        RENSA: _rensa,
    }[library]
    by(texts[:100])  # what a library sets up at its first call is not the texts' fault
    begun_s = process_time()
    by(texts)
    return len(texts), 1e6 * (process_time() - begun_s) / max(1, len(texts))


def _ours(texts: Sequence[str]) -> object:
    return bands(signatures(*grams(texts)))


def _shingles(text: str) -> list[str]:
    return [text[at : at + GRAM] for at in range(max(1, len(text) - GRAM + 1))]


def _datasketch(texts: Sequence[str]) -> object:
    tokens = [[shingle.encode() for shingle in _shingles(text)] for text in texts]
    return _library(DATASKETCH).MinHash.bulk(tokens, num_perm=HASHES, seed=SEED)


def _rensa(texts: Sequence[str]) -> object:
    tokens = [_shingles(text) for text in texts]
    return _library(RENSA).RMinHash.digest_matrix_from_token_sets(tokens, num_perm=HASHES, seed=SEED)


def _library(name: str) -> Any:
    # By name: neither is needed for anything but this comparison, so neither need be there.
    return importlib.import_module(name)


def jobs(
    case: Path, posts: int, limit_s: float, folder: Path, given_up: Collection[str] = ()
) -> Iterator[Job]:
    """Every whole job over one file; each may take so long, and each step of the toolkit's.

    Those that were given up with fewer posts are not tried.
    """
    ours = {SCAN: partial(scan_s, case, folder), PAIRS: partial(pairs_s, case)}
    for name in JOBS:
        if name in given_up:
            yield Job(name, posts, None, "not tried: fewer were too many")
            continue
        try:
            if name in ours:
                seconds = apart(ours[name], limit_s=limit_s, limit_bytes=LIMIT_BYTES)
            else:  # it has processes of its own, which it ends itself
                seconds = toolkit_s(case, *TOOLKIT[name], limit_s)
            yield Job(name, posts, seconds)
        except (ApartError, NotRunError) as error:
            yield Job(name, posts, None, str(error))


def scan_s(case: Path, folder: Path) -> float:
    """Seconds of a scan."""
    return scanned(case, folder / "peer").seconds


def pairs_s(case: Path) -> float:
    """Seconds of the pair join, without reading the posts."""
    posts = _posts(case)
    begun_s = clock.monotonic_s()
    peers.pairs(posts)
    return clock.monotonic_s() - begun_s


def toolkit_s(case: Path, networks: Sequence[str], within_s: int, limit_s: float) -> float:
    """Seconds of the toolkit's own steps.

    Raises
    ------
    NotRunError
        If it is not installed, fails, or takes longer.
    """
    posts = _posts(case)
    begun_s = clock.monotonic_s()
    peers.edges(posts, networks, limit_s, within_s)
    return clock.monotonic_s() - begun_s


def _posts(case: Path, count: int | None = None) -> list[Post]:
    out: list[Post] = []
    with case.open("rb") as file:
        for line in file:
            if count is not None and len(out) >= count:
                break
            out += [one for one in formats.decode(line) if isinstance(one, Post)]
    return out
