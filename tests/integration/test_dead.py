"""Dead letters on a real broker: listed, shown and sent again, with and without workers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import command
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from streams import (
    archive,
    clock,
    dead,
    dead_topic,
    embedded,
    formats,
    live,
    pipeline,
    replay,
    retry,
    topics,
)
from streams import scan as scanning
from streams.dead import ARCHIVE, MAX_LETTER_BYTES, Letter, Place
from streams.dead_topic import NoLetters, NotKept, UnknownLetter
from streams.ending import STOPPED
from streams.live import Stack
from streams.output import latest
from streams.pipeline import Message
from streams.posts import InvalidPost, Post
from streams.retry import Fate
from streams.sending import TooLarge, producing
from streams.settings import Settings

from .apache_kafka import Node
from .one_a_message import send
from .running import HOP_S, RULES

pytestmark = [pytest.mark.servers, pytest.mark.slow]

DEADLINE_S = 120.0
HUGE_BYTES = 17_000_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded.broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


numbers = count()


@pytest.fixture
def settings(broker: str) -> Settings:
    """Topics of its own for every test."""
    made = Settings.load(kafka_url=broker, partitions=2, topic_prefix=f"t{next(numbers)}.")
    topics.ensure(made)
    return made


def a_post(number: int = 1, text: str = "A quiet post") -> Post:
    return Post(id=str(number), account_id="7", time_ms=1_469_561_400_000, text=text, hashtags=("ferry",))


def post(settings: Settings, value: bytes, partition: int = 0, format: str | None = None) -> None:
    """Put a message on `posts`."""
    with producing(settings) as sink:
        sink.send(value, [] if format is None else [("format", format.encode())], partition)


def bury(
    settings: Settings, *letters: tuple[Place, bytes, str | None], reason: str = "not JSON: here"
) -> None:
    """Write dead letters as a worker does."""
    with producing(settings, settings.dead_topic) as graves:
        for place, payload, format in letters:
            out = dead.written(place, InvalidPost(reason=reason, payload=payload), format)
            graves.send(out.value, list(out.headers.items()), 0, out.key)


def bury_message(
    settings: Settings, value: bytes, partition: int = 0, format: str | None = None
) -> list[str]:
    """Do what a worker does with the only message of a partition; gives the keys of its dead letters."""
    post(settings, value, partition, format)
    headers = {} if format is None else {"format": format.encode()}
    keys = []
    for letter in pipeline.ingest([Message(0, value, headers)], partition, 0, 1).dead:
        place = Place(settings.posts_topic, partition, letter.offset, letter.line, letter.part)
        bury(settings, (place, letter.invalid.payload, letter.format), reason=letter.invalid.reason)
        keys.append(place.key)
    return keys


def messages(settings: Settings, topic: str, partition: int = 0) -> list[Any]:
    """All there is in a partition now."""
    consumer = KafkaConsumer(bootstrap_servers=list(settings.kafka_servers), auto_offset_reset="earliest")
    try:
        asked = TopicPartition(topic, partition)
        consumer.assign([asked])
        consumer.seek_to_beginning(asked)
        found: list[Any] = []
        while (end := consumer.highwater(asked)) is None or consumer.position(asked) < end:
            found += consumer.poll(timeout_ms=200).get(asked, [])
        return found
    finally:
        consumer.close()


def floodmark(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return command.floodmark(*arguments, environ=live.environment(settings))


def place(settings: Settings, offset: int = 0, line: int = 0, part: int = 0) -> Place:
    return Place(settings.posts_topic, 0, offset, line, part)


def content(settings: Settings, letter: Letter) -> bytes:
    ((_, held),) = dead_topic.contents(settings, [letter])
    return held


# ------------------------------------------------------------------------------------------------- list, show


def test_a_letter_written_again_is_listed_once_and_what_is_no_letter_is_not(settings: Settings) -> None:
    bury(settings, (place(settings, 1), b"one", None), (place(settings, 2), b"two", None))
    with producing(settings, settings.dead_topic) as foreign:
        foreign.send(b"hello", [], 0, b"not/a/key")
        foreign.send(b"from before letters had keys", [("reason", b"old")], 0)
    bury(settings, (place(settings, 1), b"one", None))
    found = dead_topic.letters(settings)
    assert list(found) == [place(settings, 2).key, place(settings, 1).key]
    assert [content(settings, letter) for letter in found.values()] == [b"two", b"one"]


def test_the_list_chooses_counts_and_speaks_json(settings: Settings) -> None:
    bury(settings, *((place(settings, offset), b"x" * offset, None) for offset in range(1, 4)))
    bury(settings, (place(settings, 9), b"{}", "floodmark"), reason="id is missing\x1b[31m")
    listed = floodmark(settings, "dead", "list").stdout.decode()
    assert listed.index(place(settings, 1).key) < listed.index(place(settings, 9).key)
    assert "4 dead letters" in listed
    assert "3  not JSON" in " ".join(listed.split("\n"))
    assert "\x1b" not in listed
    done = floodmark(settings, "dead", "list", "--json", "--reason", "id IS")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["key"], line["format"], line["bytes"], line["offset"]) == (
        place(settings, 9).key,
        "floodmark",
        2,
        9,
    )
    newest = floodmark(settings, "dead", "list", "--limit", "1").stdout.decode()
    assert place(settings, 9).key in newest
    assert place(settings, 3).key not in newest
    assert "4 dead letters, the newest 1 of them above" in newest
    later = clock.iso(clock.now_ms() + 3_600_000)
    assert floodmark(settings, "dead", "list", "--json", "--since", later).stdout == b""
    assert b"0 dead letters" in floodmark(settings, "dead", "list", "--since", later).stdout


def test_a_letter_is_shown_with_its_payload_and_raw_to_the_byte(settings: Settings) -> None:
    payload = b'{"id": "\xff",\t"text": "]0;owned\x1b\x07"}'
    (key,) = bury_message(settings, payload, 1)
    shown = floodmark(settings, "dead", "show", key).stdout.decode()
    assert key in shown
    assert "would fail: not UTF-8" in shown
    assert r'{"id": "\xff",\t"text": "]0;owned\x1b\x07"}' in shown
    assert "\x1b" not in shown
    raw = floodmark(settings, "dead", "show", "--raw", key)
    assert (raw.stdout, raw.stderr, raw.returncode) == (payload, b"", 0)


def test_a_large_payload_is_cut_and_shown_whole_from_where_it_came(settings: Settings) -> None:
    large = b'{"id": "%s"}' % (b"x" * 2 * MAX_LETTER_BYTES)
    keys = bury_message(settings, b"\n".join([formats.encode(a_post()), b"[5, " + large + b"]"]), 1)
    letter = dead_topic.letters(settings)[keys[1]]
    assert (letter.is_cut, letter.size) == (True, len(large))
    assert len(messages(settings, settings.dead_topic)[1].value) < MAX_LETTER_BYTES
    assert floodmark(settings, "dead", "show", "--raw", keys[1]).stdout == large


def test_a_payload_that_is_nowhere_whole_any_more_is_shown_as_far_as_it_is_kept(settings: Settings) -> None:
    large = b"x" * 2 * MAX_LETTER_BYTES
    gone = Place("gone", 0, 5, 0)
    bury(
        settings,
        (gone, large, None),
        (place(settings, 0), large, None),
        (Place("posts", 7, 5, 0), large, None),
    )
    post(settings, b"another message than the one that was here")
    done = floodmark(settings, "dead", "show", "--raw", gone.key)
    assert done.returncode == 1
    assert large.startswith(done.stdout)
    assert len(done.stdout) > MAX_LETTER_BYTES // 2
    assert b"no partition 0 of a topic gone any more" in done.stderr
    letter = dead_topic.letters(settings)[place(settings, 0).key]
    with pytest.raises(NotKept, match="is something else"):
        dead_topic.whole(settings, letter, content(settings, letter))


def test_a_key_nobody_has_and_a_topic_that_is_not_there_are_named(settings: Settings) -> None:
    for verb in ("show", "retry"):
        done = floodmark(settings, "dead", verb, "posts/0/99/0/0")
        assert done.returncode == 2
        assert done.stderr.decode().startswith("floodmark: there is no dead letter 'posts/0/99/0/0'")
    elsewhere = settings.model_copy(update={"topic_prefix": "nobody."})
    with pytest.raises(NoLetters, match=r"there is no topic nobody\.posts\.dead"):
        dead_topic.letters(elsewhere)
    assert "nobody.posts.dead" not in topics.answer(settings.kafka_servers)


# ------------------------------------------------------------------------------------------------------ retry


def test_a_retry_sends_to_the_same_partition_and_removes_the_letter(settings: Settings) -> None:
    good = formats.encode(a_post())
    (key,) = bury_message(settings, good, 1, "x_io")
    done = floodmark(settings, "dead", "retry", key, "--format", "floodmark")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1 sent again.\n", b"")
    _, again = messages(settings, settings.posts_topic, 1)
    assert (again.value, dict(again.headers)) == (good, {"format": b"floodmark"})
    assert [(m.key.decode(), m.value is None) for m in messages(settings, settings.dead_topic)] == [
        (key, False),
        (key, True),
    ]
    assert dead_topic.letters(settings) == {}
    with pytest.raises(UnknownLetter):
        dead_topic.named(settings, [key])


def test_a_letter_that_a_restarted_worker_writes_after_the_retry_is_back(settings: Settings) -> None:
    (key,) = bury_message(settings, formats.encode(a_post()), 1, "x_io")
    retry.retry(settings, dead_topic.named(settings, [key]), format="floodmark")
    bury(settings, (Place.parse(key), formats.encode(a_post()), "x_io"))
    assert list(dead_topic.letters(settings)) == [key]


def test_a_dry_run_says_what_would_be_and_does_nothing(settings: Settings) -> None:
    bury(settings, (place(settings, 1), formats.encode(a_post()), None), (place(settings, 2), b"junk", None))
    done = floodmark(settings, "dead", "retry", "--all", "--dry-run")
    assert done.returncode == 1
    assert b"It would be: 1 sent again, 1 still unreadable" in done.stdout
    assert len(messages(settings, settings.dead_topic)) == 2
    assert messages(settings, settings.posts_topic) == []


def test_what_still_cannot_be_read_stays_unless_it_is_forced(settings: Settings) -> None:
    bury(settings, (place(settings, 1), formats.encode(a_post()), None), (place(settings, 2), b"junk", None))
    done = floodmark(settings, "dead", "retry", "--all")
    assert done.returncode == 1
    first, last = done.stdout.decode().splitlines()
    assert first.startswith(f"{place(settings, 2).key} is still unreadable: not JSON")
    assert last == "1 sent again, 1 still unreadable; --force sends those too."
    assert list(dead_topic.letters(settings)) == [place(settings, 2).key]
    assert floodmark(settings, "dead", "retry", "--all", "--force").returncode == 0
    assert dead_topic.letters(settings) == {}
    assert [m.value for m in messages(settings, settings.posts_topic)] == [formats.encode(a_post()), b"junk"]


def test_only_letters_of_the_reason_are_retried(settings: Settings) -> None:
    good = formats.encode(a_post())
    bury(settings, (place(settings, 1), good, None), reason="there is no such format: 'x_v3'")
    bury(settings, (place(settings, 2), good, None), reason="id is missing")
    assert floodmark(settings, "dead", "retry", "--all", "--reason", "NO SUCH").returncode == 0
    assert list(dead_topic.letters(settings)) == [place(settings, 2).key]
    assert (
        floodmark(settings, "dead", "retry", "--all", "--reason", "xyz").stdout
        == b"There is nothing to retry.\n"
    )


def test_a_cut_letter_is_sent_whole_or_not_at_all(settings: Settings) -> None:
    large = formats.encode(a_post(text="x" * 2 * MAX_LETTER_BYTES))
    kept = bury_message(settings, large, 1, "x_io")
    bury(settings, (Place("gone", 1, 5, 0), large, None))
    fates = retry.retry(settings, list(dead_topic.letters(settings).values()), format="floodmark")
    assert fates == {Fate.SENT: 1, Fate.NOT_KEPT: 1}
    assert [m.value for m in messages(settings, settings.posts_topic, 1)] == [large] * 2
    assert not set(kept) & set(dead_topic.letters(settings))


def test_a_message_that_was_dead_as_a_whole_is_sent_again_line_by_line(settings: Settings) -> None:
    several = b"\n".join(formats.encode(a_post(number)) for number in range(3))
    bury(settings, (place(settings, 1), several, None), reason="its hashtags make 13 bytes of rows")
    retry.retry(settings, dead_topic.named(settings, [place(settings, 1).key]))
    assert [m.value for m in messages(settings, settings.posts_topic)] == several.split(b"\n")


def test_many_letters_are_retried_each_once(settings: Settings) -> None:
    posts = [formats.encode(a_post(number)) for number in range(2 * retry.BATCH_LETTERS + 1)]
    bury(settings, *((place(settings, number), value, None) for number, value in enumerate(posts)))
    fates = retry.retry(settings, list(dead_topic.letters(settings).values()))
    assert fates == {Fate.SENT: len(posts)}
    assert [m.value for m in messages(settings, settings.posts_topic)] == posts
    assert dead_topic.letters(settings) == {}


# ----------------------------------------------------------------------------------------------------- replay


def test_a_record_larger_than_a_message_is_a_dead_letter_and_the_replay_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "july.jsonl"
    huge = formats.encode(a_post(2, "x" * HUGE_BYTES))
    path.write_bytes(b"\n".join([formats.encode(a_post(1)), huge, formats.encode(a_post(3))]) + b"\n")
    done = floodmark(settings, "replay", str(path), "--speed", "max")
    assert done.returncode == 0
    assert (
        f"{path} line 2: {len(huge):,} bytes, with its headers more than the 16,777,216"
        in done.stderr.decode()
    )
    assert done.stdout.decode().startswith("2 posts and 0 other payloads in 2 messages")
    assert b"1 too large for a message, dead letters now" in done.stdout
    ((key, letter),) = dead_topic.letters(settings).items()
    assert key == f"{ARCHIVE}{path}/0/2/0/0"
    assert (letter.size, letter.is_cut) == (len(huge), True)
    with pytest.raises(NotKept, match=f"the whole is in {path} from line 2 on"):
        dead_topic.whole(settings, letter, content(settings, letter))
    floodmark(settings, "replay", str(path), "--speed", "max")
    assert list(dead_topic.letters(settings)) == [key], "the same archive makes the same letter"


# ----------------------------------------------------------------------------------------------- with workers


def await_letters(stack: Stack, number: int) -> dict[str, Letter]:
    """The dead letters, once there are so many."""
    deadline_s = clock.monotonic_s() + DEADLINE_S
    while clock.monotonic_s() < deadline_s:
        stack.check()
        found = dead_topic.letters(stack.settings)
        if len(found) >= number:
            return found
    raise AssertionError(f"{len(found)} dead letters, {number} expected")


def retry_a_wrong_format(stack: Stack, flood: Path, folder: Path) -> None:
    """The first posts of a flood are dead, are sent again twice, and the alerts are those of a scan."""
    scanned = scanning.scan([str(flood)], folder, RULES).alerts
    assert scanned, "the posts hold a flood, so there must be alerts to compare"
    records, settings = list(archive.read([str(flood)])), stack.settings
    wrong, rest = records[:20], records[20:]
    post(settings, b"\n".join(record.payload for record in wrong), 1, "x_io")
    keys = list(await_letters(stack, len(wrong)))
    # A retry that was broken off: the posts are there again, and the letters still are.
    with producing(settings) as sink:
        for record in wrong:
            sink.send(record.payload, [], 1)
    assert floodmark(settings, "dead", "retry", *keys).returncode == 1
    done = floodmark(settings, "dead", "retry", "--all", "--format", "x_v1.1")
    assert (done.stdout.decode(), done.returncode) == (f"{len(wrong)} sent again.\n", 0)
    assert dead_topic.letters(settings) == {}
    send(settings, rest, 0, end=True)
    told = latest(live.until_end(settings, stack.check, DEADLINE_S))
    assert told == tuple(scanned)


def test_a_worker_that_reads_again_what_it_had_read_writes_the_same_letters() -> None:
    array = b"[1, %s, 2, {}]" % formats.encode(a_post())
    with Stack(partitions=1, metrics_port=0) as stack:
        settings = stack.settings
        post(settings, b"junk\n" + array)
        first = await_letters(stack, 4)
        stop(stack)
        forget_progress(settings)
        stack.await_ready(stack.start_worker())
        post(settings, b"later")
        second = await_letters(stack, 5)
        assert len(messages(settings, settings.dead_topic)) == 9
    assert [key.partition("/")[2] for key in first] == ["0/0/0/0", "0/0/1/0", "0/0/1/2", "0/0/1/3"]
    assert list(second) == [*first, "posts/0/1/0/0"]


def stop(stack: Stack) -> None:
    worker = stack.workers.pop()
    worker.process.terminate()
    assert worker.process.wait(DEADLINE_S) == 0


def forget_progress(settings: Settings) -> None:
    """Leave the group as if its worker had been killed before it committed anything."""
    consumer = KafkaConsumer(
        settings.posts_topic,
        bootstrap_servers=list(settings.kafka_servers),
        group_id=settings.group,
        enable_auto_commit=False,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_500,
    )
    try:
        while not consumer.assignment():
            consumer.poll(timeout_ms=200)
        consumer.commit({TopicPartition(settings.posts_topic, 0): OffsetAndMetadata(0, "", -1)})
    finally:
        consumer.close()


def test_a_worker_that_stops_for_its_dead_posts_says_why_they_are_dead() -> None:
    with Stack(partitions=1, metrics_port=0, dead_share_payloads=10) as stack:
        post(stack.settings, b"\n".join([b'{"id": "1"}', *[b"nonsense"] * 19]))
        assert stack.workers[0].process.wait(DEADLINE_S) == STOPPED
        log = stack.workers[0].log.read_text()
    assert "20 of the last 20 payloads could not be read" in log
    assert "most often (19 times) like this: not JSON" in log


# -------------------------------------------------------------------------------------------- on Apache Kafka


def test_on_apache_kafka_letters_are_listed_shown_and_retried(
    kafka: Node, flood: Path, tmp_path: Path
) -> None:
    large = b'{"id": "%s' % (b"x" * 2 * MAX_LETTER_BYTES)
    with Stack(
        kafka_url=kafka.url, partitions=2, metrics_port=0, hop_s=HOP_S, topic_prefix="e2e.", group="e2e"
    ) as stack:
        settings = stack.settings
        post(settings, large)
        (key,) = await_letters(stack, 1)
        (line,) = floodmark(settings, "dead", "list", "--json").stdout.splitlines()
        said = json.loads(line)
        assert (said["key"], said["bytes"]) == (key, len(large)) == ("e2e.posts/0/0/0/0", said["bytes"])
        assert said["kept_bytes"] < len(large)
        assert floodmark(settings, "dead", "show", "--raw", key).stdout == large
        assert b"still unreadable: not JSON" in floodmark(settings, "dead", "retry", key).stdout
        floodmark(settings, "dead", "retry", key, "--force")
        (again,) = await_letters(stack, 1)
        assert again == "e2e.posts/0/1/0/0", "it is dead again, with the place it has now"
        delete_before(settings, TopicPartition(settings.posts_topic, 0), 2)
        done = floodmark(settings, "dead", "show", "--raw", again)
        assert (len(done.stdout), done.returncode) == (said["kept_bytes"], 1)
        assert b"partition 0 of e2e.posts begins at offset 2 now, it was at 1" in done.stderr
        with producing(settings, settings.dead_topic) as graves:
            graves.send(None, [], 0, again.encode())
        retry_a_wrong_format(stack, flood, tmp_path)


def test_on_apache_kafka_a_topic_that_takes_less_is_no_end_of_a_replay(kafka: Node, tmp_path: Path) -> None:
    settings = Settings.load(kafka_url=kafka.url, partitions=2, topic_prefix="small.")
    topics.ensure(settings)
    with admin(settings) as client:
        resource = ConfigResource(
            ConfigResourceType.TOPIC, settings.posts_topic, {"max.message.bytes": "100000"}
        )
        client.alter_configs([resource])
    path = tmp_path / "july.jsonl"
    sizes = (40_000, 40_000, 40_000, 200_000, 40_000)
    posts = [formats.encode(a_post(number, "x" * size)) for number, size in enumerate(sizes)]
    path.write_bytes(b"\n".join(posts) + b"\n")
    sent = replay.replay([str(path)], settings)
    assert (sent.posts, sent.messages, sent.too_large) == (4, 4, 1)
    assert [m.value for m in messages(settings, settings.posts_topic)] == [b"", *posts[:3], posts[4], b""]
    (letter,) = dead_topic.letters(settings).values()
    assert "more than the 100,000 a message may have" in letter.reason
    assert content(settings, letter) == posts[3]
    assert retry.retry(settings, [letter]) == {Fate.TOO_LARGE: 1}
    assert dead_topic.letters(settings) == {letter.place.key: letter}


def test_on_apache_kafka_a_refusal_nobody_could_foresee_stops_nothing(kafka: Node) -> None:
    settings = Settings.load(kafka_url=kafka.url, partitions=1, topic_prefix="secret.")
    topics.ensure(settings)
    with admin(settings) as client:
        resource = ConfigResource(
            ConfigResourceType.TOPIC, settings.posts_topic, {"max.message.bytes": "600000"}
        )
        client.alter_configs([resource])
    with producing(settings) as sink:
        sink.send(b"before", [], 0)
        with pytest.raises(TooLarge, match="700,000 bytes, with its headers more than the broker takes"):
            sink.send(b"x" * 700_000, [], 0)
        sink.send(b"after", [], 0)
    assert [m.value for m in messages(settings, settings.posts_topic)] == [b"before", b"after"]


def delete_before(settings: Settings, partition: TopicPartition, offset: int) -> None:
    """What retention does after its days."""
    with admin(settings) as client:
        client.delete_records({partition: offset})


@contextmanager
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=list(settings.kafka_servers))
    try:
        yield client
    finally:
        client.close()
