"""Archive files of posts, read in the order of the file or in the order of event time.

Files may be plain, gzip or zstd, told apart by their first bytes; JSON lines, JSON documents (search pages,
arrays, pretty-printed) or CSV, told apart by their first lines.
"""

from __future__ import annotations

import csv
import errno
import itertools
import mmap
import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Final

import msgspec
import numpy as np

from streams import formats
from streams.clock import iso
from streams.formats import Decoded, native, x_io
from streams.formats.source import STDIN, Source, Unreadable
from streams.posts import Control, InvalidPost, Post

RECOGNISED_WITHIN: Final = 100
"""A file none of whose first 100 records is of a known format is refused, not rejected line by line."""

MAX_REJECT_CHARS: Final = 2_000

__all__ = [
    "STDIN",
    "Disorder",
    "Record",
    "Rejects",
    "Unreadable",
    "checked",
    "in_time_order",
    "ordered",
    "read",
    "total_bytes",
]

Progress = Callable[[int], None]


class Disorder(ValueError):
    """A post is further behind the newest than the allowed lateness: the archive must be sorted first."""


class Record(msgspec.Struct, frozen=True):
    """One line, one status of a page, or one CSV row.

    Attributes
    ----------
    payload : bytes
        One line of JSON that gives `posts` again when decoded as `format`, fit for a topic; of a CSV row that
        is no post, the row as it stood; empty for a blank line.
    path : str
    line : int
        Where it begins, from 1.
    posts : list
        What it holds: one `Post`, `InvalidPost` or `Control`.
    format : str or None
        What `payload` is to be decoded as; None: it is found out from the payload.
    """

    payload: bytes
    path: str
    line: int
    posts: list[Decoded]
    format: str | None = None

    @property
    def time_ms(self) -> int | None:
        """Event time of its post, None without one."""
        for post in self.posts:
            if isinstance(post, Post):
                return post.time_ms
        return None


def total_bytes(paths: Sequence[str]) -> int | None:
    """Sum of the sizes on disk, for progress; None where one of them is standard input or is not there."""
    if STDIN in paths:
        return None
    try:
        return sum(os.path.getsize(path) for path in paths)
    except OSError:
        return None


def read(
    paths: Sequence[str], format: str | None = None, *, progress: Progress | None = None
) -> Iterator[Record]:
    """What the files hold, in the order given and the order within each; "-" is standard input.

    Parameters
    ----------
    paths : sequence of str
    format : str, optional
        One of `formats.FORMATS`; found out from each file when None.
    progress : callable, optional
        Called with the number of bytes consumed so far, as they are on disk, over all files.

    Raises
    ------
    Unreadable
        `format` is unknown, or as soon as something that concerns a whole file is found wrong.
    """
    if format is not None and format not in formats.FORMATS:
        raise Unreadable(formats.unknown_format(format))
    before = 0
    for path in paths:
        consumed = 0
        for consumed, record in _recognised(path, _records(path, format)):
            if progress is not None:
                progress(before + consumed)
            yield record
        before += consumed


def ordered(
    paths: Sequence[str],
    format: str | None,
    lateness_ms: int,
    *,
    spool: bool = False,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """As `read`, in event-time order up to the allowed lateness.

    Most archives are in order, so this reads straight on and raises `Disorder` when that turns out wrong;
    then start again with ``spool=True``, which sorts on disk first. Standard input, which cannot be read
    twice, is always spooled::

        try:
            return analyse(ordered(paths, format, lateness_ms))
        except Disorder:
            return analyse(ordered(paths, format, lateness_ms, spool=True))

    Raises
    ------
    Disorder, Unreadable
    """
    records = read(paths, format, progress=progress)
    if spool or STDIN in paths:
        return in_time_order(records)
    return checked(records, lateness_ms)


def checked(records: Iterator[Record], lateness_ms: int) -> Iterator[Record]:
    """The records as they come.

    Raises
    ------
    Disorder
        A post is more than `lateness_ms` behind the newest so far.
    """
    newest: int | None = None
    for record in records:
        time_ms = record.time_ms
        if time_ms is not None:
            if newest is not None and time_ms < newest - lateness_ms:
                raise Disorder(
                    f"{record.path} line {record.line}: the post of {iso(time_ms)} comes after one of "
                    f"{iso(newest)}; the archive must be sorted by time first"
                )
            newest = time_ms if newest is None else max(newest, time_ms)
        yield record


# -------------------------------------------------------------------------------------------- sorting


class _Unread(msgspec.Struct, array_like=True):
    """How a record that is no post is spooled: what was said of it cannot be found out from its payload."""

    payload: bytes
    reason: str | None
    control: str | None


_UNREAD = msgspec.msgpack.Decoder(_Unread)
_NOT_A_POST: Final = 255
_BEFORE_ALL: Final = -(2**63)


@dataclass(slots=True)
class _Index:
    """Where each spooled record lies; 29 bytes a record."""

    time_ms: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))
    path: array[int] = field(default_factory=lambda: array("i"))
    kind: array[int] = field(default_factory=lambda: array("B"))


