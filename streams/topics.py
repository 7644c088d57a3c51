"""The topics of a deployment: made if missing, refused if they do not fit the settings."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from detectors.table import HOUR_MS
from streams import clock
from streams.settings import Settings, variable

REACH_S: Final = 10.0
"""How long to try to reach a broker."""

MAX_MESSAGE_BYTES: Final = 16 * 2**20
"""A packet holds the rows and strings of a micro-batch; brokers refuse more than 1 MiB by default."""

SINGLE: Final = 1
"""Alerts and dead letters are few, and whoever reads them wants them in one order."""

_POLL_S: Final = 0.1
RETENTION_DAYS: Final = 7
"""How long posts and packets are kept."""

_DAY_MS: Final = 24 * HOUR_MS


class BrokerError(RuntimeError):
    """The broker is away or refuses; one line with its address and the remedy."""


class TopicMismatchError(RuntimeError):
    """A topic exists with another number of partitions than the settings say."""


def bear_with(settings: Settings, since_s: float, what: str, error: Exception) -> None:
    """Bear with a broker that is away, for `away_s`.

    Parameters
    ----------
    since_s : float
        When it was found to be away, as `clock.monotonic_s` gives it.
    what : str
        What it has not done since, as a participle: "taken an alert".

    Raises
    ------
    BrokerError
        If that is too long ago.
    """
    away_s = clock.monotonic_s() - since_s
    if away_s > settings.away_s:
        raise BrokerError(
            f"the broker at {', '.join(settings.kafka_servers)} has not {what} for {away_s:.0f} s ({error}):"
            f" start it or correct {variable('kafka_url')}; nothing is lost"
        ) from error


def ensure(settings: Settings) -> str | None:
    """Make the topics that are missing and check the partitions of those that are there.

    Returns
    -------
    str or None
        The ids the broker gave the topics `posts`, `rows` and `baseline` when they were made; None from
        brokers before 2.8.

    Raises
    ------
    BrokerError
        If the broker cannot be reached or refuses to make a topic.
    TopicMismatchError
        If a topic's number of partitions is not that of the settings.
    """
    wanted = _wanted(settings)
    with _admin(settings.kafka_servers, REACH_S) as admin:
        found = _described(admin, wanted)
        missing = {name: config for name, config in wanted.items() if name not in found}
        if missing:
            _create(admin, missing, settings)
            found = _awaited(admin, wanted, settings)
        for name in wanted:
            _check(name, len(found[name]["partitions"]), settings)
        names = (settings.posts_topic, settings.rows_topic, settings.baseline_topic)
        ids = [found[name].get("topic_id") for name in names]
        return "/".join(map(str, ids)) if all(ids) else None


def answer(servers: Sequence[str], timeout_s: float = REACH_S) -> list[str]:
    """The names of the topics a broker has: proof that it answers.

    Raises
    ------
    BrokerError
        If it does not answer in time.
    """
    with _admin(servers, timeout_s) as admin:
        return sorted(admin.list_topics())


def max_message_bytes(settings: Settings, name: str) -> int:
    """What a message of a topic may have, as the broker says; what we give our topics if it does not say.

    Raises
    ------
    BrokerError
        If the broker cannot be reached.
    """
    with _admin(settings.kafka_servers, REACH_S) as admin:
        try:
            topic = ConfigResource(ConfigResourceType.TOPIC, name)
            configs = admin.describe_configs([topic], config_filter="all").get("topic", {}).get(name, {})
        except KafkaError:  # many may write to a topic who may not read its configuration
            configs = {}
    said = str(configs.get("max.message.bytes", {}).get("value", ""))
    return min(int(said), MAX_MESSAGE_BYTES) if said.isdecimal() else MAX_MESSAGE_BYTES


@contextmanager
def quiet() -> Iterator[None]:
    """Keep kafka-python from logging every attempt to connect: the one error that follows says it."""
    log = logging.getLogger("kafka")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def reach(servers: Sequence[str], timeout_s: float = REACH_S) -> None:
    """Wait until one of the brokers takes connections.

    Asked before a client is made: kafka-python leaves threads and sockets behind when it cannot connect.

    Raises
    ------
    BrokerError
        If none does in time.
    """
    deadline_s = clock.monotonic_s() + timeout_s
    while True:
        for server in servers:
            host, _, port = server.rpartition(":")
            try:
                socket.create_connection((host, int(port)), timeout=timeout_s).close()
                return
            except OSError as refusal:
                error = refusal
        if clock.monotonic_s() > deadline_s:
            raise unreachable(servers, error) from error
        time.sleep(_POLL_S)


def unreachable(servers: Sequence[str], error: Exception) -> BrokerError:
    """What to tell a person whose broker does not answer."""
    return BrokerError(
        f"no broker answers at {', '.join(servers)} ({error}): start one,"
        f" or set {variable('kafka_url')} to yours; `floodmark up` brings its own"
    )


def refused(servers: Sequence[str], error: KafkaError) -> BrokerError:
    """What to tell a person whose broker answered with an error, or stopped answering."""
    said = str(error).split("\n", 1)[0][:300]
    return BrokerError(
        f"the broker at {', '.join(servers)} did not do as asked: {said}; see the broker's log"
    )


@contextmanager
def _admin(servers: Sequence[str], timeout_s: float) -> Iterator[KafkaAdminClient]:
    reach(servers, timeout_s)
    timeout_ms = int(timeout_s * 1_000)
    with quiet():
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=list(servers),
                client_id="floodmark-topics",
                bootstrap_timeout_ms=timeout_ms,
                request_timeout_ms=timeout_ms,
            )
        except KafkaError as error:
            raise unreachable(servers, error) from error
        try:
            yield admin
        except KafkaError as error:
            raise refused(servers, error) from error
        finally:
            admin.close()


def _wanted(settings: Settings) -> dict[str, dict[str, Any]]:
    # Archived posts carry old times. A broker that took them for the messages' own would delete them at
    # once, so time of append counts, whatever a producer says.
    common = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
    bounded = {**common, "retention.bytes": str(settings.retention_bytes)}
    week = {**bounded, "retention.ms": str(RETENTION_DAYS * _DAY_MS)}
    month = {**bounded, "retention.ms": str(30 * _DAY_MS)}
    compacted = {**common, "cleanup.policy": "compact"}
    # A letter that was written twice stays once, and one that was retried goes.
    letters = {**month, "cleanup.policy": "compact,delete"}
    # A hop that is assessed again from `rows` needs the periods it used then.
    used_ms = max(settings.baseline_hours, settings.campaign_hours) * HOUR_MS
    periods_ms = used_ms + (RETENTION_DAYS + 1) * _DAY_MS
    periods = {**common, "cleanup.policy": "compact,delete", "retention.ms": str(periods_ms)}
    shape: Mapping[str, tuple[int, dict[str, str]]] = {
        settings.posts_topic: (settings.partitions, week),
        settings.rows_topic: (settings.partitions, week),
        settings.baseline_topic: (settings.partitions, periods),
        settings.alerts_topic: (SINGLE, compacted),
        settings.dead_topic: (SINGLE, letters),
    }
    return {
        name: {"num_partitions": count, "replication_factor": settings.replication, "configs": configs}
        for name, (count, configs) in shape.items()
    }


def _described(admin: KafkaAdminClient, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What the broker that is asked says of the topics it knows of, by name."""
    # All topics are asked for: naming one that is not there makes some brokers create it.
    topics = admin.describe_topics()
    return {topic["name"]: topic for topic in topics if topic["name"] in names and not topic["error_code"]}


