"""What tests of a running deployment share: an Apache Kafka node, and a case to send through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams import reference_case, scan
from streams.monitor import Rules

from . import apache_kafka
from .apache_kafka import Node
from .running import Case


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that all tests share, each with topics and a group of its own."""
    with apache_kafka.node(tmp_path_factory.mktemp("kafka")) as node:
        yield node


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The rebuilt reference case at a small scale."""
    folder = tmp_path_factory.mktemp("case")
    path, _ = reference_case.write(folder, seed=1, scale=0.15)
    alerts = scan.scan([str(path)], folder / "scan", Rules()).alerts
    assert alerts, "the posts hold a flood, so there must be alerts to compare"
    return Case(path, tuple(alerts))
