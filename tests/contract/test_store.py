"""What every store promises, and what only the one in Redis does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pytest
from builders import counted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from detectors.alert import Alert, Policy, Reason, State, decide
from detectors.assessment import AlertKind, Assessment
from detectors.baseline import Baseline
from detectors.table import Texts, Window, distinct
from streams import redis_store
from streams.memory_store import MemoryStore
from streams.monitor import Monitor, Outcome, PartitionState, Rules, TagOutcome
from streams.output import alert_json
from streams.packets import pack
from streams.posts import Post
from streams.redis_keys import PartitionKeys, ReaderKeys
from streams.redis_store import RedisStore, UnreadableStateError, connect
from streams.settings import Settings
from streams.store import OwnershipLost, StateLost, Store

HOUR_MS = 3_600_000
START_MS = 1_469_556_000_000
AWKWARD = ("loan", "loan:texts", "{1}", "a b", "قرض", "日本", "100%", "}{", "a:b:0", "İx")
RULES = Rules(window_ms=HOUR_MS, hop_ms=600_000, min_posts=1)


def post(number: int, *, time_ms: int = START_MS, tags: Sequence[str] = ("loan",), text: str = "x") -> Post:
    return Post(
        id=str(number),
        account_id=f"at://{number % 7}",
        time_ms=time_ms,
        text=text,
        hashtags=tuple(tags),
        client="a client",
        account_created_ms=1_400_000_000_000 + number % 5 * 86_400_000,
    )


posts = st.builds(
    post,
    st.integers(0, 10**18),
    time_ms=st.integers(START_MS, START_MS + 2 * HOUR_MS),
    tags=st.lists(st.sampled_from(AWKWARD), max_size=3, unique=True),
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30),
)
batches = st.lists(st.tuples(st.integers(0, 2), st.lists(posts, max_size=6), st.booleans()), max_size=6)


def monitor_of(state: PartitionState | None = None, rules: Rules = RULES) -> Monitor:
    return Monitor(0, range(3), rules, Baseline.prior(), state)


def plain(state: PartitionState) -> Mapping[str, Any]:
    """A state as values that can be compared: the order of rows within a bucket means nothing."""
    return {
        "marks": state.marks,
        "next": state.next,
        "covered": state.covered_ms,
        "late": state.late,
        "clocks": state.clocks,
        "assessed": state.assessed_ms,
        "tags": {
            name: (
                {
                    bucket: sorted(row.tobytes() for rows in parts for row in rows)
                    for bucket, parts in tag.buckets.items()
                },
                tag.limits,
                tag.strings,
                tag.alert,
            )
            for name, tag in state.tags.items()
            if tag.buckets or tag.alert is not None
        },
    }


async def feed(
    store: Store, monitor: Monitor, batch: Sequence[Post], source: int = 0, *, ended: bool = False
) -> None:
    """Count a batch as a worker does, and assess what it allows."""
    start = monitor.state.marks.get(source, 0)
    packet = pack(
        [(start + n, p) for n, p in enumerate(batch)], source, start, start + len(batch), 1, ended=ended
    )[0]
    async for gone in counted(store, monitor, packet, monitor.state.next or 0):
        await store.evict(0, gone)


def told(hop_ms: int = START_MS + HOUR_MS, *, hashtag: str = "loan", coordinated: int = 30) -> Outcome:
    """A hop at which 40 posts were assessed and an alert fired."""
    batch = [post(n, time_ms=START_MS + n * 1_000, tags=[hashtag], text=f"text {n % 2}") for n in range(40)]
    packet = pack(list(enumerate(batch)), 0, 0, len(batch), 1)[0]
    rows = distinct(packet.table()[0])
    prints = np.unique(rows["text"])
    texts = Texts(prints, ("a", "b"), np.arange(2, dtype=np.int32))
    window = Window(hashtag, hop_ms - HOUR_MS, hop_ms, rows, texts, packet.strings)
    accounts = np.unique(rows["account"][:coordinated])
    assessment = Assessment(
        hashtag=hashtag,
        start_ms=window.start_ms,
        end_ms=hop_ms,
        posts=40,
        accounts=7,
        coordinated_posts=np.unique(rows["post"][:coordinated]),
        coordinated_accounts=accounts,
        account_scores=np.ones(len(accounts)),
        coordinated_share=coordinated / 40,
        texts=2,
        off_topic=None,
        p_value=1e-9,
        score=coordinated / 40 * 100,
        kind=AlertKind.FLOOD if coordinated else None,
        first_coordinated_ms=START_MS,
        findings=(),
        sentence="said",
        window=window,
    )
    alert, reason = decide(None, assessment, hop_ms, policy=Policy(hold_hops=1))
    return Outcome(hop_ms, (TagOutcome(window, assessment, alert, reason),))


# ------------------------------------------------------------------------------------------- every store


async def test_a_partition_nobody_wrote_is_empty(stores: Any) -> None:
    async with stores(1) as (store,):
        assert plain(await store.load(0)) == plain(PartitionState())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches)
async def test_load_gives_what_was_counted(stores: Any, work: list[tuple[int, list[Post], bool]]) -> None:
    async with stores(1) as (store,):
        monitor, other = monitor_of(), monitor_of()
        memory = MemoryStore()
        await memory.load(0)
        for source, batch, ended in work:
            await feed(store, monitor, batch, source, ended=ended)
            await feed(memory, other, batch, source, ended=ended)
        loaded = plain(await store.load(0))
        assert loaded == plain(monitor.state)
        assert loaded == plain(await memory.load(0))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches, st.integers(1, 4))
async def test_what_a_full_bucket_keeps_comes_back_with_its_limit(
    stores: Any, work: list[tuple[int, list[Post], bool]], most: int
) -> None:
    """A monitor that is taken over before every batch goes on as one that never was."""
    rules = msgspec.structs.replace(RULES, hop_ms=HOUR_MS, bucket_rows=most)
    async with stores(1) as (store,):
        alone, memory = monitor_of(rules=rules), MemoryStore()
        await memory.load(0)
        for source, batch, ended in work:
            await feed(store, monitor_of(await store.load(0), rules), batch, source, ended=ended)
            await feed(memory, alone, batch, source, ended=ended)
        loaded = plain(await store.load(0))
        assert loaded == plain(alone.state) == plain(await memory.load(0))


async def test_a_bucket_that_is_cut_is_stored_anew_and_its_limit_goes_with_it(stores: Any) -> None:
    rules = msgspec.structs.replace(RULES, bucket_rows=12)
    async with stores(1) as (store,):
        monitor = monitor_of(rules=rules)
        for first in range(0, 70, 10):
            await feed(store, monitor, [post(n, text=f"text {n}") for n in range(first, first + 10)])
            (state,) = (await store.load(0)).tags.values()
            assert plain(await store.load(0)) == plain(monitor.state)
        assert list(state.limits) == [START_MS]
        # Ten posts of each of seven accounts: one account is kept, and nothing that was said of the others.
        assert sum(map(len, state.buckets[START_MS])) == 10
        assert sum(text.startswith("text") for text in state.strings.values()) == 10
        await store.evict(0, monitor.evict())
        await feed(store, monitor, [post(1)])
        assert (await store.load(0)).tags["loan"].limits == {}


async def test_what_is_published_of_full_buckets_is_known_to_every_store(stores: Any) -> None:
    async with stores(2) as (first, second):
        await second.load(1)
        assert await first.published(range(3)) == {}
        limits = {"loan": {START_MS: 2**64 - 1, START_MS + 60_000: 7}, "a:b{1}": {0: 1}}
        await first.publish(0, {"loan": {START_MS: 2**64 - 1}})
        await first.publish(0, limits)
        await second.publish(1, {"tax": {START_MS: 3}})
        for store in (first, second):
            assert await store.published(range(3)) == limits | {"tax": {START_MS: 3}}
        assert await first.published([1]) == {"tax": {START_MS: 3}}


async def test_partitions_do_not_mix(stores: Any) -> None:
    async with stores(1) as (store,):
        await feed(store, monitor_of(), [post(1)])
        assert plain(await store.load(1)) == plain(PartitionState())


async def test_a_packet_that_does_not_continue_is_refused_and_changes_nothing(stores: Any) -> None:
    async with stores(1) as (store,):
        monitor = monitor_of()
        await feed(store, monitor, [post(1), post(2)])
        before = plain(await store.load(0))
        delta = monitor.plan(pack([(2, post(3))], 0, 2, 3, 1)[0])
        for expected, shown in ((None, "none"), (1, "1"), (7, "7")):
            with pytest.raises(
                StateLost, match=f"^partition 0 expected mark {shown} of source partition 0, but 2"
            ):
                await store.commit(0, replace(delta, expected=expected))
        assert plain(await store.load(0)) == before
        await store.commit(0, delta)


async def test_a_mark_where_none_is_stored_is_refused(stores: Any) -> None:
    async with stores(1) as (store,):
        delta = monitor_of().plan(pack([(5, post(3))], 0, 5, 6, 1)[0])
        with pytest.raises(StateLost, match="expected mark 5 of source partition 0, but none is stored"):
            await store.commit(0, replace(delta, expected=5))
        assert plain(await store.load(0)) == plain(PartitionState())


async def test_a_store_whose_partition_was_taken_over_can_write_nothing(stores: Any) -> None:
    async with stores(2) as (first, second):
        monitor = monitor_of(await first.load(0))
        await feed(first, monitor, [post(1)])
        before = plain(await second.load(0))
        delta = monitor.plan(pack([(1, post(2))], 0, 1, 2, 1)[0])
        for write in (
            first.commit(0, delta),
            first.record(0, told()),
            first.evict(0, monitor.evict()),
        ):
            with pytest.raises(OwnershipLost, match="partition 0 was taken over"):
                await write
        assert plain(await second.load(0)) == before
        await second.commit(0, delta)


async def test_a_hop_before_the_stored_one_is_refused(stores: Any) -> None:
    async with stores(1) as (store,):
        await store.record(0, told(START_MS + HOUR_MS))
        with pytest.raises(StateLost, match=f"brings hop {START_MS}, but hop {START_MS + HOUR_MS} is stored"):
            await store.record(0, told(START_MS))
        assert (await store.load(0)).assessed_ms == START_MS + HOUR_MS


async def test_an_open_alert_comes_back_equal_and_goes_when_it_resolves(stores: Any) -> None:
    async with stores(1) as (store,):
        outcome = told()
        (tag,) = outcome.tags
        assert tag.alert is not None
        assert tag.alert.evidence.gaps
        assert tag.alert.evidence.clients
        await store.record(0, outcome)
        assert (await store.load(0)).tags["loan"].alert == tag.alert
        resolved = replace(tag, alert=replace(tag.alert, state=State.RESOLVED), reason=Reason.RESOLVED)
        await store.record(0, Outcome(outcome.hop_ms + 60_000, (resolved,)))
        assert (await store.load(0)).tags == {}


async def test_what_came_late_is_due_until_its_hop_is_stored(stores: Any) -> None:
    async with stores(1) as (store,):
        monitor = monitor_of()
        await feed(store, monitor, [post(1)])
        hop_ms = START_MS + HOUR_MS
        await store.record(0, Outcome(hop_ms, ()))
        monitor.close(Outcome(hop_ms, ()))
        await feed(store, monitor, [post(2, time_ms=hop_ms - 600_000, tags=["loan", "a b"])])
        following_ms = hop_ms + RULES.hop_ms
        assert (await store.load(0)).late == {"loan": following_ms, "a b": following_ms}
        await store.record(0, Outcome(following_ms, ()))
        assert (await store.load(0)).late == {}


async def test_a_store_that_went_back_to_before_the_last_write_is_refused_and_loaded_anew(
    redis_settings: Settings,
) -> None:
    """Even where the mark of the packet's source is the same as it was then."""
    async with connect(redis_settings) as client:
        store = RedisStore(redis_settings, client)
        monitor = monitor_of(await store.load(0))
        await feed(store, monitor, [post(1)], 0)
        before, older = plain(await store.load(0)), await dumped(client, redis_settings)
        await feed(store, monitor, [post(2)], 1)
        delta = monitor.plan(pack([(0, post(3))], 2, 0, 1, 1)[0])
        await restored(client, older)
        for write in (store.commit(0, delta), store.record(0, told()), store.evict(0, monitor.evict())):
            with pytest.raises(StateLost, match="written last of partition 0 is not stored"):
                await write
        assert plain(await store.load(0)) == before
        await store.commit(0, delta)