def in_time_order(records: Iterator[Record]) -> Iterator[Record]:
    """All records by event time, those of one time in the order they came.

    A record without a post keeps its place behind the record before it. Payloads are spooled to a temporary
    file (in TMPDIR); only an index of 29 bytes a record, and as much again while sorting, is in memory.

    Raises
    ------
    Unreadable
        From the records, or because the temporary file does not fit on its disk.
    """
    try:
        yield from _sorted_on_disk(records)
    except OSError as error:  # also from closing the file, which writes what was not written yet
        if error.errno != errno.ENOSPC:
            raise
        raise Unreadable(
            f"no room in {tempfile.gettempdir()} to sort the archive: set TMPDIR to a folder with room "
            "for the unpacked posts"
        ) from error


def _sorted_on_disk(records: Iterator[Record]) -> Iterator[Record]:
    names: dict[str, int] = {}
    index = _Index()
    with tempfile.TemporaryFile() as spool:
        _spool(records, spool, index, names)
        if not index.time_ms:
            return
        paths = list(names)
        with mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ) as stored:
            for at in np.argsort(np.frombuffer(index.time_ms, np.int64), kind="stable"):
                entry = stored[index.offset[at] : index.offset[at + 1]]
                yield _restored(entry, index.kind[at], paths[index.path[at]], index.line[at])


def _spool(records: Iterator[Record], spool: IO[bytes], index: _Index, names: dict[str, int]) -> None:
    offset, last = 0, _BEFORE_ALL
    for record in records:
        time_ms = record.time_ms
        last = last if time_ms is None else time_ms
        if time_ms is None:
            entry, kind = _stored_unread(record), _NOT_A_POST
        else:
            entry = record.payload
            kind = 0 if record.format is None else 1 + formats.FORMATS.index(record.format)
        spool.write(entry)
        index.time_ms.append(last)
        index.offset.append(offset)
        index.line.append(record.line)
        index.path.append(names.setdefault(record.path, len(names)))
        index.kind.append(kind)
        offset += len(entry)
    index.offset.append(offset)
    spool.flush()


def _stored_unread(record: Record) -> bytes:
    result = record.posts[0]
    reason = result.reason if isinstance(result, InvalidPost) else None
    control = result.kind if isinstance(result, Control) else None
    return msgspec.msgpack.encode(_Unread(record.payload, reason, control))


def _restored(entry: bytes, kind: int, path: str, line: int) -> Record:
    if kind == _NOT_A_POST:
        unread = _UNREAD.decode(entry)
        result: Decoded = (
            Control(kind=unread.control)
            if unread.control is not None
            else InvalidPost(reason=unread.reason or "", payload=unread.payload)
        )
        return Record(unread.payload, path, line, [result])
    format = None if kind == 0 else formats.FORMATS[kind - 1]
    return Record(entry, path, line, formats.decode(entry, format), format)


# -------------------------------------------------------------------------------------------- rejects


class _Reject(msgspec.Struct):
    path: str
    line: int
    reason: str
    payload: str


@dataclass
class Rejects:
    """Writes what could not be read to a JSON-lines file, made only when there is something to write.

    Attributes
    ----------
    path : Path
    counts : Counter
        Rejects by category: the reason up to its first colon, without the value that was wrong.
    """

    path: Path
    counts: Counter[str] = field(default_factory=Counter)
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _out: BinaryIO | None = field(default=None, init=False, repr=False)

    def add(self, record: Record) -> None:
        """Write and count the invalid posts of a record, if it has any."""
        for post in record.posts:
            if isinstance(post, InvalidPost):
                self._write(_Reject(record.path, record.line, post.reason, _as_text(post.payload)))
                self.counts[post.reason.split(":", 1)[0]] += 1

    def _write(self, reject: _Reject) -> None:
        if self._out is None:
            self._out = self._open.enter_context(self.path.open("wb"))
        self._out.write(msgspec.json.encode(reject) + b"\n")

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _as_text(payload: bytes) -> str:
    text = payload[: 4 * MAX_REJECT_CHARS].decode(errors="backslashreplace")
    whole = len(payload) <= 4 * MAX_REJECT_CHARS and len(text) <= MAX_REJECT_CHARS
    return text if whole else f"{text[:MAX_REJECT_CHARS]}… (cut; {len(payload)} bytes in all)"


# ----------------------------------------------------------------------------- from lines to records

Numbered = tuple[int, bytes]


def _records(path: str, format: str | None) -> Iterator[tuple[int, Record]]:
    """Each record and the bytes consumed when it was read."""
    source = Source(path)
    records = _by_layout(path, format, enumerate(source.lines(), 1))
    for record in records:
        yield source.consumed, record


