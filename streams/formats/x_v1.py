"""X API v1.1 statuses, as its streams and searches gave them and archives keep them.

Read in two ways: straight from bytes into the few fields that matter, which does for nearly every post, and,
where that fails, from the parsed object, taking a field of the wrong type as absent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from detectors.table import Kind
from streams.formats import fields
from streams.formats.fields import Count, Identifier, NotAPostError
from streams.posts import SECOND_MS, Post

NAME: Final = "x_v1.1"
KEYS: Final = frozenset({"user", "id_str", "full_text", "retweeted_status"})
"""An object with one of these is taken for a status."""

# Streams say these between posts; see "Streaming message types" of the v1.1 documentation.
CONTROLS: Final = (
    "delete",
    "scrub_geo",
    "limit",
    "status_withheld",
    "user_withheld",
    "disconnect",
    "warning",
    "event",
    "friends",
    "friends_str",
    "direct_message",
    "control",
)
_SELF_LINK: Final = ("https://twitter.com/i/web/status/", "https://x.com/i/web/status/")
_ANCHOR: Final = re.compile(r">([^<]*)<")
_NO_RAW: Final = Raw()


class _Tag(msgspec.Struct, gc=False):
    text: str = ""


class _Url(msgspec.Struct, gc=False):
    url: str | None = None
    expanded_url: str | None = None


class _Entities(msgspec.Struct, gc=False):
    hashtags: list[_Tag] | None = None
    urls: list[_Url] | None = None


class _Extended(msgspec.Struct, gc=False):
    full_text: str | None = None
    entities: _Entities | None = None


class _Reference(msgspec.Struct, gc=False):
    id_str: str | None = None
    id: Identifier | None = None


class _Body(_Reference, gc=False):
    text: str | None = None
    full_text: str | None = None
    extended_tweet: _Extended | None = None
    entities: _Entities | None = None


class _User(msgspec.Struct, gc=False):
    id_str: str | None = None
    id: Identifier | None = None
    screen_name: str | None = None
    created_at: str | None = None
    followers_count: Count | None = None
    friends_count: Count | None = None
    statuses_count: Count | None = None
    verified: bool | None = None
    default_profile: bool | None = None
    description: str | UnsetType | None = UNSET
    profile_banner_url: str | UnsetType | None = UNSET
    profile_image_url: Raw = _NO_RAW
    profile_image_url_https: Raw = _NO_RAW
    profile_background_color: Raw = _NO_RAW


class _Status(_Body, gc=False):
    created_at: str | None = None
    timestamp_ms: str | int | None = None
    source: str | None = None
    lang: str | None = None
    user: _User | None = None
    in_reply_to_status_id_str: str | None = None
    in_reply_to_status_id: Identifier | None = None
    is_quote_status: bool | None = None
    quoted_status_id_str: str | None = None
    quoted_status_id: Identifier | None = None
    quoted_status: _Reference | None = None
    retweeted_status: _Body | None = None
    favorite_count: Count | None = None
    retweet_count: Count | None = None
    reply_count: Count | None = None


_DECODER = msgspec.json.Decoder(_Status)


def read(payload: bytes) -> Post:
    """One status from its JSON, the fast way.

    Raises
    ------
    ValueError, RecursionError
        Something is not as it should be: try `from_object`, which says what.
    """
    return _post(_DECODER.decode(payload))


def from_object(obj: dict[str, Any]) -> Post:
    """One status from its parsed JSON; what is not essential may be of the wrong type and counts as absent.

    Raises
    ------
    NotAPostError
        Id, author, time or text are missing or wrong.
    """
    user = obj.get("user")
    if user is not None and not isinstance(user, dict):
        raise NotAPostError(f"user is not an object: {fields.shown(user)}")
    for name in ("full_text", "text"):
        if not isinstance(obj.get(name), str | None) and "retweeted_status" not in obj:
            raise NotAPostError(f"{name} is not a string: {fields.shown(obj[name])}")
    if not isinstance(obj.get("created_at"), str | None) and "timestamp_ms" not in obj:
        raise NotAPostError(f"created_at is not a time: {fields.shown(obj['created_at'])}")
    return _post(fields.lenient(obj, _Status))


def control(obj: dict[str, Any]) -> str | None:
    """Kind of a stream message that is no post, None if the object is not one."""
    if "text" in obj or "full_text" in obj or "account_id" in obj:
        return None
    return next((kind for kind in CONTROLS if kind in obj), None)


def _post(status: _Status) -> Post:
    user = status.user
    if user is None:
        raise NotAPostError("user is missing")
    post_id = fields.identifier(status.id_str, status.id)
    if post_id is None:
        raise NotAPostError("id_str is missing")
    account_id = fields.identifier(user.id_str, user.id)
    if account_id is None:
        raise NotAPostError("user.id_str is missing")
    time_ms, resolution_ms = _time(status)
    kind, target_id, text, entities = _content(status)
    return Post(
        id=post_id,
        account_id=account_id,
        time_ms=time_ms,
        text=text,
        resolution_ms=resolution_ms,
        hashtags=_hashtags(entities, text),
        kind=kind,
        target_id=target_id,
        links=_links(entities),
        client=_client(status.source) if status.source else None,
        language=fields.language(status.lang),
        handle=user.screen_name or None,
        account_created_ms=_created_ms(user.created_at) if user.created_at else None,
        followers=user.followers_count,
        following=user.friends_count,
        statuses=user.statuses_count,
        likes=status.favorite_count,
        reposts=status.retweet_count,
        replies=status.reply_count,
        has_bio=None if user.description is UNSET else bool(user.description),
        has_banner=_has_banner(user),
        default_profile=user.default_profile,
        verified=user.verified,
    )


_created_ms = lru_cache(maxsize=65_536)(fields.x_time_ms)  # accounts come again and again


def _time(status: _Status) -> tuple[int, int]:
    stamp = str(status.timestamp_ms) if status.timestamp_ms is not None else ""
    if stamp.isdecimal() and len(stamp) < 16 and int(stamp) < fields.END_OF_TIME_MS:
        return int(stamp), 1
    created_at = status.created_at
    if not created_at:
        raise NotAPostError("created_at is missing")
    time_ms = fields.x_time_ms(created_at)
    if time_ms is not None:
        return time_ms, SECOND_MS
    iso = fields.iso_time_ms(created_at)  # some tools rewrite times when they store posts
    if iso is None:
        raise NotAPostError(f"created_at is not a time: {fields.shown(created_at)}")
    return iso


def _content(status: _Status) -> tuple[Kind, str | None, str, _Entities | None]:
    """What the post does, to which other post, with which words."""
    reposted = status.retweeted_status
    text, entities = _words(status)
    if reposted is not None:
        target = fields.identifier(reposted.id_str, reposted.id)
        whole, its_entities = _words(reposted)
        if whole is not None:
            return Kind.REPOST, target, fields.readable(whole), its_entities
    if text is None:
        raise NotAPostError("text is missing")
    text = fields.readable(text)
    rest = fields.without_repost_prefix(text)
    if reposted is not None:
        return Kind.REPOST, target, text if rest is None else rest, entities
    if rest is not None:
        return Kind.REPOST, None, rest, entities
    quoted = _quoted(status)
    if quoted is not None or status.is_quote_status:
        return Kind.QUOTE, quoted, text, entities
    replied = fields.identifier(status.in_reply_to_status_id_str, status.in_reply_to_status_id)
    return (Kind.ORIGINAL if replied is None else Kind.REPLY), replied, text, entities


def _words(body: _Body) -> tuple[str | None, _Entities | None]:
    extended = body.extended_tweet
    if extended is not None and extended.full_text is not None:
        return extended.full_text, extended.entities or body.entities
    return (body.text if body.full_text is None else body.full_text), body.entities


def _quoted(status: _Status) -> str | None:
    quoted = status.quoted_status
    return (
        status.quoted_status_id_str
        or (quoted.id_str if quoted else None)
        or fields.identifier(None, status.quoted_status_id)
        or (fields.identifier(None, quoted.id) if quoted else None)
    )


def _hashtags(entities: _Entities | None, text: str) -> tuple[str, ...]:
    if entities is None or entities.hashtags is None:
        return fields.hashtags_in(text)
    return fields.hashtags([tag.text for tag in entities.hashtags]) if entities.hashtags else ()


def _links(entities: _Entities | None) -> tuple[str, ...]:
    """Without the link to itself that X puts where it cut a text: nobody shared that."""
    if entities is None or not entities.urls:
        return ()
    links = [
        link
        for url in entities.urls
        if (link := url.expanded_url or url.url) and not link.startswith(_SELF_LINK)
    ]
    return tuple(links)


@lru_cache(maxsize=4_096)
def _client(source: str) -> str | None:
    found = _ANCHOR.search(source)
    name = found[1] if found else source
    return fields.readable(name).strip() or None


def _has_banner(user: _User) -> bool | None:
    """X leaves the key out for accounts without a banner; so do tools that drop all of the profile."""
    if user.profile_banner_url is not UNSET:
        return bool(user.profile_banner_url)
    if user.profile_image_url_https is _NO_RAW and user.profile_image_url is _NO_RAW:
        return None if user.profile_background_color is _NO_RAW else False
    return False
