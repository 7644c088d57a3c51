"""A decoded post, and what is said of a payload that is not one."""

from __future__ import annotations

from typing import Final

import msgspec

from detectors.table import Kind
from streams.clock import iso

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One post as its platform described it. None means the payload did not say; it is never a guess.

    Attributes
    ----------
    id, account_id : str
        As the platform gave them.
    time_ms : int
        Event time, milliseconds since 1970-01-01 UTC.
    resolution_ms : int
        How fine the source's clock is: 1, 1,000 or 60,000.
    text : str
        What readers see, entities decoded; for a repost the reposted text.
    hashtags : tuple of str
        Case folded, without ``#``, each once, in order of appearance.
    target_id : str or None
        The post that this one reposts, quotes or replies to.
    links : tuple of str
        Expanded URLs in order of appearance.
    client : str or None
        Name of the posting client.
    language : str or None
        As the platform named it; "und" and the like become None.
    """

    id: str
    account_id: str
    time_ms: int
    text: str
    resolution_ms: int = SECOND_MS
    hashtags: tuple[str, ...] = ()
    kind: Kind = Kind.ORIGINAL
    target_id: str | None = None
    links: tuple[str, ...] = ()
    client: str | None = None
    language: str | None = None
    handle: str | None = None
    account_created_ms: int | None = None
    followers: int | None = None
    following: int | None = None
    statuses: int | None = None
    likes: int | None = None
    reposts: int | None = None
    replies: int | None = None
    has_bio: bool | None = None
    has_banner: bool | None = None
    default_profile: bool | None = None
    verified: bool | None = None


class InvalidPost(msgspec.Struct, frozen=True, kw_only=True):
    """A payload, or a part of one, that could not be read as a post.

    Attributes
    ----------
    reason : str
        For a person, with the field and value that are wrong: ``user.id_str is missing``.
    payload : bytes
        What was received, for the reject file or the dead-letter topic.
    """

    reason: str
    payload: bytes


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A stream message that is no post and no error: a deletion notice, a limit notice, a keep-alive line.

    Attributes
    ----------
    kind : str
        The stream's own name for it: ``delete``, ``limit``, ``keep_alive``.
    """

    kind: str


def not_ahead(
    decoded: Post | InvalidPost | Control, latest_ms: int | None, payload: bytes
) -> Post | InvalidPost | Control:
    """What was decoded, unless it is a post dated after `latest_ms`: that is an invalid one.

    Nobody can have written it yet, and a clock that went by it would close the windows of all others.
    """
    if latest_ms is None or not isinstance(decoded, Post) or decoded.time_ms <= latest_ms:
        return decoded
    ahead_s = (decoded.time_ms - latest_ms) / SECOND_MS
    reason = f"its time {iso(decoded.time_ms)} is outside what can be: {ahead_s:,.0f} s too far in the future"
    return InvalidPost(reason=reason, payload=payload)