async def dumped(client: Any, settings: Settings) -> dict[bytes, bytes]:
    return {key: await client.dump(key) async for key in client.scan_iter(f"{settings.key_prefix}:*")}


async def restored(client: Any, older: Mapping[bytes, bytes]) -> None:
    for key, value in older.items():
        await client.restore(key, 0, value, replace=True)


async def test_a_partition_that_was_reset_is_empty_and_has_a_new_writer(stores: Any) -> None:
    async with stores(2) as (first, second):
        monitor = monitor_of(await first.load(0))
        await feed(first, monitor, [post(n, tags=AWKWARD) for n in range(5)])
        await first.record(0, told())
        state = await second.reset(0, 7_000)
        assert plain(state) == plain(PartitionState(covered_ms=7_000)) == plain(await second.load(0))
        with pytest.raises(OwnershipLost):
            await first.commit(0, monitor.plan(pack([(5, post(9))], 0, 5, 6, 1)[0]))
        fresh = monitor_of(state)
        await feed(second, fresh, [post(1)])
        assert plain(await second.load(0)) == plain(fresh.state)
        assert (await second.load(0)).covered_ms == 7_000


async def test_a_partition_nobody_loaded_takes_no_write(stores: Any) -> None:
    async with stores(1) as (store,):
        delta = monitor_of().plan(pack([(0, post(1))], 0, 0, 1, 1)[0])
        for write in (store.commit(7, delta), store.record(7, told())):
            with pytest.raises(StateLost):
                await write


