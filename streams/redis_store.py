"""State in Redis 6.2 or later; each partition in one slot of a cluster. docs/redis.md describes the keys."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import secrets
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, cast

import msgspec
import numpy as np
from redis.exceptions import NoScriptError

from detectors.alert import Alert, State
from detectors.table import ROW, Rows
from streams.full import Limits
from streams.monitor import Cut, Delta, Evicted, Outcome, PartitionState, TagOutcome
from streams.output import alert_json
from streams.redis_client import Client, connect
from streams.redis_keys import PartitionKeys, ReaderKeys
from streams.redis_readers import Readable, readable
from streams.settings import EXPIRY_MARGIN_S, Settings
from streams.store import (
    OwnershipLost,
    StateLost,
    lost_hop,
    lost_mark,
    lost_news,
    lost_rows,
    lost_state,
    lost_to_writer,
    lost_write,
)
from streams.tags import TagState
from streams.watermark import SourceClock

LOAD_KEYS: Final = 500
"""Keys read in one round trip when a partition is taken over: some megabytes at a time, not all at once."""

LIMIT_BYTES: Final = 8
"""What the limit of a bucket takes in front of its rows, of which none is that short."""

PUBLISHED_S: Final = 60
"""How long it is known of a bucket that it is full, after its owner said so last."""

_log = logging.getLogger(__name__)
_PACK: Final = msgspec.msgpack.encode
_CLOCK: Final = msgspec.msgpack.Decoder(SourceClock)
_LIMITS: Final = msgspec.msgpack.Decoder(dict[str, dict[int, int]])
_ALERT: Final = msgspec.json.Decoder(Alert)


class UnreadableStateError(RuntimeError):
    """Stored bytes that this version cannot have written; says which key."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What readers get of one hashtag; `news` is the alert's JSON if they are to be told."""

    tag: TagOutcome
    contents: Readable
    news: bytes | None


