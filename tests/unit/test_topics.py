"""Topics in a cluster whose brokers hear of a new one at different moments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from streams import topics
from streams.settings import Settings
from streams.topics import BrokerError, TopicMismatchError


class Late:
    """An administrator whose every answer may come from another broker: topics show after some of them.

    Parameters
    ----------
    after : int
        So many answers after a topic was made.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self.made: dict[str, int] = {}

    def describe_topics(self) -> list[dict[str, Any]]:
        known = dict(self.made) if self.after <= 0 else {}
        self.after -= bool(self.made)
        told = [
            {"name": name, "error_code": 0, "partitions": [None] * count, "topic_id": f"id of {name}"}
            for name, count in known.items()
        ]
        return [*told, {"name": "another", "error_code": 0, "partitions": [None], "topic_id": "x"}]

    def create_topics(self, wanted: dict[str, dict[str, Any]], raise_errors: bool) -> dict[str, Any]:
        self.made |= {name: config["num_partitions"] for name, config in wanted.items()}
        return {"topics": [{"name": name, "error_code": 0} for name in wanted]}


def asking(admin: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connected(servers: Sequence[str], timeout_s: float) -> Iterator[Late]:
        yield admin

    monkeypatch.setattr(topics, "_admin", connected)
    monkeypatch.setattr(topics, "_POLL_S", 0.0)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_topics_that_were_made_are_waited_for(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    settings = Settings.load(partitions=2)
    asking(Late(after), monkeypatch)
    names = (settings.posts_topic, settings.rows_topic, settings.baseline_topic)
    assert topics.ensure(settings) == "/".join(f"id of {name}" for name in names)
    assert topics.ensure(settings) == "/".join(f"id of {name}" for name in names), "they are there"


def test_topics_that_do_not_show_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asking(Late(10**9), monkeypatch)
    monkeypatch.setattr(topics, "REACH_S", 0.05)
    with pytest.raises(BrokerError, match="made the topics posts, rows, baseline, alerts, "):
        topics.ensure(Settings.load())


def test_topics_of_other_partitions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Late(0)
    asking(admin, monkeypatch)
    topics.ensure(Settings.load(partitions=2))
    with pytest.raises(TopicMismatchError, match="FLOODMARK_PARTITIONS=2"):
        topics.ensure(Settings.load(partitions=3))
