"""Every metric of a worker, in one place, in base units. docs/metrics.md lists them for people.

Hashtags and accounts are never labels: anybody can invent a million of them.
"""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from detectors.alert import Reason

POST_RESULTS: Final = ("read", "untagged", "control", "invalid")
ROW_RESULTS: Final = ("new", "repeated", "late", "expired", "left_out")

_CATEGORIES: Final = (
    ("ahead", re.compile(r"its time .* too far in the future")),
    ("unreadable", re.compile(r"not JSON(?! object)|not UTF-8")),
    ("error_message", re.compile(r"an error message")),
    ("unknown_format", re.compile(r"not a JSON object|neither ")),
    ("missing", re.compile(r".*\bmissing\b", re.S)),
    ("wrong_value", re.compile(r".*\b(is not|is outside|wrong)\b", re.S)),
)
CATEGORIES: Final = (*(name for name, _ in _CATEGORIES), "other")

# An edge close to each of the times that matter: a commit over loopback, one over a network, a hop of one
# tag, a hop of thousands, and the default hop itself, which assessing must stay below.
_COMMIT_EDGES_S: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_ASSESS_EDGES_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one worker; `partition` is a destination partition except where `source` is said.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are registered; a registry holds one `Metrics`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.posts = Counter(
            "floodmark_posts", "Payloads taken from the topic posts.", ["result"], registry=registry
        )
        self.dead_letters = Counter(
            "floodmark_dead_letters",
            "Payloads sent to the topic of dead posts, by kind of reason.",
            ["reason"],
            registry=registry,
        )
        self.ingest_seconds = Histogram(
            "floodmark_ingest_seconds",
            "Wall time to decode and pack one micro-batch.",
            buckets=_COMMIT_EDGES_S,
            registry=registry,
        )
        self.spared_rows = Counter(
            "floodmark_spared_rows",
            "Rows that were not sent, as the sample of their hashtag would not hold them.",
            registry=registry,
        )
        self.packets = Counter("floodmark_packets", "Packets of rows committed.", registry=registry)
        self.rows = Counter(
            "floodmark_rows",
            "Rows received: new ones, those counted before, those of the new that came after their hop, those"
            " dropped because they came after every window that could hold them, and those that are not in"
            " the sample of their hashtag.",
            ["result"],
            registry=registry,
        )
        self.cut_rows = Counter(
            "floodmark_cut_rows",
            "Rows dropped after they were counted, because the sample of their hashtag became smaller.",
            registry=registry,
        )
        self.evicted_rows = Counter(
            "floodmark_evicted_rows", "Rows dropped because no later window can hold them.", registry=registry
        )
        self.passed_over_tags = Counter(
            "floodmark_passed_over_tags",
            "How often all that was held of a small hashtag was dropped, as there were too many of them.",
            registry=registry,
        )
        self.passed_over_rows = Counter(
            "floodmark_passed_over_rows", "Rows that were dropped with them.", registry=registry
        )
        self.commit_seconds = Histogram(
            "floodmark_commit_seconds",
            "Wall time to store one packet.",
            buckets=_COMMIT_EDGES_S,
            registry=registry,
        )
        self.assess_seconds = Histogram(
            "floodmark_assess_seconds",
            "Wall time to assess all hashtags of one hop.",
            buckets=_ASSESS_EDGES_S,
            registry=registry,
        )
        self.record_seconds = Histogram(
            "floodmark_record_seconds",
            "Wall time to store what one hop brought.",
            buckets=_ASSESS_EDGES_S,
            registry=registry,
        )
        self.load_seconds = Histogram(
            "floodmark_load_seconds",
            "Wall time to take a partition over: to read its state and count what that lacks.",
            buckets=_ASSESS_EDGES_S,
            registry=registry,
        )
        self.rebuilds = Counter(
            "floodmark_rebuilds",
            "Partitions whose state was not in Redis and was counted again from the topic rows.",
            registry=registry,
        )
        self.hops = Counter("floodmark_hops", "Hops assessed.", registry=registry)
        self.assessments = Counter("floodmark_assessments", "Windows assessed.", registry=registry)
        self.alerts = Counter(
            "floodmark_alerts", "What hops decided of hashtags.", ["reason"], registry=registry
        )
        self.watermark_seconds = Gauge(
            "floodmark_watermark_seconds",
            "Event time a partition has come to, since 1970-01-01 UTC.",
            ["partition"],
            registry=registry,
        )
        self.hop_seconds = Gauge(
            "floodmark_hop_seconds",
            "Event time of the last hop a partition assessed, since 1970-01-01 UTC.",
            ["partition"],
            registry=registry,
        )
        self.idle_sources = Gauge(
            "floodmark_idle_sources", "Source partitions nobody waits for.", ["partition"], registry=registry
        )
        self.waiting_packets = Gauge(
            "floodmark_waiting_packets",
            "Packets behind a hop that waits until all partitions have closed a period.",
            ["partition"],
            registry=registry,
        )
        self.closed_seconds = Gauge(
            "floodmark_closed_seconds",
            "Event time up to which all partitions have closed their periods, since 1970-01-01 UTC.",
            registry=registry,
        )
        self.tags = Gauge("floodmark_tags", "Hashtags with rows.", ["partition"], registry=registry)
        self.sampled_tags = Gauge(
            "floodmark_sampled_tags", "Hashtags that are sampled.", ["partition"], registry=registry
        )
        self.window_rows = Gauge("floodmark_window_rows", "Rows held.", ["partition"], registry=registry)
        self.open_alerts = Gauge(
            "floodmark_open_alerts", "Alerts pending or firing.", ["partition"], registry=registry
        )
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        # A rate over a series that first appears with its first event misses that event.
        for result in POST_RESULTS:
            self.posts.labels(result)
        for result in ROW_RESULTS:
            self.rows.labels(result)
        for category in CATEGORIES:
            self.dead_letters.labels(category)
        for reason in Reason:
            self.alerts.labels(reason.value)

    def forget(self, partition: int) -> None:
        """Stop showing a partition that another worker owns now."""
        gauges = (
            self.watermark_seconds,
            self.hop_seconds,
            self.waiting_packets,
            self.idle_sources,
            self.tags,
            self.sampled_tags,
            self.window_rows,
            self.open_alerts,
        )
        for gauge in gauges:
            gauge.remove_by_labels({"partition": str(partition)})


def category(reason: str) -> str:
    """The kind of an `InvalidPost.reason`: one of `CATEGORIES`, because a label must not carry payloads.

    >>> category("user.id_str is missing")
    'missing'
    """
    return next((name for name, pattern in _CATEGORIES if pattern.match(reason)), "other")
