"""Figures for reports: the spread of a quantity, the load of the machine, what a worker says of itself."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.request import urlopen

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from streams.live import Worker

_ADDRESS: Final = re.compile(r"metrics on (http://\S+)")


@dataclass(frozen=True)
class Spread:
    """Quantiles of a quantity, in its unit."""

    count: int
    p50: float
    p90: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The quantiles of the values; NaN where there are none.

        >>> Spread.of([1.0, 2.0, 3.0]).p50
        2.0
        """
        if not values:
            return cls(0, *[float("nan")] * 4)
        p50, p90, p99 = np.quantile(values, (0.5, 0.9, 0.99)).tolist()
        return cls(len(values), p50, p90, p99, max(values))


@dataclass(frozen=True)
class Busy:
    """How loaded the machine was: runnable processes, averaged over a minute, before and after."""

    before: float
    after: float

    @classmethod
    def since(cls, before: float) -> Busy:
        """From a value taken before to now."""
        return cls(before, load())

    def __str__(self) -> str:
        return f"{self.before:.1f} to {self.after:.1f}"


def load() -> float:
    """Runnable processes, averaged over the last minute."""
    return os.getloadavg()[0]


def told_by(worker: Worker) -> dict[str, float]:
    """The metrics of a worker by name, summed over their labels."""
    found = _ADDRESS.search(worker.log.read_text(encoding="utf-8"))
    assert found is not None, f"{worker.log} does not say where the metrics are"
    with urlopen(found[1], timeout=5.0) as answer:
        text = answer.read().decode()
    out: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                out[sample.name] = out.get(sample.name, 0.0) + sample.value
    return out
