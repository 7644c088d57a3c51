"""`floodmark worker`: runs the Faust app in this process until SIGTERM or an error nobody can mend here."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NoReturn

import faust
import prometheus_client
import redis
from prometheus_client import CollectorRegistry

from streams import app, baseline_file, clock, topics
from streams.embedded import StartError
from streams.ending import EXPECTED, STOPPED, fatal
from streams.metrics import Metrics
from streams.monitoring import StoreAway
from streams.redis_client import AWAY, blocking
from streams.redis_store import RedisStore
from streams.settings import Settings, variable
from streams.topics import TopicMismatchError

REPEAT_S: Final = 30.0
"""How seldom the same complaint of the Kafka client is logged."""

log = logging.getLogger(__name__)


def run(settings: Settings) -> NoReturn:
    """Be a worker. Ends the process: status 0 after SIGTERM, 3 with a line that says why, 70 after a bug.

    Raises
    ------
    SystemExit
        Always.
    """
    _log_to_stderr(settings)
    try:
        baseline = baseline_file.of(settings)
        topic_ids = topics.ensure(settings)
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        _serve(registry, settings)
        same_topics(settings, topic_ids)
        with _answering(settings):
            store = RedisStore(settings)
    except EXPECTED as error:
        log.critical("cannot start: %s", error)
        sys.exit(STOPPED)
    with TemporaryDirectory(prefix="floodmark-worker-") as folder:
        built = app.build(settings, metrics, store, baseline, Path(folder))
        runner = _Runner(built, quiet=True, override_logging=False, redirect_stdouts=False)
        runner.spinner = None  # it writes the terminal's codes into logs
        runner.execute_from_commandline()
    sys.exit(0)


class _Runner(faust.Worker):
    """A worker that says in one line what went wrong while it started, with the status for that."""

    async def start(self) -> None:
        with fatal():
            await super().start()


def same_topics(settings: Settings, topic_ids: str | None) -> None:
    """Check that the state in Redis is about the topics `posts`, `rows` and `baseline` there are now.

    A topic that was deleted and made again counts its offsets from 0: all its posts would pass for counted.

    Raises
    ------
    TopicMismatchError
        If one was made anew since.
    StoreAway
        If Redis does not answer.
    """
    key = f"{settings.key_prefix}:topic"
    with _answering(settings), closing(blocking(settings)) as client:
        if topic_ids is None or client.set(key, topic_ids, nx=True):
            return
        held: Any = client.get(key)
        known = held.decode()
    if known != topic_ids:
        raise TopicMismatchError(
            f"topic {settings.posts_topic}, {settings.rows_topic} or {settings.baseline_topic} was made"
            f" anew since the state in Redis was written (their ids were {known}, now they are {topic_ids}):"
            " choose another"
            f" {variable('key_prefix')} and {variable('group')}"
        )


@contextmanager
def _answering(settings: Settings) -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, *AWAY) as error:
        raise StoreAway(
            f"no Redis answers at {settings.redis_address} ({error}): start one, or set"
            f" {variable('redis_url')} to yours; `floodmark up` brings its own"
        ) from error


def _serve(registry: CollectorRegistry, settings: Settings) -> None:
    try:
        server, _ = prometheus_client.start_http_server(
            settings.metrics_port, addr=settings.metrics_host, registry=registry
        )
    except OSError as error:
        raise StartError(
            f"the metrics cannot be served on {settings.metrics_host}:{settings.metrics_port}"
            f" ({error.strerror}): set {variable('metrics_port')} to another port, 0 for a free one"
        ) from error
    log.info("metrics on http://%s:%d/metrics", settings.metrics_host, server.server_port)


def _log_to_stderr(settings: Settings) -> None:
    logging.basicConfig(
        level=settings.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    # Both repeat what is no news to the people who run a worker.
    for chatty in ("aiokafka", "faust", "mode", "kafka"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Seldom())


class _Seldom(logging.Filter):
    """Lets aiokafka say the same once in a while: without a broker it logs 70 lines a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka") or record.levelno >= logging.CRITICAL:
            return True
        now_s = clock.monotonic_s()
        if now_s - self._said_s.get(record.msg, -REPEAT_S) < REPEAT_S:
            return False
        self._said_s[record.msg] = now_s
        return True


def main() -> NoReturn:
    """Entry of ``python -m streams.worker``, with settings from the environment."""
    try:
        settings = Settings.load()
    except EXPECTED as error:
        logging.basicConfig(format="%(message)s")
        log.critical("cannot start: %s", error)
        sys.exit(STOPPED)
    run(settings)


if __name__ == "__main__":
    main()
