"""The comparison behind `make chaos` sees what is wrong: one that finds nothing would be worth nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from builders import HASHTAG, flooded, in_order

from benchmarks import truth
from benchmarks.truth import Fact, Told, Truth, differences
from streams import formats
from streams.pipeline import END, PUNCTUATION, Message
from streams.posts import Post
from streams.settings import Settings

SETTINGS: Final = Settings.load(partitions=2, hop_s=600, min_posts=20)
POSTS: Final = [post for _, post in in_order(flooded())]


def logs(posts: Sequence[Post], each: int = 10) -> list[list[Message]]:
    """Posts as messages of two source partitions in turn, and their end."""
    out: list[list[Message]] = [[], []]
    values = [b"\n".join(map(formats.encode, posts[at : at + each])) for at in range(0, len(posts), each)]
    for number, value in enumerate(values):
        log = out[number % 2]
        log.append(Message(len(log), value))
    for log in out:
        log.append(Message(len(log), b"", {PUNCTUATION: END}))
    return out


EXPECTED: Final = truth.expected(logs(POSTS), SETTINGS)
PLACE: Final = next(place for place in EXPECTED.news if place.startswith(truth.TOPIC))
NEWS: Final = EXPECTED.news[PLACE]


def kinds(found: Truth, scanned: Sequence[bytes] | None = None) -> list[str]:
    return [difference.kind for difference in differences(EXPECTED, found, scanned)]


def told(news: Sequence[Told]) -> Truth:
    return Truth(EXPECTED.facts, {**EXPECTED.news, PLACE: tuple(news)})


def test_a_truth_holds_something_of_every_kind() -> None:
    assert {fact.kind for fact in EXPECTED.facts} == {
        "hop",
        "mark",
        "clock",
        "rows",
        "string",
        "open alert",
        "summary",
        "score",
        "alert",
        "period",
    }
    assert len(NEWS) > 2


def test_what_is_as_it_must_be_does_not_differ() -> None:
    assert not differences(EXPECTED, truth.expected(logs(POSTS), SETTINGS), EXPECTED.alerts())


def test_messages_of_other_sizes_and_posts_sent_twice_differ_in_their_offsets_only() -> None:
    again = [post for number, post in enumerate(POSTS) for post in ([post, POSTS[number // 2]])]
    found = truth.expected(logs(again, each=7), SETTINGS)
    assert differences(EXPECTED, found)
    assert not differences(EXPECTED, found, EXPECTED.alerts(), without=truth.OFFSETS)


@pytest.mark.parametrize(
    "kind", ["hop", "mark", "clock", "rows", "string", "open alert", "summary", "alert", "period"]
)
def test_a_fact_that_is_missing_and_one_too_many_are_found(kind: str) -> None:
    fact = next(fact for fact in EXPECTED.facts if fact.kind == kind)
    less = {other: value for other, value in EXPECTED.facts.items() if other != fact}
    assert kinds(Truth(less, EXPECTED.news)) == [kind]
    more = {**EXPECTED.facts, Fact(kind, "elsewhere"): EXPECTED.facts[fact]}
    (difference,) = differences(EXPECTED, Truth(more, EXPECTED.news))
    assert (difference.kind, difference.where, difference.expected) == (kind, "elsewhere", "none")


def test_a_post_that_counts_twice_is_found() -> None:
    fact, rows = next((fact, rows) for fact, rows in EXPECTED.facts.items() if fact.kind == "rows")
    twice = {**EXPECTED.facts, fact: tuple(sorted((*rows, rows[0])))}
    (difference,) = differences(EXPECTED, Truth(twice, EXPECTED.news))
    assert difference.kind == "rows"
    assert f"#{HASHTAG}" in difference.where
    assert difference.found == f"{len(rows) + 1} rows, 0 missing, 1 too many"


def test_news_that_are_doubled_lost_invented_or_in_another_order_are_told_apart() -> None:
    first, second, *rest = NEWS
    assert kinds(told([first, first, second, *rest])) == ["doubled news"]
    assert kinds(told([second, *rest])) == ["lost news"]
    assert kinds(told([second, first, *rest])) == ["order of news"]
    invented = Told(first.hop_ms, first.reason, first.value.replace(b'"accounts":', b'"accounts": '))
    assert kinds(told([*NEWS, invented])) == ["invented news"]
    assert kinds(told([*NEWS, first])) == ["doubled news"]


def test_a_final_alert_that_scan_does_not_give_is_found() -> None:
    (alert,) = EXPECTED.alerts()
    assert kinds(EXPECTED, [alert.replace(b"firing", b"fading")]) == ["final alert"]
    assert kinds(EXPECTED, []) == ["final alert"]
    assert kinds(EXPECTED, [alert, alert]) == ["final alert"]
