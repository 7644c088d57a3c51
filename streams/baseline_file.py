"""A baseline learnt from an archive, in a file that people can read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from detectors.baseline import Baseline
from detectors.hour import Sums, Tally
from streams.settings import Settings, variable

VERSION: Final = 1


class UnusableBaseline(ValueError):
    """A file that holds no baseline of this version; one line with its name and the remedy."""


class _File(msgspec.Struct, frozen=True):
    """Each tally as its cells and their counts; see `detectors.hour.Sums`."""

    version: int
    digest: str
    days: tuple[list[int], list[int]]
    clients: tuple[list[int], list[int]]
    following: tuple[list[int], list[int]]
    gaps: tuple[list[int], list[int]]
    copies: tuple[int, int, int]


_DECODER: Final = msgspec.json.Decoder(_File)


def write(path: Path, sums: Sums) -> None:
    """Write what was counted; the same counts give the same bytes."""
    days, clients, following, gaps = ((tally.cells.tolist(), tally.counts.tolist()) for tally in sums.tallies)
    held = _File(VERSION, sums.digest, days, clients, following, gaps, sums.copies)
    path.write_bytes(msgspec.json.encode(held) + b"\n")


def read(path: Path) -> Sums:
    """What `write` was given.

    Raises
    ------
    UnusableBaseline
    """
    remedy = "make one with `floodmark baseline learn`"
    try:
        held = _DECODER.decode(path.read_bytes())
    except OSError as error:
        raise UnusableBaseline(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    except msgspec.MsgspecError as error:
        raise UnusableBaseline(f"{path} holds no baseline ({error}); {remedy}") from error
    if held.version != VERSION:
        raise UnusableBaseline(f"{path} is of version {held.version}, this is {VERSION}; {remedy}")
    tallies = [
        Tally(np.array(cells, np.int64), np.array(counts, np.int64))
        for cells, counts in (held.days, held.clients, held.following, held.gaps)
    ]
    days, clients, following, gaps = tallies
    sums = Sums(days, clients, following, gaps, held.copies)
    if sums.digest != held.digest:
        raise UnusableBaseline(f"{path} was changed: its counts are not those it names; {remedy}")
    return sums


def of(settings: Settings) -> Baseline:
    """The baseline that a deployment begins with.

    Raises
    ------
    UnusableBaseline
        If the file that the settings name cannot be used.
    """
    if not settings.baseline:
        return Baseline.prior()
    try:
        return Baseline.prior().founded_on(read(Path(settings.baseline)))
    except UnusableBaseline as error:
        raise UnusableBaseline(f"{variable('baseline')}: {error}") from error
