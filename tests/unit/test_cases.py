"""The real cases: what must be found in them, and where it must stay quiet."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest

from streams import archive
from streams.monitor import Rules
from streams.posts import InvalidPost, Post
from streams.scan import Result, scan

pytestmark = pytest.mark.cases

RARELY = Rules(hop_ms=300_000)
"""Assessed every five minutes; benchmarks/quality.py does so every minute."""


def scanned(path: Path, out: Path) -> Result:
    return scan([str(path)], out, RARELY)


def hashtags(result: Result) -> set[str]:
    return {msgspec.json.decode(line)["hashtag"] for line in result.alerts}


CAMPAIGNS = ("islamkills_2016-03-22", "oscarhasnocolor_2016-02-29")


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_a_campaign_raises_an_alert_on_its_hashtag(cases: Path, tmp_path: Path, name: str) -> None:
    result = scanned(cases / f"campaigns/ira_{name}.csv", tmp_path)
    assert name.split("_")[0] in hashtags(result)


def test_hashtags_of_one_operator_are_one_campaign_and_so_are_his_campaigns_of_two_months(
    cases: Path, tmp_path: Path
) -> None:
    """60 of the 130 accounts of March had flooded the hashtags of February; their texts are others."""
    files = [cases / "campaigns" / f"ira_{name}.csv" for name in CAMPAIGNS]
    result = scan([str(path) for path in files], tmp_path, RARELY)
    campaigns = {}
    for line in result.alerts:
        alert = msgspec.json.decode(line)
        campaigns[alert["hashtag"]] = alert["campaign"]["id"]
    assert {"islamkills", "brussels", "prayforbrussels", "stopislam", "oscarhasnocolor"} <= set(campaigns)
    assert set(campaigns.values()) == {campaigns["oscarhasnocolor"]}


@pytest.mark.parametrize("name", ["vaccination_2021.jsonl", "airline_2015.csv"])
def test_organic_conversations_raise_no_alert(cases: Path, tmp_path: Path, name: str) -> None:
    result = scanned(cases / "organic" / name, tmp_path)
    assert result.alerts == ()
    assert result.totals.posts > 8_000


@pytest.mark.parametrize("name", ["vaccination_2021.jsonl", "airline_2015.csv"])
def test_organic_conversations_raise_no_alert_when_pressed_into_one_hashtag_and_a_tenth_of_the_time(
    cases: Path, tmp_path: Path, name: str
) -> None:
    """A construction: the organic windows are thin, so all posts share a tag and come ten times as fast."""
    lines = []
    first_ms = None
    for record in archive.read([str(cases / "organic" / name)]):
        for post in record.posts:
            if isinstance(post, Post):
                first_ms = first_ms or post.time_ms
                pressed = first_ms + (post.time_ms - first_ms) // 10
                lines.append(msgspec.structs.replace(post, hashtags=("all",), time_ms=pressed))
    path = tmp_path / "pressed.jsonl"
    from streams.formats import encode

    path.write_bytes(b"".join(encode(post) + b"\n" for post in lines))
    result = scanned(path, tmp_path / "out")
    assert result.totals.found.windows > 100
    assert result.alerts == ()


def test_every_x_payload_is_read_or_rejected_with_a_reason(cases: Path) -> None:
    files = sorted((cases / "formats/x_v1.1").iterdir()) + sorted((cases / "formats/x_io").iterdir())
    assert len(files) == 10
    invalid = []
    for path in files:
        for record in archive.read([str(path)]):
            invalid += [(path.name, post.reason) for post in record.posts if isinstance(post, InvalidPost)]
    assert invalid == [("broken_missing_user.json", "user is missing")]


def test_texts_of_the_reference_case_expanded_to_their_volumes_give_thirty_groups(
    cases: Path, tmp_path: Path
) -> None:
    """Times and accounts are of our own: every account posts five of the texts, in turn, 5 s apart."""
    from streams.formats import encode

    with (cases / "egypt_loan/texts.csv").open(encoding="utf-8", newline="") as file:
        left = [[int(row["posts"]), row["text"]] for row in csv.DictReader(file)]
    tag = "السعوديه_تدعم_مصر_مليار_دولار"
    posts = []
    while left:
        for entry in left:
            posts.append(entry[1])
            entry[0] -= 1
        left = [entry for entry in left if entry[0] > 0]
    assert len(posts) == 10_762
    start_ms = 1_469_561_400_000
    path = tmp_path / "texts.jsonl"
    with path.open("wb") as out:
        for number, text in enumerate(posts):
            post = Post(
                id=str(10**17 + number),
                account_id=str(10**9 + number // 5),
                time_ms=start_ms + number * 600,
                text=str(text),
                hashtags=(tag,),
            )
            out.write(encode(post) + b"\n")
    (line,) = scan([str(path)], tmp_path / "out", Rules()).alerts
    assert msgspec.json.decode(line)["texts"] == 30
