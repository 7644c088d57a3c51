"""Dead letters without a broker: their keys, their size, where their payloads are found, who is told why."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field

import pytest
from command import said as floodmark
from hypothesis import given
from hypothesis import strategies as st

from streams import archive, clock, dead, formats, pipeline, replay, retry
from streams.archive import Record
from streams.dead import ARCHIVE, MAX_HEADER_BYTES, MAX_LETTER_BYTES, Letter, NotALetter, Place, Written
from streams.dead_cli import printable
from streams.ingestion import MAX_KINDS, DeadShare, TooManyDead
from streams.pipeline import DeadLetter, Message
from streams.posts import InvalidPost, Post
from streams.sending import TooLarge
from streams.settings import Settings

PLACE = Place("posts", 3, 1201, 0)


def a_post(number: int = 1, text: str = "A quiet post") -> Post:
    return Post(id=str(number), account_id="7", time_ms=1_469_561_400_000, text=text)


def invalid(reason: str = "id is missing", payload: bytes = b"{}") -> InvalidPost:
    return InvalidPost(reason=reason, payload=payload)


def bytes_of(out: Written) -> int:
    return len(out.key) + len(out.value) + sum(len(name) + len(value) for name, value in out.headers.items())


def read(out: Written) -> Letter:
    return dead.read(out.key, out.value, out.headers, offset=0, at_ms=0)


# ------------------------------------------------------------------------------------------------------- keys


@given(
    st.builds(
        Place,
        st.text(min_size=1),
        *[st.integers(min_value=0, max_value=2**63 - 1)] * 4,
    )
)
def test_a_key_names_its_place(place: Place) -> None:
    assert Place.parse(place.key) == place


@pytest.mark.parametrize(
    "key",
    ["", "posts", "posts/1/2/3", "/1/2/3/4", "posts/1/2/3/x", "posts/1/-2/3/4", f"posts/{'9' * 5_000}/2/3/4"],
)
def test_what_is_no_key_is_refused_with_an_example(key: str) -> None:
    with pytest.raises(NotALetter, match=r"posts/3/1201/0/0"):
        Place.parse(key)


def test_every_broken_element_of_a_line_has_a_key_of_its_own_and_the_same_when_read_again() -> None:
    array = b"[%s, {}, 5, {}]" % formats.encode(a_post())
    message = Message(
        9, b"\n".join([formats.encode(a_post(2)), array, b"nonsense"]), {"format": b"floodmark"}
    )

    def keys(batch: list[Message]) -> list[str]:
        letters = pipeline.ingest(batch, 0, 9, 1).dead
        return [Place("posts", 0, letter.offset, letter.line, letter.part).key for letter in letters]

    first = keys([message])
    assert first == ["posts/0/9/1/1", "posts/0/9/1/2", "posts/0/9/1/3", "posts/0/9/2/0"]
    assert keys([message, Message(10, b"")]) == first


def test_a_letter_remembers_what_its_message_called_the_format() -> None:
    message = Message(0, b"{}", {"format": b"x_io"})
    (letter,) = pipeline.ingest([message], 0, 0, 1).dead
    assert letter.format == "x_io"
    assert read(dead.written(PLACE, letter.invalid, letter.format)).format == "x_io"
    assert read(dead.written(PLACE, letter.invalid, None)).format is None


# -------------------------------------------------------------------------------------------- what is written


def test_a_letter_says_why_and_where_and_holds_the_payload() -> None:
    out = dead.written(PLACE, invalid("id is missing", b"{}"), None)
    assert out == Written(
        b"posts/3/1201/0/0",
        b"{}",
        {
            "reason": b"id is missing",
            "topic": b"posts",
            "partition": b"3",
            "offset": b"1201",
            "line": b"0",
        },
    )
    assert read(out) == Letter(PLACE, "id is missing", None, size=2, kept=2, offset=0, at_ms=0)


@pytest.mark.parametrize("size", [MAX_LETTER_BYTES - 1_000, MAX_LETTER_BYTES, 3 * MAX_LETTER_BYTES])
@pytest.mark.parametrize("chars", [10, 2**20])
def test_no_letter_is_larger_than_a_broker_takes(size: int, chars: int) -> None:
    payload = b"x" * size
    place = Place(f"{ARCHIVE}{'deep/' * 200}", 0, 1, 0)
    out = dead.written(place, invalid("because " + "é" * chars, payload), "f" * chars)
    letter = read(out)
    assert bytes_of(out) <= MAX_LETTER_BYTES
    assert (letter.size, letter.kept) == (size, len(out.value))
    assert payload.startswith(out.value)
    assert letter.is_cut is (len(out.value) < size)
    assert len(out.headers["reason"]) <= MAX_HEADER_BYTES


def test_a_letter_that_just_fits_is_not_cut() -> None:
    room = MAX_LETTER_BYTES - bytes_of(dead.written(PLACE, invalid(payload=b""), None))
    fits, over = (dead.written(PLACE, invalid(payload=b"x" * size), None) for size in (room, room + 1))
    assert bytes_of(fits) == bytes_of(over) == MAX_LETTER_BYTES
    assert not read(fits).is_cut
    assert read(over).is_cut


def test_a_reason_or_path_that_is_no_unicode_can_be_written() -> None:
    out = dead.written(Place(f"{ARCHIVE}\udcff.jsonl", 0, 1, 0), invalid("text is \ud83d"), None)
    assert read(out).reason == r"text is \ud83d"
    assert read(out).place.topic == rf"{ARCHIVE}\udcff.jsonl"


# --------------------------------------------------------------------------------- where the whole payload is


def cut(message: Message, limit: int = 20) -> list[tuple[Letter, bytes]]:
    """The letters of a message as if they had been cut after so many bytes."""
    letters = pipeline.ingest([message], 0, message.offset, 1).dead
    return [(as_cut(letter, limit), letter.invalid.payload[:limit]) for letter in letters]


def as_cut(letter: DeadLetter, limit: int) -> Letter:
    size = len(letter.invalid.payload)
    place = Place("posts", 0, letter.offset, letter.line, letter.part)
    return Letter(place, letter.invalid.reason, letter.format, size, min(limit, size), 0, 0)


def test_the_whole_of_a_cut_letter_is_found_in_its_message() -> None:
    elements = [b'{"n": %d, "pad": "%s"}' % (number, b"x" * 50) for number in range(3)]
    value = b"\n".join([b"not json at all, whatever it is", b"[" + b",\r".join(elements) + b"]"])
    message = Message(4, value)
    found = [dead.found_in(value, None, letter, beginning) for letter, beginning in cut(message)]
    assert found == [b"not json at all, whatever it is", *elements]


def test_the_whole_of_a_message_that_is_dead_as_one_is_found() -> None:
    value = b"\n".join([formats.encode(a_post(1)), formats.encode(a_post(2))])
    letter = Letter(Place("posts", 0, 4, 0, 0), "rows", None, len(value), 20, 0, 0)
    assert dead.found_in(value, None, letter, value[:20]) == value


@pytest.mark.parametrize("other", [b"", b"{}", b"\n\n", b"not json at all, whatever is it", b"[5, 6]"])
def test_another_message_is_not_taken_for_the_one_that_is_dead(other: bytes) -> None:
    ((letter, beginning),) = cut(Message(4, b"not json at all, whatever it is"), 30)
    assert dead.found_in(other, None, letter, beginning) is None


# ------------------------------------------------------------------------------------ how reasons are counted


@pytest.mark.parametrize(
    "payloads",
    [
        (b"nonsense", b"others"),
        (b'{"id": "1", "account_id": "2", "text": "a", "time": "noon"}',) * 2,
        (b'{"a": 1}', b'{"b": 2}'),
        (b'{"errors": [{"message": "over"}]}', b'{"errors": [{"message": "again"}]}'),
    ],
)
def test_reasons_that_differ_in_a_value_only_are_of_one_kind(payloads: tuple[bytes, ...]) -> None:
    reasons = [
        one.reason for payload in payloads for one in formats.decode(payload) if hasattr(one, "reason")
    ]
    kinds = {dead.kind(reason) for reason in reasons}
    assert len(reasons) == 2
    assert len(kinds) == 1


def test_values_inside_a_reason_do_not_make_kinds() -> None:
    one = "its time 2016-07-26T21:15:51.003Z is outside what can be: 3,600 s too far in the future"
    other = "its time 2031-01-01T00:00:00Z is outside what can be: 7 s too far in the future"
    assert dead.kind(one) == dead.kind(other) == "its time … is outside what can be"
    assert dead.kind("neither an X v1.1 status: its keys") == "neither an X v1.1 status"


def letters(*reasons: str) -> list[DeadLetter]:
    return [DeadLetter(0, line, invalid(reason)) for line, reason in enumerate(reasons)]


def test_a_worker_that_stops_for_its_dead_posts_says_why_most_are_dead() -> None:
    share = DeadShare(limit=0.5, payloads=10)
    share.add(
        {"posts": 2, "invalid": 3}, letters("id is missing", "not JSON: at byte 1", "not JSON: at byte 2")
    )
    with pytest.raises(TooManyDead) as stopped:
        share.add({"posts": 1, "invalid": 4}, letters(*["not JSON: at byte 3"] * 4))
    assert "7 of the last 10 payloads" in str(stopped.value)
    assert "most often (6 times) like this: not JSON: at byte 1;" in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_the_reasons_of_an_earlier_span_are_not_told_of_a_later_one() -> None:
    share = DeadShare(limit=0.5, payloads=4)
    share.add({"posts": 2, "invalid": 2}, letters("id is missing", "id is missing"))
    with pytest.raises(TooManyDead, match=r"\(3 times\) like this: text is missing"):
        share.add({"posts": 1, "invalid": 3}, letters(*["text is missing"] * 3))


def test_a_flood_of_reasons_is_counted_in_bounded_memory() -> None:
    share = DeadShare(limit=0.5, payloads=10**9)
    share.add({"invalid": 1}, letters("id is missing"))
    for number in range(10 * MAX_KINDS):
        share.add({"invalid": 1}, letters(f"{chr(0x4E00 + number)} is missing" + "x" * 10_000))
    kept = {**share._kinds, **share._examples}
    assert len(kept) <= MAX_KINDS
    assert sum(map(len, share._examples.values())) < MAX_KINDS * 1_000


# --------------------------------------------------------------------------------------------- retry and show


def test_what_a_worker_would_read_now_is_not_refused() -> None:
    settings = Settings.load()
    good = formats.encode(a_post())
    assert retry.refusal(settings, good, None) is None
    assert retry.refusal(settings, b"nonsense\n" + good, None) is None
    assert retry.refusal(settings, b'{"delete": {"status": {}}}', None) is None
    assert "not JSON" in str(retry.refusal(settings, b"nonsense", None))
    assert "there is no such format" in str(retry.refusal(settings, good, "x_v3"))


def test_a_post_that_is_still_far_in_the_future_is_refused_until_its_time_comes() -> None:
    settings = Settings.load()
    ahead_ms = settings.max_ahead_s * 1_000
    early, due = (
        formats.encode(Post(id="1", account_id="2", text="soon", time_ms=clock.now_ms() + ahead_ms + wait_ms))
        for wait_ms in (3_600_000, -3_600_000)
    )
    assert "too far in the future" in str(retry.refusal(settings, early, None))
    assert retry.refusal(settings, due, None) is None


def test_a_message_that_was_dead_as_a_whole_is_sent_line_by_line() -> None:
    assert retry.lines(b"{}\n\n{1}\n") == [b"{}", b"{1}"]


def test_a_payload_cannot_steer_the_terminal_that_shows_it() -> None:
    assert printable(b'{"a": "b"}') == '{\n  "a": "b"\n}'
    shown = printable("{\x1b[2J\u202eevil\ud83d}".encode(errors="surrogatepass"))
    assert shown == r"{\x1b[2J\u202eevil\xed\xa0\xbd}"


# ----------------------------------------------------------------------------------------------------- replay


@dataclass
class SmallTopic:
    """Takes messages up to a size."""

    most: int
    sent: list[tuple[bytes, int]] = field(default_factory=list)

    def send(self, value: bytes, headers: list[tuple[str, bytes]], partition: int) -> None:
        if len(value) > self.most:
            raise TooLarge(f"{len(value):,} bytes")
        self.sent.append((value, partition))


def record(number: int, size: int = 10) -> Record:
    payload = formats.encode(a_post(number, "x" * size))
    return Record(payload, "july.jsonl", number, formats.decode(payload))


def test_a_record_no_message_can_hold_is_named_and_the_replay_goes_on_in_order() -> None:
    topic, buried = SmallTopic(2_000), list[tuple[int, str]]()
    records = [record(1), record(2, 5_000), record(3), record(4, 1_500), record(5)]
    result = replay.send(
        records, topic, 2, posts_per_message=3, bury=lambda one, why: buried.append((one.line, why))
    )
    assert [(line, why) for line, why in buried] == [(2, f"{len(records[1].payload):,} bytes")]
    assert [value for value, _ in topic.sent if value] == [
        records[0].payload,
        records[2].payload,
        records[3].payload + b"\n" + records[4].payload,
    ]
    assert [partition for value, partition in topic.sent if value] == [0, 0, 1]
    assert (result.posts, result.other, result.messages, result.too_large) == (4, 0, 3, 1)


def test_a_record_that_is_no_post_and_too_large_is_counted_as_that_only() -> None:
    junk = archive.Record(b"x" * 5_000, "july.jsonl", 1, [invalid(payload=b"x" * 5_000)])
    result = replay.send([junk, record(2)], SmallTopic(2_000), 1, bury=lambda one, why: None)
    assert (result.posts, result.other, result.too_large) == (1, 0, 1)


# ------------------------------------------------------------------------------------------------ the command


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal with status 2."""
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    return line


@pytest.mark.parametrize("command", ["list", "show", "retry"])
def test_every_command_explains_itself(command: str) -> None:
    done = floodmark("dead", command, "--help")
    assert done.returncode == 0
    assert len(re.sub(r"\W", "", done.stdout)) > 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry",), "neither keys nor --all"),
        (("retry", "posts/0/1/0/0", "--all"), "1 keys and --all"),
        (("retry", "posts/0/1/0/0", "--reason", "JSON"), "--reason 'JSON'"),
        (("retry", "--all", "--format", "x_v3"), "there is no such format: 'x_v3'"),
        (("list", "--since", "yesterday"), "--since 'yesterday': it is a day or a time, as 2016-07-26"),
        (("list",), "no broker answers at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = floodmark("dead", *arguments, FLOODMARK_KAFKA_URL="kafka://127.0.0.1:1")
    assert said in complaint(done)
    assert done.stdout == ""
