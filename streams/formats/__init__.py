"""From what a platform sent to posts: `decode`. Floodmark's own format: `encode`.

Bad input is never an exception here: it becomes an `InvalidPost` that says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from streams.formats import fields, native, x_io, x_v1
from streams.formats.fields import NotAPostError
from streams.formats.native import encode
from streams.posts import Control, InvalidPost, Post

__all__ = ["FOREIGN", "FORMATS", "Decoded", "decode", "encode", "pieces", "unknown_format"]

FORMATS: Final = (native.NAME, x_v1.NAME, x_io.NAME)
"""The formats that are read; `decode` and the command line take these names."""

Decoded = Post | InvalidPost | Control

_FROM_OBJECT: Final[dict[str, Callable[[dict[str, Any]], Post]]] = {
    native.NAME: native.from_object,
    x_v1.NAME: x_v1.from_object,
    x_io.NAME: x_io.from_object,
}
_NEAR_START: Final = 200
_NATIVE_MARK: Final = f'"{native.KEY}"'.encode()
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class _Page(msgspec.Struct):
    statuses: list[msgspec.Raw] = []


_PAGE = msgspec.json.Decoder(_Page)


def decode(payload: bytes, format: str | None = None) -> list[Decoded]:
    """The posts of one payload: a JSON document holding one post, an array of posts, or a page of a search.

    Parameters
    ----------
    payload : bytes
    format : str, optional
        One of `FORMATS`, of which any other name makes invalid posts; found out from the payload when None.

    Returns
    -------
    list
        A `Post` for what could be read, an `InvalidPost` for what could not, a `Control` for a stream message
        that is neither. Empty for an empty array or page only.

    Nothing raises: in a live run the format's name, too, comes with the message.
    """
    decoded = _fast(payload, format)
    return [one for _, one in _slow(payload, format)] if decoded is None else [decoded]


def pieces(payload: bytes, format: str | None = None) -> list[tuple[bytes, Decoded]]:
    """As `decode`, each result with its own part of the payload; a part split off has no line breaks."""
    decoded = _fast(payload, format)
    return _slow(payload, format) if decoded is None else [(payload, decoded)]


def unknown_format(name: str) -> str:
    """What to say of a format's name that is none of `FORMATS`."""
    return f"there is no such format: {fields.shown(name)}; there are {', '.join(FORMATS)}"


def _fast(payload: bytes, format: str | None) -> Post | None:
    """The post of a payload in which everything is as it should be; None sends it the slow way."""
    try:
        if format is None:
            is_native = payload.find(_NATIVE_MARK, 0, _NEAR_START) >= 0
            return native.read(payload) if is_native else x_v1.read(payload)
        if format == x_v1.NAME:
            return x_v1.read(payload)
        if format == native.NAME:
            return native.read(payload)
    except (ValueError, RecursionError):
        return None
    return None


def _slow(payload: bytes, format: str | None) -> list[tuple[bytes, Decoded]]:
    if not payload.strip():
        return [(payload, Control(kind="keep_alive"))]
    if format is not None and format not in FORMATS:
        return [(payload, InvalidPost(reason=unknown_format(format), payload=payload))]
    try:
        mended, document = fields.parse_json(payload)
    except NotAPostError as error:
        return [(payload, InvalidPost(reason=str(error), payload=payload))]
    if isinstance(document, list):
        return [_element(raw, format) for raw in _RAW_LIST.decode(mended)]
    if isinstance(document, dict) and isinstance(document.get("statuses"), list):
        try:
            page = _PAGE.decode(mended)
        except msgspec.ValidationError:  # the key is there twice, once with something else
            reason = "not a search page: statuses is there more than once"
            return [(payload, InvalidPost(reason=reason, payload=payload))]
        return [_element(raw, format) for raw in page.statuses]
    return [(payload, _from_document(document, payload, format))]


def _element(raw: msgspec.Raw, format: str | None) -> tuple[bytes, Decoded]:
    # Line breaks in JSON stand between tokens only, so they may become spaces.
    payload = bytes(raw).replace(b"\r", b" ").replace(b"\n", b" ")
    decoded = _fast(payload, format)
    if decoded is not None:
        return payload, decoded
    try:
        return payload, _from_document(fields.parse_json(payload)[1], payload, format)
    except NotAPostError as error:
        return payload, InvalidPost(reason=str(error), payload=payload)


def _from_document(document: Any, payload: bytes, format: str | None) -> Decoded:
    if not isinstance(document, dict):
        return InvalidPost(reason=f"not a JSON object: {fields.shown(document)}", payload=payload)
    control = x_v1.control(document)
    if control is not None:
        return Control(kind=control)
    name = format or _format_of(document)
    if name is None:
        return InvalidPost(reason=_unknown(document), payload=payload)
    try:
        return _FROM_OBJECT[name](document)
    except NotAPostError as error:
        return InvalidPost(reason=str(error), payload=payload)


def _format_of(document: dict[str, Any]) -> str | None:
    if native.KEY in document:
        return native.NAME
    if x_io.KEY in document:
        return x_io.NAME
    return x_v1.NAME if not x_v1.KEYS.isdisjoint(document) else None


_NEITHER: Final = "neither an X v1.1 status nor a Floodmark post"
_ERROR: Final = "an error message instead of a post"
FOREIGN: Final = (_NEITHER, _ERROR)
"""How the reasons start for objects that are of no known format."""


def _unknown(document: dict[str, Any]) -> str:
    errors = document.get("errors") or document.get("error")
    if errors and "data" not in document and "id" not in document:
        first = errors[0] if isinstance(errors, list) else errors
        said = first.get("message") or first.get("detail") if isinstance(first, dict) else first
        return f"{_ERROR}: {fields.shown(said)}"
    names = [fields.shown(name) for name in list(document)[:8]]
    more = f" and {len(document) - 8} more" if len(document) > 8 else ""
    return f"{_NEITHER}: its keys are {', '.join(names)}{more}" if names else f"{_NEITHER}: it has no keys"