class RedisStore:
    """A `Store` in Redis.

    Parameters
    ----------
    settings : Settings
        The address, `key_prefix`, window and lateness, expiry times and `kept_alerts` are used.
    client : redis.asyncio.Redis or RedisCluster, optional
        With `decode_responses` off; one by the settings' address if not given.
    """

    def __init__(self, settings: Settings, client: Client | None = None) -> None:
        self._client = client or connect(settings)
        self._prefix = settings.key_prefix
        self._rules = settings.rules()
        self._window_ms = settings.window_s * 1_000
        self._state_expiry_s = settings.state_expiry_s
        self._reader_expiry_s = settings.window_s + settings.lateness_s + EXPIRY_MARGIN_S
        self._alert_expiry_s = settings.alert_expiry_s
        self._kept_alerts = settings.kept_alerts
        # Not seeded: it tells this process from every other one, and no result depends on it.
        self._name = secrets.token_hex(8)
        self._writes = itertools.count()
        self._writer: dict[int, str] = {}  # by partition, what the last write left there
        self._told: dict[int, int | None] = {}  # by partition, the last hop whose alerts are in the stream
        self._read = ReaderKeys(settings.key_prefix)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    # ------------------------------------------------------------------------------------------ load

    async def load(self, partition: int) -> PartitionState:
        """Take a partition over; see `Store.load`.

        Raises
        ------
        UnreadableStateError
            If stored rows are of another layout.
        """
        keys = PartitionKeys(self._prefix, partition)
        # First: whatever the last writer still has on its way is refused from here on.
        await self._take_over(keys)
        async with self._client.pipeline(transaction=False) as pipe:
            for key in (keys.mark, keys.clock, keys.open):
                pipe.hgetall(key)
            pipe.get(keys.hop)
            pipe.zrange(keys.tags, 0, -1)
            pipe.zrange(keys.late, 0, -1, withscores=True)
            marks, clocks, alerts, hop, members, late = await pipe.execute()
        state = PartitionState(
            {int(source): int(mark) for source, mark in marks.items() if source.isdigit()},
            {int(source): _CLOCK.decode(clock) for source, clock in clocks.items()},
            _number(hop),
            late={hashtag.decode(): int(hop_ms) for hashtag, hop_ms in late},
            next=_number(marks.get(b"next")),
            covered_ms=_number(marks.get(b"covered")),
        )
        for hashtag, alert in alerts.items():
            state.tags.setdefault(hashtag.decode(), TagState()).alert = _ALERT.decode(alert)
        await self._load_rows(keys, members, state)
        await self._load_strings(keys, state)
        return state

    async def _load_rows(self, keys: PartitionKeys, members: Sequence[bytes], state: PartitionState) -> None:
        expired: list[bytes] = []
        for chunk in _chunks(members):
            wanted = [_bucket_of(member) for member in chunk]
            names = [keys.rows(hashtag, bucket) for hashtag, bucket in wanted]
            values = await _answer(self._client.mget(names))  # one slot, and 500 replies to read as one
            for member, name, (hashtag, bucket), value in zip(chunk, names, wanted, values, strict=True):
                if value is None:
                    expired.append(member)
                else:
                    tag = state.tags.setdefault(hashtag, TagState())
                    at_most, rows = _rows_of(name, value)
                    tag.buckets[bucket] = [rows]
                    if at_most is not None:
                        tag.limits[bucket] = at_most
        needed = [member for member in expired if self._visible(_bucket_of(member)[1], state.assessed_ms)]
        if needed:
            raise lost_rows(keys.partition, len(needed))
        for chunk in _chunks(expired):
            await _answer(self._client.zrem(keys.tags, *chunk))

    def _visible(self, bucket: int, assessed_ms: int | None) -> bool:
        return assessed_ms is None or bucket >= self._rules.oldest_ms(assessed_ms)

    async def _load_strings(self, keys: PartitionKeys, state: PartitionState) -> None:
        for chunk in _chunks(list(state.tags)):
            async with self._client.pipeline(transaction=False) as pipe:
                for hashtag in chunk:
                    pipe.hgetall(keys.texts(hashtag))
                for hashtag, strings in zip(chunk, await pipe.execute(), strict=True):
                    state.tags[hashtag].strings = {int(k, 16): v.decode() for k, v in strings.items()}

    async def reset(self, partition: int, covered_ms: int | None) -> PartitionState:
        """Forget a partition; see `Store.reset`.

        The index of the rows goes last: after a crash in between, `load` misses rows and nobody takes what
        is left for the state.
        """
        keys = PartitionKeys(self._prefix, partition)
        await self._take_over(keys)
        members = await _answer(self._client.zrange(keys.tags, 0, -1))
        buckets = [_bucket_of(member) for member in members]
        names = [keys.rows(hashtag, bucket) for hashtag, bucket in buckets]
        names += [keys.texts(hashtag) for hashtag in dict.fromkeys(hashtag for hashtag, _ in buckets)]
        for chunk in _chunks(names):
            await _answer(self._client.unlink(*chunk))
        # The scores that are shown may be those of the one hop that was written after the others were lost.
        await _answer(self._client.hdel(self._read.hop(self._read.tags), str(partition)))
        rest = [keys.mark, keys.clock, keys.hop, keys.open, keys.late, keys.tags]
        found = await self._write(_RESET, partition, rest, ["" if covered_ms is None else covered_ms])
        if found:
            raise self._refusal(partition, *found)
        return PartitionState(covered_ms=covered_ms)

    # ---------------------------------------------------------------------------------------- commit

    async def commit(self, partition: int, delta: Delta) -> None:
        """Store one packet; see `Store.commit`. Sent again because its answer was lost, it counts once."""
        keys = PartitionKeys(self._prefix, partition)
        buckets, forgotten = delta.buckets, delta.forgotten
        names: list[str] = [keys.mark, keys.clock, keys.tags, keys.late]
        args: list[Any] = [
            delta.source,
            "" if delta.expected is None else delta.expected,
            delta.mark,
            _PACK(delta.clock),
            self._state_expiry_s,
            len(buckets),
            "" if delta.next is None else delta.next,
            _PACK([part for hashtag, hop_ms in delta.late.items() for part in (hashtag, hop_ms)]),
        ]
        for hashtag, bucket in buckets:
            names.append(keys.rows(hashtag, bucket))
            cut = delta.cuts.get((hashtag, bucket))
            written = _cut(cut) if cut is not None else delta.rows[hashtag, bucket].tobytes()
            args += (f"{bucket}:{hashtag}", bucket, "APPEND" if cut is None else "SET", written)
        # Strings known before live on with the new rows that stand for them: their expiry is put off too.
        for hashtag in dict.fromkeys((*delta.strings, *(hashtag for hashtag, _ in buckets))):
            names.append(keys.texts(hashtag))
            args.append(
                _PACK([part for k, v in delta.strings.get(hashtag, {}).items() for part in (f"{k:016x}", v)])
            )
            args.append(_PACK([f"{k:016x}" for k in forgotten.get(hashtag, ())]))
        found = await self._write(_COMMIT, partition, names, args)
        if found:
            mark, writer = found
            lost = lost_mark(partition, delta.source, delta.expected, _number(mark))
            raise self._refusal(partition, writer, lost)

    async def _take_over(self, keys: PartitionKeys) -> None:
        following = self._following()
        await _answer(self._client.hset(keys.mark, "writer", following))
        self._writer[keys.partition] = following
        told = await _answer(self._client.hget(self._read.told, str(keys.partition)))
        self._told[keys.partition] = _number(told)

    async def _write(
        self, script: _Script, partition: int, keys: Sequence[str], args: Sequence[Any]
    ) -> list[Any]:
        """Store something after what was written last; gives what a script found that refused it."""
        following = self._following()
        signed = [self._writer.get(partition, ""), following, *args]
        done, *rest = await script.run(self._client, keys, signed)
        if done:
            self._writer[partition] = following
        found: list[Any] = rest
        return found

    def _following(self) -> str:
        """What the next write leaves as the writer: a store that goes back to before it is found out."""
        return f"{self._name}:{next(self._writes)}"

    def _wrote(self, partition: int, writer: bytes | None) -> bool:
        """Whether the writer that was found is what the last write from here left."""
        return writer is not None and writer == self._writer.get(partition, "").encode()

    def _refusal(
        self, partition: int, writer: bytes | None, lost: StateLost | None = None
    ) -> OwnershipLost | StateLost:
        """Why a write was refused that found this writer; `lost` if it is for another reason than that."""
        if not writer:
            return lost_state(partition)
        if lost is not None and self._wrote(partition, writer):
            return lost
        mine = writer.startswith(f"{self._name}:".encode())
        return lost_write(partition) if mine else lost_to_writer(partition)

    # ---------------------------------------------------------------------------------------- record

    async def record(self, partition: int, outcome: Outcome) -> None:
        """Store what a hop decided; see `Store.record`.

        Readers are told first and the hop is stored last: after a crash in between the hop is assessed
        again, with the same outcome, and nobody misses an alert.
        """
        keys = PartitionKeys(self._prefix, partition)
        shown_from_ms = outcome.hop_ms - self._window_ms
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.hget(keys.mark, "writer")
            pipe.get(keys.hop)
            pipe.zrangebyscore(keys.scored, "-inf", f"({shown_from_ms}")
            writer, hop, faded = await pipe.execute()
        if not self._wrote(partition, writer) or (hop and int(hop) > outcome.hop_ms):
            raise self._not_recorded(partition, outcome, hop, writer)
        # Counting a large hashtag takes tens of milliseconds; the broker must hear from us meanwhile.
        written = await asyncio.to_thread(_write, outcome)
        await self._show(partition, outcome.hop_ms, written, faded)
        await self._tell(partition, outcome.hop_ms, written)
        open_alerts = {
            t.assessment.hashtag: t.alert for t in outcome.tags if t.alert is not None and _is_open(t)
        }
        scored = [t.assessment.hashtag for t in outcome.tags if _score(t) > 0]
        args = [
            outcome.hop_ms,
            shown_from_ms,
            _PACK([part for name, alert in open_alerts.items() for part in (name, _stored(alert))]),
            _PACK([t.assessment.hashtag for t in outcome.tags if t.assessment.hashtag not in open_alerts]),
            _PACK(scored),
            _PACK([t.assessment.hashtag for t in outcome.tags if _score(t) <= 0]),
        ]
        names = [keys.mark, keys.hop, keys.open, keys.scored, keys.late]
        found = await self._write(_RECORD, partition, names, args)
        if found:
            raise self._not_recorded(partition, outcome, *found)

    def _not_recorded(
        self, partition: int, outcome: Outcome, hop: bytes | None, writer: bytes | None
    ) -> OwnershipLost | StateLost:
        return self._refusal(partition, writer, lost_hop(partition, outcome.hop_ms, int(hop or 0)))

    async def _show(
        self, partition: int, hop_ms: int, written: Sequence[_Written], faded: Sequence[bytes]
    ) -> None:
        """Replace what dashboards read; every key for itself, for each may live in another slot.

        Each is guarded by the hop of its contents: a worker that was stopped in here and woken, when another
        one owns the partition, cannot bring back what was shown before.
        """
        async with self._client.pipeline(transaction=False) as pipe:
            for one in written:
                self._show_tag(pipe, hop_ms, one)
            if len(pipe):
                await pipe.execute()
        scores = {one.tag.assessment.hashtag: _score(one.tag) for one in written}
        gone = [name.decode() for name in faded if name.decode() not in scores]
        gone += [name for name, score in scores.items() if score <= 0]
        shown = [part for name, score in scores.items() if score > 0 for part in (str(score), name)]
        names = [self._read.tags, self._read.hop(self._read.tags)]
        await _SCORE.run(self._client, names, [partition, hop_ms, _PACK(shown), _PACK(gone)])

    def _show_tag(self, pipe: Any, hop_ms: int, one: _Written) -> None:
        tag, contents, name = one.tag, one.contents, one.tag.assessment.hashtag
        for part, fields in contents.hashes.items():
            flat = [item for field, value in fields.items() for item in (field, value)]
            self._show_key(pipe, self._read.tag(name, part), "HSET", hop_ms, _PACK(flat))
        for part, ranking in contents.rankings.items():
            flat = [item for member, score in ranking.items() for item in (str(score), member)]
            self._show_key(pipe, self._read.tag(name, part), "ZADD", hop_ms, _PACK(flat))
        if tag.alert is not None and one.news is not None:
            self._show_key(pipe, self._read.alert(tag.alert.id), "SET", hop_ms, one.news)
        elif tag.alert is not None and tag.alert.state is State.FIRING:
            pipe.expire(self._read.alert(tag.alert.id), self._alert_expiry_s)

    def _show_key(self, pipe: Any, key: str, command: str, hop_ms: int, contents: bytes) -> None:
        expiry_s = self._alert_expiry_s if command == "SET" else self._reader_expiry_s
        pipe.eval(_SHOW.text, 2, key, self._read.hop(key), command, expiry_s, hop_ms, contents)

    async def _tell(self, partition: int, hop_ms: int, written: Sequence[_Written]) -> None:
        """Add alerts to the stream, after those that were added last.

        Where the stream holds less, Redis was emptied or went back since the writer was looked at: were they
        added all the same, those before them would pass for told, and never be told again.
        """
        news: list[Any] = []
        for one in written:
            alert = one.tag.alert
            if alert is not None and one.news is not None:
                news += (alert.id, alert.hashtag, alert.state.value, one.tag.reason.value, one.news)
        if not news:
            return
        expected = self._told.get(partition)
        args = [partition, hop_ms, self._kept_alerts, "" if expected is None else expected, *news]
        told, found = await _TELL.run(self._client, [self._read.alerts, self._read.told], args)
        if not told:
            writer = await _answer(self._client.hget(PartitionKeys(self._prefix, partition).mark, "writer"))
            raise self._refusal(partition, writer, lost_news(partition, expected, _number(found)))
        self._told[partition] = int(found)

    # ----------------------------------------------------------------------------------------- evict

    async def evict(self, partition: int, evicted: Sequence[Evicted]) -> None:
        """Drop what is held no more; see `Store.evict`. In order, and atomic for each hashtag."""
        keys = PartitionKeys(self._prefix, partition)
        for chunk in _by_keys(evicted):
            names, args = [keys.mark, keys.tags], list[Any]()
            for one in chunk:
                names += [keys.texts(one.hashtag), *(keys.rows(one.hashtag, b) for b in one.buckets)]
                args.append(_PACK([f"{k:016x}" for k in one.forgotten]))
                args.append(_PACK([f"{bucket}:{one.hashtag}" for bucket in one.buckets]))
            found = await self._write(_EVICT, partition, names, args)
            if found:
                raise self._refusal(partition, *found)

    # --------------------------------------------------------------------------------------- publish

    async def publish(self, partition: int, limits: Limits) -> None:
        """Let everybody know of full buckets; see `Store.publish`."""
        key = PartitionKeys(self._prefix, partition).full
        await _answer(self._client.set(key, _PACK(limits), ex=PUBLISHED_S))

    async def published(self, partitions: Iterable[int]) -> Limits:
        """What was published; see `Store.published`."""
        async with self._client.pipeline(transaction=False) as pipe:
            for partition in partitions:
                pipe.get(PartitionKeys(self._prefix, partition).full)
            found = await pipe.execute()
        return {hashtag: limits for one in found if one for hashtag, limits in _LIMITS.decode(one).items()}


