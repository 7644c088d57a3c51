"""`floodmark up`: all servers on this machine until Ctrl-C, and the alerts as they fire."""

from __future__ import annotations

import msgspec
from rich.console import Console

from streams import live, summary
from streams.settings import variable


def up(
    console: Console, *, workers: int = 1, kafka_port: int | None = None, redis_port: int | None = None
) -> None:
    """Start an embedded broker, Redis and workers, say where they are, and show alerts until interrupted."""
    with live.Stack(workers=workers, kafka_port=kafka_port, redis_port=redis_port) as stack:
        settings = stack.settings
        console.print("Up, in memory, on this machine only. In another terminal:\n", markup=False)
        for name, value in (("kafka_url", settings.kafka_url), ("redis_url", settings.redis_url)):
            console.print(f"  export {variable(name)}={value}", markup=False, highlight=False)
        console.print("  floodmark replay FILE… --speed max\n", markup=False, highlight=False)
        console.print(f"Logs are in {stack.folder}. Ctrl-C stops everything.", markup=False)
        states: dict[str, str] = {}
        for told in live.messages(settings, stack.check):
            if told.ended is not None:
                continue
            alert = msgspec.json.decode(told.value)
            if states.get(alert["id"]) != alert["state"]:
                states[alert["id"]] = alert["state"]
                console.print(summary.alert_panel(alert))
