"""The command as a user meets it: its output and its status."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from command import WIDTH, inherited
from command import said as floodmark

from streams import reference_case
from streams.formats import encode
from streams.posts import Post

COMMANDS = ("scan", "demo", "up", "worker", "replay", "doctor", "reference-case", "dead", "baseline")


def started(
    *arguments: str, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from streams.cli import main; main()", *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env={**inherited(), **environment, "COLUMNS": str(WIDTH)},
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def post(number: int = 1) -> bytes:
    return (
        encode(Post(id=str(number), account_id="7", time_ms=1_469_561_400_000, text="A quiet post")) + b"\n"
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal, which must be all there is on standard error."""
    assert done.returncode not in (0, 1), done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = floodmark(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 200


def test_the_version_is_that_of_the_package() -> None:
    assert floodmark("--version").stdout.split() == ["floodmark", version("floodmark")]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = floodmark("scan", str(tmp_path / "nowhere.jsonl"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "nowhere.jsonl" in complaint(done)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jsonl", b"", "empty"),
        ("binary.bin", bytes(range(256)) * 20, "binary"),
        ("cut.jsonl.gz", gzip.compress(post() * 4_000)[:-20], "cut.jsonl.gz"),
        ("other.csv", b"name,age\nann,3\n", "tweetid"),
        ("prose.txt", b"This is no archive of posts.\nNot at all.\n", "prose.txt"),
    ],
)
def test_unusable_files_give_one_clear_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    done = floodmark("scan", str(path), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert name in complaint(done)
    assert said in complaint(done)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_bytes(post())
    (tmp_path / "taken").write_text("here already")
    done = floodmark("scan", str(tmp_path / "posts.jsonl"), "--out", str(tmp_path / "taken"))
    assert "taken" in complaint(done)


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("--window-s", "5"), {}, "FLOODMARK_WINDOW_S"),
        (("--hop-s", "7"), {}, "FLOODMARK_HOP_S"),
        ((), {"FLOODMARK_MIN_SHARE": "2"}, "FLOODMARK_MIN_SHARE"),
        ((), {"FLOODMARK_WINDOWS": "7200"}, "FLOODMARK_WINDOW_S"),
    ],
)
def test_a_setting_out_of_range_stops_the_start_with_its_name(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], named: str
) -> None:
    (tmp_path / "posts.jsonl").write_bytes(post())
    done = floodmark(
        "scan", str(tmp_path / "posts.jsonl"), "--out", str(tmp_path / "out"), *arguments, **environment
    )
    assert done.returncode == 2
    assert named in complaint(done)


@pytest.mark.parametrize("command", [("worker",), ("replay", "posts.jsonl", "--speed", "max")])
def test_a_broker_that_is_not_there_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(post())
    arguments = [str(path) if argument == "posts.jsonl" else argument for argument in command]
    done = started(*arguments, FLOODMARK_KAFKA_URL="kafka://127.0.0.1:1", FLOODMARK_METRICS_PORT="0")
    assert "127.0.0.1:1" in complaint(done)


def test_scan_reads_standard_input_and_prints_json_and_nothing_else(tmp_path: Path) -> None:
    lines = b"".join(reference_case.generate(seed=3, scale=0.1))
    done = started("scan", "-", "--json", "--hop-s", "300", "--out", str(tmp_path / "out"), stdin=lines)
    assert done.returncode == 0
    (alert,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert alert["kind"] == "flood"
    assert done.stderr.strip() == ""
    assert (tmp_path / "out" / "alerts.jsonl").read_text() == done.stdout


def test_scan_without_alerts_ends_well_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(post(1) + b'{"id": 5}\n' + post(2))
    done = floodmark("scan", str(path), "--out", str(tmp_path / "out"))
    assert done.returncode == 0
    assert "Nothing was found" in done.stdout
    assert "1 rejected" in done.stdout
    (reject,) = (json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines())
    assert reject["line"] == 2
    assert reject["reason"]
    assert "<html" in (tmp_path / "out/report.html").read_text()


def test_a_case_that_cannot_be_built_says_why(tmp_path: Path) -> None:
    assert "0.001" in complaint(floodmark("reference-case", str(tmp_path), "--scale", "0.001"))


def archive_of(folder: Path, seed: int = 3) -> Path:
    path = folder / "posts.jsonl"
    path.write_bytes(b"".join(reference_case.generate(seed=seed, scale=0.05)))
    return path


def test_a_baseline_that_was_learnt_is_used_and_named_in_the_alert(tmp_path: Path) -> None:
    path, learnt = archive_of(tmp_path), tmp_path / "ordinary.json"
    done = floodmark("baseline", "learn", str(path), "--out", str(learnt))
    assert done.returncode == 0, done.stderr
    digest = json.loads(learnt.read_bytes())["digest"]
    assert f"learnt-{digest} is in {learnt}" in done.stdout
    again = tmp_path / "again.json"
    floodmark("baseline", "learn", str(path), "--out", str(again))
    assert again.read_bytes() == learnt.read_bytes()
    options = ("--hop-s", "600", "--json", "--out", str(tmp_path / "out"))
    done = floodmark("scan", str(path), *options, "--baseline", str(learnt))
    assert done.returncode == 0, done.stderr
    (alert,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert alert["baseline"].split("+")[0] == f"learnt-{digest}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{}", "holds no baseline"),
        ('{"version":9,"digest":"","days":[[],[]],"clients":[[],[]],"following":[[],[]],"gaps":[[],[]],'
         '"copies":[0,0,0]}', "is of version 9"),
        ('{"version":1,"digest":"x","days":[[1],[1]],"clients":[[],[]],"following":[[],[]],"gaps":[[],[]],'
         '"copies":[0,0,0]}', "was changed"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_baseline_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    (tmp_path / "posts.jsonl").write_bytes(post())
    path = tmp_path / "ordinary.json"
    if content is not None:
        path.write_text(content)
    done = floodmark(
        "scan", str(tmp_path / "posts.jsonl"), "--out", str(tmp_path / "out"), "--baseline", str(path)
    )
    assert done.returncode == 2
    assert "FLOODMARK_BASELINE" in complaint(done)
    assert said in complaint(done)
    assert "floodmark baseline learn" in complaint(done)


def test_nothing_can_be_learnt_from_posts_without_hashtags(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_bytes(post())
    done = floodmark("baseline", "learn", str(tmp_path / "posts.jsonl"), "--out", str(tmp_path / "b.json"))
    assert done.returncode == 2
    assert "no post has a hashtag" in complaint(done)
    assert not (tmp_path / "b.json").exists()