class _Script:
    """A Lua script, sent by its digest and in full only where Redis does not know it yet."""

    def __init__(self, name: str) -> None:
        self.text = files("streams").joinpath(f"{name}.lua").read_text("utf-8")
        self._sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Client, keys: Sequence[str], args: Iterable[Any]) -> Any:
        try:
            return await _answer(client.evalsha(self._sha, len(keys), *keys, *args))
        except NoScriptError:
            return await _answer(client.eval(self.text, len(keys), *keys, *args))


_COMMIT: Final = _Script("commit")
_RECORD: Final = _Script("record")
_EVICT: Final = _Script("evict")
_TELL: Final = _Script("tell")
_RESET: Final = _Script("reset")
_SCORE: Final = _Script("score")
_SHOW: Final = _Script("show")


async def _answer(answer: Any) -> Any:
    # redis-py types its commands for blocking and asynchronous clients at once.
    return await cast("Awaitable[Any]", answer)


def _stored(alert: Alert) -> str:
    # A string: the msgpack of Redis 6.2 knows no bytes.
    return msgspec.json.encode(alert).decode()


def _write(outcome: Outcome) -> list[_Written]:
    return [
        _Written(tag, readable(tag), alert_json(tag.alert) if tag.alert and tag.reason.is_news else None)
        for tag in outcome.tags
    ]


