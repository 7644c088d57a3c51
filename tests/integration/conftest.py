"""What tests of a running deployment share: an Apache Kafka node, and a case to send through it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from streams import reference_case, scan

from . import apache_kafka
from .apache_kafka import Node
from .running import RULES, Case


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that all tests share, each with topics and a group of its own."""
    with apache_kafka.node(tmp_path_factory.mktemp("kafka")) as node:
        yield node


@pytest.fixture(scope="session")
def flood(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first posts of a tenth of the reference case: less than an hour, one hashtag flooded."""
    path = tmp_path_factory.mktemp("flood") / "flood.jsonl"
    path.write_bytes(b"".join(islice(reference_case.generate(seed=1, scale=0.1), 500)))
    return path


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The rebuilt reference case at a small scale."""
    folder = tmp_path_factory.mktemp("case")
    path, _ = reference_case.write(folder, seed=1, scale=0.15)
    alerts = scan.scan([str(path)], folder / "scan", RULES).alerts
    assert alerts, "the posts hold a flood, so there must be alerts to compare"
    return Case(path, tuple(alerts))
