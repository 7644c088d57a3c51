"""Metrics: their names, labels and categories."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from detectors.alert import Reason
from streams import formats
from streams.metrics import CATEGORIES, Metrics, category
from streams.posts import InvalidPost

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
BASE_UNITS = ("_total", "_seconds", "_rows", "_tags", "_alerts", "_sources", "_packets")


def all_of(metrics: Metrics) -> dict[str, MetricWrapperBase]:
    found = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    shown = [(metric, metric.describe()[0]) for metric in found]
    return {kind.name + ("_total" if kind.type == "counter" else ""): metric for metric, kind in shown}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_the_document_lists_every_metric_with_type_and_labels(metrics: Metrics) -> None:
    rows = re.findall(r"^\| `(floodmark_\w+)` \| (\w+) \| (.*?) ?\|", DOCUMENT.read_text("utf-8"), re.M)
    documented = {name: (kind, labels.strip("`")) for name, kind, labels in rows}
    assert len(rows) == len(documented)
    assert documented == {
        name: (metric.describe()[0].type, ", ".join(metric._labelnames))
        for name, metric in all_of(metrics).items()
    }


def test_names_end_in_a_base_unit(metrics: Metrics) -> None:
    assert [name for name in all_of(metrics) if not name.endswith(BASE_UNITS)] == []


def test_labels_are_few_and_never_tags_or_accounts(metrics: Metrics) -> None:
    labels = {label for metric in all_of(metrics).values() for label in metric._labelnames}
    assert labels == {"result", "reason", "partition"}


def test_counters_are_there_before_their_first_event(metrics: Metrics) -> None:
    shown = generate_latest(metrics.registry).decode()
    for line in (
        'floodmark_posts_total{result="invalid"} 0.0',
        'floodmark_rows_total{result="late"} 0.0',
        *(f'floodmark_alerts_total{{reason="{reason.value}"}} 0.0' for reason in Reason),
        *(f'floodmark_dead_letters_total{{reason="{name}"}} 0.0' for name in CATEGORIES),
    ):
        assert line in shown


def test_a_partition_of_another_worker_is_not_shown_any_more(metrics: Metrics) -> None:
    for partition in ("3", "4"):
        metrics.tags.labels(partition).set(7)
        metrics.watermark_seconds.labels(partition).set(7)
    metrics.forget(3)
    metrics.forget(5)
    shown = generate_latest(metrics.registry).decode()
    assert 'partition="3"' not in shown
    assert 'floodmark_tags{partition="4"} 7.0' in shown


def test_two_workers_in_one_process_do_not_share_metrics(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry())
    metrics.hops.inc()
    assert other.registry.get_sample_value("floodmark_hops_total") == 0.0


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"{", "unreadable"),
        (b'{"text": "\xff"}', "unreadable"),
        (b"3", "unknown_format"),
        (b'{"a": 1}', "unknown_format"),
        (b'{"errors": [{"message": "over capacity"}]}', "error_message"),
        (b'{"account_id": "1"}', "missing"),
        (b'{"id": "1", "account_id": "2", "text": "is missing", "time": "noon"}', "wrong_value"),
    ],
)
def test_a_dead_letter_is_counted_by_its_kind_of_reason(payload: bytes, expected: str) -> None:
    (decoded,) = formats.decode(payload, None)
    assert isinstance(decoded, InvalidPost)
    assert category(decoded.reason) == expected


def test_a_reason_nobody_foresaw_is_counted_as_other() -> None:
    assert category("the moon was full") == "other"
