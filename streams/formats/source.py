"""One archive file as lines of text: opened, unpacked, and refused where it is not text at all."""

from __future__ import annotations

import codecs
import itertools
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final, Protocol

import zstandard

STDIN: Final = "-"
BLOCK_BYTES: Final = 1 << 16

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_FOREIGN: Final = {
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"BZh": "compressed with bzip2: unpack it with bunzip2 first",
    b"\xfd7zXZ": "compressed with xz: unpack it with unxz first",
    b"PAR1": "a Parquet file: export it as JSON lines or CSV first",
    codecs.BOM_UTF16_LE: "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8 first",
    codecs.BOM_UTF16_BE: "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8 first",
}


class Unreadable(ValueError):
    """A whole file cannot be read; the message is one line that names the file and the remedy."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _new_gzip() -> _Decompressor:
    return zlib.decompressobj(wbits=31)


def _new_zstd() -> _Decompressor:
    return zstandard.ZstdDecompressor().decompressobj()


@dataclass(slots=True)
class Source:
    """One file's bytes on disk, and how many of them were consumed."""

    path: str
    consumed: int = 0

    def blocks(self) -> Iterator[bytes]:
        """The bytes as they lie on disk."""
        if self.path == STDIN:
            yield from self._blocks(sys.stdin.buffer)
            return
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - closed below; opening and reading fail differently
        except FileNotFoundError:
            raise Unreadable(f"{self.path} is not there: check the name") from None
        except IsADirectoryError:
            raise Unreadable(f"{self.path} is a folder: name the files in it") from None
        except OSError as error:
            raise Unreadable(f"{self.path} cannot be opened: {error.strerror}") from error
        with file:
            yield from self._blocks(file)

    def _blocks(self, file: IO[bytes]) -> Iterator[bytes]:
        while block := file.read(BLOCK_BYTES):
            self.consumed += len(block)
            yield block

    def unpacked(self) -> Iterator[bytes]:
        """The bytes, decompressed if they are compressed."""
        blocks = self.blocks()
        first = next(blocks, b"")
        while len(first) < 4 and (more := next(blocks, b"")):
            first += more
        if not first:
            raise Unreadable(f"{self.path} is empty: there is nothing to read")
        blocks = itertools.chain([first], blocks)
        if first.startswith(_GZIP):
            return self._decompressed(blocks, _new_gzip, "gzip")
        if first.startswith(_ZSTD):
            return self._decompressed(blocks, _new_zstd, "zstd")
        return blocks

    def _decompressed(
        self, blocks: Iterator[bytes], new: Callable[[], _Decompressor], name: str
    ) -> Iterator[bytes]:
        member = new()
        for block in blocks:
            rest = block
            while rest:
                if member.eof:  # files joined end to end are one file
                    rest = rest.lstrip(b"\0")  # tape and disk images pad with these
                    if not rest:
                        break
                    member = new()
                try:
                    out = member.decompress(rest)
                except (zlib.error, zstandard.ZstdError) as error:
                    raise Unreadable(
                        f"{self.path} is damaged: its {name} data cannot be unpacked near byte "
                        f"{self.consumed} ({error}); fetch it again"
                    ) from error
                rest = member.unused_data if member.eof else b""
                if out:
                    yield out
        if not member.eof:
            raise Unreadable(
                f"{self.path} is cut short: its {name} data breaks off at byte {self.consumed}; "
                "fetch it again"
            )

    def lines(self) -> Iterator[bytes]:
        """Lines without their ends, from the unpacked bytes of a text file."""
        blocks = self.unpacked()
        first = next(blocks, b"")
        self._require_text(first)
        waiting: list[bytes] = []
        for block in itertools.chain([first.removeprefix(codecs.BOM_UTF8)], blocks):
            head, newline, tail = block.partition(b"\n")
            if not newline:
                waiting.append(block)
                continue
            yield b"".join([*waiting, head])
            *whole, last = tail.split(b"\n")
            yield from whole
            waiting = [last]
        if rest := b"".join(waiting):
            yield rest

    def _require_text(self, first: bytes) -> None:
        for magic, what in _FOREIGN.items():
            if first.startswith(magic):
                raise Unreadable(f"{self.path} is {what}")
        if b"\0" in first:
            raise Unreadable(f"{self.path} is a binary file: Floodmark reads JSON and CSV text")
        try:
            codecs.getincrementaldecoder("utf-8")().decode(first)
        except UnicodeDecodeError as error:
            raise Unreadable(
                f"{self.path} is not UTF-8 text at byte {error.start}: convert it with iconv -t UTF-8 first"
            ) from None