async def test_all_that_is_evicted_is_gone(stores: Any) -> None:
    async with stores(1) as (store,):
        monitor = monitor_of()
        for source in range(3):
            await feed(store, monitor, [post(n, tags=AWKWARD) for n in range(5)], source)
        assert set((await store.load(0)).tags) == set(AWKWARD)
        await store.evict(0, monitor.evict())
        assert (await store.load(0)).tags == {}


async def test_many_hashtags_are_evicted_in_their_order(stores: Any) -> None:
    """More than go in one round trip; what is named first and no more is gone."""
    async with stores(1) as (store,):
        monitor = monitor_of()
        for first in range(0, 1_200, 300):
            tags = [[f"ferry{n}"] for n in range(first, first + 300)]
            await feed(store, monitor, [post(first + n, tags=tag) for n, tag in enumerate(tags)])
        left = monitor.evict()
        assert len(left) == 1_200
        await store.evict(0, left[:1_100])
        assert set((await store.load(0)).tags) == {one.hashtag for one in left[1_100:]}


# ------------------------------------------------------------------------------------------ Redis alone


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[RedisStore, Redis]]:
    # In a thread: to know what answers, `connect` asks, and here the answer may pass through this loop.
    async with await asyncio.to_thread(connect, settings) as client:
        store = RedisStore(settings, client)
        await store.load(0)
        yield store, client


