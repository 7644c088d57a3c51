"""Reading archives: every container and layout gives the same posts; what is wrong is said in one line."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard

from streams import archive, formats
from streams.archive import Disorder, Record, Rejects, Unreadable
from streams.formats import source
from streams.posts import Control, InvalidPost, Post

START_MS = 1469567751000


def made(n: int, time_ms: int | None = None) -> Post:
    time_ms = START_MS + n * 1000 if time_ms is None else time_ms
    return Post(id=str(n), account_id=f"a{n}", time_ms=time_ms, text=f"Wave {n}", hashtags=("tide",))


POSTS = [made(n) for n in range(5)]
LINES = b"".join(formats.encode(post) + b"\n" for post in POSTS)

CSV = (
    "tweetid,userid,tweet_time,tweet_text\n"
    '1,a,2016-03-22 12:00,"Low\ntide, again"\n'
    "\n"
    "2,b,2016-03-22 12:01\n"
    "3,c,2016-03-22 12:02,High tide\n"
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    numbers = itertools.count()

    def written(content: bytes | str, name: str = "posts") -> str:
        path = tmp_path / f"{name}{next(numbers)}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return written


def read(path: str, format: str | None = None) -> list[Record]:
    return list(archive.read([path], format))


def results(records: list[Record] | Iterator[Record]) -> list[Any]:
    return [post for record in records for post in record.posts]


def status(n: int, **changes: Any) -> dict[str, Any]:
    base = {"id_str": str(n), "created_at": "Tue Jul 26 21:15:51 +0000 2016", "text": f"Wave {n}"}
    return base | {"user": {"id_str": f"a{n}"}} | changes


@pytest.mark.parametrize(
    "packed",
    [
        LINES,
        b"\xef\xbb\xbf" + LINES,
        LINES.replace(b"\n", b"\r\n"),
        LINES.rstrip(b"\n"),
        gzip.compress(LINES),
        gzip.compress(LINES[:100]) + gzip.compress(LINES[100:]) + b"\0" * 512,
        zstandard.compress(LINES),
        zstandard.compress(LINES[:100]) + zstandard.compress(LINES[100:]),
    ],
    ids=["plain", "byte order mark", "CRLF", "no last newline", "gzip", "joined gzip", "zstd", "joined zstd"],
)
def test_every_container_gives_the_same_posts(write: Callable[..., str], packed: bytes) -> None:
    records = read(write(packed))
    assert results(records) == POSTS
    assert [record.line for record in records] == [1, 2, 3, 4, 5]
    assert [record.payload for record in records] == LINES.splitlines()


def test_lines_longer_than_a_block_are_read_whole(write: Callable[..., str]) -> None:
    long = [made(n) for n in range(3)]
    texts = ["x" * (source.BLOCK_BYTES * 2 + n) for n in range(3)]
    lines = [
        json.dumps(json.loads(formats.encode(p)) | {"text": t}) for p, t in zip(long, texts, strict=True)
    ]
    assert [post.text for post in results(read(write("\n".join(lines))))] == texts


@pytest.mark.parametrize(
    "document",
    [
        json.dumps({"search_metadata": {"count": 2}, "statuses": [status(1), status(2)]}),
        json.dumps({"search_metadata": {"count": 2}, "statuses": [status(1), status(2)]}, indent=2),
        json.dumps([status(1), status(2)]),
        json.dumps([status(1), status(2)], indent=0),
        "[" + json.dumps(status(1)) + ",\n" + json.dumps(status(2)) + "]\n",
        '{"statuses": [\n' + json.dumps(status(1)) + ",\n" + json.dumps(status(2)) + "\n]}\n",
        json.dumps(status(1), indent=2) + "\n" + json.dumps(status(2), indent=2) + "\n",
        json.dumps(status(1)) + "\n" + json.dumps({"statuses": [status(2)]}),
    ],
    ids=[
        "page",
        "pretty page",
        "array",
        "flat array",
        "array by line",
        "page by line",
        "joined documents",
        "mixed",
    ],
)
def test_every_layout_of_json_gives_one_record_a_status(write: Callable[..., str], document: str) -> None:
    records = read(write(document))
    assert [json.loads(record.payload) for record in records] == [status(1), status(2)]
    assert [post.id for post in results(records)] == ["1", "2"]
    assert not any(b"\n" in record.payload for record in records)


def test_broken_line_is_invalid_and_its_neighbours_are_read(write: Callable[..., str]) -> None:
    for at in range(3):
        lines = LINES.splitlines()[:3]
        lines[at] = lines[at][:40]
        kinds = [type(one) for one in results(read(write(b"\n".join(lines))))]
        assert kinds == [InvalidPost if n == at else Post for n in range(3)]


def test_blank_lines_and_stream_messages_are_counted_apart(write: Callable[..., str]) -> None:
    records = read(write(b"\r\n" + LINES + b'\n{"limit": {"track": 3}}\n'))
    controls = [one.kind for one in results(records) if isinstance(one, Control)]
    assert controls == ["keep_alive", "keep_alive", "limit"]
    assert len(records) == len(POSTS) + 3


def test_csv_rows_become_posts_of_floodmarks_own_format(write: Callable[..., str]) -> None:
    first, broken, last = read(write(CSV))
    assert formats.decode(first.payload, first.format) == first.posts
    assert isinstance(first.posts[0], Post)
    assert first.posts[0].text == "Low\ntide, again"
    assert [record.line for record in (first, broken, last)] == [2, 5, 6]
    assert broken.posts == [
        InvalidPost(reason="wrong number of columns: 3 where the header has 4", payload=broken.payload)
    ]
    assert broken.payload == b"2,b,2016-03-22 12:01"


def test_csv_with_windows_line_ends_and_mark_reads_the_same(write: Callable[..., str]) -> None:
    plain, windows = read(write(CSV)), read(write("\ufeff" + CSV.replace("\n", "\r\n")))
    assert [r.posts[0].id for r in windows if isinstance(r.posts[0], Post)] == ["1", "3"]
    assert [r.line for r in windows] == [r.line for r in plain]


def test_csv_row_with_stray_bytes_is_invalid_and_the_next_is_read(write: Callable[..., str]) -> None:
    head, _, _ = CSV.encode().partition(b"\n")
    rows = [b"%d,a,2016-03-22 12:00,tide" % n for n in range(4000)] + [
        b"x,a,2016-03-22 12:00,caf\xe9",
        b"y,\xe9,2016-03-22 12:00,tea",
    ]
    records = read(write(b"\n".join([head, *rows, b"z,a,2016-03-22 12:00,tide"])))
    reasons = [one.reason for one in results(records) if isinstance(one, InvalidPost)]
    assert [reason.split(":")[0] for reason in reasons] == ["tweet_text is not UTF-8", "not UTF-8"]
    assert len(records) == 4003


def test_open_quote_is_invalid_instead_of_swallowing_the_archive_in_silence(
    write: Callable[..., str],
) -> None:
    row = "9,a,2016-03-22 12:00,tide\n"
    records = read(write(CSV + '4,d,2016-03-22 12:03,"never closed\n' + row * 6000))
    reasons = [one.reason for one in results(records) if isinstance(one, InvalidPost)]
    assert any(reason.startswith("not CSV: ") and "quote" in reason for reason in reasons)
    assert isinstance(records[-1].posts[0], Post)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "has only blank lines"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file"),
        (b'{"id": "\0"}', "is a binary file"),
        (b"caf\xe9,tea", "is not UTF-8 text at byte 3: convert it with iconv"),
        ("[]".encode("utf-16"), "is UTF-16 text: convert it with iconv"),
        (b"PK\x03\x04rest", "is a zip archive: unpack it first"),
        (gzip.compress(LINES)[:-20], "is cut short: its gzip data breaks off at byte"),
        (gzip.compress(LINES)[:-8] + bytes(8), "is damaged: its gzip data cannot be unpacked near byte"),
        (zstandard.compress(LINES)[:-5], "is cut short: its zstd data breaks off at byte"),
        (zstandard.compress(LINES) + b"rest", "is damaged: its zstd data"),
        (
            b"posts,text\n3,tide\n",
            "without the columns tweetid, userid, tweet_time, tweet_text; it has 'posts', 'text'",
        ),
        (b"Dear all\n", "is of no known format .*--format"),
        (
            b'{"uri": "at://x"}\n',
            "is of no known format .*its keys are 'uri'.*floodmark, x_v1.1, x_io.*--format",
        ),
        (b'{"uri": "at://x"}\n' * 500, "is of no known format"),
        (b'\n{"limit": {}}\n{"errors": [{"message": "Over limit"}]}\n', "known format .*'Over limit'"),
    ],
    ids=[
        *(
            "empty",
            "blank",
            "image",
            "NUL",
            "Latin-1",
            "UTF-16",
            "zip",
            "cut gzip",
            "damaged gzip",
            "cut zstd",
        ),
        *(
            "zstd with rest",
            "other columns",
            "prose",
            "other platform",
            "much of another platform",
            "API error",
        ),
    ],
)
def test_file_that_cannot_be_read_is_refused_in_one_line_that_names_it(
    write: Callable[..., str], content: bytes, message: str
) -> None:
    path = write(content)
    with pytest.raises(Unreadable, match=message) as refused:
        read(path)
    assert str(refused.value).startswith(path)
    assert "\n" not in str(refused.value)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is not there: check the name"):
        read(str(tmp_path / "absent.jsonl"))
    with pytest.raises(Unreadable, match="is a folder: name the files in it"):
        read(str(tmp_path))


def test_unknown_format_is_refused_with_the_names_there_are(write: Callable[..., str]) -> None:
    with pytest.raises(Unreadable, match=r"no such format: 'x_v9'; there are floodmark, x_v1\.1, x_io"):
        read(write(LINES), "x_v9")


def test_posts_before_the_break_of_a_truncated_file_are_delivered_first(write: Callable[..., str]) -> None:
    content = b"".join(formats.encode(made(n)) + b"\n" for n in range(20_000))
    path = write(gzip.compress(content)[:-9])
    seen: list[Any] = []
    with pytest.raises(Unreadable, match="cut short"):
        seen.extend(record.posts[0] for record in archive.read([path]))
    assert 0 < len(seen) <= 20_000
    assert seen == [made(n) for n in range(len(seen))]


def test_progress_counts_bytes_on_disk_over_all_files(write: Callable[..., str]) -> None:
    paths = [write(gzip.compress(LINES)), write(LINES)]
    steps: list[int] = []
    assert len(list(archive.read(paths, progress=steps.append))) == 2 * len(POSTS)
    assert steps == sorted(steps)
    assert steps[-1] == archive.total_bytes(paths)


def test_total_is_unknown_with_standard_input_or_a_missing_file(write: Callable[..., str]) -> None:
    assert archive.total_bytes([write(LINES), "-"]) is None
    assert archive.total_bytes(["absent.jsonl"]) is None


def test_standard_input_is_read_compressed_and_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = b"".join(formats.encode(post) + b"\n" for post in reversed(POSTS))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(backwards))))
    assert results(archive.ordered(["-"], None, 0)) == POSTS


def test_sorting_is_stable_and_keeps_what_is_no_post_behind_its_predecessor(
    write: Callable[..., str],
) -> None:
    late, tied = made(1, START_MS + 9000), made(2, START_MS)
    lines = [b"broken first", formats.encode(late), b'{"limit": {}}', formats.encode(made(3, START_MS))]
    path = write(b"\n".join([formats.encode(made(0, START_MS + 9000)), *lines, formats.encode(tied), b"{}"]))
    records = read(path)
    ordered = list(archive.in_time_order(iter(records)))
    assert ordered == [records[at] for at in (4, 5, 6, 0, 1, 2, 3)]


def test_sorted_records_are_the_same_records(write: Callable[..., str]) -> None:
    paths = [write(CSV), write(LINES), write(json.dumps([status(2), status(1)]))]
    records = list(archive.read(paths))
    ordered = list(archive.in_time_order(iter(records)))
    assert sorted(map(repr, ordered)) == sorted(map(repr, records))
    assert list(archive.in_time_order(iter([]))) == []


def test_post_behind_the_allowed_lateness_asks_for_sorting(write: Callable[..., str]) -> None:
    path = write(b"\n".join(formats.encode(post) for post in (made(4), made(1), made(5))))
    assert [post.id for post in results(archive.ordered([path], None, 3000))] == ["4", "1", "5"]
    with pytest.raises(
        Disorder, match=re.escape(f"{path} line 2: the post of 2016-07-26T21:15:52Z comes after")
    ):
        list(archive.ordered([path], None, 2999))
    assert [post.id for post in results(archive.ordered([path], None, 2999, spool=True))] == ["1", "4", "5"]


def test_full_disk_while_sorting_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", partial(open, "/dev/full", "w+b"))
    records = [Record(formats.encode(post), "in", 1, [post]) for post in POSTS]
    with pytest.raises(Unreadable, match=r"no room in .* to sort the archive: set TMPDIR"):
        list(archive.in_time_order(iter(records)))


def test_rejects_are_written_and_counted_by_kind(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    records = [
        Record(b"a", "in.jsonl", 1, [InvalidPost(reason="time is missing", payload=b"caf\xe9")]),
        Record(b"b", "in.jsonl", 2, [InvalidPost(reason="time is not a time: 'x'", payload=b"y" * 5000)]),
        Record(b"c", "in.jsonl", 3, [InvalidPost(reason="time is not a time: 'z'", payload=b"")]),
        Record(b"d", "in.jsonl", 4, [made(1)]),
    ]
    with Rejects(path) as rejects:
        for record in records:
            rejects.add(record)
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert written[0] == {"path": "in.jsonl", "line": 1, "reason": "time is missing", "payload": "caf\\xe9"}
    assert written[1]["payload"] == "y" * archive.MAX_REJECT_CHARS + "… (cut; 5000 bytes in all)"
    assert [reject["line"] for reject in written] == [1, 2, 3]
    assert rejects.counts == {"time is missing": 1, "time is not a time": 2}


def test_no_rejects_no_file(tmp_path: Path) -> None:
    with Rejects(tmp_path / "rejects.jsonl") as rejects:
        rejects.add(Record(b"", "in.jsonl", 1, [made(1)]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.cases
def test_real_search_page_is_one_record_a_status(cases: Path) -> None:
    path = str(cases / "formats/x_v1.1/search.json")
    records = read(path)
    whole = json.loads(Path(path).read_bytes())["statuses"]
    assert [json.loads(record.payload) for record in records] == whole
    assert len(records) == 100


@pytest.mark.cases
def test_real_stream_out_of_order_by_a_moment_needs_no_sorting(cases: Path) -> None:
    path = str(cases / "formats/x_v1.1/streaming_lines.json")
    assert len(list(archive.ordered([path], None, 120_000))) == 72
    times = [post.time_ms for post in results(archive.ordered([path], None, 0, spool=True))]
    assert times == sorted(times)
    assert len(times) == 72


@pytest.mark.cases
@pytest.mark.parametrize(
    "name",
    [
        "bluesky/app_view_posts.json",
        "bluesky/jetstream.jsonl",
        "mastodon/statuses.jsonl",
        "x_v2/flattened.jsonl",
    ],
)
def test_real_files_of_other_platforms_are_refused_by_name(cases: Path, name: str) -> None:
    with pytest.raises(Unreadable, match=r"is of no known format .*--format"):
        read(str(cases / "formats" / name))
