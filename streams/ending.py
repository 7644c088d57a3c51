"""How a worker ends when it cannot go on: at once, with one line, before anything is acknowledged."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from aiokafka.errors import KafkaError as AIOKafkaError
from faust.exceptions import ProducerSendError
from kafka.errors import KafkaError

from streams.baseline_file import UnusableBaseline
from streams.embedded import StartError
from streams.ingestion import TooManyDead
from streams.monitor import Gap
from streams.monitoring import StoreAway
from streams.packets import UnreadablePacket
from streams.periods import UnreadablePeriod
from streams.redis_store import UnreadableStateError
from streams.settings import SettingsError
from streams.store import OwnershipLost
from streams.topics import BrokerError, TopicMismatchError

STOPPED: Final = 3
"""Exit status of a worker that stopped for a reason its last line says."""

BUG: Final = 70
"""Exit status after an exception nobody foresaw (EX_SOFTWARE); the batch is read again after a restart."""

EXPECTED: Final = (
    OwnershipLost,
    Gap,
    UnreadablePacket,
    UnreadablePeriod,
    TooManyDead,
    StoreAway,
    UnreadableStateError,
    BrokerError,
    TopicMismatchError,
    SettingsError,
    UnusableBaseline,
    StartError,
)
"""Errors whose text is made for people."""

BROKER_ERRORS: Final = (ProducerSendError, KafkaError, AIOKafkaError)
"""What Faust and the two Kafka clients raise when a broker is away or refuses."""

log = logging.getLogger(__name__)


@contextmanager
def fatal() -> Iterator[None]:
    """End the process on any exception, so that no frame above can acknowledge what failed."""
    try:
        yield
    except EXPECTED as error:
        log.critical("stopping: %s", error)
        leave(STOPPED)
    except BROKER_ERRORS as error:
        log.critical(
            "stopping: the broker failed (%s); what was under way is done again after a restart", error
        )
        leave(STOPPED)
    except Exception:
        log.critical(
            "stopping after an unexpected error; the batch is read again after a restart", exc_info=True
        )
        leave(BUG)


def leave(status: int) -> NoReturn:
    """End the process now: no clean-up that could commit an offset."""
    logging.shutdown()
    os._exit(status)
