"""What `benchmarks.chaos` saw, as values that are kept as JSON and shown as Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import msgspec
import numpy as np
from msgspec import structs

from benchmarks.servers import DEPLOY

SHOWN_LINES: Final = 50
LIBRARIES: Final = ("faust-streaming", "aiokafka", "kafka-python", "redis")


class Kill(msgspec.Struct, frozen=True):
    """One SIGKILL.

    Attributes
    ----------
    at_s : float
        Wall time since its round began.
    during : bool
        Whether an earlier one was not recovered from yet.
    recovered_s : float or None
        How long until everything handed over by then was counted; None if that never came.
    """

    kind: str
    at_s: float
    during: bool
    recovered_s: float | None = None

    def after(self, recovered_s: float) -> Kill:
        """Recovered from."""
        return structs.replace(self, recovered_s=recovered_s)


class Differing(msgspec.Struct, frozen=True):
    """One difference, as one line; `permitted` where the broker cannot do better."""

    kind: str
    line: str
    permitted: bool


class Round(msgspec.Struct, frozen=True):
    """One replay under attack and what came of it.

    Attributes
    ----------
    doubled : int
        Posts that were sent twice.
    messages, resent : int
        Messages sent; those the broker holds once more because the producer did not hear of them.
    facts, news : int
        Facts that must be held, rows among them, and messages about alerts that must be told.
    ended : by status
        How often a worker ended by itself.
    failures : list of str
        What went wrong besides differences.
    """

    name: str
    posts: int
    doubled: int
    messages: int
    resent: int
    facts: int
    news: int
    kills: list[Kill]
    ended: dict[str, int]
    failures: list[str]
    differences: list[Differing]
    seconds: float

    @property
    def problems(self) -> list[str]:
        """Everything that must not be, one line each."""
        return [*self.failures, *(one.line for one in self.differences if not one.permitted)]


class Report(msgspec.Struct, frozen=True):
    """All rounds, and what they were run with and on."""

    command: str
    seed: int
    machine: str
    versions: str
    left_out: list[str]
    rounds: list[Round]

    @property
    def problems(self) -> list[str]:
        """Everything that must not be, one line each."""
        return [line for one in self.rounds for line in one.problems]

    @property
    def kills(self) -> list[Kill]:
        """Of all rounds."""
        return [kill for one in self.rounds for kill in one.kills]


def versions(is_kafka: bool, redis_version: str) -> str:
    """The broker, Redis and the libraries that speak with them, in one line."""
    broker = f"Apache Kafka {_kafka_version()}" if is_kafka else "the embedded broker"
    return ", ".join([broker, f"Redis {redis_version}", *(f"{name} {version(name)}" for name in LIBRARIES)])


def _kafka_version() -> str:
    pom = (DEPLOY / "kafka" / "pom.xml").read_text(encoding="utf-8")
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", pom)
    return found[1] if found else "of unknown version"


def page(of: Report) -> str:
    """The report as Markdown."""
    return "\n".join(
        [
            "# Exact under failure",
            "",
            "Written by `make chaos`; do not edit by hand.",
            "",
            f"`{of.command}`, seed {of.seed}. Measured with {of.machine}; {of.versions}.",
            "",
            "Archives are replayed live over four partitions by two workers, with one broker and one Redis"
            " that keeps what it acknowledged. Workers, broker and Redis are killed with SIGKILL at random"
            " moments and started again. Then everything held and told is compared with the same messages"
            " folded in one process: marks, clocks, hops, rows, strings and open alerts of every partition,"
            " what readers are shown, every message about an alert on the topic and in Redis, dead letters;"
            " and the last of each alert with those of `floodmark scan`, byte for byte.",
            "",
            *_left_out(of.left_out),
            _verdict(of),
            "",
            "## Rounds",
            "",
            "| what | posts | of them twice | kills | news | doubled | lost | other differences"
            " | workers that stopped by themselves | messages the producer sent again | seconds |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *map(_row, of.rounds),
            "",
            "## Recovery",
            "",
            "From SIGKILL until every post that the connector was given before it and at the same moment is"
            " counted, in seconds. A worker that was killed is missed by the broker after 6 s.",
            "",
            "| killed | when | kills | median | 90 % | most |",
            "|---|---|---|---|---|---|",
            *_recoveries(of.kills),
            "",
            *_problems(of),
        ]
    )


def _left_out(left_out: Sequence[str]) -> list[str]:
    return [f"Left out: {'; '.join(left_out)}.", ""] if left_out else []


def _verdict(of: Report) -> str:
    counts = Counter(one.kind for round in of.rounds for one in round.differences)
    kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(counts.items())) or "none"
    news, facts = (sum(getattr(round, name) for round in of.rounds) for name in ("news", "facts"))
    return (
        f"**{len(of.kills)} kills, {sum(counts.values())} differences** ({kinds}),"
        f" {sum(len(round.failures) for round in of.rounds)} other failures. Compared were {facts:,} rows and"
        f" other facts, and {news:,} messages about alerts on the topic, of which"
        f" {counts['doubled news']} were doubled and {counts['lost news']} lost."
    )


def _row(of: Round) -> str:
    kinds = Counter(one.kind for one in of.differences)
    doubled, lost = kinds.pop("doubled news", 0), kinds.pop("lost news", 0)
    ended = ", ".join(f"{count} with status {status}" for status, count in of.ended.items()) or "none"
    return (
        f"| {of.name} | {of.posts:,} | {of.doubled:,} | {len(of.kills)} | {of.news:,} | {doubled} | {lost} |"
        f" {kinds.total()} | {ended} | {of.resent:,} | {of.seconds:.0f} |"
    )


def _recoveries(kills: Sequence[Kill]) -> list[str]:
    out = []
    for kind in sorted({kill.kind for kill in kills}):
        for during, when in ((False, "alone"), (True, "while another went on")):
            took = [k.recovered_s for k in kills if (k.kind, k.during) == (kind, during)]
            known = [seconds for seconds in took if seconds is not None]
            if known:
                median, most_of_them = np.percentile(known, [50, 90])
                figures = f"{median:.1f} | {most_of_them:.1f} | {max(known):.1f}"
                out.append(f"| {kind} | {when} | {len(took)} | {figures} |")
    return out


def _problems(of: Report) -> list[str]:
    lines = of.problems
    if not lines:
        return []
    more = [f"- and {len(lines) - SHOWN_LINES} more"] if len(lines) > SHOWN_LINES else []
    return ["## What must not be", "", *(f"- {line}" for line in lines[:SHOWN_LINES]), *more, ""]
