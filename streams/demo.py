"""`floodmark demo`: the rebuilt reference case through real servers, from an empty folder to a report."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from streams import clock, reference_case, replay, report, summary
from streams.live import Stack, until_end
from streams.output import latest
from streams.replay import Replayed
from streams.scan import ALERTS, REPORT

DEADLINE_S: Final = 600.0
TITLE: Final = "Floodmark demo: the reference case, rebuilt"


class _Replay(threading.Thread):
    """Sends the case while the alerts are read; keeps what went wrong for the reader to raise."""

    def __init__(self, send: Callable[[], Replayed]) -> None:
        super().__init__(name="replay", daemon=True)
        self._send = send
        self.sent: Replayed | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.sent = self._send()
        except Exception as error:  # noqa: BLE001 - raised again by `check` in the reader's thread
            self.error = error

    def check(self) -> None:
        """Raise what the replay ran into."""
        if self.error is not None:
            raise self.error


def demo(
    console: Console,
    out: Path,
    *,
    seed: int = 0,
    scale: float = 1.0,
    speed: float | None = None,
    partitions: int = 4,
    **overrides: Any,
) -> Path:
    """Run the demo and give the path of its report.

    Parameters
    ----------
    out : folder for the case, its truth, the alerts and the report; made if it is not there
    seed, scale : of the case
    speed : seconds of event time per second; as fast as possible if None
    """
    begun_s = clock.monotonic_s()
    out.mkdir(parents=True, exist_ok=True)
    posts, truth = reference_case.write(out, seed=seed, scale=scale)
    console.print(
        f"Rebuilt the case of 26 July 2016 with texts of our own: [bold]{posts}[/] and {truth.name}"
    )
    settings = {"metrics_port": 0, "partitions": partitions, **overrides}
    with (
        console.status("Starting a broker, Redis and a worker on this machine …"),
        Stack(**settings) as stack,
    ):
        console.print(
            f"A broker, Redis and a worker are up ({clock.monotonic_s() - begun_s:.1f} s);"
            f" {partitions} partitions, nothing outside this machine"
        )
        lines, replayed = _watch(console, stack, str(posts), speed)
    (out / ALERTS).write_bytes(b"".join(line + b"\n" for line in lines))
    alerts = [msgspec.json.decode(line) for line in lines]
    totals = {"files": [posts.name], "posts": replayed.posts, "rejects": replayed.other}
    report.write(out / REPORT, alerts, totals, title=TITLE)
    console.print(summary.alerts_table(alerts, totals))
    console.print(
        f"Everything is stopped. {clock.monotonic_s() - begun_s:.0f} s in all. The evidence, with charts:"
        f" [bold]{out / REPORT}[/]"
    )
    return out / REPORT


def _watch(
    console: Console, stack: Stack, posts: str, speed: float | None
) -> tuple[tuple[bytes, ...], Replayed]:
    """Replay the case and show alerts as they fire; gives the last line of each."""
    sending = _Replay(lambda: replay.replay([posts], stack.settings, speed=speed))

    def check() -> None:
        stack.check()
        sending.check()

    begun_s = clock.monotonic_s()
    sending.start()
    shown: set[str] = set()
    lines: list[bytes] = []
    for line in until_end(stack.settings, check, DEADLINE_S if speed is None else None):
        lines.append(line)
        alert = msgspec.json.decode(line)
        if alert["id"] not in shown:
            shown.add(alert["id"])
            console.print(
                f"An alert fired {clock.monotonic_s() - begun_s:.1f} s after the first post was sent:"
            )
            console.print(summary.alert_panel(alert))
    sending.join()
    sending.check()
    assert sending.sent is not None
    return latest(lines), sending.sent
