"""Floodmark's own format: one JSON object a line. See docs/formats.md."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from detectors.table import Kind
from streams.formats import fields
from streams.formats.fields import Count, Identifier, NotAPostError
from streams.posts import MINUTE_MS, SECOND_MS, Post

NAME: Final = "floodmark"
KEY: Final = "account_id"
"""An object with this key is taken for a Floodmark post."""

_KINDS: Final = {kind.name.lower(): kind for kind in Kind}
_RESOLUTIONS_MS: Final = (1, SECOND_MS, MINUTE_MS)


class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    id: Identifier | None = None
    account_id: Identifier | None = None
    time: str | None = None
    text: str | None = None
    resolution_ms: int | None = None
    hashtags: list[str] | None = None
    kind: str | None = None
    target_id: Identifier | None = None
    links: list[str] | None = None
    client: str | None = None
    language: str | None = None
    handle: str | None = None
    account_created: str | None = None
    followers: Count | None = None
    following: Count | None = None
    statuses: Count | None = None
    likes: Count | None = None
    reposts: Count | None = None
    replies: Count | None = None
    has_bio: bool | None = None
    has_banner: bool | None = None
    default_profile: bool | None = None
    verified: bool | None = None


_DECODER = msgspec.json.Decoder(_Line)
_ENCODER = msgspec.json.Encoder()


def read(payload: bytes) -> Post:
    """One post from its line, the fast way.

    Raises
    ------
    ValueError, RecursionError
        Something is not as it should be: try `from_object`, which says what.
    """
    return _post(_DECODER.decode(payload))


def from_object(obj: dict[str, Any]) -> Post:
    """One post from its parsed line; what is not essential may be of the wrong type and counts as absent.

    Raises
    ------
    NotAPostError
        Id, account id, time or text are missing or wrong.
    """
    for name in ("time", "text"):
        if not isinstance(obj.get(name), str | None):
            raise NotAPostError(f"{name} is not a string: {fields.shown(obj[name])}")
    return _post(fields.lenient(obj, _Line))


def encode(post: Post) -> bytes:
    """The post as one line of JSON, without the line's end; `read` gives exactly this post back.

    Raises
    ------
    NotAPostError
        Its time lies outside the years 1 to 9999, which the format cannot write.
    """
    written = fields.iso(post.time_ms)
    return _ENCODER.encode(
        _Line(
            id=post.id,
            account_id=post.account_id,
            time=written,
            text=post.text,
            resolution_ms=None
            if post.resolution_ms == _written_resolution_ms(written)
            else post.resolution_ms,
            hashtags=list(post.hashtags),
            kind=None if post.kind is Kind.ORIGINAL else post.kind.name.lower(),
            target_id=post.target_id,
            links=list(post.links) or None,
            client=post.client,
            language=post.language,
            handle=post.handle,
            account_created=None if post.account_created_ms is None else fields.iso(post.account_created_ms),
            followers=post.followers,
            following=post.following,
            statuses=post.statuses,
            likes=post.likes,
            reposts=post.reposts,
            replies=post.replies,
            has_bio=post.has_bio,
            has_banner=post.has_banner,
            default_profile=post.default_profile,
            verified=post.verified,
        )
    )


def _written_resolution_ms(time: str) -> int:
    return 1 if "." in time else SECOND_MS


def _post(line: _Line) -> Post:
    post_id = fields.identifier(None, line.id)
    account_id = fields.identifier(None, line.account_id)
    if post_id is None:
        raise NotAPostError("id is missing")
    if account_id is None:
        raise NotAPostError("account_id is missing")
    if line.time is None:
        raise NotAPostError("time is missing")
    if line.text is None:
        raise NotAPostError("text is missing")
    time = fields.iso_time_ms(line.time)
    if time is None:
        raise NotAPostError(f"time is not an ISO 8601 time: {fields.shown(line.time)}")
    return Post(
        id=post_id,
        account_id=account_id,
        time_ms=time[0],
        text=line.text,
        resolution_ms=line.resolution_ms if line.resolution_ms in _RESOLUTIONS_MS else time[1],
        hashtags=fields.hashtags_in(line.text) if line.hashtags is None else fields.hashtags(line.hashtags),
        kind=_KINDS.get(line.kind or "original", Kind.ORIGINAL),
        target_id=fields.identifier(None, line.target_id),
        links=tuple([link for link in line.links or () if link]),
        client=line.client or None,
        language=fields.language(line.language),
        handle=line.handle or None,
        account_created_ms=None if line.account_created is None else fields.date_ms(line.account_created),
        followers=line.followers,
        following=line.following,
        statuses=line.statuses,
        likes=line.likes,
        reposts=line.reposts,
        replies=line.replies,
        has_bio=line.has_bio,
        has_banner=line.has_banner,
        default_profile=line.default_profile,
        verified=line.verified,
    )