async def keys_of(client: Redis, settings: Settings) -> set[str]:
    patterns = (f"{settings.key_prefix}:*", f"{{{settings.key_prefix}:*")
    return {key.decode() for pattern in patterns async for key in client.scan_iter(pattern)}


async def test_what_is_evicted_leaves_no_key_behind(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        monitor = monitor_of()
        await feed(store, monitor, [post(n, tags=AWKWARD) for n in range(5)])
        await store.evict(0, monitor.evict())
        keys = PartitionKeys(redis_settings.key_prefix, 0)
        assert await keys_of(client, redis_settings) == {keys.mark, keys.clock}


async def test_every_key_that_can_grow_in_number_expires(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        await feed(store, monitor_of(), [post(n, tags=AWKWARD) for n in range(5)])
        await store.record(0, told())
        keys, read = PartitionKeys(redis_settings.key_prefix, 0), ReaderKeys(redis_settings.key_prefix)
        fixed = {
            keys.mark,
            keys.clock,
            keys.hop,
            keys.open,
            keys.tags,
            keys.scored,
            read.tags,
            read.alerts,
            read.told,
            read.hop(read.tags),
        }
        found = await keys_of(client, redis_settings)
        assert fixed < found
        for key in found - fixed:
            assert 3_600 < await client.ttl(key) <= redis_settings.alert_expiry_s, key
        assert await client.ttl(keys.rows("loan", START_MS)) > redis_settings.state_expiry_s - 60


async def test_new_rows_put_off_the_expiry_of_known_strings(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        monitor = monitor_of()
        await feed(store, monitor, [post(1)])
        texts = PartitionKeys(redis_settings.key_prefix, 0).texts("loan")
        await client.expire(texts, 100)
        await feed(store, monitor, [post(8)])
        assert await client.ttl(texts) > 3_600


async def test_rows_that_expired_while_a_hop_could_see_them_are_a_loss(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        await feed(store, monitor_of(), [post(1, tags=["a:b", "c"])])
        await client.delete(PartitionKeys(redis_settings.key_prefix, 0).rows("a:b", START_MS))
        with pytest.raises(StateLost, match="rows of 1 buckets of partition 0 are not stored any more"):
            await store.load(0)


async def test_rows_that_expired_when_no_hop_could_see_them_are_left_out(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        await feed(store, monitor_of(), [post(1, tags=["a:b", "c"])])
        await store.record(0, Outcome(START_MS + redis_settings.window_s * 1_000, ()))
        keys = PartitionKeys(redis_settings.key_prefix, 0)
        await client.delete(keys.rows("a:b", START_MS))
        for _ in range(2):
            assert set((await store.load(0)).tags) == {"c"}
        assert await client.zrange(keys.tags, 0, -1) == [f"{START_MS}:c".encode()]


async def test_a_partition_half_forgotten_is_not_taken_for_its_state(redis_settings: Settings) -> None:
    """A crash while a partition is reset: rows are gone, their index and marks are not."""
    async with opened(redis_settings) as (store, client):
        monitor = monitor_of()
        await feed(store, monitor, [post(n, tags=AWKWARD) for n in range(5)])
        keys = PartitionKeys(redis_settings.key_prefix, 0)
        await client.unlink(*(keys.rows(hashtag, START_MS) for hashtag in AWKWARD[:3]))
        with pytest.raises(StateLost):
            await store.load(0)
        await store.reset(0, None)
        assert plain(await store.load(0)) == plain(PartitionState())
        assert await keys_of(client, redis_settings) == {keys.mark}


async def test_redis_that_lost_its_data_takes_no_write_until_the_partition_is_loaded_again(
    redis_settings: Settings,
) -> None:
    async with opened(redis_settings) as (store, client):
        monitor = monitor_of()
        await feed(store, monitor, [post(1)])
        for key in await keys_of(client, redis_settings):
            await client.delete(key)
        delta = monitor.plan(pack([(1, post(2))], 0, 1, 2, 1)[0])
        for write in (store.commit(0, delta), store.record(0, told()), store.evict(0, monitor.evict())):
            with pytest.raises(StateLost, match="nothing is stored of partition 0 any more"):
                await write
        assert not await client.exists(PartitionKeys(redis_settings.key_prefix, 0).hop)
        assert plain(await store.load(0)) == plain(PartitionState())


async def test_a_worker_woken_in_the_middle_of_showing_brings_nothing_old_back(
    redis_settings: Settings,
) -> None:
    async with opened(redis_settings) as (store, client):
        read = ReaderKeys(redis_settings.key_prefix)
        earlier, later = told(START_MS + HOUR_MS), told(START_MS + HOUR_MS + 60_000, coordinated=10)
        await store.record(0, later)

        async def shown() -> Any:
            parts = [await client.hgetall(read.tag("loan", part)) for part in ("", "intervals", "created")]
            ranked = [
                await client.zrange(key, 0, -1, withscores=True)
                for key in (read.tags, read.tag("loan", "texts"), read.tag("loan", "clients"))
            ]
            return parts, ranked, await client.get(read.alert(alert_of(later).id))

        before = await shown()
        # What a zombie still does after its last look at the writer, and before its next.
        await store._show(0, earlier.hop_ms, redis_store._write(earlier), [b"loan"])
        assert await shown() == before
        await store._show(0, later.hop_ms + 60_000, redis_store._write(earlier), [])
        assert await shown() != before


@pytest.mark.parametrize("cut", [False, True])
async def test_rows_of_another_layout_are_refused(redis_settings: Settings, cut: bool) -> None:
    async with opened(redis_settings) as (store, client):
        rules = msgspec.structs.replace(RULES, bucket_rows=1)
        await feed(store, monitor_of(rules=rules), [post(n) for n in range(1 + cut)])
        key = PartitionKeys(redis_settings.key_prefix, 0).rows("loan", START_MS)
        await client.append(key, b"x")
        size = 116 if cut else 108
        with pytest.raises(UnreadableStateError, match=f"holds {size} bytes, no multiple of a row's 107"):
            await store.load(0)


async def test_a_packet_of_many_strings_is_stored_whole(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, _):
        monitor = monitor_of(rules=msgspec.structs.replace(RULES, bucket_rows=6_000))
        await feed(store, monitor, [post(n, text=f"text {n}") for n in range(6_000)])
        loaded = await store.load(0)
        assert plain(loaded) == plain(monitor.state)
        assert len(loaded.tags["loan"].strings) > 6_000
        await store.evict(0, monitor.evict())
        assert (await store.load(0)).tags == {}


async def test_long_texts_come_back(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, _):
        monitor = monitor_of()
        await feed(store, monitor, [post(n, text="م" * n) for n in (10, 20, 200, 40_000)])
        assert plain(await store.load(0)) == plain(monitor.state)


async def test_scripts_are_sent_again_to_a_redis_that_forgot_them(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        monitor = monitor_of()
        await feed(store, monitor, [post(1)])
        await client.script_flush()
        await feed(store, monitor, [post(2)])
        assert plain(await store.load(0)) == plain(monitor.state)


async def test_a_packet_whose_answer_was_lost_counts_once(redis_url: str) -> None:
    # One server only: the client of a cluster finds its nodes by itself and goes round a proxy.
    redis_settings = Settings.load(redis_url=redis_url, key_prefix="lost-answer")
    async with _losing_answers(redis_url) as (url, lose):
        through = redis_settings.model_copy(update={"redis_url": url})
        async with opened(through) as (store, _):
            monitor = monitor_of()
            await feed(store, monitor, [post(1)])
            lose()
            await feed(store, monitor, [post(2), post(3)])
    async with opened(redis_settings) as (store, _):
        assert plain(await store.load(0)) == plain(monitor.state)


@asynccontextmanager
async def _losing_answers(url: str) -> AsyncIterator[tuple[str, Any]]:
    """A way to Redis that, when told so, passes on the next command and breaks off before its answer."""
    target = urlsplit(url)
    state = {"lose": False, "lost": 0}
    served = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        to_reader, to_writer = await asyncio.open_connection(target.hostname, target.port)

        async def ask() -> None:
            while asked := await reader.read(65_536):
                to_writer.write(asked)
            to_writer.close()

        async def answer() -> None:
            while answered := await to_reader.read(65_536):
                if state["lose"]:
                    state.update(lose=False, lost=state["lost"] + 1)
                    break
                writer.write(answered)
            writer.close()

        await asyncio.gather(ask(), answer())
        await asyncio.gather(writer.wait_closed(), to_writer.wait_closed())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"redis://127.0.0.1:{port}/0", lambda: state.update(lose=True)
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*served)
    assert state["lost"] == 1


async def test_an_alert_recorded_twice_is_in_the_stream_once(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        await store.record(0, told())
        await store.record(0, told())
        await store.load(1)
        await store.record(1, told(hashtag="tax"))
        entries = await client.xrange(ReaderKeys(redis_settings.key_prefix).alerts)
        alerts = [alert_of(told()), alert_of(told(hashtag="tax"))]
        assert [fields for _, fields in entries] == [
            {
                b"id": alert.id.encode(),
                b"hashtag": alert.hashtag.encode(),
                b"state": b"firing",
                b"reason": b"fired",
                b"json": alert_json(alert),
            }
            for alert in alerts
        ]


async def test_an_alert_whose_hop_was_not_stored_is_not_told_again(redis_settings: Settings) -> None:
    # A crash between telling and storing: the hop is assessed again by the next owner.
    async with opened(redis_settings) as (store, client):
        await store.record(0, told())
        await client.delete(PartitionKeys(redis_settings.key_prefix, 0).hop)
        await store.load(0)
        await store.record(0, told())
        await store.record(0, told(START_MS + HOUR_MS + 60_000))
        assert await client.xlen(ReaderKeys(redis_settings.key_prefix).alerts) == 2


async def test_redis_emptied_in_the_middle_of_a_hop_is_told_every_alert_again(
    redis_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ReaderKeys(redis_settings.key_prefix)
    earlier, later = told(START_MS + HOUR_MS), told(START_MS + HOUR_MS + 60_000)
    async with opened(redis_settings) as (store, client):
        await store.record(0, earlier)
        show = store._show

        async def shown_to_an_empty_one(*about: Any) -> None:
            for key in await keys_of(client, redis_settings):
                await client.delete(key)
            await show(*about)

        with monkeypatch.context() as patched:
            patched.setattr(store, "_show", shown_to_an_empty_one)
            with pytest.raises(StateLost, match="nothing is stored of partition 0 any more"):
                await store.record(0, later)
        assert not await client.exists(read.alerts)
        await store.load(0)
        await store.reset(0, None)
        assert not await client.exists(read.hop(read.tags))
        for outcome in (earlier, later):
            await store.record(0, outcome)
        assert await client.xlen(read.alerts) == 2


async def test_a_stream_that_went_back_is_told_of_once_its_partition_is_loaded_anew(
    redis_settings: Settings,
) -> None:
    read = ReaderKeys(redis_settings.key_prefix)
    hops_ms = [START_MS + HOUR_MS + n * 60_000 for n in range(3)]
    async with opened(redis_settings) as (store, client):
        for hop_ms in hops_ms[:2]:
            await store.record(0, told(hop_ms))
        await client.hset(read.told, "0", str(hops_ms[0]))
        with pytest.raises(StateLost, match=f"hop {hops_ms[1]} last, but in the stream .* of {hops_ms[0]}"):
            await store.record(0, told(hops_ms[2]))
        await store.load(0)
        await store.record(0, told(hops_ms[2]))
        assert await client.xlen(read.alerts) == 3


def alert_of(outcome: Outcome) -> Alert:
    alert = outcome.tags[0].alert
    assert alert is not None
    return alert


async def test_readers_find_what_the_window_held(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        await store.record(0, told(hashtag="loan:{x}"))
        read = ReaderKeys(redis_settings.key_prefix)
        assert await client.zrange(read.tags, 0, -1, withscores=True) in (
            [(b"loan:{x}", 75.0)],
            [[b"loan:{x}", 75.0]],
        )
        assert await client.hgetall(read.tag("loan:{x}")) == {
            b"posts": b"40",
            b"accounts": b"7",
            b"coordinated_posts": b"30",
            b"coordinated_accounts": b"7",
            b"coordinated_share": b"0.7500",
            b"texts": b"2",
            b"score": b"75.00",
            b"window_start": b"2016-07-26T18:00:00Z",
            b"window_end": b"2016-07-26T19:00:00Z",
            b"kind": b"flood",
        }
        assert dict(await client.zrange(read.tag("loan:{x}", "texts"), 0, -1, withscores=True)) == {
            b"text 0": 20.0,
            b"text 1": 20.0,
        }
        assert await client.hgetall(read.tag("loan:{x}", "intervals")) == {b"7": b"33"}
        created = await client.hgetall(read.tag("loan:{x}", "created"))
        assert sum(map(int, created.values())) == 7
        assert b"2014-05-13" in created
        assert await client.zscore(read.tag("loan:{x}", "clients"), "a client") == 40.0
        alert = alert_of(told(hashtag="loan:{x}"))
        assert await client.get(read.alert(alert.id)) == alert_json(alert)


async def test_readers_of_a_sampled_hashtag_find_estimates_and_the_rate(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        (tag,) = (outcome := told()).tags
        window = replace(tag.window, sampled=0.25)
        assessment = replace(tag.assessment, window=window, posts=window.estimated(40))
        sampled = replace(tag, window=window, assessment=assessment)
        await store.record(0, replace(outcome, tags=(sampled,)))
        read = ReaderKeys(redis_settings.key_prefix)
        shown = await client.hgetall(read.tag("loan"))
        assert shown[b"sampled"] == b"0.25"
        counts = [int(shown[name]) for name in (b"posts", b"coordinated_posts", b"coordinated_accounts")]
        assert counts == [160, 120, 28]
        texts = await client.zrange(read.tag("loan", "texts"), 0, -1, withscores=True)
        assert dict(texts) == {b"text 0": 80.0, b"text 1": 80.0}


async def test_the_next_hop_replaces_what_readers_see(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        read = ReaderKeys(redis_settings.key_prefix)
        await client.hset(read.tag("loan", "created"), "1999-01-01", "5")
        await store.record(0, told())
        assert b"1999-01-01" not in await client.hgetall(read.tag("loan", "created"))


async def test_a_hashtag_without_a_score_is_not_listed(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        read = ReaderKeys(redis_settings.key_prefix)
        await store.record(0, told())
        assert await client.zscore(read.tags, "loan") == 75.0
        await store.record(0, told(START_MS + HOUR_MS + 60_000, coordinated=0))
        assert await client.zcard(read.tags) == 0


async def test_a_score_that_nobody_renews_fades_with_its_window(redis_settings: Settings) -> None:
    async with opened(redis_settings) as (store, client):
        read, first_ms = ReaderKeys(redis_settings.key_prefix), START_MS + HOUR_MS
        window_ms = redis_settings.window_s * 1_000
        await store.record(0, told(first_ms))
        await store.record(0, Outcome(first_ms + window_ms, ()))
        assert await client.zscore(read.tags, "loan") == 75.0
        await store.record(0, Outcome(first_ms + window_ms + 60_000, ()))
        assert await client.zcard(read.tags) == 0
        assert await client.zcard(PartitionKeys(redis_settings.key_prefix, 0).scored) == 0
