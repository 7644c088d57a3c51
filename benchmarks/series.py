"""One measurement after another on one node of Apache Kafka, and a page that grows with them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

from benchmarks import servers

Wanted = TypeVar("Wanted")
Measured = TypeVar("Measured")


def run(
    name: str,
    wanted: Sequence[Wanted],
    measure: Callable[[Wanted, str, Path, int], Measured],
    page: Callable[[Sequence[Measured]], str],
    out: Path,
) -> None:
    """Measure all that is wanted, and write the page after each.

    Parameters
    ----------
    measure : callable
        Given what is wanted, the address of the broker, a folder, and the number of the measurement.
    page : callable
        From what was measured so far to the text of the page.
    """
    console = Console(stderr=True)
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as named, Progress(console=console) as progress:
        folder = Path(named)
        task = progress.add_task(name, total=len(wanted))
        node = servers.kafka(folder / "kafka")
        try:
            node.start()
            for number, one in enumerate(wanted):
                progress.update(task, description=str(one))
                measured.append(measure(one, node.url, folder, number))
                console.print(f"{one}: {measured[-1]}")
                out.write_text(page(measured), encoding="utf-8")
                progress.advance(task)
        finally:
            node.stop()
    console.print(f"{out} is written")
