"""The one place that reads the wall clock. Everything about posts goes by event time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Wall clock now, milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds on a clock that never goes back; for durations and rates only."""
    return time.monotonic()


def iso(time_ms: int) -> str:
    """ISO 8601 UTC with a Z; milliseconds only where there are any.

    >>> iso(1469567751000)
    '2016-07-26T21:15:51Z'
    """
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds").replace("+00:00", "Z")
