"""The files of a scan: what stands in them, and how parts that several processes wrote become one."""

from __future__ import annotations

import csv
import heapq
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import msgspec

from detectors.table import DAY_MS, fields
from streams.clock import iso
from streams.ledger import Ledger
from streams.monitor import Evicted

SUFFIX: Final = ".part"
"""Files carry this until the scan is done: an interrupted scan leaves nothing that looks complete."""

ALERTS, ASSESSMENTS, POSTS, ACCOUNTS = "alerts.jsonl", "assessments.jsonl", "posts.csv", "accounts.csv"
REJECTS, REPORT = "rejects.jsonl", "report.html"

_HEADS: Final = {
    POSTS: ("post_id", "hashtag", "coordinated", "text_group", "reason"),
    ACCOUNTS: ("account_id", "handle", "hashtag", "coordinated", "posts", "score", "created_at"),
}
_SHARED: Final = (ASSESSMENTS, POSTS, ACCOUNTS)
"""What each part of a scan has its own share of."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LENGTH_BYTES: Final = 4

Place = tuple[int, str]
"""Where a piece stands in its file: a time in milliseconds, then a hashtag. No two parts have the same."""

Put = Callable[[str, Place, str], None]
"""Takes a piece of a file: its name, its place and its text; of one part and file, places never fall."""


def posts_text(left: Evicted, ledger: Ledger) -> str:
    """Lines of posts that no later window holds; what is said of them is final."""
    hashtag, strings = _cell(left.hashtag), left.strings
    prints = zip(_POST.iter_unpack(left.rows.tobytes()), ledger.settle(left), strict=True)
    return _lines(
        (
            _cell(strings.get(key, str(key))),
            hashtag,
            int(reason is not None),
            ledger.group(left.hashtag, text),
            reason or "",
        )
        for (key, text), reason in prints
    )


def accounts_text(hashtag: str, ledger: Ledger) -> str:
    """Lines of the accounts of a hashtag: coordinated ones and busy ones first."""
    name = _cell(hashtag)
    return _lines(
        (
            _cell(account.id),
            _cell(account.handle),
            name,
            int(account.score is not None),
            account.posts,
            "" if account.score is None else f"{account.score:.3f}",
            "" if account.created_day is None else _day(account.created_day),
        )
        for account in ledger.accounts(hashtag)
    )


_POST: Final = fields("post", "text")


@lru_cache(maxsize=10_000)
def _day(day: int) -> str:
    return iso(day * DAY_MS)


class _Told:
    """A file for `csv` that says what is written to it."""

    write = staticmethod(str)


_LINE: Final[Callable[[Iterable[object]], str]] = csv.writer(_Told(), lineterminator="\n").writerow


def _lines(rows: Iterable[Iterable[object]]) -> str:
    return "".join(map(_LINE, rows))


def _cell(text: str) -> str:
    """A stranger's text without control characters, which spreadsheets and terminals obey or choke on."""
    return text if text.isprintable() else _CONTROL.sub(" ", text)


class Files:
    """The output files while they are written; on the way out of an error they are removed."""

    def __init__(self, out: Path) -> None:
        self._paths = {name: out / (name + SUFFIX) for name in (ALERTS, *_SHARED)}
        self._open: dict[str, IO[str]] = {}

    def __enter__(self) -> Files:
        for name, path in self._paths.items():
            self._open[name] = path.open("w", encoding="utf-8", newline="")
        for name, head in _HEADS.items():
            self._open[name].write(_lines([head]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()
        if kind is not None:
            for path in self._paths.values():
                path.unlink(missing_ok=True)

    def put(self, name: str, place: Place, text: str) -> None:
        """Append a piece to a file; see `Put`."""
        self._open[name].write(text)

    def alerts(self, lines: Iterable[bytes]) -> None:
        """Write the alerts."""
        self._open[ALERTS].writelines(line.decode() + "\n" for line in lines)

    def join(self, folders: Iterable[Path]) -> None:
        """Append what parts have kept, each piece in its place."""
        every = list(folders)
        for name in _SHARED:
            for place, text in heapq.merge(*(_kept(folder / name) for folder in every), key=itemgetter(0)):
                self.put(name, place, text)


class Kept:
    """The pieces of one part, with their places, in files of their own until all parts are there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exits = ExitStack()

    def __enter__(self) -> Kept:
        self._open = {name: self._exits.enter_context((self._folder / name).open("wb")) for name in _SHARED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def put(self, name: str, place: Place, text: str) -> None:
        """Keep a piece of a file; see `Put`."""
        piece = msgspec.msgpack.encode((place, text))
        self._open[name].write(len(piece).to_bytes(_LENGTH_BYTES, "little") + piece)


_PIECE: Final = msgspec.msgpack.Decoder(tuple[Place, str])


def _kept(path: Path) -> Iterator[tuple[Place, str]]:
    with path.open("rb") as file:
        while length := file.read(_LENGTH_BYTES):
            yield _PIECE.decode(file.read(int.from_bytes(length, "little")))


def publish(out: Path) -> None:
    """Give the files of a scan that is done their names."""
    for name in (ALERTS, *_SHARED):
        os.replace(out / (name + SUFFIX), out / name)
    publish_rejects(out)


def publish_rejects(out: Path) -> None:
    """Give what could not be read its name; if nothing could not, that of an earlier scan goes."""
    (out / REJECTS).unlink(missing_ok=True)
    if (out / (REJECTS + SUFFIX)).exists():
        os.replace(out / (REJECTS + SUFFIX), out / REJECTS)