def _by_layout(path: str, format: str | None, lines: Iterator[Numbered]) -> Iterator[Record]:
    blank: list[Numbered] = []
    for first in lines:
        if first[1].strip():
            break
        blank.append(first)
    else:
        raise Unreadable(f"{path} has only blank lines: there is nothing to read")
    start = first[1].lstrip()[:1]
    if format == x_io.NAME and start not in (b"{", b"["):
        return _csv(path, first, lines)
    if start in (b"{", b"[") or format is not None:
        return _json(path, format, [*blank, first], lines)
    if b"," in first[1]:
        return _csv(path, first, lines)
    raise Unreadable(_no_known_format(path, f"it starts {_shown(first[1])}"))


def _json(
    path: str, format: str | None, read_before: list[Numbered], lines: Iterator[Numbered]
) -> Iterator[Record]:
    second = next(lines, None)
    if second is not None:
        lines = itertools.chain([second], lines)
    texts: Iterator[Numbered] = itertools.chain(read_before, lines)
    if _is_spread(read_before[-1][1], second[1] if second else None):
        texts = _documents(texts)
    for line, text in texts:
        payload = text.rstrip(b"\r")
        for piece, decoded in formats.pieces(payload, format):
            yield Record(piece, path, line, [decoded], format)


def _is_spread(first: bytes, second: bytes | None) -> bool:
    """Whether documents go over several lines, judged by the first two lines."""
    try:
        msgspec.json.decode(first, type=msgspec.Raw)
    except (ValueError, RecursionError):
        if second is None or first.rstrip().endswith(b"}"):
            return False  # one broken line
        return first.rstrip().endswith((b"{", b"[", b",", b":")) or not second.startswith(b"{")
    return False


def _documents(lines: Iterator[Numbered]) -> Iterator[Numbered]:
    """Lines joined into documents: one ends with a closing bracket that is a line of its own, and the next
    line opens another. Line breaks in JSON stand between tokens only, so they may become spaces."""
    begun, parts = 1, list[bytes]()
    for number, text in lines:
        line = text.rstrip()
        if parts and parts[-1] in (b"}", b"]") and line[:1] in (b"{", b"["):
            yield begun, b" ".join(parts)
            parts = []
        if line:
            begun = begun if parts else number
            parts.append(line)
    if parts:
        yield begun, b" ".join(parts)


def _csv(path: str, first: Numbered, lines: Iterator[Numbered]) -> Iterator[Record]:
    taken: list[bytes] = []
    at = first[0]

    def text_lines() -> Iterator[str]:
        nonlocal at
        for number, line in itertools.chain([first], lines):
            if not taken:
                at = number
            taken.append(line)
            yield line.decode(errors="surrogateescape") + "\n"

    reader = csv.reader(text_lines())
    header = next(reader)
    missing = x_io.missing(header)
    if missing:
        raise Unreadable(
            f"{path} is a CSV file without the columns {', '.join(missing)}; it has "
            f"{', '.join(map(repr, header))}. Floodmark reads X Information Operations archives; rename the "
            "columns or convert the file to Floodmark's own format"
        )
    taken.clear()
    while True:
        decoded: Post | InvalidPost
        try:
            row = next(reader, None)
        except csv.Error as error:
            decoded = InvalidPost(
                reason=f"not CSV: {error}; is a quote left open?", payload=b"\n".join(taken)
            )
        else:
            if row is None:
                return
            if not row:
                taken.clear()
                continue
            decoded = x_io.rows(header, row)
        yield _csv_record(path, at, decoded, b"\n".join(taken).rstrip(b"\r"))
        taken.clear()


def _csv_record(path: str, line: int, decoded: Post | InvalidPost, raw: bytes) -> Record:
    if isinstance(decoded, Post):
        try:
            return Record(formats.encode(decoded), path, line, [decoded], native.NAME)
        except UnicodeEncodeError as error:  # stray bytes, kept as lone surrogates up to here
            decoded = InvalidPost(reason=f"not UTF-8: {_shown(raw[:40])}; {error.reason}", payload=raw)
    return Record(raw, path, line, [InvalidPost(reason=decoded.reason, payload=raw)])


def _recognised(path: str, records: Iterator[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    """The records, unless none of the first of them is of a known format."""
    held: list[tuple[int, Record]] = []
    foreign: InvalidPost | None = None
    for numbered in records:
        held.append(numbered)
        result = numbered[1].posts[0]
        if isinstance(result, InvalidPost) and result.reason.startswith(formats.FOREIGN):
            foreign = result
        elif not isinstance(result, Control):
            foreign = None
            break
        if len(held) == RECOGNISED_WITHIN:
            break
    if foreign is not None:
        raise Unreadable(_no_known_format(path, foreign.reason))
    yield from held
    yield from records


def _no_known_format(path: str, why: str) -> str:
    return (
        f"{path} is of no known format ({why}); Floodmark reads {', '.join(formats.FORMATS)}: name one with "
        "--format, or see docs/formats.md on converting"
    )


def _shown(text: bytes) -> str:
    return repr(text[:40].decode(errors="backslashreplace"))