def _awaited(
    admin: KafkaAdminClient, names: Collection[str], settings: Settings
) -> dict[str, dict[str, Any]]:
    """What is said of topics that were just made, once it is: brokers of a cluster hear of them one by one.

    Raises
    ------
    BrokerError
        If they do not show in time.
    """
    deadline_s = clock.monotonic_s() + REACH_S
    while True:
        found = _described(admin, names)
        unknown = [name for name in names if name not in found]
        if not unknown:
            return found
        if clock.monotonic_s() > deadline_s:
            raise BrokerError(
                f"the broker at {', '.join(settings.kafka_servers)} made the topics {', '.join(unknown)}, but"
                f" after {REACH_S:g} s it does not know them: start again, and if that does not help see the"
                " broker's log"
            )
        time.sleep(_POLL_S)


def _create(admin: KafkaAdminClient, missing: Mapping[str, dict[str, Any]], settings: Settings) -> None:
    reply = admin.create_topics(dict(missing), raise_errors=False)
    for topic in reply["topics"]:
        kind = for_code(topic["error_code"])
        # Two workers may start at the same time.
        if topic["error_code"] and kind is not TopicAlreadyExistsError:
            said = topic.get("error_message") or kind.description or kind.__name__
            raise BrokerError(
                f"the broker at {', '.join(settings.kafka_servers)} refused to make the topic"
                f" {topic['name']}: {said} ({kind.__name__}); make it yourself or change"
                f" {variable('partitions')}, {variable('replication')} or {variable('retention_bytes')}"
            )


def _check(name: str, count: int, settings: Settings) -> None:
    partitioned = name in (settings.posts_topic, settings.rows_topic, settings.baseline_topic)
    wanted = settings.partitions if partitioned else SINGLE
    if count == wanted:
        return
    remedy = f"set {variable('partitions')}={count}" if partitioned else "delete it"
    raise TopicMismatchError(
        f"topic {name} has {count} partitions, {wanted} expected: {remedy}, or choose other topics with"
        f" {variable('topic_prefix')} and other keys with {variable('key_prefix')}"
    )