def _is_open(tag: TagOutcome) -> bool:
    return tag.alert is not None and tag.alert.state is not State.RESOLVED


def _score(tag: TagOutcome) -> float:
    return round(tag.assessment.score, 2)


def _number(value: bytes | None) -> int | None:
    return int(value) if value else None


def _bucket_of(member: bytes) -> tuple[str, int]:
    bucket, _, hashtag = member.decode().partition(":")
    return hashtag, int(bucket)


def _cut(cut: Cut) -> bytes:
    """A bucket with a limit: the limit comes before its rows, and so each is stored with the other."""
    return cut.limit.to_bytes(LIMIT_BYTES, "little") + cut.rows.tobytes()


def _rows_of(key: str, value: bytes) -> tuple[int | None, Rows]:
    """The limit of a bucket, if it has one, and its rows."""
    before = len(value) % ROW.itemsize
    if before not in (0, LIMIT_BYTES):
        raise UnreadableStateError(
            f"{key} holds {len(value)} bytes, no multiple of a row's {ROW.itemsize}: another version"
            " wrote it; finish with that version, or start with another FLOODMARK_KEY_PREFIX"
        )
    limit = int.from_bytes(value[:before], "little") if before else None
    return limit, np.frombuffer(value, ROW, offset=before)


def _by_keys(evicted: Sequence[Evicted]) -> Iterator[Sequence[Evicted]]:
    """What goes in one round trip: as many hashtags as have about as many buckets as are read in one."""
    before = itertools.accumulate((len(one.buckets) for one in evicted), initial=0)
    for _, group in itertools.groupby(zip(before, evicted, strict=False), lambda pair: pair[0] // LOAD_KEYS):
        yield [one for _, one in group]


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[at : at + LOAD_KEYS] for at in range(0, len(items), LOAD_KEYS))
